"""The ledger's database: engine, sessions, schema.

SQLite (WAL, short write transactions, one writer at a time) is the embedded default, PostgreSQL the production one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session

from chengxin import databases


class Ledger:
    """One ledger.

    Args:
        url: SQLAlchemy URL, e.g. `sqlite:////srv/chengxin/ledger.db` or `postgresql+psycopg2://…`.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def engine(self) -> Engine:
        """The engine, with the schema brought up to date on first use."""
        url = make_url(self.url)
        if url.get_backend_name() == "sqlite":
            if url.database:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_engine(url, connect_args={"timeout": 60})
            event.listen(engine, "connect", _sqlite_pragmas)
            event.listen(engine, "begin", databases.begin_immediate)
        else:
            engine = databases.postgres(self.url)
        from chengxin.ledger.migrate import upgrade

        upgrade(engine)
        return engine

    @cached_property
    def _reader(self) -> Engine:
        """For those who only look: on SQLite they never wait for a writer, and cannot write."""
        if self.engine.dialect.name != "sqlite":
            return self.engine
        reader = create_engine(make_url(self.url), connect_args={"timeout": 60}, pool_size=20, max_overflow=20)
        event.listen(reader, "connect", _sqlite_reads_only)
        event.listen(reader, "begin", databases.begin)
        return reader

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the ledger and writes nothing."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back on an error."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def begin_lightly(self) -> Iterator[Session]:
        """Like `begin`, but on disk only with the next transaction of `begin`: outlives a kill, not a power cut.

        For progress that can be made again, written often.
        """
        with self.engine.connect() as connection:
            # On the driver's connection: SQLite takes a PRAGMA only outside of a transaction.
            driver = connection.connection.driver_connection if connection.dialect.name == "sqlite" else None
            if driver:
                driver.execute("PRAGMA synchronous=NORMAL")
            try:
                with Session(connection, expire_on_commit=False) as session, session.begin():
                    if not driver:
                        session.execute(text("SET LOCAL synchronous_commit TO OFF"))
                    yield session
            finally:
                if driver:
                    driver.execute("PRAGMA synchronous=FULL")


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy, not the driver, says BEGIN
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _sqlite_reads_only(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
