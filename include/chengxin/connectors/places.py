"""Where files are dropped: a folder of this machine, an SFTP server, or an object store, all through fsspec.

The connection's type says which (`sftp` or `ssh`; `aws` or `s3`; anything else is a folder), its `extra.path` names the
folder there (for an object store: bucket and prefix). An SFTP server is known by its host key, from the connection's
`host_key` or a known-hosts file; a key that nobody has vouched for is refused.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from chengxin.connections import Connection
from chengxin.errors import ConfigError, SourceRefusedError, SourceUnreachableError

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
    ) -> None:
        self._fs, self._root, self._conn_id, self.shown = fs, root.rstrip("/") or "/", conn_id, shown
        self._failures: tuple[type[Exception], ...] = (OSError, EOFError, *failures)
        self._atomic = atomic

    def where(self, name: str = "") -> str:
        """The folder or a file of it, for errors."""
        return f"{self.shown.rstrip('/')}/{name}" if name else f"{self.shown} (connection {self._conn_id})"

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
        return sorted(
            (
                _found(f"{folder}{name}", info)
                for folder in folders
                for name, info in self._entries(folder)
                if info["type"] not in ("directory", "other") and fnmatchcase(name, last)
            ),
            key=lambda one: one.name,
        )

    def look(self, name: str) -> Found | None:
        """A file as it is now; None if it is not there."""
        with self._speaking(name):
            try:
                self._fs.invalidate_cache()
                return _found(name, self._fs.info(self._path(name)))
            except FileNotFoundError:
                return None

    def read(self, name: str) -> Iterator[bytes]:
        """A file's bytes, at most 1 MiB at a time.

        Raises:
            FileNotFoundError: it is not there any more.
            SourceRefusedError: we may not read it.
            SourceUnreachableError: the connection broke off.
        """
        with self._speaking(name), self._fs.open(self._path(name), "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def small(self, name: str) -> bytes | None:
        """The beginning of a small file beside the drop; None if it is not there."""
        with self._speaking(name):
            try:
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
            with self._fs.open(part, "wb") as file:
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
        place = _sftp(connection, path or ".")
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
    return Place(LocalFileSystem(), str(root.absolute()), connection.conn_id, str(root))


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


def _sftp(connection: Connection, path: str) -> Place:
    import paramiko
    from fsspec.implementations.sftp import SFTPFileSystem

    if not connection.host:
        raise ConfigError(
            f"connection {connection.conn_id!r} names no host", where=f"connection {connection.conn_id}",
            remedy="set host (and port, login, and a password or key)",
        )  # fmt: skip
    port = connection.port or 22
    shown = f"sftp://{connection.host}:{port}"
    where = f"{shown} (connection {connection.conn_id})"
    client = paramiko.SSHClient()
    _know_host(client, connection, port)

    class Known(SFTPFileSystem):
        """The library's own takes any host key that is offered."""

        cachable = False

        def _connect(self) -> None:
            self.client = client
            self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(PATIENCE)

    try:
        fs = Known(
            connection.host,
            port=port,
            username=connection.login or None,
            password=connection.password or None,
            pkey=_key(connection),
            look_for_keys=False,
            allow_agent=False,
            timeout=PATIENCE,
            banner_timeout=PATIENCE,
            auth_timeout=PATIENCE,
        )
        root = fs.ftp.normalize(path)
    except paramiko.AuthenticationException:
        client.close()
        raise SourceRefusedError(
            f"connection {connection.conn_id!r} is refused",
            where=where,
            why="login, password or key are not accepted",
            remedy="check them in the connection, and that the account is still open",
        ) from None
    except paramiko.SSHException as error:
        client.close()
        # Both say which key came; neither is a secret, but only the kind helps.
        unknown = isinstance(error, paramiko.BadHostKeyException) or "not found in known_hosts" in str(error)
        if not unknown:
            raise _silent(where, type(error).__name__) from None
        raise SourceRefusedError(
            "the server is not the one we know",
            where=where,
            why="its host key is another one, or none was given to compare it with",
            remedy="ask its operator for the host key by another way; set it as `host_key` in the connection's extra",
        ) from None
    except FileNotFoundError:
        client.close()
        raise SourceUnreachableError(
            "the folder is not there", where=f"{shown}/{path} (connection {connection.conn_id})", why="no such folder",
            remedy="mend `path` in the connection's extra",
        ) from None  # fmt: skip
    except (OSError, EOFError) as error:
        client.close()
        raise _silent(where, getattr(error, "strerror", None) or type(error).__name__) from None
    return Place(fs, root, connection.conn_id, f"{shown}{root}", failures=(paramiko.SSHException,))


def _know_host(client: Any, connection: Connection, port: int) -> None:
    import paramiko
    from paramiko.pkey import UnknownKeyType

    given = str(connection.extra.get("host_key") or "").split()
    try:
        if given:
            data = base64.b64decode(given[-1] if len(given) < 3 else given[1])
            kind = data[4 : 4 + int.from_bytes(data[:4], "big")].decode("ascii")
            name = connection.host if port == 22 else f"[{connection.host}]:{port}"
            client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, data))
        else:
            client.load_system_host_keys(connection.extra.get("known_hosts_file"))
    except (ValueError, OSError, paramiko.SSHException, UnknownKeyType) as error:
        raise ConfigError(
            "the host key cannot be read",
            where=f"connection {connection.conn_id}",
            why=type(error).__name__,
            remedy="set `host_key` as `ssh-keyscan` prints it (`ssh-ed25519 AAAA…`), or `known_hosts_file`",
        ) from None


def _key(connection: Connection) -> Any:
    """The private key that a connection brings, as Airflow's SSH connections name it; None without one."""
    import paramiko

    text, file = connection.extra.get("private_key"), connection.extra.get("key_file")
    words = connection.extra.get("private_key_passphrase") or None
    if not (text or file):
        return None
    try:
        text = text or Path(str(file)).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        text = ""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(str(text)), password=words)
        except (ValueError, paramiko.SSHException):
            continue
    raise ConfigError(
        "the private key cannot be read",
        where=f"connection {connection.conn_id}",
        remedy="set `key_file` or `private_key` (and `private_key_passphrase`) in the connection's extra",
    )


def _named(connection: Connection, path: str) -> str:
    if not path:
        raise ConfigError(
            f"connection {connection.conn_id!r} names no folder",
            where=f"connection {connection.conn_id}",
            remedy='set its extra to {"path": "…"}',
        )
    return path


def _silent(where: str, why: str) -> SourceUnreachableError:
    return SourceUnreachableError(
        "the server does not answer",
        where=where,
        why=why,
        remedy="ask its operator, or check host and port of the connection; the next run tries again",
    )


def _found(name: str, info: dict[str, Any]) -> Found:
    changed, size = info.get("mtime"), int(info["size"] or 0)
    if isinstance(changed, datetime):
        return Found(name, size, changed.isoformat(), changed.timestamp())
    return Found(name, size, repr(changed), float(changed) if isinstance(changed, int | float) else None)


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
