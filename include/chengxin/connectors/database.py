"""A table or view of a front database (前置库), read in one ordered pass.

SQLite, PostgreSQL and MySQL or MariaDB. The pass is one SELECT in one read-only transaction, so it sees one state of
the table; every `batch` rows go to the archive as JSON lines, one object a row, values as the database gave them (dates
and instants in ISO 8601, bytes as an object with their base64, which no text is taken for). A killed pass goes on with
an OFFSET, after it has seen that the last row it had is still in its place; if it is not, the table has changed and the
pass starts over.

Of an incremental source only the rows at or above the watermark are read (`chengxin.connectors.watermark`), and those
whose watermark is null, empty or a zero date: nobody would see them again.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from itertools import chain, islice
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Select, column, inspect, literal, select, table, text
from sqlalchemy.exc import NoSuchTableError, SAWarning, SQLAlchemyError

from chengxin.connectors import watermark
from chengxin.connectors.database_url import failure, open_engine
from chengxin.connectors.intake import Cursor, Intake
from chengxin.contracts import Contract
from chengxin.errors import DriftError, SourceContentError
from chengxin.reads import DatabaseRead
from chengxin.settings import House

logger = logging.getLogger(__name__)

NO_TIME = "1000-01-01"
"""A time of change below this is none. MySQL's earliest date, and below it in a text column stand '' and '0000-…'."""


def fetch(house: House, contract: Contract, read: DatabaseRead, as_of: date, intake: Intake) -> None:
    """Reads the rows after the cursor's.

    Raises:
        ConfigError: the connection is for no database that we can read, or its driver is not installed.
        SourceUnreachableError: no such file or server, or the connection broke off.
        SourceRefusedError: wrong login, no grant, or the database refuses the query.
        SourceContentError: no such table, or text that is not in the database's own encoding.
        DriftError: `order_by` or `watermark` names a column that the table has not.
    """
    if not intake.cursor and read.watermark is not None:
        since, mark = watermark.begin(house, contract, read.watermark, as_of)
        intake.cursor = {"since": since, "watermark": mark}
    connection = house.connections(read.connection)
    where = f"{read.table} (connection {read.connection})"
    engine = open_engine(connection, where)
    try:
        with _transaction(engine) as session:
            names, order = _columns(session, read, where)
            _Pass(session, read, names, order, contract.name, as_of).run(intake)
    except SQLAlchemyError as error:
        raise failure(error, connection, where) from None
    finally:
        engine.dispose()


def _transaction(engine: Engine) -> Connection:
    connection = engine.connect()
    if engine.dialect.name == "sqlite":
        # The driver itself would begin a transaction only before a write: each SELECT would see another state.
        connection.exec_driver_sql("BEGIN")
    else:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(postgresql_readonly=True)
    return connection


def _columns(session: Connection, read: DatabaseRead, where: str) -> tuple[list[str], list[str]]:
    """All columns of the table, and those that order it: as the contract says, else the primary key, else all."""
    schema, _, name = read.table.rpartition(".")
    inspector = inspect(session)
    with warnings.catch_warnings():
        # Types of which SQLAlchemy knows nothing: we take the driver's values anyway.
        warnings.simplefilter("ignore", SAWarning)
        try:
            names = [str(one["name"]) for one in inspector.get_columns(name, schema or None)]
            key = inspector.get_pk_constraint(name, schema or None).get("constrained_columns") or []
        except NoSuchTableError:
            known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
            near = get_close_matches(name, known, n=3) or known[:8]
            raise SourceContentError(
                f"no table or view {read.table!r}",
                where=where,
                why=f"there {'are' if near else 'is'} {', '.join(near) or 'none at all'}",
                remedy="ask the publisher what it is called now, or whether we have lost the grant",
            ) from None
    wanted = {
        "order the rows by": read.order_by,
        "tell changes by": (read.watermark.heading,) if read.watermark else (),
    }
    for what, columns in wanted.items():
        if unknown := [one for one in columns if one not in names]:
            raise DriftError(
                f"no column {', '.join(unknown)} to {what}",
                where=where,
                why=f"the table has {', '.join(names)}",
                remedy="mend `order_by` or `watermark` of the contract",
            )
    return names, list(read.order_by or key or names)


@dataclass(frozen=True)
class _Pass:
    """One SELECT over the table, batch by batch."""

    session: Connection
    read: DatabaseRead
    names: Sequence[str]
    order: Sequence[str]
    source: str
    as_of: date

    def run(self, intake: Intake) -> None:
        start = intake.cursor
        done = start.get("rows", 0)
        # One row back: the last one we have must still be where it was.
        rows = self._rows(start, max(0, done - 1))
        if done and _fingerprint(islice(rows, 1), self.names) != start["last"]:
            logger.warning(
                "%s: the table has changed since the fetch was cut off; reading it from the start", self.source
            )
            rows.close()
            intake.restart()
            start = {"since": start.get("since"), "watermark": start.get("began")} if self.read.watermark else {}
            rows, done = self._rows(start, 0), 0
        mark = start.get("watermark")
        began = start.get("began", mark)
        following: list[Sequence[Any]] = []
        while not intake.complete:
            batch = following + list(islice(rows, self.read.batch - len(following)))
            # One row ahead, so that the last batch is known as the last when it is kept.
            following = list(islice(rows, 1))
            done += len(batch)
            cursor: Cursor = {"rows": done, "last": _fingerprint(batch[-1:], self.names), "complete": not following}
            if self.read.watermark is not None:
                at = self.names.index(self.read.watermark.heading)
                mark = watermark.advance(mark, (row[at] for row in batch), self.as_of)
                cursor |= {"since": start.get("since"), "began": began, "watermark": mark}
            locator = f"{self.read.table} rows {done - len(batch) + 1} to {done}"
            intake.keep(_json_lines(batch, self.names), locator, cursor)

    def _rows(self, start: Cursor, offset: int) -> Generator[Sequence[Any], None, None]:
        query = _query(self.read, self.names, self.order, offset, start.get("since"))
        # Streamed: the driver must not hold the whole table.
        with self.session.execution_options(yield_per=min(self.read.batch, 5_000)).execute(query) as rows:
            yield from rows


def _query(
    read: DatabaseRead, names: Sequence[str], order: Sequence[str], offset: int, since: watermark.Mark | None
) -> Select[Any]:
    schema, _, name = read.table.rpartition(".")
    # Columns without a type: what the driver gives is taken as it is. A typed column would fail on the first
    # date that is none.
    source = table(name, *(column(one) for one in names), schema=schema or None)
    query = select(source).order_by(*(source.c[one] for one in order))
    if read.where:
        query = query.where(text(f"({read.where})"))
    if read.watermark is not None and since is not None:
        mark = source.c[read.watermark.heading]
        wanted = (mark >= literal(since)) | mark.is_(None)
        if watermark.is_time(since):
            # MySQL's zero dates, and in text columns the empty text: no time, as null is none.
            wanted |= mark < literal(NO_TIME)
        query = query.where(wanted)
    return query.offset(offset) if offset else query


def _json_lines(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> bytes:
    if not _BYTES.isdisjoint(map(type, chain.from_iterable(rows))):
        # By itself it would be written like any text, and a name of base64 looks like a name.
        rows = [[{"base64": bytes(one)} if type(one) in _BYTES else one for one in row] for row in rows]
    return _encoder.encode_lines([dict(zip(names, row, strict=True)) for row in rows])


_BYTES = frozenset((bytes, bytearray, memoryview))


def _fingerprint(rows: Any, names: Sequence[str]) -> str:
    # A hash, not the row: the ledger holds no data of a source.
    return hashlib.sha256(_json_lines(list(rows), names)).hexdigest()


def _plain(value: Any) -> str:
    return str(value)


_encoder = msgspec.json.Encoder(enc_hook=_plain)
