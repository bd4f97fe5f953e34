"""The chain of acts: grows in order, shows every change, cannot fork."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from chengxin.clock import BEIJING
from chengxin.errors import ConfigError
from chengxin.ledger import Ledger, acts
from chengxin.ledger.acts import GENESIS, Act, Deed

NOW = datetime(2026, 6, 15, 8, 0, 0, 123456, tzinfo=BEIJING)


def _deed(number: int) -> Deed:
    return Deed("message.planned", f"message-{number}", f"{number:064x}")


def _chain(ledger: Ledger, length: int) -> None:
    with ledger.begin() as session:
        acts.append(session, NOW, "warn", [_deed(number) for number in range(length)])


def test_empty_chain(ledger: Ledger) -> None:
    with ledger.begin() as session:
        assert acts.head(session) == acts.Head(0, GENESIS)
        assert acts.verify(session) == acts.Verdict(0, GENESIS, None)
        assert acts.append(session, NOW, "warn", []).seq == 0


def test_chain_holds_over_several_transactions(ledger: Ledger) -> None:
    _chain(ledger, 3)
    _chain(ledger, 4)
    with ledger.begin() as session:
        verdict = acts.verify(session)
        assert (verdict.length, verdict.broken_at) == (7, None)
        assert acts.head(session) == acts.Head(7, verdict.head)


def test_hash_does_not_depend_on_the_zone_the_instant_is_told_in(ledger: Ledger) -> None:
    with ledger.begin() as session:
        acts.append(session, NOW.astimezone(UTC), "warn", [_deed(1)])
    with ledger.begin() as session:
        assert acts.verify(session).broken_at is None


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "somebody"},
        {"kind": "message.sent"},
        {"subject": "message-9"},
        {"payload_sha256": "f" * 64},
        {"at": NOW.replace(microsecond=0)},
        {"hash": "e" * 64},
    ],
)
def test_a_changed_act_shows(ledger: Ledger, change: dict[str, object]) -> None:
    _chain(ledger, 5)
    with ledger.begin() as session:
        session.execute(update(Act).where(Act.seq == 3).values(**change))
    with ledger.begin() as session:
        assert acts.verify(session).broken_at == 3


def test_a_removed_act_shows(ledger: Ledger) -> None:
    _chain(ledger, 5)
    with ledger.begin() as session:
        session.execute(delete(Act).where(Act.seq == 2))
    with ledger.begin() as session:
        assert acts.verify(session).broken_at == 2


class TestWhatWasDone:
    """Each act that is not as it was written is named, with what was done to it."""

    def faults(self, ledger: Ledger, *known: acts.Head) -> list[tuple[int, str]]:
        with ledger.begin() as session:
            return [(fault.seq, fault.what) for fault in acts.verify(session, known).faults]

    def test_changed_removed_and_rewritten_at_once(self, ledger: Ledger) -> None:
        _chain(ledger, 12)
        with ledger.begin() as session:
            session.execute(update(Act).where(Act.seq == 3).values(actor="somebody"))
            session.execute(delete(Act).where(Act.seq.in_((5, 6))))
            row = session.get_one(Act, 9)
            new = acts.digest(9, row.at, "somebody", row.kind, row.subject, row.payload_sha256, row.prev)
            session.execute(update(Act).where(Act.seq == 9).values(actor="somebody", hash=new))
        assert self.faults(ledger) == [(3, "changed"), (5, "removed"), (6, "removed"), (9, "rewritten")]

    @pytest.mark.parametrize("sound", [True, False])
    def test_an_act_slipped_in(self, ledger: Ledger, sound: bool) -> None:
        _chain(ledger, 5)
        with ledger.begin() as session:
            for seq in (5, 4, 3):
                session.execute(update(Act).where(Act.seq == seq).values(seq=seq + 1))
            made = {"at": NOW, "actor": "x", "kind": "x", "subject": "x", "payload_sha256": "0" * 64}
            prev = "a" * 64
            digest = acts.digest(3, NOW, "x", "x", "x", "0" * 64, prev) if sound else "d" * 64
            session.execute(insert(Act).values(seq=3, prev=prev, hash=digest, **made))
        assert self.faults(ledger) == [(3, "inserted")]

    def test_an_act_taken_out_with_the_numbers_closed_up(self, ledger: Ledger) -> None:
        _chain(ledger, 6)
        with ledger.begin() as session:
            session.execute(delete(Act).where(Act.seq == 3))
            for seq in (4, 5, 6):
                session.execute(update(Act).where(Act.seq == seq).values(seq=seq - 1))
        assert self.faults(ledger) == [(3, "removed")]

    def test_a_cut_tail_and_a_chain_written_anew(self, ledger: Ledger) -> None:
        _chain(ledger, 5)
        with ledger.begin() as session:
            known = acts.head(session)
            session.execute(delete(Act).where(Act.seq == 5))
        assert self.faults(ledger) == []
        assert self.faults(ledger, known) == [(5, "removed")]
        with ledger.begin() as session:
            acts.append(session, NOW, "warn", [_deed(77)])
        assert self.faults(ledger, known) == [(5, "head")]

    def test_a_body(self, ledger: Ledger) -> None:
        with ledger.begin() as session:
            acts.record(session, NOW, "auditor", "replay", "2026-06-15", {"rows": 3}, reason="a complaint")
            acts.record(session, NOW, "auditor", "matter.looked_at", "M1")
        assert self.faults(ledger) == []
        with ledger.begin() as session:
            session.execute(update(acts.ActBody).where(acts.ActBody.seq == 1).values(content='{"reason":"another"}'))
        assert self.faults(ledger) == [(1, "body changed")]
        with ledger.begin() as session:
            session.execute(delete(acts.ActBody))
        assert self.faults(ledger) == []


@pytest.mark.parametrize("kind", sorted(acts.REASONED))
def test_some_acts_need_a_reason(ledger: Ledger, kind: str) -> None:
    with pytest.raises(ConfigError, match="needs a reason"), ledger.begin() as session:
        acts.record(session, NOW, "auditor", kind, "x", reason="  ")
    with ledger.begin() as session:
        assert acts.head(session).seq == 0


def test_a_cut_tail_shows_against_a_known_head(ledger: Ledger) -> None:
    _chain(ledger, 5)
    with ledger.begin() as session:
        known = acts.head(session)
        session.execute(delete(Act).where(Act.seq == 5))
    with ledger.begin() as session:
        assert acts.verify(session).broken_at is None
        assert acts.head(session) != known


def test_the_chain_cannot_fork(ledger: Ledger) -> None:
    _chain(ledger, 2)
    with pytest.raises(IntegrityError), ledger.begin() as session:
        session.execute(
            insert(Act).values(
                seq=9, at=NOW, actor="x", kind="x", subject="x", payload_sha256="x", prev=GENESIS, hash="d" * 64
            )
        )


def test_an_act_rolled_back_leaves_no_gap(ledger: Ledger) -> None:
    _chain(ledger, 1)
    with Session(ledger.engine) as session:
        acts.append(session, NOW, "warn", [_deed(7)])
        session.rollback()
    _chain(ledger, 1)
    with ledger.begin() as session:
        assert acts.verify(session) == acts.Verdict(2, acts.head(session).hash, None)


def test_writers_at_once_queue_up(ledger: Ledger) -> None:
    errors: list[BaseException] = []

    def write(start: int) -> None:
        try:
            for number in range(start, start + 10):
                with ledger.begin() as session:
                    acts.append(session, NOW, "warn", [_deed(number)])
        except BaseException as error:
            errors.append(error)

    assert ledger.engine is not None
    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with ledger.begin() as session:
        assert acts.verify(session).length == 40
        assert acts.verify(session).broken_at is None
