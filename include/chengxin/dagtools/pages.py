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
