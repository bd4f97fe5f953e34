"""What desks answered to their messages. Each answer is an act; its words (the reason) are the act's body.

| answer | meaning | holds |
|---|---|---|
| `acknowledged` | seen, being dealt with | as long as the facts of the message stay as they are |
| `handled` | dealt with | the same |
| `wrong_desk` | not ours | the same; the operators hear of it, advice moves to the default desk |
| `snoozed` | not now, for a reason | the same, and up to its end date |
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from chengxin.clock import beijing_date
from chengxin.ledger import acts
from chengxin.ledger.acts import ActBody
from chengxin.ledger.messages import Message
from chengxin.ledger.models import Base, Serial

What = Literal["acknowledged", "handled", "wrong_desk", "snoozed"]
WHATS: tuple[What, ...] = get_args(What)


class Answer(Base):
    """One answer to one message. Never changed; a later one counts instead."""

    __tablename__ = "answer"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("message.id", ondelete="CASCADE"), index=True)
    act: Mapped[int] = mapped_column(Serial)
    """The act that records it."""
    at: Mapped[datetime]
    what: Mapped[str] = mapped_column(String(16))
    until: Mapped[date | None]
    """Last day of a snooze."""


@dataclass(frozen=True)
class Given:
    """An answer as it is read."""

    message_id: int
    key: str
    """The message's key."""
    department: str
    what: What
    at: datetime
    until: date | None
    reason: str
    """Empty where none was given, or its body was deleted."""

    def holds(self, day: date) -> bool:
        """Whether it still holds on a day, the facts being what they were."""
        return self.until is None or day <= self.until


def give(
    session: Session, at: datetime, message: Message, what: What, *, reason: str = "", until: date | None = None
) -> bool:
    """Records an answer.

    Args:
        session: an open transaction.
        at: now.
        message: what is answered.
        what: the answer.
        reason: in the desk's words; a snooze needs one.
        until: last day of a snooze.

    Returns:
        False: the message's newest answer says the same, and nothing was added (a button pressed twice).

    Raises:
        ConfigError: a snooze without a reason.
    """
    acts.lock(session)
    last = newest(session, message.id)
    if last is not None and (last.what, last.reason, last.until) == (what, reason.strip(), until):
        return False
    body = {
        "message": message.key,
        "fingerprint": message.fingerprint,
        "body_sha256": message.body_sha256,
        **({"until": until.isoformat()} if until else {}),
    }
    head = acts.record(
        session, at, f"desk/{message.department}"[:64], f"message.{what}", message.key, body, reason=reason
    )
    session.add(Answer(message_id=message.id, act=head.seq, at=at, what=what, until=until))
    session.flush()
    return True


def of_message(session: Session, number: int) -> list[Given]:
    """The answers to one message, oldest first."""
    rows = session.execute(
        select(Answer, ActBody.content, Message.key, Message.department)
        .join(Message, Message.id == Answer.message_id)
        .outerjoin(ActBody, ActBody.seq == Answer.act)
        .where(Answer.message_id == number)
        .order_by(Answer.id)
    )
    return [_given(*row) for row in rows]


def newest(session: Session, number: int) -> Given | None:
    """The answer to a message that counts."""
    return next(iter(reversed(of_message(session, number))), None)


def counting(session: Session, district: str, mode: str) -> dict[int, Given]:
    """The answer that counts of every answered message of a mode: message id → answer.

    A rehearsal goes on from the answers to every message.
    """
    last = select(func.max(Answer.id)).group_by(Answer.message_id)
    rows = session.execute(
        select(Answer, ActBody.content, Message.key, Message.department)
        .join(Message, Message.id == Answer.message_id)
        .outerjoin(ActBody, ActBody.seq == Answer.act)
        .where(Answer.id.in_(last), Message.district == district, *([Message.mode == mode] if _real(mode) else []))
    )
    return {row[0].message_id: _given(*row) for row in rows}


def lately(session: Session, district: str, mode: str, day: date) -> list[tuple[Message, Given]]:
    """The messages answered on a Beijing day or the day before, each with the answer that counts, oldest first."""
    found = [
        given
        for given in counting(session, district, mode).values()
        if timedelta(0) <= day - beijing_date(given.at) <= timedelta(days=1)
    ]
    found.sort(key=lambda given: given.at)
    messages = {
        message.id: message
        for message in session.scalars(select(Message).where(Message.id.in_([given.message_id for given in found])))
    }
    return [(messages[given.message_id], given) for given in found]


def _real(mode: str) -> bool:
    return mode != "rehearsal"


def _given(answer: Answer, content: str | None, key: str, department: str) -> Given:
    what: What = next(name for name in WHATS if name == answer.what)
    reason = str(json.loads(content).get("reason", "")) if content else ""
    return Given(answer.message_id, key, department, what, answer.at, answer.until, reason)
