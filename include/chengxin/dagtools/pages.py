"""The pages that Airflow's API server carries."""

from __future__ import annotations

import logging
from typing import Any

from chengxin.dagtools.house import house
from chengxin.errors import ChengxinError, ConnectionNotFoundError

log = logging.getLogger(__name__)


def answering_page() -> list[dict[str, Any]]:
    """The answering page, as a plugin names it; none where the house has no signing keys, or cannot be read.

    A page that cannot be had must not keep Airflow from starting: the reason is logged.
    """
    from chengxin.web import answers

    try:
        app = answers.app(house())
    except ConnectionNotFoundError:
        return []
    except ChengxinError as error:
        log.warning("no answering page: %s", error)
        return []
    return [{"app": app, "url_prefix": answers.PATH, "name": "答复提醒"}]


def auditor_pages() -> list[dict[str, Any]]:
    """The auditor's pages, as a plugin names them; none where the house cannot be read.

    A page that cannot be had must not keep Airflow from starting: the reason is logged.
    """
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends

    from chengxin.dagtools.interventions import on_day
    from chengxin.web.auditor import app as pages

    def login(user: Any = Depends(get_user)) -> str:
        return str(user.get_name())

    try:
        app = pages.app(house(), login, login_url="/api/v2/auth/login", interventions=on_day)
    except ChengxinError as error:
        log.warning("no auditor's pages: %s", error)
        return []
    return [{"app": app, "url_prefix": pages.PATH, "name": "诚信"}]


def auditor_views() -> list[dict[str, Any]]:
    """Where Airflow's own navigation leads to the auditor's pages."""
    from chengxin.web.auditor.app import PATH

    return [{"name": "诚信", "href": f"{PATH}/today", "destination": "nav", "url_route": "credit"}]
