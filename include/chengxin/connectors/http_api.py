"""A paged HTTP API, as sharing platforms (政务数据共享平台) serve it: one JSON envelope a page.

A page is kept byte by byte as it came, once it has proved to be a whole one: the envelope's code says success, the list
of records is there, and no page before the last is shorter than asked. At the end the records received are the total
that the source announced. `chengxin.connectors.http_auth` describes the signature, `http_client` what is tried again.

| style | the next page is asked for by | the last one is |
|---|---|---|
| `page` | its number | the one that makes up the total; without a total, a short one |
| `cursor` | the word that the last answer held | without a word, or without records |
| `link` | the URL that the last answer held, or its header `Link` | without a URL, or without records |

A word or URL may have expired when a cut-off fetch goes on: then the walk starts over, once. An incremental source is
asked only for what changed since the watermark (`chengxin.connectors.watermark`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import date

from requests.utils import parse_header_links

from chengxin.connectors import watermark
from chengxin.connectors.envelope import Page, read_page
from chengxin.connectors.http_auth import authentication
from chengxin.connectors.http_client import Answer, BadRequestError, BusyError, Client, refused, visible_words
from chengxin.connectors.intake import Cursor, Intake
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

    When the announced total changes on the way, records have moved between pages: the walk starts over, once.

    Raises:
        SourceUnreachableError, SourceRefusedError: see `http_client`.
        SourceContentError: a truncated page, no JSON, a total that does not fit or does not stand still.
        ConfigError: see `watermark`.
    """
    client = _client(house, read, sleep)
    try:
        walk = _Walk(house, contract, client, read, as_of, intake)
        try:
            walk.to_the_end()
        except (_TotalChanged, _CursorExpired) as change:
            logger.warning("%s: %s; reading it again from the first page", contract.name, change)
            intake.restart()
            try:
                walk.to_the_end()
            except _TotalChanged as again:
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
        return _Walk(house, contract, client, read, as_of, None).total()
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


class _TotalChanged(Exception):  # noqa: N818 - no error until it happens twice
    """The total differs from the one that earlier pages announced."""


class _CursorExpired(Exception):  # noqa: N818 - the walk starts over
    """The source no longer knows the place where a cut-off fetch goes on."""


class _Walk:
    def __init__(
        self, house: House, contract: Contract, client: Client, read: HttpRead, as_of: date, intake: Intake | None
    ) -> None:
        self._house, self._contract, self._as_of = house, contract, as_of
        self._client, self._read = client, read
        if intake is not None:
            self._intake = intake
        self._params = {key: value.replace("{as_of}", as_of.isoformat()) for key, value in read.params.items()}

    def to_the_end(self) -> None:
        going_on = bool(self._intake.cursor)
        while not self._intake.complete:
            try:
                self._next_page()
            except BadRequestError as error:
                if not going_on or self._read.paging.style == "page":
                    raise
                raise _CursorExpired(f"the source no longer knows where the fetch was cut off ({error.why})") from None
            going_on = False

    def total(self) -> int | None:
        """What the first page announces."""
        where = f"GET {self._client.base}{self._read.path}, page 1 (connection {self._read.connection})"
        pages: list[Page] = []
        path, params = self._place({}, 1)
        self._client.get(path, params, lambda answer: pages.append(self._judge(answer, where)))
        return pages[-1].total

    def _next_page(self) -> None:
        cursor, paging = self._intake.cursor or self._beginning(), self._read.paging
        number = cursor.get("page", 0) + 1
        received, expected = cursor.get("received", 0), cursor.get("total")
        where = f"GET {self._client.base}{self._read.path}, page {number} (connection {self._read.connection})"
        pages: list[Page] = []
        path, params = self._place(cursor, number)
        answer = self._client.get(path, params, lambda answer: pages.append(self._judge(answer, where)))
        page = pages[-1]
        received += page.records
        if paging.style == "page":
            if number > 1 and page.total != expected:
                raise _TotalChanged(f"the total went from {expected} to {page.total} while it was read")
            following, last = None, _is_last(page, received, paging.page_size, where)
        else:
            following = self._following(page, answer, cursor.get("next"), path, where)
            last = following is None
            if last:
                _adds_up(page, received, where)
        # A server that does not know the page parameter sends its first page for ever.
        if page.records and self._intake.repeats(answer.body):
            raise SourceContentError(
                f"page {number} is page {number - 1} once more",
                where=where,
                remedy="check the names of the page parameters (`paging` of the contract)",
            )
        kept: Cursor = {"page": number, "received": received, "total": page.total, "complete": last}
        if following is not None:
            kept["next"] = following
        if self._read.watermark is not None:
            mark = watermark.advance(cursor.get("watermark"), page.marks, self._as_of)
            kept |= {"since": cursor.get("since"), "watermark": mark}
        self._intake.keep(answer.body, f"{self._read.path} page {number} of {paging.page_size}", kept)

    def _beginning(self) -> Cursor:
        how = self._read.watermark
        if how is None:
            return {}
        since, mark = watermark.begin(self._house, self._contract, how, self._as_of)
        return {"since": since, "watermark": mark}

    def _place(self, cursor: Cursor, number: int) -> tuple[str, dict[str, str]]:
        """Where the next page is asked for: path or URL, and query."""
        paging, params = self._read.paging, dict(self._params)
        if paging.style == "link" and "next" in cursor:
            return cursor["next"], {}
        if self._read.watermark is not None and cursor["since"] is not None:
            params[self._read.watermark.param] = str(cursor["since"])
        if paging.style == "page":
            params[paging.page] = str(number - 1 + paging.first)
        if paging.size is not None:
            params[paging.size] = str(paging.page_size)
        if paging.style == "cursor" and "next" in cursor:
            params[paging.cursor] = cursor["next"]
        return self._read.path, params

    def _following(self, page: Page, answer: Answer, before: str | None, path: str, where: str) -> str | None:
        """The word or URL of the page after this one; None: this is the last."""
        paging = self._read.paging
        word = page.next if paging.next is not None else _next_link(answer)
        if word is None or not page.records:
            return None
        following = self._client.same_origin(word, path, where) if paging.style == "link" else word
        if following == before:
            raise SourceContentError(
                "the source does not move on: its next page is the one that it just sent",
                where=where,
                remedy="check `paging` of the contract: the parameter that takes the word, and where the answer has it",
            )
        return following

    def _judge(self, answer: Answer, where: str) -> Page:
        envelope = self._read.envelope
        heading = self._read.watermark.heading if self._read.watermark else None
        page = read_page(answer, envelope, where, self._read.paging, heading)
        if page.code in envelope.ok:
            return page
        why = f"{envelope.code} {page.code}: {visible_words(page.message.encode())}"
        if page.code == "429" or (len(page.code) == 3 and page.code.startswith("5")):
            raise BusyError(why)
        if page.code in ("401", "403"):
            raise refused(self._read.connection, where, why, answer)
        raise BadRequestError(
            "the source answers with an error",
            where=where,
            why=why,
            remedy="look the code up in the interface's description; success is "
            f"{' or '.join(envelope.ok)} (`envelope.ok` of the contract)",
        )


def _next_link(answer: Answer) -> str | None:
    """The URL of the header `Link` with `rel="next"` (RFC 8288)."""
    links = parse_header_links(answer.headers.get("Link", "")) if answer.headers.get("Link") else []
    return next((link["url"] for link in links if link.get("rel", "").lower() == "next" and link.get("url")), None)


def _adds_up(page: Page, received: int, where: str) -> None:
    if page.total is None or page.total == received:
        return
    raise SourceContentError(
        f"{'truncated: ' if received < page.total else ''}{received:,} records received, but the total is "
        f"{page.total:,}",
        where=where,
        why="the source ended before its own total" if received < page.total else "pages overlap",
        remedy="the next run asks for it again; if it never adds up, ask the source's operator what its total counts",
    )


def _is_last(page: Page, received: int, size: int, where: str) -> bool:
    if page.records > size:
        raise SourceContentError(
            f"{page.records:,} records on a page of {size:,}",
            where=where,
            remedy="the source does not know our page size: check the names under `paging` of the contract",
        )
    if page.total is None:
        return page.records < size
    if received > page.total:
        raise SourceContentError(
            f"{received:,} records received, but the total is {page.total:,}",
            where=where,
            remedy="pages overlap: ask the source's operator for a stable order",
        )
    if page.records < size and received < page.total:
        raise SourceContentError(
            f"truncated: {page.records:,} records on a page of {size:,}, with {page.total - received:,} still to come",
            where=where,
            why=f"{received:,} of {page.total:,} received",
            remedy="the next run asks for it again; if the source never gives more, set `page_size` to its limit",
        )
    return received == page.total
