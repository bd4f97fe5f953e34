"""Backup and restore: Airflow's database, the ledger, the lake and the archive, as of one instant that fits together.

The order is the point. Who refers goes before what it refers to: Airflow's runs name harvests of the ledger, the ledger
names commits of the lake and raw files, and files are only ever added. So Airflow's database comes first, then the
ledger together with the list of the lake's live files, last the files themselves. What happens meanwhile is in the
files and in no list, and does no harm; the other way round a list would name files that the backup has not. Ledger and
list are taken while no commit can be opened or closed: in a lake ahead of its ledger, numbers would be given twice.

Iceberg's catalogue and metadata are not put away: they name their folder, and nothing goes by snapshots. A restore
makes them anew from the list of live files, in whatever folder the house now stands. Unchanged files are linked to the
backup before, so every backup is whole and a daily one costs the day's files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import text
from sqlalchemy.orm import Session

from chengxin import __version__, dumps
from chengxin.desk import refresh as desk
from chengxin.dumps import BackupError
from chengxin.lake import CARRIED_PROPERTY, carried, local_path, location
from chengxin.ledger import acts
from chengxin.settings import House
from chengxin.tables import TABLES

MANIFEST = "manifest.json"
UNFINISHED = ".part"
KEPT = ("raw", "rulebooks", "data_docs", "feedback", "desk.key", "ledger.key")
"""What in `<var>` cannot be made again, folders and a file; the others (staging, spill, locks, …) can."""
CATALOGUE_TABLES = ("iceberg_*",)
"""Left out of the ledger's dump where both stand in one database."""


@dataclass(frozen=True)
class LakeTable:
    """What a backup knows of one table.

    Attributes:
        files: names of its live data files.
        rows: how many rows they hold.
        commits: numbers of the commits that its snapshots say are in.
    """

    files: list[str]
    rows: int
    commits: list[int]


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        taken_at: when, ISO 8601, Beijing time.
        version: of Chengxin.
        district: whose house.
        acts, head: number and hash of the ledger's newest act: to be compared with the ones in the operators' mails.
        ledger, airflow: names of the dumps; `airflow` is None where only the house was put away.
        tables: table → what it holds.
        files: path in the backup → [SHA-256, size].
    """

    taken_at: str
    version: str
    district: str
    acts: int
    head: str
    ledger: str
    airflow: str | None
    tables: dict[str, LakeTable]
    files: dict[str, tuple[str, int]]

    @classmethod
    def read(cls, backup: Path) -> Manifest:
        """The manifest of a backup.

        Raises:
            BackupError: the folder holds none: it is no backup, or one that was not finished.
        """
        try:
            found = json.loads((backup / MANIFEST).read_text("utf-8"))
            tables = {name: LakeTable(**table) for name, table in found.pop("tables").items()}
            files = {name: (str(sha256), int(size)) for name, (sha256, size) in found.pop("files").items()}
            return cls(**found, tables=tables, files=files)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackupError(
                "this is no finished backup",
                where=str(backup),
                why=f"{MANIFEST}: {type(error).__name__}",
                remedy="name a folder that `chengxin backup` made",
            ) from None


def take(house: House, folder: Path, *, airflow_url: str = "", keep: int | None = None) -> Path:
    """Takes a backup while the house works.

    Args:
        house: what to put away.
        folder: of the backups; better on another machine.
        airflow_url: SQLAlchemy URL of Airflow's database; empty: it is left out.
        keep: how many backups stay, this one among them; None: all.

    Returns:
        The backup's own folder, named by the instant.

    Raises:
        BackupError: a database cannot be read, files went while they were copied, or another backup is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        for unfinished in folder.glob(f"*{UNFINISHED}"):
            shutil.rmtree(unfinished)
        taken = _take(house, folder, airflow_url)
        if keep is not None:
            for old in _finished(folder)[: -max(keep, 1)]:
                shutil.rmtree(old)
    return taken


def _take(house: House, folder: Path, airflow_url: str) -> Path:
    taken_at, before = house.clock(), _newest(folder)
    final = folder / f"{taken_at:%Y-%m-%dT%H-%M-%S}"
    new = final.with_name(final.name + UNFINISHED)
    new.mkdir(mode=0o700)
    airflow = dumps.dump(airflow_url, new, "airflow").name if airflow_url else None
    with _no_commits(house) as (session, snapshot):
        ledger = dumps.dump(house.ledger.url, new, "ledger", without=CATALOGUE_TABLES, snapshot=snapshot).name
        tables = {name: _table(house, name) for name in TABLES}
        head = acts.head(session)
    wanted = {f"lake/{name}/{file}": _data(house, name) / file for name in tables for file in tables[name].files}
    for kept in KEPT:
        base = house.var / kept
        found = (path for path in (base, *base.rglob("*")) if path.is_file() and path.suffix != ".new")
        wanted |= {path.relative_to(house.var).as_posix(): path for path in found}
    files = _copy_all(wanted, new, before)
    for name in filter(None, (ledger, airflow)):
        files[name] = (_sha256(new / name), (new / name).stat().st_size)
    manifest = Manifest(
        taken_at=taken_at.isoformat(),
        version=__version__,
        district=house.district,
        acts=head.seq,
        head=head.hash,
        ledger=ledger,
        airflow=airflow,
        tables=tables,
        files=dict(sorted(files.items())),
    )
    content = json.dumps(asdict(manifest), ensure_ascii=False, indent=1)
    with (new / MANIFEST).open("w", encoding="utf-8") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    new.rename(final)
    return final


def restore(house: House, backup: Path, *, airflow_url: str = "") -> Manifest:
    """Brings a backup back, on an empty machine: empty databases, and nothing in the house's folder.

    Args:
        house: where to. Its folder may be another than the one that was put away.
        backup: a folder that `take` returned.
        airflow_url: SQLAlchemy URL of Airflow's empty database; empty: it is left out.

    Returns:
        The manifest: its head is the one that the ledger now has.

    Raises:
        BackupError: the backup is damaged, or something is there already, or what came back is not what was put away.
    """
    manifest = Manifest.read(backup)
    _refuse_what_is_there(house)
    _refuse_damage(backup, manifest)
    if airflow_url and manifest.airflow:
        dumps.restore(airflow_url, backup / manifest.airflow)
    dumps.restore(house.ledger.url, backup / manifest.ledger)
    for path in manifest.files:
        if path.partition("/")[0] in KEPT:
            _put(backup / path, house.var / path)
    for name, table in manifest.tables.items():
        _rebuild(house, name, table, backup / "lake" / name)
    # It may have stayed where it was, in a database of its own, and know of commits that are no more.
    desk.empty(house)
    with house.ledger.begin() as session:
        head = acts.head(session)
    if (head.seq, head.hash) != (manifest.acts, manifest.head):
        raise BackupError(
            "the ledger that came back is not the one that was put away",
            where=str(backup),
            why=f"newest act {head.seq} ({head.hash[:12]}) instead of {manifest.acts} ({manifest.head[:12]})",
            remedy="keep both and take an older backup; the heads in the operators' mails say which is right",
        )
    return manifest


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the hold ends with the process, however that ends."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BackupError(
                "another backup is at work in this folder", where=str(folder), remedy="wait for it, or end it"
            ) from None
        yield


@contextmanager
def _no_commits(house: House) -> Iterator[tuple[Session, str]]:
    """Holds every opening and closing of a commit back. Readers go on; writers wait as for one another.

    Yields a session that sees the ledger at this instant, and on PostgreSQL the name of the instant.
    """
    with house.ledger.begin() as session:
        snapshot = ""
        # On SQLite the transaction itself has the one write lock.
        if house.ledger.engine.dialect.name == "postgresql":
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            session.execute(text("LOCK TABLE lake_commit IN SHARE MODE"))
            snapshot = str(session.scalar(text("SELECT pg_export_snapshot()")))
        yield session, snapshot


def _table(house: House, name: str) -> LakeTable:
    files = house.lake.files(name)
    marks: set[int] = set()
    for snapshot in house.lake.table(name).snapshots():
        marks |= carried(snapshot)
    rows = sum(int(pq.read_metadata(file).num_rows) for file in files)
    return LakeTable([Path(file).name for file in files], rows, sorted(marks))


def _data(house: House, name: str) -> Path:
    return Path(local_path(house.lake.table(name).location())) / "data"


def _rebuild(house: House, name: str, table: LakeTable, source: Path) -> None:
    """The Iceberg table anew, from its live files: one snapshot that carries the marks of all."""
    place = _data(house, name)
    place.mkdir(parents=True, exist_ok=True)
    for file in table.files:
        _put(source / file, place / file)
    if table.files:
        marks = {CARRIED_PROPERTY: ",".join(map(str, table.commits))} if table.commits else {}
        house.lake.table(name).add_files([location(place / file) for file in table.files], snapshot_properties=marks)
    rows = _table(house, name).rows
    if rows != table.rows:
        raise BackupError(
            f"table {name} came back with {rows} rows instead of {table.rows}",
            where=str(source),
            remedy="keep what is there, and take an older backup",
        )


def _copy_all(wanted: dict[str, Path], new: Path, before: Path | None) -> dict[str, tuple[str, int]]:
    known = Manifest.read(before).files if before else {}
    files: dict[str, tuple[str, int]] = {}
    for path, source in wanted.items():
        target = new / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if before and path in known and _same(source, before / path):
                os.link(before / path, target)
                files[path] = known[path]
            else:
                shutil.copy2(source, target)
                files[path] = (_sha256(target), target.stat().st_size)
        except FileNotFoundError:
            if path.startswith("data_docs/"):
                # Pages are written anew by every harvest; they judge nothing.
                continue
            raise BackupError(
                "a file went while the backup was taken",
                where=str(source),
                remedy="take it again when `maintain` or an erasure is not at work",
            ) from None
    return files


def _same(source: Path, copied: Path) -> bool:
    """Whether a file is as it was when it was copied; files here are made once, under names of their own."""
    if not copied.is_file():
        return False
    one, other = source.stat(), copied.stat()
    return (one.st_size, int(one.st_mtime)) == (other.st_size, int(other.st_mtime))


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refuse_what_is_there(house: House) -> None:
    there: list[Any] = [house.var / name for name in (*KEPT, "lake") if _is_there(house.var / name)]
    there += [] if dumps.is_empty(house.ledger.url) else ["the ledger's database"]
    if house.catalog_url and house.catalog_url != house.ledger_url and not dumps.is_empty(house.catalog_url):
        there.append("the catalogue's database")
    if there:
        raise BackupError(
            "something is there already",
            where=str(house.var),
            why=f"not empty: {', '.join(map(str, there))}",
            remedy="restore into an empty folder and empty databases; what is there is kept",
        )


def _is_there(path: Path) -> bool:
    return path.is_file() or any(path.glob("*"))


def _refuse_damage(backup: Path, manifest: Manifest) -> None:
    bad = [
        path
        for path, (sha256, size) in manifest.files.items()
        if not (backup / path).is_file() or (backup / path).stat().st_size != size or _sha256(backup / path) != sha256
    ]
    if bad:
        raise BackupError(
            f"{len(bad)} of {len(manifest.files)} files of the backup are missing or damaged",
            where=str(backup),
            why=", ".join(bad[:10]),
            remedy="take an older backup; a linked file that is damaged is damaged in every backup that links it",
        )


def _finished(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST}") if not path.parent.name.endswith(UNFINISHED))


def _newest(folder: Path) -> Path | None:
    found = _finished(folder)
    return found[-1] if found else None
