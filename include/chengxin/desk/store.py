"""Where the desk is: SQLite in `<var>/desk.db` (WAL), or PostgreSQL by `CHENGXIN_DESK_URL`.

Readers never wait for a writer, and see one state for as long as their connection is open. There is one writer at a
time; a second one waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.schema import CreateIndex, CreateTable

from chengxin import databases
from chengxin.desk import tables
from chengxin.desk.rows import State

CURSOR = "cursor"
WAIT = 900
"""Seconds that a writer waits for another one: longer than a desk takes to be made anew."""
_LOCK = 4_205_000_112
"""Number of PostgreSQL's advisory lock."""
_POSTGRES_READS = "-c default_transaction_read_only=on -c idle_in_transaction_session_timeout=60s"
"""A reader that hangs is cut off: for as long as it sees an old state, nothing of that is really forgotten."""


class Desk:
    """One desk.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def embedded(self) -> bool:
        """Whether it is SQLite."""
        return make_url(self.url).get_backend_name() == "sqlite"

    @cached_property
    def writer(self) -> Engine:
        """The engine that writes; the tables are made on first use, and made anew where their definitions changed."""
        url = make_url(self.url)
        if self.embedded:
            if url.database:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(url, connect_args={"timeout": WAIT}, pool_size=1)
            event.listen(engine, "connect", _sqlite_writes)
            event.listen(engine, "begin", databases.begin_immediate)
        else:
            engine = databases.postgres(self.url)
        with engine.connect() as connection:
            current = _definitions_of(connection) == definitions()
        if not current:
            with _alone(engine, self.embedded) as connection:
                # Looked at again: another process may have been first.
                if _definitions_of(connection) != definitions():
                    make_tables(connection)
        return engine

    @cached_property
    def reader(self) -> Engine:
        """The engine of the pages: it cannot write."""
        dialect = self.writer.dialect.name
        if dialect != "sqlite":
            return databases.postgres(
                self.url, isolation_level="REPEATABLE READ", connect_args={"options": _POSTGRES_READS}
            )
        engine = create_engine(self.url, connect_args={"timeout": 60}, pool_size=20, max_overflow=20)
        event.listen(engine, "connect", _sqlite_reads)
        event.listen(engine, "begin", databases.begin)
        return engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state of the desk and writes nothing."""
        with self.reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """The only writing connection: one transaction, committed at the end, rolled back on an error or a kill."""
        with _alone(self.writer, self.embedded) as connection:
            yield connection

    def close(self) -> None:
        """Closes what is open; the next use opens it again."""
        for name in ("reader", "writer"):
            if name in self.__dict__:
                self.__dict__.pop(name).dispose()


def state(connection: Connection) -> State:
    """How far the desk is."""
    row = connection.execute(select(tables.state).where(tables.state.c.name == CURSOR)).one_or_none()
    if row is None:
        return State(0, (), None, None)
    return State(row.seq, tuple(row.waiting), row.refreshed_at, row.built_at)


def definitions() -> str:
    """The hash of the tables' definitions."""
    parts = [
        str(part)
        for table in tables.metadata.sorted_tables
        for part in (CreateTable(table), *(CreateIndex(index) for index in sorted(table.indexes, key=_name)))
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def make_tables(connection: Connection) -> None:
    """Makes all tables anew, empty."""
    found = [name for name in inspect(connection).get_table_names() if name.startswith("desk_")]
    for name in found:
        connection.execute(text(f'DROP TABLE "{name}"'))
    tables.metadata.create_all(connection, checkfirst=False)
    connection.execute(tables.state.insert().values(name=CURSOR, seq=0, waiting=[], basis="", tables=definitions()))


def _definitions_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table(tables.state.name):
        return None
    columns = {column["name"] for column in inspect(connection).get_columns(tables.state.name)}
    if "tables" not in columns:
        return None
    return connection.execute(select(tables.state.c.tables).where(tables.state.c.name == CURSOR)).scalar()


def _name(index: Any) -> str:
    return str(index.name)


@contextmanager
def _alone(engine: Engine, embedded: bool) -> Iterator[Connection]:
    with engine.begin() as connection:
        if not embedded:
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        yield connection


def _sqlite_writes(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy, not the driver, says BEGIN
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # What a power cut takes from the desk is made again from the lake.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute("PRAGMA journal_size_limit=67108864")
    cursor.execute("PRAGMA cache_size=-131072")
    cursor.close()


def _sqlite_reads(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    # Mapped, the pages of the file are one copy for all readers; a cache of each reader's own would be twenty.
    cursor.execute("PRAGMA mmap_size=4294967296")
    cursor.execute("PRAGMA cache_size=-4096")
    cursor.close()
