"""Subjects: found by code or name, and what was known of one and when.

Nothing here says that something was repaired, has expired or was withdrawn: it is left out as if it had not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from chengxin.desk import read
from chengxin.desk.read import EventRow, FilingRow, Paging, Scope, SubjectRow, SubjectView
from chengxin.desk.scope import LARGEST
from chengxin.web.auditor import facts, looking, render
from chengxin.web.auditor.guard import form
from chengxin.web.auditor.office import office
from chengxin.web.auditor.outcomes import Speech
from chengxin.web.auditor.place import onward
from chengxin.web.auditor.visitor import visitor

FOUND = 20
"""Subjects of one search: who needs more knows too little."""
LONGEST = 100
ROWS = 40
MOST_EVENTS = 2_000
ADVERSE = ("credit_record", "list_entry")
"""Facts that are not told of any more once their source has taken them back."""

router = APIRouter()


@router.get("/subjects")
def subjects(request: Request) -> Response:
    """The search form."""
    visitor(request).must_be("auditor", "officer")
    return _form(request)


@router.post("/subjects")
async def search(request: Request) -> Response:
    """Looks a subject up by code or name; what was asked stands in no address."""
    visitor(request).must_be("auditor", "officer")
    fields: FormData = await form(request)
    asked = " ".join(str(fields.get("asked", "")).split())[:LONGEST]
    return await run_in_threadpool(_search, request, asked)


@router.get("/subjects/{ref}")
def subject(
    request: Request, ref: str, on: date | None = None, page: Annotated[int, Query(ge=1, le=1000)] = 1
) -> Response:
    """One subject: header, timeline, advice, filings, lists."""
    who, here = visitor(request), office(request)
    who.must_be("auditor", "officer")
    scope = here.scope(who)
    with here.desk.read() as connection:
        view = _whole(connection, scope, ref, here.today())
    if view is None:
        raise HTTPException(404)
    looking.look(request, "subject", view.subject.uscc)
    filings = [row for row in view.filings if _may_see(scope, row)]
    # A department knows by code whom it deals with: its applicants, and whose annual report it looks after.
    own = who.role == "officer" and bool(view.advice or filings)
    code = (lambda uscc: uscc or "") if own else (lambda uscc: render.masked(uscc, who))
    known = [
        event
        for event in _spoken_of(view.events.rows)
        if (on is None or event.observed_on <= on) and (filings or event.fact != "filing_status")
    ]
    units = {each: unit.name for each, unit in here.district.departments.items()}
    context = {
        "subject": view.subject,
        "advice": view.advice,
        "filings": filings,
        "lists": _lists(known),
        "disputed": here.disputed(row.advice_id for row in view.advice),
        "events": [(event, _said(event, code, units)) for event in known[(page - 1) * ROWS : page * ROWS]],
        "number": len(known),
        "cut": view.events.total > len(view.events.rows),
        "page": page,
        "pages": max(1, -(-len(known) // ROWS)),
        "on": on,
        "code": code,
        "open": who.role == "officer" or who.unmasked,
        "speech": Speech(here.words, here.policy),
        "what": facts.TABLES,
        "titles": here.titles,
        "units": units,
        "industries": here.words.mail.industries,
    }
    return render.page(request, "subject.html.j2", context)


def _search(request: Request, asked: str) -> Response:
    here = office(request)
    if not here.searches.opens(visitor(request).login):
        looking.look(request, "search", outcome="limited")
        raise HTTPException(429)
    with here.desk.read() as connection:
        found = read.find_subject(connection, asked, limit=FOUND)
    looking.look(request, "search", *(row.uscc for row in found))
    if len(found) == 1:
        return onward(request, f"/subjects/{found[0].ref}")
    return _form(request, asked, found)


def _form(request: Request, asked: str = "", found: Sequence[SubjectRow] | None = None) -> Response:
    who, here = visitor(request), office(request)
    context = {
        "asked": asked,
        "found": found,
        "most": FOUND,
        "longest": LONGEST,
        "code": lambda uscc: render.masked(uscc, who),
        "units": {each: unit.name for each, unit in here.district.departments.items()},
    }
    return render.page(request, "subjects.html.j2", context)


def _whole(connection: Any, scope: Scope, ref: str, as_of: date) -> SubjectView | None:
    """A subject with its whole timeline: what is left out of it is known only once all of it was read."""
    view = read.subject(connection, scope, ref, as_of, Paging(LARGEST))
    if view is None:
        return None
    events = list(view.events.rows)
    while len(events) < min(view.events.total, MOST_EVENTS):
        more = read.subject(connection, scope, ref, as_of, Paging(LARGEST, len(events)))
        if more is None or not more.events.rows:
            break
        events += more.events.rows
    return replace(view, events=replace(view.events, rows=events))


def _may_see(scope: Scope, row: FilingRow) -> bool:
    """Whether a filing is one that the viewer may see by name (`Scope.filings`)."""
    if scope.auditor or scope.all_filings:
        return True
    return row.industry in scope.industries or (scope.streets and row.street == scope.department)


def _spoken_of(events: Sequence[EventRow]) -> list[EventRow]:
    """What may be spoken of: what has ended is left out, and so is what was adverse and is gone at its source."""
    gone: set[int] = set()
    seen: set[int] = set()
    for event in events:
        if event.key_id not in seen and event.removed and event.fact in ADVERSE:
            gone.add(event.key_id)
        seen.add(event.key_id)
    return [event for event in events if event.ended is None and event.key_id not in gone]


def _lists(known: Sequence[EventRow]) -> list[EventRow]:
    """The lists that the subject stands on: the newest word of each entry, if it still has one."""
    newest: dict[int, EventRow] = {}
    for event in known:
        if event.fact == "list_entry":
            newest.setdefault(event.key_id, event)
    return [event for event in newest.values() if not event.removed and event.content]


def _said(event: EventRow, code: Any, units: dict[str, str]) -> list[tuple[str, str]]:
    content = event.content or {}
    if event.fact == "filing_status":
        # The rest repeats the registration.
        content = {name: content[name] for name in ("report_year", "status", "expected_listing_by") if name in content}
    return facts.rows(content, code, units)
