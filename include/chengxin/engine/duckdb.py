"""DuckDB: one process, all its cores, and a folder for what does not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend
from ibis.util import gen_name

ROW_GROUP = 30_720
"""Rows of one row group of a file of the lake: what a thread that writes holds in memory."""


def connect(*, threads: int | None = None, memory_limit: str | None = None, spill: Path | None = None) -> Backend:
    """A DuckDB backend of its own, in memory.

    Args:
        threads: worker threads; None: all cores.
        memory_limit: e.g. `1GB`; None: DuckDB's default.
        spill: folder for what does not fit.
    """
    connection = ibis.duckdb.connect()
    settings = {
        "TimeZone": "Asia/Shanghai",
        "preserve_insertion_order": "false",
        **({"threads": str(threads)} if threads else {}),
        **({"memory_limit": memory_limit} if memory_limit else {}),
        **({"temp_directory": str(spill)} if spill else {}),
    }
    for name, value in settings.items():
        quoted = value.replace("'", "''")
        connection.raw_sql(f"SET {name} = '{quoted}'")
    return connection


def read(connection: Backend, files: Sequence[str], schema: pa.Schema) -> ibis.Table:
    """Parquet files as one table. A column that some file lacks is null there; one that all lack is missing."""
    return connection.read_parquet(files, union_by_name=True)


def keep(connection: Backend, name: str, rows: ibis.Table) -> ibis.Table:
    """See `chengxin.engine.keep`."""
    return connection.create_table(gen_name(name), rows, temp=True)


def numbered(connection: Backend, name: str, rows: ibis.Table, column: str) -> ibis.Table:
    """See `chengxin.engine.numbered`."""
    kept = keep(connection, name, rows)
    return kept.mutate(**{column: kept.rowid()})


def write(connection: Backend, rows: ibis.Table, files: Iterator[Path]) -> list[Path]:
    """Writes rows as one file: the next of `files`."""
    file = next(files)
    copy(connection, rows, file)
    return [file]


def copy(connection: Backend, rows: ibis.Table, file: Path, *, threads: int | None = None) -> int:
    """Writes rows as one Parquet file, and returns their number.

    Args:
        connection: the engine.
        rows: what is written.
        file: the file.
        threads: how many threads write; None: as many as the engine has.
    """
    with _threads(connection, threads):
        connection.to_parquet(rows, file, COMPRESSION="zstd", COMPRESSION_LEVEL=1, ROW_GROUP_SIZE=ROW_GROUP)
    return int(pq.read_metadata(file).num_rows)


@contextmanager
def _threads(connection: Backend, wanted: int | None) -> Iterator[None]:
    (before,) = connection.con.execute("SELECT current_setting('threads')").fetchall()[0]
    connection.raw_sql(f"SET threads = {wanted or before}")
    try:
        yield
    finally:
        connection.raw_sql(f"SET threads = {before}")
