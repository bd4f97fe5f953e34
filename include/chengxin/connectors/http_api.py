"""A paged HTTP API, as sharing platforms (政务数据共享平台) serve it: one JSON envelope a page.

A page is kept byte by byte as it came, once it has proved to be a whole one: the envelope's code says success, the list
of records is there, and no page before the last is shorter than asked. At the end the records received are the total
that the source announced. `chengxin.connectors.http_auth` describes the signature, `http_client` what is tried again.

| style | the next page is asked for by | the last one is |
|---|---|---|
| `page` | its number | the one that makes up the total; without a total, a short one |
| `cursor` | the word that the last answer held | without a word, or without records |
| `link` | the URL that the last answer held, or its header `Link` | without a URL, or without records |

The list may change while its pages are turned: `chengxin.connectors.http_pages` says what of that is noticed, and how.
A word or URL may have expired when a cut-off fetch goes on: then the walk starts over, once. An incremental source is
asked only for what changed since the watermark (`chengxin.connectors.watermark`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import date

from chengxin.connectors.http_auth import authentication
from chengxin.connectors.http_client import Client
from chengxin.connectors.http_pages import PageWalk
from chengxin.connectors.http_walk import SourceMoved, WordExpired, ask, fixed_params
from chengxin.connectors.http_words import WordWalk
from chengxin.connectors.intake import Intake
from chengxin.contracts import Contract
from chengxin.errors import SourceContentError
from chengxin.reads import HttpRead
from chengxin.settings import House

logger = logging.getLogger(__name__)


def fetch(
    house: House,
    contract: Contract,
    read: HttpRead,
    as_of: date,
    intake: Intake,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Walks all pages, from the one after the cursor's.

    When records have moved between pages on the way (`http_pages`), the walk starts over, once.

    Raises:
        SourceUnreachableError, SourceRefusedError: see `http_client`.
        SourceContentError: a truncated page, no JSON, a total that does not fit, records that do not stand still.
        ConfigError: see `watermark`.
    """
    client = _client(house, read, sleep)
    try:
        walk = PageWalk if read.paging.style == "page" else WordWalk
        try:
            walk(house, contract, client, read, as_of, intake).to_the_end()
        except (SourceMoved, WordExpired) as change:
            logger.warning("%s: %s; reading it again from the first page", contract.name, change)
            intake.restart()
            try:
                walk(house, contract, client, read, as_of, intake).to_the_end()
            except SourceMoved as again:
                intake.restart()
                raise SourceContentError(
                    f"{again}, twice in a row",
                    where=f"GET {client.base}{read.path} (connection {read.connection})",
                    why="records move between pages while we turn them: some would be missed, others read twice",
                    remedy="harvest at an hour when the source stands still, or ask for a snapshot by day",
                ) from None
    finally:
        client.close()


def total(house: House, contract: Contract, read: HttpRead, as_of: date) -> int | None:
    """The number of records that the source announces; None: it announces none. As `fetch`, but for the records."""
    client = _client(house, read, time.sleep)
    try:
        params = fixed_params(read, as_of)
        if read.paging.style == "page":
            params[read.paging.page] = str(read.paging.first)
        return ask(client, read, read.path, params, 1)[1].total
    finally:
        client.close()


def _client(house: House, read: HttpRead, sleep: Callable[[float], None]) -> Client:
    connection = house.connections(read.connection)
    return Client(
        connection,
        authentication(read.auth, connection),
        timeout=read.timeout,
        tries=read.tries,
        rate=read.rate,
        sleep=sleep,
    )
