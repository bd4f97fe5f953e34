"""Files that somebody drops into a folder.

A pattern with `{as_of}` takes every matching file of that day, in the order of their names (a list may come in parts).
A pattern without it takes the newest matching file alone: older lists in the same folder are history.

A file is read when it is whole: it is not empty, no partner named `….part` (or the like) stands beside it, and neither
its size nor its time changes while we look, nor while we copy it. Anything else waits for the next run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path, PurePosixPath

from chengxin.connections import Connection
from chengxin.connectors.intake import Intake
from chengxin.contracts import Contract, FilesRead
from chengxin.errors import ConfigError, SourceRefusedError, SourceUnreachableError
from chengxin.settings import House

HALF_WRITTEN = (".part", ".partial", ".tmp", ".filepart", ".crdownload", ".uploading")
SETTLE = 0.2
"""Seconds between two looks at a file that may still grow."""

_Look = tuple[int, int]


def fetch(
    house: House,
    contract: Contract,
    read: FilesRead,
    as_of: date,
    intake: Intake,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Archives the day's files, those that the cursor names excepted.

    Raises:
        ConfigError: the connection names no folder, or the pattern leads out of it.
        SourceUnreachableError: the folder or the awaited file is not there, or not whole yet.
        SourceRefusedError: a file that we may not read.
    """
    folder = _folder(house.connections(read.connection))
    done: list[str] = list(intake.cursor.get("files", []))
    paths = _matching(folder, read, as_of)
    awaited = [path for path in paths if path.relative_to(folder).as_posix() not in done]
    looks = {path: _look(path) for path in awaited}
    sleep(SETTLE)
    for path in awaited:
        name = path.relative_to(folder).as_posix()
        _whole(path, looks[path])
        sha256, size = intake.archive(_bytes(path))
        _whole(path, looks[path])
        done.append(name)
        intake.take(sha256, size, name, {"files": list(done), "complete": path == awaited[-1]})


def _folder(connection: Connection) -> Path:
    path = str(connection.extra.get("path") or "")
    if not path:
        path = "/".join(part for part in (connection.host, connection.schema) if part)
    if not path:
        raise ConfigError(
            f"connection {connection.conn_id!r} names no folder",
            where=f"connection {connection.conn_id}",
            remedy='set its extra to {"path": "…"}',
        )
    folder = Path(path)
    if not folder.is_dir():
        raise SourceUnreachableError(
            "the folder is not there",
            where=f"{folder} (connection {connection.conn_id})",
            why="it is a file" if folder.exists() else "no such folder",
            remedy="mount it, or mend `path` in the connection's extra",
        )
    return folder


def _matching(folder: Path, read: FilesRead, as_of: date) -> list[Path]:
    pattern = read.pattern.replace("{as_of}", f"{as_of:%Y%m%d}")
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise ConfigError(
            "the pattern leads out of the folder",
            where=f"pattern {read.pattern!r}",
            remedy="a file name, or folders below the connection's and a file name",
        )
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    files = [path for path in found if not path.name.lower().endswith(HALF_WRITTEN)]
    if not files:
        begun = sorted(path.name for path in folder.glob(f"{pattern}*") if path.name.lower().endswith(HALF_WRITTEN))
        raise SourceUnreachableError(
            "the awaited file has not come" + (" whole" if begun else ""),
            where=f"{folder / pattern} (connection {read.connection})",
            why=f"half-written: {', '.join(begun)}" if begun else "no file of that name",
            remedy="ask the sender; the next run looks again",
        )
    if "{as_of}" in read.pattern:
        return files
    return [max(files, key=lambda path: (path.stat().st_mtime_ns, path.name))]


def _look(path: Path) -> _Look:
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise _waits(path, "it was taken away while we looked") from None
    return stat.st_size, stat.st_mtime_ns


def _whole(path: Path, before: _Look) -> None:
    size, _ = now = _look(path)
    if now != before:
        raise _waits(path, f"still being written: {before[0]:,} bytes, then {size:,}")
    if size == 0:
        raise _waits(path, "empty")
    partner = next((path.with_name(path.name + end) for end in HALF_WRITTEN if _exists(path, end)), None)
    if partner:
        raise _waits(path, f"half-written: {partner.name} stands beside it")


def _exists(path: Path, end: str) -> bool:
    return path.with_name(path.name + end).exists()


def _waits(path: Path, why: str) -> SourceUnreachableError:
    return SourceUnreachableError(
        "the awaited file is not whole yet",
        where=str(path),
        why=why,
        remedy="the next run looks again; if it stays so, ask the sender to send it once more",
    )


def _bytes(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except FileNotFoundError:
        raise _waits(path, "it was taken away while we looked") from None
    except PermissionError:
        raise SourceRefusedError(
            "we may not read a file",
            where=str(path),
            remedy="give the account that runs the harvest the right to read it",
        ) from None
