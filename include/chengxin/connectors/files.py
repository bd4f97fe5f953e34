"""Files that somebody drops into a folder (`places` says where folders may be).

`take: day` takes every matching file of that day, in the order of their names (a list may come in parts); `newest` the
newest matching file alone, older lists in the same folder being history; `new` every matching file that the harvests of
earlier days have not read, by its hash: for folders in which files stay.

Where the newest file is the very one (name, size and time) that the last published harvest of an earlier day read, or
where no file is new, nothing has come: the harvest is `quiet` (`connectors.earlier`), and the source ages. A newest
file whose bytes are those of last time is not read twice: what it said stands. That the sender put it there anew, by
another name or at a later time, is heard all the same.

A file is read when it is whole: it is not empty, no partner named `….part` (or the like) stands beside it, neither its
size nor its time changes while we look, nor while we copy it, and the completion marker and the checksum that the
contract awaits are there and right. A marker that is older than its file was left by an earlier one of that name; a
checksum, also one in the marker, decides first. Anything else waits for the next run: the harvest with it, or, of
`take: new`, where each file tells of something else, that file alone (counted in the cursor as `waiting`, and told to
the operators). The same bytes twice in one harvest are read once.

A list in several files is published when all are there, or the rows of a missing one would be taken for gone: as many
as `parts` says, those that `manifest` names, or else no fewer than last time (`connectors.file_lists`).
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import PurePosixPath
from typing import Any

from chengxin.connectors import earlier, file_lists
from chengxin.connectors.intake import Intake
from chengxin.connectors.places import FileWaitsError, Found, Place, opened, printable, waits
from chengxin.contracts import Contract
from chengxin.errors import ConfigError, SourceUnreachableError
from chengxin.reads import FilesRead
from chengxin.settings import House

logger = logging.getLogger(__name__)

HALF_WRITTEN = (".part", ".partial", ".tmp", ".filepart", ".crdownload", ".uploading")
FEEDBACK = ".feedback.csv"
SETTLE = 0.2
"""Seconds between two looks at a file that may still grow."""
TOLERANCE = 2.0
"""Seconds that a marker may seem older than its file: SFTP tells whole seconds, a FAT disk every other one."""

_DIGESTS = {".md5": re.compile(rb"\b[0-9a-fA-F]{32}\b"), ".sha256": re.compile(rb"\b[0-9a-fA-F]{64}\b")}


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
        SourceRefusedError: a login or host key that is not accepted, or a file that we may not read.
    """
    with opened(house.connections(read.connection)) as place:
        place.check()
        files = _matching(place, read, as_of)
        last = None if read.taken == "new" else earlier.harvest(house, contract, as_of)
        day = file_lists.expected(place, contract, read, as_of, last)
        files = day.of(files)
        # Before any is read: what is there may be sent once more until the rest has come.
        day.hold(len(files))
        known = _known(intake, read, as_of, last)
        stands = read.taken == "newest" and last is not None and last.stands and contract.partitions is None
        hashes = {look[2] for look in known.values()} if stands or read.taken == "new" else set()
        done: list[str] = list(intake.cursor.get("files", []))
        seen: dict[str, Any] = dict(intake.cursor.get("seen", {}))
        unheard = [file for file in files if file.name not in done and known.get(file.name, [])[:2] != file.look]
        quiet = not done and not unheard and read.taken != "day"
        if quiet and stands:
            seen = {file.name: known[file.name] for file in files}
        awaited = unheard if stands or read.taken == "new" else [file for file in files if file.name not in done]
        if not awaited:
            day.hold(intake.count)
            intake.advance({"files": done, "seen": seen, "quiet": quiet, "stands": stands, "complete": True})
            return
        sleep(SETTLE if read.settle is None else read.settle)
        waiting = 0
        for file in awaited:
            try:
                _whole(place, file)
                announced = day.checksums.get(file.name) or _announced(place, read, file)
                sha256, size = intake.archive(_read(place, file, announced))
                _whole(place, file)
            except FileWaitsError as wait:
                # Each file tells of something else: one that never becomes whole must not keep back all others.
                if read.taken != "new":
                    raise
                logger.warning("left for the next harvest: %s", wait)
                waiting += 1
                continue
            done.append(file.name)
            if read.taken != "day":
                seen[file.name] = [*file.look, sha256]
            again = sha256 in hashes or intake.has(sha256)
            taken = intake.count + (not again)
            complete = file is awaited[-1] and day.enough(taken)
            cursor = {
                "files": list(done),
                "seen": dict(seen),
                "quiet": quiet,
                "taken": taken,
                "waiting": waiting,
                "complete": complete,
            }
            if again:
                logger.info("%s: the same bytes have been read before; they are not read twice", place.where(file.name))
                intake.advance({**cursor, "stands": stands})
            else:
                intake.take(sha256, size, file.name, cursor)
        day.hold(intake.count)
        if not intake.complete and waiting:
            left = {"files": done, "seen": seen, "quiet": not done, "taken": intake.count, "waiting": waiting}
            intake.advance({**left, "complete": True})


def _known(intake: Intake, read: FilesRead, as_of: date, last: earlier.Earlier | None) -> dict[str, Any]:
    """File name → size, time and hash of what earlier days have read."""
    if read.taken == "new":
        return intake.seen_before(as_of)
    if read.taken == "day":
        return {}
    return {name: look for cursor in (last.cursors if last else ()) for name, look in cursor.get("seen", {}).items()}


def _matching(place: Place, read: FilesRead, as_of: date) -> list[Found]:
    pattern = read.pattern.replace("{as_of}", f"{as_of:%Y%m%d}")
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise ConfigError(
            "the pattern leads out of the folder",
            where=f"pattern {read.pattern!r}",
            remedy="a file name, or folders below the connection's and a file name",
        )
    ends = (*HALF_WRITTEN, FEEDBACK)
    beside = [template.rpartition("}")[2] for template in (read.marker, read.checksum) if template]
    files = [
        file
        for file in place.matching(pattern)
        if not file.name.lower().endswith((*ends, *(end for end in beside if end)))
    ]
    if read.taken == "new":
        return files
    if not files:
        begun = [one.name for one in place.matching(f"{pattern}*") if one.name.lower().endswith(HALF_WRITTEN)]
        raise SourceUnreachableError(
            "the awaited file has not come" + (" whole" if begun else ""),
            where=f"{place.where(pattern)} (connection {read.connection})",
            why=f"half-written: {', '.join(map(printable, begun))}" if begun else "no file of that name",
            remedy="ask the sender; the next run looks again",
        )
    return files if read.taken == "day" else [max(files, key=lambda file: (file.at or 0.0, file.changed, file.name))]


def _whole(place: Place, before: Found) -> None:
    name = before.name
    now = place.look(name)
    if now is None:
        raise waits(place, name, "it was taken away while we looked")
    if now != before:
        raise waits(place, name, f"still being written: {before.size:,} bytes, then {now.size:,}")
    if now.size == 0:
        raise waits(place, name, "empty")
    partner = next((name + end for end in HALF_WRITTEN if place.look(name + end)), None)
    if partner:
        raise waits(place, name, f"half-written: {PurePosixPath(partner).name} stands beside it")


def _announced(place: Place, read: FilesRead, file: Found) -> tuple[str, str] | None:
    """What the sender says of the file: that it is whole, and its checksum (kind, hex)."""
    said = None
    if read.checksum:
        name = _beside(read.checksum, file.name)
        kind = PurePosixPath(name).suffix
        text = place.small(name)
        if text is None:
            raise waits(place, file.name, f"{PurePosixPath(name).name} has not come")
        found = _DIGESTS[kind].search(text)
        if found is None:
            raise waits(place, file.name, f"{PurePosixPath(name).name} holds no {kind[1:]} checksum")
        said = kind[1:], found[0].decode("ascii").lower()
    if read.marker:
        name = _beside(read.marker, file.name)
        marker = place.look(name)
        if marker is None:
            raise waits(place, file.name, f"{PurePosixPath(name).name} has not come")
        said = said or _in_marker(place.small(name) or b"")
        if said is None and marker.at is not None and file.at is not None and marker.at < file.at - TOLERANCE:
            raise waits(
                place, file.name, f"{PurePosixPath(name).name} is older than it: left from an earlier file of that name"
            )
    return said


def _in_marker(text: bytes) -> tuple[str, str] | None:
    """The checksum that a marker holds, alone or before the file's name."""
    for kind, shape in _DIGESTS.items():
        if found := shape.match(text.lstrip()):
            return kind[1:], found[0].decode("ascii").lower()
    return None


def _beside(template: str, name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(template.format(name=path.name, stem=path.stem)))


def _read(place: Place, file: Found, announced: tuple[str, str] | None) -> Iterator[bytes]:
    digest = hashlib.new(announced[0], usedforsecurity=False) if announced else None
    try:
        for chunk in place.read(file.name):
            if digest:
                digest.update(chunk)
            yield chunk
    except FileNotFoundError:
        raise waits(place, file.name, "it was taken away while we looked") from None
    if digest and announced and digest.hexdigest() != announced[1]:
        raise waits(place, file.name, f"its {announced[0]} is not the one that the sender announced")
