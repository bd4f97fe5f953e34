"""Do the ledger's rows say what its acts say? The chain shows that the acts are as they were written; this, the rest.

Rows are there to ask by, acts are the record: a message marked as sent without an act, a decision turned into another
one, a look taken out of the list are found here, and named. Bodies may be erased: then actor, instant and subject are
still compared, and whether as many bodies are gone as erasures on record have taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from chengxin.ledger import access, acts, decisions, objections
from chengxin.ledger.access import Access
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.answers import WHATS, Answer
from chengxin.ledger.decisions import Decision
from chengxin.ledger.messages import Message, MessageBody
from chengxin.ledger.objections import Objection

STATE_ACTS: Mapping[str, tuple[str, ...]] = {
    "planned": ("message.planned", "message.deferred", "message.resent"),
    "sending": ("message.sending",),
    "sent": ("message.sent", "message.settled", "message.confirmed"),
    "refused": ("message.refused", "message.bounced"),
    "unknown": ("message.unknown",),
    "superseded": ("message.superseded", "message.resent"),
}
"""State of a message → the acts that leave it in that state."""

BODIED = frozenset(
    {
        *acts.REASONED,
        *(f"message.{what}" for what in (*WHATS, "bounced", "confirmed")),
        decisions.KIND,
        "erasure.done",
        "retention",
        "export",
    }
)
"""Kinds of acts that are written with a body, beside those of `access`."""

SHOWN = 10
"""Acts named in one line."""


def faults(session: Session) -> list[str]:
    """Every row that does not say what the acts say, in words."""
    parts = (_messages, _message_states, _message_bytes, _answers, _decisions, _objections, _looks, _bodies)
    return [fault for part in parts for fault in part(session)]


def _messages(session: Session) -> Iterator[str]:
    """Messages that no act planned; acts whose message is gone."""
    planned = set(
        session.execute(select(Act.subject, Act.payload_sha256).where(Act.kind == "message.planned")).tuples()
    )
    rows = session.execute(select(Message.id, Message.key, Message.body_sha256).order_by(Message.id)).tuples().all()
    for number, key, sha256 in rows:
        if (key, sha256) not in planned:
            yield f"message {number} was inserted or changed: no act says that it was planned so"
    for key in sorted({key for key, _ in planned} - {key for _, key, _ in rows}):
        yield f"message with key {key} was removed"


def _message_states(session: Session) -> Iterator[str]:
    """Messages whose state is not the one that the acts left them in."""
    kinds = sorted({kind for group in STATE_ACTS.values() for kind in group})
    newest = func.row_number().over(partition_by=Act.subject, order_by=Act.seq.desc())
    said = select(Act.subject, Act.kind, newest.label("age")).where(Act.kind.in_(kinds)).subquery()
    # A message may stand in two modes under one key: then acts cannot be told apart by the key alone.
    modes = func.count().over(partition_by=Message.key)
    rows = session.execute(
        select(Message.id, Message.key, Message.state, said.c.kind, modes.label("modes"))
        .outerjoin(said, (said.c.subject == Message.key) & (said.c.age == 1))
        .order_by(Message.id)
    ).all()
    for row in rows:
        fitting = STATE_ACTS.get(row.state, ())
        if row.kind is None or row.kind in fitting:
            continue
        if row.modes > 1 and session.scalar(
            select(Act.seq).where(Act.subject == row.key, Act.kind.in_(fitting)).limit(1)
        ):
            continue
        yield f"message {row.id} says that it is {row.state}, the acts say {row.kind}"


def _message_bytes(session: Session) -> Iterator[str]:
    bodies = session.execute(
        select(Message.id, Message.body_sha256, MessageBody.content)
        .join(MessageBody, MessageBody.message_id == Message.id)
        .order_by(Message.id)
        .execution_options(yield_per=200)
    )
    for number, sha256, content in bodies:
        if hashlib.sha256(content).hexdigest() != sha256:
            yield f"the bytes of message {number} were changed"


def _answers(session: Session) -> Iterator[str]:
    rows = session.execute(
        select(Answer, Message.key, Act, ActBody.content)
        .join(Message, Message.id == Answer.message_id)
        .outerjoin(Act, Act.seq == Answer.act)
        .outerjoin(ActBody, ActBody.seq == Answer.act)
        .order_by(Answer.id)
    )
    for answer, key, act, content in rows:
        until = {"until": answer.until.isoformat() if answer.until else None}
        if not _fits(act, f"message.{answer.what}", key, answer.at) or not _says(content, until):
            yield f"answer {answer.id} is not what act {answer.act} says"
    yield from _without(session, Answer.act, [f"message.{what}" for what in WHATS], "answer")


def _decisions(session: Session) -> Iterator[str]:
    rows = session.execute(
        select(Decision, Act, ActBody.content)
        .outerjoin(Act, Act.seq == Decision.act)
        .outerjoin(ActBody, ActBody.seq == Decision.act)
        .order_by(Decision.id)
    )
    for row, act, content in rows:
        said = {
            "advice": row.advice_id,
            "matter": row.matter_id,
            "department": row.department,
            "decision": row.decision,
            "weighed": row.weighed,
            "advised": row.advised,
            "against": row.against,
        }
        if not _fits(act, decisions.KIND, row.advice_id, row.at, row.account) or not _says(content, said):
            yield f"decision {row.id} is not what act {row.act} says"
    yield from _without(session, Decision.act, [decisions.KIND], "decision")


def _objections(session: Session) -> Iterator[str]:
    for row in session.scalars(select(Objection).order_by(Objection.id)):
        made, settled = (session.get(Act, seq) if seq is not None else None for seq in (row.act, row.settled_act))
        said = {
            "advice": row.advice_id,
            "matter": row.matter_id,
            "received_on": row.received_on.isoformat(),
            "by": row.received_by,
        }
        content = session.scalar(select(ActBody.content).where(ActBody.seq == row.act))
        if not _fits(made, objections.MADE, row.advice_id, row.at) or not _says(content, said):
            yield f"objection {row.id} is not what act {row.act} says"
        if (row.outcome, row.settled_at, row.settled_by, row.settled_act) == (None, None, None, None):
            continue
        content = session.scalar(select(ActBody.content).where(ActBody.seq == row.settled_act))
        fits = _fits(settled, objections.SETTLED, row.advice_id, row.settled_at, row.settled_by or "")
        if not fits or not _says(content, {"objection": row.act, "outcome": row.outcome}):
            yield f"objection {row.id} says that it was settled, and not what act {row.settled_act} says"
    yield from _without(session, Objection.act, [objections.MADE], "objection")
    yield from _without(session, Objection.settled_act, [objections.SETTLED], "settlement of an objection")


def _looks(session: Session) -> Iterator[str]:
    wrong = or_(
        Act.seq.is_(None),
        Act.kind != access.PREFIX + Access.what,
        Act.subject != Access.subject_sha256,
        Act.actor != func.substr(access.ACTOR + Access.account, 1, 64),
        Act.at != Access.at,
    )
    for seq in session.scalars(
        select(Access.act).outerjoin(Act, Act.seq == Access.act).where(wrong).order_by(Access.act)
    ):
        yield f"the look of act {seq} is not what the act says"
    rows = session.execute(
        select(Access, ActBody.content)
        .join(ActBody, ActBody.seq == Access.act)
        .order_by(Access.act)
        .execution_options(yield_per=2000)
    )
    for look, content in rows:
        if not _says(content, {"department": look.department, "route": look.route, "outcome": look.outcome}):
            yield f"the look of act {look.act} is not what the act's body says"
    gone = (
        select(Act.seq)
        .where(Act.kind.startswith(access.PREFIX, autoescape=True), Act.kind.not_in(access.WITHOUT_ROW))
        .outerjoin(Access, Access.act == Act.seq)
        .where(Access.act.is_(None))
    )
    yield from _named(session, gone, "the look of act {} was removed")


def _bodies(session: Session) -> Iterator[str]:
    """Bodies of no act, and more bodies gone than erasures on record have taken."""
    stray = select(ActBody.seq).outerjoin(Act, Act.seq == ActBody.seq).where(Act.seq.is_(None))
    yield from _named(session, stray, "a body of act {} was inserted: there is no such act")
    gone = session.scalars(
        select(Act.seq)
        .outerjoin(ActBody, ActBody.seq == Act.seq)
        .where(ActBody.seq.is_(None))
        .where(or_(Act.kind.in_(BODIED), Act.kind.startswith(access.PREFIX, autoescape=True)))
        .order_by(Act.seq)
    ).all()
    taken = session.scalars(select(ActBody.content).join(Act, Act.seq == ActBody.seq).where(Act.kind == "erasure"))
    erased = sum(int(json.loads(content).get("bodies", 0)) for content in taken)
    if len(gone) > erased:
        named = ", ".join(map(str, gone[:SHOWN])) + (", …" if len(gone) > SHOWN else "")
        yield f"the bodies of {len(gone)} acts are gone, {erased} were erased on record: among acts {named}"


def _fits(act: Act | None, kind: str, subject: str, at: Any, account: str | None = None) -> bool:
    if act is None or (act.kind, act.subject, act.at) != (kind, subject, at):
        return False
    return account is None or act.actor.partition("/")[2] == account


def _says(content: str | None, said: Mapping[str, Any]) -> bool:
    """Whether a body says these things; one that was erased contradicts nothing."""
    if content is None:
        return True
    body = json.loads(content)
    return all(body.get(name) == value for name, value in said.items())


def _without(session: Session, column: Any, kinds: list[str], what: str) -> Iterator[str]:
    """Acts of some kinds whose row is gone."""
    gone = select(Act.seq).where(Act.kind.in_(kinds)).outerjoin(column.class_, column == Act.seq)
    yield from _named(session, gone.where(column.is_(None)), f"the {what} of act {{}} was removed")


def _named(session: Session, seqs: Select[Any], words: str) -> Iterator[str]:
    for seq in sorted(session.scalars(seqs)):
        yield words.format(seq)
