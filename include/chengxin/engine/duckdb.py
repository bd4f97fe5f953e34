"""DuckDB: one process, all its cores, and a folder for what does not fit into memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot.expressions as sge
from ibis.backends.duckdb import Backend
from ibis.expr import operations
from ibis.util import gen_name

from chengxin.collector import keeping_all
from chengxin.lake import whole

ROW_GROUP = 30_720
"""Rows of one row group of a file of the lake: what a thread that writes holds in memory."""
WRITTEN = {"COMPRESSION": "zstd", "COMPRESSION_LEVEL": 1, "ROW_GROUP_SIZE": ROW_GROUP, "DICTIONARY_SIZE_LIMIT": 2000}
"""How a file of the lake is written. No dictionary for texts of which a row group has more than so many: these are
codes, keys and hashes, which hardly repeat, and looking for repetitions took an eighth of the time."""


class DuckDB(Backend):
    """ibis on DuckDB, which computes what is kept while Python words the next statement.

    Wording a statement takes ibis a twentieth to a fifth of a second, on one core, in which DuckDB would idle: of a
    check of a million applicants a fifth of the time. What fails fails at the next use of the connection.
    """

    _raw: Any = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._queue: deque[Future[object]] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="duckdb", initializer=self._begin)
        self._thread = 0

    def _begin(self) -> None:
        self._thread = threading.get_ident()

    @property
    def con(self) -> Any:
        """DuckDB's own connection, once all is done that was queued."""
        if threading.get_ident() != self._thread:
            while self._queue:
                try:
                    self._queue.popleft().result()
                except BaseException:
                    self._queue.clear()
                    raise
        return self._raw

    @con.setter
    def con(self, raw: Any) -> None:
        self._raw = raw

    @keeping_all()
    def compile(self, *arguments: Any, **options: Any) -> Any:
        """As ibis's own."""
        return super().compile(*arguments, **options)

    def later(self, work: Callable[[], object]) -> None:
        """Does something on the connection after all that was queued before, and does not wait for it."""
        self._queue.append(self._worker.submit(work))


def connect(*, threads: int | None = None, memory_limit: str | None = None, spill: Path | None = None) -> DuckDB:
    """A DuckDB backend of its own, in memory.

    Args:
        threads: worker threads; None: all cores.
        memory_limit: e.g. `1GB`; None: DuckDB's default.
        spill: folder for what does not fit.
    """
    connection = DuckDB()
    connection.register_options()
    connection.do_connect()
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


@contextmanager
def joins_as_written(connection: DuckDB) -> Iterator[None]:
    """See `chengxin.engine.joins_as_written`."""
    connection.later(partial(connection.raw_sql, "SET disabled_optimizers = 'build_side_probe_side'"))
    try:
        yield
    finally:
        connection.later(partial(connection.raw_sql, "RESET disabled_optimizers"))


def read(connection: DuckDB, files: Sequence[str], schema: pa.Schema) -> ibis.Table:
    """Parquet files as one table. A column that some file lacks is null there; one that all lack is missing."""
    return connection.read_parquet(files, union_by_name=True)


@keeping_all()
def keep(connection: DuckDB, name: str, rows: ibis.Table) -> ibis.Table:
    """See `chengxin.engine.keep`."""
    schema = rows.schema()
    named = gen_name(name)
    table = sge.table_(named, db="main", catalog="temp", quoted=True)
    columns = schema.to_sqlglot_column_defs(connection.dialect)
    temporary = sge.Properties(expressions=[sge.TemporaryProperty()])
    create = sge.Create(kind="TABLE", this=sge.Schema(this=table, expressions=columns), properties=temporary)
    names = [sge.to_identifier(column, quoted=True) for column in schema.names]
    insert = sge.insert(connection.compiler.to_sqlglot(rows), into=table, columns=names)
    # One text of two statements: the thread that runs them waits for Python's lock after each, while this one words the
    # next.
    text = ";".join(statement.sql(connection.dialect) for statement in (create, insert))
    connection.later(partial(_fill, connection, rows, text))
    place = operations.Namespace(catalog="temp", database="main")
    return operations.DatabaseTable(named, schema=schema, source=connection, namespace=place).to_expr()


def _fill(connection: DuckDB, rows: ibis.Table, text: str) -> None:
    # Tables that Python holds are made known first; this is what ibis does before each statement of its own.
    connection._run_pre_execute_hooks(rows)
    connection.con.execute(text).fetchall()


def numbered(connection: DuckDB, name: str, rows: ibis.Table, column: str) -> ibis.Table:
    """See `chengxin.engine.numbered`."""
    kept = keep(connection, name, rows)
    return kept.mutate(**{column: kept.rowid()})


def write(connection: DuckDB, rows: ibis.Table, files: Iterator[Path]) -> list[Path]:
    """Writes rows as one file: the next of `files`."""
    file = next(files)
    copy(connection, rows, file)
    return [file]


def copy(connection: DuckDB, rows: ibis.Table, file: Path, *, threads: int | None = None) -> int:
    """Writes rows as one Parquet file, and returns their number.

    Args:
        connection: the engine.
        rows: what is written.
        file: the file.
        threads: how many threads write; None: as many as the engine has.
    """
    with _threads(connection, threads), whole(file) as half:
        connection.to_parquet(rows, half, **WRITTEN)
    return int(pq.read_metadata(file).num_rows)


def copy_query(connection: DuckDB, query: str, file: Path, *, threads: int | None = None) -> int:
    """As `copy`, of rows that are asked for in DuckDB's own SQL."""
    options = ", ".join(f"{name} {value}" for name, value in WRITTEN.items())
    with _threads(connection, threads), whole(file) as half:
        target = str(half).replace("'", "''")
        connection.raw_sql(f"COPY ({query}) TO '{target}' (FORMAT parquet, {options})").fetchall()
    return int(pq.read_metadata(file).num_rows)


@contextmanager
def _threads(connection: DuckDB, wanted: int | None) -> Iterator[None]:
    (before,) = connection.con.execute("SELECT current_setting('threads')").fetchall()[0]
    connection.raw_sql(f"SET threads = {wanted or before}")
    try:
        yield
    finally:
        connection.raw_sql(f"SET threads = {before}")
