"""How old each source is, on the day it is asked: what decides between an answer and CANNOT_TELL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from sqlalchemy import Date, Executable, bindparam, select

from chengxin import contracts
from chengxin.contracts import Contract
from chengxin.errors import ConfigError
from chengxin.ledger.models import Harvest
from chengxin.settings import House


@dataclass(frozen=True)
class Age:
    """How old one source is.

    `stale`: its last published harvest is older than its contract's `max_age`. `missing`: it has never been published
    up to that day, or no contract says how old is too old (`max_age_days` is None then).
    """

    source: str
    observed_on: date | None
    age_days: int | None
    state: Literal["fresh", "stale", "missing"]
    max_age_days: int | None


def ages(house: House, as_of: date, sources: Iterable[str | Contract]) -> dict[str, Age]:
    """The age of each source on a day.

    Counted in whole days from the day that its newest published harvest spoke for, later harvests left aside. A limit
    in hours counts as its whole days, since a harvest speaks for a day.

    Args:
        house: where the ledger and the contracts are.
        as_of: the Beijing date asked about.
        sources: contracts, or their names. A name whose contract cannot be read is `missing`, not an error: one bad
            file must not silence the check of all others.

    Returns:
        Source → its age, in the order asked.
    """
    limits = {source if isinstance(source, str) else source.name: _max_age_days(house, source) for source in sources}
    newest = _newest(house, as_of, limits)
    return {source: _age(source, newest.get(source), as_of, limit) for source, limit in limits.items()}


def _max_age_days(house: House, source: str | Contract) -> int | None:
    if isinstance(source, str):
        try:
            source = contracts.load(house.include_dir / "sources" / f"{source}.yml")
        except ConfigError:
            return None
    return source.max_age.days


def _newest(house: House, as_of: date, sources: Iterable[str]) -> dict[str, date]:
    names = tuple(sources)
    if not names:
        return {}
    # Not `begin`: pages ask too, and must not wait for whoever writes.
    with house.ledger.read() as session:
        found = session.execute(_newest_of(names), {"day": as_of}).one()
    return {name: day for name, day in zip(names, found, strict=True) if day is not None}


@lru_cache(maxsize=64)
def _newest_of(names: tuple[str, ...]) -> Executable:
    """Each from the end of its own stretch of the index: a year of harvests is not walked."""
    return select(
        *(
            select(Harvest.as_of)
            .where(Harvest.source == name, Harvest.state == "published", Harvest.as_of <= bindparam("day", type_=Date))
            .order_by(Harvest.as_of.desc())
            .limit(1)
            .scalar_subquery()
            for name in names
        )
    )


def _age(source: str, observed_on: date | None, as_of: date, limit: int | None) -> Age:
    if observed_on is None:
        return Age(source, None, None, "missing", limit)
    age = (as_of - observed_on).days
    if limit is None:
        return Age(source, observed_on, age, "missing", None)
    return Age(source, observed_on, age, "stale" if age > limit else "fresh", limit)
