"""What the ledger's and the desk's connections have in common: how many there may be, and SQLite's beginnings."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine

KEPT: Final = 5
"""Connections that a process keeps open, of each database. PostgreSQL's are shared by all processes and districts."""
AT_ONCE: Final = 40
"""Connections that a process has at most, of each database: one for every thread of Airflow's API server (anyio's own
number), none of which holds two. A task has one or two."""
LIFE: Final = 1800
"""Seconds after which a connection is made anew, as Airflow's are: firewalls forget those that are silent for long."""


def postgres(url: str, **options: Any) -> Engine:
    """An engine for PostgreSQL, for pages as for tasks.

    Args:
        url: SQLAlchemy URL.
        options: more of `create_engine`'s.
    """
    return create_engine(
        url, pool_size=KEPT, max_overflow=AT_ONCE - KEPT, pool_pre_ping=True, pool_recycle=LIFE, **options
    )


def begin(connection: Connection) -> None:
    """Listens to "begin" on SQLite: a transaction that sees one state and takes no lock.

    The driver must not say BEGIN itself (`isolation_level = None`).
    """
    connection.exec_driver_sql("BEGIN")


def begin_immediate(connection: Connection) -> None:
    """Listens to "begin" on SQLite: takes the write lock at once, so two writers queue up.

    A transaction that began by reading would fail where it first writes.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")
