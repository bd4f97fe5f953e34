"""Brings the desk up to date with the lake, by the numbers of its commits; or makes it anew.

One transaction: readers see the desk as it was until it is as it will be, and a kill leaves it as it was. Two at once
queue up, and the second finds nothing to do. What a commit that was open said is read once it is closed. Files of the
lake may be merged and rewritten meanwhile: rows are found by the number on them.

An erasure changes rows without a new number, so it has the desk made anew, and its file written anew (`forget`).
"""

from __future__ import annotations

import hashlib
import json
import time
from datetime import date
from typing import Any

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex

from chengxin import districts, keys
from chengxin.clock import beijing_date
from chengxin.desk import tables
from chengxin.desk.store import CURSOR, WAIT, make_tables, state
from chengxin.districts import District
from chengxin.errors import ChengxinError
from chengxin.ledger.models import CheckRun, Commit
from chengxin.settings import House

KEY_FILE = "desk.key"
"""In `<var>`: what refs are made with. Whoever has it can tell whether a ref is a given code's."""


PATIENCE = 120
"""Seconds to wait for readers who still see the old pages; a page takes a third of one."""
LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's code for a lock that was waited for in vain."""


class DeskBusyError(ChengxinError):
    """Readers kept the desk's old pages."""

    cause = "desk"


def refresh(house: House) -> dict[str, Any]:
    """Takes in what the lake has got since the last refresh. The first one, and one after a change of the district's
    sources or routes, makes everything anew.

    Args:
        house: whose desk; its clock says which routes of addresses hold.

    Returns:
        `seq` (how far the desk is now), `anew` (everything was made anew), `rows` (table of the desk → rows written).

    Raises:
        ConfigError: the district's file cannot be used.
    """
    district = _district(house)
    basis = _basis(district, key(house), beijing_date(house.clock()))
    with house.desk.read() as connection:
        if not _due(house, connection, basis):
            return {"seq": state(connection).seq, "anew": False, "rows": {}}
    with house.desk.write() as connection:
        # Looked at again: another refresh may have been first.
        if not _due(house, connection, basis):
            return {"seq": state(connection).seq, "anew": False, "rows": {}}
        return _fill(house, connection, district, basis)


def rebuild(house: House) -> dict[str, Any]:
    """Makes the desk anew from the lake, and its file without what was in it before.

    Args:
        house: whose desk.

    Returns:
        As `refresh`.

    Raises:
        ConfigError: the district's file cannot be used.
        DeskBusyError: readers kept the old pages; done again, it ends it.
    """
    district = _district(house)
    with house.desk.write() as connection:
        connection.execute(update(tables.state).values(basis=""))
        done = _fill(house, connection, district, _basis(district, key(house), beijing_date(house.clock())))
    compact(house)
    return done


def forget(house: House) -> bool:
    """After rows have left the lake: makes the desk anew, if there is one. Returns whether there was."""
    with house.desk.read() as connection:
        if state(connection).built_at is None:
            return False
    rebuild(house)
    return True


def empty(house: House) -> None:
    """Empties the desk: the lake is another one from now on, and the next refresh reads all of it."""
    with house.desk.write() as connection:
        make_tables(connection)


def compact(house: House) -> None:
    """Writes the desk's file anew: a database leaves what it deletes in its free pages and in its log.

    Raises:
        DeskBusyError: readers kept the old pages for minutes.
    """
    with house.desk.writer.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        if not house.desk.embedded:
            _compact_postgres(house, connection)
            return
        driver: Any = connection.connection.driver_connection
        driver.execute("VACUUM")
        driver.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
        (busy, _, _) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise _busy(house, str(house.var / "desk.db-wal"))
        driver.execute(f"PRAGMA busy_timeout={WAIT * 1000}")


def _compact_postgres(house: House, connection: Connection) -> None:
    """Writes every table's file anew. What somebody still sees would be carried over: he is waited for."""
    deadline = time.monotonic() + PATIENCE
    since = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    looking = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_xmin IS NOT NULL AND xact_start < :since"
    )
    while connection.execute(looking, {"since": since}).scalar_one():
        if time.monotonic() > deadline:
            raise _busy(house, "pg_stat_activity")
        time.sleep(0.1)
    # Who waits for a table has all who come later wait as well: for a moment only, and then once more.
    connection.execute(text("SET lock_timeout = '2s'"))
    try:
        for table in tables.metadata.sorted_tables:
            while not _vacuumed(connection, table.name):
                if time.monotonic() > deadline:
                    raise _busy(house, table.name)
    finally:
        connection.execute(text("RESET lock_timeout"))


def _vacuumed(connection: Connection, name: str) -> bool:
    try:
        connection.execute(text(f'VACUUM (FULL, ANALYZE) "{name}"'))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", "") != LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _busy(house: House, where: str) -> DeskBusyError:
    return DeskBusyError(
        "the desk's file still holds what was taken out of it",
        where=where,
        why="readers kept a state of before",
        remedy=f"run `{house.command} desk rebuild` once more",
    )


def key(house: House) -> bytes:
    """The key that refs are made with: random, made on first use, kept beside the lake."""
    return keys.kept(house.var / KEY_FILE)


def _due(house: House, connection: Connection, basis: str) -> bool:
    known = state(connection)
    if _basis_of(connection) != basis:
        return True
    reach, waiting = _commits(house)
    return reach != known.seq or waiting != known.waiting


def _fill(house: House, connection: Connection, district: District, basis: str) -> dict[str, Any]:
    from chengxin.desk import load
    from chengxin.desk.fill import Fill, Reach

    known = state(connection)
    seq, waiting = _commits(house)
    # A ledger that went back was restored: what the desk took in of commits since then is nowhere else.
    anew = _basis_of(connection) != basis or seq < known.seq
    fresh = None if anew else frozenset(_between(house, known.seq, seq) | set(known.waiting)) - set(waiting)
    if anew:
        _empty(connection)
    fill = Fill(house, district, key(house), Reach(seq, waiting, fresh), beijing_date(house.clock()))
    rows: dict[str, int] = {}
    try:
        for part in fill.parts():
            name = part.target.name
            rows[name] = rows.get(name, 0) + load.replace(connection, fill.connection, part, full=anew)
    finally:
        fill.close()
    if tables.matter.name in rows:
        _count_matters(connection)
    if anew:
        _finish(connection)
    now = house.clock().isoformat()
    connection.execute(
        update(tables.state)
        .where(tables.state.c.name == CURSOR)
        .values(
            seq=seq, waiting=list(waiting), basis=basis, refreshed_at=now,
            **({"built_at": now} if anew else {}),
        )
    )  # fmt: skip
    return {"seq": seq, "anew": anew, "rows": {name: number for name, number in rows.items() if number}}


def _count_matters(connection: Connection) -> None:
    """The counts above a list that is not filtered otherwise: adding up all matters would be half of its time."""
    kept, told = tables.matter_count, tables.matter.c
    groups = [told.department, told.type, told.state]
    sums = [func.sum(told[tables.counter(outcome)]) for outcome in tables.OUTCOMES]
    names = ["department", "type", "state", "matters", *map(tables.counter, tables.OUTCOMES)]
    connection.execute(kept.delete())
    connection.execute(kept.insert().from_select(names, select(*groups, func.count(), *sums).group_by(*groups)))


def _commits(house: House) -> tuple[int, tuple[int, ...]]:
    """The newest closed commit, and those below it whose rows do not count yet: they are still open.

    A check that was killed leaves its commit open for good. What it had written counts as soon as a later check has
    ended: that one found it in the lake, and wrote only the rest.
    """
    with house.ledger.read() as session:
        seq = session.scalar(select(func.max(Commit.seq)).where(Commit.closed_at.is_not(None))) or 0
        later = (
            select(CheckRun.id)
            .where(
                CheckRun.district == Commit.name,
                CheckRun.started_at >= Commit.opened_at,
                CheckRun.finished_at.is_not(None),
            )
            .exists()
        )
        waiting = session.scalars(
            select(Commit.seq)
            .where(Commit.closed_at.is_(None), Commit.seq < seq, (Commit.kind != "check") | ~later)
            .order_by(Commit.seq)
        )
        return seq, tuple(waiting)


def _between(house: House, after: int, upto: int) -> set[int]:
    with house.ledger.read() as session:
        return set(session.scalars(select(Commit.seq).where(Commit.seq > after, Commit.seq <= upto)))


def _empty(connection: Connection) -> None:
    """Empties the desk, inside the transaction: who reads goes on seeing what was there."""
    if connection.dialect.name != "sqlite":
        # Dropping would wait for every reader, and every reader for it.
        for table in tables.metadata.sorted_tables:
            if table is not tables.state:
                connection.execute(table.delete())
        return
    make_tables(connection)
    for table in tables.metadata.sorted_tables:
        for index in table.indexes:
            index.drop(connection)


def _finish(connection: Connection) -> None:
    """Indexes after the rows: sorting once is quicker than keeping order a million times."""
    if connection.dialect.name != "sqlite":
        # By name: what else may stand in the database is not ours.
        connection.execute(text(f"ANALYZE {', '.join(table.name for table in tables.metadata.sorted_tables)}"))
        return
    for table in tables.metadata.sorted_tables:
        for index in table.indexes:
            connection.execute(CreateIndex(index))
    connection.execute(text("ANALYZE"))


def _basis_of(connection: Connection) -> str:
    return connection.execute(select(tables.state.c.basis).where(tables.state.c.name == CURSOR)).scalar() or ""


def _basis(district: District, key: bytes, day: date) -> str:
    """What the rows are made by, beside the lake: when it changes, they are made anew."""
    said = {
        "district": district.code,
        "sources": sorted(district.sources),
        "routes": [[route.area, route.to] for route in district.areas if route.holds(day)],
        "key": hashlib.sha256(key).hexdigest(),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _district(house: House) -> District:
    return districts.load(house.include_dir / "districts" / f"{house.district}.yml")
