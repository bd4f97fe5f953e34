"""Acts: what was done, by whom, when, in a chain of hashes that cannot be changed or cut in the middle unseen.

An act names its subject and the hash of what it was about, never the content: a message, a consent or an access can
be erased and the chain still verifies. A tail cut off shows when the head is compared with one that went out in an
operators' mail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, String, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from chengxin.clock import utc
from chengxin.ledger.models import Base

GENESIS = "0" * 64
"""What the first act follows."""

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
class Verdict:
    """What `verify` found."""

    length: int
    """Acts read, up to and without the first that does not fit."""
    head: str
    """Hash of the last act that fits."""
    broken_at: int | None
    """Place of the first act that does not fit; None: the chain holds."""


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
        digest = _hash(seq, at, actor, deed.kind, deed.subject, deed.payload_sha256, last.hash)
        rows.append(
            {
                "seq": seq,
                "at": at,
                "actor": actor,
                "kind": deed.kind,
                "subject": deed.subject,
                "payload_sha256": deed.payload_sha256,
                "prev": last.hash,
                "hash": digest,
            }
        )
        last = Head(seq, digest)
    if rows:
        session.execute(insert(Act), rows)
    return last


def head(session: Session) -> Head:
    """The newest act."""
    row = session.execute(select(Act.seq, Act.hash).order_by(Act.seq.desc()).limit(1)).one_or_none()
    return Head(row.seq, row.hash) if row else Head(0, GENESIS)


def verify(session: Session) -> Verdict:
    """Recomputes the whole chain: order, links and hashes."""
    length, prev = 0, GENESIS
    acts = session.execute(
        select(Act.seq, Act.at, Act.actor, Act.kind, Act.subject, Act.payload_sha256, Act.prev, Act.hash)
        .order_by(Act.seq)
        .execution_options(yield_per=5000)
    )
    for act in acts:
        digest = _hash(act.seq, act.at, act.actor, act.kind, act.subject, act.payload_sha256, prev)
        if act.seq != length + 1 or act.prev != prev or act.hash != digest:
            return Verdict(length, prev, length + 1)
        length, prev = act.seq, act.hash
    return Verdict(length, prev, None)


def _hash(seq: int, at: datetime, actor: str, kind: str, subject: str, payload: str, prev: str) -> str:
    stamp = utc(at).isoformat(timespec="microseconds")
    canonical = json.dumps([seq, stamp, actor, kind, subject, payload, prev], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
