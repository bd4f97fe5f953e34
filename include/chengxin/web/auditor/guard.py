"""The one guard of every route: login, account, rate, origin of forms, headers.

A FastAPI app of a plugin is not behind Airflow's login by itself, and a POST with the login's cookie passes from any
site (seen with Airflow 3.3.2): both are seen to here, once, for all routes, so that none can be forgotten.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Literal

from fastapi import Depends, HTTPException, Request
from itsdangerous import BadSignature, URLSafeSerializer
from starlette.datastructures import FormData, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chengxin.clock import BEIJING
from chengxin.web.auditor.office import Office, office
from chengxin.web.auditor.place import base, inner
from chengxin.web.auditor.visitor import Purpose, Visitor, of

MOST_BYTES = 65_536
"""Of a form or a request body."""
PURPOSE_COOKIE = "chengxin_purpose"
LANGUAGE_COOKIE = "chengxin_language"
PURPOSE_LASTS = timedelta(minutes=30)
"""A stated purpose holds that long; then it is asked for again."""
FORM_FIELD = "form_token"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Identify = Callable[..., Any]
"""A FastAPI dependency that gives the login name, or raises 401."""


def entry(identify: Identify) -> Callable[..., Any]:
    """The dependency that stands before every route.

    Args:
        identify: how a login is told; Airflow's own in Airflow.
    """

    async def enter(request: Request, login: str = Depends(identify)) -> None:
        here = office(request)
        language = _language(request)
        visitor = of(here.district, login, _purpose(request, here, login), language)
        # Set before anything can go wrong, so that the page that says so is theirs.
        request.state.visitor = visitor
        if not here.gate.opens(login):
            raise HTTPException(429)
        if request.method not in _SAFE:
            await _same_site(request, here, visitor)
        if visitor.role == "partner" and not _for_partners(request):
            raise HTTPException(403)

    return enter


def form_token(here: Office, login: str, day: date) -> str:
    """What a form of ours carries: nobody else can make it, and it ends with the next day."""
    said = hmac.new(here.secret("form"), f"{login}|{day.isoformat()}".encode(), hashlib.sha256)
    return said.hexdigest()[:40]


async def form(request: Request) -> FormData:
    """The fields of a form that the guard has read."""
    return await request.form(max_fields=200, max_files=0)


def state_purpose(request: Request, response: Response, login: str, act: int, words: str) -> None:
    """Gives a visitor the cookie of a purpose that was put on record. It stays with these pages' own mount."""
    here = office(request)
    until = here.now + PURPOSE_LASTS
    signed = _serializer(here).dumps([login, act, words, int(until.timestamp())])
    response.set_cookie(
        PURPOSE_COOKIE,
        signed,
        max_age=int(PURPOSE_LASTS.total_seconds()),
        path=base(request) or "/",
        httponly=True,
        samesite="strict",
    )


async def _same_site(request: Request, here: Office, visitor: Visitor) -> None:
    """Refuses what another site made a browser send, and bodies without end.

    Raises:
        HTTPException: 403, 411, 413.
    """
    length = request.headers.get("content-length")
    if length is None or not length.isdecimal():
        raise HTTPException(411)
    if int(length) > MOST_BYTES:
        raise HTTPException(413)
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        # A browser never sends this header by itself, and Airflow prefers it to the cookie.
        return
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403)
    given = str((await form(request)).get(FORM_FIELD, ""))
    today = here.now.astimezone(BEIJING).date()
    fits = [form_token(here, visitor.login, day) for day in (today, today - timedelta(days=1))]
    if not any(hmac.compare_digest(given.encode(), each.encode()) for each in fits):
        raise HTTPException(403, "form expired")


def _for_partners(request: Request) -> bool:
    """The look-up is all that a bank or a contract partner has here."""
    return inner(request).startswith(("/look-up", "/api/v1/look-up"))


def _language(request: Request) -> Literal["zh", "en"]:
    asked = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE)
    return "en" if asked == "en" else "zh"


def _purpose(request: Request, here: Office, login: str) -> Purpose | None:
    try:
        whose, act, words, until = _serializer(here).loads(request.cookies.get(PURPOSE_COOKIE, ""))
    except (BadSignature, ValueError, TypeError):
        return None
    end = datetime.fromtimestamp(until, BEIJING)
    return Purpose(act, words, end) if whose == login and here.now < end else None


def _serializer(here: Office) -> URLSafeSerializer:
    return URLSafeSerializer(here.secret("purpose"), salt="purpose")


class Turns:
    """Lets a few requests in at once, the others wait in a row.

    Pages are made by threads that share one interpreter: ten at once take ten times as long each, and some much longer
    than others. In a row they take as long on average, and none much longer. What a button asks for (a PDF, a source's
    own record, a bundle) may take seconds, and holds nobody up.
    """

    AT_ONCE = 3

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._turns = asyncio.Semaphore(self.AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] not in _SAFE:
            await self.app(scope, receive, send)
            return
        async with self._turns:
            await self.app(scope, receive, send)


class Headers:
    """Puts the security headers on every answer, static files and errors too."""

    PAGE: ClassVar = {
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        # Airflow shows the pages in a frame of its own.
        "X-Frame-Options": "SAMEORIGIN",
        "X-Robots-Tag": "noindex, nofollow",
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
            "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
        ),
    }

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.PAGE.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)
