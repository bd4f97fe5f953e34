"""The bounce box on a real IMAP server."""

from __future__ import annotations

import grp
import mailbox
import os
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chengxin.connections import Connection
from chengxin.settings import House
from chengxin.warn import bounces

from .test_bounces import _be, _message, shape
from .test_bounces import desk as desk

pytestmark = pytest.mark.services

_SETTINGS = """
base_dir = {home}/run
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_login_user = {login}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:{home}/Maildir
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@pytest.fixture
def dovecot() -> Iterator[tuple[Path, int]]:
    """A server with one mailbox: its Maildir and its port."""
    # Not below pytest's folder: the server gives up root, and must still reach it.
    with tempfile.TemporaryDirectory(prefix="dovecot-") as folder:
        yield from _running(Path(folder))


def _running(home: Path) -> Iterator[tuple[Path, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mailbox.Maildir(home / "Maildir")
    me = pwd.getpwuid(os.getuid())
    # It refuses to run as root, and takes the users of its package then.
    login, internal = ("dovenull", "dovecot") if me.pw_uid == 0 else (me.pw_name, me.pw_name)
    owner = pwd.getpwnam(internal)
    for path in (home, *home.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    settings = home / "dovecot.conf"
    settings.write_text(
        _SETTINGS.format(
            home=home, login=login, user=internal, group=grp.getgrgid(owner.pw_gid).gr_name,
            uid=owner.pw_uid, gid=owner.pw_gid, port=port,
        )
    )  # fmt: skip
    process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", settings])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (home / "log").read_text()
            time.sleep(0.1)
        yield home / "Maildir", port
    finally:
        process.terminate()
        process.wait(20)


def test_read_over_imap(desk: House, dovecot: tuple[Path, int]) -> None:
    path, port = dovecot
    box = mailbox.Maildir(path)
    long = shape("postfix-failed").replace(b"5o+Q6YaS\n\n", b"5o+Q6YaS\n" * 300_000 + b"\n")
    for raw in (long, shape("delayed"), shape("absent")):
        file = path / "new" / box.add(raw)
        os.chown(file, path.stat().st_uid, path.stat().st_gid)
    _be(desk, "unknown")

    def connections(name: str) -> Connection:
        return Connection(name, "imap", "127.0.0.1", port, "office", "secret", extra={"disable_ssl": True})

    there = replace(desk, connections=connections)
    counts = bounces.read(there)
    assert {name: count for name, count in counts.items() if count} == {"bounced": 1, "delayed": 1, "unreadable": 1}
    assert _message(desk).state == "refused"
    flags = sorted("".join(sorted(each.get_flags())) for each in mailbox.Maildir(path))
    assert flags == ["FS", "S", "S"]
    assert not any(bounces.read(there).values())
