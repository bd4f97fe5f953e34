"""A file to be read: a raw object of the archive, or a member of one that is a ZIP archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

from chengxin import archive


class AtHand(NamedTuple):
    """A raw object's bytes, from whoever has just archived them."""

    data: bytes
    listed: slice | None = None
    """Where its list of records stands, brackets included, if all of it is proved to be JSON; None: nobody looked."""


@dataclass(frozen=True)
class Raw:
    """One file.

    Attributes:
        sha256: the raw object that it is, or is part of.
        where: the file, for errors.
        chunks: its bytes, at most 1 MiB at a time; each call begins anew.
    """

    sha256: str
    where: str
    chunks: Callable[[], Iterator[bytes]]

    def open(self) -> IO[bytes]:
        """The whole file as a seekable stream; in memory only while it is small."""
        return archive.spooled(self.chunks())
