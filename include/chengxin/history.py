"""Bounds suggested from the history of harvests in the ledger, each with the figures it comes from.

A suggestion changes nothing: bounds are what a person holds to be normal, and a bound that widens by itself is none.
Only published harvests count, so a batch that a bound stopped never argues for a wider one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select

from chengxin import contracts
from chengxin.clock import beijing_date
from chengxin.contracts import Contract
from chengxin.ledger.models import Harvest
from chengxin.settings import House

ENOUGH = 10
"""Harvests below which the history is too short to suggest from."""


@dataclass(frozen=True)
class Advice:
    """One bound.

    Attributes:
        key: its place in the contract, e.g. `rows.min`.
        now: as the contract has it; None: not set.
        suggested: what the history suggests; None: nothing better.
        why: the figures behind it.
    """

    key: str
    now: float | None
    suggested: float | None
    why: str

    def __str__(self) -> str:
        now = "not set" if self.now is None else f"{self.now:g}"
        said = f"keep {now}" if self.suggested is None else f"now {now}, suggested {self.suggested:g}"
        return f"  {self.key}: {said}\n      {self.why}"


@dataclass(frozen=True)
class Suggestion:
    """What the history of one source suggests."""

    source: str
    harvests: int
    since: date | None
    stopped: int
    advice: tuple[Advice, ...]

    def __str__(self) -> str:
        head = f"{self.source}: {self.harvests} published harvests"
        head += f" since {self.since}" if self.since else ""
        head += f", {self.stopped} stopped by a bound or by drift (not counted)" if self.stopped else ""
        if not self.advice:
            return f"{head}\n  too few to suggest from: at least {ENOUGH} are needed"
        return "\n".join([head, *map(str, self.advice)])


def suggest(house: House, source: str, days: int = 90) -> Suggestion:
    """Suggests bounds for a source.

    Args:
        house: whose ledger and contracts.
        source: the contract's name.
        days: how far back the ledger is read.

    Raises:
        ConfigError: no such contract.
    """
    contract = contracts.load(house.include_dir / "sources" / f"{source}.yml")
    since = beijing_date(house.clock()) - timedelta(days=days)
    with house.ledger.begin() as session:
        rows = list(
            session.scalars(
                select(Harvest)
                .where(Harvest.source == source, Harvest.as_of >= since, Harvest.state.in_(("published", "stopped")))
                .order_by(Harvest.id)
            )
        )
        session.expunge_all()
    # The last harvest of a day speaks for it: a repeated one would count twice.
    # One that took over what stood (`harvest`) has no figures of its own.
    by_day = {row.as_of: row for row in rows if row.state == "published" and not row.detail.get("stands")}
    published = [by_day[day] for day in sorted(by_day)]
    return Suggestion(
        source=source,
        harvests=len(published),
        since=published[0].as_of if published else None,
        stopped=sum(row.state == "stopped" for row in rows),
        advice=tuple(_advice(contract, published)) if len(published) >= ENOUGH else (),
    )


def _advice(contract: Contract, harvests: Sequence[Harvest]) -> list[Advice]:
    return [*_rows(contract, harvests), *_shrink(contract, harvests), *_filled(contract, harvests)]


def _rows(contract: Contract, harvests: Sequence[Harvest]) -> list[Advice]:
    usable = {row.as_of: row.harvested - row.rejected for row in harvests}
    lowest, highest = min(usable, key=lambda day: usable[day]), max(harvests, key=lambda row: row.harvested)
    bounds = contract.bounds.rows
    floor = _rounded(usable[lowest] * 0.8, down=True)
    if contract.mode == "incremental":
        floor = 0
    ceiling = _rounded(highest.harvested * 1.5, down=False)
    return [
        Advice(
            "rows.min",
            bounds.min,
            floor if floor > bounds.min else None,
            f"fewest usable records: {usable[lowest]:,} on {lowest}; four fifths of it"
            + ("; an incremental source may have a day without news" if contract.mode == "incremental" else "")
            + (f"; the contract's {bounds.min:,} is as strict or stricter" if floor <= bounds.min else ""),
        ),
        Advice(
            "rows.max",
            bounds.max,
            ceiling if bounds.max is None or ceiling < bounds.max else None,
            f"most records: {highest.harvested:,} on {highest.as_of}; one and a half times that",
        ),
    ]


def _shrink(contract: Contract, harvests: Sequence[Harvest]) -> list[Advice]:
    if contract.mode != "full":
        return []
    shares: dict[tuple[date, str], float] = {}
    for row in harvests:
        for table in contract.tables:
            change = row.detail.get("facts", {}).get(table, {})
            if change.get("known"):
                shares[row.as_of, table] = change["removed"] / change["known"]
    if not shares:
        return []
    (day, table), most = max(shares.items(), key=lambda item: item[1])
    now = contract.bounds.shrink.max if contract.bounds.shrink else None
    # Twice the worst day, and never so tight that a handful of removals in a small list stops it.
    wish = min(1.0, max(0.01, math.ceil(most * 2 * 100) / 100))
    return [
        Advice(
            "shrink.max",
            now,
            wish if now is None or wish < now else None,
            f"largest share that vanished at once: {most:.2%} of {table} on {day}; twice that, at least 1 %",
        )
    ]


def _filled(contract: Contract, harvests: Sequence[Harvest]) -> list[Advice]:
    advice = []
    for field in sorted({column.to for column in contract.columns.values()}):
        shares = {row.as_of: row.detail["filled"][field] for row in harvests if field in row.detail.get("filled", {})}
        if not shares:
            continue
        day = min(shares, key=lambda one: shares[one])
        wish = max(0.0, math.floor((shares[day] - 0.02) * 100) / 100)
        bound = contract.bounds.fields.get(field)
        # A field that is often empty says nothing by being empty.
        if bound is None and wish < 0.8:
            continue
        now = bound.filled if bound else None
        advice.append(
            Advice(
                f"fields.{field}.filled",
                now,
                wish if now is None or wish > now else None,
                f"least filled: {shares[day]:.1%} on {day}; two points less",
            )
        )
    return advice


def _rounded(value: float, *, down: bool) -> int:
    """To two significant digits."""
    if value < 1:
        return 0 if down else 1
    unit = 10 ** max(0, int(math.log10(value)) - 1)
    return int((math.floor if down else math.ceil)(value / unit) * unit)
