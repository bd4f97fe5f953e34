"""Text to typed values, a column at a time.

Each reader takes an Arrow array of cleaned text and gives the typed array and a problem code per value (0: none). A
value that cannot be read becomes null and a problem, never a guess. Null stays null, without a problem.

Dates are Beijing dates. A stamp with a zone is turned into Beijing's; one without is Beijing's already. The shapes and
sentinels are those met in shared government data (`domain.md` C4, G).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chengxin import identity, moments, persons
from chengxin.arrays import NULL, TEXT, Bools, Ints, Problems, content, mask

OK, UNREADABLE, UNKNOWN_WORD, GARBLED, TOO_LONG, PERSONAL_ID, NORMALISED, PASSED, NESTED, CODE = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
)
"""Problem codes. Two come with a value: `NORMALISED`, a valid code that came in another form, and `PASSED`, a word that
a lookup does not have and lets pass. `CODE` + n: the n-th of `identity.REASONS`."""
PERSON_AS_CODE = CODE + identity.REASONS.index("IS_PERSONAL_ID")

TEXT_LIMIT = 4_000
"""Characters in one cell; more is no field of a record but a file in the wrong place."""

YES = ("是", "1", "true", "t", "yes", "y", "有", "√")
NO = ("否", "0", "false", "f", "no", "n", "无", "×")

_TOO_MUCH = pa.scalar(Decimal(10**14) - Decimal("0.01"), pa.decimal128(28, 8))
"""Amounts of 15 digits and more before the point, in whatever unit."""
_SHEET_ERROR = r"#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|SPILL!|CALC!)"
"""A formula's error, which is saved as its value and goes on into whatever is made of the sheet, CSV too."""
_NUMBER = r"^[+-]?(\d{1,14}(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?$"


def clean(column: pa.Array, nulls: Sequence[str] = ()) -> pa.Array:
    """The column's text without white space around it and without control characters; null words become null."""
    text = column if column.type == TEXT else column.cast(TEXT)
    data = content(text)
    if ((data < 32) | (data == 127)).any():
        text = pc.replace_substring_regex(text, "[\x00-\x1f\x7f]+", " ")
    text = pc.utf8_trim_whitespace(text)
    empty = pc.is_in(text, value_set=pa.array(["", *nulls], TEXT))
    return pc.if_else(empty, NULL, text) if pc.any(empty).as_py() else text


def texts(column: pa.Array) -> tuple[pa.Array, Problems]:
    """Text as it is. A replacement character (a wrong encoding), a spreadsheet's error in the place of a value, an
    over-long cell, a list or an object in the place of a text, or a citizen's number in it are problems, and the value
    is withheld."""
    problems = np.zeros(len(column), np.int8)
    data = content(column)
    written = data.tobytes()
    if b"\xef\xbf\xbd" in written:
        problems[mask(pc.match_substring(column, "\ufffd"))] = GARBLED
    if b"#" in written:
        problems[mask(pc.match_substring_regex(column, _SHEET_ERROR))] = GARBLED
    if len(data) > TEXT_LIMIT:
        problems[mask(pc.greater(pc.utf8_length(column), TEXT_LIMIT))] = TOO_LONG
    # One bit is all that "[" and "{" differ by.
    opened = np.flatnonzero((data | np.uint8(32)) == ord("{"))
    if len(opened):
        problems[_nested(column, opened)] = NESTED
    problems[persons.holding(column)] = PERSONAL_ID
    return _without(column, problems), problems


def _nested(column: pa.Array, opened: Ints) -> Ints:
    """The values that are a list or an object as JSON writes it; `opened`: where brackets open in `content`."""
    ends = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    starts = ends[:-1] - ends[0]
    rows = np.searchsorted(starts, opened, side="right") - 1
    rows = np.unique(rows[starts[rows] == opened])
    found = []
    for row, text in zip(rows.tolist(), column.take(pa.array(rows)).to_pylist(), strict=True):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            msgspec.json.decode(text, type=dict | list)
            found.append(row)
    return np.array(found, np.int64)


def codes(column: pa.Array) -> tuple[pa.Array, Problems]:
    """Credit codes in their normal form (`identity.check`); an empty value is no problem here.

    What is no code and holds a citizen's number, be it among words or of 15 digits, has the problem of one.
    """
    checked = identity.check_arrow(column)
    words = pa.array(identity.REASONS, TEXT)
    place = pc.fill_null(pc.index_in(checked["reason"].combine_chunks(), value_set=words), -1)
    reason = place.to_numpy(zero_copy_only=False).astype(np.int8)
    problems = np.where(reason >= 0, reason + CODE, OK).astype(np.int8)
    problems[reason == identity.REASONS.index("EMPTY")] = OK
    wrong = np.flatnonzero(problems)
    if len(wrong):
        told = column.take(pa.array(wrong))
        problems[wrong[persons.holding(told) | persons.old_numbers(told)]] = PERSON_AS_CODE
    normal = checked["normalized"].combine_chunks()
    problems[mask(pc.not_equal(normal, column))] = NORMALISED
    return normal, problems


def dates(column: pa.Array) -> tuple[pa.Array, Problems]:
    """Beijing dates, from YYYY-MM-DD, YYYY/M/D, YYYY.M.D, YYYY年M月D日, YYYYMMDD, a stamp of any of these with a time
    (with or without a zone), an Excel serial, or an epoch in seconds or milliseconds. Sentinels become null."""
    return _by_word(column, _dates)


def timestamps(column: pa.Array) -> tuple[pa.Array, Problems]:
    """Instants in UTC, from the same shapes; without a zone the time is Beijing's, without a time it is 0:00."""
    instants, bad = moments.timestamps(column)
    return instants, _unreadable(bad)


def integers(column: pa.Array) -> tuple[pa.Array, Problems]:
    """Whole numbers of 32 bits; thousands separators and a fraction of zeros are allowed."""
    try:
        return pc.cast(column, pa.int32()), np.zeros(len(column), np.int8)
    except pa.ArrowInvalid:
        return _by_word(column, _integers)


def numbers(column: pa.Array) -> tuple[pa.Array, Problems]:
    """Finite floating-point numbers."""
    return _by_word(column, _numbers)


def money(column: pa.Array, unit: str) -> tuple[pa.Array, Problems]:
    """Yuan as decimal(20, 2), rounded half away from zero.

    Args:
        column: amounts in `unit`; one that names its own unit (`500万元`) is read in that.
        unit: 元 or 万元.
    """
    wide = pa.decimal128(28, 8)
    problems = np.zeros(len(column), np.int8)
    factor: Any = pa.scalar(10_000 if unit == "万元" else 1, pa.decimal128(5, 0))
    try:
        amount = pc.cast(column, wide)
    except pa.ArrowInvalid:
        text = _plain(pc.replace_substring_regex(pc.utf8_normalize(column, form="NFKC"), r"^(人民币|[¥¥])\s*", ""))
        text = pc.replace_substring_regex(text, r"\((万元|万|元)(?:人民币)?元?\)$", r"\1")
        shape = pc.extract_regex(text, r"^(?P<amount>[^万元]*?)\s*(?P<unit>万元|万|元)?(?:人民币元?)?$")
        own = pc.fill_null(pc.struct_field(shape, "unit"), "")
        amount_text = pc.if_else(pc.is_valid(shape), pc.struct_field(shape, "amount"), text)
        readable = pc.fill_null(pc.match_substring_regex(amount_text, _NUMBER), False)
        problems[mask(pc.and_(pc.is_valid(column), pc.invert(readable)))] = UNREADABLE
        amount_text = pc.if_else(readable, amount_text, NULL)
        amount = _decimal(amount_text, wide)
        problems[mask(pc.and_(readable, pc.is_null(amount)))] = UNREADABLE
        factors = np.where(mask(pc.equal(own, "元")), 1, np.where(mask(pc.starts_with(own, "万")), 10_000, 0))
        factors[factors == 0] = factor.as_py()
        factor = pa.array(factors).cast(pa.decimal128(19, 0)).cast(pa.decimal128(5, 0))
    extremes = pc.min_max(amount)
    if pc.any(pc.greater_equal(pc.abs(pa.array([extremes["min"], extremes["max"]], wide)), _TOO_MUCH)).as_py():
        # More digits than any amount has: a number of something else, be it of a person.
        fits = pc.less(pc.abs(amount), _TOO_MUCH)
        problems[mask(pc.invert(fits))] = UNREADABLE
        amount = pc.if_else(fits, amount, pa.scalar(None, wide))
    yuan = pc.round(pc.multiply(amount, factor), ndigits=2, round_mode="half_towards_infinity")
    return yuan.cast(pa.decimal128(20, 2)), problems


def booleans(column: pa.Array) -> tuple[pa.Array, Problems]:
    """是/否, 1/0, true/false and their like."""
    words = pc.utf8_lower(pc.utf8_normalize(column, form="NFKC"))
    place = pc.index_in(words, value_set=pa.array([*YES, *NO], TEXT))
    problems = np.where(mask(pc.and_(pc.is_valid(column), pc.is_null(place))), UNKNOWN_WORD, OK).astype(np.int8)
    return pc.less(place, len(YES)), problems


def look_up(
    column: pa.Array, table: Mapping[str, str | bool | int | None], *, strict: bool
) -> tuple[pa.Array, Problems]:
    """Source words → ours, still as text. A word that is neither in the table nor one of ours passes (`PASSED`); with
    `strict` it is a problem, and so is a word of ours that the table does not name."""
    place = pc.index_in(column, value_set=pa.array(list(table), TEXT))
    ours = pa.array([None if word is None else _word(word) for word in table.values()], TEXT)
    known = pc.is_valid(place)
    found = pc.if_else(known, ours.take(place), NULL if strict else column)
    problems = np.zeros(len(column), np.int8)
    if not pc.all(known).as_py():
        foreign = pc.and_(pc.is_valid(column), pc.invert(known))
        if not strict:
            foreign = pc.and_(foreign, pc.invert(pc.is_in(column, value_set=ours.drop_null())))
        problems[mask(foreign)] = UNKNOWN_WORD if strict else PASSED
    return found, problems


def _word(value: str | bool | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without(column: pa.Array, problems: Problems) -> pa.Array:
    return pc.if_else(pa.array(problems == OK), column, NULL) if problems.any() else column


def _by_word(column: pa.Array, read: Any) -> tuple[pa.Array, Problems]:
    """Reads each distinct value once: days, years and amounts repeat."""
    words = column.dictionary_encode()
    values, problems = read(words.dictionary)
    place = words.indices.fill_null(0).to_numpy(zero_copy_only=False)
    spread = problems[place] if len(problems) else np.zeros(len(column), np.int8)
    if column.null_count:
        spread = np.where(mask(column.is_null()), OK, spread).astype(np.int8)
    return values.take(words.indices), spread


def _plain(text: pa.Array) -> pa.Array:
    """A number's text without spaces, and without commas where they part thousands: elsewhere one may be a point."""
    text = pc.replace_substring_regex(pc.utf8_normalize(text, form="NFKC"), r"\s", "")
    grouped = pc.match_substring_regex(text, r"^[^\d,.]*\d{1,3}(,\d{3})+([^\d,][^,]*)?$")
    return pc.if_else(grouped, pc.replace_substring(text, ",", ""), text)


def _integers(words: pa.Array) -> tuple[pa.Array, Problems]:
    text = pc.replace_substring_regex(_plain(words), r"\.0*$", "")
    fits = pc.match_substring_regex(text, r"^[+-]?\d{1,10}$")
    bare = pc.utf8_ltrim(text, characters="+")
    value = pc.cast(pc.if_else(fits, bare, NULL), pa.int64())
    fits = pc.and_(fits, pc.fill_null(pc.less(pc.abs(value), 2**31), False))
    problems = np.where(mask(fits), OK, UNREADABLE).astype(np.int8)
    return pc.if_else(fits, value, pa.scalar(None, pa.int64())).cast(pa.int32()), problems


def _numbers(words: pa.Array) -> tuple[pa.Array, Problems]:
    text = _plain(words)
    fits = pc.match_substring_regex(text, _NUMBER)
    bare = pc.utf8_ltrim(text, characters="+")
    value = pc.cast(pc.if_else(fits, bare, NULL), pa.float64())
    return value, np.where(mask(fits), OK, UNREADABLE).astype(np.int8)


def _decimal(text: pa.Array, kind: pa.DataType) -> pa.Array:
    # More than 8 decimals, or an exponent, would not fit the decimal type: 15 digits of a double serve for those.
    awkward = pc.match_substring_regex(text, r"[eE]|\.\d{9,}$")
    exact = pc.cast(pc.utf8_ltrim(pc.if_else(awkward, NULL, text), characters="+"), kind)
    if not pc.any(awkward).as_py():
        return exact
    double = pc.cast(pc.utf8_ltrim(pc.if_else(awkward, text, NULL), characters="+"), pa.float64())
    small = pc.if_else(pc.less(pc.abs(double), 1e14), double, pa.scalar(None, pa.float64()))
    return pc.coalesce(exact, pc.cast(pc.round(small, ndigits=8), kind, safe=False))


def _dates(words: pa.Array) -> tuple[pa.Array, Problems]:
    days, bad = moments.dates(words)
    return days, _unreadable(bad)


def _unreadable(bad: Bools) -> Problems:
    return np.where(bad, UNREADABLE, OK).astype(np.int8)
