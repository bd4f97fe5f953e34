"""Acts: what was done, by whom, when, in a chain of hashes that cannot be changed or cut in the middle unseen.

An act names its subject and the hash of what it was about, never the content: a message, a consent or an access can
be erased and the chain still verifies. What an act says in words (a reason, a decision) is its body, beside the chain
and deletable. A tail cut off, or a chain written anew, shows when the head is compared with one that went out in an
operators' mail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, String, Text, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from chengxin.clock import utc
from chengxin.errors import ConfigError
from chengxin.ledger.models import Base, Serial

GENESIS = "0" * 64
"""What the first act follows."""

REASONED = frozenset(
    {
        "replay",
        "message.resent",
        "message.settled",
        "message.snoozed",
        "policy.adopted",
        "erasure",
        "objection.made",
        "objection.settled",
    }
)
"""Kinds of acts that nobody may do without saying why."""

# Any number does, as long as every writer of this chain asks for the same one.
_LOCK = 0x636865_6E67_0001


class Act(Base):
    """One act. `hash` covers every other column, `prev` is the hash of the act before."""

    __tablename__ = "act"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """1, 2, 3, … without a gap."""
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))
    """A stage (`warn`), or an officer's account."""
    kind: Mapped[str] = mapped_column(String(32))
    """`message.planned`, `message.sent`, …"""
    subject: Mapped[str] = mapped_column(String(128), index=True)
    """What it was done to: a key or an id, no content."""
    payload_sha256: Mapped[str] = mapped_column(String(64))
    prev: Mapped[str] = mapped_column(String(64), unique=True)
    """Unique: two acts cannot follow the same one, so the chain cannot fork."""
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class ActBody(Base):
    """What an act says: canonical JSON. May be deleted; the act keeps its hash."""

    __tablename__ = "act_body"

    seq: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    content: Mapped[str] = mapped_column(Text)


@dataclass(frozen=True)
class Deed:
    """An act before it is written: what, to what, and the hash of its content."""

    kind: str
    subject: str
    payload_sha256: str


@dataclass(frozen=True)
class Head:
    """The newest act's number and hash; 0 and `GENESIS` for an empty chain."""

    seq: int
    hash: str


@dataclass(frozen=True)
class Fault:
    """One place where the chain is not as it was written. `str()` says it in words."""

    seq: int
    """The act's number as it stands, or stood, in the table."""
    what: str
    """`changed`, `rewritten` (its hash too), `removed`, `inserted`, `body changed`, `head` (not the known one)."""

    def __str__(self) -> str:
        return f"act {self.seq} {'is not the one known by its hash' if self.what == 'head' else f'was {self.what}'}"


@dataclass(frozen=True)
class Verdict:
    """What `verify` found."""

    length: int
    """Acts read, up to and without the first that does not fit."""
    head: str
    """Hash of the last act that fits."""
    broken_at: int | None
    """Place of the first act that does not fit; None: the chain holds."""
    faults: tuple[Fault, ...] = ()
    """Every fault, in the order of the chain."""


def lock(session: Session) -> None:
    """Lets one transaction at a time append, until it ends. On SQLite a write transaction is alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def append(session: Session, at: datetime, actor: str, deeds: Sequence[Deed]) -> Head:
    """Appends acts in their order, all at the same instant; they count once the transaction is committed.

    Args:
        session: an open transaction.
        at: aware instant.
        actor: who acts.
        deeds: what is done.

    Returns:
        The new head.
    """
    lock(session)
    last = head(session)
    rows = []
    for deed in deeds:
        seq = last.seq + 1
        made = digest(seq, at, actor, deed.kind, deed.subject, deed.payload_sha256, last.hash)
        rows.append(
            {
                "seq": seq,
                "at": at,
                "actor": actor,
                "kind": deed.kind,
                "subject": deed.subject,
                "payload_sha256": deed.payload_sha256,
                "prev": last.hash,
                "hash": made,
            }
        )
        last = Head(seq, made)
    if rows:
        session.execute(insert(Act), rows)
    return last


def head(session: Session) -> Head:
    """The newest act."""
    row = session.execute(select(Act.seq, Act.hash).order_by(Act.seq.desc()).limit(1)).one_or_none()
    return Head(row.seq, row.hash) if row else Head(0, GENESIS)


def record(
    session: Session,
    at: datetime,
    actor: str,
    kind: str,
    subject: str,
    body: Mapping[str, Any] | None = None,
    *,
    reason: str | None = None,
) -> Head:
    """Appends one act with a body.

    Args:
        session: an open transaction.
        at: aware instant.
        actor: an officer's account, or the stage that acts by itself (`check`, `maintain`).
        kind: at most 32 characters, e.g. `replay`.
        subject: what it is done to: an id or a hash, no content.
        body: what the act says: plain values, dates as they are.
        reason: why, in the actor's words.

    Returns:
        The new head.

    Raises:
        ConfigError: an act of this kind needs a reason and has none.
    """
    return record_each(session, at, actor, kind, [subject], body, reason=reason)


def record_each(
    session: Session,
    at: datetime,
    actor: str,
    kind: str,
    subjects: Sequence[str],
    body: Mapping[str, Any] | None = None,
    *,
    reason: str | None = None,
) -> Head:
    """Appends an act for each of some subjects, all of one kind and with one body. The rest is as of `record`."""
    said = (reason or "").strip()
    if kind in REASONED and not said:
        raise ConfigError(
            f"{kind} needs a reason",
            where="ledger",
            why="whoever looks at the record later must be able to see why it was done",
            remedy="say why in a sentence (--reason, or the field of the form)",
        )
    content = canonical({**(body or {}), **({"reason": said} if said else {})})
    sha256 = _sha256(content)
    made = append(session, at, actor, [Deed(kind, subject, sha256) for subject in subjects])
    if subjects:
        first = made.seq - len(subjects) + 1
        session.execute(insert(ActBody), [{"seq": seq, "content": content} for seq in range(first, made.seq + 1)])
    return made


def canonical(value: Any) -> str:
    """JSON with sorted keys and no white space: equal content, equal text."""

    def text(part: Any) -> str:
        return part.isoformat() if isinstance(part, date) else str(part)

    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=text)


def verify(session: Session, known: Sequence[Head] = ()) -> Verdict:
    """Recomputes the whole chain: order, links, hashes, and the bodies that are still kept.

    Args:
        session: an open transaction.
        known: heads of earlier days, e.g. from operators' mails: the chain must still hold them.
    """
    rows = session.execute(
        select(Act.seq, Act.at, Act.actor, Act.kind, Act.subject, Act.payload_sha256, Act.prev, Act.hash)
        .order_by(Act.seq)
        .execution_options(yield_per=5000)
    )
    walk = _Walk({head.seq: head.hash for head in known if head.seq})
    for row in rows:
        walk.step(row)
    walk.end()
    bodies = session.execute(
        select(Act.seq, ActBody.content, Act.payload_sha256)
        .join(ActBody, ActBody.seq == Act.seq)
        .order_by(Act.seq)
        .execution_options(yield_per=5000)
    )
    altered = [Fault(seq, "body changed") for seq, content, sha256 in bodies if _sha256(content) != sha256]
    faults = tuple(sorted([*walk.faults, *altered], key=lambda fault: fault.seq))
    first = min((fault.seq for fault in faults), default=None)
    return Verdict(walk.fitting.seq, walk.fitting.hash, first, faults)


class _Walk:
    """Goes along the chain, and says of each act that does not fit what was done to it.

    Acts are known by their own hashes: one that is slipped in is followed by an act that links to the act before it,
    one that is taken out leaves a link to an unknown hash. Numbers that were moved up or down to hide it do not fit
    the hashes any more, and are told by the numbers that do.
    """

    LOOK_AHEAD = 1000
    """How many acts taken out in a row are recognised when the numbers behind them were closed up."""

    def __init__(self, known: dict[int, str]) -> None:
        self.faults: list[Fault] = []
        self.fitting = Head(0, GENESIS)
        """The last act before the first fault."""
        self._last = Head(0, GENESIS)
        """The last act that counts: its number when it was written."""
        self._doubtful: Any = None
        """An act that does not fit: what was done to it, the next one tells."""
        self._known = known

    def step(self, row: Any) -> None:
        if self._doubtful is not None:
            doubtful, self._doubtful = self._doubtful, None
            if self._is(row, self._last.seq + 1) and row.prev == self._last.hash:
                self.faults.append(Fault(doubtful.seq, "inserted"))
            else:
                self._settle(doubtful)
        expected = self._last.seq + 1
        if row.prev == self._last.hash and self._is(row, expected):
            self._take(row, expected)
            return
        ahead = range(expected + 1, expected + self.LOOK_AHEAD)
        number = next((n for n in (row.seq, *ahead) if n > expected and self._is(row, n)), 0)
        if not number:
            self._doubtful = row
            return
        self.faults += [Fault(seq, "removed") for seq in range(expected, number)]
        self._take(row, number)

    def end(self) -> None:
        if self._doubtful is not None:
            self._settle(self._doubtful)
        # Known heads beyond the end: the tail was cut off.
        self.faults += [Fault(seq, "removed") for seq in sorted(self._known) if seq > self._last.seq]

    def _settle(self, row: Any) -> None:
        """An act that does not fit where it stands, and was not slipped in."""
        if self._is(row, self._last.seq + 1):
            # It is as it was written, but follows another act than the one that stands before it.
            self.faults.append(Fault(max(row.seq - 1, 1), "rewritten"))
        else:
            self.faults.append(Fault(row.seq, "changed"))
        self._last = Head(self._last.seq + 1, row.hash)

    def _take(self, row: Any, number: int) -> None:
        self._last = Head(number, row.hash)
        if self._known.get(number, row.hash) != row.hash:
            self.faults.append(Fault(row.seq, "head"))
        if not self.faults:
            self.fitting = self._last

    @staticmethod
    def _is(row: Any, number: int) -> bool:
        """Whether the act's hash is that of its content under a number."""
        said = digest(number, row.at, row.actor, row.kind, row.subject, row.payload_sha256, row.prev)
        return bool(said == row.hash)


def digest(seq: int, at: datetime, actor: str, kind: str, subject: str, payload: str, prev: str) -> str:
    """The hash of an act."""
    stamp = utc(at).isoformat(timespec="microseconds")
    return _sha256(canonical([seq, stamp, actor, kind, subject, payload, prev]))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
