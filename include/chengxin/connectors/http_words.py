"""Pages asked for by what the last answer held (styles `cursor` and `link`): a word, or the next page's URL.

A word that was met before in the walk leads round in a circle, for ever. The walk knows every word that it has met, and
the cursor takes the last few over a kill, so that a circle shows at the latest when it has been gone round once more.
"""

from __future__ import annotations

import hashlib
from typing import Any

from requests.utils import parse_header_links

from chengxin.connectors.envelope import Page
from chengxin.connectors.http_client import Answer, BadRequestError
from chengxin.connectors.http_walk import Walk, WordExpired
from chengxin.connectors.intake import Cursor
from chengxin.errors import MismatchError, SourceContentError

MET = 256
"""Words of which the cursor keeps a hash: it is written anew with every page."""


LONGEST = 4096
"""Characters of a word or URL: no server takes more in a request."""


class WordWalk(Walk):
    """A walk from word to word."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._met: set[str] = set(self._intake.cursor.get("met", ()))

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
        following = self._following(page, answer, path, where)
        if following is None or received > (page.total or received):
            adds_up(page, received, where)
        self._turned(page, answer.body, number, number - 1)
        kept: Cursor = {"page": number, "received": received, "total": page.total, "complete": following is None}
        if following is not None:
            hashed = _hashed(following)
            kept |= {"next": following, "met": [*cursor.get("met", ()), hashed][-MET:]}
            self._met.add(hashed)
        kept, body = self._marked(kept, cursor, page), answer.body
        self._intake.keep(body, self._locator(number, page), kept, page.listed(body))
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

    def _following(self, page: Page, answer: Answer, path: str, where: str) -> str | None:
        """The word or URL of the page after this one; None: this is the last."""
        paging = self._read.paging
        word = page.next if paging.next is not None else _next_link(answer)
        if word is None or not page.records:
            return None
        if len(word) > LONGEST:
            raise MismatchError(
                f"a word or URL of {len(word):,} characters",
                where=where,
                remedy="check `paging.next` of the contract: where the answer holds the word to ask on with",
            )
        following = self._client.same_origin(word, path, where) if paging.style == "link" else word
        if _hashed(following) in self._met:
            raise MismatchError(
                "the source does not move on: its next page is one that it has sent before",
                where=where,
                remedy="check `paging` of the contract: the parameter that takes the word, and where the answer has it",
            )
        return following


def _hashed(word: str) -> str:
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:16]


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
