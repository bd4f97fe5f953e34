"""Objections (异议) of subjects to advice: received, and settled.

An objection marks its advice as disputed until it is settled. Both steps are acts, `objection.made` and
`objection.settled`; the grounds and the reason are their bodies and can be erased.

| outcome | meaning |
|---|---|
| `upheld` | the subject is right: source or advice was mended |
| `partly` | right in part |
| `rejected` | not right |
| `withdrawn` | the subject took it back |
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, get_args

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from chengxin.ledger import acts
from chengxin.ledger.acts import ActBody
from chengxin.ledger.decisions import batches
from chengxin.ledger.models import Base, Serial

Outcome = Literal["upheld", "partly", "rejected", "withdrawn"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

MADE, SETTLED = "objection.made", "objection.settled"


class Objection(Base):
    """One objection to one advice."""

    __tablename__ = "objection"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    act: Mapped[int] = mapped_column(Serial, unique=True)
    """The act that records it."""
    at: Mapped[datetime]
    """When it was entered."""
    received_on: Mapped[date]
    """The Beijing day on which it came in."""
    district: Mapped[str] = mapped_column(String(12))
    advice_id: Mapped[str] = mapped_column(String(64), index=True)
    matter_id: Mapped[str] = mapped_column(String(128))
    department: Mapped[str] = mapped_column(String(64), index=True)
    received_by: Mapped[str] = mapped_column(String(64))
    """Login name of the officer who received it."""
    outcome: Mapped[str | None] = mapped_column(String(16))
    """Null: it is open."""
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None] = mapped_column(String(64))
    settled_act: Mapped[int | None] = mapped_column(Serial, unique=True)


@dataclass(frozen=True)
class Objected:
    """An objection as it is read."""

    id: int
    act: int
    at: datetime
    received_on: date
    advice_id: str
    matter_id: str
    department: str
    received_by: str
    grounds: str
    """What the subject says; empty where it was erased."""
    outcome: Outcome | None
    settled_at: datetime | None
    settled_by: str | None
    settled_act: int | None
    reason: str
    """Why it was settled so; empty where it is open, or was erased."""

    @property
    def is_open(self) -> bool:
        """It waits to be settled: its advice is disputed."""
        return self.outcome is None


def add(session: Session, at: datetime, signature: str, row: Objection, grounds: str) -> Objected:
    """Records an objection.

    Args:
        session: an open transaction.
        at: now.
        signature: how the officer who enters it stands in the chain of acts.
        row: the objection, its act and `at` not yet set.
        grounds: what the subject says.
    """
    body = {"advice": row.advice_id, "matter": row.matter_id, "received_on": row.received_on, "by": row.received_by}
    row.at, row.act = at, acts.record(session, at, signature, MADE, row.advice_id, body, reason=grounds).seq
    session.add(row)
    session.flush()
    return _read(session, [row])[0]


def settle(session: Session, at: datetime, signature: str, row: Objection, outcome: Outcome, reason: str) -> Objected:
    """Records how an open objection was settled.

    Args:
        session: the transaction that the row was read in.
        at: now.
        signature: how the officer who settles it stands in the chain of acts.
        row: the objection.
        outcome: what came of it.
        reason: why.
    """
    body = {"advice": row.advice_id, "objection": row.act, "outcome": outcome}
    row.settled_act = acts.record(session, at, signature, SETTLED, row.advice_id, body, reason=reason).seq
    row.outcome, row.settled_at, row.settled_by = outcome, at, signature.partition("/")[2]
    session.flush()
    return _read(session, [row])[0]


def objections_of(session: Session, advice_ids: Iterable[str]) -> dict[str, tuple[Objected, ...]]:
    """Every objection to some advice, oldest first. Advice without any is left out."""
    found: dict[str, list[Objected]] = {}
    for ids in batches(advice_ids):
        rows = session.scalars(select(Objection).where(Objection.advice_id.in_(ids)).order_by(Objection.id))
        for one in _read(session, list(rows)):
            found.setdefault(one.advice_id, []).append(one)
    return {advice: tuple(made) for advice, made in found.items()}


def waiting(session: Session, district: str, department: str | None = None) -> list[Objected]:
    """The objections that wait to be settled, oldest first.

    Args:
        session: an open transaction.
        district: its code.
        department: of this department; None: of all.
    """
    conditions: list[Any] = [Objection.district == district, Objection.outcome.is_(None)]
    if department is not None:
        conditions.append(Objection.department == department)
    return _read(session, list(session.scalars(select(Objection).where(*conditions).order_by(Objection.id))))


def disputed(session: Session, advice_ids: Iterable[str]) -> set[str]:
    """The advice of some ids to which an objection is open."""
    return {
        one
        for ids in batches(advice_ids)
        for one in session.scalars(
            select(Objection.advice_id).where(Objection.advice_id.in_(ids), Objection.outcome.is_(None))
        )
    }


def disputed_in(session: Session, district: str) -> frozenset[str]:
    """The ids of a district's advice to which an objection is open."""
    wanted = select(Objection.advice_id).where(Objection.district == district, Objection.outcome.is_(None))
    return frozenset(session.scalars(wanted))


def _read(session: Session, rows: list[Objection]) -> list[Objected]:
    wanted = [seq for row in rows for seq in (row.act, row.settled_act) if seq is not None]
    said = dict(session.execute(select(ActBody.seq, ActBody.content).where(ActBody.seq.in_(wanted))).tuples().all())
    return [
        Objected(
            id=row.id,
            act=row.act,
            at=row.at,
            received_on=row.received_on,
            advice_id=row.advice_id,
            matter_id=row.matter_id,
            department=row.department,
            received_by=row.received_by,
            grounds=_reason(said.get(row.act)),
            outcome=next((name for name in OUTCOMES if name == row.outcome), None),
            settled_at=row.settled_at,
            settled_by=row.settled_by,
            settled_act=row.settled_act,
            reason=_reason(said.get(row.settled_act)) if row.settled_act is not None else "",
        )
        for row in rows
    ]


def _reason(content: str | None) -> str:
    return str(json.loads(content).get("reason", "")) if content else ""
