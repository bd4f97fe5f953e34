"""Sources: how fresh each is, what drifted, and its rejected rows by cause, then row by row."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy import func, select

from chengxin import freshness
from chengxin.desk import read
from chengxin.ledger.models import Harvest
from chengxin.ledger.watch import SourceState
from chengxin.summary import PARTS
from chengxin.web.auditor import history, render
from chengxin.web.auditor.office import office
from chengxin.web.auditor.visitor import visitor

HARVESTS = 30
ROWS = 50

router = APIRouter()


@router.get("/sources")
def sources(request: Request) -> Response:
    """All sources of the district."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    day, names = here.today(), here.district.sources
    ages = freshness.ages(here.house, day, [here.sources.get(name, name) for name in names])
    with here.house.ledger.read() as session:
        newest = select(func.max(Harvest.id)).where(Harvest.as_of <= day).group_by(Harvest.source)
        last = {each.source: each for each in session.scalars(select(Harvest).where(Harvest.id.in_(newest)))}
        swept = select(SourceState).where(
            SourceState.id.in_(select(func.max(SourceState.id)).group_by(SourceState.source))
        )
        states = {each.source: each.state for each in session.scalars(swept)}
    with here.desk.read() as connection:
        rejected: dict[str, int] = {}
        for cause in read.rejected(connection, day):
            rejected[cause.source] = rejected.get(cause.source, 0) + cause.rows
    context = {
        "day": day,
        "names": names,
        "contracts": here.sources,
        "ages": ages,
        "last": last,
        "states": states,
        "rejected": rejected,
        "words": here.words,
        "parts": PARTS,
    }
    return render.page(request, "sources.html.j2", context)


@router.get("/sources/{name}")
def source(request: Request, name: str, day: date | None = None) -> Response:
    """One source: its contract, its states, its newest harvests, its rejected rows by cause."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    if name not in here.district.sources:
        raise HTTPException(404)
    day = day or here.today()
    age = freshness.ages(here.house, day, [here.sources.get(name, name)])[name]
    with here.house.ledger.read() as session:
        wanted = select(Harvest).where(Harvest.source == name, Harvest.as_of <= day)
        harvests = list(session.scalars(wanted.order_by(Harvest.as_of.desc(), Harvest.id.desc()).limit(HARVESTS)))
        states = list(
            session.scalars(
                select(SourceState).where(SourceState.source == name).order_by(SourceState.id.desc()).limit(HARVESTS)
            )
        )
    with here.desk.read() as connection:
        causes = read.rejected(connection, day, source=name)
    context = {
        "name": name,
        "day": day,
        "age": age,
        "contract": here.sources.get(name),
        "harvests": harvests,
        "states": states,
        "causes": causes,
        "words": here.words,
        "seconds": history.seconds,
        "parts": PARTS,
    }
    return render.page(request, "source.html.j2", context)


@router.get("/sources/{name}/rejected")
def rejected(request: Request, name: str, rule: str, day: date | None = None, offset: int = 0) -> Response:
    """The rejected rows of one cause: which raw file and row, why; never the value."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    if name not in here.district.sources:
        raise HTTPException(404)
    day = day or here.today()
    with here.desk.read() as connection:
        page = read.rejected_rows(
            connection, day, source=name, rule=rule, paging=read.Paging(ROWS, min(max(offset, 0), 1_000_000))
        )
    context = {"name": name, "title": here.titles.get(name, name), "rule": rule, "day": day, "page": page}
    return render.page(request, "rejected.html.j2", context)
