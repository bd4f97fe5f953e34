"""Rejected rows: by cause with counts, then row by row. The values themselves are not on the desk."""

from __future__ import annotations

from datetime import date

from sqlalchemy import ColumnElement, Connection, func, or_, select

from chengxin.desk.rows import Cause, RejectedRow
from chengxin.desk.scope import Page, Paging
from chengxin.desk.tables import rejected as table


def rejected(connection: Connection, day: date, *, source: str | None = None, rule: str | None = None) -> list[Cause]:
    """The rows that are rejected as of a day, by cause, the most frequent first.

    Args:
        connection: of the desk.
        day: the day.
        source: this source only.
        rule: rows that break this rule first only.
    """
    cause = (table.c.source, table.c.fact, table.c.rule, table.c.column, table.c.reason)
    rows, since = func.count(), func.min(table.c.seen_on)
    found = (
        select(*cause, rows.label("rows"), since.label("since"))
        .where(*_wanted(day, source, rule))
        .group_by(*cause)
        .order_by(rows.desc(), *cause)
    )
    return [Cause(**row._mapping) for row in connection.execute(found)]


def rejected_rows(
    connection: Connection,
    day: date,
    *,
    source: str,
    rule: str,
    column: str | None = None,
    paging: Paging | None = None,
) -> Page[RejectedRow]:
    """The rows of one cause as of a day, the newest first.

    Args:
        connection: of the desk.
        day: the day.
        source: the source.
        rule: the rule they break first.
        column: the source heading concerned; null: any.
        paging: which part.
    """
    paging = paging or Paging()
    wanted = _wanted(day, source, rule)
    if column is not None:
        wanted.append(table.c.column == column)
    total = connection.execute(select(func.count()).select_from(table).where(*wanted)).scalar_one()
    columns = [one for one in table.c if one.name != "key_id"]
    rows = (
        select(*columns)
        .where(*wanted)
        .order_by(table.c.seen_on.desc(), table.c.id.desc())
        .limit(paging.size)
        .offset(paging.offset)
    )
    found = [RejectedRow(**{**row._mapping, "rules": tuple(row.rules or ())}) for row in connection.execute(rows)]
    return Page(found, total, paging)


def _wanted(day: date, source: str | None, rule: str | None) -> list[ColumnElement[bool]]:
    wanted = [table.c.seen_on <= day, or_(table.c.gone_on.is_(None), table.c.gone_on > day)]
    if source is not None:
        wanted.append(table.c.source == source)
    if rule is not None:
        wanted.append(table.c.rule == rule)
    return wanted
