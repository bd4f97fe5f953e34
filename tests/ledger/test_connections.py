"""Connections: every thread that makes pages has one of the ledger at once, and few stay open after them."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from anyio.to_thread import current_default_thread_limiter
from sqlalchemy import select, text
from sqlalchemy.pool import QueuePool

from chengxin import databases
from chengxin.ledger import Ledger
from chengxin.ledger.models import Commit


def test_a_process_has_as_many_as_the_server_has_threads() -> None:
    async def threads() -> float:
        return current_default_thread_limiter().total_tokens

    assert asyncio.run(threads()) == databases.AT_ONCE


def test_no_reader_waits_for_another_one(ledger: Ledger) -> None:
    assert ledger.engine  # brought up to date once, not forty times at once
    together = threading.Barrier(databases.AT_ONCE, timeout=20)

    def look(_: int) -> None:
        with ledger.read() as session:
            assert session.scalar(select(Commit.seq)) is None
            # Passed only while all have one.
            together.wait()

    with ThreadPoolExecutor(databases.AT_ONCE) as pool:
        assert list(pool.map(look, range(databases.AT_ONCE))) == [None] * databases.AT_ONCE
    kept = ledger.engine.pool
    assert isinstance(kept, QueuePool)
    assert kept.checkedin() <= databases.KEPT


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_a_connection_that_the_server_ended_is_made_anew(ledger: Ledger) -> None:
    with ledger.read() as session:
        session.scalar(select(Commit.seq))
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> :own"
    with ledger.engine.connect() as one, ledger.engine.connect() as other:
        own = one.scalar(text("SELECT pg_backend_pid()"))
        assert other.scalar(text("SELECT 1")) == 1
        other.rollback()
        assert one.execute(text(ended), {"own": own}).scalars().all() == [True]
    for _ in range(2):
        with ledger.read() as session:
            assert session.scalar(select(Commit.seq)) is None
