"""A paged HTTP API, as sharing platforms (政务数据共享平台) serve it: page number and size, one JSON envelope a page.

A page is kept byte by byte as it came, once it has proved to be a whole one: the envelope's code says success, the list
of records is there, and no page before the last is shorter than asked. At the end the records received are the total
that the source announced. `chengxin.connectors.http_auth` describes the signature, `http_client` what is tried again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import msgspec

from chengxin.connectors.http_auth import authentication
from chengxin.connectors.http_client import Answer, BusyError, Client, refused, visible_words
from chengxin.connectors.intake import Intake
from chengxin.contracts import Contract, Envelope, HttpRead
from chengxin.errors import SourceContentError, SourceRefusedError
from chengxin.settings import House

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """What the envelope of one page says."""

    code: str
    message: str
    total: int | None
    """Records in all; None: the source does not say."""
    records: int
    """Records on this page."""


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
    """
    connection = house.connections(read.connection)
    client = Client(
        connection,
        authentication(read.auth, connection),
        timeout=read.timeout,
        tries=read.tries,
        sleep=sleep,
    )
    try:
        walk = _Walk(client, read, as_of, intake)
        try:
            walk.to_the_end()
        except _TotalChanged as change:
            logger.warning("%s: %s while it was read; reading it again from the first page", contract.name, change)
            intake.restart()
            try:
                walk.to_the_end()
            except _TotalChanged as again:
                intake.restart()
                raise SourceContentError(
                    f"{again} while the source was read, twice in a row",
                    where=f"GET {client.base}{read.path} (connection {read.connection})",
                    why="records move between pages while we turn them: some would be missed, others read twice",
                    remedy="harvest at an hour when the source stands still, or ask for a snapshot by day",
                ) from None
    finally:
        client.close()


class _TotalChanged(Exception):  # noqa: N818 - no error until it happens twice
    """The total differs from the one that earlier pages announced."""


class _Walk:
    def __init__(self, client: Client, read: HttpRead, as_of: date, intake: Intake) -> None:
        self._client, self._read, self._intake = client, read, intake
        self._params = {key: value.replace("{as_of}", as_of.isoformat()) for key, value in read.params.items()}

    def to_the_end(self) -> None:
        while not self._intake.complete:
            self._next_page()

    def _next_page(self) -> None:
        cursor, paging = self._intake.cursor, self._read.paging
        number = cursor.get("page", 0) + 1
        received, expected = cursor.get("received", 0), cursor.get("total")
        where = f"GET {self._client.base}{self._read.path}, page {number} (connection {self._read.connection})"
        pages: list[Page] = []
        answer = self._client.get(
            self._read.path,
            {**self._params, paging.page: str(number), paging.size: str(paging.page_size)},
            lambda answer: pages.append(self._judge(answer, where)),
        )
        page = pages[-1]
        if number > 1 and page.total != expected:
            raise _TotalChanged(f"the total went from {expected} to {page.total}")
        received += page.records
        last = _is_last(page, received, paging.page_size, where)
        # A server that does not know the page parameter sends its first page for ever.
        if page.records and self._intake.repeats(answer.body):
            raise SourceContentError(
                f"page {number} is page {number - 1} once more",
                where=where,
                remedy="check the names of the page parameters (`paging` of the contract)",
            )
        self._intake.keep(
            answer.body,
            f"{self._read.path} page {number} of {paging.page_size}",
            {"page": number, "received": received, "total": page.total, "complete": last},
        )

    def _judge(self, answer: Answer, where: str) -> Page:
        envelope = self._read.envelope
        page = read_page(answer, envelope, where)
        if page.code in envelope.ok:
            return page
        why = f"{envelope.code} {page.code}: {visible_words(page.message.encode())}"
        if page.code == "429" or (len(page.code) == 3 and page.code.startswith("5")):
            raise BusyError(why)
        if page.code in ("401", "403"):
            raise refused(self._read.connection, where, why, answer)
        raise SourceRefusedError(
            "the source answers with an error",
            where=where,
            why=why,
            remedy="look the code up in the interface's description; success is "
            f"{' or '.join(envelope.ok)} (`envelope.ok` of the contract)",
        )


def read_page(answer: Answer, envelope: Envelope, where: str) -> Page:
    """The envelope of a page; its records are counted, not read.

    Raises:
        SourceContentError: no JSON (a captcha, a login page, half an answer), or not the envelope of the contract.
    """
    try:
        top = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceContentError(
            "the answer is no JSON object",
            where=where,
            why=f"{answer.content_type}, {len(answer.body):,} bytes, {answer.words()} ({_short(error)})",
            remedy="a login or captcha page: agree on access with the publisher; half an answer: run it again",
        ) from None
    code = _at(top, envelope.code)
    if code is None:
        raise _not_the_envelope(f"no {envelope.code!r}; there are {', '.join(top)}", where)
    text = _text(code)
    message = _text(_at(top, envelope.message) or msgspec.Raw(b'""'))
    if text not in envelope.ok:
        return Page(text, message, None, 0)
    records = _at(top, envelope.records)
    if records is None:
        raise _not_the_envelope(f"no {envelope.records!r}; there are {', '.join(top)}", where)
    try:
        count = len(msgspec.json.decode(records, type=list[msgspec.Raw] | None) or ())
    except msgspec.DecodeError:
        raise _not_the_envelope(f"{envelope.records!r} is no list", where) from None
    return Page(text, message, None if envelope.total is None else _total(top, envelope.total, where), count)


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


def _at(value: dict[str, msgspec.Raw], dotted: str) -> msgspec.Raw | None:
    """The raw JSON at a dotted path; None where the path ends early."""
    *above, name = dotted.split(".")
    for part in above:
        if part not in value:
            return None
        try:
            value = msgspec.json.decode(value[part], type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            return None
    return value.get(name)


def _text(raw: msgspec.Raw) -> str:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) else bytes(raw).decode()


def _total(top: dict[str, msgspec.Raw], dotted: str, where: str) -> int:
    raw = _at(top, dotted)
    text = "" if raw is None else _text(raw)
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise _not_the_envelope(f"{dotted!r} is no number", where)
    return int(text)


def _short(error: BaseException) -> str:
    # A UnicodeDecodeError's own text repeats what it could not read.
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:80]


def _not_the_envelope(why: str, where: str) -> SourceContentError:
    return SourceContentError(
        "not the envelope that the contract describes",
        where=where,
        why=why,
        remedy="compare `envelope` of the contract with the interface's description",
    )


__all__: Sequence[str] = ("Page", "fetch", "read_page")
