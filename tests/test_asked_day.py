"""A source that knows only what holds now is not asked for another day: the lake would tell today's state as that."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest

from chengxin import contracts, harvest, parts
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.errors import SourceUnreachableError
from chengxin.ledger.models import Harvest
from chengxin.settings import House, Mode
from tests.conftest import NOW, ROOT
from tests.dropped import ENTRIES, MONDAY, SUNDAY, TUESDAY, Source, entry

DROP = 'read: {connector: files, connection: drop, pattern: "entries_{as_of}.json", format: json}'
SATURDAY = date(2026, 6, 13)
assert NOW.date() == MONDAY


@pytest.fixture
def front(house: House, tmp_path: Path) -> Source:
    """A whole list in a front database."""
    path = tmp_path / "front.db"
    row = entry(1)
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE t ({', '.join(row)})")
        database.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(row))})", [*row.values()])
    source = Source(house, tmp_path)
    source.contract("entries", ENTRIES.replace(DROP, "read: {connector: database, connection: front, table: t}"))
    connection = Connection("front", "sqlite", host=str(path))
    source.house = replace(source.house, mode="production", connections=lambda _: connection)
    return source


def harvests(house: House) -> int:
    with house.ledger.begin() as session:
        return session.query(Harvest).count()


@pytest.mark.parametrize("day", [SATURDAY, date(2025, 1, 1), TUESDAY])
def test_a_day_that_it_cannot_tell_of_is_refused(front: Source, day: date) -> None:
    with pytest.raises(harvest.HarvestError, match=rf"cannot be asked for {day}[\s\S]*its state of today \({MONDAY}\)"):
        harvest.run(front.house, "entries", day)
    assert harvests(front.house) == 0
    assert front.state(TUESDAY) == {}


def test_a_retry_after_midnight_is_taken_and_noted(front: Source) -> None:
    assert "asked_on" not in front.detail(harvest.run(front.house, "entries", MONDAY))
    assert front.detail(harvest.run(front.house, "entries", SUNDAY))["asked_on"] == "2026-06-15"


def test_the_day_is_beijings(front: Source) -> None:
    # Half past midnight of Tuesday there: Sunday is two days ago.
    house = replace(front.house, clock=lambda: datetime(2026, 6, 16, 0, 30, tzinfo=BEIJING))
    harvest.run(house, "entries", MONDAY)
    with pytest.raises(harvest.HarvestError, match="cannot be asked"):
        harvest.run(house, "entries", SUNDAY)


@pytest.mark.parametrize("mode", ["sandbox", "rehearsal"])
def test_where_any_day_is_played_it_is_noted(front: Source, mode: Mode) -> None:
    outcome = harvest.run(replace(front.house, mode=mode), "entries", SATURDAY)
    assert (outcome["state"], front.detail(outcome)["asked_on"]) == ("published", "2026-06-15")


def test_what_was_fetched_in_time_is_published_later(front: Source) -> None:
    harvest_id = harvest.fetch(front.house, "entries", MONDAY)
    later = replace(front.house, clock=lambda: datetime(2026, 6, 18, 8, tzinfo=BEIJING))
    assert harvest.publish(later, harvest_id)["published"] == 1


def test_a_file_of_a_day_is_of_that_day(house: House, tmp_path: Path) -> None:
    source = Source(house, tmp_path)
    source.house = replace(source.house, mode="production")
    assert "asked_on" not in source.detail(source.run(SATURDAY, [entry(1)]))
    with pytest.raises(SourceUnreachableError):
        harvest.run(source.house, "entries", date(2026, 6, 1))


def test_parts_are_held_to_it_too(house: House, tmp_path: Path) -> None:
    source = Source(house, tmp_path)
    source.house = replace(source.house, mode="production")
    read = "read: {connector: database, connection: front, table: t, where: \"code = '{partition}'\"}"
    text = ENTRIES.replace(DROP, read + '\npartitions: {values: ["1", "2"]}')
    source.contract("entries", text)
    with pytest.raises(harvest.HarvestError, match="cannot be asked"):
        parts.open(source.house, "entries", SATURDAY)


def test_which_sources_are_asked_for_a_day() -> None:
    found = {name: one.dated for name, one in contracts.load_all(ROOT / "include/sources")[0].items()}
    files = {"consents", "credit_agencies", "credit_reports", "dishonest_debtors"}
    assert {name for name, dated in found.items() if dated} == files
