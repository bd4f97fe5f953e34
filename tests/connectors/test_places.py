"""Drops elsewhere: an object store (moto's S3 server), and SFTP over Debian's sshd."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chengxin import archive, connectors
from chengxin.connections import Connection
from chengxin.connectors.places import opened
from chengxin.errors import ChengxinError, ConfigError, SourceRefusedError, SourceUnreachableError
from chengxin.settings import House

from .tools import AS_OF, contract, new_harvest, over, raw_objects

READ = {
    "connector": "files",
    "connection": "drop",
    "pattern": "日/{as_of}-*.csv",
    "format": "csv",
    "marker": "{name}.ok",
}


def harvested(house: House, connection: Connection) -> list[tuple[str, bytes]]:
    one = contract(READ)
    harvest_id = new_harvest(house)
    connectors.fetch(over(house, connection), one, AS_OF, harvest_id)
    objects = raw_objects(house, harvest_id)
    return [(found.locator, archive.get(house, one.name, found.sha256)) for found in objects]


EXPECTED = [("日/20260615-1.csv", b"one"), ("日/20260615-2.csv", b"x" * (3 << 20))]
OTHERS = [("日/20260614-1.csv", b"old"), ("20260615-9.csv", b"elsewhere")]


# An object store ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store() -> Iterator[Connection]:
    """A bucket in an S3 server, and the connection to a folder in it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
    )
    client.create_bucket(Bucket="drop")
    for name, data in [*EXPECTED, *OTHERS]:
        client.put_object(Bucket="drop", Key=f"历城/{name}", Body=data)
        client.put_object(Bucket="drop", Key=f"历城/{name}.ok", Body=b"")
    yield Connection(
        "drop", "aws", login="key", password="secret", extra={"path": "s3://drop/历城", "endpoint_url": endpoint}
    )
    server.stop()


def test_an_object_store_is_a_folder(house: House, store: Connection) -> None:
    assert harvested(house, store) == EXPECTED


def test_writing_to_an_object_store(store: Connection) -> None:
    with opened(store) as place:
        for data in (b"first", b"second"):
            place.write("日/回执.feedback.csv", data)
            assert place.small("日/回执.feedback.csv") == data
        assert place.small("日/无此文件") is None
        assert place.look("日/无此文件") is None
        put = place.look("日/回执.feedback.csv")
        assert put is not None
        assert abs((put.at or 0) - time.time()) < 3600, "markers are compared by it"


def test_a_bucket_or_a_server_that_is_not_there(house: House, store: Connection) -> None:
    with pytest.raises(SourceUnreachableError, match="not there"):
        harvested(house, replace(store, extra={**store.extra, "path": "no-such-bucket/x"}))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(SourceUnreachableError):
        harvested(house, replace(store, extra={**store.extra, "endpoint_url": gone}))


# SFTP ---------------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A running sshd."""

    folder: Path
    connection: Connection
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Debian's sshd on a free port, with a host key and a client's key of its own."""
    root = tmp_path_factory.mktemp("sshd")
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)], check=True)
    (root / "authorized").write_text((root / "client.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (root / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {root}/host\nPidFile {root}/pid\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {root}/authorized\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(root / "config")], stderr=log)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None, (root / "log").read_text()
        time.sleep(0.05)
    folder = root / "投放 目录"
    for name, data in [*EXPECTED, *OTHERS]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        (folder / f"{name}.ok").touch()
    extra = {"path": str(folder), "key_file": str(root / "client"), "host_key": (root / "host.pub").read_text()}
    user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    yield Server(folder, Connection("drop", "sftp", host="127.0.0.1", port=port, login=user, extra=extra), process)
    process.terminate()
    process.wait()


@pytest.mark.services
def test_sftp_is_a_folder(house: House, server: Server) -> None:
    assert harvested(house, server.connection) == EXPECTED
    text = Path(server.connection.extra["key_file"]).read_text()
    by_text = {key: value for key, value in server.connection.extra.items() if key != "key_file"}
    assert harvested(house, replace(server.connection, extra={**by_text, "private_key": text})) == EXPECTED


@pytest.mark.services
def test_a_marker_over_sftp_that_an_earlier_file_left(house: House, server: Server) -> None:
    marker = server.folder / "日/20260615-2.csv.ok"
    then = marker.stat().st_mtime
    os.utime(marker, (then - 60, then - 60))
    with pytest.raises(SourceUnreachableError, match=r"20260615-2\.csv\.ok is older than it"):
        harvested(house, server.connection)
    os.utime(marker, (then, then))
    assert harvested(house, server.connection) == EXPECTED


@pytest.mark.services
def test_writing_over_sftp_replaces_and_leaves_nothing_half(server: Server) -> None:
    with opened(server.connection) as place:
        for data in (b"first", b"second" * 100_000):
            place.write("日/回执.feedback.csv", data)
            assert (server.folder / "日/回执.feedback.csv").read_bytes() == data
        assert place.look("日/无此文件") is None
    assert not list(server.folder.rglob("*.part"))


@pytest.mark.services
@pytest.mark.parametrize("known", ["another", "none"])
def test_a_server_that_is_not_the_one_we_know_is_refused(
    house: House, server: Server, tmp_path: Path, known: str
) -> None:
    extra: dict[str, Any] = {**server.connection.extra}
    if known == "another":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
        extra["host_key"] = (tmp_path / "key.pub").read_text()
    else:
        (tmp_path / "known").touch()
        extra |= {"host_key": None, "known_hosts_file": str(tmp_path / "known")}
    with pytest.raises(SourceRefusedError, match="not the one we know"):
        harvested(house, replace(server.connection, extra=extra))


@pytest.mark.services
def test_sftp_says_what_is_wrong(house: House, server: Server, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    cases: list[tuple[dict[str, Any], type[ChengxinError], str]] = [
        ({"key_file": str(tmp_path / "key")}, SourceRefusedError, "is refused"),
        ({"path": str(server.folder / "无此目录")}, SourceUnreachableError, "the folder is not there"),
        ({"host_key": "ssh-ed25519 ????"}, ConfigError, "host key cannot be read"),
        ({"key_file": str(tmp_path / "none")}, ConfigError, "private key cannot be read"),
    ]
    for changes, kind, words in cases:
        with pytest.raises(kind, match=words):
            harvested(house, replace(server.connection, extra={**server.connection.extra, **changes}))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(SourceUnreachableError, match="does not answer"):
        harvested(house, replace(server.connection, port=port))
