"""Rejected rows, for people: by cause with counts, then some rows of each.

Values were cut and masked before they were stored; codes are masked here once more, since a terminal is not the desk of
the department concerned. A row that is mended at its source is accepted by the next harvest, and leaves this view then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import ibis

from chengxin import engine, identity
from chengxin.settings import House


@dataclass(frozen=True)
class Row:
    """One rejected row."""

    value: str | None
    """The offending value, masked; None: it was empty."""
    file: str
    """First characters of the raw file's hash."""
    row: int
    """Its place in the raw file, from 0."""
    since: date
    """The day it was first seen so."""


@dataclass(frozen=True)
class Cause:
    """Rejected rows of one cause."""

    source: str
    table: str
    rule: str
    column: str | None
    reason: str
    count: int
    since: date
    """The oldest of them."""
    rows: tuple[Row, ...]


def browse(
    house: House, as_of: date, *, source: str | None = None, rule: str | None = None, rows: int = 5
) -> list[Cause]:
    """The rejected rows of a day, grouped by cause, the most frequent first.

    Args:
        house: whose lake.
        as_of: rows that are rejected as of this day.
        source: this source only.
        rule: rows that break this rule first only.
        rows: how many rows of each cause come along, the newest first.
    """
    connection = house.engine()
    try:
        found = engine.as_of(connection, house.lake, "rejected", as_of, source=source)
        if rule is not None:
            found = found.filter(found.rule == rule)
        cause = ["source", "fact_table", "rule", "column", "reason"]
        counted = found.group_by(cause).agg(n=found.count(), since=found.observed_on.min())
        counted = counted.order_by(ibis.desc("n"), *cause)
        order = ibis.row_number().over(
            group_by=cause, order_by=[found.observed_on.desc(), found.raw_sha256, found.raw_row]
        )
        shown = found.mutate(place=order)
        shown = shown.filter(shown.place < rows).order_by([*cause, "place"])
        groups = counted.to_pyarrow().to_pylist()
        samples: dict[tuple[Any, ...], list[Row]] = {}
        for one in shown.select(*cause, "value", "raw_sha256", "raw_row", "observed_on").to_pyarrow().to_pylist():
            key = tuple(one[name] for name in cause)
            samples.setdefault(key, []).append(
                Row(_masked(one["value"]), (one["raw_sha256"] or "")[:12], one["raw_row"] or 0, one["observed_on"])
            )
    finally:
        connection.disconnect()
    return [
        Cause(
            source=one["source"],
            table=one["fact_table"],
            rule=one["rule"],
            column=one["column"],
            reason=one["reason"],
            count=one["n"],
            since=one["since"],
            rows=tuple(samples.get(tuple(one[name] for name in cause), ())),
        )
        for one in groups
    ]


def _masked(value: str | None) -> str | None:
    """A value of 15 or more letters and digits is a code or a number of somebody: its ends only."""
    if value is None:
        return None
    if value.isascii() and value.isalnum() and len(value) >= 15:
        return identity.mask(value) if len(value) == 18 else f"{value[:4]}{'*' * (len(value) - 8)}{value[-4:]}"
    return value
