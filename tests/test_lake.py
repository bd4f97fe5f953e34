"""The lake: commits that repeat safely, races between sources, the state of a day."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest

from chengxin import engine, upkeep
from chengxin.lake import HALF, Lake, arrow_schema
from chengxin.settings import House
from chengxin.tables import TABLES

SCHEMA = arrow_schema(TABLES["agency"])


def _row(key: str, day: date, seq: int, *, name: str = "", source: str = "a", removed: bool = False) -> dict[str, Any]:
    row = dict.fromkeys(SCHEMA.names)
    return row | {
        "uscc": key,
        "name": name,
        "natural_key": key,
        "observed_on": day,
        "seq": seq,
        "source": source,
        "removed": removed,
    }


def _append(house: House, rows: list[dict[str, Any]], seq: int) -> int:
    connection = house.engine()
    file = house.lake.data_file("agency", seq)
    engine.copy_to(connection, ibis.memtable(pa.Table.from_pylist(rows, schema=SCHEMA)), "agency", file)
    return house.lake.commit("agency", [file], seq)


def _state(house: House, day: date, **limits: Any) -> dict[str, str]:
    rows = engine.as_of(house.engine(), house.lake, "agency", day, **limits).execute()
    return dict(zip(rows.natural_key, rows.name, strict=True))


def test_an_empty_table_reads_as_empty(house: House) -> None:
    assert _state(house, date(2026, 1, 1)) == {}


def test_a_commit_done_twice_adds_nothing(house: House) -> None:
    rows = [_row("X", date(2026, 1, 1), 7)]
    assert _append(house, rows, 7) == _append(house, rows, 7)
    assert len(house.lake.rows("agency")) == 1


def test_a_file_without_commit_is_an_orphan_and_invisible(house: House) -> None:
    file = house.lake.data_file("agency", 1)
    rows = ibis.memtable(pa.Table.from_pylist([_row("X", date(2026, 1, 1), 1)], schema=SCHEMA))
    engine.copy_to(house.engine(), rows, "agency", file)
    assert house.lake.orphans("agency") == [file]
    assert _state(house, date(2026, 1, 1)) == {}


def test_a_file_killed_while_it_is_written_never_has_a_data_files_name(house: House) -> None:
    file = house.lake.data_file("agency", 1)
    endless = "SELECT range AS a, sha256(range::VARCHAR) AS b FROM range(1000000000)"
    script = (
        "import sys, pathlib; from chengxin import engine; "
        f"engine.duckdb.copy_query(engine.connect(), {endless!r}, pathlib.Path(sys.argv[1]), threads=1)"
    )
    half = file.with_name(file.name + HALF)
    with subprocess.Popen([sys.executable, "-c", script, str(file)]) as writing:
        while not (half.exists() and half.stat().st_size):
            assert writing.poll() is None
            time.sleep(0.05)
        writing.kill()
    assert house.lake.orphans("agency") == []
    assert upkeep.sweep(house, "agency") == 0, "somebody may be at work on it"
    assert upkeep.sweep(house, "agency", grace=timedelta(0)) == 1
    assert not half.exists()


def test_a_file_that_cannot_be_written_leaves_nothing(house: House) -> None:
    file = house.lake.data_file("agency", 1)
    with pytest.raises(duckdb.Error):
        engine.duckdb.copy_query(house.engine(), "SELECT CAST('x' AS INTEGER)", file)
    assert list(file.parent.iterdir()) == []


def test_the_state_of_a_day(house: House) -> None:
    one, two, three = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)
    _append(house, [_row("X", one, 1, name="old"), _row("Y", one, 1, name="y")], 1)
    _append(house, [_row("X", two, 2, name="new")], 2)
    _append(house, [_row("Y", three, 3, removed=True)], 3)
    assert _state(house, date(2025, 12, 31)) == {}
    assert _state(house, one) == {"X": "old", "Y": "y"}
    assert _state(house, two) == {"X": "new", "Y": "y"}
    assert _state(house, three) == {"X": "new"}
    # A replay that may read up to seq 1 knows nothing of what came later, on any day.
    assert _state(house, three, seq=1) == {"X": "old", "Y": "y"}


def test_a_key_is_known_per_source(house: House) -> None:
    day = date(2026, 1, 1)
    _append(house, [_row("X", day, 1, name="a"), _row("X", day, 1, name="b", source="b")], 1)
    assert len(engine.as_of(house.engine(), house.lake, "agency", day).execute()) == 2
    assert _state(house, day, source="b") == {"X": "b"}


def _commit_in_another_process(folder: str, uri: str, seq: int) -> None:
    lake = Lake(Path(folder), uri)
    file = lake.data_file("agency", seq)
    rows = ibis.memtable(pa.Table.from_pylist([_row(f"K{seq}", date(2026, 1, 1), seq)], schema=SCHEMA))
    engine.copy_to(engine.connect(threads=1), rows, "agency", file)
    lake.commit("agency", [file], seq)


def test_sources_that_commit_at_once_all_get_in(house: House) -> None:
    house.lake.table("agency")
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        arguments = [(str(house.lake.warehouse), house.lake.catalog_uri, seq) for seq in range(1, 9)]
        list(pool.map(_commit_in_another_process, *zip(*arguments, strict=True)))
    assert len(_state(house, date(2026, 1, 1))) == 8


def test_manifests_keep_no_value(house: House) -> None:
    _append(house, [_row("91370112XXXX00019N", date(2026, 1, 1), 1, name="示例公司")], 1)
    metadata = [file for file in house.lake.warehouse.rglob("*") if file.is_file() and file.suffix != ".parquet"]
    assert metadata
    for file in metadata:
        assert b"91370112XXXX" not in file.read_bytes()


def test_an_unknown_table_is_refused(house: House) -> None:
    with pytest.raises(KeyError):
        house.lake.table("agencies")
