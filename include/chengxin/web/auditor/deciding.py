"""Forms of a matter's page: the officer decides, receives objections and settles them; the auditor takes the bundle.

Who may do what is the library's to say (`officers`, `objections`); a form that it does not take is shown again, with
what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from chengxin.accounts import NotPermittedError
from chengxin.desk import read
from chengxin.desk.read import MatterRow
from chengxin.errors import ConfigError
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


@router.post("/matters/{ref}/decision")
async def decide(request: Request, ref: str) -> Response:
    """An officer's decision on one applicant."""
    from chengxin import officers

    def act(login: str, fields: FormData) -> None:
        officers.decide(
            office(request).house,
            login,
            str(fields.get("advice_id", "")),
            _text(fields, "decision"),  # type: ignore[arg-type]
            _text(fields, "weighed"),  # type: ignore[arg-type]
            _text(fields, "reason"),
            words=_text(fields, "words"),
            advised=_text(fields, "advised"),
        )

    return await _acted(request, ref, "decision", act)


@router.post("/matters/{ref}/objection")
async def object_(request: Request, ref: str) -> Response:
    """A subject's objection to an advice."""
    from chengxin import objections

    def act(login: str, fields: FormData) -> None:
        given = _text(fields, "received_on")
        objections.make(
            office(request).house,
            login,
            str(fields.get("advice_id", "")),
            _text(fields, "grounds"),
            _day(given) if given else None,
        )

    return await _acted(request, ref, "objection", act)


@router.post("/matters/{ref}/settlement")
async def settle(request: Request, ref: str) -> Response:
    """How an objection was settled."""
    from chengxin import objections

    def act(login: str, fields: FormData) -> None:
        number = _text(fields, "objection")
        objections.settle(
            office(request).house,
            login,
            int(number) if re.fullmatch("[0-9]{1,15}", number) else 0,
            _text(fields, "outcome"),  # type: ignore[arg-type]
            _text(fields, "reason"),
        )

    return await _acted(request, ref, "settlement", act)


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


async def _acted(request: Request, ref: str, name: str, act: Callable[[str, FormData], None]) -> Response:
    """Does what a form asks for, and shows the matter again."""
    visitor(request).must_be("officer")
    fields = await form(request)
    return await run_in_threadpool(_done, request, ref, name, act, fields)


def _done(request: Request, ref: str, name: str, act: Callable[[str, FormData], None], fields: FormData) -> Response:
    from chengxin.objections import NoSuchObjectionError
    from chengxin.officers import NoSuchAdviceError, WithdrawnError

    advice_id, page = str(fields.get("advice_id", "")), _page(fields)
    _belongs(request, ref, advice_id)
    try:
        act(visitor(request).login, fields)
    except (NoSuchAdviceError, NotPermittedError):
        raise HTTPException(404) from None
    except WithdrawnError:
        words = MOVED
    except NoSuchObjectionError:
        words = GONE
    except ConfigError:
        words = UNFINISHED[name]
    else:
        return onward(request, f"/matters/{ref}?page={page}#a-{advice_id}")
    typed: dict[str, Any] = {key: _text(fields, key) for key in _TYPED}
    return matters.shown(request, ref, page, Fault(advice_id, name, words, typed))


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


def _text(fields: FormData, name: str) -> str:
    # Browsers end the lines of a text area with CR LF.
    return str(fields.get(name, "")).replace("\r\n", "\n").strip()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError("no day", where="received_on", remedy="write it as 2026-06-15") from None


def _page(fields: FormData) -> int:
    given = str(fields.get("page", "1"))
    return int(given) if re.fullmatch("[1-9][0-9]{0,4}", given) else 1
