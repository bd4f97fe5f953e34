"""Sources that answer and say nothing: a harvest that brought nothing makes no source younger."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chengxin import contracts, districts, freshness, harvest, harvest_ledger, history, sums, sweep
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.freshness import Age
from chengxin.ledger.models import Harvest
from chengxin.settings import House
from chengxin.warn import guard
from tests.conftest import ROOT
from tests.dropped import ENTRIES, MONDAY, SUNDAY, TUESDAY, WEDNESDAY, Source, entry

NEWEST = ENTRIES.replace("entries_{as_of}.json", "entries*.json")
THURSDAY = WEDNESDAY + timedelta(1)


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    """A whole list of which the newest file counts; it may be two days old."""
    source = Source(house, tmp_path)
    source.contract("entries", NEWEST)
    return source


def put(source: Source, name: str, rows: list[dict[str, Any]], minutes: int = 0) -> None:
    """A file as the sender puts it, so many minutes after the first."""
    path = source.drop / name
    path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    os.utime(path, (1_700_000_000 + 60 * minutes,) * 2)


def age(source: Source, day: date, name: str = "entries") -> Age:
    return freshness.ages(source.house, day, [name])[name]


# A list of which the newest file counts ------------------------------------------------------------------------------


def test_the_same_newest_file_has_not_come(source: Source) -> None:
    put(source, "entries.json", [entry(1), entry(2)])
    first = harvest.run(source.house, "entries", MONDAY)
    assert (first["harvested"], first["published"]) == (2, 2)
    before = source.state(MONDAY)
    for days in (1, 2, 3):
        day = MONDAY + timedelta(days)
        again = harvest.run(source.house, "entries", day)
        assert again["state"] == "published"
        assert {again[part] for part in harvest_ledger.COUNTS} == {0}
        assert source.row(again["harvest_id"]).quiet
        assert source.state(day) == before, "nothing is read, every row stands"
    assert [age(source, MONDAY + timedelta(days)) for days in range(4)] == [
        Age("entries", MONDAY, 0, "fresh", 2),
        Age("entries", MONDAY, 1, "fresh", 2, 1),
        Age("entries", MONDAY, 2, "fresh", 2, 2),
        Age("entries", MONDAY, 3, "stale", 2, 3),
    ]
    assert sums.faults(source.house) == []
    put(source, "entries.json", [entry(1), entry(2, why="地址失联")], minutes=9)
    assert harvest.run(source.house, "entries", MONDAY + timedelta(4))["published"] == 1
    assert age(source, MONDAY + timedelta(4)) == Age("entries", MONDAY + timedelta(4), 0, "fresh", 2)


@pytest.mark.parametrize(("name", "minutes"), [("entries-2.json", 9), ("entries.json", 9)])
def test_a_list_put_there_anew_is_heard_and_not_read_twice(source: Source, name: str, minutes: int) -> None:
    put(source, "entries.json", [entry(1), entry(2)])
    harvest.run(source.house, "entries", MONDAY)
    put(source, name, [entry(1), entry(2)], minutes)
    again = harvest.run(source.house, "entries", TUESDAY)
    assert (again["harvested"], len(source.state(TUESDAY))) == (0, 2)
    assert age(source, TUESDAY) == Age("entries", TUESDAY, 0, "fresh", 2)
    assert source.row(harvest.run(source.house, "entries", WEDNESDAY)["harvest_id"]).quiet


def test_an_older_list_that_becomes_the_newest_again_is_read(source: Source) -> None:
    put(source, "entries.json", [entry(1), entry(2)])
    harvest.run(source.house, "entries", MONDAY)
    put(source, "entries-2.json", [entry(1)], minutes=9)
    assert harvest.run(source.house, "entries", TUESDAY)["removed"] == 1
    (source.drop / "entries-2.json").unlink()
    back = harvest.run(source.house, "entries", WEDNESDAY)
    assert (back["harvested"], len(source.state(WEDNESDAY))) == (2, 2)


def test_a_day_run_again_and_a_changed_contract_read_it_in_full(source: Source) -> None:
    put(source, "entries.json", [entry(1), entry(2)])
    for _ in range(2):
        assert harvest.run(source.house, "entries", MONDAY)["harvested"] == 2
    harvest.run(source.house, "entries", TUESDAY)
    again = harvest.run(source.house, "entries", TUESDAY)
    assert (again["harvested"], again["unchanged"]) == (2, 2)
    source.contract("entries", NEWEST.replace("nulls: [暂无]", "nulls: [暂无, 未报年报]"))
    mended = harvest.run(source.house, "entries", WEDNESDAY)
    assert (mended["harvested"], mended["published"]) == (2, 2)
    for day, days in ((TUESDAY, 1), (WEDNESDAY, 2)):
        assert age(source, day).observed_on == MONDAY, "read again, and still not heard"
        assert age(source, day).silent_days == days


def test_what_was_stopped_has_not_been_read(source: Source) -> None:
    source.contract("entries", NEWEST.replace("min: 1,", "min: 3,"))
    put(source, "entries.json", [entry(1), entry(2)])
    for day in (MONDAY, TUESDAY):
        with pytest.raises(Exception, match="at least 3 were expected"):
            harvest.run(source.house, "entries", day)
    assert age(source, TUESDAY).state == "missing"


def test_a_day_that_comes_late_does_not_make_a_later_one_older(source: Source) -> None:
    put(source, "entries.json", [entry(1)])
    harvest.run(source.house, "entries", SUNDAY)
    harvest.run(source.house, "entries", WEDNESDAY)
    assert age(source, WEDNESDAY).observed_on == SUNDAY
    put(source, "entries.json", [entry(1), entry(2)], minutes=9)
    harvest.run(source.house, "entries", TUESDAY)
    assert age(source, WEDNESDAY) == Age("entries", TUESDAY, 1, "fresh", 2, 1)
    assert age(source, SUNDAY) == Age("entries", SUNDAY, 0, "fresh", 2)


def test_a_list_may_be_given_time(source: Source) -> None:
    """A list that comes once a week: seven days of silence are believed."""
    source.contract("entries", NEWEST.replace("max_age: 2d", "max_age: 2d\nquiet: 7d"))
    put(source, "entries.json", [entry(1)])
    harvest.run(source.house, "entries", MONDAY)
    found = []
    for days in (7, 8, 9, 10):
        day = MONDAY + timedelta(days)
        harvest.run(source.house, "entries", day)
        one = age(source, day)
        found.append((one.age_days, one.state, one.silent_days))
    assert found == [(0, "fresh", 0), (8, "fresh", 8), (9, "fresh", 9), (10, "stale", 10)]


def test_bounds_are_not_suggested_from_days_on_which_nothing_was_read(source: Source) -> None:
    with source.house.ledger.begin() as session:
        for days in range(40):
            read = days % 2 == 0
            row = Harvest(source="entries", as_of=SUNDAY - timedelta(days), state="published", contract_sha256="0" * 64)
            row.started_at, row.harvested, row.detail = (
                source.house.clock(),
                10 * read,
                {} if read else {"stands": True},
            )
            session.add(row)
    found = history.suggest(source.house, "entries")
    assert found.harvests == 20
    assert {advice.key: advice.suggested for advice in found.advice}["rows.min"] == 8


# A source of changes -------------------------------------------------------------------------------------------------


def test_a_folder_without_a_new_file_is_silent(source: Source) -> None:
    new = NEWEST.replace("mode: full", "mode: incremental").replace("format: json", "format: json, take: new")
    source.contract("entries", new.replace("min: 1,", "min: 0,"))
    put(source, "entries-1.json", [entry(1)])
    harvest.run(source.house, "entries", MONDAY)
    for days in (10, 13):
        day = MONDAY + timedelta(days)
        assert source.row(harvest.run(source.house, "entries", day)["harvest_id"]).quiet
    found = [age(source, MONDAY + timedelta(days)) for days in (10, 11, 12, 13)]
    assert [(one.age_days, one.state, one.silent_days) for one in found] == [
        (0, "fresh", 0),
        (11, "fresh", 11),
        (12, "fresh", 12),
        (13, "stale", 13),
    ]


@pytest.fixture
def front(house: House, tmp_path: Path) -> Source:
    """A table of changes, in a front database."""
    path = tmp_path / "front.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (code TEXT, who TEXT, since TEXT, until TEXT, why TEXT, no TEXT, batch TEXT)")
    source = Source(house, tmp_path)
    read = "{connector: database, connection: front, table: t, watermark: {heading: batch, overlap: 1h}}"
    drop = '{connector: files, connection: drop, pattern: "entries_{as_of}.json", format: json}'
    contract = ENTRIES.replace(drop, read).replace("mode: full", "mode: incremental").replace("min: 1,", "min: 0,")
    source.contract("entries", contract.replace("max_age: 2d", "max_age: 2d\nquiet: 3d"))
    connection = Connection("front", "sqlite", host=str(path))
    source.house = replace(source.house, connections=lambda _: connection)
    return source


def write(source: Source, number: int, at: str, **changes: Any) -> None:
    row = entry(number, **changes) | {"batch": at}
    with sqlite3.connect(source.house.connections("front").host) as database:
        database.execute("DELETE FROM t WHERE no = ?", [row["no"]])
        database.execute("INSERT INTO t VALUES (:code, :who, :since, :until, :why, :no, :batch)", row)


def test_a_table_without_a_new_row_is_silent(front: Source) -> None:
    write(front, 1, f"{MONDAY} 01:00:00")
    harvest.run(front.house, "entries", MONDAY)
    # The overlap is read again each day, and says nothing.
    assert harvest.run(front.house, "entries", TUESDAY)["unchanged"] == 1
    assert age(front, TUESDAY) == Age("entries", TUESDAY, 0, "fresh", 2)
    days = [MONDAY + timedelta(days) for days in (3, 4, 5, 6)]
    for day in days:
        harvest.run(front.house, "entries", day)
    assert [(one.age_days, one.state) for one in (age(front, day) for day in days)] == [
        (0, "fresh"),
        (4, "fresh"),
        (5, "fresh"),
        (6, "stale"),
    ]
    # A row that came late, under a time within the overlap, is news.
    write(front, 2, f"{MONDAY} 00:30:00")
    harvest.run(front.house, "entries", MONDAY + timedelta(7))
    assert age(front, MONDAY + timedelta(7)).age_days == 0
    # So is a mark that moved, though the row itself says what it said.
    write(front, 1, f"{MONDAY + timedelta(8)} 01:00:00")
    assert harvest.run(front.house, "entries", MONDAY + timedelta(8))["published"] == 0
    assert not front.last().quiet


def test_a_silent_source_that_is_no_longer_reached_is_stale_by_that(front: Source) -> None:
    write(front, 1, f"{MONDAY} 01:00:00")
    for day in (MONDAY, TUESDAY):
        harvest.run(front.house, "entries", day)
    assert age(front, MONDAY + timedelta(3)) == Age("entries", TUESDAY, 2, "fresh", 2)
    assert age(front, MONDAY + timedelta(4)) == Age("entries", MONDAY, 4, "stale", 2, 4)


# Who is told ---------------------------------------------------------------------------------------------------------


def test_the_watch_tells_late_then_stale_and_the_mails_the_true_age(source: Source) -> None:
    put(source, "entries.json", [entry(1)])
    district = (ROOT / "include/districts/370112.yml").read_text("utf-8")
    (source.include / "districts").mkdir()
    head, _, rest = district.partition("sources:")
    rest = rest.partition("\n\n")[2] if "\n\n" in rest else ""
    (source.include / "districts/370112.yml").write_text(f"{head}sources: [entries]\n\n{rest}", "utf-8")
    told = []
    for days in range(5):
        day = MONDAY + timedelta(days)
        house = replace(source.house, clock=lambda day=day: datetime(day.year, day.month, day.day, 12, tzinfo=BEIJING))
        if days == 4:
            put(source, "entries.json", [entry(1), entry(2)], minutes=9)
        harvest.run(house, "entries", day)
        changed = sweep.run(house)["changed"].get("entries", "")
        told.append(changed.rpartition("→")[2])
        if changed.endswith("→stale"):
            with pytest.raises(sweep.StaleSourceError, match="entries"):
                sweep.alarm({"entries": changed})
        if days == 3:
            ground = guard.ground(house, districts.load(source.include / "districts/370112.yml"), day)
            assert [(one.age_days, one.state) for one in ground.sources] == [(3, "stale")]
    assert told == ["fresh", "late", "", "stale", "recovered"]


def test_contracts_without_quiet_keep_their_hash(source: Source) -> None:
    plain = contracts.load(source.include / "sources/entries.yml")
    assert plain.silence == timedelta(0)
    assert plain.model_copy(update={"mode": "incremental"}).silence == contracts.QUIET
    with_quiet = plain.model_copy(update={"quiet": timedelta(3)})
    assert with_quiet.silence == timedelta(3)
    assert with_quiet.sha256 != plain.sha256
