"""Today: what the day stands at, in one screen."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy import func, select

from chengxin import freshness
from chengxin.desk import read
from chengxin.ledger.models import CheckRun
from chengxin.policy.vocabulary import RANK
from chengxin.web.auditor import history, render
from chengxin.web.auditor.office import office
from chengxin.web.auditor.place import onward
from chengxin.web.auditor.visitor import visitor

ROWS = 50
STATUSES = (
    "DUE", "OVERDUE", "ON_TIME", "LATE", "CORRECTION_TOO_LATE", "NOT_DUE", "EXEMPT_FIRST_YEAR", "REVIEW",
)  # fmt: skip

router = APIRouter()


@router.get("/")
def entrance(request: Request) -> Response:
    """The app's own address: on to today, or to the look-up."""
    to = "look-up" if visitor(request).role == "partner" else "today"
    return onward(request, f"/{to}")


@router.get("/today")
def today(request: Request) -> Response:
    """The countdown, filed against due by street, how fresh the sources are, what went out."""
    who, here = visitor(request), office(request)
    day = here.today()
    ages = freshness.ages(here.house, day, [here.sources.get(name, name) for name in here.district.sources])
    with here.desk.read() as connection:
        standing = read.today(connection, here.scope(who), day, here.district)
        state = read.state(connection)
    with here.house.ledger.read() as session:
        mails = history.mails(session, here.district.code, here.house.mode, day) if who.sees_all else {}
        checked = session.scalar(
            select(func.max(CheckRun.finished_at)).where(CheckRun.district == here.district.code, CheckRun.as_of == day)
        )
    units = {code: unit.name for code, unit in here.district.departments.items()}
    context = {
        "day": day,
        "standing": standing,
        "decisions": sorted(standing.decisions.items(), key=lambda item: -RANK[item[0]]),
        "most": max((street.filed + street.due for street in standing.streets), default=0),
        "ages": ages,
        "titles": here.titles,
        "mails": mails,
        "units": units,
        "words": here.words,
        "checked": checked,
        "state": state,
        "objections": len(here.objections(who)),
        "order": STATUSES,
    }
    return render.page(request, "today.html.j2", context)


@router.get("/filings/{year}/{status}")
def filings(request: Request, year: int, status: str, street: str | None = None, after: str | None = None) -> Response:
    """The subjects of one status, for whoever may see them by name."""
    who, here = visitor(request), office(request)
    who.must_be("auditor", "officer")
    if status not in STATUSES:
        raise HTTPException(404)
    with here.desk.read() as connection:
        page = read.filings(connection, here.scope(who), year, status, street=street, after=after, size=ROWS)
    context = {
        "year": year,
        "status": status,
        "street": street,
        "page": page,
        "units": {code: unit.name for code, unit in here.district.departments.items()},
        "code": lambda row: row.uscc if who.role == "officer" else render.masked(row.uscc, who),
    }
    return render.page(request, "filings.html.j2", context)
