"""Who has not filed the annual report, and on whose desk that lies: set-based, from the lake.

A subject due is routed to the street office of its address (dated area routes; what fits none goes to the default
desk), to the department in charge of its industry, and to the market regulator. Revoked and deregistered subjects are
not here: their filing status carries no `warn`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import uuid4

import ibis
import pandas as pd

from chengxin import engine
from chengxin.districts import District
from chengxin.lake import Lake

KINDS = ("企业", "农民专业合作社", "个体工商户")
FILED = ("ON_TIME", "LATE", "CORRECTION_TOO_LATE")
"""Statuses whose report is in."""
UNROUTED = ""
"""The street of an address that no route fits."""


@dataclass(frozen=True)
class Since:
    """The state that a department was last told: of which day, and up to which commit."""

    as_of: date
    seq: int


@dataclass(frozen=True)
class Change:
    """What happened to a department's list since its last mail, in subjects."""

    since: date
    new: int
    """On the list now and not then."""
    filed: int
    """Filed since then."""
    gone: int
    """Off the list for another reason: deregistered, moved to another desk."""

    @property
    def nothing(self) -> bool:
        """Whether the list is the same."""
        return not (self.new or self.filed or self.gone)


@dataclass(frozen=True)
class Desk:
    """What lies on one department's desk."""

    department: str
    total: int
    kinds: Mapping[str, int]
    streets: pd.DataFrame
    """street (department code, or `UNROUTED`), one column per kind of `KINDS`, total; in the order of the areas."""
    rows: pd.DataFrame
    """The work list, what to do first on top, at most `limit` rows."""
    change: Change | None = None


@dataclass
class Due:
    """All desks of one day, and what was noticed on the way."""

    desks: dict[str, Desk] = field(default_factory=dict)
    unrouted: int = 0
    """Subjects due whose address fits no route."""


def due(
    connection: engine.Connection,
    lake: Lake,
    district: District,
    as_of: date,
    report_year: int,
    *,
    limit: int,
    since: Mapping[str, Since],
) -> Due:
    """The subjects due, by desk.

    Args:
        connection: the engine.
        lake: the lake.
        district: whose departments, areas and industries.
        as_of: the day.
        report_year: the year reported on.
        limit: most rows of one work list.
        since: department → what it was last told.
    """
    desks = _on_desks(connection, lake, district, as_of, report_year, None)
    # Read several times over: computed once, for as long as the connection lives.
    routed = connection.create_table(f"due_{uuid4().hex}", desks, temp=True)
    result = Due(unrouted=_unrouted(connection, routed, district))
    streets = _streets(connection, routed, district)
    lists = _lists(connection, lake, routed, as_of, limit) if streets else {}
    changes = _changes(connection, lake, district, as_of, report_year, routed, since)
    for department in sorted({*streets, *changes}):
        table = streets.get(department, _empty_streets())
        result.desks[department] = Desk(
            department=department,
            total=int(table["total"].sum()),
            kinds={kind: int(table[kind].sum()) for kind in KINDS},
            streets=table,
            rows=lists.get(department, pd.DataFrame()),
            change=changes.get(department),
        )
    return result


def _on_desks(
    connection: engine.Connection, lake: Lake, district: District, as_of: date, report_year: int, seq: int | None
) -> ibis.Table:
    """One row per department and subject due: department, uscc, name, kind, street, industry, status, listing day."""
    status = engine.as_of(connection, lake, "filing_status", as_of, seq=seq)
    late = status.filter(status.warn, status.report_year == report_year)
    areas = connection.to_pandas(late.select("area_code").distinct())["area_code"]
    # A few hundred codes, whatever the number of subjects: each is routed once.
    routes = {code: district.route(code, as_of) for code in areas if isinstance(code, str)}
    streets = ibis.memtable(
        {"area": list(routes), "street": [to or UNROUTED for to in routes.values()]},
        schema={"area": "string", "street": "string"},
    )
    subjects = late.left_join(streets, late.area_code == streets.area).select(
        uscc=late.uscc,
        name=late.name,
        kind=late.kind,
        industry=late.industry,
        status=late.status,
        expected_listing_by=late.expected_listing_by,
        street=streets.street.fill_null(UNROUTED),
    )
    letters = [(letter, code) for code, unit in district.departments.items() for letter in unit.industries]
    industries = ibis.memtable(
        {"letter": [letter for letter, _ in letters], "department": [code for _, code in letters]},
        schema={"letter": "string", "department": "string"},
    )
    by_street = subjects.mutate(
        department=ibis.ifelse(subjects.street == UNROUTED, district.default_desk, subjects.street)
    )
    by_industry = subjects.inner_join(industries, subjects.industry == industries.letter).drop("letter")
    by_regulator = subjects.mutate(department=ibis.literal(district.regulator))
    columns = ["department", *subjects.columns]
    return ibis.union(
        by_street.select(columns), by_industry.select(columns), by_regulator.select(columns), distinct=True
    )


def _unrouted(connection: engine.Connection, routed: ibis.Table, district: District) -> int:
    rows = routed.filter(routed.department == district.regulator, routed.street == UNROUTED)
    return int(connection.execute(rows.count()))


def _streets(connection: engine.Connection, routed: ibis.Table, district: District) -> dict[str, pd.DataFrame]:
    """Counts by street and kind per department. Streets keep the order of the areas: a work list, not a ranking."""
    counted = connection.to_pandas(routed.group_by("department", "street", "kind").agg(rows=ibis._.count()))
    if counted.empty:
        return {}
    # A kind the registry does not know is counted with the enterprises, so that the columns add up.
    counted["kind"] = counted["kind"].where(counted["kind"].isin(KINDS), KINDS[0])
    table = counted.pivot_table(index=["department", "street"], columns="kind", values="rows", aggfunc="sum")
    table = table.reindex(columns=list(KINDS)).fillna(0).astype(int)
    table["total"] = table.sum(axis=1)
    order = {code: place for place, code in enumerate(dict.fromkeys(route.to for route in district.areas))}
    table = table.reset_index()
    table["place"] = table["street"].map(order).fillna(len(order))
    table = table.sort_values(["department", "place", "street"]).drop(columns="place")
    return {str(code): part.reset_index(drop=True) for code, part in table.groupby("department")}


def _empty_streets() -> pd.DataFrame:
    return pd.DataFrame({"street": pd.Series(dtype=str), **{k: pd.Series(dtype=int) for k in (*KINDS, "total")}})


def _lists(
    connection: engine.Connection, lake: Lake, routed: ibis.Table, as_of: date, limit: int
) -> dict[str, pd.DataFrame]:
    """The work lists: who has pending matters first, then who has not filed for longest."""
    filed = (
        _reports(connection, lake, as_of)
        .group_by("uscc")
        .agg(last_year=ibis._.report_year.max())
        .rename(filed_uscc="uscc")
    )
    matters = engine.as_of(connection, lake, "matter", as_of)
    open_matters = matters.filter(matters.state == "待办").select("matter_id")
    applicants = engine.as_of(connection, lake, "applicant", as_of)
    pending = (
        applicants.semi_join(open_matters, "matter_id")
        .filter(applicants.uscc.notnull())
        .group_by("uscc")
        .agg(open_matters=ibis._.matter_id.nunique())
        .rename(pending_uscc="uscc")
    )
    rows = (
        routed.left_join(filed, routed.uscc == filed.filed_uscc)
        .left_join(pending, routed.uscc == pending.pending_uscc)
        .select(*routed.columns, "last_year", open_matters=ibis.coalesce(pending.open_matters, 0))
    )
    first = ibis.row_number().over(
        group_by="department",
        order_by=[
            rows.open_matters.desc(),
            ibis.coalesce(rows.last_year, 0).asc(),
            rows.street.asc(),
            rows.name.asc(),
            rows.uscc.asc(),
        ],
    )
    rows = rows.mutate(place=first)
    frame = connection.to_pandas(rows.filter(rows.place < limit).order_by("department", "place"))
    return {str(code): part.reset_index(drop=True) for code, part in frame.groupby("department")}


def _reports(connection: engine.Connection, lake: Lake, as_of: date) -> ibis.Table:
    """The annual reports that had been filed by the end of a day."""
    reports = engine.as_of(connection, lake, "annual_report", as_of)
    end_of_day = ibis.literal(f"{as_of.isoformat()}T23:59:59.999999+08:00").cast("timestamp('UTC')")
    return reports.filter(reports.submitted_at <= end_of_day)


def _changes(
    connection: engine.Connection,
    lake: Lake,
    district: District,
    as_of: date,
    report_year: int,
    now: ibis.Table,
    since: Mapping[str, Since],
) -> dict[str, Change]:
    """New, filed and gone since each department's last mail."""
    status = engine.as_of(connection, lake, "filing_status", as_of)
    judged = status.filter(status.report_year == report_year, status.status.isin(FILED)).select("uscc")
    # Who filed and was deregistered afterwards has filed, though the check asks no more of him.
    reports = _reports(connection, lake, as_of)
    reported = reports.filter(reports.report_year == report_year).select("uscc")
    filed = ibis.union(judged, reported, distinct=True).rename(filed_uscc="uscc")
    changes: dict[str, Change] = {}
    for state in dict.fromkeys(since.values()):
        told = [code for code, last in since.items() if last == state]
        then = _on_desks(connection, lake, district, state.as_of, report_year, state.seq)
        then = then.filter(then.department.isin(told)).select(then_department="department", then_uscc="uscc")
        here = now.filter(now.department.isin(told)).select("department", "uscc")
        both = here.outer_join(then, [here.department == then.then_department, here.uscc == then.then_uscc])
        both = both.left_join(filed, both.then_uscc == filed.filed_uscc)
        counted = both.group_by(code=ibis.coalesce(both.department, both.then_department)).agg(
            new=both.then_uscc.isnull().sum(),
            filed=(both.uscc.isnull() & both.filed_uscc.notnull()).sum(),
            gone=(both.uscc.isnull() & both.filed_uscc.isnull()).sum(),
        )
        found = connection.to_pandas(counted).set_index("code")
        for code in told:
            row: Any = found.loc[code] if code in found.index else {"new": 0, "filed": 0, "gone": 0}
            changes[code] = Change(state.as_of, int(row["new"]), int(row["filed"]), int(row["gone"]))
    return changes


def addressable(district: District) -> list[str]:
    """The departments that annual-report warnings may go to at all, sorted."""
    units: Iterable[str] = (code for code, unit in district.departments.items() if unit.industries)
    return sorted({*(route.to for route in district.areas), *units, district.regulator, district.default_desk})
