"""Beijing's working days, and the annual-report window with its countdown.

Whether a day is a working day is answered by the first that knows: the operator's own table, `chinesecalendar` (the
notices of the State Council with their make-up days, up to the year announced last), `holidays` (the statutory days of
years not announced yet: provisional), and at the end weekends alone, which is an alarm. The notice for a year comes
out each November of the year before.

The window of a report year Y runs from 1 January to 30 June of Y+1 (企业信息公示暂行条例 8; 二（一）3 of the notice).
It closes at the end of 30 June, working day or not: the exclusive instant is 1 July 00:00 in Beijing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from chengxin import yamlfile
from chengxin.clock import BEIJING
from chengxin.yamlfile import Strict

Basis = Literal["operator", "official", "provisional", "weekends"]
"""Who says whether a day is a working day, the surest first. `weekends` is an alarm: nobody knows the year."""

Table = Mapping[date, bool]
"""The operator's word on single days: True is a working day."""

OFFSETS = (-90, -60, -30, -15, -7, -3, -1, 0, 1, 7, 30)
"""Stages of the countdown, in days from 30 June."""

LISTING_DAYS = 10
"""Working days after the window within which who missed it is listed (企业经营异常名录管理暂行办法 6)."""

_DAY = timedelta(days=1)
_BASES: tuple[Basis, ...] = ("operator", "official", "provisional", "weekends")


class Ruling(Strict):
    """The operator's word on one day, and where it comes from."""

    working: bool
    reference: str


class _Rulings(Strict):
    days: Mapping[date, Ruling] = {}


def load_table(path: Path) -> dict[date, bool]:
    """The operator's table, from `include/calendar.yml`; empty where there is no such file.

    Raises:
        ConfigError: the file is no valid table.
    """
    if not path.exists():
        return {}
    return {day: ruling.working for day, ruling in yamlfile.load(path, _Rulings).days.items()}


@lru_cache(maxsize=64)
def _year(year: int) -> tuple[Basis, frozenset[date]]:
    """Who knows the year, and its working days."""
    first = date(year, 1, 1)
    days = [first + _DAY * n for n in range((date(year + 1, 1, 1) - first).days)]
    import chinese_calendar

    try:
        return "official", frozenset(day for day in days if chinese_calendar.is_workday(day))
    except NotImplementedError:
        pass
    import holidays

    known = holidays.country_holidays("CN", years=year)
    if not known.start_year <= year <= known.end_year:
        return "weekends", frozenset(day for day in days if day.weekday() < 5)
    make_up = known.weekend_workdays
    return "provisional", frozenset(day for day in days if (day.weekday() < 5 and day not in known) or day in make_up)


def basis(day: date, table: Table | None = None) -> Basis:
    """Who says whether that day is a working day."""
    return "operator" if table and day in table else _year(day.year)[0]


def weakest_basis(days: Iterable[date], table: Table | None = None) -> Basis:
    """The least sure word among some days; `operator` for none."""
    return max((basis(day, table) for day in days), key=_BASES.index, default="operator")


def is_working_day(day: date, table: Table | None = None) -> bool:
    """Whether that day is a working day."""
    return table[day] if table and day in table else day in _year(day.year)[1]


def working_days(first: date, last: date, table: Table | None = None) -> list[date]:
    """The working days from `first` to `last`, both included, in order."""
    days = (first + _DAY * n for n in range((last - first).days + 1))
    return [day for day in days if is_working_day(day, table)]


def previous_working_day(day: date, table: Table | None = None) -> date:
    """That day if it is a working day, else the last one before it."""
    while not is_working_day(day, table):
        day -= _DAY
    return day


def next_working_day(day: date, table: Table | None = None) -> date:
    """That day if it is a working day, else the first one after it."""
    while not is_working_day(day, table):
        day += _DAY
    return day


def nth_working_day_after(day: date, n: int, table: Table | None = None) -> date:
    """The n-th working day after a day, which does not count itself.

    Raises:
        ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError(f"the {n}-th working day after a day is not after it")
    for _ in range(n):
        day = next_working_day(day + _DAY, table)
    return day


def deadline(year: int) -> datetime:
    """The instant at which the window that closes in `year` has closed: a report submitted then is late."""
    return datetime(year, 7, 1, tzinfo=BEIJING)


def days_left(day: date, year: int) -> int:
    """Calendar days from a day to 30 June of `year`: 0 on the day itself, negative after it."""
    return (date(year, 6, 30) - day).days


@dataclass(frozen=True)
class Window:
    """The filing window of one report year."""

    report_year: int
    opens: date
    closes: date
    """Its last day."""
    deadline: datetime
    """The exclusive instant."""
    listing_by: date
    """The tenth working day after it: who has not filed is listed by then."""
    basis: Basis
    """The least sure word that `listing_by` rests on."""


def window(report_year: int, table: Table | None = None) -> Window:
    """The filing window of a report year."""
    year = report_year + 1
    closes = date(year, 6, 30)
    by = nth_working_day_after(closes, LISTING_DAYS, table)
    counted = [closes + _DAY * n for n in range(1, (by - closes).days + 1)]
    return Window(report_year, date(year, 1, 1), closes, deadline(year), by, weakest_basis(counted, table))


def windows(report_years: Iterable[int], table: Table | None = None) -> list[Window]:
    """The windows of several report years: a table small enough to join."""
    return [window(year, table) for year in report_years]


def anniversary(day: date, years: int) -> date:
    """The same day some years on; a missing 29 February is the 28th, as in the policy's conditions."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


def reported_year(day: date) -> int:
    """The report year that a day's work is about: the year before, until the end of the day's year."""
    return day.year - 1


@dataclass(frozen=True)
class Stage:
    """One step of the countdown to 30 June, and the day its mail goes out."""

    year: int
    """The year of the deadline."""
    offset: int
    """Days from 30 June: -15 is fifteen days before, 1 the day after."""
    send_on: date
    basis: Basis

    @property
    def name(self) -> str:
        """`T-15`, `T-0`, `T+1`."""
        return f"T{self.offset:+d}" if self.offset else "T-0"

    @property
    def nominal(self) -> date:
        """The day it is named after, working day or not."""
        return date(self.year, 6, 30) + _DAY * self.offset


def schedule(year: int, table: Table | None = None) -> list[Stage]:
    """The stages of one year's countdown by the day they go out, one a day.

    A stage that falls on a day off goes out on the working day before, never later. The exception is a stage after
    the deadline whose working day before lies before the deadline: it would call subjects overdue that are not, so it
    goes out on the next working day. Where two stages meet on one day, the tighter one stands.
    """
    by_day: dict[date, Stage] = {}
    for offset in OFFSETS:
        nominal = date(year, 6, 30) + _DAY * offset
        send_on = previous_working_day(nominal, table)
        if offset > 0 and send_on <= date(year, 6, 30):
            send_on = next_working_day(nominal, table)
        by_day[send_on] = Stage(year, offset, send_on, basis(send_on, table))
    return [by_day[day] for day in sorted(by_day)]


def stage_of(day: date, year: int, table: Table | None = None) -> Stage | None:
    """The stage that goes out on a day, if any does.

    Args:
        day: the day.
        year: the year of the deadline.
        table: the operator's table.
    """
    return next((stage for stage in schedule(year, table) if stage.send_on == day), None)


def latest_due_stage(day: date, year: int, table: Table | None = None) -> Stage | None:
    """The stage that should have gone out last by the end of a day: after missed days only this one is sent."""
    due = [stage for stage in schedule(year, table) if stage.send_on <= day]
    return due[-1] if due else None
