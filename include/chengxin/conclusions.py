"""How conclusions are kept: like facts, by observation, so that an unchanged day writes nothing.

A district's conclusions are the rows of `finding`, `advice` and `filing_status` with source `check` whose natural key
begins with its code. `current` reads them; `changes` says what a new check would change, `write` appends it.

A check of a past day must not alter what a later day said: where a later check exists, the rows that it stands on are
written again for its day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

import ibis

from chengxin import engine
from chengxin.engine import Connection
from chengxin.lake import arrow_type
from chengxin.settings import House
from chengxin.tables import TABLES

SOURCE = "check"
SEPARATOR = "\x1f"

_WRITTEN = ("natural_key", "observed_on", "source", "raw_sha256", "raw_row", "row_hash", "removed")


@dataclass(frozen=True)
class Changes:
    """What a check changes in one table."""

    table: str
    rows: ibis.Table
    """What is to be appended: every column but `seq`."""
    new: int
    changed: int
    gone: int
    restored: int
    """Rows written again for a later day."""

    @property
    def total(self) -> int:
        """How many rows are to be appended."""
        return self.new + self.changed + self.gone + self.restored

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {"new": self.new, "changed": self.changed, "gone": self.gone, "restored": self.restored}


def natural_key(district: str, rows: ibis.Table, columns: Sequence[str]) -> ibis.Value:
    """The district's code and the key columns, joined by U+001F."""
    parts = [ibis.literal(district), *[rows[name].cast("string") for name in columns]]
    return reduce(lambda left, right: left.concat(SEPARATOR, right), parts)


def current(
    house: House, connection: Connection, name: str, day: date, *, seq: int | None = None, district: str | None = None
) -> ibis.Table:
    """A district's conclusions as of a day.

    Args:
        house: where the lake is.
        connection: the engine.
        name: `finding`, `advice` or `filing_status`.
        day: checks after this day are left aside.
        seq: commits above this number are left aside; None: none is.
        district: its code; None: the house's.
    """
    rows = engine.as_of(connection, house.lake, name, day, seq=seq, source=SOURCE)
    return rows.filter(rows.natural_key.startswith((district or house.district) + SEPARATOR))


def changes(
    house: House,
    connection: Connection,
    name: str,
    day: date,
    rows: ibis.Table,
    *,
    key: Sequence[str],
    hashed: Mapping[str, ibis.Value] | None = None,
    scope: Mapping[str, int] | None = None,
    only: Mapping[str, ibis.Table] | None = None,
    later: date | None = None,
) -> Changes:
    """Compares conclusions with what the lake holds as of the day.

    Args:
        house: where the lake is.
        connection: the engine.
        name: the table.
        day: the day of the check.
        rows: its conclusions: the table's content columns.
        key: the columns that identify a row.
        hashed: column → expression that stands for it in the hash, where the column itself would differ without a
            change (the age of a source that is still too old).
        scope: column → value: rows outside are no business of this check and are left alone.
        only: column → table of one such column: the same, for rows whose value is not in it.
        later: the next day for which a check exists, if this is one of the past.

    Returns:
        What is to be appended, already computed into a temporary table.
    """
    content = [column.name for column in TABLES[name].columns]
    stand_ins = {f"_hashed_{column}": value for column, value in (hashed or {}).items()}
    named = [f"_hashed_{column}" if column in (hashed or {}) else column for column in content]
    new = rows.mutate(**stand_ins)
    new = new.mutate(row_hash=engine.row_hash(new, named), natural_key=natural_key(house.district, new, key))
    new = engine.keep(connection, f"new_{name}", new.select(*content, "natural_key", "row_hash"))

    old = current(house, connection, name, day)
    for column, value in (scope or {}).items():
        old = old.filter(old[column] == value)
    for column, some in (only or {}).items():
        old = old.semi_join(some, column)
    old = engine.keep(connection, f"old_{name}", old.select("natural_key", *key, old_hash="row_hash"))

    met = new.left_join(old.select("natural_key", "old_hash"), "natural_key").drop("natural_key_right")
    written = met.filter(met.old_hash.isnull() | (met.old_hash != met.row_hash))
    gone = old.anti_join(new, "natural_key")
    today = ibis.literal(day)
    kinds = [
        _observed(written, name, today, written.old_hash.isnull().ifelse("new", "changed")),
        _observed(_tombstone(gone, name, key), name, today, ibis.literal("gone")),
    ]
    if later is not None:
        touched = written.select("natural_key", *key).union(gone.select("natural_key", *key))
        kinds.append(_restored(house, connection, name, day, later, touched, key))
    appended = engine.keep(connection, f"changed_{name}", ibis.union(*kinds))
    counts = appended.group_by("_kind").agg(n=appended.count()).to_pyarrow().to_pylist()
    number = {row["_kind"]: int(row["n"]) for row in counts}
    return Changes(
        name, appended.drop("_kind"), *[number.get(kind, 0) for kind in ("new", "changed", "gone", "restored")]
    )


def write(house: House, connection: Connection, change: Changes, seq: int) -> int:
    """Appends what changed, as one snapshot of the lake, and returns the snapshot's id."""
    rows = change.rows.mutate(seq=ibis.literal(seq, "int64"))
    files = engine.write(connection, house.lake, change.table, rows, seq)
    return house.lake.commit(change.table, files, seq)


def _restored(
    house: House, connection: Connection, name: str, day: date, later: date, touched: ibis.Table, key: Sequence[str]
) -> ibis.Table:
    """For the keys that a check of the past touches: what the later day stands on, for that day again."""
    stands = engine.newest(connection, house.lake, name, later, sources=[SOURCE])
    stands = stands.mutate(_stands=True).drop(*[column for column in key if column in stands.columns])
    rows = touched.left_join(stands, "natural_key").drop("natural_key_right")
    rows = rows.filter(rows._stands.isnull() | (rows.observed_on <= ibis.literal(day)))
    rows = rows.mutate(removed=rows.removed.fill_null(True), row_hash=rows.row_hash.fill_null(""))
    return _observed(rows, name, ibis.literal(later), ibis.literal("restored"))


def _tombstone(rows: ibis.Table, name: str, key: Sequence[str]) -> ibis.Table:
    """Rows of nothing but their key."""
    empty = {
        column.name: ibis.null(ibis.dtype(arrow_type(column)))
        for column in TABLES[name].columns
        if column.name not in key
    }
    return rows.mutate(**empty, row_hash=rows.old_hash, removed=ibis.literal(True))


def _observed(rows: ibis.Table, name: str, day: ibis.Value, kind: ibis.Value) -> ibis.Table:
    content = [column.name for column in TABLES[name].columns]
    made = {
        "observed_on": day,
        "source": ibis.literal(SOURCE),
        "raw_sha256": ibis.null("string"),
        "raw_row": ibis.null("int32"),
        "removed": rows.removed if "removed" in rows.columns else ibis.literal(False),
    }
    return rows.mutate(**made, _kind=kind).select(*content, *_WRITTEN, "_kind")
