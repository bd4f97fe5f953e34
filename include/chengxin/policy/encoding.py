"""Outcomes, ends and lists of words as numbers, and back: what the engine can aggregate in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from chengxin.policy.vocabulary import RANK

NO_END = 99999999
"""The day number of what has no end: later than any day."""

RANK_STEP = 100000000
"""Outcome and end in one number: rank x this + day number. Its maximum is the most severe outcome's latest end."""

# A bare [] has no type on DuckDB, and would be written to a file as a list of nulls.
EMPTY = ibis.coalesce(ibis.null("array<string>"), ibis.literal([], type="array<string>"))


@ibis.udf.agg.builtin  # type: ignore[untyped-decorator]
def bit_or(bits: int) -> int:
    """The engine's own `bit_or`: DuckDB and Spark both have it."""
    raise NotImplementedError


def day_number(day: ir.Value) -> ir.Value:
    """YYYYMMDD as a number."""
    return (day.year().cast("int64") * 10000 + day.month() * 100 + day.day()).cast("int64")


def date_of(number: ir.Value) -> ir.Value:
    """The day of a day number; `NO_END`: null."""
    none = number == NO_END
    parts = (number // 10000, number // 100 % 100, number % 100)
    year, month, day = (none.ifelse(1, part).cast("int32") for part in parts)
    return none.ifelse(ibis.null("date"), ibis.date(year, month, day))


def outcome(rank: ir.Value) -> ir.Value:
    """The name of a rank."""
    return ibis.cases(*[(rank == number, name) for name, number in RANK.items()], else_=ibis.null("string"))


def decode(bits: ir.Value, names: Sequence[str]) -> ir.Value:
    """The list of the names whose bits are set, in the order of `names`."""
    every = ibis.literal(list(names), type="array<string>")
    # Most rows have no bit at all: these skip the list.
    return (bits == 0).ifelse(EMPTY, every.filter(lambda _, place: ((bits >> place) & 1) != 0))
