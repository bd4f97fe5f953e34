"""Transactions: light ones are as atomic as the others, and leave no trace on the connection."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import select, text

from chengxin.clock import system_clock
from chengxin.ledger import Ledger
from chengxin.ledger.models import Commit


def commit() -> Commit:
    return Commit(kind="harvest", name="matters", as_of=date(2026, 6, 15), opened_at=system_clock())


def test_a_light_transaction_commits(ledger: Ledger) -> None:
    with ledger.begin_lightly() as session:
        session.add(commit())
    with ledger.begin() as session:
        assert session.scalar(select(Commit.name)) == "matters"


def test_a_light_transaction_rolls_back(ledger: Ledger) -> None:
    def breaking() -> None:
        with ledger.begin_lightly() as session:
            session.add(commit())
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        breaking()
    with ledger.begin() as session:
        assert session.scalar(select(Commit.name)) is None


def test_the_next_transaction_waits_for_the_disk_again(ledger: Ledger) -> None:
    sqlite = ledger.engine.dialect.name == "sqlite"
    question = text("PRAGMA synchronous" if sqlite else "SHOW synchronous_commit")
    with ledger.begin_lightly() as session:
        assert session.scalar(question) == (1 if sqlite else "off")
    with ledger.begin() as session:
        assert session.scalar(question) == (2 if sqlite else "on")
