"""Matters, and the advice on their applicants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from chengxin.desk.rows import (
    AdviceRow,
    AdviceView,
    ApplicantRow,
    EventRow,
    FindingRow,
    MatterPage,
    MatterRow,
    MatterView,
)
from chengxin.desk.scope import LARGEST, Page, Paging, Scope
from chengxin.desk.subjects import part, shown
from chengxin.desk.tables import OUTCOMES, applicant, counter, event, finding, matter_count, subject
from chengxin.desk.tables import advice as advices
from chengxin.desk.tables import matter as matters_table


@dataclass(frozen=True)
class Filter:
    """Which matters. Null or empty: whichever."""

    department: str | None = None
    type: str | None = None
    decision: str | None = None
    """One applicant at least has this outcome."""
    state: str | None = None
    """待办 or 办结."""
    text: str = ""
    """Stands in the title, or begins the matter's id."""
    since: date | None = None
    """Opened on or after this day."""
    until: date | None = None
    """Opened on or before it."""
    among: Sequence[str] | None = None
    """These matters only, by id: what the ledger knows of them (disputed, decided) is its own to ask."""


def matters(
    connection: Connection, scope: Scope, which: Filter | None = None, paging: Paging | None = None
) -> MatterPage:
    """Matters in scope, the newest first, with the counts of the whole list.

    Args:
        connection: of the desk.
        scope: who looks.
        which: the filter.
        paging: which part.
    """
    paging, which = paging or Paging(), which or Filter()
    wanted = [scope.matters(), *_wanted(which)]
    total, decisions = _totals(connection, scope, which)
    rows = (
        select(matters_table)
        .where(*wanted)
        .order_by(matters_table.c.sort_on.desc(), matters_table.c.matter_id.desc())
        .limit(paging.size)
        .offset(paging.offset)
    )
    found = [_matter(row) for row in connection.execute(rows)]
    return MatterPage(Page(found, total, paging), decisions)


def matter(
    connection: Connection, scope: Scope, ref: str, as_of: date, paging: Paging | None = None
) -> MatterView | None:
    """A matter's page; None: there is none, or not in scope.

    Args:
        connection: of the desk.
        scope: who looks.
        ref: the matter's.
        as_of: the day.
        paging: which part of the applicants.
    """
    row = connection.execute(select(matters_table).where(matters_table.c.ref == ref, scope.matters())).one_or_none()
    if row is None:
        return None
    found, paging = _matter(row), paging or Paging()
    mine = (event.c.matter_id == found.matter_id, event.c.fact == "matter")
    history = part(connection, scope, mine, as_of, Paging(LARGEST))
    return MatterView(found, _applicants(connection, scope, found.matter_id, paging), history)


def advice(connection: Connection, scope: Scope, advice_id: str, as_of: date) -> AdviceView | None:
    """An advice's page: findings with their evidence, and everything said before; None: none, or not in scope.

    Args:
        connection: of the desk.
        scope: who looks.
        advice_id: the advice's.
        as_of: the day.
    """
    history = [_advice(row) for row in connection.execute(_said().where(advices.c.advice_id == advice_id))]
    last = next((row for row in history if row.latest), None)
    if last is None or not _in_scope(scope, last):
        return None
    row = connection.execute(select(matters_table).where(matters_table.c.matter_id == last.matter_id)).one_or_none()
    return AdviceView(
        advice=last,
        matter=None if row is None else _matter(row),
        findings=_findings(connection, scope, last, as_of),
        history=history,
    )


def advice_of(connection: Connection, scope: Scope, subject_id: int) -> list[AdviceRow]:
    """What was last said of a subject, in scope, the newest first."""
    rows = _said().where(advices.c.subject_id == subject_id, advices.c.latest.is_(True), _own(scope)).limit(LARGEST)
    return [_advice(row) for row in connection.execute(rows)]


def advice_said(connection: Connection, scope: Scope, day: date, paging: Paging | None = None) -> Page[AdviceRow]:
    """What checks said anew on a day, withdrawals left out, by matter."""
    paging = paging or Paging()
    wanted = (advices.c.observed_on == day, advices.c.removed.is_(False), _own(scope))
    total = connection.execute(select(func.count()).select_from(advices).where(*wanted)).scalar_one()
    rows = (
        _said()
        .order_by(None)
        .where(*wanted)
        .order_by(advices.c.matter_id, advices.c.applicant_no, advices.c.seq, advices.c.id)
        .limit(paging.size)
        .offset(paging.offset)
    )
    return Page([_advice(row) for row in connection.execute(rows)], total, paging)


def _totals(connection: Connection, scope: Scope, which: Filter) -> tuple[int, dict[str, int]]:
    """How many matters a filter leaves, and their applicants by outcome."""
    said = {name: getattr(which, name) for name in ("department", "type", "state")}
    if which == Filter(**said):
        table: Any = matter_count
        number: ColumnElement[Any] = func.coalesce(func.sum(matter_count.c.matters), 0)
        wanted = [matter_count.c[name] == value for name, value in said.items() if value is not None]
        if not scope.auditor:
            wanted.append(matter_count.c.department == scope.department)
    else:
        table, number, wanted = matters_table, func.count(), [scope.matters(), *_wanted(which)]
    sums = [func.coalesce(func.sum(table.c[counter(outcome)]), 0) for outcome in OUTCOMES]
    total, *numbers = connection.execute(select(number, *sums).select_from(table).where(*wanted)).one()
    return int(total), {outcome: int(n) for outcome, n in zip(OUTCOMES, numbers, strict=True) if n}


def _wanted(which: Filter) -> list[ColumnElement[bool]]:
    table = matters_table.c
    wanted = [
        table[name] == value
        for name, value in (("department", which.department), ("type", which.type), ("state", which.state))
        if value is not None
    ]
    if which.decision is not None:
        # An outcome that nobody knows is no matter's.
        known = which.decision in OUTCOMES
        wanted.append(table[counter(which.decision)] > 0 if known else table.applicants < 0)
    if which.text:
        wanted.append(
            or_(
                table.title.contains(which.text, autoescape=True),
                table.matter_id.startswith(which.text, autoescape=True),
            )
        )
    if which.since is not None:
        wanted.append(table.sort_on >= which.since)
    if which.until is not None:
        wanted.append(table.sort_on <= which.until)
    if which.among is not None:
        wanted.append(table.matter_id.in_(which.among))
    return wanted


def _applicants(connection: Connection, scope: Scope, matter_id: str, paging: Paging) -> Page[ApplicantRow]:
    wanted = (applicant.c.matter_id == matter_id,)
    total = connection.execute(select(func.count()).select_from(applicant).where(*wanted)).scalar_one()
    rows = connection.execute(
        select(applicant, subject.c.ref)
        .join_from(applicant, subject, subject.c.subject_id == applicant.c.subject_id, isouter=True)
        .where(*wanted)
        .order_by(applicant.c.gone, func.length(applicant.c.applicant_no), applicant.c.applicant_no, applicant.c.id)
        .limit(paging.size)
        .offset(paging.offset)
    ).all()
    said = {
        row.applicant_no: _advice(row)
        for row in connection.execute(
            _said().where(
                advices.c.matter_id == matter_id,
                advices.c.latest.is_(True),
                advices.c.applicant_no.in_([row.applicant_no for row in rows]),
                _own(scope),
            )
        )
    }
    found = [
        ApplicantRow(
            applicant_no=row.applicant_no, ref=row.ref or _ref(said.get(row.applicant_no)), name=row.name,
            role=row.role, uscc_problem=row.uscc_problem, gone=row.gone, advice=said.get(row.applicant_no),
        )
        for row in rows
    ]  # fmt: skip
    return Page(found, total, paging)


def _findings(connection: Connection, scope: Scope, last: AdviceRow, as_of: date) -> list[FindingRow]:
    """The findings that stand; of a withdrawn advice those that stood when it was last said (as in `evidence`)."""
    seen = connection.execute(
        select(finding)
        .where(finding.c.advice_id == last.advice_id)
        .order_by(finding.c.observed_on, finding.c.seq, finding.c.id)
    ).all()
    newest = {row.finding_id: row for row in seen}
    standing = [row for row in newest.values() if not row.removed]
    if not standing:
        then = {row.finding_id: row for row in seen if (row.observed_on, row.seq) <= (last.observed_on, last.seq)}
        standing = [row for row in then.values() if not row.removed]
    standing.sort(key=lambda row: (row.rule, row.reading, row.finding_id))
    facts = _evidence(connection, scope, standing, as_of)
    return [_finding(row, facts.get((row.evidence_key_id, row.evidence_seq))) for row in standing]


def _evidence(
    connection: Connection, scope: Scope, rows: Sequence[Row[Any]], as_of: date
) -> Mapping[tuple[int, int], EventRow]:
    pointers = {(row.evidence_key_id, row.evidence_seq) for row in rows if row.evidence_key_id is not None}
    if not pointers:
        return {}
    # By key alone: SQLite reaches pairs of values by reading everything.
    seen = connection.execute(
        select(event).where(
            event.c.key_id.in_({key for key, _ in pointers}), event.c.removed.is_(False), scope.events()
        )
    )
    found = [row for row in seen if (row.key_id, row.seq) in pointers]
    return {(row.key_id, row.seq): row for row in shown(connection, found, as_of)} if found else {}


def _own(scope: Scope) -> ColumnElement[bool]:
    if scope.auditor:
        return advices.c.id.is_not(None)
    return advices.c.department == scope.department


def _in_scope(scope: Scope, row: AdviceRow) -> bool:
    return scope.auditor or row.department == scope.department


@cache
def _said() -> Select[Any]:
    """Advice with its subject and matter, the newest first."""
    columns = [column for column in advices.c if column.name not in ("id", "subject_id")]
    return (
        select(
            *columns,
            subject.c.ref,
            subject.c.uscc,
            matters_table.c.ref.label("matter_ref"),
            matters_table.c.title.label("matter_title"),
        )
        .join_from(advices, subject, subject.c.subject_id == advices.c.subject_id, isouter=True)
        .join(matters_table, matters_table.c.matter_id == advices.c.matter_id, isouter=True)
        .order_by(advices.c.observed_on.desc(), advices.c.seq.desc(), advices.c.id.desc())
    )


_LISTS = ("reasons", "as_written_reasons", "guarded_reasons", "flags", "cites", "stale_sources")


def _advice(row: Row[Any]) -> AdviceRow:
    said = dict(row._mapping)
    return AdviceRow(**{**said, **{name: tuple(said[name] or ()) for name in _LISTS}})


def _matter(row: Row[Any]) -> MatterRow:
    said: dict[str, Any] = dict(row._mapping)
    counts = {outcome: said.pop(counter(outcome)) for outcome in OUTCOMES}
    severity = said.pop("severity")
    said.pop("sort_on")
    return MatterRow(
        **said,
        decisions={outcome: number for outcome, number in counts.items() if number},
        severest=OUTCOMES[severity] if severity >= 0 else None,
    )


def _finding(row: Row[Any], evidence: EventRow | None) -> FindingRow:
    said = dict(row._mapping)
    for name in ("id", "advice_id", "removed"):
        said.pop(name)
    said |= {name: tuple(said[name] or ()) for name in ("reasons", "flags")}
    return FindingRow(**{**said, "parameters": said["parameters"] or {}}, evidence=evidence)


def _ref(said: AdviceRow | None) -> str | None:
    # A name that one subject alone bears: the check found the code that the applicant's source did not give.
    return said.ref if said else None
