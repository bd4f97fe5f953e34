"""What a day that comes late reads again of later ones: as much as matters, once, whatever the length of a backfill."""

from __future__ import annotations

import logging
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from chengxin import archive, harvest
from chengxin.ledger.models import RawObject
from chengxin.settings import House
from tests.dropped import CODES, ENTRIES, Source, entry

DAYS = [date(2026, 6, 1) + timedelta(n) for n in range(8)]
NOT_KEPT = "is not kept any more"


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    found = Source(house, tmp_path)
    found.contract("entries", ENTRIES.replace("shrink: {max: 0.5}", "shrink: {max: 1}").replace("full", "incremental"))
    return found


def notes(source: Source) -> list[Path]:
    return sorted((source.house.staging_dir / "said" / "entries").rglob("*.parquet"))


def hide(source: Source, harvest_id: int) -> None:
    """Takes a harvest's raw files away: whoever reads them again has to say so."""
    with source.house.ledger.begin() as session:
        for sha256 in session.scalars(select(RawObject.sha256).where(RawObject.harvest_id == harvest_id)):
            archive.path(source.house, "entries", sha256).unlink()


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
