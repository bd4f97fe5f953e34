"""Runs: each day's harvests with their sums, gate results, checks and mails, and who cleared or reran what, and why."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy.orm import Session

from chengxin.ledger.models import Harvest
from chengxin.web.auditor import history, render
from chengxin.web.auditor.office import Office, office
from chengxin.web.auditor.visitor import visitor

DAYS = 31
"""Days on one page."""
FILES = 50
"""Raw files on one page."""

DOCS_POLICY = (
    "sandbox allow-scripts; default-src 'self' 'unsafe-inline' data:; connect-src 'none'; frame-ancestors 'self'"
)
"""Data docs are pages of Great Expectations: they run by themselves, away from the login's cookie."""

router = APIRouter()


@router.get("/runs")
def runs(request: Request, before: date | None = None) -> Response:
    """The days, the newest first."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    with here.house.ledger.read() as session:
        found = history.days(session, here.district.code, here.house.mode, before=before, size=DAYS + 1)
    context = {"days": found[:DAYS], "older": found[DAYS - 1].as_of if len(found) > DAYS else None}
    return render.page(request, "runs.html.j2", context)


@router.get("/runs/{day}")
def run(request: Request, day: date) -> Response:
    """One day."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    with here.house.ledger.read() as session:
        harvests = history.harvests(session, day)
        checks = history.checks(session, here.district.code, day)
        mails = history.mails(session, here.district.code, here.house.mode, day)
    if not harvests and not checks:
        raise HTTPException(404)
    context = {
        "day": day,
        "harvests": harvests,
        "newest": {harvest.source: harvest.id for harvest in reversed(harvests)},
        "titles": here.titles,
        "checks": checks,
        "mails": mails,
        "states": sorted({state for counts in mails.values() for state in counts}),
        "words": here.words,
        "interventions": here.interventions(day) if here.interventions else None,
        "seconds": history.seconds,
    }
    return render.page(request, "run.html.j2", context)


@router.get("/harvests/{number}")
def harvest(request: Request, number: int, offset: int = 0) -> Response:
    """One harvest: its sum, causes, gate, drift, and raw files."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    offset = max(offset, 0)
    with here.house.ledger.read() as session:
        found = _harvest(session, number)
        files, total = history.raw_objects(session, found.id, size=FILES, offset=offset)
    context = {
        "harvest": found,
        "title": here.titles.get(found.source, found.source),
        "words": here.words,
        "causes": {name: history.by_cause(found.detail, name) for name in ("rejected", "ignored", "warnings")},
        "files": files,
        "total": total,
        "offset": offset,
        "size": FILES,
        "docs": _docs(here, found) is not None,
        "seconds": history.seconds,
    }
    return render.page(request, "harvest.html.j2", context)


@router.get("/harvests/{number}/docs/{path:path}")
def data_docs(request: Request, number: int, path: str) -> Response:
    """A page of the harvest's data docs: names of rules and counts, no value of anybody's."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    with here.house.ledger.read() as session:
        found = _harvest(session, number)
    folder = _docs(here, found)
    if folder is None:
        raise HTTPException(404)
    # The pages of one run lead to what all runs share, two folders up.
    allowed, file = (here.house.var / "data_docs").resolve(), (folder / (path or "index.html")).resolve()
    if not file.is_relative_to(allowed) or not file.is_file():
        raise HTTPException(404)
    return FileResponse(file, headers={"Content-Security-Policy": DOCS_POLICY})


def _harvest(session: Session, number: int) -> Harvest:
    """A harvest by its number.

    Raises:
        HTTPException: 404, there is none.
    """
    found = session.get(Harvest, number)
    if found is None:
        raise HTTPException(404)
    return found


def _docs(here: Office, harvest: Harvest) -> Path | None:
    written = harvest.detail.get("data_docs")
    if not written:
        return None
    file = here.house.var / str(written)
    return file.parent if file.is_file() else None
