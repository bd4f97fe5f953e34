"""The look-up for banks and partners (二（一）2 and 3): one form, one address for machines, one refusal.

What may be told, to whom, how often and at which hours is the library's to say (`chengxin.lookup`); here it is shown. A
refusal is the same bytes whether or not there is such a subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chengxin.accounts import NotPermittedError
from chengxin.errors import ConfigError
from chengxin.web.auditor import render
from chengxin.web.auditor.api import REFUSALS, Problem
from chengxin.web.auditor.guard import form
from chengxin.web.auditor.office import office
from chengxin.web.auditor.place import base
from chengxin.web.auditor.visitor import visitor

if TYPE_CHECKING:
    from chengxin.lookup import Answer

USUAL = ("信贷审查", "合同签订", "合同履行")
"""Purposes that a consent without a number may be for."""
STATUS = {"shown": 200, "refused": 403, "closed": 403, "limited": 429}
LONGEST_CODE = 64

router = APIRouter()
machines = APIRouter(prefix="/api/v1", tags=["look-up"], responses={401: REFUSALS[401], 422: REFUSALS[422]})


class Question(BaseModel):
    """What a machine asks."""

    model_config = ConfigDict(extra="forbid", title="LookUpQuestion")

    uscc: str = Field(max_length=LONGEST_CODE, description="统一社会信用代码")
    purpose: str = Field(
        min_length=1, max_length=128, description="What the subject's consent was given for: the number that it names"
    )


class ListItem(BaseModel):
    """A list that is public by law."""

    list: str
    since: date | None


class AnnualReport(BaseModel):
    """Of the last year that reports are due for."""

    year: int
    status: Literal["filed", "not_filed", "not_public"]


class Shown(BaseModel):
    """What is told of a subject, with its consent."""

    outcome: Literal["shown"]
    on: date
    uscc: str
    name: str | None
    state: str | None
    established: date | None
    lists: Sequence[ListItem]
    annual_report: AnnualReport
    credit_report: bool
    """A valid one exists."""


class Unanswered(BaseModel):
    """The answer where nothing is told; `refused` is the same whether or not there is such a subject."""

    outcome: Literal["refused", "closed", "limited"]


@router.get("/look-up")
def ask(request: Request) -> Response:
    """The form."""
    visitor(request).must_be("partner")
    return _page(request)


@router.post("/look-up")
async def look_up(request: Request) -> Response:
    """Answers the form."""
    visitor(request).must_be("partner")
    fields = await form(request)
    code = str(fields.get("uscc", ""))[:LONGEST_CODE]
    purpose = str(fields.get("purpose", "")).strip() or str(fields.get("usual", "")).strip()
    try:
        answer = await run_in_threadpool(_answer, request, code, purpose)
    except ConfigError:
        return _page(request, fault=True, status=422)
    return _page(request, answer=answer, status=STATUS[answer.outcome])


@machines.post(
    "/look-up",
    summary="Look a subject up, with its consent",
    description="For accounts of role `partner`, with a bearer token. Every call is on record.",
    responses={
        200: {"model": Shown, "description": "what may be told"},
        403: {"model": Unanswered | Problem, "description": "`refused`, `closed`, or not this account's to ask"},
        411: {"model": Problem, "description": "length required"},
        413: {"model": Problem, "description": "too long"},
        429: {"model": Unanswered | Problem, "description": "`limited`, or too many requests"},
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": Question.model_json_schema()}}}
    },
)
async def look_up_by_machine(request: Request) -> Response:
    """Answers a machine. The body is read here, not by the framework, which would read it before the guard."""
    visitor(request).must_be("partner")
    try:
        asked = Question.model_validate_json(await request.body())
        answer = await run_in_threadpool(_answer, request, asked.uscc, asked.purpose)
    except (ValidationError, ConfigError):
        raise HTTPException(422) from None
    return Response(answer.to_json(), STATUS[answer.outcome], media_type="application/json")


def _answer(request: Request, code: str, purpose: str) -> Answer:
    from chengxin import lookup

    here = office(request)
    route = base(request) + request.scope["route"].path
    try:
        return lookup.answer(here.house, visitor(request).login, code, purpose, here.today(), route=route)
    except NotPermittedError:
        raise HTTPException(403) from None


def _page(request: Request, *, answer: Answer | None = None, fault: bool = False, status: int = 200) -> Response:
    limits = office(request).district.lookup
    context: dict[str, Any] = {
        "answer": answer,
        "fault": fault,
        "usual": USUAL,
        "limits": limits,
        "longest": LONGEST_CODE,
        "annual": {"filed": "已报送并公示", "not_filed": "尚未报送", "not_public": "未选择公示"},
    }
    return render.page(request, "look_up.html.j2", context, status)
