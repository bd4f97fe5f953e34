"""The pages that Airflow's API server carries.

Every process of Airflow reads the plugins, each task's too; only the API server shows pages. So a plugin mounts no app
but a promise of one, which is kept when somebody first asks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from chengxin.dagtools.house import house
from chengxin.errors import ChengxinError, ConnectionNotFoundError
from chengxin.web import ANSWERS_PATH, AUDITOR_PATH

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)


class MadeWhenAsked:
    """An ASGI app that is made at its first request. What cannot be made answers 503, or 404 where a connection that
    it needs is not defined, logs why, and is tried anew at the next request: it must not keep Airflow from starting.

    Args:
        name: what it is, for the log.
        make: makes it; runs in a thread, once at a time.
    """

    def __init__(self, name: str, make: Callable[[], ASGIApp]) -> None:
        self._name = name
        self._make = make
        self._made: ASGIApp | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._made is None:
            from starlette.concurrency import run_in_threadpool
            from starlette.responses import PlainTextResponse

            status = await run_in_threadpool(self._try)
            if status is not None:
                await PlainTextResponse("not here" if status == 404 else "out of order: see the log", status)(
                    scope, receive, send
                )
                return
        assert self._made is not None
        await self._made(scope, receive, send)

    def _try(self) -> int | None:
        """Makes the app; the status to answer with where it cannot be made."""
        with self._lock:
            if self._made is None:
                try:
                    self._made = self._make()
                except ConnectionNotFoundError as error:
                    log.info("no %s: %s", self._name, error)
                    return 404
                except ChengxinError as error:
                    log.warning("no %s: %s", self._name, error)
                    return 503
        return None


def answering_page() -> list[dict[str, Any]]:
    """The answering page, as a plugin names it. Without signing keys it answers 404."""
    return [{"app": MadeWhenAsked("answering page", _answers), "url_prefix": ANSWERS_PATH, "name": "答复提醒"}]


def auditor_pages() -> list[dict[str, Any]]:
    """The auditor's pages, as a plugin names them."""
    return [{"app": MadeWhenAsked("auditor's pages", _auditor), "url_prefix": AUDITOR_PATH, "name": "诚信"}]


def auditor_views() -> list[dict[str, Any]]:
    """Where Airflow's own navigation leads to the auditor's pages."""
    return [{"name": "诚信", "href": f"{AUDITOR_PATH}/today", "destination": "nav", "url_route": "credit"}]


def _answers() -> ASGIApp:
    from chengxin.web import answers

    return answers.app(house())


def _auditor() -> ASGIApp:
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends

    from chengxin.dagtools.interventions import on_day
    from chengxin.web.auditor import app as pages

    def login(user: Any = Depends(get_user)) -> str:
        return str(user.get_name())

    return pages.app(house(), login, login_url="/api/v2/auth/login", interventions=on_day)
