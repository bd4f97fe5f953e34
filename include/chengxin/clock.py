"""Beijing time, and the one place where the present enters.

Logic never asks for the time: a `Clock` is handed down from the edge (the CLI, a task, a test).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

BEIJING = ZoneInfo("Asia/Shanghai")

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The present instant, aware, in Beijing time."""
    return datetime.now(BEIJING)


def beijing_date(instant: datetime) -> date:
    """The Beijing date of an aware instant.

    Raises:
        ValueError: the instant has no zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return instant.astimezone(BEIJING).date()


def in_full(day: date) -> str:
    """A day as mails and pages write it: 2026年6月15日."""
    return f"{day.year}年{day.month}月{day.day}日"


def in_short(day: date) -> str:
    """A day of the year that is spoken of: 6月15日."""
    return f"{day.month}月{day.day}日"


def utc(instant: datetime) -> datetime:
    """The same instant in UTC.

    Raises:
        ValueError: the instant has no zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return instant.astimezone(UTC)
