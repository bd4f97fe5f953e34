"""DuckDB's queue: what is kept is computed behind, in order, and a failure is not lost. And the newest observations."""

from __future__ import annotations

import random
import threading
from datetime import date, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest

from chengxin import engine
from chengxin.engine import footers
from chengxin.lake import arrow_schema
from chengxin.settings import House
from chengxin.tables import TABLES

DAY = date(2026, 6, 1)
SCHEMA = arrow_schema(TABLES["agency"])
NUMBERS = ibis.memtable({"text": ["1", "2", "3"]})
WRONG = ibis.memtable({"text": ["1", "x"]})


def test_what_is_kept_waits_for_nobody_and_is_there_when_read() -> None:
    connection = engine.connect(threads=1)
    go = threading.Event()
    connection.later(go.wait)
    one = engine.keep(connection, "one", NUMBERS.mutate(number=NUMBERS.text.cast("int64")))
    two = engine.keep(connection, "two", one.agg(total=one.number.sum()))
    # Both tables are worded, and neither is made yet.
    go.set()
    assert two.to_pyarrow().to_pylist() == [{"total": 6}]
    assert one.to_pyarrow().num_rows == 3


def test_a_failure_is_told_at_the_next_use_and_what_rested_on_it_is_forgotten() -> None:
    connection = engine.connect(threads=1)
    broken = engine.keep(connection, "broken", WRONG.mutate(number=WRONG.text.cast("int64")))
    engine.keep(connection, "after", broken.agg(total=broken.number.sum()))
    with pytest.raises(Exception, match="Could not convert string 'x'"):
        connection.raw_sql("SELECT 1")
    assert engine.keep(connection, "whole", NUMBERS).to_pyarrow().num_rows == 3


def test_joins_are_as_written_inside_the_context_alone() -> None:
    connection = engine.connect(threads=1)

    def setting() -> Any:
        return connection.con.execute("SELECT current_setting('disabled_optimizers')").fetchone()[0]

    before = setting()
    with engine.joins_as_written(connection):
        assert setting() == "build_side_probe_side"
    assert setting() == before == ""


def test_rows_with_a_key_of_their_own_are_mostly_left_out_and_no_other() -> None:
    rows = ibis.memtable({"a": ["x", "x", "y", None, None, "z"], "b": ["1", "1", "2", "3", "3", None]})
    found = engine.connect().to_pyarrow(engine.repeated(rows, rows, ["a", "b"])).to_pylist()
    assert sorted(str(row["a"]) for row in found) == ["None", "None", "x", "x"]


@pytest.mark.parametrize("a_day_each", [False, True], ids=["days mixed in a file", "a day a file"])
@pytest.mark.parametrize("seed", range(4))
def test_the_newest_observations_are_those_that_a_loop_finds(house: House, seed: int, a_day_each: bool) -> None:
    rng = random.Random(seed)
    seen: dict[tuple[str, str, date, int], bool] = {}
    for _ in range(400):
        seq, source, key = rng.randrange(1, 7), rng.choice("ab"), f"K{rng.randrange(80)}"
        on = DAY + timedelta(seq * 7 % 5 if a_day_each else rng.randrange(5))
        seen[source, key, on, seq] = rng.random() < 0.2
    for seq in range(1, 7):
        rows = [
            dict.fromkeys(SCHEMA.names)
            | {"source": source, "natural_key": key, "observed_on": day, "seq": seq, "removed": removed}
            for (source, key, day, number), removed in seen.items()
            if number == seq
        ]
        file = house.lake.data_file("agency", seq)
        engine.copy_to(house.engine(), ibis.memtable(pa.Table.from_pylist(rows, schema=SCHEMA)), "agency", file)
        house.lake.commit("agency", [file], seq)
    assert (footers.one_observation(str(file)) is not None) == a_day_each
    day, last, without = DAY + timedelta(3), 5, (rng.randrange(1, 6),)
    expected: dict[tuple[str, str], tuple[date, int]] = {}
    for source, key, on, seq in seen:
        if on <= day and seq <= last and seq not in without:
            expected[source, key] = max(expected.get((source, key), (date.min, 0)), (on, seq))
    rows = engine.newest(house.engine(), house.lake, "agency", day, seq=last, without=without).to_pyarrow().to_pylist()
    found = {(row["source"], row["natural_key"]): (row["observed_on"], row["seq"]) for row in rows}
    assert found == expected
    assert len(rows) == len(found) > 60
