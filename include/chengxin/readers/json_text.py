"""JSON: one page of an HTTP API, the rows of a database batch, a whole document that is read piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from chengxin.errors import SourceContentError
from chengxin.readers import regular
from chengxin.readers.decode import decoded, not_utf8, utf8
from chengxin.readers.raw import Raw
from chengxin.readers.rows import PART, Repeated, batch, from_records, pieces, texts
from chengxin.reads import FilesRead

MAX_RECORD = 8 << 20
"""Characters of one record at most."""
ROWS = 10_000
"""Records that are held as Python objects at once, of a document."""

# Whole numbers stay exact as they are; any other keeps the digits it was written with.
_values = msgspec.json.Decoder(float_hook=str)


def page(
    bytes_of: Callable[[], bytes],
    sha256: str,
    records: str,
    headings: Sequence[str],
    where: str,
    encoding: str | None = None,
    place: slice | None = None,
) -> Iterator[pa.RecordBatch]:
    """The records of one page, `records` being the dotted path to their list, `headings` those that may be expected.

    Args:
        bytes_of: the page.
        sha256: the raw object that it is.
        records, headings: see above.
        where: for errors.
        encoding: the page's; None: UTF-8.
        place: where the list stands (`raw.AtHand.listed`); None: it is looked for.

    Raises:
        SourceContentError: not in its encoding (None: UTF-8), no JSON, no list there, or more than one.
    """
    data = utf8(bytes_of(), encoding, where)
    path = tuple(records.split("."))
    listed = _listed(path, data, place)
    expected = None
    if listed is not None:
        expected = _regular(listed, headings, sha256) or _expected(path, tuple(headings), data, sha256, listed)
    if expected is None and _repeats(data):
        elements = list(_Reader(iter([data.decode()]), where).elements(path))
        expected = from_records(elements, sha256, where) if elements else None
    if expected is not None:
        yield from pieces(expected)
        return
    found = _decode(data, where)
    for name in path:
        found = found.get(name, msgspec.UNSET) if isinstance(found, dict) else msgspec.UNSET
    # A quiet day of many a platform: no empty list, but null.
    if found is None:
        return
    if not isinstance(found, list):
        raise SourceContentError(f"no list at {records!r}", where=where, remedy="compare `envelope` of the contract")
    if found:
        yield from pieces(from_records(found, sha256, where, may_hold_nul=_may_hold_nul(data)))


def lines(bytes_of: Callable[[], bytes], sha256: str, where: str) -> Iterator[pa.RecordBatch]:
    """The rows of a database batch, one JSON object a line.

    Raises:
        SourceContentError: a line is no JSON.
    """
    data = bytes_of()
    try:
        rows = _values.decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(error, data, where) from None
    if rows:
        yield from pieces(from_records(rows, sha256, where, may_hold_nul=_may_hold_nul(data)))


def document(raw: Raw, read: FilesRead) -> Iterator[pa.RecordBatch]:
    """The records of a document: a list, or an object with the list at the contract's `records`.

    Raises:
        SourceContentError: not in the contract's encoding, no JSON, cut off, no list there, or more than one.
    """
    stream = decoded(raw.chunks(), read.encoding, raw.where)
    reader = _Reader(stream, raw.where)
    waiting: list[Any] = []
    first = since = 0
    for record in reader.elements(read.records.split(".") if read.records else []):
        waiting.append(record)
        if len(waiting) == ROWS or reader.at - since > PART:
            yield from_records(waiting, raw.sha256, raw.where, first_row=first)
            first, since, waiting = first + len(waiting), reader.at, []
    if waiting:
        yield from_records(waiting, raw.sha256, raw.where, first_row=first)


def _listed(path: tuple[str, ...], data: bytes, place: slice | None = None) -> memoryview | None:
    """What stands at the path, of proved grammar; None: nothing, no JSON, or more than one."""
    if place is not None:
        found = memoryview(data)[place]
    else:
        try:
            inside = _level(path, msgspec.Raw).decode(data)
            for _ in path:
                inside = inside.c0
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        found = memoryview(inside)
    # Of two lists under the same key the decoder takes the last: the other one stands before it.
    return found if data.count(b'"%b"' % path[-1].encode(), 0, len(data) - found.nbytes) <= 1 else None


def _regular(listed: memoryview, headings: Sequence[str], sha256: str) -> pa.RecordBatch | None:
    """The records, where `regular` can read them: most pages, and other threads work meanwhile."""
    columns = regular.columns(listed, headings)
    return batch(columns, sha256) if columns else None


def _expected(
    path: tuple[str, ...], headings: tuple[str, ...], data: bytes, sha256: str, listed: memoryview
) -> pa.RecordBatch | None:
    """The records, where all of them are objects without other headings: in half the time.

    None: anything else, an empty list and what is no JSON included, and where a key may stand twice in an object.
    """
    try:
        found = _decoder(path, headings).decode(data)
        for _ in path:
            found = found.c0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    problems: dict[int, str] = {}
    may_hold_nul = _may_hold_nul(data)
    columns = {}
    keys = 0
    for place, heading in enumerate(headings):
        values = list(map(attrgetter(f"c{place}"), found))
        there = len(values) - values.count(msgspec.UNSET)
        if there:
            keys += there + _keys(values)
            columns[heading] = texts(values, may_hold_nul, heading, problems)
    # Seldom does a text hold these signs. Of a key that stands twice the decoder keeps one.
    if bytes(listed).count(b'":') != keys:
        return None
    return batch(columns, sha256, problems=problems) if columns else None


@lru_cache(maxsize=64)
def _decoder(path: tuple[str, ...], headings: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    fields = {f"c{place}": heading for place, heading in enumerate(headings)}
    kind: Any = msgspec.defstruct(
        "Record",
        [(field, Any, msgspec.UNSET) for field in fields],
        rename=fields,
        forbid_unknown_fields=True,
        # Values of JSON form no cycles.
        gc=False,
    )
    return _level(path, list[kind])


@lru_cache(maxsize=64)
def _level(path: tuple[str, ...], kind: Any) -> msgspec.json.Decoder[Any]:
    """A decoder of what stands at a path; everything beside it is looked through and left aside."""
    for name in reversed(path):
        kind = msgspec.defstruct("Level", [("c0", kind)], rename={"c0": name})
    return msgspec.json.Decoder(kind, float_hook=str)


def _repeats(data: bytes) -> bool:
    """Whether some object has a key twice, of which a decoder silently keeps the last; False for what is no JSON."""
    try:
        # As above: three times as fast as the exact look.
        if data.count(b'":') == _keys(_values.decode(data)):
            return False
        json.loads(data, object_pairs_hook=_distinct)
    except _RepeatedError:
        return True
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return False


def _keys(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum(_keys(inner) for inner in value.values() if type(inner) is dict or type(inner) is list)
    if type(value) is list:
        return sum(_keys(inner) for inner in value if type(inner) is dict or type(inner) is list)
    return 0


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise _RepeatedError


class _RepeatedError(Exception):
    """A key stands twice in an object."""


def _may_hold_nul(data: bytes) -> bool:
    # A single byte is found ten times as fast, and most pages hold no backslash at all.
    return b"\\" in data and b"\\u0000" in data


def _decode(data: bytes, where: str) -> Any:
    try:
        return _values.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(error, data, where) from None


def _no_json(error: Exception, data: bytes, where: str) -> SourceContentError:
    # A UnicodeDecodeError's own text repeats the bytes around the place.
    why, remedy = not_utf8(data) or (str(error)[:120], "look at the raw object, and ask the publisher")
    return SourceContentError("no JSON", where=where, why=why, remedy=remedy)


class _Incomplete(Exception):  # noqa: N818 - asks for more text
    """What stands in the buffer may go on in the next chunk."""


class _Reader:
    """Walks a JSON document of any length with only a window of it in memory."""

    def __init__(self, chunks: Iterator[str], where: str) -> None:
        self._chunks, self._where = chunks, where
        self._text, self._at, self._gone = "", 0, 0
        self._repeated = False
        self._scan = json.JSONDecoder(
            parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=self._object
        ).raw_decode

    @property
    def at(self) -> int:
        """Characters read."""
        return self._gone + self._at

    def elements(self, path: Sequence[str]) -> Iterator[Any]:
        """The elements of the list at the path, then a look at the rest: a document that is cut off says so."""
        yield from self._descend(list(path))
        if self._peek():
            raise self._bad("something stands behind the end of the document")

    def _descend(self, path: list[str]) -> Iterator[Any]:
        if not path:
            yield from self._list()
            return
        name, found = path[0], False
        self._take("{", f"no object where {name!r} should be")
        if self._peek() == "}":
            self._at += 1
        else:
            while True:
                key = self._value()
                self._take(":", "no colon after a key")
                if key == name:
                    if found:
                        raise self._bad(f"the key {name!r} twice: which of them holds the records cannot be known")
                    found = True
                    yield from self._descend(path[1:])
                else:
                    self._value()
                if self._comma_or("}"):
                    break
        if not found:
            raise self._bad(f"no key {name!r}")

    def _list(self) -> Iterator[Any]:
        self._take("[", "no list where the records should be")
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            value = self._value()
            yield Repeated(value) if self._repeated and isinstance(value, dict) else value
            if self._comma_or("]"):
                return

    def _comma_or(self, end: str) -> bool:
        sign = self._peek()
        if sign not in (",", end) or not sign:
            raise self._bad(f"neither a comma nor {end!r}" if sign else "the document is cut off")
        self._at += 1
        return sign == end

    def _take(self, sign: str, otherwise: str) -> None:
        found = self._peek()
        if found != sign:
            raise self._bad(otherwise if found else "the document is cut off")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n":
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _value(self) -> Any:
        if not self._peek():
            raise self._bad("the document is cut off")
        while True:
            self._repeated = False
            try:
                value, end = self._scan(self._text, self._at)
                if end == len(self._text) and self._more():
                    # A number at the edge of the window may have more digits.
                    continue
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > MAX_RECORD:
                    raise self._bad(f"a value of more than {MAX_RECORD >> 20} million characters, or no JSON") from None
                if not self._more(at_least=len(self._text) - self._at):
                    raise self._bad(error.msg) from None
            except (RecursionError, ValueError) as error:
                raise self._bad(f"a value that cannot be read ({type(error).__name__})") from None
            else:
                self._at = end
                return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        self._repeated = self._repeated or len(made) < len(pairs)
        return made

    def _more(self, at_least: int = 1) -> bool:
        """Takes in more text, twice what is there so that a long value is not scanned again for each chunk."""
        added = []
        size = 0
        while size < at_least and (chunk := next(self._chunks, None)) is not None:
            added.append(chunk)
            size += len(chunk)
        if not added:
            return False
        self._gone += self._at
        self._text, self._at = self._text[self._at :] + "".join(added), 0
        return True

    def _bad(self, why: str) -> SourceContentError:
        return SourceContentError(
            "no JSON as the contract describes it",
            where=f"{self._where}, character {self.at + 1:,}",
            why=why,
            remedy="compare `records` of the contract; a document that is cut off must be sent once more",
        )
