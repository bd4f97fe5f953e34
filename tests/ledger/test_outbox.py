"""The outbox on both databases: keys, claims, states, what was told."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from chengxin.clock import BEIJING
from chengxin.ledger import Ledger, acts, outbox
from chengxin.ledger.messages import Message, MessageBody, MessageItem
from chengxin.ledger.outbox import Draft, Item, Scope

NOW = datetime(2026, 6, 15, 8, tzinfo=BEIJING)
DAY = date(2026, 6, 15)
SCOPE = Scope("370112", "sandbox", DAY)


def _draft(number: int = 1, **more: Any) -> Draft:
    key = outbox.key_of(recipient="a@licheng.example", kind="advice", matter="m", stage="", fingerprint=str(number))
    base = Draft(
        key=key, mode="sandbox", district="370112", department="zjj", recipient="a@licheng.example", role="unit",
        kind="advice", matter="m", stage="", fingerprint=str(number), as_of=DAY, subject="主题", header_id="<x@y>",
        thread="<t@y>", content=f"Subject: {number}\r\n\r\n正文\r\n".encode(),
        items=(Item(f"A{number}", f"f{number}", "RESTRICT"),), detail={"seq": 3},
    )  # fmt: skip
    return replace(base, **more)


def _put(ledger: Ledger, *drafts: Draft, **more: Any) -> dict[str, int]:
    with ledger.begin() as session:
        return outbox.put(session, NOW, drafts, **more)


def _only(ledger: Ledger) -> Message:
    with ledger.begin() as session:
        return session.scalars(select(Message)).one()


def test_a_key_stands_once(ledger: Ledger) -> None:
    assert _put(ledger, _draft(1), _draft(2)) == {"planned": 2, "refreshed": 0, "known": 0}
    assert _put(ledger, _draft(1), _draft(3)) == {"planned": 1, "refreshed": 0, "known": 1}
    with ledger.begin() as session:
        for table in (Message, MessageBody, MessageItem):
            assert session.scalar(select(func.count()).select_from(table)) == 3
        assert acts.verify(session).length == 3


def test_the_database_itself_refuses_a_second_one(ledger: Ledger) -> None:
    _put(ledger, _draft())
    row = _only(ledger)
    copy = {column.key: getattr(row, column.key) for column in Message.__table__.columns if column.key != "id"}
    with pytest.raises(IntegrityError), ledger.begin() as session:
        session.add(Message(**copy))


def test_every_part_of_the_key_counts() -> None:
    parts = {"recipient": "a", "kind": "b", "matter": "c", "stage": "d", "fingerprint": "e"}
    keys = {outbox.key_of(**parts)} | {outbox.key_of(**{**parts, name: "z"}) for name in parts}
    assert len(keys) == 6
    assert outbox.key_of(**parts) == outbox.key_of(**parts)


def test_what_waits_is_brought_up_to_date_and_what_left_is_not(ledger: Ledger) -> None:
    _put(ledger, _draft())
    tomorrow = _draft(as_of=DAY + timedelta(days=1), content=b"Subject: new\r\n\r\n", items=())
    assert _put(ledger, tomorrow)["refreshed"] == 1
    assert _put(ledger, _draft())["known"] == 1  # an earlier day does not turn it back
    message = _only(ledger)
    with ledger.begin() as session:
        claimed = outbox.claim(session, NOW, message.id, "me")
        assert claimed is not None
        assert claimed.content == b"Subject: new\r\n\r\n"
        assert session.scalar(select(func.count()).select_from(MessageItem)) == 0
    assert _put(ledger, _draft(as_of=DAY + timedelta(days=2)))["known"] == 1


def test_one_claim_wins(ledger: Ledger) -> None:
    _put(ledger, *[_draft(number) for number in range(20)])
    with ledger.begin() as session:
        waiting = outbox.pending(session, SCOPE)
    won: list[int] = []
    errors: list[BaseException] = []

    def sender(name: str) -> None:
        try:
            for number in waiting:
                with ledger.begin() as session:
                    if outbox.claim(session, NOW, number, name):
                        won.append(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=sender, args=(f"sender-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(won) == waiting
    with ledger.begin() as session:
        assert outbox.counts(session, SCOPE)["sending"] == 20
        assert acts.verify(session).broken_at is None


def test_planners_at_once_commit_each_message_once(ledger: Ledger) -> None:
    assert ledger.engine is not None
    errors: list[BaseException] = []

    def planner() -> None:
        try:
            _put(ledger, *[_draft(number) for number in range(10)])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=planner) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with ledger.begin() as session:
        assert outbox.counts(session, SCOPE)["planned"] == 10


def test_a_plan_made_before_another_was_committed_is_refused(ledger: Ledger) -> None:
    _put(ledger, _draft(1), expected=0)
    with pytest.raises(outbox.ConcurrentPlanError):
        _put(ledger, _draft(2), expected=0)
    with ledger.begin() as session:
        mark = outbox.mark(session, "370112")
    assert _put(ledger, _draft(2), expected=mark)["planned"] == 1


@pytest.mark.parametrize("state", ["sent", "refused", "unknown", "planned"])
def test_outcomes_are_recorded_once_and_by_the_holder(ledger: Ledger, state: str) -> None:
    _put(ledger, _draft())
    number = _only(ledger).id
    with ledger.begin() as session:
        claimed = outbox.claim(session, NOW, number, "me")
    assert claimed is not None
    with ledger.begin() as session:
        assert not outbox.settle(session, NOW, claimed, "another", state, "250 OK")
        assert outbox.settle(session, NOW, claimed, "me", state, "250 OK")
        assert not outbox.settle(session, NOW, claimed, "me", "unknown")
    message = _only(ledger)
    assert (message.state, message.last_error) == (state, "250 OK")
    assert (message.settled_at is None) == (state == "planned")
    with ledger.begin() as session:
        assert (outbox.claim(session, NOW, number, "me") is not None) == (state == "planned")


def test_dead_senders_leave_unknown(ledger: Ledger) -> None:
    _put(ledger, _draft(1), _draft(2))
    with ledger.begin() as session:
        first, second = outbox.pending(session, SCOPE)
        outbox.claim(session, NOW, first, "dead")
        outbox.claim(session, NOW, second, "alive")
    with ledger.begin() as session:
        assert outbox.recover(session, NOW, SCOPE, lambda holder: holder == "alive") == 1
        assert outbox.recover(session, NOW, SCOPE, lambda holder: holder == "alive") == 0
        counts = outbox.counts(session, SCOPE)
    assert (counts["unknown"], counts["sending"], counts["planned"]) == (1, 1, 0)


def test_what_was_told_last_stands(ledger: Ledger) -> None:
    later = _draft(2, as_of=DAY + timedelta(days=1), items=(Item("A1", "f9", "PASS"),))
    _put(ledger, _draft(1), later)
    with ledger.begin() as session:
        until_today = outbox.told(session, SCOPE)
        until_tomorrow = outbox.told(session, replace(SCOPE, until=DAY + timedelta(days=1)))
        elsewhere = outbox.told(session, replace(SCOPE, mode="production"))
        rehearsal = outbox.told(session, replace(SCOPE, mode="rehearsal"))
        too_old = outbox.told(session, replace(SCOPE, since=DAY + timedelta(days=1)))
    assert until_today == [("zjj", "A1", "f1", "RESTRICT", _draft(1).key)] == rehearsal
    assert until_tomorrow == [("zjj", "A1", "f9", "PASS", later.key)]
    assert elsewhere == too_old == []


def test_old_messages_that_left_still_count_as_told(ledger: Ledger) -> None:
    _put(ledger, _draft())
    number = _only(ledger).id
    with ledger.begin() as session:
        claimed = outbox.claim(session, NOW, number, "me")
        assert claimed is not None
        outbox.settle(session, NOW, claimed, "me", "sent")
    late = Scope("370112", "sandbox", DAY + timedelta(days=90), DAY + timedelta(days=89))
    with ledger.begin() as session:
        assert len(outbox.told(session, late)) == 1
        assert outbox.supersede(session, NOW, replace(late, since=None), DAY + timedelta(days=89)) == 0


def test_what_waited_too_long_is_superseded_and_can_come_back(ledger: Ledger) -> None:
    _put(ledger, _draft())
    after = DAY + timedelta(days=2)
    with ledger.begin() as session:
        assert outbox.supersede(session, NOW, replace(SCOPE, until=after), DAY + timedelta(days=1)) == 1
        assert outbox.pending(session, replace(SCOPE, until=after)) == []
        assert outbox.told(session, replace(SCOPE, until=after)) == []
    assert _put(ledger, _draft(as_of=after))["refreshed"] == 1
    assert _only(ledger).state == "planned"
