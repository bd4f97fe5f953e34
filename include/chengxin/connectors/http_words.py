"""Pages asked for by what the last answer held (styles `cursor` and `link`): a word, or the next page's URL."""

from __future__ import annotations

from requests.utils import parse_header_links

from chengxin.connectors.envelope import Page
from chengxin.connectors.http_client import Answer, BadRequestError
from chengxin.connectors.http_walk import Walk, WordExpired
from chengxin.connectors.intake import Cursor
from chengxin.errors import SourceContentError


class WordWalk(Walk):
    """A walk from word to word."""

    def to_the_end(self) -> None:
        """Keeps every page; see `Walk`."""
        going_on = bool(self._intake.cursor)
        while not self._intake.complete:
            try:
                self._next_page()
            except BadRequestError as error:
                if not going_on:
                    raise
                raise WordExpired(f"the source no longer knows where the fetch was cut off ({error.why})") from None
            going_on = False

    def _next_page(self) -> None:
        cursor = self._intake.cursor or self._beginning()
        number = cursor.get("page", 0) + 1
        where = self._where(number)
        path, params = self._place(cursor)
        answer, page = self._ask(path, params, number)
        received = cursor.get("received", 0) + page.records
        following = self._following(page, answer, cursor.get("next"), path, where)
        if following is None:
            adds_up(page, received, where)
        self._turned(page, answer.body, number, number - 1)
        kept: Cursor = {"page": number, "received": received, "total": page.total, "complete": following is None}
        if following is not None:
            kept["next"] = following
        self._intake.keep(answer.body, self._locator(number), self._marked(kept, cursor, page))
        self._before = page

    def _place(self, cursor: Cursor) -> tuple[str, dict[str, str]]:
        """Where the next page is asked for: path or URL, and query."""
        paging = self._read.paging
        if paging.style == "link" and "next" in cursor:
            return cursor["next"], {}
        params = self._params(cursor)
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


def _next_link(answer: Answer) -> str | None:
    """The URL of the header `Link` with `rel="next"` (RFC 8288)."""
    links = parse_header_links(answer.headers.get("Link", "")) if answer.headers.get("Link") else []
    return next((link["url"] for link in links if link.get("rel", "").lower() == "next" and link.get("url")), None)


def adds_up(page: Page, received: int, where: str) -> None:
    """Holds the records received in the end against the total.

    Raises:
        SourceContentError: they differ.
    """
    if page.total is None or page.total == received:
        return
    raise SourceContentError(
        f"{'truncated: ' if received < page.total else ''}{received:,} records received, but the total is "
        f"{page.total:,}",
        where=where,
        why="the source ended before its own total" if received < page.total else "pages overlap",
        remedy="the next run asks for it again; if it never adds up, ask the source's operator what its total counts",
    )
