"""The answering page: a desk opens the link in its mail and presses a button.

No login: the link's token names one message and one desk (`chengxin.warn.links`). Opening the page changes nothing,
since mail scanners open links; only a button (POST) is an answer. Links that are forged, foreign, expired or of a
rehearsal are refused in the same words. The page shows a message's subject line, its day and the answers so far, no
list and no name of an enterprise beyond what that line holds.

Runs by itself (`chengxin answers`), and in Airflow's API server (`plugins/answers.py`), at a path that Airflow does
not guard, on purpose.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chengxin.clock import beijing_date, in_full, in_short
from chengxin.errors import ChengxinError
from chengxin.ledger import answers
from chengxin.ledger.messages import Message
from chengxin.settings import House
from chengxin.warn.answered import LABELS, spelt
from chengxin.warn.links import Named, signer
from chengxin.warn.words import district_of
from chengxin.web import ANSWERS_PATH
from chengxin.web.gate import Gate

MOST_BYTES = 8192
"""Of a form: a reason of `MOST_REASON` characters, percent-encoded, fits well."""
MOST_REASON = 200
"""Characters of a reason."""
LONGEST_SNOOZE = 30
"""Days that a message without a deadline can be put off."""
PER_MINUTE = 60
"""Requests of one address; an office behind one address answers far fewer."""

log = logging.getLogger(__name__)

_HEADERS = {
    "Cache-Control": "no-store",
    # The address holds the token: it must not travel on.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


def app(house: House) -> FastAPI:
    """The answering page of one house.

    Raises:
        ChengxinError: the house has no district or no signing keys.
    """
    district, reader = district_of(house), signer(house)
    pages = FastAPI(title="answers", docs_url=None, redoc_url=None, openapi_url=None)
    gate = Gate(PER_MINUTE)

    @pages.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        address = request.client.host if request.client else ""
        answer = await call_next(request) if gate.opens(address) else _page("answers_busy.html.j2", 429, {})
        answer.headers.update(_HEADERS)
        return answer

    def named_by(token: str) -> Named | None:
        """What a token of ours names, before the ledger is asked: what is none of ours costs it nothing."""
        named = reader.read(token)
        if named is None or named.mode == "rehearsal" or named.department not in district.departments:
            return None
        return named

    def addressed(session: Session, named: Named) -> Message | None:
        """The message that a token names, if the token may still be used."""
        message: Message | None = session.scalar(
            select(Message).where(
                Message.mode == named.mode,
                Message.district == district.code,
                Message.department == named.department,
                Message.key.startswith(named.message, autoescape=True),
            )
        )
        return message if message is not None and today(session, message) <= named.last_day else None

    def today(session: Session, message: Message) -> date:
        # A sandbox plays any day: there the newest day that it spoke for is today.
        if message.mode != "sandbox":
            return beijing_date(house.clock())
        newest = session.scalar(
            select(func.max(Message.as_of)).where(Message.district == district.code, Message.mode == message.mode)
        )
        return newest or message.as_of

    def show(token: str, fault: str = "", status: int = 200) -> Response:
        named = named_by(token)
        if named is None:
            return _refused()
        with house.ledger.read() as session:
            message = addressed(session, named)
            if message is None:
                return _refused()
            given = answers.of_message(session, message.id)
            now = today(session, message)
            latest = latest_snooze(message, now)
        context = {
            "district": district.name,
            "department": district.departments[message.department].name,
            "subject": message.subject,
            "day": in_full(message.as_of),
            "given": [spelt(each) for each in given],
            "labels": LABELS,
            "fault": fault,
            "today": now.isoformat(),
            "latest": latest.isoformat() if latest >= now else "",
            "latest_words": in_short(latest),
            "longest": MOST_REASON,
        }
        return _page("answers_page.html.j2", status, context)

    def take(token: str, form: Mapping[str, str]) -> Response:
        named = named_by(token)
        if named is None:
            return _refused()
        with house.ledger.begin() as session:
            message = addressed(session, named)
            if message is None:
                return _refused()
            asked = _asked(form, today(session, message), message)
            if not isinstance(asked, str):
                answers.give(session, house.clock(), message, asked.what, reason=asked.reason, until=asked.until)
        if isinstance(asked, str):
            return show(token, asked, 422)
        # Relative to this very page, wherever it is mounted.
        return RedirectResponse(f"./{token}", 303)

    @pages.api_route("/{token}", methods=["GET", "HEAD"])
    def opened(token: str) -> Response:
        return show(token)

    @pages.post("/{token}")
    async def pressed(token: str, request: Request) -> Response:
        form = await _form(request)
        if form is None:
            return _refused()
        return await run_in_threadpool(take, token, form)

    @pages.exception_handler(404)
    async def nothing(_request: Request, _error: Exception) -> Response:
        return _refused()

    return pages


def standalone(*houses: House) -> FastAPI:
    """The answering pages as a server of their own, below `ANSWERS_PATH`, as Airflow's API server has them.

    Args:
        houses: whose. One among several districts has its page under its code; one that cannot be had leaves the
            others theirs.

    Raises:
        ChengxinError: the only house has no district or no signing keys.
    """
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for house in houses:
        try:
            server.mount(f"{ANSWERS_PATH}/{house.district}" if house.among_others else ANSWERS_PATH, app(house))
        except ChengxinError as error:
            if len(houses) == 1:
                raise
            log.warning("no answering page of district %s: %s", house.district, error)
    return server


def latest_snooze(message: Message, today: date) -> date:
    """The last day up to which a message can be put off: its deadline, which a snooze may not outlive."""
    deadline = message.detail.get("deadline")
    longest = today + timedelta(days=LONGEST_SNOOZE)
    return min(date.fromisoformat(str(deadline)), longest) if deadline else longest


@dataclass(frozen=True)
class _Asked:
    what: answers.What
    reason: str
    until: date | None


def _asked(form: Mapping[str, str], today: date, message: Message) -> _Asked | str:
    """What a form asks for; or why it cannot be had, in words."""
    what = next((name for name in answers.WHATS if name == form.get("what")), None)
    if what is None:
        return "请选择一项答复。"
    reason = " ".join("".join(c if c.isprintable() else " " for c in form.get("reason", "")).split())
    if len(reason) > MOST_REASON:
        return f"说明请不超过{MOST_REASON}字。"
    if what != "snoozed":
        return _Asked(what, reason, None)
    if not reason:
        return "暂缓提醒需要写明原因。"
    try:
        until = date.fromisoformat(form.get("until", ""))
    except ValueError:
        return "暂缓提醒需要选定截止日期。"
    latest = latest_snooze(message, today)
    if not today <= until <= latest:
        return f"暂缓的截止日期须不早于今天，且不晚于{in_short(latest)}。"
    return _Asked(what, reason, until)


def _refused() -> Response:
    """The same page whatever is wrong with a link."""
    return _page("answers_refused.html.j2", 404, {})


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form; None: too long or no form."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    try:
        fields = parse_qs(body.decode("ascii"), encoding="utf-8", errors="strict", max_num_fields=8)
    except ValueError:
        return None
    return {name: values[-1] for name, values in fields.items()}


def _page(name: str, status: int, context: Mapping[str, Any]) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(name).render(context), status)


@cache
def _templates() -> Environment:
    folder = Path(__file__).parent / "templates"
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
