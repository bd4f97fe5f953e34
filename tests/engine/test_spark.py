"""Spark gives what DuckDB gives: hashes, the policy's cases, a whole day, and a day on which much changes.

Strategy: Spark checks and writes; DuckDB judges the same day anew (`replay`) and compares every row with what is in the
lake; and the hash of each row that Spark wrote is worked out again from its file.
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chengxin import check, engine, replay
from chengxin.errors import ConfigError
from chengxin.ledger.models import CheckRun
from chengxin.policy import Policy, cases, load
from chengxin.settings import House
from chengxin.tables import CONCLUSIONS
from tests import test_check
from tests.conftest import NOW, ROOT
from tests.e2e import by_hand
from tests.e2e.days import AS_OF
from tests.factlake import FactLake
from tests.policy import generator
from tests.policy.conftest import FOLDER, given
from tests.test_documents import LETTERS, OTHERS, SAME, folded
from tests.test_row_hash import NULLS, ROW, SCHEMA

pytestmark = pytest.mark.services

MONDAY = test_check.TODAY
TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)


def test_hashes_are_equal(spark: engine.Connection) -> None:
    others: list[dict[str, Any]] = [
        {"l": []}, {"l": None}, {"l": [None]}, {"l": [""]}, {"l": [None, "a"]}, {"s": ""}, {"s": "𠮷野家"}, {"b": None},
        {"f": 1e40}, {"f": -1.5e300}, {"f": float("nan")}, {"f": float("inf")}, {"f": 1e-9}, {"f": 123456789.123456},
        {"d": date(1, 1, 2)},
    ]  # fmt: skip
    table = ibis.memtable(pa.Table.from_pylist([ROW, NULLS, *({**ROW, **other} for other in others)], schema=SCHEMA))
    hashes = table.select(h=engine.row_hash(table, SCHEMA.names))
    mine, theirs = (made.to_pyarrow(hashes)["h"].to_pylist() for made in (engine.connect(), spark))
    assert mine == theirs
    assert len(set(mine)) == len(mine)


def test_document_numbers_are_alike(spark: engine.Connection) -> None:
    numbers = [*SAME, *OTHERS, *(form for forms in LETTERS.values() for form in forms), None]
    assert folded(spark, numbers) == folded(engine.connect(), numbers)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(FOLDER)


def test_the_policys_cases_pass(policy: Policy, spark: engine.Connection) -> None:
    outcome = cases.check_own(policy, spark)
    assert (outcome.cases, outcome.mismatches) == (len(policy.cases), ())
    assert outcome.cases > 100


def test_random_cases_come_out_alike(policy: Policy, spark: engine.Connection) -> None:
    rng = random.Random(5)
    asked = [given(generator.matter_case(rng, number)) for number in range(1000)]
    assert cases.evaluate(asked, policy, spark) == cases.evaluate(asked, policy)


@pytest.fixture(scope="module")
def played(spark: engine.Connection, tmp_path_factory: pytest.TempPathFactory) -> by_hand.ByHand:
    """The demo's day, checked on Spark; harvests and mails are DuckDB's."""
    return by_hand.play(tmp_path_factory.mktemp("a day"), subjects=300, seed=7, checks_on="spark")


def test_a_whole_day_is_the_same(played: by_hand.ByHand) -> None:
    house = played.house
    with house.ledger.begin() as session:
        (run,) = session.query(CheckRun).all()
        assert run.engine.startswith("pyspark 4")
        assert run.counts["changed"]["advice"]["new"] > 100
    assert played.mails
    as_written(house)
    alike(house, AS_OF)


def test_days_of_changes_are_the_same(spark: engine.Connection, tmp_path: Path) -> None:
    house = House(root=ROOT, var=tmp_path / "var", district="370112", clock=lambda: NOW, threads=2)
    lake = test_check.publish(house, test_check.situations())
    assert check.run(house, MONDAY)["seq"] is not None
    on_spark = replace(house, checks_on="spark")

    # Another engine: all are judged, and what DuckDB wrote is compared with.
    change(lake)
    tuesday = check.run(on_spark, TUESDAY)
    assert "engine" in tuesday["scope"]["full"]
    assert all(tuesday["changed"]["advice"][kind] > 0 for kind in ("changed", "gone"))
    alike(house, TUESDAY)

    # The same engine again: only those are judged whom something can have changed for.
    lake.put("credit_record", WEDNESDAY, lake.rows("credit_record", TUESDAY)[3:5], gone=True)
    lake.fresh(WEDNESDAY)
    wednesday = check.run(on_spark, WEDNESDAY)
    assert wednesday["scope"]["full"] is None
    assert 0 < wednesday["scope"]["applicants"] < tuesday["scope"]["applicants"]
    assert wednesday["seq"] is not None
    alike(house, WEDNESDAY)
    as_written(house)


def change(lake: FactLake) -> None:
    """What Tuesday brings: records are repaired, list entries and matters go, subjects are told of anew."""
    records = lake.rows("credit_record", MONDAY)
    lake.put("credit_record", TUESDAY, [row | {"repaired_on": TUESDAY} for row in records[:3]], "credit_records")
    entries = [row for row in lake.rows("list_entry", MONDAY) if row["source"] == "blacklists"]
    lake.put("list_entry", TUESDAY, entries[:2], "blacklists", gone=True)
    lake.put("matter", TUESDAY, lake.rows("matter", MONDAY)[:2], gone=True)
    lake.fresh(TUESDAY)


def test_what_a_killed_check_left_is_removed_and_no_other(spark: engine.Connection, tmp_path: Path) -> None:
    house = House(root=ROOT, var=tmp_path / "var", district="370112", clock=lambda: NOW, threads=2, checks_on="spark")
    spill = tmp_path / "var" / "spill"
    (spill / "spark-dead" / "kept-1").mkdir(parents=True)
    (spill / "spark-dead.lock").touch()
    living = house.check_engine()
    assert not list(spill.glob("spark-dead*"))
    kept = engine.keep(living, "kept", ibis.memtable(pa.table({"n": [1]})))
    other = house.check_engine()
    assert living.to_pyarrow(kept.count()).as_py() == 1
    assert len(list(spill.glob("spark-*/kept-*"))) == 2
    del living, kept, other
    gc.collect()
    assert not list(spill.glob("spark-*/kept-*"))


def test_without_java_it_says_what_to_do(tmp_path: Path) -> None:
    told = {
        **os.environ, "JAVA_HOME": str(tmp_path), "CHENGXIN_ENGINE": "spark", "CHENGXIN_VAR": str(tmp_path / "var"),
        "CHENGXIN_DISTRICT": "370112",
    }  # fmt: skip
    code = "from chengxin.settings import House; House.from_environment().check_engine()"
    ended = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "ConfigError: Spark does not start" in ended.stderr
    assert "Java 17" in ended.stderr


@pytest.mark.parametrize(("size", "mebibytes"), [("4GB", 3814), ("4GiB", 4096), (" 512mib ", 512), ("1.5 GiB", 1536)])
def test_memory_is_said_as_duckdb_says_it(size: str, mebibytes: int) -> None:
    from chengxin.engine.spark import heap

    assert heap(size) == mebibytes


def test_a_memory_that_is_none_is_refused() -> None:
    from chengxin.engine.spark import heap

    with pytest.raises(ConfigError, match="CHENGXIN_MEMORY_LIMIT"):
        heap("plenty")


def alike(house: House, on: date) -> None:
    """DuckDB, on which replays always run, says of that day what Spark said, row by row."""
    replayed = replay.run(house, on)
    assert replayed.identical
    assert all(counts["equal"] > 0 for counts in replayed.rows.values())


def as_written(house: House) -> None:
    """Every file has the lake's exact columns, and every row the hash of what is written in it."""
    connection = house.engine()
    for table in CONCLUSIONS:
        content = [column.name for column in table.columns]
        for file in house.lake.files(table.name):
            assert [field.name for field in pq.read_schema(file)] == [column.name for column in table.all_columns]
        rows = engine.observations(connection, house.lake, table.name)
        rows = rows.filter(~rows.removed).mutate(**check.hashed(table.name, rows.filter(~rows.removed)))
        wrong = rows.filter(engine.row_hash(rows, content) != rows.row_hash)
        assert connection.to_pyarrow(wrong.count()).as_py() == 0
        assert connection.to_pyarrow(rows.count()).as_py() > 0
        # Iceberg's own reader takes the files as they are.
        assert house.lake.table(table.name).scan().to_arrow().schema.names == [each.name for each in table.all_columns]
