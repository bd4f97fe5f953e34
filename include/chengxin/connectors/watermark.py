"""How far an incremental source was read, and where the next harvest begins.

The watermark is the greatest value of one heading among the records of a harvest: a time of change, or a number that
only goes up. It is kept with the harvest, in its cursor. A harvest begins at the watermark of the last published
harvest of an *earlier* day, less the overlap: so a harvest that is run again asks for the same as the first time, and
one that failed leaves no gap behind it.

A value from the future must not move the mark, or everything until then would be lost: what lies more than a day after
the day that the harvest speaks for is left aside, and so is what is no time at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import select

from chengxin.clock import BEIJING
from chengxin.contracts import Contract
from chengxin.errors import ConfigError
from chengxin.ledger.models import Harvest
from chengxin.reads import Watermark
from chengxin.settings import House

Mark = str | int
"""Text as the source writes its times, or a number: a counter, or seconds or milliseconds since 1970."""

_SHAPES = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y%m%d%H%M%S", "%Y-%m-%d",
    "%Y/%m/%d", "%Y%m%d",
)  # fmt: skip
_FRACTION = re.compile(r"(.*\d\d:\d\d:\d\d)(\.\d{1,9})", re.ASCII)
_ZONE = re.compile(r"(.*\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d(?::?\d\d)?)", re.ASCII)
_SECONDS, _MILLISECONDS = 1_000_000_000, 1_000_000_000_000
"""Numbers from here on are read as seconds, and as milliseconds, since 1970; smaller ones are counters."""


def previous(house: House, source: str, as_of: date) -> Mark | None:
    """The watermark of the last published harvest of an earlier day; None: there is none yet."""
    query = (
        select(Harvest.cursor)
        .where(Harvest.source == source, Harvest.state == "published", Harvest.as_of < as_of)
        .order_by(Harvest.as_of.desc(), Harvest.id.desc())
    )
    with house.ledger.begin() as session:
        for cursor in session.scalars(query):
            if cursor.get("watermark") is not None:
                mark: Mark = cursor["watermark"]
                return mark
    return None


def begin(house: House, contract: Contract, how: Watermark, as_of: date) -> tuple[Mark | None, Mark | None]:
    """Where a harvest begins.

    Returns:
        What to ask from (None: from the beginning), and the watermark so far.

    Raises:
        ConfigError: an overlap on a mark that is no time.
    """
    mark = previous(house, contract.name, as_of)
    if mark is None:
        return how.initial, None
    return back(mark, how.overlap, contract.name), mark


def back(mark: Mark, overlap: timedelta, source: str) -> Mark:
    """A mark less an overlap, written as the mark is.

    Raises:
        ConfigError: the mark is no time, so that nothing can be taken from it.
    """
    if not overlap:
        return mark
    number = _number(mark)
    if number is not None and number >= _SECONDS:
        unit = 1000 if number >= _MILLISECONDS else 1
        less = number - int(overlap.total_seconds() * unit)
        return less if isinstance(mark, int) else str(less)
    read = None if number is not None else _read(str(mark))
    if read is None:
        raise ConfigError(
            "the watermark is no time, so it has no overlap",
            where=f"sources/{source}.yml, read.watermark.overlap",
            why="its values are counters" if number is not None else f"it reads {str(mark)[:40]!r}",
            remedy="leave the overlap out, or take a heading that holds the time of change",
        )
    # Whole days are left as whole days: a date less six hours is the day before.
    return (read.instant - overlap).strftime(read.shape) + read.fraction + read.zone


def is_time(mark: Mark) -> bool:
    """Whether a mark is a time written as text, so that others can be compared with it as texts are."""
    return isinstance(mark, str) and _number(mark) is None and _read(mark) is not None


def advance(mark: Mark | None, values: Iterable[Any], as_of: date) -> Mark | None:
    """The greatest of a mark and a batch's values that can be one.

    Args:
        mark: so far.
        values: as the source gave them: texts, numbers, dates, instants, nothing.
        as_of: the day that the harvest speaks for.
    """
    found = {_plain(value) for value in values if value is not None and not isinstance(value, bool)}
    numbers = sorted((value for value in found if isinstance(value, int)), reverse=True)
    texts = sorted((value for value in found if isinstance(value, str)), key=_by_shape, reverse=True)
    best: list[Mark | None] = [next((number for number in numbers if _possible(number, as_of)), None)]
    # Texts of one shape sort as their times do; of each shape only the greatest that can be one is read.
    best += [
        next((text for text in alike if _possible(text, as_of)), None)
        for _, alike in groupby(texts, key=lambda text: _by_shape(text)[0])
    ]
    candidates = [one for one in (mark, *best) if one is not None]
    return max(candidates, key=_order) if candidates else None


def _plain(value: Any) -> Mark:
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return value
    text = str(value).strip()
    # A database's NUMERIC; a float would lose digits, so it is no mark of ours.
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) and not isinstance(value, str) else text


def _by_shape(text: str) -> tuple[str, str]:
    return re.sub(r"\d", "0", text, flags=re.ASCII), text


def _number(mark: Mark) -> int | None:
    """A number, also in quotes; a text of digits that is a date is none."""
    if isinstance(mark, int):
        return mark
    return int(mark) if mark.isascii() and mark.isdigit() and _read(mark) is None else None


def _possible(mark: Mark, as_of: date) -> bool:
    if isinstance(mark, int) and mark < _SECONDS:
        return mark >= 0
    instant = _instant(mark)
    return instant is not None and instant < datetime.combine(as_of + timedelta(days=2), time(), BEIJING)


def _order(mark: Mark) -> tuple[int, float]:
    instant = _instant(mark)
    return (1, instant.timestamp()) if instant is not None else (0, float(_number(mark) or 0))


def _instant(mark: Mark) -> datetime | None:
    """The instant that a mark means; None: it is a counter, or nothing that we can read."""
    number = _number(mark)
    if number is not None:
        if number < _SECONDS:
            return None
        seconds = number / 1000 if number >= _MILLISECONDS else number
        return datetime.fromtimestamp(seconds, BEIJING) if seconds < 253_000_000_000 else None
    read = _read(str(mark))
    if read is None:
        return None
    return datetime.fromisoformat(f"{read.instant.isoformat()}{read.fraction}{read.zone or '+08:00'}")


@dataclass(frozen=True)
class _Time:
    """A text's time to the second, the shape it is written in, and what stands behind it."""

    instant: datetime
    shape: str
    fraction: str
    zone: str


def _read(text: str) -> _Time | None:
    fraction = zone = ""
    if found := _ZONE.fullmatch(text):
        text, zone = found[1], found[2]
    if found := _FRACTION.fullmatch(text):
        text, fraction = found[1], found[2]
    for shape in _SHAPES:
        try:
            instant = datetime.strptime(text, shape)  # noqa: DTZ007 - its zone, if any, stands behind it
        except ValueError:
            continue
        # strptime takes "2026-6-5" too, which does not sort.
        if instant.strftime(shape) == text:
            return _Time(instant, shape, fraction, zone)
    return None
