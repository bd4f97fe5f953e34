"""Pages asked for by their number (style `page`), and how records that move between them are noticed.

A page's number is a place in a list, and the list may change while its pages are turned: a record that moves over the
border between the pages read and those still to be read comes twice, or never. Where the total differs from one page to
the next, that is seen at once. It does not where as many go as come between two requests, or where a record only
changes its place, as an update does in a list that is sorted by time, or in a database that nobody told to sort.

So a walk of three pages and more reads the last page second and lets it wait in the archive for its turn, and a walk of
more than one page ends with another look at the first: one request more, whatever the number of pages. What happens
between two requests shows like this:

- A record comes in front of those read while one goes from those unread, or moves from there to the front (newest
  first): the last record of a page stands on the next one too, and the first page differs.
- A record goes from those read while one is added at the end, or moves there from those read (oldest first, or no order
  at all): the first record of the last page, read long ago, stands on the page before it too.
- As many go and come, within the first page and beyond it, or the order is another one at each request: the first page
  differs.
- A fetch was cut off and goes on hours later: the page kept last is asked for again first, and differs if anything went
  over the border behind it.

Records are compared under the headings that the contract does not ignore, so that no time stamp in the envelope and no
serial number under `ignore` passes for a change. A source may list a record twice by right: where one stands on both
sides of a border, the side that was read first is asked for again. If it is what it was, the source is doubled and has
not moved, and its other borders say nothing, but for that of the last page. A page that differs starts the walk over,
once.

What cannot be seen without asking for every page twice: between two requests, a record goes from a page read, but not
from the first, and another comes on a page unread, but not on the last. Then the record at the border is missed until
the next harvest. What comes, goes or changes within the pages read and moves nothing over a border is no fault: it is
what the source says a moment later.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from requests.structures import CaseInsensitiveDict

from chengxin.connectors.envelope import Page
from chengxin.connectors.http_client import Answer
from chengxin.connectors.http_walk import SourceMoved, Walk, judge
from chengxin.connectors.intake import Cursor
from chengxin.errors import MismatchError, SourceContentError
from chengxin.readers.raw import AtHand

logger = logging.getLogger(__name__)


class PageWalk(Walk):
    """A walk by the pages' numbers."""

    _doubled = False

    def to_the_end(self) -> None:
        """Keeps every page; see `Walk`."""
        if self._intake.cursor and not self._intake.complete:
            self._hold_against_last_kept()
        while not self._intake.complete:
            self._read_last_ahead()
            self._next_page()

    def _hold_against_last_kept(self) -> None:
        """A fetch that was cut off goes on only if the page before the cut is still what it was."""
        number = self._intake.cursor["page"]
        if self._intake.ahead() is None:
            self._intake.cursor.pop("ahead", None)
        self._before = self._archived(self._intake.kept(-1), number)
        if not self._stands(number, self._before):
            raise SourceMoved(f"page {number} is no longer what it was before the fetch was cut off")

    def _read_last_ahead(self) -> None:
        cursor = self._intake.cursor
        number = self._last_number(cursor)
        if number is None or cursor["page"] >= number - 1 or "ahead" in cursor:
            return
        answer, page = self._ask_page(cursor, number)
        self._same_total(page, cursor["total"])
        self._turned(page, answer.body, number, cursor["page"])
        self._fits_the_end(page, number)
        self._intake.put(answer.body, _declared(cursor, cursor, page))

    def _next_page(self) -> None:
        cursor, size = self._intake.cursor or self._beginning(), self._read.paging.page_size
        number = cursor.get("page", 0) + 1
        body = self._intake.ahead() if number == self._last_number(cursor) else None
        ahead = body is not None
        if body is None:
            answer, page = self._ask_page(cursor, number)
            body = answer.body
        else:
            page = self._archived(body, number)
        received = cursor.get("received", 0) + page.records
        if number > 1:
            self._same_total(page, cursor["total"])
        last = is_last(page, received, size, self._where(number))
        if number > 1:
            self._turned(page, body, number, number - 1)
            self._border(page, number, ahead=ahead)
            if last:
                self._first_again()
        kept: Cursor = {"page": number, "received": received, "total": page.total, "complete": last}
        if "ahead" in cursor and not last:
            kept["ahead"] = cursor["ahead"]
        kept = _declared(self._marked(kept, cursor, page), cursor, page)
        if ahead:
            at_hand = AtHand(body, page.listed(body))
            self._intake.take(cursor["ahead"], len(body), self._locator(number, page), kept, at_hand)
        else:
            self._intake.keep(body, self._locator(number, page), kept, page.listed(body))
        self._before = page

    def _ask_page(self, cursor: Cursor, number: int) -> tuple[Answer, Page]:
        paging = self._read.paging
        params = self._params(cursor) | {paging.page: str(number - 1 + paging.first)}
        return self._ask(self._read.path, params, number)

    def _last_number(self, cursor: Cursor) -> int | None:
        """The number of the last page, where it is worth reading ahead; None: it is not, or nobody knows."""
        if not cursor.get("page") or cursor.get("total") is None:
            return None
        number = -(-int(cursor["total"]) // self._read.paging.page_size)
        return number if number > 2 else None

    def _archived(self, body: bytes, number: int) -> Page:
        declared = f"application/json; charset={self._intake.cursor.get('charset', 'utf-8')}"
        return judge(
            self._read, Answer(200, CaseInsensitiveDict({"Content-Type": declared}), body), self._where(number)
        )

    def _same_total(self, page: Page, expected: int | None) -> None:
        if page.total != expected:
            raise SourceMoved(f"the total went from {expected} to {page.total} while it was read")

    def _border(self, page: Page, number: int, *, ahead: bool) -> None:
        """What stands on both sides of the border to the page before has moved, or stands there twice by right."""
        before = self._before
        if before is None or not page.rows or not before.rows or (self._doubled and not ahead):
            return
        # The last page, read first, may be shorter than what moved: it is sought for the other way too.
        if before.rows[-1] not in page.rows and not (ahead and page.rows[0] in before.rows):
            return
        read_first, one = (number, page) if ahead else (number - 1, before)
        if not self._stands(read_first, one):
            raise SourceMoved(f"a record went over the border of pages {number - 1} and {number} while it was read")
        logger.info("%s: the same record on pages %d and %d", self._contract.name, number - 1, number)
        self._doubled = True

    def _first_again(self) -> None:
        if not self._stands(1, self._archived(self._intake.kept(0), 1)):
            raise SourceMoved("page 1 was another one when the last page had been read")

    def _stands(self, number: int, page: Page) -> bool:
        """Whether a page that was read is still what it was."""
        cursor = self._intake.cursor
        _, now = self._ask_page(cursor, number)
        self._same_total(now, cursor["total"])
        return alike(page.rows, now.rows, self._contract.ignore)

    def _fits_the_end(self, page: Page, number: int) -> None:
        expected = (page.total or 0) - (number - 1) * self._read.paging.page_size
        if page.records == expected:
            return
        raise SourceContentError(
            f"{'truncated: ' if page.records < expected else ''}{page.records:,} records on the last page, "
            f"where the total of {page.total:,} leaves {expected:,}",
            where=self._where(number),
            remedy="the next run asks for it again; if it never fits, ask the source's operator what its total counts, "
            "and how far its pages can be turned",
        )


def _declared(kept: Cursor, cursor: Cursor, page: Page) -> Cursor:
    """A new cursor with the encoding that some page has declared: archived pages are looked at again."""
    charset = page.charset or cursor.get("charset")
    return kept if charset is None else {**kept, "charset": charset}


def alike(some: Sequence[msgspec.Raw], others: Sequence[msgspec.Raw], ignored: Sequence[str]) -> bool:
    """Whether two lists of records say the same under every heading that is not ignored."""
    if list(some) == list(others):
        return True
    if len(some) != len(others):
        return False
    try:
        return all(_read(one, ignored) == _read(other, ignored) for one, other in zip(some, others, strict=True))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _read(record: msgspec.Raw, ignored: Sequence[str]) -> Any:
    value = msgspec.json.decode(record)
    return {key: one for key, one in value.items() if key not in ignored} if isinstance(value, dict) else value


def is_last(page: Page, received: int, size: int, where: str) -> bool:
    """Whether a page is the last one.

    Args:
        page: the page.
        received: records so far, its own included.
        size: records that were asked for.
        where: for errors.

    Raises:
        SourceContentError: it is too short, too long, or one too many.
    """
    if page.records > size:
        raise MismatchError(
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
