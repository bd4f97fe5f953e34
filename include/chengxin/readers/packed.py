"""ZIP archives: the members that the contract asks for, read one after the other as one file's records.

Nothing is unpacked into a folder. A name that leads out of the archive, a link, the same name twice, a password, or
more bytes than any list of ours needs refuse the archive as a whole: its sender is not who we think, or is not well.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath, PureWindowsPath
from typing import IO

import numpy as np
import pyarrow as pa

from chengxin.errors import SourceContentError
from chengxin.readers.raw import Raw
from chengxin.readers.rows import RAW_ROW

MAX_MEMBERS = 10_000
MAX_UNPACKED = 4 << 30
"""Bytes that the members of an archive may unpack to, all together."""
MAX_RATIO = 1_000
"""Times that a member of more than 1 MiB may be larger than packed: a text of ours packs ten- to fiftyfold."""

MAX_DIRECTORY = 4 << 20
"""Bytes of an archive's list of its members: 10,000 of them with long names. The library reads it whole, and makes
half a KiB of every 50 bytes, before it can be asked for their number."""

_CHUNK = 1 << 20
_UTF8_FLAG, _LOCKED_FLAG = 0x800, 0x1
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError, LookupError,
    OverflowError, OSError,
)  # fmt: skip

Reader = Callable[[Raw], Iterator[pa.RecordBatch]]


class TooManyMembersError(Exception):
    """An archive's list of its members is longer than `MAX_DIRECTORY`."""


class Bounded:
    """A file for the library to open as an archive, that does not let it read a list of members without end.

    Raises:
        TooManyMembersError: where it tries to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int | None = -1) -> bytes:
        """As a file."""
        if size is not None and size > MAX_DIRECTORY:
            raise TooManyMembersError
        return self._file.read(-1 if size is None else size)

    def close(self) -> None:
        """Leaves the file open: it is whoever's it was."""


def batches(raw: Raw, pattern: str, read: Reader) -> Iterator[pa.RecordBatch]:
    """The records of every member that fits, in the order of their names.

    Args:
        raw: the archive.
        pattern: of the members' names; without a slash: of their last part.
        read: reads one member.

    Yields:
        What `read` yields, with `raw_row` counted through all members.

    Raises:
        SourceContentError: no ZIP archive, a harmful one, or no member that fits; and what `read` raises.
    """
    with raw.open() as file:
        try:
            book = zipfile.ZipFile(Bounded(file))
            members = _members(book, raw.where)
        except TooManyMembersError:
            raise _bad(
                "a ZIP archive with too many members",
                raw.where,
                f"their list alone takes over {MAX_DIRECTORY >> 20} MiB",
            ) from None
        except _UNREADABLE as error:
            raise _bad("no ZIP archive", raw.where, f"{_beginning(file)}; {type(error).__name__}") from None
        fitting = sorted(name for name in members if _fits(name, pattern))
        if not fitting:
            raise _bad(f"no member {pattern!r} in the archive", raw.where, _listed(list(members)))
        row = 0
        for name in fitting:
            member = Raw(raw.sha256, f"{raw.where}, member {name}", _opener(book, members[name], raw.where, name))
            for batch in read(member):
                yield _numbered(batch, row)
                row += batch.num_rows


def _members(book: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    infos = book.infolist()
    if len(infos) > MAX_MEMBERS:
        raise _bad(f"a ZIP archive with {len(infos):,} members", where, f"more than {MAX_MEMBERS:,}")
    total = sum(info.file_size for info in infos)
    if total > MAX_UNPACKED:
        raise _bad(f"a ZIP archive that unpacks to {total >> 20:,} MiB", where, "more than any list of ours needs")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = _name(info)
        if name.endswith("/"):
            continue
        windows = PureWindowsPath(name)
        parts = {*PurePosixPath(name).parts, *windows.parts}
        if not name or ".." in parts or PurePosixPath(name).is_absolute() or windows.drive or windows.root:
            raise _bad("a member's name leads out of the archive", where, _listed([name]))
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _bad("a member of the archive is a link", where, _listed([name]))
        if name in members:
            raise _bad("the same member twice in the archive", where, _listed([name]))
        if info.flag_bits & _LOCKED_FLAG:
            raise _bad("the archive is locked with a password", where, _listed([name]))
        if info.file_size > max(_CHUNK, info.compress_size * MAX_RATIO):
            raise _bad(
                f"a member that unpacks to {info.file_size >> 20:,} MiB from {info.compress_size:,} bytes",
                where,
                "broken, or made to harm",
            )
        members[name] = info
    return members


def _name(info: zipfile.ZipInfo) -> str:
    """A member's name; Chinese Windows writes it in its own code page without saying so."""
    if info.flag_bits & _UTF8_FLAG:
        return info.filename
    data = info.filename.encode("cp437", "replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _opener(book: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, name: str) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        try:
            with book.open(info) as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except _UNREADABLE as error:
            raise _bad("a member of the archive is damaged", where, f"{name!r}: {type(error).__name__}") from None

    return chunks


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name if "/" in pattern else PurePosixPath(name).name, pattern)


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    if not first:
        return batch
    place = batch.schema.get_field_index(RAW_ROW)
    rows = batch.column(place).to_numpy(zero_copy_only=False) + np.int32(first)
    return batch.set_column(place, RAW_ROW, pa.array(rows, pa.int32()))


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in sorted(names)[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "it is empty"


def _beginning(file: IO[bytes]) -> str:
    file.seek(0)
    return f"it begins with {file.read(4).hex(' ') or 'nothing'}"


def _bad(what: str, where: str, why: str) -> SourceContentError:
    return SourceContentError(
        what, where=where, why=why, remedy="look at the file before anything else does; ask the sender for it once more"
    )
