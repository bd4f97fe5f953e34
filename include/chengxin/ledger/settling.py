"""What a person decides about a message whose end no program can know: `unknown` and `refused` deliveries.

Nothing here guesses. Somebody looked into the other's mailbox, asked, or read the mail server's log, and says what
became of the message and how they know it; both are an act.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from chengxin.errors import ChengxinError
from chengxin.ledger import acts
from chengxin.ledger.messages import Message, MessageBody

Decision = Literal["sent", "not-sent"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)


class NotOpenError(ChengxinError):
    """The message does not wait for a person's word."""

    cause = "not_open"


def undecided(session: Session, district: str) -> Sequence[Message]:
    """The messages that wait for a person's word, oldest first."""
    return session.scalars(
        select(Message)
        .where(Message.district == district, Message.state.in_(("unknown", "refused")))
        .order_by(Message.id)
    ).all()


def decide(session: Session, at: datetime, number: int, decision: Decision, actor: str, reason: str) -> Message:
    """Settles a message by a person's word.

    `sent`: an `unknown` one arrived; its content stays told. `not-sent`: an `unknown` one did not arrive, or what a
    `refused` one was refused for is mended: it waits again, the next run sends it, or tells its news in a newer
    message where it is too old by then.

    Args:
        session: an open transaction.
        at: now.
        number: the message's id.
        decision: what became of it.
        actor: who says so.
        reason: how they know.

    Returns:
        The message in its new state.

    Raises:
        NotOpenError: there is no such message, or its state leaves nothing to decide.
        ConfigError: no reason is given.
    """
    acts.lock(session)
    message = session.scalar(select(Message).where(Message.id == number).with_for_update())
    if message is None or message.state not in _OPEN[decision]:
        raise NotOpenError(
            f"message {number} cannot be settled as {decision}",
            where="outbox",
            why=f"it is {message.state!r}" if message else "there is no such message",
            remedy="see `chengxin outbox` for those that wait for a decision; a refused one can only be not-sent",
        )
    kind = "message.settled" if decision == "sent" else "message.resent"
    body = {"was": message.state, "decision": decision, "body_sha256": message.body_sha256}
    acts.record(session, at, actor, kind, message.key, body, reason=reason)
    if decision == "sent":
        message.state, message.settled_at = "sent", at
    else:
        # Bytes that were erased meanwhile cannot go out any more; a newer message tells the news.
        kept = session.scalar(select(MessageBody.message_id).where(MessageBody.message_id == number)) is not None
        message.state = "planned" if kept else "superseded"
        message.settled_at, message.claimed_by = None if kept else at, None
    session.flush()
    return message


_OPEN = {"sent": ("unknown",), "not-sent": ("unknown", "refused")}
