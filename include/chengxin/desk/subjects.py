"""Subjects, and the facts told of them: what was known when, and where each word of it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from chengxin.calendar import anniversary
from chengxin.desk import ids
from chengxin.desk.filings import filings_of
from chengxin.desk.rows import ConsentRow, EventRow, ReportRow, SubjectRow, SubjectView
from chengxin.desk.scope import Page, Paging, Scope
from chengxin.desk.tables import agency, consent, report
from chengxin.desk.tables import event as events
from chengxin.desk.tables import subject as subjects

_HEXADECIMAL, _NUMBER = re.compile("[0-9a-f]{1,15}"), re.compile("[0-9]{1,15}")
_SHORTEST_NAME = 2
"""Characters of a name that are enough to look for."""
_NEWEST_FIRST = select(events).order_by(events.c.observed_on.desc(), events.c.seq.desc(), events.c.id.desc())
_PUBLIC = select(*[column for column in subjects.c if column.name != "name_key"])


def find_subject(connection: Connection, asked: str, *, limit: int = 20) -> Sequence[SubjectRow]:
    """Subjects by code, or by name: the exact one first, then those whose name begins so.

    Args:
        connection: of the desk.
        asked: a code of 18 characters, or a name or its beginning.
        limit: subjects at most.
    """
    key = ids.name_key(asked)
    if len(key) == 18 and key.isascii():
        found = [subjects.c.uscc == key]
    elif len(key) >= _SHORTEST_NAME:
        # A range, not LIKE: it uses the index on every database, and no character of a name is a wildcard.
        found = [subjects.c.name_key >= key, subjects.c.name_key < key + "\U0010ffff"]
    else:
        return ()
    rows = _PUBLIC.where(*found).order_by(subjects.c.name_key, subjects.c.subject_id).limit(limit)
    return [_subject(row) for row in connection.execute(rows)]


def subject_of(connection: Connection, ref: str) -> SubjectRow | None:
    """The subject that a ref stands for; None: none."""
    row = connection.execute(_PUBLIC.where(subjects.c.ref == ref)).one_or_none()
    return None if row is None else _subject(row)


def subject(
    connection: Connection, scope: Scope, ref: str, as_of: date, paging: Paging | None = None
) -> SubjectView | None:
    """A subject's page: header, timeline, advice and filings in scope; None: there is no such subject.

    Args:
        connection: of the desk.
        scope: who looks.
        ref: the subject's.
        as_of: the day; what has ended by then is named without its content.
        paging: which part of the timeline.
    """
    from chengxin.desk.matters import advice_of

    found = subject_of(connection, ref)
    if found is None:
        return None
    return SubjectView(
        subject=found,
        events=timeline(connection, scope, events.c.subject_id == found.subject_id, as_of, paging or Paging()),
        advice=advice_of(connection, scope, found.subject_id),
        filings=filings_of(connection, found.subject_id),
    )


def timeline(
    connection: Connection, scope: Scope, which: ColumnElement[bool], as_of: date, paging: Paging
) -> Page[EventRow]:
    """A part of some observations in scope, the newest first, and how many there are."""
    total = connection.execute(select(func.count()).select_from(events).where(which, scope.events())).scalar_one()
    return Page(part(connection, scope, (which,), as_of, paging), total, paging)


def part(
    connection: Connection, scope: Scope, which: Sequence[ColumnElement[bool]], as_of: date, paging: Paging
) -> list[EventRow]:
    """A part of some observations in scope, the newest first."""
    rows = _NEWEST_FIRST.where(*which, scope.events()).limit(paging.size).offset(paging.offset)
    return shown(connection, connection.execute(rows).all(), as_of)


def event(connection: Connection, scope: Scope, name: str, as_of: date) -> EventRow | None:
    """One observation by its name in an address (`EventRow.name`); None: there is none, or not in scope."""
    key, _, seq = name.partition("-")
    if not _HEXADECIMAL.fullmatch(key) or not _NUMBER.fullmatch(seq):
        return None
    row = connection.execute(
        select(events)
        .where(events.c.key_id == int(key, 16), events.c.seq == int(seq), scope.events())
        .order_by(events.c.removed, events.c.observed_on.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else shown(connection, [row], as_of)[0]


def evidence(
    connection: Connection, scope: Scope, fact: str, source: str, key_id: int, seq: int, as_of: date
) -> EventRow | None:
    """The observation that a finding rests on; None: the desk does not have it, or not in scope."""
    row = connection.execute(
        select(events)
        .where(
            events.c.key_id == key_id, events.c.fact == fact, events.c.source == source, events.c.seq == seq,
            events.c.removed.is_(False), scope.events(),
        )
        .order_by(events.c.observed_on.desc())
        .limit(1)
    ).one_or_none()  # fmt: skip
    return None if row is None else shown(connection, [row], as_of)[0]


def consents(connection: Connection, subject_id: int, item: str, as_of: date) -> Sequence[ConsentRow]:
    """A subject's consents to pass on an item that are live on a day, as the check has it (`linking`)."""
    rows = (
        select(
            consent.c.consent_id, consent.c.item, consent.c.matter_id, consent.c.recipient, consent.c.given_on,
            consent.c.expires_on,
        )
        .where(
            consent.c.subject_id == subject_id,
            consent.c.item == item,
            consent.c.given_on <= as_of,
            or_(consent.c.withdrawn_on.is_(None), consent.c.withdrawn_on > as_of),
            or_(consent.c.expires_on.is_(None), consent.c.expires_on >= as_of),
        )
        .order_by(consent.c.given_on.desc(), consent.c.id)
    )  # fmt: skip
    return [ConsentRow(**row._mapping) for row in connection.execute(rows)]


def reports(connection: Connection, subject_id: int, as_of: date, years: int = 1) -> Sequence[ReportRow]:
    """A subject's credit reports, the newest first: that they exist, and whether they can be used on a day.

    Args:
        connection: of the desk.
        subject_id: the subject's.
        as_of: the day.
        years: how long a report without a last day is valid (the policy's parameter).
    """
    rows = connection.execute(
        select(report.c.issue_date, report.c.valid_to, report.c.matter_id, report.c.agency_uscc)
        .where(report.c.subject_id == subject_id)
        .order_by(report.c.issue_date.desc(), report.c.id)
    ).all()
    issuers = {row.agency_uscc for row in rows}
    filed = connection.execute(select(agency).where(agency.c.uscc.in_(issuers))).all() if issuers else []
    found = []
    for row in rows:
        on = row.issue_date or as_of
        agency_filed = any(
            one.uscc == row.agency_uscc
            and (one.filed_on is None or one.filed_on <= on)
            and (one.cancelled_on is None or one.cancelled_on >= on)
            for one in filed
        )
        last = row.valid_to or (anniversary(row.issue_date, years) if row.issue_date else None)
        in_time = row.issue_date is not None and row.issue_date <= as_of and last is not None and as_of <= last
        found.append(ReportRow(row.issue_date, last, row.matter_id, agency_filed, agency_filed and in_time))
    return found


def shown(connection: Connection, rows: Sequence[Row[Any]], as_of: date) -> list[EventRow]:
    """Observations as they may be shown on a day.

    A repair or withdrawal that any source has ever told of ends every word on the document, and so does a time that has
    run out by the newest word of any source (as in `linking`).
    """
    if not rows:
        return []
    documents = {row.document for row in rows if row.document is not None}
    keys = {row.key_id for row in rows}
    repaired: set[int] = set()
    lapsed: set[int] = set()
    # Two questions and not one with OR, which databases like to answer by reading everything.
    for which in (events.c.key_id.in_(keys), events.c.document.in_(documents))[: 2 if documents else 1]:
        for over in connection.execute(
            select(events.c.key_id, events.c.document, events.c.ended_on).where(
                which, or_(events.c.ended_on <= as_of, events.c.lapsed_on <= as_of)
            )
        ):
            if over.ended_on is not None and over.ended_on <= as_of:
                repaired.add(over.document)
            else:
                lapsed.add(over.key_id if over.document is None else over.document)
    return [
        _event(
            row,
            "repaired"
            if row.document in repaired
            else "lapsed"
            if (row.key_id if row.document is None else row.document) in lapsed
            else None,
        )
        for row in rows
    ]


def _subject(row: Row[Any]) -> SubjectRow:
    return SubjectRow(**row._mapping)


def _event(row: Row[Any], ended: str | None) -> EventRow:
    return EventRow(
        fact=row.fact, source=row.source, key_id=row.key_id, observed_on=row.observed_on, seq=row.seq,
        removed=row.removed, public=row.public, matter_id=row.matter_id, department=row.department,
        raw_sha256=row.raw_sha256, raw_row=row.raw_row, ended=ended,
        content=json.loads(row.content) if row.content and ended is None else None,
    )  # fmt: skip
