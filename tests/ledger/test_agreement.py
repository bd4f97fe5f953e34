"""Rows that do not say what the acts say are found and named, on both databases; a ledger in use has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from chengxin.ledger import Ledger, access, acts, agreement, answers, decisions, objections, outbox, settling
from chengxin.ledger.access import Access
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.answers import Answer
from chengxin.ledger.decisions import Decision
from chengxin.ledger.messages import Message
from chengxin.ledger.objections import Objection
from chengxin.ledger.outbox import Draft, Scope
from tests.ledger.test_decisions import NEW, NOW

DAY = date(2026, 6, 15)


def draft(key: str, mode: str = "sandbox", **fields: Any) -> Draft:
    about = Draft(
        key=key, mode=mode, district="370112", department="zjj", recipient="zjj@licheng.example", role="unit",
        kind="advice", matter="advice", stage="", fingerprint="f", as_of=DAY, subject="s", header_id=key, thread=key,
        content=b"said",
    )  # fmt: skip
    return replace(about, **fields)


def _send(session: Session, number: int, *outcomes: str) -> None:
    for outcome in outcomes:
        claimed = outbox.claim(session, NOW, number, "me")
        assert claimed is not None
        assert outbox.settle(session, NOW, claimed, "me", outcome)


def life(ledger: Ledger) -> None:
    """Everything that can happen to a row, each by its own code. Message 1 planned … 9 superseded after erasure."""
    with ledger.begin() as session:
        keys = [str(number) * 64 for number in range(1, 9)]
        outbox.put(session, NOW, [draft(key) for key in keys])
        outbox.put(session, NOW, [draft("1" * 64, "rehearsal"), draft("2" * 64, "rehearsal")])
        _send(session, 2, "sent")
        _send(session, 3, "planned", "refused")
        _send(session, 4, "unknown")
        _send(session, 5, "unknown")
        settling.decide(session, NOW, 5, "sent", "operator/li", "收件箱里有")
        _send(session, 6, "refused")
        settling.decide(session, NOW, 6, "not-sent", "operator/li", "地址已改")
        outbox.claim(session, NOW, 7, "a dead sender")
        outbox.recover(session, NOW, Scope("370112", "sandbox", DAY), lambda _: False)
        outbox.supersede(session, NOW, Scope("370112", "sandbox", DAY), DAY)
        outbox.put(session, NOW, [draft("8" * 64, as_of=DAY + timedelta(days=1), content=b"said anew")])
        outbox.supersede(session, NOW, Scope("370112", "sandbox", DAY + timedelta(days=1)), DAY + timedelta(days=1))
        message = session.get_one(Message, 2)
        answers.give(session, NOW, message, "acknowledged")
        answers.give(session, NOW, message, "snoozed", reason="出差", until=DAY + timedelta(days=3))
        decisions.add(session, NOW, NEW)
        decisions.add(session, NOW, replace(NEW, decision="EXCLUDE", against=True, reason="x"))
        row = Objection(
            received_on=DAY, district="370112", advice_id="a1", matter_id="M1", department="zjj", received_by="zjj"
        )
        objections.add(session, NOW, "officer/zjj", row, "不实")
        objections.settle(session, NOW, "officer/zjj", row, "upheld", "已更正")
        other = Objection(
            received_on=DAY, district="370112", advice_id="a2", matter_id="M2", department="zjj", received_by="zjj"
        )
        objections.add(session, NOW, "officer/zjj", other, "不实")
        access.looked(session, NOW, "zjj", "zjj", "advice", ["0" * 64], "M1", "/credit/matter")
        access.looked(session, NOW, "auditor", None, "subject", ["1" * 64], "投诉", "/credit/subject", "masked")
        acts.record(session, NOW, "auditor", "access.purpose", "auditor", {"purpose": "投诉"})


def test_a_ledger_in_use_agrees_with_its_acts(ledger: Ledger) -> None:
    life(ledger)
    with ledger.begin() as session:
        assert agreement.faults(session) == []
        assert acts.verify(session).broken_at is None


def _seq(session: Session, kind: str) -> int:
    return session.execute(select(Act.seq).where(Act.kind == kind).order_by(Act.seq)).scalars().all()[0]


Change = Callable[[Session], object]
CASES: list[tuple[Change, str]] = [
    (lambda s: s.execute(update(Message).where(Message.id == 3).values(state="sent")),
     "message 3 says that it is sent, the acts say message.refused"),
    (lambda s: s.execute(update(Message).where(Message.id == 5).values(state="planned")),
     "message 5 says that it is planned, the acts say message.settled"),
    (lambda s: s.execute(update(Message).where(Message.id == 2).values(state="refused")),
     "message 2 says that it is refused, the acts say message.sent"),
    (lambda s: s.execute(update(Message).where(Message.id == 4).values(key="x")), "message 4 was inserted or changed"),
    (lambda s: s.execute(update(Answer).where(Answer.id == 1).values(what="handled")), "answer 1 is not what act"),
    (lambda s: s.execute(update(Answer).where(Answer.id == 2).values(until=DAY)), "answer 2 is not what act"),
    (lambda s: s.execute(delete(Answer).where(Answer.id == 2)), "the answer of act"),
    (lambda s: s.execute(update(Decision).where(Decision.id == 2).values(decision="PASS")), "decision 2 is not"),
    (lambda s: s.execute(update(Decision).where(Decision.id == 1).values(weighed="scored")), "decision 1 is not what"),
    (lambda s: s.execute(update(Decision).where(Decision.id == 1).values(account="czj")), "decision 1 is not what act"),
    (lambda s: s.execute(update(Decision).where(Decision.id == 2).values(act=1)), "decision 2 is not what act 1 says"),
    (lambda s: s.execute(delete(Decision).where(Decision.id == 1)), "the decision of act"),
    (lambda s: s.execute(update(Objection).where(Objection.id == 1).values(outcome="rejected")),
     "objection 1 says that it was settled"),
    (lambda s: s.execute(update(Objection).where(Objection.id == 2).values(outcome="rejected")),
     "objection 2 says that it was settled"),
    (lambda s: s.execute(update(Objection).where(Objection.id == 1).values(
        outcome=None, settled_at=None, settled_by=None, settled_act=None)), "the settlement of an objection of act"),
    (lambda s: s.execute(update(Objection).where(Objection.id == 2).values(received_on=date(2026, 1, 1))),
     "objection 2 is not what act"),
    (lambda s: s.execute(delete(Objection).where(Objection.id == 2)), "the objection of act"),
    (lambda s: s.execute(update(Access).where(Access.account == "zjj").values(account="czj")), "the look of act"),
    (lambda s: s.execute(update(Access).where(Access.account == "zjj").values(subject_sha256="2" * 64)), "the look of"),
    (lambda s: s.execute(update(Access).where(Access.account == "auditor").values(outcome="shown")), "the act's body"),
    (lambda s: s.execute(delete(Access).where(Access.account == "auditor")), "the look of act"),
    (lambda s: s.execute(insert(ActBody).values(seq=4711, content="{}")), "a body of act 4711 was inserted"),
    (lambda s: s.execute(delete(ActBody).where(ActBody.seq == _seq(s, "message.settled"))),
     "the bodies of 1 acts are gone, 0 were erased on record: among acts"),
]  # fmt: skip


def test_every_alteration_is_found_on_both_databases(ledger: Ledger) -> None:
    life(ledger)
    for change, said in CASES:
        with ledger.begin() as session:
            change(session)
            faults = agreement.faults(session)
            assert any(said in fault for fault in faults), (said, faults)
            assert len(faults) <= 2
            session.rollback()


def test_bodies_erased_on_record_are_no_fault(ledger: Ledger) -> None:
    life(ledger)
    with ledger.begin() as session:
        session.execute(delete(ActBody).where(ActBody.seq.in_([_seq(session, kind) for kind in ("decision.made",)])))
        acts.record(session, NOW, "officer", "erasure", "0" * 64, {"bodies": 1}, reason="申请第1号")
    with ledger.begin() as session:
        assert agreement.faults(session) == []
        session.execute(update(Decision).where(Decision.id == 1).values(advice_id="a9"))
        assert agreement.faults(session)
        session.rollback()
