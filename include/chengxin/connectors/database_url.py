"""From a connection to a database engine, and from a driver's error to one of ours.

| connection type | driver | where it points |
|---|---|---|
| `sqlite` | built in | host (or path of the URI) is the file; opened read-only, never created |
| `postgres`, `postgresql` | psycopg2 | host, port, schema = database; `extra`: `sslmode`, `sslrootcert`, `host` |
| `mysql`, `mariadb` | PyMySQL | host, port, schema = database; `extra`: `ssl_ca` |
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from chengxin.connections import Connection
from chengxin.errors import ChengxinError, ConfigError, SourceContentError, SourceRefusedError, SourceUnreachableError

_DRIVERS = {
    "postgres": "postgresql+psycopg2",
    "postgresql": "postgresql+psycopg2",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
_QUERY = {"postgresql+psycopg2": ("host", "sslmode", "sslrootcert", "options"), "mysql+pymysql": ("ssl_ca",)}
_DEFAULTS = {
    "postgresql+psycopg2": {"connect_timeout": "10"},
    "mysql+pymysql": {"connect_timeout": "10", "charset": "utf8mb4"},
}
# SQLSTATE classes and codes, MySQL's numbers, and words of libpq (which gives no code while it connects).
_REFUSED_STATES = ("28", "42501", "3D000")
_GONE_STATES = ("08", "57P", "53", "40", "25P03")
_REFUSED_NUMBERS = (1044, 1045, 1049, 1142, 1143)
_REFUSED_WORDS = ("authentication failed", "no pg_hba.conf entry", "does not exist", "no password supplied")


def open_engine(connection: Connection, where: str, *, writable: bool = False) -> Engine:
    """An engine for the connection; nothing is connected yet.

    Args:
        connection: the connection.
        where: for errors.
        writable: an SQLite file is opened for writing too; on servers, grants decide.

    Raises:
        ConfigError: another type of connection, or its driver is not installed.
        SourceUnreachableError: no such SQLite file.
    """
    if connection.conn_type == "sqlite":
        return _sqlite(connection, where, writable)
    driver = _DRIVERS.get(connection.conn_type)
    if driver is None:
        raise ConfigError(
            f"connection {connection.conn_id!r} is of type {connection.conn_type!r}",
            where=where,
            remedy=f"one of sqlite, {', '.join(_DRIVERS)}",
        )
    url = URL.create(
        driver,
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port,
        database=connection.schema or None,
        query=_DEFAULTS[driver]
        | {key: str(connection.extra[key]) for key in _QUERY[driver] if key in connection.extra},
    )
    try:
        return create_engine(url)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"no driver for a {connection.conn_type} database",
            where=where,
            why=f"the package {error.name!r} is not installed",
            remedy="install it beside chengxin (`pip install chengxin[front]`: psycopg2, PyMySQL)",
        ) from None


def _sqlite(connection: Connection, where: str, writable: bool) -> Engine:
    path = Path(connection.host or connection.schema)
    if not path.is_file():
        raise SourceUnreachableError(
            "the front database is not there",
            where=where,
            why=f"no file {path}",
            remedy="check host of the connection, or ask who puts it there",
        )
    # Read-only as a rule, and by a URI: a plain name would create an empty database where there is none.
    uri = f"file:{quote(str(path.absolute()))}?mode={'rw' if writable else 'ro'}"
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False),
    )


def failure(error: SQLAlchemyError, connection: Connection, where: str) -> ChengxinError:
    """The error of ours that a driver's error means.

    A driver's text is repeated only where it speaks of the query, not of data or logins.
    """
    raw = error.orig if isinstance(error, DBAPIError) else None
    state = str(getattr(raw, "pgcode", None) or "")
    arguments = getattr(raw, "args", ())
    number = arguments[0] if arguments and isinstance(arguments[0], int) else 0
    words = " ".join(str(raw or error).split()).lower()
    if "could not decode" in words or "file is not a database" in words or isinstance(raw, UnicodeDecodeError):
        return SourceContentError(
            "the front database holds what cannot be read",
            where=where,
            why="text that is not in its own encoding" if "decode" in words else "the file is no SQLite database",
            remedy="ask the publisher to mend it",
        )
    connecting = not state and any(word in words for word in _REFUSED_WORDS) and "connection" in words
    if state.startswith(_REFUSED_STATES) or number in _REFUSED_NUMBERS or connecting:
        return SourceRefusedError(
            f"connection {connection.conn_id!r} is refused",
            where=where,
            why=f"SQLSTATE {state}" if state else "the server does not accept this login or database",
            remedy="check login, password and database of the connection, and that SELECT is granted on the table",
        )
    disconnected = isinstance(error, DBAPIError) and error.connection_invalidated
    if disconnected or state.startswith(_GONE_STATES) or _cannot_connect(words, number, state):
        return SourceUnreachableError(
            "the front database does not answer",
            where=where,
            why=_why_unreachable(words),
            remedy="check host and port of the connection, or ask its operator; the next run goes on from here",
        )
    return SourceRefusedError(
        "the database refuses the query",
        where=where,
        why=str(raw or error).splitlines()[0][:200],
        remedy="check `table`, `where` and `order_by` of the contract",
    )


def _cannot_connect(words: str, number: int, state: str) -> bool:
    signs = (
        "could not connect", "connection refused", "could not translate host name", "timeout expired", "no such file",
        "connection to server", "server closed the connection", "database is locked", "unable to open database file",
        "no route to host", "disk i/o error",
    )  # fmt: skip
    return 2000 <= number < 3000 or number in (1040, 1205) or (not state and any(sign in words for sign in signs))


def _why_unreachable(words: str) -> str:
    known = ("connection refused", "timeout expired", "could not translate host name", "database is locked",
             "server closed the connection", "no such file", "unable to open database file")  # fmt: skip
    return next((sign for sign in known if sign in words), "the connection broke off")
