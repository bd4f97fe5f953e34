"""Where delivery reports arrive: a mailbox over IMAP, a Maildir, or a folder of `.eml` files.

The connection `chengxin_bounces` says which: conn_type `imap` (host, port, login, password; `extra` with `folder`,
`disable_ssl`, `timeout`), or any other with the `path` in its `extra`. What has been read is marked as read and never
deleted; what a person should look at is flagged as well.
"""

from __future__ import annotations

import contextlib
import imaplib
import mailbox
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from chengxin.connections import Connection
from chengxin.errors import ChengxinError, ConfigError

CONNECTION = "chengxin_bounces"
MOST_READ = 1000
"""Messages of one reading; the rest waits for the next."""
MOST_BYTES = 1_000_000
"""Of one message: a report comes before the message it returns, whose end is not needed."""
_TIMEOUT, _PORT, _TLS_PORT = 60.0, 143, 993


class BounceBoxError(ChengxinError):
    """The box cannot be read."""

    cause = "mail_server"


class Box(Protocol):
    """Messages that nobody has read yet."""

    def unread(self) -> Iterator[tuple[str, bytes]]:
        """Each with a name for `done`; at most `MOST_READ`."""

    def done(self, name: str, *, flagged: bool) -> None:
        """Marks a message as read; `flagged`: a person should look at it."""


@contextmanager
def opened(connection: Connection) -> Iterator[Box]:
    """The box of a connection.

    Raises:
        BounceBoxError: nobody answers, the login fails, or there is no such folder.
        ConfigError: the connection names neither a server nor a path.
    """
    path = str(connection.extra.get("path") or "")
    if connection.conn_type == "imap" and connection.host:
        try:
            client = _connect(connection)
            try:
                yield _Imap(client)
            finally:
                with contextlib.suppress(OSError, imaplib.IMAP4.error):
                    client.logout()
        except (OSError, imaplib.IMAP4.error) as error:
            raise BounceBoxError(
                "the bounce box cannot be read",
                where=f"connection {connection.conn_id!r}",
                why=f"{type(error).__name__}: {error}"[:200],
                remedy="check host, login and folder; nothing is lost, what is unread is read the next time",
            ) from None
    elif path:
        if not Path(path).is_dir():
            raise BounceBoxError(
                "the bounce box is not there", where=f"connection {connection.conn_id!r}", remedy="check its path"
            )
        yield _Maildir(Path(path)) if (Path(path) / "new").is_dir() else _Folder(Path(path))
    else:
        raise ConfigError(
            "the bounce box is neither a server nor a folder",
            where=f"connection {connection.conn_id!r}",
            remedy="set conn_type imap and host, or a path in its extra",
        )


def _connect(connection: Connection) -> imaplib.IMAP4:
    extra = connection.extra
    timeout = float(extra.get("timeout", _TIMEOUT))
    client: imaplib.IMAP4
    if extra.get("disable_ssl"):
        client = imaplib.IMAP4(connection.host, connection.port or _PORT, timeout)
    else:
        client = imaplib.IMAP4_SSL(connection.host, connection.port or _TLS_PORT, timeout=timeout)
    client.login(connection.login, connection.password)
    answer, told = client.select(str(extra.get("folder", "INBOX")))
    if answer != "OK":
        raise imaplib.IMAP4.error(f"no such folder: {told!r}")
    return client


class _Imap:
    def __init__(self, client: imaplib.IMAP4) -> None:
        self._client = client

    def unread(self) -> Iterator[tuple[str, bytes]]:
        found = self._asked("SEARCH", "UNSEEN")
        for number in (found[0] or b"").split()[:MOST_READ]:
            name = number.decode("ascii")
            parts = self._asked("FETCH", name, f"(BODY.PEEK[]<0.{MOST_BYTES}>)")
            content = next((part[1] for part in parts if isinstance(part, tuple)), None)
            if content is not None:
                yield name, content

    def done(self, name: str, *, flagged: bool) -> None:
        self._asked("STORE", name, "+FLAGS", r"(\Seen \Flagged)" if flagged else r"(\Seen)")

    def _asked(self, *command: str) -> list[Any]:
        answer, told = self._client.uid(*command)
        if answer != "OK":
            raise imaplib.IMAP4.error(f"{command[0]} refused: {told!r}")
        return told


class _Maildir:
    def __init__(self, path: Path) -> None:
        self._box = mailbox.Maildir(path, create=False)

    def unread(self) -> Iterator[tuple[str, bytes]]:
        unseen = [name for name, each in self._box.iteritems() if "S" not in each.get_flags()]
        for name in sorted(unseen)[:MOST_READ]:
            yield name, self._box.get_bytes(name)[:MOST_BYTES]

    def done(self, name: str, *, flagged: bool) -> None:
        message = self._box[name]
        message.set_subdir("cur")
        message.add_flag("SF" if flagged else "S")
        self._box[name] = message


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def unread(self) -> Iterator[tuple[str, bytes]]:
        for file in sorted(self._path.glob("*.eml"))[:MOST_READ]:
            with file.open("rb") as content:
                yield file.name, content.read(MOST_BYTES)

    def done(self, name: str, *, flagged: bool) -> None:
        target = self._path / ("look-at" if flagged else "read")
        target.mkdir(exist_ok=True)
        (self._path / name).replace(target / name)
