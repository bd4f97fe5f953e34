"""The sum of each harvest, as a row of the lake, against the facts that the same run left there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chengxin import harvest, harvest_ledger, maintain, sums, upkeep
from chengxin.errors import BoundError
from chengxin.lake import arrow_schema
from chengxin.ledger.models import Commit, Harvest, RawObject
from chengxin.settings import House
from chengxin.tables import HARVEST_SUM
from tests.dropped import MONDAY, SUNDAY, TUESDAY, Source, entry, matter, who


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    return Source(house, tmp_path)


def told(house: House) -> list[dict[str, Any]]:
    """Every sum in the lake, in the order of the commits."""
    return sorted(house.lake.rows(sums.NAME), key=lambda row: row["seq"])


def last(source: Source) -> dict[str, Any]:
    return told(source.house)[-1]


def records(house: House, seq: int, day: date, *tables: str) -> set[tuple[str, int]]:
    """The source records of which a commit wrote a row for a day."""
    return {
        (row["raw_sha256"], row["raw_row"])
        for table in tables
        for row in house.lake.rows(table)
        if (row["seq"], row["observed_on"], row["removed"]) == (seq, day, False)
    }


def adds_up(row: Mapping[str, Any]) -> bool:
    parts = ("published", "unchanged", "rejected", "ignored")
    return bool(row["harvested"] == sum(row[name] for name in parts))


def test_a_sum_counts_what_its_run_wrote(source: Source) -> None:
    rows = [entry(n) for n in range(8)]
    source.run(MONDAY, [*rows, entry(0), entry(9, since="昨天"), entry(10, why="自然人")])
    monday = last(source)
    counted = ("harvested", "published", "unchanged", "rejected", "ignored", "tombstones")
    assert [monday[name] for name in counted] == [11, 8, 0, 1, 2, 0]
    rows[0]["why"] = "补报"
    # Two gone, one new, one changed, one still broken as before.
    outcome = source.run(TUESDAY, [*rows[:6], entry(11), entry(9, since="昨天"), entry(1)])
    tuesday, day = last(source), TUESDAY
    assert [tuesday[name] for name in counted] == [9, 2, 5, 1, 1, 2]
    assert (tuesday["new_rows"], tuesday["changed_rows"], tuesday["restored_rows"]) == (1, 1, 0)
    assert len(records(source.house, tuesday["seq"], day, "list_entry")) == tuesday["published"]
    gone = [row for row in source.house.lake.rows("list_entry") if row["seq"] == tuesday["seq"] and row["removed"]]
    assert len(gone) == tuesday["tombstones"]
    known = source.state(TUESDAY).values()
    assert len([row for row in known if row["seq"] < tuesday["seq"]]) == tuesday["unchanged"]
    assert len(source.state(TUESDAY, "rejected")) == tuesday["rejected"]
    assert json.loads(tuesday["rejected_by"]) == {"date.readable": 1}
    assert json.loads(tuesday["ignored_by"]) == {"duplicate": 1}
    assert json.loads(monday["ignored_by"]) == {"duplicate": 1, "exclude:why=自然人": 1}
    assert all(map(adds_up, told(source.house)))
    assert {name: tuesday[column] for column, name in sums.COUNTS.items()} == {
        name: outcome[name] for name in harvest_ledger.COUNTS
    }


def test_a_record_with_a_list_is_one_record(source: Source) -> None:
    source.run(MONDAY, [matter(1, who(1), who(2)), matter(2, who(3))], "matters_in")
    source.run(TUESDAY, [matter(1, who(1), who(4)), matter(2, who(3))], "matters_in")
    row = last(source)
    assert (row["published"], row["unchanged"], row["new_rows"], row["changed_rows"]) == (1, 1, 1, 0)
    # The second applicant is another one now, by its number: one key gone, one new.
    assert row["tombstones"] == 1
    assert len(records(source.house, row["seq"], TUESDAY, "matter", "applicant")) == 1


def test_every_run_has_its_row_and_a_run_is_not_told_twice(source: Source) -> None:
    first = source.run(MONDAY, [entry(n) for n in range(5)])
    again = harvest.run(source.house, "entries", MONDAY)
    harvest.publish(source.house, again["harvest_id"])
    rows = told(source.house)
    assert [row["harvest_id"] for row in rows] == [first["harvest_id"], again["harvest_id"]]
    assert [(row["published"], row["unchanged"]) for row in rows] == [(5, 0), (0, 5)]
    assert again["seq"] is None, "no fact changed"
    with source.house.ledger.begin() as session:
        assert session.query(Commit).filter(Commit.closed_at.is_(None)).count() == 0
    # A day's state is its last run; what was known before the second is the first.
    (state,) = source.state(MONDAY, sums.NAME).values()
    assert state["harvest_id"] == again["harvest_id"]


def test_a_late_day_says_what_it_restored(source: Source) -> None:
    source.run(SUNDAY, [entry(0), entry(1)])
    source.run(TUESDAY, [entry(0), entry(1)])
    source.run(MONDAY, [entry(0, why="周一"), entry(1)])
    row = last(source)
    assert (row["published"], row["changed_rows"], row["restored_rows"]) == (1, 1, 1)
    assert len(records(source.house, row["seq"], MONDAY, "list_entry")) == 1
    assert len(records(source.house, row["seq"], TUESDAY, "list_entry")) == 1


def test_a_stopped_harvest_has_no_row(source: Source) -> None:
    source.run(MONDAY, [entry(n) for n in range(10)])
    with pytest.raises(BoundError):
        source.run(TUESDAY, [entry(n, why="新") for n in range(4)])
    assert [row["observed_on"] for row in told(source.house)] == [MONDAY]
    assert sums.faults(source.house) == []


def test_it_names_the_raw_files(source: Source) -> None:
    outcome = source.run(MONDAY, [entry(0)])
    with source.house.ledger.begin() as session:
        raw = session.query(RawObject).filter_by(harvest_id=outcome["harvest_id"]).all()
    row = last(source)
    assert (row["raw_files"], row["raw_bytes"]) == (1, raw[0].size)
    assert row["raw_digest"] == hashlib.sha256(f"{raw[0].sha256}\n".encode()).hexdigest()
    assert sums.raw_digest(["b", "a"]) == sums.raw_digest(["a", "b"]) != sums.raw_digest(["a"])
    assert row["contract_sha256"] == source.row(outcome["harvest_id"]).contract_sha256


@pytest.mark.long
def test_many_small_rows_are_merged_and_stay(source: Source) -> None:
    for n in range(9):
        source.run(MONDAY + timedelta(n), [entry(0, why=f"第{n}日")])
    before = told(source.house)
    assert len(before) == 9
    assert upkeep.tidy(source.house)[sums.NAME]["merged"] == 8
    upkeep.sweep(source.house, sums.NAME, grace=timedelta(0))
    assert told(source.house) == before
    assert sums.faults(source.house) == []
    source.run(MONDAY + timedelta(9), [entry(0)])
    assert len(told(source.house)) == 10


def test_verify_compares_the_lake_with_the_ledger(source: Source) -> None:
    first = source.run(MONDAY, [entry(n) for n in range(5)])["harvest_id"]
    source.run(TUESDAY, [entry(n) for n in range(6)])
    assert sums.faults(source.house) == []
    assert maintain.verify_chain(source.house)["acts"] == 0
    with source.house.ledger.begin() as session:
        session.get_one(Harvest, first).unchanged = 1
    assert sums.faults(source.house) == [f"harvest {first} of entries: unchanged is 0 in the lake and 1 in the ledger"]
    with pytest.raises(maintain.ChainBrokenError, match=f"harvest {first} of entries"):
        maintain.verify_chain(source.house)


def test_a_row_that_does_not_add_up_is_found(source: Source) -> None:
    outcome = source.run(MONDAY, [entry(n) for n in range(5)])
    _replaced(source.house, lambda row: row | {"harvested": 6})
    number = outcome["harvest_id"]
    assert sums.faults(source.house) == [
        f"harvest {number} of entries: 6 records harvested, 5 accounted for in the lake",
        f"harvest {number} of entries: harvested is 6 in the lake and 5 in the ledger",
    ]


def test_a_row_too_few_or_too_many_is_found(source: Source) -> None:
    number = source.run(MONDAY, [entry(0)])["harvest_id"]
    _replaced(source.house, lambda row: row | {"harvest_id": 99})
    assert sums.faults(source.house) == [
        f"harvest {number} of entries has 0 sums in the lake",
        "harvest 99 has a sum in the lake, and was not published",
    ]


def _replaced(house: House, change: Any) -> None:
    """Somebody writes the lake's rows anew."""
    rows = [change(row) for row in house.lake.rows(sums.NAME)]
    (file,) = house.lake.files(sums.NAME)
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(HARVEST_SUM)), file)
