"""The pages put together: one app, one guard, one router a page."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from chengxin.errors import ChengxinError
from chengxin.settings import House
from chengxin.web.auditor import (
    acts,
    advice,
    api,
    deciding,
    lookups,
    mails,
    matters,
    policies,
    purpose,
    render,
    runs,
    sources,
    subjects,
    today,
)
from chengxin.web.auditor.guard import Headers, Identify, Turns, entry
from chengxin.web.auditor.history import Interventions
from chengxin.web.auditor.office import Office
from chengxin.web.auditor.place import base, inner

ROUTERS = (
    today.router,
    matters.router,
    deciding.router,
    advice.router,
    subjects.router,
    runs.router,
    mails.router,
    sources.router,
    policies.router,
    acts.router,
    purpose.router,
    lookups.router,
    api.pages,
)
APIS = (api.router, lookups.machines)
"""For machines: what these routers offer stands in the description of the API."""

log = logging.getLogger(__name__)


def app(house: House, identify: Identify, *, login_url: str, interventions: Interventions | None = None) -> FastAPI:
    """The pages of one house.

    Args:
        house: whose.
        identify: a FastAPI dependency that gives the login name or raises 401.
        login_url: where those go who have not logged in.
        interventions: what people did to runs in Airflow; None: there is no Airflow to ask.

    Raises:
        ChengxinError: the district file or its policy cannot be read.
    """
    # Open docs off: what there is to read about the API stands behind the login.
    pages = FastAPI(
        title="Chengxin: run history",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(entry(identify))],
    )
    pages.state.office = Office(house, login_url, interventions)
    pages.add_middleware(Turns)
    pages.add_middleware(Headers)
    pages.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    for router in ROUTERS:
        pages.include_router(router, include_in_schema=False)
    for router in APIS:
        pages.include_router(router)
    _answer_errors(pages)
    return pages


def _answer_errors(pages: FastAPI) -> None:
    def said(request: Request, status: int) -> Response:
        if inner(request).startswith("/api/"):
            return JSONResponse({"error": _WORDS.get(status, "error")}, status)
        if status == 401:
            here: Office = request.app.state.office
            back = inner(request) if request.method == "GET" else "/today"
            return RedirectResponse(f"{here.login_url}?next={quote(base(request) + back)}", 303)
        return render.error(request, status)

    async def refused(request: Request, error: Exception) -> Response:
        return said(request, error.status_code if isinstance(error, StarletteHTTPException) else 500)

    async def malformed(request: Request, _error: Exception) -> Response:
        return said(request, 422)

    async def broken(request: Request, error: Exception) -> Response:
        # The path holds no code and no name; a query or a form may, and stays out of the log.
        log.error("page %s: %s", request.scope["path"], error)
        return said(request, 500)

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        StarletteHTTPException: refused,
        HTTPException: refused,
        RequestValidationError: malformed,
        ChengxinError: broken,
    }
    for kind, handler in handlers.items():
        pages.add_exception_handler(kind, handler)


_WORDS = {
    401: "not logged in",
    403: "not yours to see",
    404: "not found",
    405: "method not allowed",
    411: "length required",
    413: "too long",
    422: "malformed request",
    429: "too many requests, wait a minute",
}
