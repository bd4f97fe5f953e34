"""The outbox: messages that are to go out, the exact bytes, and what became of each.

A message is committed with its key and bytes, then sent, then recorded. Its states:

| state | meaning | leaves it by |
|---|---|---|
| `planned` | committed, not yet tried, or tried and certainly not accepted | a sender's claim |
| `sending` | a sender took it; what it does to it is not known yet | that sender; `recover` when it died |
| `sent` | the server accepted it | a delivery report that it came back |
| `refused` | the server said no for good, at once or later by a delivery report | an operator, to send it again |
| `unknown` | it may have been accepted: a cut line between bytes and answer | an operator or a report, never a guess |
| `superseded` | never tried, too old to be sent, its content goes out in a newer message | nothing |

The key is made of recipient, kind, subject matter, stage, and the fingerprint of facts and outcome; no run id. It is
unique within a mode, so that a rehearsal never stands in the way of the real thing.

Every change of state takes the lock of the acts first: on PostgreSQL two senders or planners queue up there, on SQLite
they do anyway.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from chengxin.errors import ChengxinError
from chengxin.ledger import acts
from chengxin.ledger.acts import Deed
from chengxin.ledger.messages import Message, MessageBody, MessageItem

STATES = ("planned", "sending", "sent", "refused", "unknown", "superseded")
SAID = ("sending", "sent", "unknown")
"""States in which a message's content counts as said, as it does while it waits and can still go out. Not where the
server refused it or a newer one replaced it."""
LEASE = timedelta(minutes=15)
"""After this a sender on another machine counts as dead. Far longer than any SMTP conversation's time limits."""


@dataclass(frozen=True)
class Item:
    """One thing told: see `MessageItem`."""

    item: str
    fingerprint: str
    outcome: str


@dataclass(frozen=True)
class Draft:
    """A message before it is committed."""

    key: str
    mode: str
    district: str
    department: str
    recipient: str
    role: str
    kind: str
    matter: str
    stage: str
    fingerprint: str
    as_of: date
    subject: str
    header_id: str
    thread: str
    content: bytes
    items: Sequence[Item] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


class ConcurrentPlanError(ChengxinError):
    """Another plan was committed since this one read the ledger; planning again is safe."""

    cause = "concurrent_plan"


def key_of(*, recipient: str, kind: str, matter: str, stage: str, fingerprint: str) -> str:
    """The key of a message: a hash over what makes it this message and no other."""
    parts = json.dumps([recipient, kind, matter, stage, fingerprint], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(parts.encode()).hexdigest()


def mark(session: Session, district: str) -> int:
    """A number that grows when a message of the district is planned: hand it to `put`."""
    return session.scalar(select(func.max(Message.id)).where(Message.district == district)) or 0


def put(session: Session, at: datetime, drafts: Iterable[Draft], *, expected: int | None = None) -> dict[str, int]:
    """Commits messages that are new, each with its bytes, its items and an act.

    A key that stands already adds nothing. Where that message was never sent and speaks for an earlier day, it is
    brought up to date instead: it says the same thing, as of today.

    Args:
        session: an open transaction.
        at: now.
        drafts: the messages.
        expected: `mark` from when the drafts' facts were read, all drafts being of one district.

    Returns:
        How many were `planned`, `refreshed` and `known`.

    Raises:
        ConcurrentPlanError: `mark` has grown since.
    """
    drafts = list(drafts)
    counts = {"planned": 0, "refreshed": 0, "known": 0}
    if not drafts:
        return counts
    acts.lock(session)
    if expected is not None and mark(session, drafts[0].district) != expected:
        raise ConcurrentPlanError(
            "another plan was committed meanwhile", where=f"outbox of {drafts[0].district}", remedy="plan again"
        )
    deeds = []
    for draft in drafts:
        known = session.scalar(select(Message).where(Message.mode == draft.mode, Message.key == draft.key))
        if known is None:
            session.add(_new(draft, at))
            outcome = "planned"
        elif known.state in ("planned", "superseded") and known.as_of < draft.as_of:
            _refresh(session, known, draft, at)
            outcome = "refreshed"
        else:
            outcome = "known"
        counts[outcome] += 1
        if outcome != "known":
            deeds.append(Deed("message.planned", draft.key, _sha256(draft.content)))
    session.flush()
    _add_bodies(session, drafts, {deed.subject for deed in deeds})
    acts.append(session, at, "warn", deeds)
    return counts


def _new(draft: Draft, at: datetime) -> Message:
    return Message(
        key=draft.key,
        mode=draft.mode,
        district=draft.district,
        department=draft.department,
        recipient=draft.recipient,
        role=draft.role,
        kind=draft.kind,
        matter=draft.matter,
        stage=draft.stage,
        fingerprint=draft.fingerprint,
        as_of=draft.as_of,
        subject=draft.subject,
        header_id=draft.header_id,
        thread=draft.thread,
        body_sha256=_sha256(draft.content),
        size=len(draft.content),
        state="planned",
        planned_at=at,
        detail=dict(draft.detail),
    )


def _refresh(session: Session, known: Message, draft: Draft, at: datetime) -> None:
    session.execute(delete(MessageBody).where(MessageBody.message_id == known.id))
    session.execute(delete(MessageItem).where(MessageItem.message_id == known.id))
    known.state, known.as_of, known.planned_at = "planned", draft.as_of, at
    known.subject, known.detail = draft.subject, dict(draft.detail)
    known.body_sha256, known.size = _sha256(draft.content), len(draft.content)


def _add_bodies(session: Session, drafts: Sequence[Draft], keys: set[str]) -> None:
    for draft in drafts:
        if draft.key not in keys:
            continue
        number = session.scalar(select(Message.id).where(Message.mode == draft.mode, Message.key == draft.key))
        session.execute(insert(MessageBody).values(message_id=number, content=draft.content))
        if draft.items:
            rows = [
                {"message_id": number, "item": item.item, "fingerprint": item.fingerprint, "outcome": item.outcome}
                for item in draft.items
            ]
            session.execute(insert(MessageItem), rows)


@dataclass(frozen=True)
class Scope:
    """Which messages of a district are meant."""

    district: str
    mode: str
    until: date
    """Messages that speak for this day or an earlier one."""
    since: date | None = None
    """… and for this day or a later one."""
    department: str | None = None


def _within(scope: Scope) -> list[Any]:
    conditions = [Message.district == scope.district, Message.mode == scope.mode, Message.as_of <= scope.until]
    if scope.since is not None:
        conditions.append(Message.as_of >= scope.since)
    if scope.department is not None:
        conditions.append(Message.department == scope.department)
    return conditions


def pending(session: Session, scope: Scope, *, of_departments: bool = False) -> list[int]:
    """Ids of the messages that wait to be sent, oldest first; only those of departments, not of operators, if asked."""
    conditions = [*_within(scope), Message.state == "planned"]
    if of_departments:
        conditions.append(Message.department != "")
    return list(session.scalars(select(Message.id).where(*conditions).order_by(Message.id)))


def departments(session: Session, scope: Scope, states: Sequence[str]) -> list[str]:
    """Codes of the departments that have messages in these states, sorted."""
    rows = select(Message.department).where(*_within(scope), Message.state.in_(states)).distinct()
    return sorted(code for code in session.scalars(rows) if code)


def counts(session: Session, scope: Scope) -> dict[str, int]:
    """Messages by state; every state is there."""
    rows = session.execute(select(Message.state, func.count()).where(*_within(scope)).group_by(Message.state))
    found = {state: int(count) for state, count in rows}
    return {state: found.get(state, 0) for state in STATES}


def supersede(session: Session, at: datetime, scope: Scope, before: date) -> int:
    """Takes messages out that wait and can no longer be sent, because they speak for a day before `before`."""
    acts.lock(session)
    late = list(
        session.scalars(select(Message).where(*_within(scope), Message.state == "planned", Message.as_of < before))
    )
    for message in late:
        message.state, message.settled_at = "superseded", at
    acts.append(session, at, "warn", [Deed("message.superseded", each.key, each.body_sha256) for each in late])
    return len(late)


def latest(session: Session, scope: Scope, kinds: Sequence[str], matter: str) -> Sequence[Message]:
    """Messages of some kinds on one matter that count as said, oldest first."""
    return session.scalars(
        select(Message)
        .where(*_told_conditions(scope), Message.kind.in_(kinds), Message.matter == matter)
        .order_by(Message.as_of, Message.id)
    ).all()


def newest(session: Session, scope: Scope, kind: str) -> dict[str, Message]:
    """The newest message of a kind that counts as said, per department."""
    last = (
        select(func.max(Message.id))
        .where(*_told_conditions(scope), Message.kind == kind, Message.role == "unit")
        .group_by(Message.department)
    )
    return {each.department: each for each in session.scalars(select(Message).where(Message.id.in_(last)))}


def _told_conditions(scope: Scope) -> list[Any]:
    conditions = [Message.district == scope.district, Message.as_of <= scope.until]
    # A rehearsal goes on from everything said so far; the real thing only from what really went out, or still can.
    if scope.mode != "rehearsal":
        conditions.append(Message.mode == scope.mode)
    if scope.department is not None:
        conditions.append(Message.department == scope.department)
    waits = Message.state == "planned"
    if scope.since is not None:
        waits &= Message.as_of >= scope.since
    return [*conditions, waits | Message.state.in_(SAID)]


def told(session: Session, scope: Scope) -> list[tuple[str, str, str, str, str]]:
    """What each department was told last about each item: department, item, fingerprint, outcome, message key."""
    newest = (
        select(
            Message.department,
            MessageItem.item,
            MessageItem.fingerprint,
            MessageItem.outcome,
            Message.key,
            func.row_number()
            .over(
                partition_by=(Message.department, MessageItem.item),
                order_by=(Message.as_of.desc(), Message.id.desc()),
            )
            .label("age"),
        )
        .join(Message, Message.id == MessageItem.message_id)
        .where(*_told_conditions(scope))
        .subquery()
    )
    rows = session.execute(
        select(newest.c.department, newest.c.item, newest.c.fingerprint, newest.c.outcome, newest.c.key).where(
            newest.c.age == 1
        )
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


@dataclass(frozen=True)
class Claimed:
    """A message that this sender, and no other, may send now."""

    id: int
    key: str
    recipient: str
    body_sha256: str
    content: bytes


def claim(session: Session, at: datetime, number: int, holder: str) -> Claimed | None:
    """Takes a planned message for sending; None: somebody else has it, or it is no longer planned.

    The claim holds once the transaction is committed: commit before talking to the server.
    """
    acts.lock(session)
    taken = session.execute(
        update(Message)
        .where(Message.id == number, Message.state == "planned", Message.mode != "rehearsal")
        .values(state="sending", claimed_by=holder, claimed_at=at, attempts=Message.attempts + 1)
        .returning(Message.key, Message.recipient, Message.body_sha256)
    ).one_or_none()
    if taken is None:
        return None
    content = session.scalar(select(MessageBody.content).where(MessageBody.message_id == number))
    if content is None or _sha256(content) != taken.body_sha256:
        raise ChengxinError(
            "the stored bytes of a message are not those that were planned",
            where=f"message {number}",
            why="erased or altered after planning",
            remedy="plan the day again; look at the ledger's acts for what happened to it",
        )
    acts.append(session, at, "warn", [Deed("message.sending", taken.key, taken.body_sha256)])
    return Claimed(number, taken.key, taken.recipient, taken.body_sha256, content)


def settle(session: Session, at: datetime, claimed: Claimed, holder: str, state: str, error: str | None = None) -> bool:
    """Records what became of a claimed message.

    Args:
        session: an open transaction.
        at: now.
        claimed: the message.
        holder: who claimed it.
        state: `sent`, `refused`, `unknown`, or `planned` again where it was certainly not accepted.
        error: the server's words.

    Returns:
        Whether it was recorded: False when the claim is no longer this holder's.
    """
    acts.lock(session)
    # `unknown` here means that this sender was taken for dead meanwhile; it knows better.
    recorded = session.execute(
        update(Message)
        .where(
            Message.id == claimed.id,
            Message.claimed_by == holder,
            Message.state.in_(("sending", "unknown") if state in ("sent", "refused") else ("sending",)),
        )
        .values(state=state, last_error=error, settled_at=None if state == "planned" else at)
        .returning(Message.id)
    ).one_or_none()
    if recorded is None:
        return False
    kind = "message.deferred" if state == "planned" else f"message.{state}"
    acts.append(session, at, "warn", [Deed(kind, claimed.key, claimed.body_sha256)])
    return True


def recover(session: Session, at: datetime, scope: Scope, alive: Callable[[str], bool | None]) -> int:
    """Turns messages whose sender died into `unknown`: they may have been accepted, and are never sent again.

    Args:
        session: an open transaction.
        at: now.
        scope: where to look; the days do not matter.
        alive: whether a holder still lives; None: it cannot be seen from here, its lease decides.

    Returns:
        How many.
    """
    acts.lock(session)
    rows = session.scalars(
        select(Message).where(
            Message.district == scope.district,
            Message.state == "sending",
            *([Message.department == scope.department] if scope.department is not None else []),
        )
    ).all()
    deeds = []
    for message in rows:
        lives = alive(message.claimed_by or "")
        if lives is None:
            lives = message.claimed_at is not None and at - message.claimed_at <= LEASE
        if lives:
            continue
        changed = session.execute(
            update(Message)
            .where(Message.id == message.id, Message.state == "sending", Message.claimed_by == message.claimed_by)
            .values(state="unknown", settled_at=at, last_error="sender ended before it recorded the outcome")
            .returning(Message.id)
        ).one_or_none()
        if changed is not None:
            deeds.append(Deed("message.unknown", message.key, message.body_sha256))
    acts.append(session, at, "warn", deeds)
    return len(deeds)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
