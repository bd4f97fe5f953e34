"""Takes rows out of the lake for good: which rows, from which files, and what is remembered of them.

What stays of a row is in the ledger (`erased`): pseudonyms of its key and of its subject's code. With them a replay
names what is missing, and a harvest that brings the row again leaves it aside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import insert

from chengxin import conclusions, documents, engine, identity, pseudonyms, upkeep
from chengxin.engine import Connection
from chengxin.ledger.erased import Erased
from chengxin.settings import House
from chengxin.tables import TABLES

logger = logging.getLogger(__name__)

SEPARATOR = conclusions.SEPARATOR
HIDDEN = "***"
"""Stands where a code or a name was taken out of a row that stays."""

_CODES = ("uscc", "handed_in_by")
"""Columns whose code makes a row the subject's own."""
_NAMES = ("name", "subject_name")

Pick = Callable[[ibis.Table], ibis.Value]
"""Rows → whether each is to go."""


@dataclass(frozen=True)
class Person:
    """Whom a lawful request is about, as the lake knows them."""

    code: str
    names: tuple[str, ...]
    keys: tuple[str, ...]
    """The names, normalised for comparison."""
    stands: str
    """What stands for the code in the ledger (`chengxin.pseudonyms`)."""

    @property
    def needles(self) -> tuple[str, ...]:
        """What must not be found anywhere any more."""
        return tuple(dict.fromkeys([self.code, *self.names, *self.keys]))


def person(house: House, connection: Connection, code: str) -> Person:
    """Every name that the lake has for a code."""
    found: set[str] = set()
    for table in TABLES.values():
        columns = [column.name for column in table.columns]
        for name in set(_NAMES) & set(columns) if "uscc" in columns else ():
            rows = engine.observations(connection, house.lake, table.name)
            rows = rows.filter(rows.uscc == code, rows[name].notnull()).select(said=rows[name]).distinct()
            found |= set(connection.to_pyarrow(rows)["said"].to_pylist())
    import pandas as pd

    keys = identity.name_key(pd.Series(sorted(found), dtype=object)).dropna()
    stands = pseudonyms.of_house(house).of(code)
    return Person(code, tuple(sorted(found)), tuple(sorted(set(keys))), stands)


def of_person(who: Person, table: str, advice: Sequence[str]) -> Pick:
    """The rows that are a subject's own.

    Args:
        who: the subject.
        table: the table.
        advice: ids of the advice about it.
    """

    def pick(rows: ibis.Table) -> ibis.Value:
        parts = rows.natural_key.split(SEPARATOR)
        tests = [parts.contains(needle) for needle in who.needles]
        tests += [rows[name] == who.code for name in _CODES if name in rows.columns]
        nameless = rows.uscc.isnull() if "uscc" in rows.columns else ibis.literal(False)
        if "name_key" in rows.columns and who.keys:
            tests.append(nameless & rows.name_key.isin(who.keys))
        tests += [nameless & rows[name].isin(who.names) for name in _NAMES if name in rows.columns and who.names]
        if table == "finding":
            tests.append(rows.evidence_key.split(SEPARATOR).contains(who.code))
            if advice:
                tests.append(rows.advice_id.isin(advice))
        if table == "rejected":
            tests += [rows.value.contains(needle) for needle in who.needles]
        return ibis.or_(*[test.fill_null(False) for test in tests])

    return pick


def without(who: Person | None, pick: Pick, keys: ibis.Table | None) -> upkeep.Rows:
    """Rows → the rows that stay; where a code or a name stands in another's row, it is hidden.

    Args:
        who: whose code and names to hide; None: nobody's.
        pick: the rows that go.
        keys: `source`, `natural_key` whose tombstones go too; None: none.
    """

    def kept(rows: ibis.Table) -> ibis.Table:
        columns = rows.columns
        rows = rows.filter(~pick(rows))
        if keys is not None:
            doomed = keys.mutate(_doomed=True)
            rows = rows.left_join(doomed, ["source", "natural_key"])
            rows = rows.filter(~(rows.removed & rows._doomed.fill_null(False)))
        rows = rows.select(*columns)
        return rows.mutate(**{name: _hidden(rows[name], name, who) for name in _texts(rows)}) if who else rows

    return kept


def touched(connection: Connection, files: Sequence[str], pick: Pick, who: Person | None) -> list[str]:
    """The files that hold rows to go, or to hide something in."""
    if not files:
        return []
    rows = connection.read_parquet(list(files), union_by_name=True, filename=True)
    test = pick(rows)
    if who is not None:
        for name in _texts(rows):
            test = test | ibis.or_(*[rows[name].contains(text).fill_null(False) for text in _hiding(name, who)])
    hit = rows.filter(test).select("filename").distinct()
    return sorted(connection.to_pyarrow(hit)["filename"].to_pylist())


def remember(house: House, connection: Connection, name: str, gone: ibis.Table, reason: str) -> int:
    """Notes what is about to go: one row of the ledger a key. A key that is noted already is left as it is.

    Args:
        house: where the ledger is; its clock stamps the rows.
        connection: the engine.
        name: the table.
        gone: the rows to go, all columns; `_subject`: what to name for the subject, null for nobody.
        reason: see `Erased.reason`.

    Returns:
        How many keys.
    """
    names = pseudonyms.of_house(house)
    names.teach(connection)
    document = ibis.null("string")
    if name == "credit_record":
        document = pseudonym(gone.uscc.concat(SEPARATOR, documents.alike(gone.record_no)))
    rows = gone.mutate(
        key_sha256=pseudonym(gone.source.concat(SEPARATOR, gone.natural_key)),
        subject_sha256=pseudonym(gone._subject),
        document_sha256=document,
    )
    rows = rows.group_by("key_sha256").agg(
        subject_sha256=rows.subject_sha256.max(),
        document_sha256=rows.document_sha256.max(),
        observations=rows.count(),
        first_seq=rows.seq.min(),
        first_day=rows.observed_on.min(),
        last_day=rows.observed_on.max(),
    )
    found: list[dict[str, Any]] = connection.to_pyarrow(rows).to_pylist()
    with house.ledger.begin() as session:
        known = {row.key_sha256 for row in pseudonyms.erased_rows(session, names, Erased.table_name == name)}
        new = [
            {**row, "table_name": name, "reason": reason, "at": house.clock()}
            for row in found
            if row["key_sha256"] not in known
        ]
        if new:
            session.execute(insert(Erased), new)
    return len(found)


def forget(
    house: House,
    connection: Connection,
    name: str,
    pick: Pick,
    reason: str,
    *,
    who: Person | None = None,
    keep_note: bool = True,
) -> dict[str, int]:
    """Takes rows out of one table, and hides a code and its names in the rows that stay.

    Args:
        house: where everything is.
        connection: the engine.
        name: the table.
        pick: the rows to go.
        reason: see `Erased.reason`.
        who: the subject of a lawful request; None: rows go by their own dates.
        keep_note: whether the ledger remembers the keys.

    Returns:
        `keys` and `rows` that went.
    """
    files = house.lake.files(name)
    # A killed harvest or check has written files that its rerun will take in.
    waiting = [str(file) for file in house.lake.orphans(name) if _whole(file)]
    if not touched(connection, [*files, *waiting], pick, who):
        return {"keys": 0, "rows": 0}
    seen = engine.observations(connection, house.lake, name)
    gone = seen.filter(pick(seen))
    gone = engine.keep(connection, f"gone_{name}", gone.mutate(_subject=_subject(gone, who)))
    keys = engine.keep(connection, f"keys_{name}", gone.select("source", "natural_key").distinct())
    number = remember(house, connection, name, gone, reason) if keep_note else int(keys.count().to_pyarrow().as_py())
    tombs = _tombs(seen, keys)
    rows = without(who, pick, keys)
    hit = sorted({*touched(connection, files, pick, who), *touched(connection, files, tombs, None)})
    less = upkeep.rewrite(house, connection, name, hit, rows)
    for file in touched(connection, waiting, pick, who):
        upkeep.rewrite_in_place(connection, name, Path(file), rows)
    return {"keys": number, "rows": less}


@ibis.udf.scalar.builtin(name=pseudonyms.FUNCTION)  # type: ignore[untyped-decorator]
def pseudonym(said: str) -> str:  # type: ignore[empty-body]
    """As `Pseudonyms.of`, on a connection that was taught it."""


def _whole(file: Path) -> bool:
    """Whether a file was written to its end. One that was not, by an older version, is removed: its rerun writes it
    anew, and nothing else reads it."""
    try:
        pq.read_metadata(file)
    except (pa.ArrowInvalid, FileNotFoundError):
        file.unlink(missing_ok=True)
        logger.info("%s was left half-written, and is removed", file.name)
        return False
    return True


def _tombs(seen: ibis.Table, keys: ibis.Table) -> Pick:
    def pick(rows: ibis.Table) -> ibis.Value:
        known = keys.select(key=keys.source.concat(SEPARATOR, keys.natural_key))
        return rows.removed & rows.source.concat(SEPARATOR, rows.natural_key).isin(known.key)

    return pick


def _subject(rows: ibis.Table, who: Person | None) -> ibis.Value:
    if who is not None:
        return ibis.literal(who.code)
    parts = [rows[name] for name in ("uscc", "name_key") if name in rows.columns]
    return ibis.coalesce(*parts) if parts else ibis.null("string")


def _texts(rows: ibis.Table) -> list[str]:
    own = {"natural_key", "source", "raw_sha256", "row_hash", "filename"}
    return [name for name, kind in rows.schema().items() if kind.is_string() and name not in own]


def _hidden(value: ibis.Value, name: str, who: Person) -> ibis.Value:
    for text in _hiding(name, who):
        value = value.replace(text, HIDDEN)
    return value


def _hiding(name: str, who: Person) -> tuple[str, ...]:
    """What to hide in a column of another's row: a longer name may hold a shorter one, and stays."""
    return (who.code,) if name in (*_NAMES, "name_key") else who.needles


def past(rows: ibis.Table, column: str, day: date, *, last: bool = False) -> ibis.Value:
    """Whether a date has come: from that day on, or (`last`: the last day that counted) after it."""
    limit = ibis.literal(day)
    return rows[column] < limit if last else rows[column] <= limit
