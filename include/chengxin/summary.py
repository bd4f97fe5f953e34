"""A day in numbers, from the ledger: what came in, what was concluded, what was mailed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from chengxin import warn
from chengxin.ledger.models import CheckRun, Harvest
from chengxin.settings import House

PARTS = ("published", "unchanged", "rejected", "ignored")
"""Every harvested record is one of these."""
MAIL_STATES = ("sent", "refused", "unknown")


@dataclass
class Summary:
    """A day in numbers.

    Attributes:
        as_of: the day.
        sources: source → harvested, published, unchanged, rejected, ignored, removed, in source records.
        advice: outcome → how many applicants.
        mails: planned (all that the day made), sent, refused, unknown.
        seconds: stage → how long it took.
        states: source → state of its harvest.
        alarms: source → what somebody has to look at although its harvest was published, in words.
    """

    as_of: date
    sources: dict[str, dict[str, int]]
    advice: dict[str, int]
    mails: dict[str, int]
    seconds: dict[str, float]
    states: dict[str, str] = field(default_factory=dict)
    alarms: dict[str, list[str]] = field(default_factory=dict)

    def faults(self) -> list[str]:
        """What is wrong with the day: sums that do not add up, unfinished harvests, mails that did not go out."""
        found = [
            f"{source}: harvested {counts['harvested']} is not {' + '.join(PARTS)}"
            for source, counts in self.sources.items()
            if counts["harvested"] != sum(counts[part] for part in PARTS)
        ]
        found += [f"{source}: harvest is {state}" for source, state in self.states.items() if state != "published"]
        found += [f"mails {state}: {self.mails[state]}" for state in ("refused", "unknown") if self.mails[state]]
        left = self.mails["planned"] - sum(self.mails[state] for state in MAIL_STATES)
        return [*found, *([f"mails not sent: {left}"] if left else [])]

    def as_dict(self) -> dict[str, Any]:
        """The form of `summary.json`."""
        return {
            "as_of": self.as_of.isoformat(),
            "sources": {
                source: {name: counts[name] for name in ("harvested", *PARTS)}
                for source, counts in self.sources.items()
            },
            "advice": self.advice,
            "mails": self.mails,
            "seconds": self.seconds,
        }

    def write(self, file: Path) -> None:
        """Writes `summary.json`."""
        file.write_text(json.dumps(self.as_dict(), ensure_ascii=False, indent=2) + "\n", "utf-8")

    def print(self, console: Console) -> None:
        """The same as tables, for people."""
        columns = ("harvested", *PARTS, "removed")
        sources = Table(title=f"Sources, {self.as_of}", title_justify="left")
        sources.add_column("source", no_wrap=True)
        for column in columns:
            sources.add_column(column, justify="right")
        for source, counts in self.sources.items():
            sources.add_row(source, *(f"{counts[column]:,}" for column in columns))
        console.print(sources)
        for source, lines in self.alarms.items():
            for line in lines:
                console.print(f"{source}: {line}", style="yellow", markup=False)
        for title, counts in (("Advice", self.advice), ("Mails", self.mails)):
            console.print(f"{title:<8}", "  ".join(f"{name} {number:,}" for name, number in counts.items()))
        console.print(f"{'Seconds':<8}", "  ".join(f"{name} {number:g}" for name, number in self.seconds.items()))


def summarise(house: House, as_of: date, seconds: Mapping[str, float]) -> Summary:
    """The day as the ledger knows it: the newest harvest of each source, the newest check, the messages.

    Args:
        house: whose ledger.
        as_of: the day.
        seconds: stage → how long it took; handed on.
    """
    from chengxin import bounds

    with house.ledger.begin() as session:
        harvests = {
            harvest.source: harvest
            for harvest in session.scalars(select(Harvest).where(Harvest.as_of == as_of).order_by(Harvest.id))
        }
        check = session.scalars(
            select(CheckRun)
            .where(CheckRun.district == house.district, CheckRun.as_of == as_of)
            .order_by(CheckRun.id.desc())
        ).first()
    return Summary(
        as_of=as_of,
        sources={
            source: {name: getattr(harvest, name) for name in ("harvested", *PARTS, "removed")}
            for source, harvest in sorted(harvests.items())
        },
        advice=dict(sorted(check.counts.get("advice", {}).items())) if check else {},
        mails=warn.summary(house, as_of),
        seconds=dict(seconds),
        states={source: harvest.state for source, harvest in harvests.items()},
        alarms={
            source: lines
            for source, harvest in sorted(harvests.items())
            if (lines := bounds.told(harvest.detail.get("alarms", {})))
        },
    )
