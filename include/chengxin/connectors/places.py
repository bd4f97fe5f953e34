"""Where files are dropped: a folder of this machine, an SFTP server, or an object store, all through fsspec.

The connection's type says which (`sftp` or `ssh`; `aws` or `s3`; anything else is a folder), its `extra.path` names the
folder there (for an object store: bucket and prefix). An SFTP server is known by its host key, from the connection's
`host_key` or a known-hosts file; a key that nobody has vouched for is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from chengxin.connections import Connection
from chengxin.errors import ConfigError, SourceContentError, SourceRefusedError, SourceUnreachableError

CHUNK = 1 << 20
PATIENCE = 30.0
"""Seconds to connect, and of silence."""
SMALL = 64 << 10
"""Bytes of a marker or a checksum file that are looked at."""

# How object stores say no, in Arrow's words.
_DENIED = re.compile(r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN_ID")


@dataclass(frozen=True)
class Found:
    """A file as a listing shows it: its name below the folder, its size in bytes, and when it was changed (as the place
    says it, and in seconds since 1970; None: it does not say)."""

    name: str
    size: int
    changed: str
    at: float | None = None

    @property
    def look(self) -> list[Any]:
        """Size and change, as a cursor keeps them."""
        return [self.size, self.changed]


class Place:
    """One folder, wherever it is.

    Args:
        fs: the file system.
        root: the folder there.
        conn_id: the connection, for errors.
        shown: the folder as people know it; never with login or password.
        failures: what the file system raises besides OSError and EOFError.
        atomic: a file appears only when it has been written to its end.
        real: a path with its links followed; None: there are none. A sender could lay a link to any file that our
            account may read or write, so none may lead out of the folder.
        fresh: how a file is opened that must not be there, as a link either.
    """

    def __init__(
        self,
        fs: Any,
        root: str,
        conn_id: str,
        shown: str,
        *,
        failures: tuple[type[Exception], ...] = (),
        atomic: bool = False,
        real: Callable[[str], str] | None = None,
        fresh: str = "xb",
    ) -> None:
        self._fs, self._root, self._conn_id, self.shown = fs, root.rstrip("/") or "/", conn_id, shown
        self._failures: tuple[type[Exception], ...] = (OSError, EOFError, *failures)
        self._atomic, self._real, self._fresh = atomic, real, fresh

    def where(self, name: str = "") -> str:
        """The folder or a file of it, for errors."""
        return f"{self.shown.rstrip('/')}/{printable(name)}" if name else f"{self.shown} (connection {self._conn_id})"

    def check(self) -> None:
        """Sees that the folder is there.

        Raises:
            SourceUnreachableError: it is not, or is a file.
        """
        with self._speaking():
            try:
                kind = self._fs.info(self._root)["type"]
            except FileNotFoundError:
                kind = ""
        if kind != "directory":
            raise SourceUnreachableError(
                "the folder is not there",
                where=self.where(),
                why="it is a file" if kind else "no such folder",
                remedy="mount it, or mend `path` in the connection's extra",
            )

    def matching(self, pattern: str) -> list[Found]:
        """The files that fit a pattern, by name; each part of it between slashes stands for one level of folders."""
        folders = [""]
        *above, last = pattern.split("/")
        for part in above:
            folders = [
                f"{folder}{name}/"
                for folder in folders
                for name, info in self._entries(folder)
                if info["type"] != "file" and fnmatchcase(name, part)
            ]
        files = [
            _found(f"{folder}{name}", info)
            for folder in folders
            for name, info in self._entries(folder)
            if info["type"] not in ("directory", "other") and fnmatchcase(name, last)
        ]
        for one in files:
            if not one.name.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in one.name):
                raise _foreign(self.where(one.name))
        return sorted(files, key=lambda one: one.name)

    def look(self, name: str) -> Found | None:
        """A file as it is now; None if it is not there.

        Raises:
            SourceRefusedError: it is a link that leads out of the folder.
        """
        if _too_long(name):
            return None
        with self._speaking(name):
            try:
                self._fs.invalidate_cache()
                path = self._path(name)
                found = _found(name, self._fs.info(path))
                self._hold_inside(name, path)
                return found
            except FileNotFoundError:
                return None

    def read(self, name: str) -> Iterator[bytes]:
        """A file's bytes, at most 1 MiB at a time.

        Raises:
            FileNotFoundError: it is not there any more.
            SourceRefusedError: we may not read it.
            SourceUnreachableError: the connection broke off.
        """
        with self._speaking(name):
            self._hold_inside(name, self._path(name))
        with self._speaking(name), self._fs.open(self._path(name), "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def small(self, name: str) -> bytes | None:
        """The beginning of a small file beside the drop; None if it is not there."""
        if _too_long(name):
            return None
        with self._speaking(name):
            try:
                self._hold_inside(name, self._path(name))
                with self._fs.open(self._path(name), "rb") as file:
                    return bytes(file.read(SMALL))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Writes a file; where there are no atomic writes, it takes its name only when it is whole.

        Raises:
            SourceRefusedError: we may not write there.
            SourceUnreachableError: the connection broke off.
        """
        path = self._path(name)
        with self._speaking(name):
            if self._atomic:
                with self._fs.open(path, "wb") as file:
                    file.write(data)
                return
            part = f"{path}.part"
            self._hold_inside(name, path.rpartition("/")[0])
            # What a killed run has left, or somebody has laid there for us to write to.
            with suppress(FileNotFoundError):
                self._fs.rm_file(part)
            with self._fs.open(part, self._fresh) as file:
                file.write(data)
            # SFTP's rename refuses a name that is taken.
            if self._fs.exists(path):
                self._fs.rm_file(path)
            self._fs.mv(part, path)

    def close(self) -> None:
        """Gives the connection back."""
        client = getattr(self._fs, "client", None)
        if client is not None:
            client.close()

    def _hold_inside(self, name: str, path: str) -> None:
        if self._real is None:
            return
        root, real = self._real(self._root), self._real(path)
        if real != root and not real.startswith(f"{root.rstrip('/')}/"):
            raise SourceRefusedError(
                "a link leads out of the folder",
                where=self.where(name),
                remedy="ask the sender for the file itself; nothing outside the folder is read or written",
            )

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _entries(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        path = self._path(folder).rstrip("/") or "/"
        with self._speaking(folder):
            try:
                self._fs.invalidate_cache()
                entries = self._fs.ls(path, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
        # An object store lists a folder's own marker as an entry of it.
        names = [(str(entry["name"]).rstrip("/").rsplit("/", 1)[-1], entry) for entry in entries]
        return [(name, entry) for name, entry in names if str(entry["name"]).rstrip("/") != path]

    @contextmanager
    def _speaking(self, name: str = "") -> Iterator[None]:
        """Failures of any file system as ours; what is not there stays a FileNotFoundError."""
        try:
            yield
        except FileNotFoundError:
            raise
        except UnicodeError:
            raise _foreign(self.where(name)) from None
        except self._failures as error:
            if isinstance(error, PermissionError) or _DENIED.search(str(error)):
                raise SourceRefusedError(
                    "we may not read a file" if name else "we may not look into the folder",
                    where=self.where(name),
                    remedy="give the account that runs the harvest the right to it",
                ) from None
            raise SourceUnreachableError(
                "the place of the files does not answer",
                where=self.where(name),
                why=getattr(error, "strerror", None) or type(error).__name__,
                remedy="ask its operator, or check the connection; the next run tries again",
            ) from None


@contextmanager
def opened(connection: Connection) -> Iterator[Place]:
    """The place that a connection names, for as long as it is needed.

    Raises:
        ConfigError: the connection names no folder, or no host.
        SourceRefusedError: a login, or a host key, that is not accepted.
        SourceUnreachableError: no answer.
    """
    path = str(connection.extra.get("path") or "")
    if connection.conn_type in ("sftp", "ssh"):
        from chengxin.connectors import sftp

        place = sftp.place(connection, path or ".")
    elif connection.conn_type in ("aws", "s3"):
        place = _objects(connection, path or "/".join(part for part in (connection.host, connection.schema) if part))
    else:
        place = _folder(connection, path or "/".join(part for part in (connection.host, connection.schema) if part))
    try:
        yield place
    finally:
        place.close()


def _folder(connection: Connection, path: str) -> Place:
    from fsspec.implementations.local import LocalFileSystem

    root = Path(_named(connection, path))
    return Place(LocalFileSystem(), str(root.absolute()), connection.conn_id, str(root), real=os.path.realpath)


def _objects(connection: Connection, path: str) -> Place:
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    root = _named(connection, path).removeprefix("s3://").strip("/")
    extra = connection.extra
    endpoint = str(extra.get("endpoint_url") or "")
    scheme, _, host = endpoint.rpartition("://")
    store = S3FileSystem(
        access_key=connection.login or None,
        secret_key=connection.password or None,
        region=str(extra.get("region_name") or "us-east-1"),
        scheme=scheme or "https",
        endpoint_override=host.rstrip("/") or None,
        connect_timeout=PATIENCE,
        request_timeout=PATIENCE,
    )
    return Place(ArrowFSWrapper(store), root, connection.conn_id, f"s3://{root}", atomic=True)


def _named(connection: Connection, path: str) -> str:
    if not path:
        raise ConfigError(
            f"connection {connection.conn_id!r} names no folder",
            where=f"connection {connection.conn_id}",
            remedy='set its extra to {"path": "…"}',
        )
    return path


def _found(name: str, info: dict[str, Any]) -> Found:
    changed, size = info.get("mtime"), int(info["size"] or 0)
    if isinstance(changed, datetime):
        return Found(name, size, changed.isoformat(), changed.timestamp())
    return Found(name, size, repr(changed), float(changed) if isinstance(changed, int | float) else None)


def printable(name: str) -> str:
    """A name as errors and logs show it: a sender may put a line break into one, or bytes that are no text."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)


def _too_long(name: str) -> bool:
    """Whether no file can be called so: 255 bytes are the most almost anywhere, or 85 Chinese characters."""
    return len(os.fsencode(name.rpartition("/")[2])) > 255


def _foreign(where: str) -> SourceContentError:
    return SourceContentError(
        "a file's name is not in UTF-8",
        where=where,
        remedy="ask the sender to rename it, or to set the client's names to UTF-8",
    )


class FileWaitsError(SourceUnreachableError):
    """A file is there and cannot be read yet."""


def waits(place: Place, name: str, why: str) -> FileWaitsError:
    """What a file is that is there and cannot be read yet."""
    return FileWaitsError(
        "the awaited file is not whole yet",
        where=place.where(name),
        why=why,
        remedy="the next run looks again; if it stays so, ask the sender to send it once more",
    )
