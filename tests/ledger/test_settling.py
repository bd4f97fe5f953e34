"""A person's word about a delivery that no program can know the end of."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from chengxin.errors import ConfigError
from chengxin.ledger import acts, outbox, settling
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.messages import Message, MessageBody
from chengxin.ledger.outbox import Draft, Item, Scope
from chengxin.ledger.settling import NotOpenError
from chengxin.settings import House

DAY = date(2026, 6, 15)
SCOPE = Scope("370112", "sandbox", DAY)


def _message(session: Session, house: House, state: str) -> int:
    draft = Draft(
        key="a" * 64, mode="sandbox", district="370112", department="zjj", recipient="zjj@licheng.example",
        role="unit", kind="advice", matter="advice", stage="", fingerprint="f" * 64, as_of=DAY, subject="s",
        header_id="<a@b>", thread="<t@b>", content=b"bytes", items=[Item("A1", "f1", "NEED_REPORT")],
    )  # fmt: skip
    outbox.put(session, house.clock(), [draft])
    values: dict[str, Any] = {"state": state, "settled_at": house.clock(), "claimed_by": "a dead sender"}
    session.execute(update(Message).values(**values))
    return session.scalars(select(Message.id)).one()


def _told(session: Session) -> bool:
    return bool(outbox.told(session, SCOPE))


def test_it_arrived(house: House) -> None:
    with house.ledger.begin() as session:
        number = _message(session, house, "unknown")
        assert [each.id for each in settling.undecided(session, "370112")] == [number]
        settling.decide(session, house.clock(), number, "sent", "operator/li", "对方邮箱里有这封信")
        assert settling.undecided(session, "370112") == []
        assert session.scalars(select(Message.state)).one() == "sent"
        assert _told(session)
        act = session.scalars(select(Act).order_by(Act.seq.desc())).first()
        assert act is not None
        assert (act.kind, act.actor, act.subject) == ("message.settled", "operator/li", "a" * 64)
        assert "对方邮箱里有这封信" in session.scalars(select(ActBody.content)).one()
        assert acts.verify(session).broken_at is None


@pytest.mark.parametrize("state", ["unknown", "refused"])
def test_it_did_not_arrive_and_goes_out_again(house: House, state: str) -> None:
    with house.ledger.begin() as session:
        number = _message(session, house, state)
        settling.decide(session, house.clock(), number, "not-sent", "operator/li", "邮件服务器日志无此信")
        assert outbox.pending(session, SCOPE) == [number]
        claimed = outbox.claim(session, house.clock(), number, "me")
        assert claimed is not None
        assert claimed.content == b"bytes"


def test_erased_bytes_cannot_go_out_and_the_news_is_told_anew(house: House) -> None:
    with house.ledger.begin() as session:
        number = _message(session, house, "unknown")
        session.execute(delete(MessageBody))
        settling.decide(session, house.clock(), number, "not-sent", "operator/li", "退信")
        assert session.scalars(select(Message.state)).one() == "superseded"
        assert not _told(session)


def test_a_reason_is_needed(house: House) -> None:
    with house.ledger.begin() as session:
        number = _message(session, house, "unknown")
    for decision in settling.DECISIONS:
        with pytest.raises(ConfigError), house.ledger.begin() as session:
            settling.decide(session, house.clock(), number, decision, "operator/li", " ")
    with house.ledger.begin() as session:
        assert session.scalars(select(Message.state)).one() == "unknown"


@pytest.mark.parametrize(
    ("state", "decision"),
    [("sent", "not-sent"), ("sent", "sent"), ("planned", "not-sent"), ("sending", "sent"), ("refused", "sent")],
)
def test_only_what_is_open_can_be_decided(house: House, state: str, decision: settling.Decision) -> None:
    with house.ledger.begin() as session:
        number = _message(session, house, state)
    with pytest.raises(NotOpenError), house.ledger.begin() as session:
        settling.decide(session, house.clock(), number, decision, "operator/li", "so")
    with pytest.raises(NotOpenError), house.ledger.begin() as session:
        settling.decide(session, house.clock(), 4711, decision, "operator/li", "so")


def test_a_sender_that_comes_back_cannot_undo_it(house: House) -> None:
    with house.ledger.begin() as session:
        number = _message(session, house, "unknown")
        claimed = outbox.Claimed(number, "a" * 64, "zjj@licheng.example", "0", b"bytes")
        settling.decide(session, house.clock(), number, "not-sent", "operator/li", "so")
        assert not outbox.settle(session, house.clock(), claimed, "a dead sender", "sent")
