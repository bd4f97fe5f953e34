"""How a message whose end no program can know is settled: by a person's word, or by a mail server's report.

Nothing here guesses. Somebody looked into the other's mailbox, asked, or read the mail server's log, and says what
became of the message and how they know it; or a delivery report names the message and its recipient. Both are an act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chengxin.errors import ChengxinError
from chengxin.ledger import acts
from chengxin.ledger.acts import Act
from chengxin.ledger.messages import Message, MessageBody

Decision = Literal["sent", "not-sent"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)


ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")
"""What a delivery report says of a recipient (RFC 3464, 2.3.3)."""
Settled = Literal["bounced", "confirmed", "delayed", "known", "unclear", "foreign"]
"""What a report came to. `bounced`: not delivered, the message is refused now. `confirmed`: an unknown message was
accepted. `delayed`: the server still tries. `known`: nothing to change. `unclear`: the message was sent a second time
by a person's word, and the report is, or may be, on the first. `foreign`: no message of ours, or not its recipient."""
BOUNCED = "bounced: "
"""Begins the `last_error` of a message that came back."""


@dataclass(frozen=True)
class Reported:
    """What a mail server reported on one recipient of one message."""

    message_id: str
    recipients: frozenset[str]
    """Its addresses as sent to and as delivered to, in lower case."""
    action: str
    """One of `ACTIONS`."""
    status: str
    """e.g. 5.1.1 (RFC 3463); empty: not given."""
    words: str
    """The refusing server's; may be empty."""
    sha256: str
    """Of the report."""
    arrived: datetime | None = None
    """When the reporting server got the message, aware; None: it does not say."""


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


def by_report(session: Session, at: datetime, district: str, mode: str, report: Reported) -> Settled:
    """Settles a message by a delivery report.

    A failed delivery makes a message that was sent or unknown `refused`: its content no longer counts as told. A
    delivery settles an unknown one as `sent`. Every other state stays, whatever is reported.

    Args:
        session: an open transaction.
        at: now.
        district: whose message.
        mode: of the message.
        report: the report on one recipient.
    """
    acts.lock(session)
    message = session.scalar(
        select(Message)
        .where(Message.district == district, Message.mode == mode, Message.header_id == report.message_id)
        .with_for_update()
    )
    if message is None or message.recipient.lower() not in report.recipients:
        return "foreign"
    came = report.action == "failed"
    if report.action == "delayed":
        return "delayed"
    if message.state not in (("sent", "unknown") if came else ("unknown",)):
        return "known"
    again = session.scalar(select(func.max(Act.at)).where(Act.kind == "message.resent", Act.subject == message.key))
    if again is not None and (report.arrived is None or report.arrived <= again):
        return "unclear"
    body = {
        "was": message.state, "action": report.action, "status": report.status, "report_sha256": report.sha256,
        "body_sha256": message.body_sha256,
    }  # fmt: skip
    said = " ".join(part for part in (report.status, report.words) if part) or report.action
    kind = "message.bounced" if came else "message.confirmed"
    acts.record(session, at, "bounces", kind, message.key, body, reason=said)
    message.state, message.settled_at = ("refused" if came else "sent"), at
    message.last_error = f"{BOUNCED}{said}" if came else None
    session.flush()
    return "bounced" if came else "confirmed"


_OPEN = {"sent": ("unknown",), "not-sent": ("unknown", "refused")}
