"""Who looked at whom, when, from which page, and why (四（三）): acts `access.…`, with a row each to ask by.

The act names the subject by what stands for its code (`chengxin.pseudonyms`); the purpose, in the looker's words, is
its body and can be erased.
A look costs one transaction of three short rows and no flush to disk (`record`), so every page view can afford it: a
power cut may take the last looks with it, never one that a later mail or decision followed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from chengxin import pseudonyms
from chengxin.ledger import acts
from chengxin.ledger.acts import ActBody
from chengxin.ledger.models import Base, Serial
from chengxin.settings import House

PREFIX = "access."
"""Begins the kind of every act of this module."""
ACTOR = "account/"
"""Begins the actor of such an act."""
WITHOUT_ROW = ("access.purpose",)
"""Acts about looks that are none themselves: an account says what it will look for."""


class Access(Base):
    """One look. Codes and hashes only; never changed."""

    __tablename__ = "access"
    __table_args__ = (Index("ix_access_account", "account", "what", "at"), Index("ix_access_at", "at"))

    act: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    """The act that records it."""
    at: Mapped[datetime]
    account: Mapped[str] = mapped_column(String(64))
    """Login name."""
    department: Mapped[str] = mapped_column(String(64))
    """Of the account; empty: none."""
    what: Mapped[str] = mapped_column(String(25))
    """What was looked at: `subject`, `advice`, `mail`, … or `lookup` of a partner."""
    subject_sha256: Mapped[str] = mapped_column(String(64), index=True)
    """What stands for the subject looked at (`subject_hashes`); empty: no single one."""
    route: Mapped[str] = mapped_column(String(128))
    """The page or command, without anything that names a subject: `/credit/subject`."""
    outcome: Mapped[str] = mapped_column(String(16))
    """`shown`, `masked`, `refused`, `limited`, `closed`."""


@dataclass(frozen=True)
class Look:
    """A look as an auditor reads it."""

    act: int
    at: datetime
    account: str
    department: str
    what: str
    subject_sha256: str
    route: str
    outcome: str
    purpose: str
    """In the looker's words; empty where none was given, or it was erased."""


def subject_hash(house: House, code: str) -> str:
    """What stands for a subject in the ledger, as in `erased`: the pseudonym of its 18-character code."""
    return pseudonyms.of_house(house).of(code)


def subject_hashes(house: House, code: str) -> tuple[str, ...]:
    """All that ever stood for a subject in acts of this house: what to ask `looks` by."""
    return pseudonyms.of_house(house).also(code)


def record(
    house: House,
    account: str,
    department: str | None,
    what: str,
    subject_hashes: Sequence[str],
    purpose: str,
    route: str,
    outcome: str = "shown",
) -> int:
    """Records a look in a transaction of its own, cheaply: for page views. Arguments and result as of `looked`."""
    with house.ledger.begin_lightly() as session:
        return looked(session, house.clock(), account, department, what, subject_hashes, purpose, route, outcome)


def looked(
    session: Session,
    at: datetime,
    account: str,
    department: str | None,
    what: str,
    subject_hashes: Sequence[str],
    purpose: str,
    route: str,
    outcome: str = "shown",
) -> int:
    """Records a look: an act and a row for each subject that it shows.

    Args:
        session: an open transaction.
        at: now.
        account: login name of who looks.
        department: code of its department; None: it has none.
        what: what is looked at, at most 25 characters: `subject`, `advice`, `mail`, …
        subject_hashes: of whom, see `subject_hash`; empty: of no single subject, which is one act that names none.
        purpose: why, in the looker's words; may be empty.
        route: the page or command; never with a code or a name in it.
        outcome: `shown`, `masked` (secrets hidden), `refused`, `limited`, `closed`.

    Returns:
        The last act's number.
    """
    whom = list(subject_hashes) or [""]
    body = {"what": what, "department": department or "", "route": route, "outcome": outcome, "purpose": purpose}
    made = acts.record_each(session, at, f"{ACTOR}{account}"[:64], f"{PREFIX}{what}", whom, body)
    rows = [
        {
            "act": seq,
            "at": at,
            "account": account,
            "department": department or "",
            "what": what,
            "subject_sha256": subject,
            "route": route,
            "outcome": outcome,
        }
        for seq, subject in enumerate(whom, made.seq - len(whom) + 1)
    ]
    session.execute(insert(Access), rows)
    return made.seq


def looks(
    session: Session,
    *,
    subject_hashes: Sequence[str] | None = None,
    account: str | None = None,
    what: str | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Look]:
    """Who looked at whom and why, newest first. What is None does not narrow.

    Args:
        session: an open transaction.
        subject_hashes: looks at this subject, see `subject_hashes`.
        account: looks of this login name.
        what: looks of this kind.
        since: looks at this instant or later.
        before: looks whose act has a smaller number: the next page of a list.
        limit: at most so many.
    """
    conditions: list[Any] = []
    if subject_hashes is not None:
        conditions.append(Access.subject_sha256.in_(subject_hashes))
    if account is not None:
        conditions.append(Access.account == account)
    if what is not None:
        conditions.append(Access.what == what)
    if since is not None:
        conditions.append(Access.at >= since)
    if before is not None:
        conditions.append(Access.act < before)
    rows = session.execute(
        select(Access, ActBody.content)
        .outerjoin(ActBody, ActBody.seq == Access.act)
        .where(*conditions)
        .order_by(Access.act.desc())
        .limit(limit)
    )
    return [
        Look(
            act=row.act,
            at=row.at,
            account=row.account,
            department=row.department,
            what=row.what,
            subject_sha256=row.subject_sha256,
            route=row.route,
            outcome=row.outcome,
            purpose=str(json.loads(content).get("purpose", "")) if content else "",
        )
        for row, content in rows
    ]


def number(session: Session, account: str, what: str, since: datetime, outcomes: Iterable[str]) -> int:
    """How many looks of a kind with some outcomes an account had after an instant: what a limit counts."""
    return int(
        session.scalar(
            select(func.count()).where(
                Access.account == account,
                Access.what == what,
                Access.at > since,
                Access.outcome.in_(list(outcomes)),
            )
        )
        or 0
    )
