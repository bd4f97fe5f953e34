"""Forms of a matter's page: the officer decides, receives objections and settles them; the auditor takes the bundle.

Who may do what is the library's to say (`officers`, `objections`); a form that it does not take is shown again, with
what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from chengxin.accounts import NotPermittedError
from chengxin.desk import read
from chengxin.desk.read import MatterRow
from chengxin.errors import ConfigError
from chengxin.settings import House
from chengxin.web.auditor import looking, matters
from chengxin.web.auditor.guard import form
from chengxin.web.auditor.matters import Fault
from chengxin.web.auditor.office import office
from chengxin.web.auditor.place import onward
from chengxin.web.auditor.visitor import visitor

router = APIRouter()

_TYPED = ("decision", "weighed", "words", "reason", "grounds", "received_on", "outcome")
UNFINISHED = {
    "decision": "没有登记：请选定决定和考量方式；与意见不一致、未考量信用、有未了结的异议时须写明理由，不超过1000字。",
    "objection": "没有登记：请写明异议内容，不超过1000字；收到日期不能晚于今天。",
    "settlement": "没有登记：请选定结果并写明理由，不超过1000字。",
}
MOVED = "没有登记：核查意见在您打开页面之后有变化，请按下面现在的意见重新决定。"
GONE = "没有登记：这项异议已经了结，或者不属于本单位。"


@dataclass(frozen=True)
class Sent:
    """A form as it was sent."""

    fields: FormData

    @property
    def advice_id(self) -> str:
        """The advice that it is about."""
        return str(self.fields.get("advice_id", ""))

    @property
    def page(self) -> int:
        """The page of the matter's applicants that it was sent from."""
        given = str(self.fields.get("page", "1"))
        return int(given) if re.fullmatch("[1-9][0-9]{0,4}", given) else 1

    def words(self, name: str) -> str:
        """What was typed or chosen; empty: nothing."""
        # Browsers end the lines of a text area with CR LF.
        return str(self.fields.get(name, "")).replace("\r\n", "\n").strip()

    def code(self, name: str) -> Any:
        """The same for the library to judge: it refuses a code that it does not know."""
        return self.words(name)


Do = Callable[[House, str, Sent], object]
"""What a form asks for: house, login name, form."""


@router.post("/matters/{ref}/decision")
async def decide(request: Request, ref: str) -> Response:
    """An officer's decision on one applicant."""
    return await _acted(request, ref, "decision", _decided)


@router.post("/matters/{ref}/objection")
async def object_(request: Request, ref: str) -> Response:
    """A subject's objection to an advice."""
    return await _acted(request, ref, "objection", _objected)


@router.post("/matters/{ref}/settlement")
async def settle(request: Request, ref: str) -> Response:
    """How an objection was settled."""
    return await _acted(request, ref, "settlement", _settled)


def _decided(house: House, login: str, sent: Sent) -> object:
    from chengxin import officers

    return officers.decide(
        house,
        login,
        sent.advice_id,
        sent.code("decision"),
        sent.code("weighed"),
        sent.words("reason"),
        words=sent.words("words"),
        advised=sent.words("advised"),
    )


def _objected(house: House, login: str, sent: Sent) -> object:
    from chengxin import objections

    given = sent.words("received_on")
    return objections.make(house, login, sent.advice_id, sent.words("grounds"), _day(given) if given else None)


def _settled(house: House, login: str, sent: Sent) -> object:
    from chengxin import objections

    number = sent.words("objection")
    known = int(number) if re.fullmatch("[0-9]{1,15}", number) else 0
    return objections.settle(house, login, known, sent.code("outcome"), sent.words("reason"))


@router.post("/matters/{ref}/bundle")
async def bundle(request: Request, ref: str) -> Response:
    """The matter's evidence bundle as a ZIP; for an auditor who has stated a purpose, since nothing is masked in it."""
    who = visitor(request)
    who.must_be("auditor")
    if not who.unmasked:
        return onward(request, f"/purpose?back=/matters/{ref}")
    content = await run_in_threadpool(_bundle, request, ref)
    named = f'attachment; filename="evidence-{ref}.zip"'
    return Response(content, media_type="application/zip", headers={"Content-Disposition": named})


def _bundle(request: Request, ref: str) -> bytes:
    from chengxin import export

    here = office(request)
    found = _matter(request, ref)
    looking.look(request, "bundle", route=f"/matters/{ref}/bundle")
    end = here.today()
    start = min(day for day in (found.opened_on, found.observed_on, end) if day is not None)
    scope = export.Scope(start, end, matter=found.matter_id)
    return export.taken(here.house, scope, visitor(request).login, looking.purpose(visitor(request)))


async def _acted(request: Request, ref: str, name: str, do: Do) -> Response:
    """Does what a form asks for, and shows the matter again."""
    visitor(request).must_be("officer")
    return await run_in_threadpool(_done, request, ref, name, do, Sent(await form(request)))


def _done(request: Request, ref: str, name: str, do: Do, sent: Sent) -> Response:
    from chengxin.objections import NoSuchObjectionError
    from chengxin.officers import NoSuchAdviceError, WithdrawnError

    _belongs(request, ref, sent.advice_id)
    try:
        do(office(request).house, visitor(request).login, sent)
    except (NoSuchAdviceError, NotPermittedError):
        raise HTTPException(404) from None
    except WithdrawnError:
        words = MOVED
    except NoSuchObjectionError:
        words = GONE
    except ConfigError:
        words = UNFINISHED[name]
    else:
        return onward(request, f"/matters/{ref}?page={sent.page}#a-{sent.advice_id}")
    typed = {each: sent.words(each) for each in _TYPED}
    return matters.shown(request, ref, sent.page, Fault(sent.advice_id, name, words, typed))


def _belongs(request: Request, ref: str, advice_id: str) -> None:
    """Refuses advice that is not one of this matter, or not of this department.

    Raises:
        HTTPException: 404.
    """
    here = office(request)
    with here.desk.read() as connection:
        view = read.advice(connection, here.scope(visitor(request)), advice_id, here.today())
    if view is None or view.matter is None or view.matter.ref != ref:
        raise HTTPException(404)


def _matter(request: Request, ref: str) -> MatterRow:
    here = office(request)
    with here.desk.read() as connection:
        view = read.matter(connection, here.scope(visitor(request)), ref, here.today())
    if view is None:
        raise HTTPException(404)
    return view.matter


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError("no day", where="received_on", remedy="write it as 2026-06-15") from None
