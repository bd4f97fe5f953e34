"""What the pages show of run history, read from the ledger: days, their harvests, checks, mails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chengxin.ledger.messages import Message
from chengxin.ledger.models import CheckRun, Harvest, RawObject
from chengxin.summary import PARTS

SUMMED = ("harvested", *PARTS)


@dataclass(frozen=True)
class Intervention:
    """What a person did to runs in Airflow: triggered, cleared, marked, paused."""

    at: datetime
    who: str
    event: str
    dag_id: str
    run_id: str
    task_id: str
    note: str
    """Why, as they wrote it in Airflow; empty: they did not."""


Interventions = Callable[[date], Sequence[Intervention]]
"""Gives what people did to the runs that speak for a day."""


@dataclass
class Day:
    """A day in numbers."""

    as_of: date
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*SUMMED, "removed"), 0))
    """Source records of the newest harvest of each source."""
    harvests: dict[str, int] = field(default_factory=dict)
    """State → sources."""
    advice: Mapping[str, int] = field(default_factory=dict)
    """Of the newest check."""
    checks: int = 0
    mails: dict[str, int] = field(default_factory=dict)
    """State → messages."""

    @property
    def whole(self) -> bool:
        """Whether every harvested record is published, unchanged, rejected or ignored."""
        return self.sums["harvested"] == sum(self.sums[part] for part in PARTS)


def days(session: Session, district: str, mode: str, *, before: date | None, size: int) -> list[Day]:
    """The newest days on which anything ran, the newest first.

    Args:
        session: of the ledger.
        district: its code.
        mode: whose messages count.
        before: days before this one only.
        size: how many.
    """
    ran = select(Harvest.as_of).union(select(CheckRun.as_of).where(CheckRun.district == district)).subquery()
    wanted = select(ran.c.as_of).order_by(ran.c.as_of.desc()).limit(size)
    if before is not None:
        wanted = wanted.where(ran.c.as_of < before)
    found = {day: Day(day) for day in session.scalars(wanted)}
    if not found:
        return []
    newest = select(func.max(Harvest.id)).where(Harvest.as_of.in_(found)).group_by(Harvest.as_of, Harvest.source)
    columns = [getattr(Harvest, name) for name in (*SUMMED, "removed")]
    for row in session.execute(select(Harvest.as_of, Harvest.state, *columns).where(Harvest.id.in_(newest))):
        day = found[row.as_of]
        day.harvests[row.state] = day.harvests.get(row.state, 0) + 1
        for name in day.sums:
            day.sums[name] += getattr(row, name)
    checks = select(CheckRun.as_of, CheckRun.counts).where(CheckRun.district == district, CheckRun.as_of.in_(found))
    for as_of, counts in session.execute(checks.order_by(CheckRun.id)):
        found[as_of].advice = counts.get("advice", {})
        found[as_of].checks += 1
    for as_of, state, number in session.execute(
        select(Message.as_of, Message.state, func.count())
        .where(Message.district == district, Message.mode == mode, Message.as_of.in_(found))
        .group_by(Message.as_of, Message.state)
    ):
        found[as_of].mails[state] = number
    return list(found.values())


def harvests(session: Session, day: date) -> list[Harvest]:
    """Every harvest of a day, by source, each source's newest first."""
    wanted = select(Harvest).where(Harvest.as_of == day)
    return list(session.scalars(wanted.order_by(Harvest.source, Harvest.id.desc())))


def checks(session: Session, district: str, day: date) -> list[CheckRun]:
    """Every check of a day, the newest first."""
    wanted = select(CheckRun).where(CheckRun.district == district, CheckRun.as_of == day).order_by(CheckRun.id.desc())
    return list(session.scalars(wanted))


def mails(session: Session, district: str, mode: str, day: date) -> dict[str, dict[str, int]]:
    """Kind → state → messages of a day."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for kind, state, number in session.execute(
        select(Message.kind, Message.state, func.count())
        .where(Message.district == district, Message.mode == mode, Message.as_of == day)
        .group_by(Message.kind, Message.state)
        .order_by(Message.kind)
    ):
        found[kind][state] = number
    return found


def raw_objects(session: Session, harvest: int, *, size: int, offset: int) -> tuple[list[RawObject], int]:
    """The raw files of a harvest in their order, and how many there are."""
    total = session.scalar(select(func.count()).select_from(RawObject).where(RawObject.harvest_id == harvest)) or 0
    wanted = select(RawObject).where(RawObject.harvest_id == harvest).order_by(RawObject.ordinal)
    return list(session.scalars(wanted.limit(size).offset(offset))), total


def seconds(started: datetime, finished: datetime | None) -> float | None:
    """How long something took; null: it has not ended."""
    return None if finished is None else round((finished - started).total_seconds(), 1)


def by_cause(detail: Mapping[str, Any], name: str) -> list[tuple[str, int]]:
    """A harvest's counts of one kind (`rejected`, `ignored`, `warnings`), the most frequent first."""
    return sorted((detail.get(name) or {}).items(), key=lambda item: (-item[1], item[0]))
