"""What every walk through an HTTP API has in common: how a page is asked for, judged, and kept."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import date

from chengxin.connectors import watermark
from chengxin.connectors.envelope import Page, check_utf8, read_page
from chengxin.connectors.http_client import Answer, BadRequestError, BusyError, Client, refused
from chengxin.connectors.intake import Cursor, Intake
from chengxin.contracts import Contract
from chengxin.errors import MismatchError
from chengxin.readers import decode
from chengxin.reads import HttpRead
from chengxin.settings import House


class SourceMoved(Exception):  # noqa: N818 - no error until it happens twice
    """Records have moved between pages, or their total has changed, while the pages were turned."""


class WordExpired(Exception):  # noqa: N818 - the walk starts over
    """The source no longer knows the place where a cut-off fetch goes on."""


class Walk(ABC):
    """A walk through all pages of a source, from the one after the cursor's.

    Args:
        house, contract, as_of: whose source, which, and the Beijing date the harvest speaks for.
        client: asks.
        read: how the source is read.
        intake: takes the pages.
    """

    def __init__(
        self, house: House, contract: Contract, client: Client, read: HttpRead, as_of: date, intake: Intake
    ) -> None:
        self._house, self._contract, self._as_of = house, contract, as_of
        self._client, self._read, self._intake = client, read, intake
        self._before: Page | None = None

    @abstractmethod
    def to_the_end(self) -> None:
        """Keeps every page.

        Raises:
            SourceMoved: what was kept and what comes do not fit together.
            WordExpired: see there.
            ChengxinError: as `http_api.fetch`.
        """

    def _beginning(self) -> Cursor:
        how = self._read.watermark
        if how is None:
            return {}
        since, mark = watermark.begin(self._house, self._contract, how, self._as_of)
        return {"since": since, "watermark": mark}

    def _where(self, number: int) -> str:
        return page_name(self._client, self._read, number)

    def _params(self, cursor: Cursor) -> dict[str, str]:
        """The query, but for what names the page."""
        params = fixed_params(self._read, self._as_of)
        if self._read.watermark is not None and cursor["since"] is not None:
            params[self._read.watermark.param] = str(cursor["since"])
        return params

    def _ask(self, path: str, params: dict[str, str], number: int) -> tuple[Answer, Page]:
        return ask(self._client, self._read, path, params, number)

    def _turned(self, page: Page, body: bytes, number: int, before: int) -> None:
        """Whether this page is another than the one before it in the walk.

        Raises:
            MismatchError: a server that does not know the page parameter sends its first page for ever.
        """
        known = self._before is not None and list(self._before.rows) == list(page.rows)
        if page.records and (known or self._intake.repeats(body)):
            raise MismatchError(
                f"page {number} is page {before} once more",
                where=self._where(number),
                remedy="check the names of the page parameters (`paging` of the contract)",
            )

    def _marked(self, kept: Cursor, cursor: Cursor, page: Page) -> Cursor:
        """The new cursor, with the watermark that the page moves on."""
        if self._read.watermark is None:
            return kept
        mark = watermark.advance(cursor.get("watermark"), page.marks, self._as_of)
        return kept | {"since": cursor.get("since"), "watermark": mark}

    def _locator(self, number: int, page: Page) -> str:
        return decode.note(f"{self._read.path} page {number} of {self._read.paging.page_size}", page.charset)


def ask(client: Client, read: HttpRead, path: str, params: dict[str, str], number: int) -> tuple[Answer, Page]:
    """One page that says success.

    Raises:
        SourceUnreachableError, SourceRefusedError, SourceContentError: see `http_client` and `envelope`.
    """
    where, pages = page_name(client, read, number), list[Page]()
    answer = client.get(path, params, lambda answer: pages.append(judge(read, answer, where)))
    # A source has one encoding; a page that is mangled later on fails when it is read.
    if number == 1 and read.encoding is None and pages[-1].charset is None:
        check_utf8(answer, where)
    return answer, pages[-1]


def fixed_params(read: HttpRead, as_of: date) -> dict[str, str]:
    """The contract's own query parameters for a day, and the page's size."""
    params = {key: value.replace("{as_of}", as_of.isoformat()) for key, value in read.params.items()}
    if read.paging.size is not None:
        params[read.paging.size] = str(read.paging.page_size)
    return params


def page_name(client: Client, read: HttpRead, number: int) -> str:
    """A page, for errors."""
    return f"GET {client.base}{read.path}, page {number} (connection {read.connection})"


def judge(read: HttpRead, answer: Answer, where: str) -> Page:
    """What a page says.

    Raises:
        BusyError: it says "later".
        SourceRefusedError: it says no.
        SourceContentError: it is no page.
    """
    envelope = read.envelope
    heading = read.watermark.heading if read.watermark else None
    page = read_page(answer, envelope, where, read.paging, heading, read.encoding)
    if page.code in envelope.ok:
        return page
    code = page.code if re.fullmatch(r"[\w.-]{1,14}", page.code, re.ASCII) else answer.words(page.code, 40)
    why = f"{envelope.code} {code}: {answer.words(page.message)}"
    if page.code == "429" or (len(page.code) == 3 and page.code.startswith("5")):
        raise BusyError(why)
    if page.code in ("401", "403"):
        raise refused(read.connection, where, why, answer)
    raise BadRequestError(
        "the source answers with an error",
        where=where,
        why=why,
        remedy="look the code up in the interface's description; success is "
        f"{' or '.join(envelope.ok)} (`envelope.ok` of the contract)",
    )
