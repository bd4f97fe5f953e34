"""What a day that comes late reads again of later ones: as much as matters, once, whatever the length of a backfill."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from chengxin import archive, harvest, late
from chengxin.ledger.models import RawObject
from chengxin.settings import House
from tests.dropped import CODES, ENTRIES, MATTERS, Source, entry, matter, who

DAYS = [date(2026, 6, 1) + timedelta(n) for n in range(8)]
NOT_KEPT = "is not kept any more"


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    found = Source(house, tmp_path)
    found.contract("entries", ENTRIES.replace("shrink: {max: 0.5}", "shrink: {max: 1}").replace("full", "incremental"))
    return found


@pytest.fixture
def shared(house: House, tmp_path: Path) -> Callable[[str], Source]:
    """Houses of a source whose records are of a matter and a unit, and whose applicants belong to the matter alone."""
    text = MATTERS.replace("MODE", "incremental").replace("key: [matter_id]", "key: [matter_id, department]")

    def made(name: str) -> Source:
        found = Source(replace(house, var=tmp_path / name / "var"), tmp_path / name)
        found.contract("matters_in", text)
        return found

    return made


def notes(source: Source, name: str = "entries") -> list[Path]:
    return sorted((source.house.staging_dir / "said" / name).rglob("*.parquet"))


def hide(source: Source, harvest_id: int, name: str = "entries") -> None:
    """Takes a harvest's raw files away: whoever reads them again has to say so."""
    with source.house.ledger.begin() as session:
        for sha256 in session.scalars(select(RawObject.sha256).where(RawObject.harvest_id == harvest_id)):
            archive.path(source.house, name, sha256).unlink()


def kept(source: Source, harvest_id: int) -> bool:
    with source.house.ledger.begin() as session:
        raw = session.scalars(select(RawObject.sha256).where(RawObject.harvest_id == harvest_id)).all()
    return all(archive.path(source.house, "entries", sha256).is_file() for sha256 in raw)


def test_each_later_harvest_is_read_again_once(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """Newest first, no record twice: of each day that comes late, only the one before it is not known yet."""
    caplog.set_level(logging.WARNING, "chengxin.late")
    for number, on in enumerate(reversed(DAYS)):
        source.run(on, [entry(number), entry(number + 20)])
        assert len(notes(source)) == number
        # Every other one is known now.
        for file in notes(source):
            harvest_id = int(file.stem)
            if kept(source, harvest_id):
                hide(source, harvest_id)
    assert NOT_KEPT not in caplog.text
    assert len(source.reasons(DAYS[-1])) == 2 * len(DAYS)


def test_of_a_record_no_more_is_read_than_the_first_day_that_speaks_of_it(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "chengxin.late")
    ids = [source.run(on, [entry(1, why="甲"), entry(10 + on.day)])["harvest_id"] for on in DAYS[2:]]
    source.run(DAYS[0], [entry(2)])
    # It settled nothing, so all were looked at; what they spoke of is known.
    assert len(notes(source)) == len(ids)
    for harvest_id in ids[1:]:
        hide(source, harvest_id)
    source.run(DAYS[1], [entry(1, why="乙")])
    assert NOT_KEPT not in caplog.text
    assert [source.reasons(on).get("第1号") for on in DAYS[:4]] == [None, "乙", "甲", "甲"]
    # A shared record is read, and whoever reads it says when it is gone.
    hide(source, ids[0])
    source.run(DAYS[1], [entry(1, why="丙")])
    assert NOT_KEPT in caplog.text


def test_a_record_that_was_rejected_late_is_settled_by_the_day_that_accepted_it(source: Source) -> None:
    source.run(DAYS[3], [entry(1), entry(2)])
    source.run(DAYS[0], [entry(3)])
    assert len(notes(source)) == 1
    source.run(DAYS[1], [entry(1, who="  "), entry(4, who="  "), entry(5)])
    broken = {on: {key.split("\x1f")[-1] for key in source.state(on, "rejected")} for on in (DAYS[1], DAYS[3])}
    assert len(broken[DAYS[1]]) == 2
    assert len(broken[DAYS[3]]) == 1


def test_notes_can_be_deleted_and_tell_nobody_a_code(source: Source) -> None:
    source.run(DAYS[2], [entry(1, why="甲"), entry(2, why="甲")])
    source.run(DAYS[0], [entry(1, why="乙")])
    content = b"".join(file.read_bytes() for file in notes(source))
    assert content
    assert CODES[1].encode() not in content
    shutil.rmtree(source.house.staging_dir / "said")
    source.run(DAYS[1], [entry(1, why="丙"), entry(2, why="丙")])
    assert [source.reasons(on)["第1号"] for on in DAYS[:3]] == ["乙", "丙", "甲"]
    assert source.reasons(DAYS[2])["第2号"] == "甲"
    rows = len(source.house.lake.rows("list_entry"))
    assert harvest.run(source.house, "entries", DAYS[1])["seq"] is None
    assert len(source.house.lake.rows("list_entry")) == rows


def test_records_that_share_a_list_are_read_again_and_no_others(
    shared: Callable[[str], Source], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "chengxin.late")
    source = shared("one")
    same, other = (
        source.run(on, [one], "matters_in")["harvest_id"]
        for on, one in ((DAYS[2], matter(1, who(1), dept="zjj")), (DAYS[3], matter(2, who(2))))
    )
    source.run(DAYS[0], [matter(3, who(3))], "matters_in")
    assert len(notes(source, "matters_in")) == 2
    hide(source, other, "matters_in")
    # Another unit's record of the matter: the day that had no second applicant still has none.
    source.run(DAYS[1], [matter(1, who(1), who(4), dept="czj")], "matters_in")
    assert NOT_KEPT not in caplog.text
    applicants = [{key for key in source.state(on, "applicant") if key.startswith("M1")} for on in DAYS[:3]]
    assert applicants == [set(), {"M1\x1f1", "M1\x1f4"}, {"M1\x1f1"}]
    hide(source, same, "matters_in")
    source.run(DAYS[1], [matter(1, who(5), dept="gzw")], "matters_in")
    assert NOT_KEPT in caplog.text


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_days_in_any_order_read_as_if_every_later_harvest_were_read(
    shared: Callable[[str], Source], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    days = {on: _story(chance) for on in DAYS[:5]}
    order = [*days, *chance.sample(DAYS[:5], 2)]
    chance.shuffle(order)
    sparing, thorough = shared("sparing"), shared("thorough")
    for on in order:
        sparing.run(on, days[on], "matters_in")
        with monkeypatch.context() as patch:
            patch.setattr(late._Notes, "suffice", False)
            thorough.run(on, days[on], "matters_in")
    for table in ("matter", "applicant", "rejected"):
        for on in days:
            seen, whole = (
                {key: _content(row) for key, row in source.state(on, table).items()} for source in (sparing, thorough)
            )
            assert seen == whole, (table, on, order)
    assert sparing.state(DAYS[4], "applicant")


def _story(chance: random.Random) -> list[dict[str, Any]]:
    """Records of a day: some broken, some of one matter, some twice."""
    return [
        matter(
            chance.randrange(3),
            *(who(n) for n in chance.sample(range(4), chance.randrange(3))),
            dept=chance.choice(["czj", "zjj"]),
            state=chance.choice("1129"),
        )
        for _ in range(chance.randrange(1, 4))
    ]


def _content(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("seq", "observed_on")}
