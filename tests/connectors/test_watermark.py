"""What an incremental source is asked for: from the watermark of the last published harvest of an earlier day."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chengxin import connectors
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.connectors import watermark
from chengxin.connectors.watermark import advance, back
from chengxin.contracts import Contract
from chengxin.errors import ConfigError, DriftError
from chengxin.ledger.models import Harvest
from chengxin.settings import House

from .tools import (
    AS_OF,
    INCREMENTAL,
    Killed,
    Source,
    contract,
    cursor,
    http_contract,
    new_harvest,
    over,
    raw_objects,
    records,
)

NOON = datetime(2026, 6, 15, 12, tzinfo=BEIJING)


# The mark -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        (["2026-06-14 10:00:00", "2026-06-15 09:00:00", None, ""], "2026-06-15 09:00:00"),
        (["20260614", "20260613"], "20260614"),
        (["2026/06/14", "2026/06/13"], "2026/06/14"),
        (["20260614100000", "20260614095959"], "20260614100000"),
        (["2026-06-14T10:00:00+08:00", "2026-06-14T03:00:00Z"], "2026-06-14T03:00:00Z"),
        (["2026-06-14 10:00:00.25", "2026-06-14 10:00:00.3"], "2026-06-14 10:00:00.3"),
        ([7, 3, 5], 7),
        ([int(NOON.timestamp() * 1000), 0], int(NOON.timestamp() * 1000)),
        ([date(2026, 6, 14)], "2026-06-14"),
        ([datetime.fromisoformat("2026-06-14 10:00:00")], "2026-06-14 10:00:00"),
        (["暂无", None, "2026-6-5", {"a": 1}, True], None),
        ([], None),
    ],
)
def test_the_greatest_value_that_can_be_one(values: list[Any], mark: Any) -> None:
    assert advance(None, values, AS_OF) == mark


@pytest.mark.parametrize("wrong", ["2999-12-31 00:00:00", "2026-06-17 00:00:00", "暂无", "9999-09-09 00:00:00"])
def test_a_value_from_the_future_does_not_move_it(wrong: str) -> None:
    assert advance("2026-06-10 00:00:00", [wrong, "2026-06-14 10:00:00"], AS_OF) == "2026-06-14 10:00:00"
    assert advance(None, [int(NOON.timestamp() * 1000) * 2], AS_OF) is None


def test_it_never_goes_back() -> None:
    assert advance("2026-06-14 10:00:00", ["2026-06-01 00:00:00"], AS_OF) == "2026-06-14 10:00:00"
    assert advance(9, [3], AS_OF) == 9


@pytest.mark.parametrize(
    ("mark", "less"),
    [
        ("2026-06-15 01:30:00", "2026-06-14 23:30:00"),
        ("2026-06-15T01:30:00.250Z", "2026-06-14T23:30:00.250Z"),
        ("2026-06-15 01:30:00.5+08:00", "2026-06-14 23:30:00.5+08:00"),
        ("20260615", "20260614"),
        (1_750_000_000_000, 1_750_000_000_000 - 7_200_000),
        (1_750_000_000, 1_750_000_000 - 7_200),
        ("1750000000", "1749992800"),
    ],
)
def test_an_overlap_is_written_as_the_mark_is(mark: Any, less: Any) -> None:
    assert back(mark, timedelta(hours=2), "x") == less
    assert back(mark, timedelta(0), "x") == mark


@pytest.mark.parametrize("mark", [4711, "4711", "第五批"])
def test_what_is_no_time_has_no_overlap(mark: Any) -> None:
    with pytest.raises(ConfigError, match="no time"):
        back(mark, timedelta(hours=1), "entries")


def test_a_harvest_begins_where_the_day_before_ended(house: House) -> None:
    def harvested(day: date, mark: Any, state: str = "published") -> None:
        with house.ledger.begin() as session:
            row = Harvest(source="s", as_of=day, state=state, contract_sha256="0" * 64, started_at=house.clock())
            row.cursor = {"watermark": mark}
            session.add(row)

    assert watermark.previous(house, "s", AS_OF) is None
    harvested(AS_OF - timedelta(3), "a")
    harvested(AS_OF - timedelta(2), "b")
    harvested(AS_OF - timedelta(2), None)
    harvested(AS_OF - timedelta(1), "c", "stopped")
    harvested(AS_OF, "d")
    assert watermark.previous(house, "s", AS_OF) == "b"
    assert watermark.previous(house, "s", AS_OF + timedelta(1)) == "d"
    assert watermark.previous(house, "other", AS_OF) is None


# HTTP ---------------------------------------------------------------------------------------------------------------


def published(house: House, harvest_id: int, day: date = AS_OF) -> None:
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        harvest.state, harvest.as_of = "published", day


def changed(count: int, hour: int) -> list[dict[str, Any]]:
    return [{**one, "gxsj": f"2026-06-14 {hour:02}:00:{n:02}"} for n, one in enumerate(records(count))]


HOW = {"heading": "gxsj", "param": "since", "overlap": "2h", "initial": "2020-01-01 00:00:00"}


def test_http_asks_for_what_changed_since(house: House, source: Source) -> None:
    source.records = changed(25, 10)
    one = http_contract(watermark=HOW)
    house = over(house, source.connection)
    first = new_harvest(house)
    connectors.fetch(house, one, AS_OF, first)
    assert {request.query["since"] for request in source.requests} == {"2020-01-01 00:00:00"}
    assert cursor(house, first)["watermark"] == "2026-06-14 10:00:24"
    published(house, first)
    source.requests.clear()
    source.records = []
    second, again = new_harvest(house), new_harvest(house)
    connectors.fetch(house, one, AS_OF + timedelta(1), second)
    # Nothing changed, and the mark stands; run again, the day asks for the same.
    assert cursor(house, second)["watermark"] == "2026-06-14 10:00:24"
    published(house, second, AS_OF + timedelta(1))
    connectors.fetch(house, one, AS_OF + timedelta(1), again)
    assert [request.query["since"] for request in source.requests] == ["2026-06-14 08:00:24"] * 2


def test_a_killed_fetch_goes_on_from_the_same_mark(
    house: House, source: Source, kill_after: Callable[[int], None]
) -> None:
    source.records = changed(25, 10)
    one = http_contract(watermark=HOW)
    house = over(house, source.connection)
    harvest_id = new_harvest(house)
    kill_after(1)
    with pytest.raises(Killed):
        connectors.fetch(house, one, AS_OF, harvest_id)
    connectors.fetch(house, one, AS_OF, harvest_id)
    assert source.pages == [1, 3, 2, 1, 2, 1]
    assert {request.query["since"] for request in source.requests} == {"2020-01-01 00:00:00"}
    assert cursor(house, harvest_id)["watermark"] == "2026-06-14 10:00:24"


# A database ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def front(tmp_path: Path) -> Path:
    path = tmp_path / "front.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (code TEXT, name TEXT, gxsj TEXT)")
        rows = [(one["code"], one["name"], one["gxsj"]) for one in changed(20, 10)]
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", [*rows, ("X", "从未更新", None)])
    return path


def from_table(**more: Any) -> Contract:
    read = {"connector": "database", "connection": "front_db", "table": "t", "batch": 8, **more}
    return contract(read, **INCREMENTAL)


def lines(house: House, harvest_id: int) -> int:
    from chengxin import archive

    return sum(archive.get(house, "subject_registry", r.sha256).count(b"\n") for r in raw_objects(house, harvest_id))


def test_a_database_gives_the_rows_at_or_above_the_mark(house: House, front: Path) -> None:
    house = over(house, Connection("front_db", "sqlite", host=str(front)))
    one = from_table(watermark={"heading": "gxsj", "overlap": "1h"})
    first = new_harvest(house)
    connectors.fetch(house, one, AS_OF, first)
    assert lines(house, first) == 21
    published(house, first)
    with sqlite3.connect(front) as database:
        database.execute("UPDATE t SET name = '改名', gxsj = '2026-06-15 09:00:00' WHERE code LIKE '%07'")
        # Written late, with a time before the mark: the overlap is for it.
        database.execute("INSERT INTO t VALUES ('Y', '迟到', '2026-06-14 09:30:00')")
        database.execute("INSERT INTO t VALUES ('Z', '太迟', '2026-06-14 08:30:00')")
    second = new_harvest(house)
    connectors.fetch(house, one, AS_OF + timedelta(1), second)
    # All of the mark's hour (19), the renamed, the late one, and the one without a time.
    assert lines(house, second) == 22
    assert cursor(house, second)["watermark"] == "2026-06-15 09:00:00"
    published(house, second, AS_OF + timedelta(1))
    third = new_harvest(house)
    connectors.fetch(house, one, AS_OF + timedelta(2), third)
    assert lines(house, third) == 2


@pytest.mark.parametrize("none", ["", "0000-00-00 00:00:00", None])
def test_rows_without_a_time_are_read_each_time(house: House, front: Path, none: str | None) -> None:
    """An empty text and a zero date are no time either: nobody would see the row again."""
    house = over(house, Connection("front_db", "sqlite", host=str(front)))
    one = from_table(watermark={"heading": "gxsj"})
    with sqlite3.connect(front) as database:
        database.execute("UPDATE t SET gxsj = ? WHERE code = 'X'", [none])
    first, second = new_harvest(house), new_harvest(house)
    connectors.fetch(house, one, AS_OF, first)
    published(house, first)
    connectors.fetch(house, one, AS_OF + timedelta(1), second)
    # The one at the mark, and the one without a time.
    assert lines(house, second) == 2


def test_a_counter_is_compared_with_numbers_alone(house: House, front: Path) -> None:
    house = over(house, Connection("front_db", "sqlite", host=str(front)))
    with sqlite3.connect(front) as database:
        database.execute("CREATE TABLE numbered AS SELECT code, name, 100 + rowid AS gxsj FROM t")
    one = from_table(table="numbered", watermark={"heading": "gxsj"})
    first, second = new_harvest(house), new_harvest(house)
    connectors.fetch(house, one, AS_OF, first)
    published(house, first)
    connectors.fetch(house, one, AS_OF + timedelta(1), second)
    assert lines(house, second) == 1


def test_a_database_resumes_within_the_mark(house: House, front: Path, kill_after: Callable[[int], None]) -> None:
    house = over(house, Connection("front_db", "sqlite", host=str(front)))
    one = from_table(watermark={"heading": "gxsj", "initial": "2026-06-14 10:00:05"})
    harvest_id = new_harvest(house)
    kill_after(1)
    with pytest.raises(Killed):
        connectors.fetch(house, one, AS_OF, harvest_id)
    connectors.fetch(house, one, AS_OF, harvest_id)
    assert lines(house, harvest_id) == 16
    assert cursor(house, harvest_id)["watermark"] == "2026-06-14 10:00:19"


def test_a_column_of_the_mark_that_is_not_there_is_drift(house: House, front: Path) -> None:
    house = over(house, Connection("front_db", "sqlite", host=str(front)))
    one = from_table(watermark={"heading": "gxsj"})
    with sqlite3.connect(front) as database:
        database.execute("ALTER TABLE t RENAME COLUMN gxsj TO gxsj2")
    with pytest.raises(DriftError, match="no column gxsj to tell changes by"):
        connectors.fetch(house, one, AS_OF, new_harvest(house))


def test_contracts_say_what_does_not_fit() -> None:
    mark = {"heading": "gxsj"}
    with pytest.raises(ValueError, match="mode must be incremental"):
        contract({"connector": "database", "connection": "c", "table": "t", "watermark": mark})
    with pytest.raises(ValueError, match="neither mapped nor ignored"):
        from_table(watermark={"heading": "nosuch"})
    with pytest.raises(ValueError, match="param"):
        http_contract(watermark=mark)
