"""The annual reports: the day's counts, and who stands where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, select, true, tuple_

from chengxin import calendar
from chengxin.desk.rows import FilingRow, Street, Today
from chengxin.desk.scope import LARGEST, Page, Paging, Scope
from chengxin.desk.tables import OUTCOMES, counter, filing, filing_count, matter, subject
from chengxin.districts import District

FILED = ("ON_TIME", "LATE", "CORRECTION_TOO_LATE")
"""Statuses whose report is in."""
UNFILED = ("DUE", "OVERDUE")
PENDING = "待办"


def today(connection: Connection, scope: Scope, as_of: date, district: District) -> Today:
    """The countdown, and who has filed, as counts. The counts are everybody's to see; the decisions are in scope.

    Args:
        connection: of the desk.
        scope: who looks.
        as_of: the day.
        district: for the order of its streets.
    """
    year = calendar.reported_year(as_of)
    counted_on = _counted_on(connection, year, as_of)
    statuses: dict[str, int] = {}
    by_street: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    if counted_on is not None:
        of_day = (filing_count.c.report_year == year, filing_count.c.day == counted_on)
        columns = (filing_count.c.street, filing_count.c.kind, filing_count.c.status, filing_count.c.subjects)
        for street, kind, status, subjects in connection.execute(select(*columns).where(*of_day)):
            if street is None:
                statuses[status] = subjects
            else:
                by_street[street][kind or ""][status] = subjects
    order = [*dict.fromkeys(route.to for route in district.areas)]
    order += sorted(set(by_street) - set(order), key=lambda street: (street == "", street))
    return Today(
        as_of=as_of,
        report_year=year,
        closes=date(year + 1, 6, 30),
        days_left=calendar.days_left(as_of, year + 1),
        counted_on=counted_on,
        statuses=statuses,
        streets=tuple(_street(street, by_street[street]) for street in order if street in by_street),
        decisions=_pending(connection, scope),
    )


def filing_days(connection: Connection, report_year: int) -> Sequence[tuple[date, Mapping[str, int]]]:
    """The season as a line: day → status → subjects of the whole district, for the days on which something changed."""
    rows = connection.execute(
        select(filing_count.c.day, filing_count.c.status, filing_count.c.subjects)
        .where(filing_count.c.report_year == report_year, filing_count.c.street.is_(None))
        .order_by(filing_count.c.day)
    )
    days: dict[date, dict[str, int]] = defaultdict(dict)
    for day, status, subjects in rows:
        days[day][status] = subjects
    return list(days.items())


def filings(
    connection: Connection,
    scope: Scope,
    report_year: int,
    status: str,
    *,
    street: str | None = None,
    after: str | None = None,
    size: int = 50,
) -> Page[FilingRow]:
    """The subjects of one status, by name: a list, not a ranking.

    Args:
        connection: of the desk.
        scope: who looks; the list holds whom it may see by name.
        report_year: the year reported on.
        status: one of the filing statuses.
        street: department code of a street office; empty: the unrouted; null: all.
        after: `ref` of the last subject of the page before; null: the first page.
        size: rows of a page.
    """
    paging = Paging(min(size, LARGEST))
    wanted = [filing.c.report_year == report_year, filing.c.status == status, scope.filings()]
    if street is not None:
        wanted.append(filing.c.street == street)
    total = connection.execute(select(func.count()).select_from(filing).where(*wanted)).scalar_one()
    page = list(wanted)
    if after is not None:
        page.append(_after(connection, report_year, after))
    rows = _listed().where(*page).order_by(filing.c.name_key, filing.c.subject_id).limit(paging.size)
    return Page([_row(row) for row in connection.execute(rows)], total, paging)


def filings_of(connection: Connection, subject_id: int) -> list[FilingRow]:
    """Where one subject stands, the newest year first."""
    rows = _listed().where(filing.c.subject_id == subject_id).order_by(filing.c.report_year.desc())
    return [_row(row) for row in connection.execute(rows)]


def _counted_on(connection: Connection, year: int, as_of: date) -> date | None:
    return connection.execute(
        select(func.max(filing_count.c.day)).where(
            filing_count.c.report_year == year, filing_count.c.street.is_(None), filing_count.c.day <= as_of
        )
    ).scalar()


def _street(street: str, kinds: Mapping[str, Mapping[str, int]]) -> Street:
    def of(counts: Mapping[str, int], statuses: tuple[str, ...]) -> int:
        return sum(counts.get(status, 0) for status in statuses)

    totals: dict[str, int] = defaultdict(int)
    for counts in kinds.values():
        for status, subjects in counts.items():
            totals[status] += subjects
    return Street(
        street=street,
        filed=of(totals, FILED),
        due=of(totals, UNFILED),
        kinds={kind: (of(counts, FILED), of(counts, UNFILED)) for kind, counts in sorted(kinds.items())},
        statuses=dict(totals),
    )


def _pending(connection: Connection, scope: Scope) -> dict[str, int]:
    sums = [func.coalesce(func.sum(matter.c[counter(outcome)]), 0) for outcome in OUTCOMES]
    wanted = (matter.c.state == PENDING, matter.c.gone.is_(False), scope.matters())
    found = connection.execute(select(*sums).where(*wanted)).one()
    return {outcome: int(number) for outcome, number in zip(OUTCOMES, found, strict=True) if number}


def _after(connection: Connection, report_year: int, ref: str) -> ColumnElement[bool]:
    place = connection.execute(
        select(filing.c.name_key, filing.c.subject_id)
        .join(subject, subject.c.subject_id == filing.c.subject_id)
        .where(subject.c.ref == ref, filing.c.report_year == report_year)
    ).one_or_none()
    if place is None:
        return true()
    return tuple_(filing.c.name_key, filing.c.subject_id) > tuple_(literal(place.name_key), literal(place.subject_id))


@cache
def _listed() -> Select[Any]:
    return select(
        subject.c.ref, subject.c.uscc, subject.c.name, filing.c.kind, filing.c.street, filing.c.industry,
        filing.c.report_year, filing.c.status, filing.c.warn, filing.c.expected_listing_by, filing.c.observed_on,
        filing.c.seq,
    ).join_from(filing, subject, subject.c.subject_id == filing.c.subject_id)  # fmt: skip


def _row(row: Row[Any]) -> FilingRow:
    return FilingRow(**row._mapping)
