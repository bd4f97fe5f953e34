"""A day's list in several files: which they are, and when all have come.

What a whole list does not name is taken for gone, so half of one must not be published. The contract says how many
files make a day's (`parts`), or names the file that lists them (`manifest`, as `sha256sum` writes it, or one name a
line). Where it says neither, a whole list comes in no fewer files than the last one that was published.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import PurePosixPath

from chengxin.connectors.earlier import Earlier
from chengxin.connectors.places import Found, Place, printable, waits
from chengxin.contracts import Contract
from chengxin.errors import SourceContentError
from chengxin.reads import FilesRead

logger = logging.getLogger(__name__)

Checksum = tuple[str, str]
"""Kind (`md5`, `sha256`) and hex."""

_LINE = re.compile(r"(?:(?P<hex>[0-9a-fA-F]{64}|[0-9a-fA-F]{32})[ \t]+\*?)?(?P<name>.+)")
_LONGEST = 4
"""MiB of a manifest at most."""


@dataclass(frozen=True)
class Expected:
    """What is to be there before a day's list is read to its end.

    Attributes:
        place, pattern: for errors.
        least: how many files, the same bytes counted once.
        why: who says so.
        names: the files; None: whatever matches.
        checksums: file → what the manifest says of it.
    """

    place: Place
    pattern: str
    least: int = 0
    why: str = ""
    names: frozenset[str] | None = None
    checksums: Mapping[str, Checksum] = field(default_factory=dict)

    def of(self, files: Sequence[Found]) -> list[Found]:
        """The files of the list, of those that match.

        Raises:
            SourceUnreachableError: one that the manifest names is missing.
        """
        if self.names is None:
            return list(files)
        missing = sorted(self.names - {file.name for file in files})
        if missing:
            shown = ", ".join(map(printable, missing[:5])) + (
                f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            )
            raise waits(self.place, self.pattern, f"{self.why} names what has not come: {shown}")
        others = len(files) - len(self.names)
        if others:
            logger.warning("%s: %d files are not named by the manifest; left aside", self.place.where(), others)
        return [file for file in files if file.name in self.names]

    def enough(self, taken: int) -> bool:
        """Whether so many files make the list."""
        return taken >= self.least

    def hold(self, taken: int) -> None:
        """Sees that so many files make the list.

        Raises:
            SourceUnreachableError: they do not.
        """
        if not self.enough(taken):
            raise waits(self.place, self.pattern, f"{taken} of {self.least} files have come; {self.why}")


def expected(place: Place, contract: Contract, read: FilesRead, as_of: date, last: Earlier | None) -> Expected:
    """What makes the list of a day.

    Args:
        place: where the files are.
        contract: the source.
        read: how it, or one part of it, is read.
        as_of: the day.
        last: the last published harvest of an earlier day.

    Raises:
        SourceUnreachableError: the manifest has not come.
        SourceContentError: it names nothing, or is no list of names.
    """
    pattern = read.pattern.replace("{as_of}", f"{as_of:%Y%m%d}")
    if read.manifest:
        return _listed(place, pattern, read.manifest.replace("{as_of}", f"{as_of:%Y%m%d}"))
    if read.parts:
        return Expected(place, pattern, read.parts, f"`parts: {read.parts}` in the contract")
    whole_list = contract.mode == "full" and read.taken == "day" and contract.partitions is None
    before = int(last.cursors[0].get("taken", 0)) if whole_list and last else 0
    # One file is missed by itself.
    return Expected(
        place, pattern, before if before > 1 else 0,
        f"there were {before} last time (if there are fewer from now on, say so in the contract: `parts`)",
    )  # fmt: skip


def _listed(place: Place, pattern: str, manifest: str) -> Expected:
    if place.look(manifest) is None:
        raise waits(place, pattern, f"{manifest}, which names its files, has not come")
    data = b"".join(islice(place.read(manifest), _LONGEST))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030", "replace")
    names: dict[str, Checksum | None] = {}
    for line in text.splitlines():
        if (found := _LINE.fullmatch(line.strip())) and not line.startswith("#"):
            said = found["hex"]
            kind = "md5" if said and len(said) == 32 else "sha256"
            names[str(PurePosixPath(manifest).parent / found["name"])] = (kind, said.lower()) if said else None
    if not names:
        raise SourceContentError(
            "the manifest names no file", where=place.where(manifest), remedy="ask the sender what the day's list is"
        )
    checksums = {name: said for name, said in names.items() if said}
    return Expected(place, pattern, 0, manifest, frozenset(names), checksums)
