"""The pages that Airflow's API server carries.

Every process of Airflow reads the plugins, each task's too; only the API server shows pages. So a plugin mounts no app
but a promise of one, which is kept when somebody first asks.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from chengxin.dagtools.homes import Home, homes
from chengxin.errors import ChengxinError, ConnectionNotFoundError
from chengxin.settings import include_folder
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
    """The answering page of each district, as a plugin names it. Without signing keys it answers 404."""
    return [
        {
            "app": MadeWhenAsked(f"answering page{_of(home)}", partial(_answers, home)),
            "url_prefix": home.path(ANSWERS_PATH),
            "name": f"答复提醒{_of(home)}",
        }
        for home in homes()
    ]


def auditor_pages() -> list[dict[str, Any]]:
    """The auditor's pages of each district, as a plugin names them."""
    return [
        {
            "app": MadeWhenAsked(f"auditor's pages{_of(home)}", partial(_auditor, home)),
            "url_prefix": home.path(AUDITOR_PATH),
            "name": f"诚信{_of(home)}",
        }
        for home in homes()
    ]


def auditor_views() -> list[dict[str, Any]]:
    """Where Airflow's own navigation leads to the auditor's pages, by the districts' names where there are several."""
    return [
        {
            "name": f"诚信·{_title(home)}" if home.district else "诚信",
            "href": f"{home.path(AUDITOR_PATH)}/today",
            "destination": "nav",
            "url_route": "-".join(filter(None, ("credit", home.district))),
        }
        for home in homes()
    ]


def _of(home: Home) -> str:
    return f" {home.district}" if home.district else ""


def _title(home: Home) -> str:
    # Read by every task's process too: a line, not the whole file with its model.
    try:
        text = (include_folder() / "districts" / f"{home.district}.yml").read_text("utf-8")
    except (OSError, ValueError):
        return home.district
    found = re.search(r"(?m)^name:[ \t]*[\"']?([^\"'#\n]*[^\"'#\s])", text)
    return found[1] if found else home.district


def _answers(home: Home) -> ASGIApp:
    from chengxin.web import answers

    return answers.app(home.house())


def _auditor(home: Home) -> ASGIApp:
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends

    from chengxin.dagtools.interventions import on_day
    from chengxin.web.auditor import app as pages

    def login(user: Any = Depends(get_user)) -> str:
        return str(user.get_name())

    return pages.app(home.house(), login, login_url="/api/v2/auth/login", interventions=partial(on_day, home=home))
