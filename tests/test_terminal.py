"""The command line where an installation carries several districts: one is named, or each has its turn."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chengxin.cli import app
from chengxin.ledger import acts
from chengxin.settings import House
from tests.called import Call, caller
from tests.conftest import NOW

ROOT = Path(__file__).resolve().parents[1]
FIRST, SECOND = "370112", "990101"


@pytest.fixture
def chengxin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line in an installation of two districts."""
    include = tmp_path / "include"
    for name in ("sources", "districts"):
        shutil.copytree(ROOT / "include" / name, include / name)
    shutil.copy(ROOT / "include/retention.yml", include)
    shutil.copytree(ROOT / "tests/districts/include", include, dirs_exist_ok=True)
    for name in ("CHENGXIN_LEDGER_URL", "CHENGXIN_CATALOG_URL", "CHENGXIN_DESK_URL", "CHENGXIN_ANSWERS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHENGXIN_DISTRICT", f"{FIRST},{SECOND}")
    monkeypatch.setenv("CHENGXIN_INCLUDE", str(include))
    monkeypatch.setenv("CHENGXIN_VAR", str(tmp_path / "var"))

    return caller(capsys)


def test_one_of_several_districts_is_named(chengxin: Call) -> None:
    unnamed = chengxin("sources")
    assert unnamed.status == 2
    assert f"{FIRST}, {SECOND}" in unnamed.err
    assert "--district" in unnamed.err
    named = chengxin("--district", SECOND, "sources")
    assert named.status == 0, named
    assert "matters" in named.out
    assert "consents" not in named.out
    assert chengxin("--district", "370103", "sources").status == 2
    # It was said of that one command.
    assert chengxin("sources").status == 2


def test_each_district_has_its_turn_from_init_to_restore(
    chengxin: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = chengxin("init")
    assert made.status == 0, made
    assert made.out.splitlines() == [
        f"district {FIRST}:", "ledger and lake are ready", f"district {SECOND}:", "ledger and lake are ready",
    ]  # fmt: skip
    with House.from_environment(district=SECOND).ledger.begin() as session:
        acts.record(session, NOW, "tester", "note", "second", {})
    kept = chengxin("backup", str(tmp_path / "backups"))
    assert kept.status == 0, kept
    folders = [line for line in kept.out.splitlines() if not line.startswith("district")]
    assert [Path(folder).parent.name for folder in folders] == [FIRST, SECOND]

    monkeypatch.setenv("CHENGXIN_VAR", str(tmp_path / "elsewhere"))
    wrong = chengxin("--district", FIRST, "restore", folders[1])
    assert wrong.status == 2
    assert f"this is of district {SECOND}" in wrong.err
    back = chengxin("restore", *folders)
    assert back.status == 0, back
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {FIRST, SECOND}
    heads = {}
    for code in (FIRST, SECOND):
        assert chengxin("--district", code, "verify").status == 0
        with House.from_environment(district=code).ledger.begin() as session:
            heads[code] = acts.head(session).seq
    assert heads[SECOND] == heads[FIRST] + 1


def test_a_house_of_its_own_becomes_one_of_several(
    chengxin: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHENGXIN_DISTRICT", SECOND)
    monkeypatch.setenv("CHENGXIN_VAR", str(tmp_path / "alone"))
    assert chengxin("init").out == "ledger and lake are ready\n"
    kept = chengxin("backup", str(tmp_path / "backups")).out.strip()
    monkeypatch.setenv("CHENGXIN_DISTRICT", f"{FIRST},{SECOND}")
    assert "CHENGXIN_VAR_<code>" in chengxin("init").err
    monkeypatch.setenv("CHENGXIN_VAR", str(tmp_path / "several"))
    assert chengxin("restore", kept).status == 0
    assert [path.name for path in (tmp_path / "several").iterdir()] == [SECOND]


def test_what_goes_wrong_in_one_district_keeps_no_other_waiting(
    chengxin: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / FIRST).write_text("no folder")
    with pytest.raises(OSError, match=FIRST):
        app(["init"])
    assert capsys.readouterr().out.splitlines() == [
        f"district {FIRST}:", f"district {SECOND}:", "ledger and lake are ready",
    ]  # fmt: skip
    assert (tmp_path / "var" / SECOND / "ledger.db").is_file()
    alone = chengxin("--district", SECOND, "maintain")
    assert alone.status == 0, alone
    assert "district" not in alone.out
