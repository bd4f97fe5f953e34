"""Backup and restore where ledger and catalogue share one PostgreSQL, and Airflow has a database of its own.

Strategy: the server of docker-compose.yaml with its own databases and roles; a sandbox day by hand, put away while
another commit waits to be opened, and brought back into empty databases and another folder.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from chengxin import backup, dumps, maintain, replay
from chengxin.ledger.models import Commit
from chengxin.sandbox.local_airflow import LOOPBACK
from chengxin.settings import House
from chengxin.tables import TABLES
from tests.conftest import NOW
from tests.e2e import by_hand
from tests.e2e.days import AS_OF, DISTRICT
from tests.test_backup import SOURCES

from .composefile import service
from .native import Postgres, free_ports, postgres_programs, variables

pytestmark = pytest.mark.services


@dataclass
class Server:
    """A server with empty databases: of the house, and of Airflow."""

    port: int
    password: str

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://postgres:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def create(self, *databases: str) -> None:
        with create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
            for database in databases:
                connection.execute(text(f"CREATE DATABASE {database} TEMPLATE template0"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    ports = free_ports()
    given = variables(ports, DISTRICT, 1)
    folder = tmp_path_factory.mktemp("server")
    command = service("postgres", given).command
    with Postgres(folder / "postgres", ports["5432"], command, given["POSTGRES_PASSWORD"]):
        found = Server(ports["5432"], given["POSTGRES_PASSWORD"])
        _wait(found)
        with pytest.MonkeyPatch.context() as patch:
            # Debian keeps the programs of the server's version off the path; its wrappers choose by the newest.
            patch.setenv("PATH", f"{postgres_programs()}:/usr/bin:/bin")
            yield found


def _wait(server: Server) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with create_engine(server.url("postgres")).connect():
                return
        except OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.fixture(scope="module")
def lived_in(server: Server, tmp_path_factory: pytest.TempPathFactory) -> House:
    server.create("house", "airflow")
    with create_engine(server.url("airflow")).begin() as connection:
        connection.execute(text("CREATE TABLE dag_run AS SELECT 42 AS id"))
    folder = tmp_path_factory.mktemp("lived in")
    url = server.url("house")
    settings = {"ledger_url": url, "catalog_url": url}
    return by_hand.play(folder, subjects=60, seed=3, sources=SOURCES, **settings).house.at(lambda: NOW)


def test_a_restore_on_an_empty_machine_gives_the_same_answers(server: Server, lived_in: House, tmp_path: Path) -> None:
    taken = backup.take(lived_in, tmp_path / "backups", airflow_url=server.url("airflow"))
    server.create("house2", "airflow2")
    url = server.url("house2")
    other = replace(lived_in, var=tmp_path / "other", ledger_url=url, catalog_url=url)
    backup.restore(other, taken, airflow_url=server.url("airflow2"))
    for table in TABLES:
        assert by_hand.canonical(other, table) == by_hand.canonical(lived_in, table), table
    assert maintain.verify_chain(other) == maintain.verify_chain(lived_in)
    again = replay.run(other, AS_OF)
    assert again.explained
    assert not any(sum(reasons.values()) for reasons in again.counts.values())
    with create_engine(server.url("airflow2")).connect() as connection:
        assert connection.scalar(text("SELECT id FROM dag_run")) == 42
    with pytest.raises(dumps.BackupError, match="something is there already"):
        backup.restore(other, taken)
    # What stands in a command line can be read by everybody.
    assert server.password not in (taken / backup.MANIFEST).read_text("utf-8")


def test_no_commit_is_opened_while_the_ledger_is_put_away(lived_in: House) -> None:
    """A commit waits until the list of the lake's files has been made; readers and other writers go on."""
    opened = threading.Event()

    def open_one() -> None:
        with lived_in.ledger.begin() as session:
            session.add(Commit(kind="harvest", name="x", as_of=AS_OF, opened_at=NOW))
        opened.set()

    thread = threading.Thread(target=open_one)
    with backup._no_commits(lived_in) as (_, snapshot):
        assert snapshot
        thread.start()
        assert not opened.wait(1.0)
        with lived_in.ledger.begin() as session:
            assert session.query(Commit).count() > 0
    thread.join(10)
    assert opened.is_set()


def test_a_password_that_is_wrong_is_named_by_its_database_only(
    server: Server, lived_in: House, tmp_path: Path
) -> None:
    wrong = server.url("airflow").replace(server.password, "wrong-password")
    with pytest.raises(dumps.BackupError, match="pg_dump failed") as caught:
        backup.take(lived_in, tmp_path / "backups", airflow_url=wrong)
    assert "wrong-password" not in str(caught.value)
    assert shutil.which("pg_dump")
