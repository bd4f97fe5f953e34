"""The stale guard: how old each source is, and whether a list of who has not filed may be sent at all.

A list made from old or half data would accuse those who have filed. Then no list goes out: at the stages the
departments get one line saying so, and the operators an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from chengxin import contracts, freshness
from chengxin.districts import District
from chengxin.ledger.models import CheckRun, Harvest
from chengxin.settings import House

LIST_TABLES = ("subject", "annual_report")
"""The fact tables that say who has to file and who has."""
CHECK_MAX_AGE_DAYS = 1
"""An older check no longer speaks for the day: its conclusions miss what was filed since."""


@dataclass(frozen=True)
class SourceAge:
    """One source as the mails show it."""

    name: str
    title: str
    observed_on: date | None
    age_days: int | None
    state: str
    """`fresh`, `stale`, `missing`, or `stopped`: its last batch was held back by a bound."""
    silent_days: int = 0
    """For how long it has answered without anything new, where that is longer than its contract believes."""

    @property
    def sound(self) -> bool:
        """Whether conclusions may rest on it."""
        return self.state == "fresh"


@dataclass(frozen=True)
class Ground:
    """What a day's warnings rest on."""

    sources: tuple[SourceAge, ...]
    list_sources: frozenset[str]
    """Those that say who has to file and who has."""
    checked_on: date | None
    """The day that the newest check spoke for."""
    check_age_days: int | None

    @property
    def list_faults(self) -> tuple[SourceAge, ...]:
        """The sources that forbid a list of who has not filed."""
        return tuple(source for source in self.sources if source.name in self.list_sources and not source.sound)

    @property
    def check_is_late(self) -> bool:
        """Whether the conclusions themselves are too old."""
        return self.check_age_days is None or self.check_age_days > CHECK_MAX_AGE_DAYS

    @property
    def lists_may_go(self) -> bool:
        """Whether a list of who has not filed may be sent."""
        return not self.list_faults and not self.check_is_late


def ground(house: House, district: District, as_of: date) -> Ground:
    """What the warnings of a day rest on, from the ledger's harvests and checks."""
    known, _broken = contracts.load_all(house.include_dir / "sources")
    ages = freshness.ages(house, as_of, [known.get(name, name) for name in district.sources])
    with house.ledger.read() as session:
        checked_on = session.scalar(
            select(CheckRun.as_of)
            .where(CheckRun.district == district.code, CheckRun.as_of <= as_of, CheckRun.finished_at.is_not(None))
            .order_by(CheckRun.as_of.desc())
            .limit(1)
        )
        harvests = session.execute(
            select(Harvest.source, Harvest.state)
            .where(Harvest.source.in_(district.sources), Harvest.as_of <= as_of)
            .order_by(Harvest.as_of, Harvest.id)
        )
        last = {source: state for source, state in harvests.tuples()}  # noqa: C416 (a later one replaces an earlier)
    sources = tuple(
        SourceAge(
            name,
            known[name].title if name in known else name,
            age.observed_on,
            age.age_days,
            "stopped" if last.get(name) == "stopped" else age.state,
            age.silent_days,
        )
        for name, age in ages.items()
    )
    lists = frozenset(name for name in district.sources if name in known and set(known[name].tables) & set(LIST_TABLES))
    return Ground(sources, lists, checked_on, (as_of - checked_on).days if checked_on else None)
