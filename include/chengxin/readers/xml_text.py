"""XML, streamed: every element at the contract's path is a record.

A record's headings are the names of its attributes and of the elements inside it, without name spaces. An element that
holds elements arrives as JSON: a wrapper around equal ones as a list of objects, anything else as an object; so do
elements that repeat. A document with elements elsewhere that have a record's fields is refused: the contract's path
would leave records out. So is a document type, and with it every entity: no list of ours needs one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any
from xml.parsers.expat import ErrorString
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler

import defusedxml.sax
import pyarrow as pa
from defusedxml.common import DefusedXmlException

from chengxin.errors import SourceContentError
from chengxin.readers.decode import decoded
from chengxin.readers.raw import Raw
from chengxin.readers.rows import MAX_COLUMNS, PART, from_records
from chengxin.reads import FilesRead

MAX_RECORD = 8 << 20
"""Characters of one record, or of one tag, at most."""
MAX_DEPTH = 100
ALIKE, SHAPES = 2, 1_000
"""Fields that an element shares with the records at least, and half of its own, to look like one; and how many kinds of
elements outside of the records are kept in mind."""
ROWS = 10_000
"""Records held as Python objects at once."""
PIECE = 64 << 10
"""Characters given to the parser at once: what one step may bring in records."""

_DECLARATION = re.compile(r"^\s*<\?xml\b[^>]*\?>")


def batches(raw: Raw, read: FilesRead, headings: Iterable[str] = ()) -> Iterator[pa.RecordBatch]:
    """The records of a document.

    Args:
        raw: the file.
        read: how it is read.
        headings: those that the contract speaks of.

    Raises:
        SourceContentError: not in the contract's encoding, no well-formed XML, a document type, a record beyond
            `MAX_RECORD`, elements nested beyond `MAX_DEPTH`, no element at the path, or what looks like records beside
            it.
        DriftError: a heading that is a column of ours.
    """
    handler = _Handler(read.records.split("."))
    known = set(headings)
    waiting: list[dict[str, Any]] = []
    first = size = 0
    for record, characters in _records(raw, read, handler):
        waiting.append(record)
        if len(known) < MAX_COLUMNS:
            known.update(record)
        size += characters
        if len(waiting) == ROWS or size > PART:
            yield from_records(waiting, raw.sha256, raw.where, first_row=first)
            first, size, waiting = first + len(waiting), 0, []
    if waiting:
        yield from_records(waiting, raw.sha256, raw.where, first_row=first)
    _check_beside(handler.beside, known, raw, read)


def _check_beside(beside: Iterable[tuple[str, frozenset[str]]], known: set[str], raw: Raw, read: FilesRead) -> None:
    """Refuses a document that has records where they are not looked for."""
    for path, fields in beside:
        shared = len(fields & known)
        if shared >= ALIKE and 2 * shared >= len(fields):
            raise _bad(
                raw,
                f"elements {path!r} look like records",
                f"they have {shared} of a record's fields, but the contract's `records` is {read.records!r}",
            )


class _TooMuchError(Exception):
    """A record or a tag larger than any that is meant well."""


class _Handler(ContentHandler):
    """Builds records out of events; `done` is emptied by whoever feeds the parser."""

    def __init__(self, path: list[str]) -> None:
        super().__init__()
        self._path, self._open = path, list[str]()
        self._inside: list[tuple[dict[str, list[Any]], list[str]]] = []
        self._outside: list[set[str]] = []
        self._size = 0
        self.beside: dict[tuple[str, frozenset[str]], None] = {}
        """Path and fields of the elements that are no part of a record."""
        self.parents = 0
        self.events = 0
        self.done: list[tuple[dict[str, Any], int]] = []
        """Records, each with what it takes in characters."""

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 - SAX's name
        self.events += 1
        if len(self._open) >= MAX_DEPTH:
            raise _TooMuchError(f"elements nested more than {MAX_DEPTH} deep")
        name = name.rpartition(":")[2]
        self._open.append(name)
        self.parents += self._open == self._path[:-1]
        if not self._inside:
            if self._outside and len(self._outside[-1]) < MAX_COLUMNS:
                self._outside[-1].add(name)
            if self._open != self._path:
                self._outside.append({key.rpartition(":")[2] for key in attrs.getNames()})
        if self._inside or self._open == self._path:
            fields: dict[str, list[Any]] = {}
            for key, value in attrs.items():
                if key != "xmlns" and not key.startswith("xmlns:"):
                    fields.setdefault(key.rpartition(":")[2], []).append(value)
                    self._grow(len(key) + len(value))
            self._inside.append((fields, []))
            self._grow(len(name))

    def characters(self, content: str) -> None:
        self.events += 1
        if self._inside:
            self._inside[-1][1].append(content)
            self._grow(len(content))

    def endElement(self, name: str) -> None:  # noqa: N802 - SAX's name
        self.events += 1
        if not self._inside:
            fields = frozenset(self._outside.pop())
            above = self._open == self._path[: len(self._open)]
            if len(fields) >= ALIKE and not above and len(self.beside) < SHAPES:
                self.beside[".".join(self._open), fields] = None
            self._open.pop()
            return
        own = self._open.pop()
        values, texts = self._inside.pop()
        if self._inside:
            self._inside[-1][0].setdefault(own, []).append(_value(values, texts))
            return
        text = "".join(texts).strip()
        if text:
            values.setdefault("text", []).append(text)
        record = {key: found[0] if len(found) == 1 else found for key, found in values.items()}
        self.done.append((record, self._size))
        self._size = 0

    def _grow(self, by: int) -> None:
        # Each piece costs memory of its own, even an empty one.
        self._size += by + 16
        if self._size > MAX_RECORD:
            raise _TooMuchError(f"a record of more than {MAX_RECORD >> 20} million characters")


def _value(fields: dict[str, list[Any]], texts: list[str]) -> Any:
    text = "".join(texts).strip()
    if not fields:
        return text or None
    # A wrapper: <applicants><applicant>…</applicant><applicant>…</applicant></applicants>.
    if len(fields) == 1 and not text:
        (only,) = fields.values()
        if all(isinstance(value, dict) for value in only):
            return only
    whole: dict[str, Any] = {key: values[0] if len(values) == 1 else values for key, values in fields.items()}
    return {**whole, "text": text} if text and "text" not in whole else whole


def _records(raw: Raw, read: FilesRead, handler: _Handler) -> Iterator[tuple[dict[str, Any], int]]:
    parser = defusedxml.sax.make_parser()
    parser.forbid_dtd = True
    parser.setContentHandler(handler)
    since, events, at = 0, 0, 0
    try:
        for piece in _pieces(raw, read):
            parser.feed(piece)
            at += len(piece)
            # A tag that does not end is held by the parser, and would be scanned anew with each piece.
            since, events = (since + len(piece), events) if handler.events == events else (0, handler.events)
            if since > MAX_RECORD:
                raise _TooMuchError(f"a tag of more than {MAX_RECORD >> 20} million characters")
            yield from handler.done
            handler.done.clear()
        parser.close()
    except DefusedXmlException:
        raise _bad(raw, "a document type", "it could make the reader expand entities without end, or fetch") from None
    except _TooMuchError as error:
        raise _bad(raw, "XML that is too large", f"{error}, about character {at:,}") from None
    except SAXParseException as error:
        place = f"line {error.getLineNumber() or 0:,}, column {error.getColumnNumber() or 0:,}"
        raise _bad(raw, "no well-formed XML", f"{_cause(error)}, {place}") from None
    except (SAXException, ValueError, AssertionError) as error:
        raise _bad(raw, "no well-formed XML", type(error).__name__) from None
    if not handler.parents and len(read.records.split(".")) > 1:
        raise _bad(raw, f"no element {read.records.rpartition('.')[0]!r}", "the contract's `records` leads through it")
    yield from handler.done


def _pieces(raw: Raw, read: FilesRead) -> Iterator[str]:
    """The text in small pieces, without the declaration: we decode, so the encoding that it states is no matter."""
    texts = decoded(raw.chunks(), read.encoding, raw.where)
    head = next(texts, "")
    for text in chain([_DECLARATION.sub(lambda found: "\n" * found[0].count("\n"), head)], texts):
        for start in range(0, len(text), PIECE):
            yield text[start : start + PIECE]


def _cause(error: SAXParseException) -> str:
    """The parser's own words, which never quote the document."""
    code = getattr(error.getException(), "code", None)
    return ErrorString(code) or "unknown" if isinstance(code, int) else "malformed"


def _bad(raw: Raw, what: str, why: str) -> SourceContentError:
    return SourceContentError(
        what, where=raw.where, why=why, remedy="compare `records` and `encoding` of the contract, and ask the sender"
    )
