"""Facts that a test or a demonstration adds by hand: they appear, change and go on chosen days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Told:
    """One row of a fact of the world (`state.QUERIES` names facts and columns), told day by day.

    >>> told = Told("records", {"record_no": "示例罚字〔2026〕第1号"}, date(2026, 6, 15),
    ...             changes={date(2026, 6, 17): {"repaired_on": date(2026, 6, 17)}})
    >>> told.on(date(2026, 6, 14)) is None, told.on(date(2026, 6, 17))["repaired_on"]
    (True, datetime.date(2026, 6, 17))
    """

    fact: str
    values: Mapping[str, Any]
    appears: date
    changes: Mapping[date, Mapping[str, Any]] = field(default_factory=dict)
    """Day → columns that have another value from that day on."""
    gone: date | None = None
    """From this day on the row is no longer there."""

    def on(self, day: date) -> dict[str, Any] | None:
        """The row as it stands on a day; None: it is not there."""
        if day < self.appears or (self.gone is not None and day >= self.gone):
            return None
        row = dict(self.values)
        for since in sorted(self.changes):
            if since <= day:
                row |= self.changes[since]
        return row


def add(table: pa.Table, fact: str, day: date, story: Iterable[Told]) -> pa.Table:
    """The fact's table with the rows that the story tells of it. Told rows never get dirty.

    Raises:
        ValueError: the story names a column that the fact does not have.
    """
    rows = [row for told in story if told.fact == fact and (row := told.on(day)) is not None]
    if not rows:
        return table
    unknown = {name for row in rows for name in row} - set(table.column_names)
    if unknown:
        raise ValueError(f"{fact} has no {', '.join(sorted(unknown))}; it has {', '.join(table.column_names)}")
    # Below zero, so that no made-up row has the same number, and `soil` leaves them alone.
    numbered = [{"id": -1000 - place} | row for place, row in enumerate(rows)]
    return pa.concat_tables([table, pa.Table.from_pylist(numbered, schema=table.schema)])
