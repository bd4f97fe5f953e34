"""The watch over the sources: is each of them fresh, late, stale, or just back?

It asks nobody but the ledger and the clock, so it works when a source, its DAG or its contract does not. A source is

- `fresh`: the newest harvest that its schedule makes one expect has been published;
- `late`: that harvest is missing, and what there is can still be used;
- `stale`: what there is is older than the contract's `max_age`, or there is nothing: the check answers "cannot tell";
- `recovered`: fresh, for the day on which it came back from `late` or `stale`.

Each change of state is one row of the ledger (`SourceState`) and one act (`source.<state>`). A sweep that finds nothing
new writes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chengxin import contracts, districts, freshness
from chengxin.clock import BEIJING, beijing_date
from chengxin.contracts import Contract
from chengxin.errors import ChengxinError
from chengxin.ledger import acts
from chengxin.ledger.models import Harvest
from chengxin.ledger.watch import SourceState
from chengxin.settings import House

State = Literal["fresh", "late", "stale", "recovered"]
STATES: tuple[State, ...] = ("fresh", "late", "stale", "recovered")
GRACE = timedelta(hours=3)
"""After its scheduled time a harvest may take so long (retries included) before it is missed."""


class StaleSourceError(ChengxinError):
    """Sources became too old to be used."""

    cause = "stale"


@dataclass(frozen=True)
class Standing:
    """Where one source stands.

    Attributes:
        source: the contract's name.
        state: see the module's text.
        before: the state of the last sweep; None: there was none.
        expected_on: the day of the newest harvest that the schedule makes one expect; None: no contract to ask.
        observed_on: the day that the newest published harvest spoke for.
        age_days: its age.
        cause: why the newest harvest did not get published, if it did not.
    """

    source: str
    state: State
    before: State | None
    expected_on: date | None
    observed_on: date | None
    age_days: int | None
    cause: str | None

    @property
    def changed(self) -> bool:
        """Whether the sweep before said otherwise."""
        return self.state != self.before


def run(house: House, as_of: date | None = None) -> dict[str, Any]:
    """Looks at every source of the district, and records what changed.

    Args:
        house: whose district, contracts and ledger.
        as_of: the Beijing date to speak for; None: today. A day before one that was swept already is looked at, and
            nothing is recorded.

    Returns:
        `as_of`, the number of sources in each state, and `changed`: source → `before→now`.
    """
    day = as_of or beijing_date(house.clock())
    ages = _ages(house, day)
    with house.ledger.begin() as session:
        acts.lock(session)
        found = _standings(session, house, day, ages)
        if not _swept_later(session, day):
            _record(session, house, day, found.values())
    return {
        "as_of": day.isoformat(),
        **{state: sum(one.state == state for one in found.values()) for state in STATES},
        "changed": {one.source: f"{one.before or ''}→{one.state}" for one in found.values() if one.changed},
    }


def standings(house: House, as_of: date | None = None) -> dict[str, Standing]:
    """Source → where it stands, without recording anything."""
    day = as_of or beijing_date(house.clock())
    ages = _ages(house, day)
    with house.ledger.begin() as session:
        return _standings(session, house, day, ages)


def alarm(changed: Mapping[str, str], command: str = "chengxin") -> None:
    """Raises for the sources that a sweep found to have become stale, so that the operators hear of each once.

    Args:
        changed: as `run` returns it.
        command: how the command line is called for this district (`House.command`).

    Raises:
        StaleSourceError: there are such sources.
    """
    stale = sorted(source for source, change in changed.items() if change.endswith("→stale"))
    if stale:
        raise StaleSourceError(
            f"too old to be used: {', '.join(stale)}",
            where="the watch over the sources",
            why="no harvest of them was published within `max_age`",
            remedy=f"see `{command} sources` and the harvests' runs; the check says 'cannot tell' until they are back",
        )


def _ages(house: House, day: date) -> dict[str, freshness.Age]:
    district = districts.load(house.include_dir / "districts" / f"{house.district}.yml")
    return freshness.ages(house, day, district.sources)


def _standings(session: Session, house: House, day: date, ages: Mapping[str, freshness.Age]) -> dict[str, Standing]:
    good, _ = contracts.load_all(house.include_dir / "sources")
    instant = min(house.clock(), datetime.combine(day, time.max, BEIJING))
    before = _last(session, ages)
    failures = _failures(session, ages, day)
    found = {}
    for name, age in ages.items():
        expected = _expected(good[name], instant) if name in good else None
        last = before.get(name)
        found[name] = Standing(
            source=name,
            state=_state(age, expected, last, day),
            before=last.state if last else None,  # type: ignore[arg-type]  # only `run` writes them
            expected_on=expected,
            observed_on=age.observed_on,
            age_days=age.age_days,
            cause=failures.get(name),
        )
    return found


def _state(age: freshness.Age, expected: date | None, last: SourceState | None, day: date) -> State:
    if age.observed_on is None or age.state != "fresh":
        return "stale"
    if expected is not None and age.observed_on < expected:
        return "late"
    if last is None:
        return "fresh"
    back_today = last.state == "recovered" and last.as_of >= day
    return "recovered" if last.state in ("late", "stale") or back_today else "fresh"


def _expected(contract: Contract, instant: datetime) -> date:
    """The day of the last scheduled harvest that should be in by now."""
    from croniter import croniter

    due = croniter(contract.schedule, (instant - GRACE).astimezone(BEIJING)).get_prev(datetime)
    return beijing_date(due)


def _last(session: Session, sources: Iterable[str]) -> dict[str, SourceState]:
    newest = select(func.max(SourceState.id)).where(SourceState.source.in_(list(sources))).group_by(SourceState.source)
    rows = session.scalars(select(SourceState).where(SourceState.id.in_(newest)))
    return {row.source: row for row in rows}


def _failures(session: Session, sources: Iterable[str], day: date) -> dict[str, str]:
    """Source → cause, where the newest harvest up to the day did not get published."""
    newest = (
        select(func.max(Harvest.id))
        .where(Harvest.source.in_(list(sources)), Harvest.as_of <= day)
        .group_by(Harvest.source)
    )
    rows = session.scalars(select(Harvest).where(Harvest.id.in_(newest), Harvest.state.in_(("failed", "stopped"))))
    return {row.source: row.cause or "error" for row in rows}


def _swept_later(session: Session, day: date) -> bool:
    newest = session.scalar(select(func.max(SourceState.as_of)))
    return newest is not None and newest > day


def _record(session: Session, house: House, day: date, found: Iterable[Standing]) -> None:
    now, deeds = house.clock(), []
    for one in found:
        if not one.changed:
            continue
        detail = {
            "expected_on": one.expected_on.isoformat() if one.expected_on else None,
            "age_days": one.age_days,
            "cause": one.cause,
        }
        content = {"as_of": day.isoformat(), "before": one.before, "observed_on": str(one.observed_on or ""), **detail}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        deeds.append(acts.Deed(f"source.{one.state}", one.source, digest))
        session.add(
            SourceState(
                source=one.source,
                state=one.state,
                before=one.before,
                as_of=day,
                at=now,
                observed_on=one.observed_on,
                detail=detail,
            )
        )
    if deeds:
        acts.append(session, now, "watch", deeds)
