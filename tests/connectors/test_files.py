"""The files connector on real folders."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from chengxin import archive, connectors
from chengxin.connections import Connection
from chengxin.connectors import files
from chengxin.connectors.intake import Intake
from chengxin.connectors.places import opened
from chengxin.errors import ConfigError, SourceContentError, SourceRefusedError, SourceUnreachableError
from chengxin.ledger.models import Harvest
from chengxin.reads import FilesRead
from chengxin.settings import House

from .tools import AS_OF, Killed, contract, cursor, new_harvest, over, raw_objects


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "交换 目录"
    folder.mkdir()
    return folder


def run(
    house: House,
    folder: Path,
    pattern: str = "名单 {as_of}*.csv",
    harvest_id: int | None = None,
    while_waiting: Callable[[], Any] = lambda: None,
    **more: Any,
) -> int:
    one = contract(
        {"connector": "files", "connection": "file_drop", "pattern": pattern, "format": "csv", **more},
        mode="incremental" if more.get("take") == "new" else "full",
    )
    house = over(house, Connection("file_drop", "fs", extra={"path": str(folder)}))
    harvest_id = new_harvest(house) if harvest_id is None else harvest_id
    assert isinstance(one.read, FilesRead)
    intake = Intake(house, one.name, harvest_id)
    files.fetch(house, one, one.read, AS_OF, intake, sleep=lambda _: while_waiting())
    return harvest_id


def content(house: House, harvest_id: int) -> list[tuple[str, bytes]]:
    objects = raw_objects(house, harvest_id)
    return [(one.locator, archive.get(house, "subject_registry", one.sha256)) for one in objects]


def test_all_files_of_the_day_in_the_order_of_their_names(house: House, folder: Path) -> None:
    for name in ("名单 20260615-2.csv", "名单 20260615-1.csv", "名单 20260614-1.csv", "别的 20260615.csv"):
        (folder / name).write_text(name, "utf-8")
    (folder / "名单 20260615-0.csv").mkdir()
    names = ["名单 20260615-1.csv", "名单 20260615-2.csv"]
    assert content(house, run(house, folder)) == [(name, name.encode()) for name in names]


def test_without_a_day_in_the_pattern_the_newest_file_counts(house: House, folder: Path) -> None:
    for age, name in enumerate(["b.csv", "a.csv", "c.csv"]):
        (folder / name).write_text(name)
        os.utime(folder / name, (1_750_000_000 - age, 1_750_000_000 - age))
    assert content(house, run(house, folder, "*.csv")) == [("b.csv", b"b.csv")]


def test_a_pattern_may_lead_into_folders(house: House, folder: Path) -> None:
    (folder / "20260615").mkdir()
    (folder / "20260615" / "a.csv").write_text("x")
    assert content(house, run(house, folder, "{as_of}/*.csv")) == [("20260615/a.csv", b"x")]


def test_the_awaited_file_is_named(house: House, folder: Path) -> None:
    with pytest.raises(SourceUnreachableError) as caught:
        run(house, folder)
    assert "名单 20260615*.csv" in caught.value.where
    assert "file_drop" in caught.value.where


@pytest.mark.parametrize("partner", [False, True])
def test_a_half_written_file_waits(house: House, folder: Path, partner: bool) -> None:
    (folder / "名单 20260615.csv.part").write_text("half")
    if partner:
        (folder / "名单 20260615.csv").write_text("whole?")
    with pytest.raises(SourceUnreachableError, match=r"half-written: 名单 20260615\.csv\.part"):
        run(house, folder)


def test_an_empty_file_waits(house: House, folder: Path) -> None:
    (folder / "名单 20260615.csv").touch()
    with pytest.raises(SourceUnreachableError, match="empty"):
        run(house, folder)


def test_a_growing_file_waits(house: House, folder: Path) -> None:
    path = folder / "名单 20260615.csv"
    path.write_text("one")
    with pytest.raises(SourceUnreachableError, match="still being written: 3 bytes, then 6"):
        run(house, folder, while_waiting=lambda: path.write_text("onetwo"))


def test_a_file_that_goes_away_waits(house: House, folder: Path) -> None:
    path = folder / "名单 20260615.csv"
    path.write_text("one")
    with pytest.raises(SourceUnreachableError, match="taken away"):
        run(house, folder, while_waiting=path.unlink)


def test_a_file_that_grows_while_it_is_copied_is_not_kept(
    house: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "名单 20260615.csv"
    path.write_text("one")
    archive_stream = Intake.archive

    def slowly(self: Intake, data: Any) -> tuple[str, int]:
        done = archive_stream(self, data)
        path.write_text("onetwo")
        return done

    monkeypatch.setattr(Intake, "archive", slowly)
    harvest_id = new_harvest(house)
    with pytest.raises(SourceUnreachableError, match="still being written"):
        run(house, folder, harvest_id=harvest_id)
    assert raw_objects(house, harvest_id) == []


def test_a_kill_reads_no_file_twice(house: House, folder: Path, kill_after: Callable[[int], None]) -> None:
    for part in (1, 2, 3):
        (folder / f"名单 20260615-{part}.csv").write_text(f"part {part}")
    harvest_id = new_harvest(house)
    kill_after(2)
    with pytest.raises(Killed):
        run(house, folder, harvest_id=harvest_id)
    (folder / "名单 20260615-1.csv").write_text("changed since")
    run(house, folder, harvest_id=harvest_id)
    assert [body for _, body in content(house, harvest_id)] == [b"part 1", b"part 2", b"part 3"]


def test_a_missing_folder_is_named(house: House, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachableError, match="the folder is not there") as caught:
        run(house, tmp_path / "无此目录")
    assert "无此目录" in caught.value.where


def test_a_connection_without_a_folder_is_configuration(house: House) -> None:
    one = contract({"connector": "files", "connection": "file_drop", "pattern": "*.csv", "format": "csv"})
    with pytest.raises(ConfigError, match="names no folder"):
        connectors.fetch(over(house, Connection("file_drop", "fs")), one, AS_OF, new_harvest(house))


@pytest.mark.parametrize("pattern", ["../*.csv", "/etc/pass*"])
def test_a_pattern_stays_in_its_folder(house: House, folder: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="leads out of the folder"):
        run(house, folder, pattern)


def test_a_file_that_we_may_not_read_is_refused(house: House, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "名单 20260615.csv").write_text("one")

    def denied(*_arguments: Any, **_more: Any) -> None:
        raise PermissionError

    # The tests may run as root, who may read everything.
    monkeypatch.setattr(LocalFileSystem, "open", denied)
    with pytest.raises(SourceRefusedError, match="may not read"):
        run(house, folder)


# What the sender says of a file -------------------------------------------------------------------------------------

BODY = "代码,名称\n".encode()


@pytest.mark.parametrize(("marker", "name"), [("{name}.ok", "名单 20260615.csv.ok"), ("{stem}.ok", "名单 20260615.ok")])
def test_a_file_waits_for_its_completion_marker(house: House, folder: Path, marker: str, name: str) -> None:
    (folder / "名单 20260615.csv").write_bytes(BODY)
    with pytest.raises(SourceUnreachableError, match=rf"{re.escape(name)} has not come"):
        run(house, folder, marker=marker)
    (folder / name).touch()
    assert content(house, run(house, folder, "名单 {as_of}*", marker=marker)) == [("名单 20260615.csv", BODY)]


def test_a_marker_that_an_earlier_file_left_is_none(house: House, folder: Path) -> None:
    file, marker = folder / "名单 20260615.csv", folder / "名单 20260615.csv.ok"
    marker.touch()
    file.write_bytes(BODY)
    os.utime(file, (1_750_000_000, 1_750_000_000))
    os.utime(marker, (1_749_999_990, 1_749_999_990))
    with pytest.raises(SourceUnreachableError, match=r"csv\.ok is older than it"):
        run(house, folder, marker="{name}.ok")
    # Within what the places' clocks tell apart.
    os.utime(marker, (1_749_999_998, 1_749_999_998))
    assert len(content(house, run(house, folder, marker="{name}.ok"))) == 1


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_checksum_in_the_marker_decides_before_its_age(house: House, folder: Path, kind: str) -> None:
    file, marker = folder / "名单 20260615.csv", folder / "名单 20260615.csv.ok"
    file.write_bytes(BODY)
    marker.write_text(f"{hashlib.new(kind, b'earlier').hexdigest()}  {file.name}\n", "utf-8")
    with pytest.raises(SourceUnreachableError, match=f"its {kind} is not the one that the sender announced"):
        run(house, folder, marker="{name}.ok")
    marker.write_text(hashlib.new(kind, BODY).hexdigest())
    os.utime(marker, (1_000_000_000, 1_000_000_000))
    assert len(content(house, run(house, folder, marker="{name}.ok"))) == 1


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_file_waits_until_it_is_the_one_announced(house: House, folder: Path, kind: str) -> None:
    (folder / "名单 20260615.csv").write_bytes(BODY)
    checksum = f"{{name}}.{kind}"
    beside = folder / f"名单 20260615.csv.{kind}"
    with pytest.raises(SourceUnreachableError, match="has not come"):
        run(house, folder, checksum=checksum)
    for text, why in (("soon", f"holds no {kind}"), (hashlib.new(kind, b"other").hexdigest(), f"its {kind} is not")):
        beside.write_text(text)
        harvest_id = new_harvest(house)
        with pytest.raises(SourceUnreachableError, match=why):
            run(house, folder, checksum=checksum, harvest_id=harvest_id)
        assert raw_objects(house, harvest_id) == []
    beside.write_text(f"{hashlib.new(kind, BODY).hexdigest().upper()} *名单 20260615.csv\n")
    assert content(house, run(house, folder, "名单 {as_of}*", checksum=checksum)) == [("名单 20260615.csv", BODY)]


def test_the_same_bytes_twice_in_a_day_are_read_once(house: House, folder: Path) -> None:
    for name in ("名单 20260615.csv", "名单 20260615 (1).csv"):
        (folder / name).write_bytes(BODY)
    assert content(house, run(house, folder)) == [("名单 20260615 (1).csv", BODY)]


@pytest.mark.parametrize("bad", ["A 空.pdf", "Z 空.pdf"])
def test_of_files_that_tell_of_different_things_one_that_is_not_whole_waits_alone(
    house: House, folder: Path, bad: str
) -> None:
    for name in ("B.pdf", "C.pdf"):
        (folder / name).write_text(name, "utf-8")
    (folder / bad).touch()
    harvest_id = run(house, folder, "*.pdf", take="new")
    assert [name for name, _ in content(house, harvest_id)] == ["B.pdf", "C.pdf"]
    found = cursor(house, harvest_id)
    assert (found["complete"], found["waiting"], found["quiet"]) == (True, 1, False)
    assert bad not in found["seen"]


def test_a_folder_in_which_only_a_broken_file_is_new_is_quiet(house: House, folder: Path) -> None:
    (folder / "A.pdf").touch()
    harvest_id = run(house, folder, "*.pdf", take="new")
    assert content(house, harvest_id) == []
    assert cursor(house, harvest_id) == {
        "files": [], "seen": {}, "quiet": True, "taken": 0, "waiting": 1, "complete": True
    }  # fmt: skip


def test_what_we_write_back_is_never_read(house: House, folder: Path) -> None:
    (folder / "名单 20260615.csv").write_bytes(BODY)
    (folder / "名单 20260615.csv.feedback.csv").write_bytes(b"x")
    assert [name for name, _ in content(house, run(house, folder))] == ["名单 20260615.csv"]


# A list in several files ---------------------------------------------------------------------------------------------


def test_a_part_that_is_missing_keeps_the_list_waiting(house: House, folder: Path) -> None:
    (folder / "名单 20260615-1.csv").write_text("1")
    harvest_id = new_harvest(house)
    with pytest.raises(SourceUnreachableError, match=r"1 of 2 files have come; `parts: 2` in the contract"):
        run(house, folder, harvest_id=harvest_id, parts=2)
    assert raw_objects(house, harvest_id) == []
    # The first part once more, by another name, is not the second.
    (folder / "名单 20260615-1 (1).csv").write_text("1")
    for _ in range(2):
        with pytest.raises(SourceUnreachableError, match="1 of 2"):
            run(house, folder, harvest_id=harvest_id, parts=2)
        assert not cursor(house, harvest_id).get("complete")
    (folder / "名单 20260615-2.csv").write_text("2")
    run(house, folder, harvest_id=harvest_id, parts=2)
    assert [body for _, body in content(house, harvest_id)] == [b"1", b"2"]
    assert cursor(house, harvest_id)["complete"]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_manifest_names_the_files_of_a_list(house: House, folder: Path, encoding: str) -> None:
    with_manifest = {"manifest": "清单_{as_of}.txt", "pattern": "名单 {as_of}*.csv"}
    for part in "139":
        (folder / f"名单 20260615-{part}.csv").write_text(part)
    with pytest.raises(SourceUnreachableError, match=r"清单_20260615\.txt, which names its files, has not come"):
        run(house, folder, **with_manifest)
    lines = ["# 共三个文件", "", "名单 20260615-1.csv", f"{hashlib.md5(b'2').hexdigest()} *名单 20260615-2.csv"]
    lines += [f"{hashlib.sha256(b'3').hexdigest()}  名单 20260615-3.csv"]
    (folder / "清单_20260615.txt").write_bytes("\r\n".join(lines).encode(encoding))
    with pytest.raises(SourceUnreachableError, match=r"names what has not come: 名单 20260615-2\.csv"):
        run(house, folder, **with_manifest)
    (folder / "名单 20260615-2.csv").write_text("half")
    with pytest.raises(SourceUnreachableError, match="its md5 is not the one"):
        run(house, folder, **with_manifest)
    (folder / "名单 20260615-2.csv").write_text("2")
    # The ninth is nobody's: it stays where it is.
    assert [body for _, body in content(house, run(house, folder, **with_manifest))] == [b"1", b"2", b"3"]


def test_a_manifest_that_names_nothing_is_content(house: House, folder: Path) -> None:
    (folder / "名单 20260615.csv").write_text("1")
    (folder / "清单").write_text("\n")
    with pytest.raises(SourceContentError, match="names no file"):
        run(house, folder, manifest="清单")


def test_a_whole_list_comes_in_no_fewer_files_than_last_time(house: House, folder: Path) -> None:
    (folder / "名单 20260615-1.csv").write_text("1")
    earlier = new_harvest(house)
    with house.ledger.begin() as session:
        row = session.get_one(Harvest, earlier)
        row.as_of, row.state, row.cursor = AS_OF - timedelta(1), "published", {"taken": 2}
    with pytest.raises(SourceUnreachableError, match=r"1 of 2 files have come; there were 2 last time .*`parts`"):
        run(house, folder)
    assert len(content(house, run(house, folder, parts=1))) == 1
    (folder / "名单 20260615-2.csv").write_text("2")
    harvest_id = run(house, folder)
    assert cursor(house, harvest_id)["taken"] == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"parts": 2, "manifest": "x"}, "one of them"),
        ({"parts": 2, "pattern": "*.csv"}, "with take: day"),
        ({"take": "day", "pattern": "*.csv"}, "take: day needs"),
        ({"take": "new"}, "mode: incremental"),
        ({"format": "xml"}, "needs records"),
        ({"marker": "done.ok"}, "a name made of"),
        ({"marker": "../{name}.ok"}, "a name made of"),
        ({"checksum": "{name}.crc"}, "checksum"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        contract({"connector": "files", "connection": "x", "pattern": "{as_of}.csv", "format": "csv", **more})


# What a hostile or careless sender lays there ------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["folder", "marker"])
def test_a_link_out_of_the_folder_is_not_followed(house: House, folder: Path, tmp_path: Path, way: str) -> None:
    secret = tmp_path / "geheim"
    secret.mkdir()
    (secret / "a.csv").write_text("password")
    if way == "folder":
        (folder / "20260615").symlink_to(secret)
    else:
        (folder / "20260615").mkdir()
        (folder / "20260615/a.csv").write_text("1")
        (folder / "20260615/a.csv.ok").symlink_to(secret / "a.csv")
    harvest_id = new_harvest(house)
    with pytest.raises(SourceRefusedError, match="a link leads out of the folder"):
        run(house, folder, "{as_of}*/*.csv", harvest_id, marker="{name}.ok")
    assert raw_objects(house, harvest_id) == []


def test_a_link_is_no_file_and_the_folder_may_be_one(house: House, folder: Path, tmp_path: Path) -> None:
    (folder / "名单 20260615-2.csv").symlink_to("/etc/hostname")
    (folder / "名单 20260615-1.csv").write_text("1")
    # Its operator has laid that one.
    (tmp_path / "link").symlink_to(folder)
    assert content(house, run(house, tmp_path / "link")) == [("名单 20260615-1.csv", b"1")]


def test_what_we_write_goes_to_no_link(folder: Path, tmp_path: Path) -> None:
    ours, name = tmp_path / "airflow.cfg", "名单.csv.feedback.csv"
    ours.write_text("ours")
    with opened(Connection("drop", "fs", extra={"path": str(folder)})) as place:
        for end in (".part", ""):
            (folder / f"{name}{end}").symlink_to(ours)
            place.write(name, b"1")
            assert (folder / name).read_bytes() == b"1"
            assert not (folder / name).is_symlink()
            assert ours.read_text() == "ours"
            (folder / name).unlink()
        (folder / "hinaus").symlink_to(tmp_path)
        with pytest.raises(SourceRefusedError, match="leads out"):
            place.write("hinaus/airflow.cfg", b"1")
    assert ours.read_text() == "ours"


def test_a_name_as_long_as_can_be_is_read(house: House, folder: Path) -> None:
    # 255 bytes: no partner of it can have a name.
    name = "名单20260615" + "长" * 77 + ".csv"
    name = name + "x" * (255 - len(name.encode()))
    (folder / name).write_text("1")
    assert content(house, run(house, folder, "名单{as_of}*", format="csv")) == [(name, b"1")]
    with pytest.raises(SourceUnreachableError, match=r"\.ok has not come"):
        run(house, folder, "名单{as_of}*", marker="{name}.ok")


def test_a_line_break_in_a_name_forges_no_line(house: House, folder: Path) -> None:
    (folder / "名单 20260615\n  to do: nothing.csv").touch()
    with pytest.raises(SourceUnreachableError, match="empty") as caught:
        run(house, folder)
    assert "名单 20260615\ufffd  to do: nothing.csv" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 4


def test_a_name_that_is_no_text_is_told(house: House, folder: Path) -> None:
    (folder / os.fsdecode("名单 20260615.csv".encode("gb18030"))).write_text("1")
    with pytest.raises(SourceContentError, match="a file's name is not in UTF-8"):
        run(house, folder, "*20260615.csv")
    # One that is no affair of ours does no harm.
    (folder / "名单 20260615.csv").write_text("1")
    assert len(content(house, run(house, folder))) == 1


def test_a_pipe_is_no_file(house: House, folder: Path) -> None:
    os.mkfifo(folder / "名单 20260615.csv")
    with pytest.raises(SourceUnreachableError, match="has not come"):
        run(house, folder)


def test_the_pause_between_two_looks_is_the_contracts(house: House, folder: Path) -> None:
    (folder / "名单 20260615.csv").write_text("1")
    paused: list[float] = []
    for more in ({}, {"settle": 30}):
        one = contract({"connector": "files", "connection": "x", "pattern": "*{as_of}.csv", "format": "csv", **more})
        assert isinstance(one.read, FilesRead)
        there = over(house, Connection("x", "fs", extra={"path": str(folder)}))
        files.fetch(there, one, one.read, AS_OF, Intake(there, one.name, new_harvest(there)), sleep=paused.append)
    assert paused == [files.SETTLE, 30]
