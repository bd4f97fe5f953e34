"""How old each source is, on the day it is asked: what decides between an answer and CANNOT_TELL.

A harvest that ran is not yet a source that was heard. Where a source can answer without saying anything (the same
newest file still lies there, no new file has come, no row is beyond the watermark), the harvest is `quiet`, and silence
is believed for as long as the contract says (`quiet`: none for a whole list, ten days for changes only). After that the
source is as old as what was last heard of it, and `max_age` later it is stale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from sqlalchemy import Date, Executable, bindparam, func, select

from chengxin import contracts
from chengxin.contracts import Contract
from chengxin.errors import ConfigError
from chengxin.ledger.models import Harvest
from chengxin.settings import House


@dataclass(frozen=True)
class Age:
    """How old one source is.

    `observed_on`: the day that its newest published harvest spoke for; or, where it has been silent for longer than its
    contract believes, the day on which it was last heard. `stale`: that is longer ago than the contract's `max_age`
    (counted from the end of the silence that is believed). `missing`: it has never been published up to that day, or no
    contract says how old is too old (`max_age_days` is None then). `silent_days`: for how long it has brought nothing,
    where that is longer than is believed; else 0.
    """

    source: str
    observed_on: date | None
    age_days: int | None
    state: Literal["fresh", "stale", "missing"]
    max_age_days: int | None
    silent_days: int = 0


def ages(house: House, as_of: date, sources: Iterable[str | Contract]) -> dict[str, Age]:
    """The age of each source on a day.

    Counted in whole days, later harvests left aside. A limit in hours counts as its whole days, since a harvest speaks
    for a day.

    Args:
        house: where the ledger and the contracts are.
        as_of: the Beijing date asked about.
        sources: contracts, or their names. A name whose contract cannot be read is `missing`, not an error: one bad
            file must not silence the check of all others.

    Returns:
        Source → its age, in the order asked.
    """
    limits = {source if isinstance(source, str) else source.name: _limits(house, source) for source in sources}
    newest = _newest(house, as_of, limits)
    return {source: _age(source, newest.get(source), as_of, limit) for source, limit in limits.items()}


@dataclass(frozen=True)
class _Limits:
    """In days."""

    max_age: int
    silence: int


@dataclass(frozen=True)
class _Heard:
    """The day of the newest published harvest, and of the newest that was not quiet (the first of all counts too)."""

    asked_on: date
    heard_on: date


def _limits(house: House, source: str | Contract) -> _Limits | None:
    if isinstance(source, str):
        try:
            source = contracts.load(house.include_dir / "sources" / f"{source}.yml")
        except ConfigError:
            return None
    return _Limits(source.max_age.days, source.silence.days)


def _newest(house: House, as_of: date, sources: Iterable[str]) -> dict[str, _Heard]:
    names = tuple(sources)
    if not names:
        return {}
    # Not `begin`: pages ask too, and must not wait for whoever writes.
    with house.ledger.read() as session:
        found = session.execute(_newest_of(names), {"day": as_of}).one()
    days = zip(names, found[::2], found[1::2], strict=True)
    return {name: _Heard(asked, heard) for name, asked, heard in days if asked is not None}


@lru_cache(maxsize=64)
def _newest_of(names: tuple[str, ...]) -> Executable:
    """Each from an end of its own stretch of the index: a year of harvests is not walked."""
    asked = []
    for name in names:
        published = (
            select(Harvest.as_of)
            .where(Harvest.source == name, Harvest.state == "published", Harvest.as_of <= bindparam("day", type_=Date))
            .limit(1)
        )
        newest, oldest = published.order_by(Harvest.as_of.desc()), published.order_by(Harvest.as_of)
        heard = newest.where(Harvest.quiet.is_(False))
        asked += [newest.scalar_subquery(), func.coalesce(heard.scalar_subquery(), oldest.scalar_subquery())]
    return select(*asked)


def _age(source: str, found: _Heard | None, as_of: date, limits: _Limits | None) -> Age:
    if found is None:
        return Age(source, None, None, "missing", limits.max_age if limits else None)
    if limits is None:
        return Age(source, found.asked_on, (as_of - found.asked_on).days, "missing", None)
    age, silent = (as_of - found.asked_on).days, (as_of - found.heard_on).days
    if found.heard_on == found.asked_on or silent <= limits.silence:
        return Age(source, found.asked_on, age, "stale" if age > limits.max_age else "fresh", limits.max_age)
    stale = age > limits.max_age or silent > limits.silence + limits.max_age
    return Age(source, found.heard_on, silent, "stale" if stale else "fresh", limits.max_age, silent)
