"""Run history for machines: read-only JSON, paged, described by OpenAPI behind the login.

What it gives names no enterprise: subjects stand by their `ref`, the same as in the pages' addresses. Who sees what is
as on the pages. A list that goes on has `next`, to be given back as `after`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from chengxin import freshness
from chengxin.desk import read
from chengxin.ledger.acts import Act
from chengxin.ledger.messages import Message
from chengxin.ledger.models import Harvest
from chengxin.web.auditor import history, render
from chengxin.web.auditor.office import office
from chengxin.web.auditor.place import base
from chengxin.web.auditor.visitor import visitor

MOST = 500
"""Items of one answer."""
LARGEST = 2**53
"""Ids and offsets go no higher: what JSON readers keep exactly."""

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=MOST)]
Number = Annotated[int, Path(ge=0, le=LARGEST)]
After = Annotated[int | None, Query(ge=0, le=LARGEST)]


class Problem(BaseModel):
    """What every refusal says."""

    error: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "not logged in"},
    403: {"model": Problem, "description": "not this account's to see"},
    404: {"model": Problem, "description": "there is none, or it is not this account's to see"},
    422: {"model": Problem, "description": "malformed request"},
    429: {"model": Problem, "description": "too many requests"},
}

router = APIRouter(prefix="/api/v1", tags=["history"], responses=REFUSALS)
pages = APIRouter()


class Item(BaseModel):
    """One thing, read from the attributes of what the pages show."""

    model_config = ConfigDict(from_attributes=True)


class Items(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T]
    next: str | None = None
    """Where it goes on; null: here it ends."""


class DayItem(Item):
    """A day in numbers: source records of each source's newest harvest, advice of the newest check, messages."""

    as_of: date
    sums: Mapping[str, int]
    harvests: Mapping[str, int]
    checks: int
    advice: Mapping[str, int]
    mails: Mapping[str, int]


class HarvestItem(Item):
    """A harvest: harvested = published + unchanged + rejected + ignored, in source records; removed apart."""

    id: int
    source: str
    as_of: date
    state: str
    seq: int | None
    contract_sha256: str
    started_at: datetime
    finished_at: datetime | None
    harvested: int
    published: int
    unchanged: int
    rejected: int
    ignored: int
    removed: int
    cause: str | None
    detail: Mapping[str, Any]


class FileItem(Item):
    """A raw file: the bytes lie in the archive under their hash."""

    ordinal: int
    sha256: str
    size: int
    locator: str
    fetched_at: datetime


class CheckItem(Item):
    """A check: what it read, by which rules, and what came out."""

    id: int
    as_of: date
    seq: int | None
    read_seq: int
    policy: str
    policy_version: str
    rulebook: str | None
    engine: str
    started_at: datetime
    finished_at: datetime | None
    counts: Mapping[str, Any]
    sources: Mapping[str, Any]


class SourceItem(BaseModel):
    """How old a source is."""

    source: str
    title: str
    observed_on: date | None
    age_days: int | None
    state: str
    max_age_days: int | None


class RejectedItem(Item):
    """A rejected row: where it is and why, never its value."""

    source: str
    fact: str
    rule: str
    column: str | None
    reason: str | None
    seen_on: date
    raw_sha256: str | None
    raw_row: int | None


class MatterItem(Item):
    """A matter with the counts of its advice."""

    ref: str
    type: str | None
    department: str | None
    state: str | None
    opened_on: date | None
    test_date: date | None
    applicants: int
    decisions: Mapping[str, int]


class AdviceItem(Item):
    """What was said of one applicant, in both readings."""

    advice_id: str
    matter_ref: str | None
    applicant_no: str | None
    ref: str | None
    department: str | None
    leading: str | None
    decision: str | None
    until: date | None
    reasons: Sequence[str]
    as_written: str | None
    guarded: str | None
    flags: Sequence[str]
    cites: Sequence[str]
    stale_sources: Sequence[str]
    policy_version: str | None
    observed_on: date
    seq: int
    stands: bool


class FindingItem(Item):
    """One rule met, and where its evidence is."""

    finding_id: str
    reading: str | None
    rule: str | None
    clause: str | None
    effect: str | None
    reasons: Sequence[str]
    flags: Sequence[str]
    until: date | None
    parameters: Mapping[str, Any]
    evidence_fact: str | None
    evidence_source: str | None
    evidence_seq: int | None
    evidence_sha256: str | None
    evidence_row: int | None


class Explained(BaseModel):
    """An advice with its findings."""

    advice: AdviceItem
    findings: list[FindingItem]


class MessageItem(Item):
    """A message, without its text."""

    id: int
    key: str
    as_of: date
    department: str
    role: str
    kind: str
    matter: str
    stage: str
    fingerprint: str
    body_sha256: str
    state: str
    planned_at: datetime
    settled_at: datetime | None


class ActItem(Item):
    """An act of the chain, without its body."""

    seq: int
    at: datetime
    actor: str
    kind: str
    subject: str
    payload_sha256: str
    prev: str
    hash: str


@router.get("/days")
def days(request: Request, after: date | None = None, limit: Limit = 31) -> Items[DayItem]:
    """The days on which anything ran, the newest first."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    with here.house.ledger.read() as session:
        found = history.days(session, here.district.code, here.house.mode, before=after, size=limit + 1)
    return _part(found, limit, DayItem, lambda day: day.as_of.isoformat())


@router.get("/days/{day}/harvests")
def harvests(request: Request, day: date) -> Items[HarvestItem]:
    """Every harvest of a day, by source."""
    visitor(request).must_be("auditor", "operator")
    with office(request).house.ledger.read() as session:
        return Items(items=[HarvestItem.model_validate(each) for each in history.harvests(session, day)])


@router.get("/days/{day}/checks")
def checks(request: Request, day: date) -> Items[CheckItem]:
    """Every check of a day, the newest first."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    with here.house.ledger.read() as session:
        found = history.checks(session, here.district.code, day)
    return Items(items=[CheckItem.model_validate(each) for each in found])


@router.get("/harvests/{number}/files")
def files(
    request: Request, number: Number, after: Annotated[int, Query(ge=0, le=LARGEST)] = 0, limit: Limit = 100
) -> Items[FileItem]:
    """The raw files of a harvest, in their order."""
    visitor(request).must_be("auditor", "operator")
    with office(request).house.ledger.read() as session:
        if session.get(Harvest, number) is None:
            raise HTTPException(404)
        found, total = history.raw_objects(session, number, size=limit, offset=after)
    following = after + len(found)
    return Items(
        items=[FileItem.model_validate(each) for each in found], next=str(following) if following < total else None
    )


@router.get("/sources")
def sources(request: Request) -> Items[SourceItem]:
    """How old each source of the district is."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    names = [here.sources.get(name, name) for name in here.district.sources]
    ages = freshness.ages(here.house, here.today(), names)
    found = [
        SourceItem(
            source=name,
            title=here.titles.get(name, name),
            observed_on=age.observed_on,
            age_days=age.age_days,
            state=age.state,
            max_age_days=age.max_age_days,
        )
        for name, age in ages.items()
    ]
    return Items(items=found)


@router.get("/sources/{name}/rejected")
def rejected(
    request: Request,
    name: str,
    rule: str,
    day: date | None = None,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Limit = 100,
) -> Items[RejectedItem]:
    """The rows of a source that break a rule as of a day, the newest first."""
    visitor(request).must_be("auditor", "operator")
    here = office(request)
    if name not in here.district.sources:
        raise HTTPException(404)
    with here.desk.read() as connection:
        page = read.rejected_rows(
            connection, day or here.today(), source=name, rule=rule, paging=read.Paging(limit, after)
        )
    return _page(page, RejectedItem)


@router.get("/matters")
def matters(
    request: Request,
    type: str | None = None,
    decision: str | None = None,
    state: str | None = None,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Limit = 100,
) -> Items[MatterItem]:
    """The matters that the account may see, the newest first."""
    who, here = visitor(request), office(request)
    which = read.Filter(type=type, decision=decision, state=state)
    with here.desk.read() as connection:
        page = read.matters(connection, here.scope(who), which, read.Paging(limit, after)).page
    return _page(page, MatterItem)


@router.get("/advice/{advice_id}")
def advice(request: Request, advice_id: str) -> Explained:
    """An advice that the account may see, with its findings."""
    who, here = visitor(request), office(request)
    with here.desk.read() as connection:
        view = read.advice(connection, here.scope(who), advice_id, here.today())
    if view is None:
        raise HTTPException(404)
    return Explained(
        advice=AdviceItem.model_validate(view.advice),
        findings=[FindingItem.model_validate(each) for each in view.findings],
    )


@router.get("/messages")
def messages(
    request: Request, day: date | None = None, state: str | None = None, after: After = None, limit: Limit = 100
) -> Items[MessageItem]:
    """The messages that the account may see, the newest first, without their text."""
    who, here = visitor(request), office(request)
    wanted = here.messages(who)
    for column, value in ((Message.as_of, day), (Message.state, state)):
        if value is not None:
            wanted = wanted.where(column == value)
    if after is not None:
        wanted = wanted.where(Message.id < after)
    with here.house.ledger.read() as session:
        found = list(session.scalars(wanted.order_by(Message.id.desc()).limit(limit + 1)))
    return _part(found, limit, MessageItem, lambda message: str(message.id))


@router.get("/acts")
def acts(request: Request, after: After = None, limit: Limit = 100) -> Items[ActItem]:
    """The acts of the chain, the newest first, without their bodies: enough to verify it."""
    visitor(request).must_be("auditor")
    wanted = select(Act)
    if after is not None:
        wanted = wanted.where(Act.seq < after)
    with office(request).house.ledger.read() as session:
        found = list(session.scalars(wanted.order_by(Act.seq.desc()).limit(limit + 1)))
    return _part(found, limit, ActItem, lambda act: str(act.seq))


@pages.get("/api/v1/openapi.json")
def described(request: Request) -> dict[str, Any]:
    """The description of this API."""
    return {**request.app.openapi(), "servers": [{"url": base(request) or "/"}]}


@pages.get("/api")
def documentation(request: Request) -> Response:
    """The same for people."""
    found = request.app.openapi()
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    ]
    return render.page(request, "api.html.j2", {"operations": operations, "schemas": found["components"]["schemas"]})


def _part(found: Sequence[Any], limit: int, kind: type[Item], place: Callable[[Any], str]) -> Items[Any]:
    """The first `limit` of what was found, of which there may be one more."""
    more = len(found) > limit
    items = [kind.model_validate(each) for each in found[:limit]]
    return Items(items=items, next=place(found[limit - 1]) if more else None)


def _page(page: read.Page[Any], kind: type[Item]) -> Items[Any]:
    following = page.paging.offset + len(page.rows)
    return Items(
        items=[kind.model_validate(each) for each in page.rows],
        next=str(following) if page.rows and following < page.total else None,
    )
