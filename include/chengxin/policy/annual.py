"""Where subjects stand with their annual reports (二（一）3), as one relational expression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

import ibis
import ibis.expr.types as ir

from chengxin.policy.codebook import Codebook, small_table
from chengxin.policy.model import Policy
from chengxin.policy.predicates import Scope, holds

WorkingDayAfter = Callable[[date, int], date]
"""The nth working day after a day."""

YEARS = range(1990, 2100)
"""Report years whose listing day is worked out where the caller names none."""


def statuses(
    policy: Policy,
    subjects: ir.Table,
    working_day_after: WorkingDayAfter,
    years: Iterable[int] = YEARS,
) -> ir.Table:
    """The status of each row's report, lazily.

    Args:
        policy: the policy.
        subjects: columns `state, established, deregistered_on, revoked_on, report_year, as_of, submitted_at,
            correction_at` and any others, which are kept. The two last are instants or dates; instants are read as
            Beijing dates by the engine's session, which must stand in Asia/Shanghai.
        working_day_after: the calendar.
        years: the report years that occur, for `expected_listing_by`.

    Returns:
        The rows with `status, warn, days_left, expected_listing_by, rule, clause`: `days_left` counts calendar days
        and stands with DUE only, `expected_listing_by` with OVERDUE only.
    """
    book = Codebook(policy)
    rows = subjects.mutate(
        submitted_on=subjects.submitted_at.cast("date"),
        corrected_on=subjects.correction_at.cast("date"),
        epoch=book.epoch(subjects.as_of),
    )
    scope = Scope(rows, book.epochs)
    rules = policy.annual.rules
    names = list(rules)
    branches = [(holds(rule.when, "annual", scope), number) for number, rule in enumerate(rules.values())]
    rows = rows.mutate(annual_line=ibis.cases(*branches, else_=-1).cast("int32"))
    lines = [
        {
            "annual_line": number,
            "rule": name,
            "clause": rules[name].clause,
            "status": rules[name].status,
            "warn": rules[name].warn,
            "counts_down": rules[name].counts_down,
            "listing_follows": rules[name].listing_follows,
        }
        for number, name in enumerate(names)
    ]
    rows = rows.join(
        small_table(
            lines,
            annual_line="int32", rule="string", clause="string", status="string", warn="boolean",
            counts_down="boolean", listing_follows="boolean",
        ),
        "annual_line",
    )  # fmt: skip
    windows = _windows(policy, book, working_day_after, years)
    rows = rows.left_join(windows, [rows.report_year == windows.window_year, rows.epoch == windows.window_epoch])
    rows = rows.mutate(
        days_left=rows.counts_down.ifelse(
            rows.window_ends.epoch_days() - rows.as_of.epoch_days(), ibis.null("int64")
        ).cast("int32"),
        expected_listing_by=rows.listing_follows.ifelse(rows.listing_by, ibis.null("date")),
    )
    kept = [*subjects.columns, "status", "warn", "days_left", "expected_listing_by", "rule", "clause"]
    return rows.select(*kept)


def _windows(policy: Policy, book: Codebook, working_day_after: WorkingDayAfter, years: Iterable[int]) -> ir.Table:
    """Report year and epoch → the window's last day, and the day by which a listing is to be expected."""
    spans: dict[tuple[Any, Any], list[int]] = {}
    for epoch, values in enumerate(book.epochs):
        key = (values.get(policy.annual.deadline), values.get(policy.annual.listing))
        if None not in key:
            spans.setdefault(key, []).append(epoch)
    rows: list[Mapping[str, Any]] = []
    for (deadline, listing), epochs in spans.items():
        month, day = (int(part) for part in deadline.split("-"))
        for year in sorted(set(years)):
            end = date(year + 1, month, day)
            listed = working_day_after(end, listing)
            rows += [
                {"window_year": year, "window_epoch": epoch, "window_ends": end, "listing_by": listed}
                for epoch in epochs
            ]
    return small_table(rows, window_year="int32", window_epoch="int32", window_ends="date", listing_by="date")
