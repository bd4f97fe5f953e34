"""What officers decided on advice, and how the credit was weighed (二（一）1, 二（二）).

A row per decision, never changed; of several on one advice the newest counts. Each is an act, `decision.made`; its
words (how the credit was weighed, why against the advice) are the act's body and can be erased, codes and hashes stay.

| weighed | meaning |
|---|---|
| `necessary` | a necessary condition: without the report, or with the record, the decision would have been another |
| `scored` | counted in a score or a ranking |
| `reference` | read as a reference |
| `not_weighed` | not weighed: the notice asks for it, so this needs a reason |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal, TypeVar, get_args

from sqlalchemy import Index, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from chengxin.clock import BEIJING
from chengxin.ledger import acts
from chengxin.ledger.acts import ActBody
from chengxin.ledger.models import Base, Serial

Outcome = Literal["PASS", "PRIORITY", "NEED_REPORT", "RESTRICT", "EXCLUDE"]
"""What an officer may decide: the policy's words for what can be done. The others ask for a person and are no end."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

Weighed = Literal["necessary", "scored", "reference", "not_weighed"]
WEIGHED: tuple[Weighed, ...] = get_args(Weighed)

KIND = "decision.made"

_AT_ONCE = 500
"""Ids in one question: SQLite takes so many parameters and no more."""


class Decision(Base):
    """One decision on one applicant of a matter."""

    __tablename__ = "decision"
    __table_args__ = (Index("ix_decision_month", "district", "at"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    act: Mapped[int] = mapped_column(Serial, unique=True)
    """The act that records it."""
    at: Mapped[datetime]
    district: Mapped[str] = mapped_column(String(12))
    advice_id: Mapped[str] = mapped_column(String(64), index=True)
    matter_id: Mapped[str] = mapped_column(String(128))
    department: Mapped[str] = mapped_column(String(64))
    account: Mapped[str] = mapped_column(String(64))
    """The officer's login name."""
    decision: Mapped[str] = mapped_column(String(16))
    weighed: Mapped[str] = mapped_column(String(16))
    advised: Mapped[str] = mapped_column(String(16))
    """What the advice said when it was decided."""
    against: Mapped[bool]
    """Whether the decision goes against the advice."""


@dataclass(frozen=True)
class New:
    """A decision before it is recorded."""

    district: str
    advice_id: str
    matter_id: str
    department: str
    account: str
    signature: str
    """How the officer stands in the chain of acts."""
    name: str
    """The officer's name."""
    decision: Outcome
    weighed: Weighed
    words: str
    advised: str
    against: bool
    disputed: bool
    policy_version: str
    reason: str


@dataclass(frozen=True)
class Decided:
    """A decision as it is read."""

    id: int
    act: int
    at: datetime
    advice_id: str
    matter_id: str
    department: str
    account: str
    name: str
    """The officer's name then; empty where the words were erased."""
    decision: Outcome
    weighed: Weighed
    advised: str
    against: bool
    disputed: bool
    """Whether an objection to the advice was open then; False where the words were erased."""
    words: str
    """How the credit was weighed, in the officer's words."""
    reason: str
    erased: bool
    """The words were erased."""


def add(session: Session, at: datetime, new: New) -> Decided:
    """Records a decision: its act with its words, and its row.

    Args:
        session: an open transaction.
        at: now.
        new: the decision.
    """
    body = {
        "advice": new.advice_id,
        "matter": new.matter_id,
        "department": new.department,
        "officer": new.name,
        "decision": new.decision,
        "weighed": new.weighed,
        "words": new.words,
        "advised": new.advised,
        "against": new.against,
        "disputed": new.disputed,
        "policy_version": new.policy_version,
    }
    head = acts.record(session, at, new.signature, KIND, new.advice_id, body, reason=new.reason)
    row = Decision(
        act=head.seq,
        at=at,
        district=new.district,
        advice_id=new.advice_id,
        matter_id=new.matter_id,
        department=new.department,
        account=new.account,
        decision=new.decision,
        weighed=new.weighed,
        advised=new.advised,
        against=new.against,
    )
    session.add(row)
    session.flush()
    return _decided(row, acts.canonical({**body, "reason": new.reason}))


def decisions_of(session: Session, advice_ids: Iterable[str]) -> dict[str, tuple[Decided, ...]]:
    """Every decision on some advice, oldest first; the last one counts. Advice without any is left out."""
    found: dict[str, list[Decided]] = {}
    for ids in batches(advice_ids):
        rows = session.execute(
            select(Decision, ActBody.content)
            .outerjoin(ActBody, ActBody.seq == Decision.act)
            .where(Decision.advice_id.in_(ids))
            .order_by(Decision.id)
        )
        for row, content in rows:
            found.setdefault(row.advice_id, []).append(_decided(row, content))
    return {advice: tuple(made) for advice, made in found.items()}


def counts(session: Session, district: str, first: date, last: date) -> dict[str, dict[str, int]]:
    """How the credit was weighed in the decisions of some days: department → `weighed` code → applicants.

    Of several decisions on one applicant the last of these days counts.

    Args:
        session: an open transaction.
        district: its code.
        first: first Beijing day.
        last: last Beijing day.
    """
    begin = datetime.combine(first, time(), BEIJING)
    end = datetime.combine(last + timedelta(days=1), time(), BEIJING)
    newest = (
        select(func.max(Decision.id))
        .where(Decision.district == district, Decision.at >= begin, Decision.at < end)
        .group_by(Decision.advice_id)
    )
    rows = session.execute(
        select(Decision.department, Decision.weighed, func.count())
        .where(Decision.id.in_(newest))
        .group_by(Decision.department, Decision.weighed)
    )
    found: dict[str, dict[str, int]] = {}
    for department, weighed, number in rows:
        found.setdefault(department, {})[weighed] = int(number)
    return found


Id = TypeVar("Id", str, int)


def batches(ids: Iterable[Id]) -> Sequence[list[Id]]:
    """Distinct ids, in portions that a database takes."""
    distinct = list(dict.fromkeys(ids))
    return [distinct[start : start + _AT_ONCE] for start in range(0, len(distinct), _AT_ONCE)]


def _decided(row: Decision, content: str | None) -> Decided:
    said = json.loads(content) if content else {}
    outcome: Outcome = next(name for name in OUTCOMES if name == row.decision)
    weighed: Weighed = next(name for name in WEIGHED if name == row.weighed)
    return Decided(
        id=row.id,
        act=row.act,
        at=row.at,
        advice_id=row.advice_id,
        matter_id=row.matter_id,
        department=row.department,
        account=row.account,
        name=str(said.get("officer", "")),
        decision=outcome,
        weighed=weighed,
        advised=row.advised,
        against=row.against,
        disputed=bool(said.get("disputed", False)),
        words=str(said.get("words", "")),
        reason=str(said.get("reason", "")),
        erased=content is None,
    )
