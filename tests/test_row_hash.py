"""`engine.row_hash`: equal content, equal hash; anything else, another hash."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chengxin import engine

SCHEMA = pa.schema(
    {
        "s": pa.string(),
        "d": pa.date32(),
        "t": pa.timestamp("us", tz="UTC"),
        "n": pa.int64(),
        "f": pa.float64(),
        "m": pa.decimal128(20, 2),
        "b": pa.bool_(),
        "l": pa.list_(pa.string()),
    }
)
ROW = {
    "s": "历城",
    "d": dt.date(2024, 2, 29),
    "t": dt.datetime(2026, 6, 30, 16, 0, 0, 5, tzinfo=dt.UTC),
    "n": 7,
    "f": 0.1,
    "m": Decimal("12.30"),
    "b": True,
    "l": ["a", "b"],
}
NULLS = dict.fromkeys(ROW)


def hashes(folder: Path, *rows: dict[str, object], zone: str = "Asia/Shanghai") -> list[str]:
    file = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), file)
    connection = engine.connect()
    connection.raw_sql(f"SET TimeZone = '{zone}'")
    table = connection.read_parquet(file)
    return table.select(h=engine.row_hash(table, SCHEMA.names)).to_pyarrow()["h"].to_pylist()


def test_equal_rows_have_equal_hashes_in_every_time_zone(tmp_path: Path) -> None:
    here = hashes(tmp_path, ROW, ROW, NULLS)
    assert here[0] == here[1]
    assert len(here[0]) == 64
    assert here == hashes(tmp_path, ROW, ROW, NULLS, zone="America/New_York")


def test_the_recipe_is_fixed(tmp_path: Path) -> None:
    # A changed recipe would publish every row of every source again: it needs a migration, not an accident.
    assert hashes(tmp_path, ROW) == ["ba9c8f106b6655d69d9e7f156c881fd20fb417296e19b21e84d1db1fb35646af"]


@pytest.mark.parametrize(
    "change",
    [
        {"s": ""},
        {"s": None},
        {"s": "历城 "},
        {"d": dt.date(2024, 3, 1)},
        {"d": None},
        {"t": dt.datetime(2026, 6, 30, 16, 0, 0, 6, tzinfo=dt.UTC)},
        {"n": 8},
        {"f": 0.100001},
        {"f": 1e40},
        {"m": Decimal("12.31")},
        {"b": False},
        {"b": None},
        {"l": ["ab"]},
        {"l": ["b", "a"]},
        {"l": []},
        {"l": [None, "a", "b"]},
        {"l": None},
        {"s": "历城1", "n": None},
    ],
)
def test_other_rows_have_other_hashes(tmp_path: Path, change: dict[str, object]) -> None:
    one, other = hashes(tmp_path, ROW, ROW | change)
    assert one != other


def test_a_memtable_hashes_like_a_file(tmp_path: Path) -> None:
    table = ibis.memtable(pa.Table.from_pylist([ROW, NULLS], schema=SCHEMA))
    connection = engine.connect()
    rows = connection.to_pyarrow(table.select(h=engine.row_hash(table, SCHEMA.names)))["h"].to_pylist()
    assert rows == hashes(tmp_path, ROW, NULLS)
