"""JSON records that all look alike, taken apart by the places of their quotation marks.

Most pages of an interface are one list of flat objects with the same keys in the same order. Of such a list every
value's place follows from the places of the quotation marks, so that the columns are cut out of the bytes as they are:
no object is made for a value, and no other thread waits meanwhile. The grammar has been proved before by a reader of
JSON that looks at every byte. A list that looks otherwise is not touched here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_COLON, _QUOTE, _BACKSLASH, _MINUS, _BRACE = b':"\\-{'
_NO_SCALAR = np.ones(256, bool)
"""Bytes that stand in no number, nor in true, false and null."""
_NO_SCALAR[list(b"0123456789+-.eEtrufalsn")] = False
_MANY = 4
"""At most one value in so many may hold a backslash: these are read one by one."""

_Bytes = npt.NDArray[np.uint8]
_Places = npt.NDArray[np.int64]


class _Style(NamedTuple):
    """What stands between the parts of a list of objects."""

    colon: bytes
    comma: bytes
    record: bytes


_DENSE = _Style(b":", b",", b"},{")
_SPACED = _Style(b": ", b", ", b"}, {")


class _Values(NamedTuple):
    """All values of a list, one record after the other."""

    text: pa.Array
    """Values at 0, 2, 4 …; what stands between them at 1, 3, 5 …"""
    null: npt.NDArray[np.bool_]
    escaped: _Places
    """Numbers of the values with a backslash."""


def columns(listed: memoryview, headings: Sequence[str]) -> dict[str, pa.Array] | None:
    """The columns of a list of records, as text; a number as it is written.

    Args:
        listed: the list, of proved grammar (UTF-8 aside).
        headings: those that the records may have.

    Returns:
        Heading → values, in the order of `headings`, without those that no record has. None: the list is not of the
        kind that is read here.
    """
    data = np.frombuffer(listed, np.uint8)
    if len(data) > np.iinfo(np.int32).max or bytes(data[:3]) != b'[{"' or bytes(data[-2:]) != b"}]":
        return None
    quotes = np.flatnonzero(data == _QUOTE)
    is_slash = data == _BACKSLASH
    slashes = np.flatnonzero(is_slash) if is_slash.any() else np.empty(0, np.int64)
    if len(slashes):
        # Beyond these, a value may hold a NUL or half a character.
        if (data[slashes + 1] == ord("u")).any():
            return None
        quotes = _bare(data, quotes, slashes)
    opens, closes = quotes[0::2], quotes[1::2]
    key_at = np.flatnonzero(data[closes + 1] == _COLON)
    key_opens, key_closes = opens[key_at], closes[key_at]
    style = _SPACED if data[closes[0] + 2] == ord(" ") else _DENSE
    keys = _keys(data, key_opens, key_closes, style)
    if keys is None or not set(keys) <= set(headings):
        return None
    # Between two keys stands one text, or none.
    texts = np.diff(key_at, append=len(opens)) - 1
    behind = closes.take(key_at + 1, mode="clip") + 1
    values = _values(data, key_opens, key_closes, texts, behind, slashes, len(keys), style)
    if values is None:
        return None
    place = {key: number for number, key in enumerate(keys)}
    try:
        return _columns(values, {heading: place[heading] for heading in headings if heading in place}, len(keys))
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None  # not UTF-8


def _bare(data: _Bytes, quotes: _Places, slashes: _Places) -> _Places:
    """The quotation marks that no backslash takes away: those behind an even number of them."""
    behind = np.flatnonzero(data[quotes - 1] == _BACKSLASH)
    starts = slashes[np.diff(slashes, prepend=-2) != 1]
    run = starts[np.searchsorted(starts, quotes[behind]) - 1]
    return np.delete(quotes, behind[(quotes[behind] - run) % 2 == 1])


def _keys(data: _Bytes, opens: _Places, closes: _Places, style: _Style) -> list[str] | None:
    """The keys of a record, if all records have the same in the same order, and the same between their parts."""
    first = np.flatnonzero(data[opens - 1] == _BRACE)
    width = int(first[1]) if len(first) > 1 else len(opens)
    if not width or len(opens) % width or not np.array_equal(first, np.arange(0, len(opens), width)):
        return None
    starts, ends = opens.reshape(-1, width), (closes + 1 + len(style.colon)).reshape(-1, width)
    keys = [bytes(data[start + 1 : end]) for start, end in zip(starts[0], closes[:width], strict=True)]
    if len(set(keys)) < width or not all(keys) or any(b"\\" in key for key in keys):
        return None
    before = [style.record, *[style.comma] * (width - 1)]
    parts = [b'%b"%b"%b' % (sign, key, style.colon) for sign, key in zip(before, keys, strict=True)]
    if bytes(data[: ends[0, 0]]) != b"[{" + parts[0][len(style.record) :]:
        return None
    if not _stand(data, ends[:1, 1:], parts[1:]) or not _stand(data, ends[1:], parts):
        return None
    try:
        return [key.decode() for key in keys]
    except UnicodeDecodeError:
        return None


def _stand(data: _Bytes, places: _Places, parts: Sequence[bytes]) -> bool:
    """Whether right before each place stands the text of its column."""
    for ends, part in zip(places.T, parts, strict=True):
        # Every stretch of the bytes that is as long as the text.
        stretches = np.ndarray((len(data) - len(part) + 1,), f"V{len(part)}", data, strides=(1,))
        if stretches[ends - len(part)].tobytes() != part * len(ends):
            return False
    return True


def _values(
    data: _Bytes,
    opens: _Places,
    closes: _Places,
    texts: _Places,
    behind: _Places,
    slashes: _Places,
    width: int,
    style: _Style,
) -> _Values | None:
    """The values, if every one is a text, a number, true, false or null.

    Args:
        data: the list.
        opens, closes: the quotation marks of each value's key.
        texts: how many texts stand between that key and the next.
        behind: where the first of them ends, its quotation mark included.
        slashes: the backslashes.
        width: values of one record.
        style: what stands between them.
    """
    count = len(opens)
    starts = closes + (1 + len(style.colon))
    is_text = data[starts] == _QUOTE
    if (texts != is_text).any():
        return None
    ends = np.append(opens[1:], len(data) - 2 + len(style.record)) - len(style.comma)
    ends[width - 1 :: width] += len(style.comma) - len(style.record)
    if (is_text & (ends != behind)).any():
        return None
    starts += is_text
    ends -= is_text
    bounds = np.empty(2 * count, np.int32)
    bounds[0::2], bounds[1::2] = starts, ends
    text = pa.StringArray.from_buffers(2 * count - 1, pa.py_buffer(bounds), pa.py_buffer(data))
    null = np.zeros(count, bool)
    bare = np.flatnonzero(~is_text)
    if len(bare):
        words, lengths = text.take(pa.array(2 * bare)), (ends - starts)[bare]
        written = np.frombuffer(words.buffers()[2], np.uint8)[: int(lengths.sum())]
        first, second = data[starts[bare]], data[starts[bare] + 1]
        # Minus nought, if it is a whole number, loses its sign with the other reader.
        if _NO_SCALAR[written].any() or ((lengths == 2) & (first == _MINUS) & (second == ord("0"))).any():
            return None
        null[bare] = first == ord("n")
    escaped = np.unique(np.searchsorted(starts, slashes, side="right") - 1)
    return _Values(text, null, escaped) if len(escaped) * _MANY <= count else None


def _columns(values: _Values, places: dict[str, int], width: int) -> dict[str, pa.Array]:
    """The columns at these places of a record: all cut out at once, one after the other.

    Raises:
        ArrowInvalid, UnicodeDecodeError: not UTF-8.
    """
    wanted = list(places.values())
    null = values.null.reshape(-1, width).T[wanted].reshape(-1)
    rows = len(values.null) // width
    at = (2 * (np.arange(rows) * width + np.array(wanted)[:, None])).reshape(-1)
    cut = values.text.take(pa.array(at, mask=null if null.any() else None))
    cut.validate(full=True)
    found = {heading: cut.slice(number * rows, rows) for number, heading in enumerate(places)}
    for heading, place in places.items():
        escaped = values.escaped[values.escaped % width == place] // width
        if len(escaped):
            found[heading] = _unescaped(found[heading], escaped)
    return found


def _unescaped(column: pa.Array, escaped: _Places) -> pa.Array:
    """The column with what the values at these rows mean, instead of how they are written."""
    which = np.zeros(len(column), bool)
    which[escaped] = True
    written = column.filter(pa.array(which)).cast(pa.binary()).to_pylist()
    meant = msgspec.json.decode(b'["' + b'","'.join(written) + b'"]', type=list[str])
    return pc.replace_with_mask(column, pa.array(which), pa.array(meant, pa.string()))
