"""Whole databases, put away in a file and brought back: SQLite and PostgreSQL.

PostgreSQL by its own programs, `pg_dump` and `pg_restore`, of the server's major version or a newer one. Passwords go
to them by the environment: a command line can be read by every process of a machine.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, create_engine, inspect, make_url

from chengxin.errors import ChengxinError

SUFFIX = {"sqlite": ".db", "postgresql": ".pgdump"}


class BackupError(ChengxinError):
    """A backup that cannot be taken, or cannot be brought back."""

    cause = "backup"


def dump(url: str, folder: Path, name: str, *, without: Sequence[str] = (), snapshot: str = "") -> Path:
    """Puts a database away as it is at one instant; others may go on writing.

    Args:
        url: SQLAlchemy URL.
        folder: where the file goes.
        name: of the file, without its ending.
        without: patterns of tables to leave out (PostgreSQL only).
        snapshot: the instant, as another transaction exported it (PostgreSQL only).

    Raises:
        BackupError: another kind of database, or it cannot be read.
    """
    place = make_url(url)
    target = folder / f"{name}{SUFFIX[_kind(place)]}"
    if _kind(place) == "sqlite":
        _copy(_file(place), target)
        return target
    own = ["--format=custom", "--no-owner", "--no-privileges", f"--file={target}"]
    own += [f"--exclude-table={pattern}" for pattern in without]
    own += [f"--snapshot={snapshot}"] if snapshot else []
    _run(["pg_dump", *own, *_address(place)], place)
    return target


def restore(url: str, source: Path) -> None:
    """Brings a database back, into an empty one.

    Args:
        url: SQLAlchemy URL of an empty database, or of a SQLite file that is not there.
        source: a file that `dump` wrote.

    Raises:
        BackupError: the database is not empty, of another kind, or cannot be written.
    """
    place = make_url(url)
    if source.suffix != SUFFIX[_kind(place)]:
        raise BackupError(
            f"a dump of another kind of database: {source.name}",
            where=_named(place),
            remedy="restore into the kind of database that it was taken from",
        )
    if not is_empty(url):
        raise BackupError(
            "the database to restore into is not empty",
            where=_named(place),
            remedy="make an empty one; what is there is kept",
        )
    if _kind(place) == "sqlite":
        _file(place).parent.mkdir(parents=True, exist_ok=True)
        _copy(source, _file(place))
        return
    own = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    _run(["pg_restore", *own, *_address(place), str(source)], place)


def is_empty(url: str) -> bool:
    """Whether a database has no tables yet, or is not there."""
    place = make_url(url)
    if _kind(place) == "sqlite" and not _file(place).exists():
        return True
    engine = create_engine(place)
    try:
        return not inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _kind(place: URL) -> str:
    kind = place.get_backend_name()
    if kind not in SUFFIX:
        raise BackupError(
            f"no backup of a database of the kind {kind!r}", where=_named(place), remedy="SQLite or PostgreSQL"
        )
    return kind


def _named(place: URL) -> str:
    return place.render_as_string(hide_password=True)


def _file(place: URL) -> Path:
    return Path(place.database or "")


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise BackupError("a database is not there", where=str(source), remedy="look at the URL, or whether it ran yet")
    # SQLite's own way: right also while others write, and with what still lies in its write-ahead log.
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as reader,
        closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer)


def _address(place: URL) -> list[str]:
    host = place.host or place.query.get("host")
    parts = (("host", host), ("port", place.port), ("username", place.username), ("dbname", place.database))
    return ["--no-password", *(f"--{name}={value}" for name, value in parts if value)]


def _run(command: list[str], place: URL) -> None:
    program = shutil.which(command[0])
    if program is None:
        raise BackupError(
            f"{command[0]} is not installed",
            where=_named(place),
            remedy="install PostgreSQL's client programs of the server's major version (postgresql-client)",
        )
    secret = {"PGPASSWORD": place.password} if place.password else {}
    done = subprocess.run(  # noqa: S603  # the program was looked up, the rest is ours
        [program, *command[1:]],
        env={**os.environ, **{name: str(value) for name, value in secret.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BackupError(
            f"{command[0]} failed",
            where=_named(place),
            why="; ".join(done.stderr.strip().splitlines()[-3:]),
            remedy="its message says why; its major version must not be older than the server's",
        )
