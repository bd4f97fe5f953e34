"""The engine: ibis over the lake's own Parquet files, on DuckDB or on Apache Spark.

`observations` is everything ever seen of a table, `as_of` its state on a day. Both are lazy expressions, and the same
on either engine. What differs between them is in `chengxin.engine.duckdb` and `chengxin.engine.spark`: starting,
reading, keeping and writing. Harvests and mails always use DuckDB; `House.check_engine` is the one of the setting.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import ibis
import pyarrow as pa
from ibis.backends.sql import SQLBackend

from chengxin.engine import duckdb, footers
from chengxin.engine.duckdb import ROW_GROUP, DuckDB, connect
from chengxin.lake import Lake, arrow_schema
from chengxin.tables import TABLES

__all__ = [
    "ROW_GROUP", "Connection", "DuckDB", "Told", "as_of", "canonical", "connect", "copy_query", "copy_to",
    "joins_as_written", "keep", "newest", "numbered", "observations", "repeated", "row_hash", "told", "write",
]  # fmt: skip

Connection: TypeAlias = SQLBackend
"""Either engine."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _of(connection: Connection) -> ModuleType:
    """The module that knows this engine."""
    if isinstance(connection, DuckDB):
        return duckdb
    from chengxin.engine import spark

    return spark


def observations(connection: Connection, lake: Lake, name: str) -> ibis.Table:
    """Every observation of a table, from its live files."""
    return _observations(connection, lake.files(name), name)


def _observations(connection: Connection, files: Sequence[str], name: str) -> ibis.Table:
    schema = arrow_schema(TABLES[name])
    if not files:
        return ibis.memtable(schema.empty_table())
    # Parquet written before a column was added to the table lacks it: read by name, fill with nulls.
    table = _of(connection).read(connection, files, schema)
    missing = {
        field.name: ibis.null().cast(ibis.dtype(_ibis_type(field.type)))
        for field in schema
        if field.name not in table.columns
    }
    return table.mutate(**missing).select(*schema.names) if missing else table.select(*schema.names)


@dataclass(frozen=True)
class Told:
    """What is known of a table on a day, lazily."""

    seen: ibis.Table
    """Every observation."""
    newest: ibis.Table
    """The newest per source and key, tombstones included."""

    @property
    def state(self) -> ibis.Table:
        """The newest, tombstones left out."""
        return self.newest.filter(~self.newest.removed)


def told(
    connection: Connection,
    lake: Lake,
    name: str,
    day: date,
    *,
    seq: int | None = None,
    without: Sequence[int] = (),
    sources: Sequence[str] | None = None,
) -> Told:
    """What is known of a table on a day.

    Args:
        connection: the engine.
        lake: the lake.
        name: the table.
        day: observations after this day are not known yet.
        seq: commits above this number are not known yet (replay); None: all are.
        without: commits that do not count.
        sources: these sources only; None: all.
    """
    files = lake.files(name)
    every = _observations(connection, files, name)
    conditions = [every.observed_on <= ibis.literal(day)]
    if seq is not None:
        conditions.append(every.seq <= seq)
    if without:
        conditions.append(every.seq.notin(without))
    if sources is not None:
        conditions.append(every.source.isin(sources))
    rows = every.filter(conditions)
    seen = rows.select(*_OBSERVATION)
    largest = footers.one_observation(max(files, key=os.path.getsize)) if files else None
    if largest is not None:
        # Rows of one harvest do not replace one another: those of the largest need only be sought among the others,
        # which may be few or none.
        beside = every.filter((every.observed_on != largest.observed_on) | (every.seq != largest.seq))
        seen = seen.filter(_hash(seen.natural_key).isin(beside.select(_hash=_hash(beside.natural_key))._hash))
    return Told(rows, rows.anti_join(_superseded(seen), _OBSERVATION))


def newest(
    connection: Connection,
    lake: Lake,
    name: str,
    day: date,
    *,
    seq: int | None = None,
    without: Sequence[int] = (),
    sources: Sequence[str] | None = None,
) -> ibis.Table:
    """The newest observation per source and key on a day, tombstones included. Arguments: those of `told`."""
    return told(connection, lake, name, day, seq=seq, without=without, sources=sources).newest


_OBSERVATION = ("source", "natural_key", "observed_on", "seq")


def _superseded(seen: ibis.Table) -> ibis.Table:
    """The observations that a newer one of the same source and key has replaced.

    Most keys were seen once: only those whose hash occurs again are put in order, and only by these four columns.
    """
    twice = repeated(seen, seen, ["natural_key"])
    newer = ibis.rank().over(
        group_by=[twice.source, twice.natural_key], order_by=[twice.observed_on.desc(), twice.seq.desc()]
    )
    return twice.mutate(_newer=newer).filter(ibis._._newer > 0).select(*_OBSERVATION)


@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def _hash(text: str) -> int:
    """The engine's own `hash`: DuckDB and Spark both have it. Good for comparing within one statement only."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def _hash_of_two(one: str, other: str) -> int:
    """The same of two texts: a third of the time of putting them together first."""
    raise NotImplementedError


def repeated(rows: ibis.Table, among: ibis.Table, keys: Sequence[str]) -> ibis.Table:
    """The rows whose key occurs more than once: all that do, and a few that do not.

    Counting hashes takes a fraction of what counting or sorting the texts themselves would.

    Args:
        rows: the rows.
        among: where keys are counted: these rows or more.
        keys: one or two columns, texts.
    """
    hashed = {1: _hash, 2: _hash_of_two}[len(keys)]
    counted = among.select(_hash=hashed(*[among[key] for key in keys]))
    counted = counted.group_by("_hash").having(ibis._.count() > 1).agg(_n=ibis._.count())
    return rows.filter(hashed(*[rows[key] for key in keys]).isin(counted._hash))


def as_of(
    connection: Connection,
    lake: Lake,
    name: str,
    day: date,
    *,
    seq: int | None = None,
    source: str | None = None,
    without: Sequence[int] = (),
    sources: Sequence[str] | None = None,
) -> ibis.Table:
    """The state of a table on a day: the newest observation per source and key, tombstones left out.

    Args:
        connection: the engine.
        lake: the lake.
        name: the table.
        day: observations after this day are not known yet.
        seq: commits above this number are not known yet (replay); None: all are.
        source: one source only.
        without: commits that do not count.
        sources: these sources only; None: all.
    """
    only = [source] if source is not None else sources
    return told(connection, lake, name, day, seq=seq, without=without, sources=only).state


def joins_as_written(connection: Connection) -> AbstractContextManager[None]:
    """What is kept inside this context is joined with the right side in memory, while the left one streams past it.

    DuckDB chooses by how many rows it expects, and after the filters of `newest` it expects a dozen where a million
    come: it would hold the applicants in memory to look up a handful in them.
    """
    context: AbstractContextManager[None] = _of(connection).joins_as_written(connection)
    return context


def keep(connection: Connection, name: str, rows: ibis.Table) -> ibis.Table:
    """Computes rows and keeps them in the engine, for what is read many times. They end with the connection.

    Whether they are computed at once or by the next time that the connection is used is the engine's affair.

    Args:
        connection: the engine.
        name: a word for the table's name, which is made unique.
        rows: the expression.
    """
    return _of(connection).keep(connection, name, rows)


def numbered(connection: Connection, name: str, rows: ibis.Table, column: str) -> ibis.Table:
    """Computes and keeps rows, each with a number of its own: what joins by long texts can be done by instead.

    Args:
        connection: the engine.
        name: a word for the table's name.
        rows: the expression.
        column: the number's name. Which row gets which number means nothing and may differ from run to run.
    """
    return _of(connection).numbered(connection, name, rows, column)


def write(connection: Connection, lake: Lake, name: str, rows: ibis.Table, seq: int) -> list[Path]:
    """Writes the rows of a commit into the table's data folder, ready for `Lake.commit`.

    Args:
        connection: the engine.
        lake: the lake.
        name: the table.
        rows: every column of the table.
        seq: the commit, which names the files.

    Returns:
        One file from DuckDB, one from each task of Spark.
    """
    files = (lake.data_file(name, seq, part) for part in itertools.count())
    written: list[Path] = _of(connection).write(connection, _in_schema(rows, name), files)
    return written


def copy_to(connection: DuckDB, rows: ibis.Table, name: str, file: Path, *, threads: int | None = None) -> int:
    """Writes rows as one Parquet file in the schema of a table.

    Args:
        connection: the engine.
        rows: what is written.
        name: the table.
        file: the file.
        threads: how many threads write. Each holds a row group of its own: 1,000,000 subjects took 620 MiB with four
            threads and DuckDB's own row groups of 122,880 rows, 200 MiB with two and 140 MiB with one and ours. None:
            as many as the engine has.

    Returns:
        The number of rows written.
    """
    return duckdb.copy(connection, _in_schema(rows, name), file, threads=threads)


def copy_query(connection: DuckDB, query: str, name: str, file: Path, *, threads: int | None = None) -> int:
    """As `copy_to`, of rows that are asked for in DuckDB's own SQL: nothing is worded, where each moment counts."""
    kind = connection.compiler.type_mapper.to_string
    columns = ", ".join(
        f'CAST("{field.name}" AS {kind(ibis.dtype(field.type))}) AS "{field.name}"'
        for field in arrow_schema(TABLES[name])
    )
    return duckdb.copy_query(connection, f"SELECT {columns} FROM ({query})", file, threads=threads)  # noqa: S608


def _in_schema(rows: ibis.Table, name: str) -> ibis.Table:
    return rows.select(
        **{field.name: rows[field.name].cast(_ibis_type(field.type)) for field in arrow_schema(TABLES[name])}
    )


def row_hash(rows: ibis.Table, columns: Sequence[str]) -> ibis.expr.types.StringValue:
    """The hash of some columns: equal content, equal hash, on every engine and in every time zone.

    SHA-256 over each value's canonical text with its length before it; a null differs from an empty text. A double
    counts to the sixth decimal, an instant to the microsecond.

    Args:
        rows: the table.
        columns: the columns that count, in the order that counts.

    Returns:
        64 hexadecimal digits.
    """
    return canonical(rows, columns).hexdigest("sha256")


def canonical(rows: ibis.Table, columns: Sequence[str]) -> ibis.expr.types.StringValue:
    """The text of some columns that `row_hash` hashes: that of several after one another is theirs together."""
    first, *rest = [part for name in columns for part in _parts(rows[name])]
    return first.concat(*rest)


def _parts(value: ibis.expr.types.Value) -> list[ibis.expr.types.StringValue]:
    if value.type().is_string():
        # One concatenation of all parts: half the time of one for each column.
        return [ibis.coalesce(value.length().cast("string").concat(":"), ibis.literal("-")), value.fill_null("")]
    return [ibis.coalesce(_with_length(_canonical(value)), ibis.literal("-"))]


def _with_length(text: ibis.expr.types.StringValue) -> ibis.expr.types.StringValue:
    return text.length().cast("string").concat(":", text)


def _canonical(value: ibis.expr.types.Value) -> ibis.expr.types.StringValue:
    kind = value.type()
    if kind.is_array():
        # Lengths of the parts, then the parts: ["a", "b"] is not ["ab"].
        parts = value.map(lambda part: ibis.coalesce(_with_length(part), ibis.literal("-"))).join("")
        # Nothing joined is nothing on DuckDB and null on Spark; and most lists are empty.
        return (value.length() == 0).ifelse("", parts)
    if kind.is_date():
        return value.strftime("%Y-%m-%d")
    if kind.is_timestamp():
        # Not epoch_seconds(): on DuckDB it reads the instant in the session's zone.
        return value.delta(_EPOCH, unit="microsecond").cast("string")
    if kind.is_boolean():
        return value.ifelse("true", "false")
    if kind.is_floating():
        return ibis.coalesce(value.try_cast("decimal(38, 6)").cast("string"), _beyond(value))
    return value.cast("string")


def _beyond(value: ibis.expr.types.Value) -> ibis.expr.types.StringValue:
    """What no decimal holds, as DuckDB writes it: 1e+40, inf, nan. Spark writes 1.0E40, Infinity, NaN."""
    text = value.cast("string").lower().replace("infinity", "inf").replace(".0e", "e")
    return text.replace("e+", "e").replace("e", "e+")


def _ibis_type(arrow: pa.DataType) -> str:
    return str(ibis.dtype(arrow))
