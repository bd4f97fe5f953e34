"""Keeps the lake's files in order: rewriting some without some rows, merging small ones, sweeping what nobody names.

Every change is one snapshot, so readers see the state before or after. What a reader or a writer at work still needs
is spared: files of commits that the ledger holds open, and fresh metadata, which a commit under way may be about to
name. Snapshots that are expired take with them the mark that says "this commit is in": the marks of open commits are
carried over, so that a killed harvest is still not published twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import ibis
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import _parquet_files_to_data_files
from sqlalchemy import select

from chengxin import engine
from chengxin.engine import Connection
from chengxin.lake import CARRIED_PROPERTY, HALF, arrow_schema, carried, local_path, location
from chengxin.ledger.models import Commit
from chengxin.settings import House
from chengxin.tables import TABLES

SMALL = 64 << 20
"""Data files below this size are merged."""
MANY = 8
"""… where a table has so many of them."""
COMMITTING = timedelta(minutes=10)
"""Far longer than a commit of the lake takes."""

Rows = Callable[[ibis.Table], ibis.Table]


def rewrite(house: House, connection: Connection, name: str, files: Sequence[str], rows: Rows) -> int:
    """Replaces data files by one each, with other rows in it. One snapshot.

    Args:
        house: where the lake is.
        connection: the engine.
        name: the table.
        files: paths of live data files.
        rows: a file's rows → the rows that stay, in the table's schema.

    Returns:
        How many rows there are less.
    """
    if not files:
        return 0
    made, before, after = [], 0, 0
    for file in files:
        target = _named("rewritten", [file])
        content = _complete(connection.read_parquet(file), name)
        before += int(pq.read_metadata(file).num_rows)
        kept = engine.copy_to(connection, rows(content), name, target)
        after += kept
        if kept:
            made.append(target)
        else:
            target.unlink()
    _swap(house, name, files, made)
    return before - after


def rewrite_in_place(connection: Connection, name: str, file: Path, rows: Rows) -> None:
    """Rewrites a data file that no snapshot names yet, under its own name."""
    engine.copy_to(connection, rows(_complete(connection.read_parquet(str(file)), name)), name, file)


def compact(house: House, name: str) -> int:
    """Merges a table's small files into one, where there are many.

    Returns:
        How many files there are less.
    """
    small = [file for file in house.lake.files(name) if Path(file).stat().st_size < SMALL]
    if len(small) < MANY:
        return 0
    connection = house.engine()
    target = _named("merged", small)
    merged = _complete(connection.read_parquet(small, union_by_name=True), name)
    engine.copy_to(connection, merged, name, target)
    _swap(house, name, small, [target])
    for file in small:
        # From now on nobody plans to read them: `sweep` counts its grace from here.
        Path(file).touch()
    return len(small) - 1


def expire(house: House, name: str) -> int:
    """Ends every snapshot but the newest. Replay needs none: it goes by `seq`.

    Returns:
        How many were ended.
    """
    table = house.lake.table(name)
    current = table.current_snapshot()
    old = [
        snapshot.snapshot_id
        for snapshot in table.snapshots()
        if current is not None and snapshot.snapshot_id != current.snapshot_id
    ]
    if current is None or not old:
        return 0
    marks = _marks(house, table)
    if marks - carried(current):
        # A snapshot of nothing but the marks: the newest one is all that stays.
        _mark(table, marks)
        return expire(house, name)
    table.maintenance.expire_snapshots().by_ids(old).commit()
    return len(old)


def sweep(house: House, name: str, *, grace: timedelta = timedelta(hours=1)) -> int:
    """Removes the files of a table that no live snapshot names.

    Args:
        house: where the lake is.
        name: the table.
        grace: younger data files stay, half-written ones too: a reader that planned before may still open them, and
            somebody may be at work on them. Metadata stays for `COMMITTING` at least.

    Returns:
        How many were removed.
    """
    folder = Path(local_path(house.lake.table(name).location()))
    found = [(path, path.stat().st_mtime) for path in folder.rglob("*") if path.is_file()]
    # In this order, after the walk: a commit that closes meanwhile is still open here, or named already.
    open_commits = _open_commits(house)
    named = _named_files(house.lake.table(name))
    # Files have the operating system's time, whatever day the house speaks for.
    now = time.time()
    removed = 0
    for path, changed in found:
        data = path.suffix == ".parquet"
        wait = grace if data or path.suffix == HALF else max(grace, COMMITTING)
        if str(path) in named or now - changed < wait.total_seconds():
            continue
        if data and path.name.split("-")[0].isdigit() and int(path.name.split("-")[0]) in open_commits:
            continue
        path.unlink(missing_ok=True)
        removed += 1
    return removed


def tidy(house: House) -> dict[str, dict[str, int]]:
    """Compacts, expires and sweeps every table.

    Returns:
        Table → `merged`, `expired`, `removed`; tables without any left out.
    """
    counts = {
        name: {"merged": compact(house, name), "expired": expire(house, name), "removed": sweep(house, name)}
        for name in TABLES
    }
    return {name: done for name, done in counts.items() if any(done.values())}


def _complete(rows: ibis.Table, name: str) -> ibis.Table:
    """The rows in the table's present schema: older files may lack a column."""
    schema = ibis.schema(arrow_schema(TABLES[name]))
    missing = {column: ibis.null(kind) for column, kind in schema.items() if column not in rows.columns}
    return rows.mutate(**missing).select(*schema.names)


def _swap(house: House, name: str, old: Sequence[str], new: Sequence[Path]) -> None:
    table = house.lake.table(name)
    live = {local_path(task.file.file_path): task.file for task in table.scan().plan_files()}
    marks = _marks(house, table)
    with (
        table.transaction() as change,
        change.update_snapshot(snapshot_properties=_carrying(marks)).overwrite() as update,
    ):
        for file in old:
            update.delete_data_file(live[file])
        for made in _data_files(table, new):
            update.append_data_file(made)


def _mark(table: IcebergTable, marks: set[int]) -> None:
    with table.transaction() as change, change.update_snapshot(snapshot_properties=_carrying(marks)).fast_append():
        pass


def _data_files(table: IcebergTable, files: Sequence[Path]) -> Iterable[DataFile]:
    return _parquet_files_to_data_files(table.metadata, [location(file) for file in files], table.io)


def _marks(house: House, table: IcebergTable) -> set[int]:
    """Open commits that are in the table already."""
    inside: set[int] = set()
    for snapshot in table.snapshots():
        inside |= carried(snapshot)
    return inside & _open_commits(house)


def _carrying(marks: set[int]) -> dict[str, str]:
    return {CARRIED_PROPERTY: ",".join(map(str, sorted(marks)))} if marks else {}


def _open_commits(house: House) -> set[int]:
    with house.ledger.begin() as session:
        return set(session.scalars(select(Commit.seq).where(Commit.closed_at.is_(None))))


def _named_files(table: IcebergTable) -> set[str]:
    named = {local_path(table.metadata_location)}
    for snapshot in table.snapshots():
        named.add(local_path(snapshot.manifest_list))
        for manifest in snapshot.manifests(table.io):
            named.add(local_path(manifest.manifest_path))
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            named |= {local_path(entry.data_file.file_path) for entry in entries}
    return named


def _named(kind: str, files: Sequence[str]) -> Path:
    """A name for a file made of others: the same for the same ones, so that a rerun overwrites its own."""
    names = "\n".join(Path(file).name for file in files)
    return Path(files[0]).parent / f"{kind}-{hashlib.sha256(names.encode()).hexdigest()[:20]}.parquet"
