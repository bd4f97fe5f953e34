"""Citizens' numbers (公民身份号码, GB 11643): where a column holds them, and how they are hidden from people.

They are looked for as people write them: in full-width digits, in groups parted by spaces, hyphens or dashes, anywhere
in a text. Columns are searched as bytes; only the few values that may hold a number are looked at one by one, by
patterns. The 18-digit number proves itself by its check character. The 15-digit one of before 1999 has none: see
`old_numbers`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chengxin import identity
from chengxin.arrays import TEXT, Bools, Ints, content, mask

_NEW, _OLD = 18, 15
_SPACE, _HYPHEN, _X = b" -X"
_FULL_WIDTH = 0xEF
_WIDEST = 10
"""Bytes from a digit to the next of the same number: three signs may stand between them, of three bytes each."""

_PARTS = identity.BLANKS + identity.DASHES
_APART = f"[{_PARTS}]{{1,3}}"
_BETWEEN = f"[{_PARTS}]{{0,3}}"
_PROVINCES = np.zeros(100, bool)
_PROVINCES[[*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66)]] = True
_PROVINCES[[71, 81, 82, 83, 91]] = True


def _spaced(*parts: str) -> str:
    return _BETWEEN.join(parts)


_DIGIT = r"\d"
_MONTH_DAY = "(?:{})".format(
    "|".join(
        _spaced(*month, *day)
        for month in (("0", "[1-9]"), ("1", "[0-2]"))
        for day in (("0", "[1-9]"), ("[12]", _DIGIT), ("3", "[01]"))
    )
)
_AREA = _spaced("[1-9]", *[_DIGIT] * 5)
_YEAR = "(?:{}|{})".format(_spaced("1", "9", _DIGIT, _DIGIT), _spaced("2", "0", _DIGIT, _DIGIT))
_NEW_SHAPE = _spaced(_AREA, _YEAR, _MONTH_DAY, *[_DIGIT] * 3, r"[\dXx]")
_OLD_SHAPE = rf"(^|\D){_spaced(_AREA, _DIGIT, _DIGIT, _MONTH_DAY, *[_DIGIT] * 3)}(\D|$)"
_PHONE = r"\b1[3-9]\d{9}\b"
_SHORTEST = 11
"""Digits of the shortest of them, a mobile phone's number."""


def holding(text: pa.Array) -> Bools:
    """Which values hold an 18-digit citizen's number, however it is written.

    Args:
        text: values of type `arrays.TEXT`.
    """
    found = np.zeros(len(text), bool)
    suspects = _suspects(text)
    if len(suspects):
        found[suspects] = _holding(_told_apart(text.take(pa.array(suspects))))
    return found


def old_numbers(codes: pa.Array) -> Bools:
    """Which values are a citizen's number of 15 digits, rather than a registration number (注册号) of 15 digits.

    Both begin with an area. A citizen's goes on with the day of birth (yymmdd). A registration number ends with a check
    digit (工商行政管理市场主体注册号编制规则, 工商办字〔2007〕79号: ISO 7064 MOD 11,10), which a citizen's number
    bears in one case of ten, by chance. A number that could be either counts as a registration number here: running
    numbers of a district look like days of birth by the thousand, and an alarm that is mostly wrong is soon looked at
    by nobody. Neither gets into the lake, which takes no 15 digits for a code, and `hide` stars both.
    """
    found = np.zeros(len(codes), bool)
    folded = _told_apart(codes)
    digits = pc.replace_substring(folded, " ", "")
    fits = np.flatnonzero(mask(pc.match_substring_regex(digits, rf"^\d{{{_OLD}}}$")))
    if len(fits):
        bare = digits.take(pa.array(fits)).cast(TEXT)
        number = content(bare).reshape(-1, _OLD).astype(np.int64) - 48
        born = identity.real_days(1900 + number[:, 6] * 10 + number[:, 7], _two(number, 8), _two(number, 10))
        found[fits] = _PROVINCES[_two(number, 0)] & born & ~_registration(number)
    return found


def hide(values: pa.Array) -> pa.Array:
    """Values for people to look at: what has the shape of a citizen's number or of a mobile phone is starred."""
    shown = pc.utf8_normalize(values, form="NFKC")
    # Arrow's library makes each pattern anew at each call, which takes longer than using it.
    rows = mask(pc.greater_equal(pc.count_substring_regex(shown, "[0-9]"), _SHORTEST))
    if not rows.any():
        return shown
    named = shown.filter(pa.array(rows))
    # The old number twice, since the sign after one number may be the sign before the next.
    for shape, stars in (
        (_NEW_SHAPE, "*" * _NEW),
        (_OLD_SHAPE, rf"\1{'*' * _OLD}\2"),
        (_OLD_SHAPE, rf"\1{'*' * _OLD}\2"),
        (_PHONE, "*" * _SHORTEST),
    ):
        named = pc.replace_substring_regex(named, shape, stars)
    return pc.replace_with_mask(shown, pa.array(rows), named)


def _suspects(text: pa.Array) -> Ints:
    """The values that may hold such a number: 17 digits with little between them, or a full-width digit."""
    data, ends = content(text), _ends(text)
    if not len(data) or np.diff(ends, prepend=0).max() < _NEW:
        return np.empty(0, np.int64)
    found = np.zeros(len(text), bool)
    at = np.flatnonzero((data - np.uint8(48)) < 10)
    if len(at) >= _NEW - 1:
        gap, after = np.diff(at), data[at[:-1] + 1]
        near = (gap == 1) | ((gap <= _WIDEST) & ((after == _SPACE) | (after == _HYPHEN) | _strange(after)))
        # How many digits stand before the end of each value; between two values nothing is near.
        before = np.searchsorted(at, ends)
        near[before[(before > 0) & (before < len(at))] - 1] = False
        runs = np.flatnonzero(_runs(near, _NEW - 2))
        found = np.diff(np.searchsorted(runs, before), prepend=0) > 0 if len(runs) else found
    wide = np.flatnonzero(data[:-2] == _FULL_WIDTH)
    wide = wide[(data[wide + 1] == 0xBC) & ((data[wide + 2] - np.uint8(0x90)) < 10)]
    found[_row(ends, wide)] = True
    return np.flatnonzero(found)


def _ends(text: pa.Array) -> Ints:
    """Where each value ends in the array's `content`."""
    offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    return offsets[1:] - offsets[0]


def _row(ends: Ints, at: Ints) -> Ints:
    """The values in which bytes stand."""
    return np.searchsorted(ends, at, side="right").astype(np.int64)


def _strange(after: npt.NDArray[np.uint8]) -> Bools:
    """First bytes of the signs beyond ASCII that part groups, and of few Chinese characters."""
    return (after == 0xE2) | (after == 0xE3) | (after == 0xC2) | (after == _FULL_WIDTH)


def _runs(near: Bools, length: int) -> Bools:
    """Where a run of so many True begins, for each place that has so many after it."""
    total = np.concatenate(([0], np.cumsum(near)))
    return np.asarray(total[length:] - total[:-length] == length)


def _told_apart(text: pa.Array) -> pa.Array:
    """Plain digits, one space for what parts the groups of a number, capitals."""
    data = content(text)
    if not (data >= 128).any():
        # Long running numbers fill whole columns: they are as they should be.
        if not ((data == _SPACE) | (data == _HYPHEN) | (data == ord("x"))).any():
            return text
    else:
        text = pc.utf8_normalize(text, form="NFKC")
    return pc.replace_substring_regex(pc.utf8_upper(text), _APART, " ")


def _holding(text: pa.Array) -> Bools:
    """`holding`, over values that `_told_apart` made."""
    # A sign before each value parts it from the one before.
    text = pc.binary_join_element_wise(pa.scalar("|", TEXT), pc.fill_null(text.cast(TEXT), ""), pa.scalar("", TEXT))
    data = content(text)
    digit = (data - np.uint8(48)) < 10
    at = np.flatnonzero(digit | (data == _X))
    found = np.zeros(len(text), bool)
    if len(at) < _NEW:
        return found
    gap = np.diff(at)
    near = (gap == 1) | ((gap == 2) & (data[at[:-1] + 1] == _SPACE))
    # A number begins where no digit stands right before it, and has no X but at its end.
    begins = (digit[at] & ~digit[at - 1])[: 1 - _NEW]
    first = np.flatnonzero(begins & _runs(near, _NEW - 1) & _runs(digit[at[:-1]], _NEW - 1))
    places = at[first[:, None] + np.arange(_NEW)]
    codes = data[places]
    person = identity.is_person(codes)
    # In groups, it may be several numbers after one another: the area has to be one too.
    apart = places[:, -1] - places[:, 0] >= _NEW
    person &= ~apart | _PROVINCES[_two(codes.astype(np.int64) - 48, 0)]
    found[_row(_ends(text), places[person, 0])] = True
    return found


def _two(digits: npt.NDArray[Any], place: int) -> Ints:
    return np.asarray(digits[:, place] * 10 + digits[:, place + 1], np.int64)


def _registration(number: Ints) -> Bools:
    """Which of (rows, 15) digits pass the check of a registration number."""
    left = np.full(len(number), 10, np.int64)
    for place in range(_OLD - 1):
        rest = (left + number[:, place]) % 10
        left = np.where(rest == 0, 10, rest) * 2 % 11
    return np.asarray((left + number[:, _OLD - 1]) % 10 == 1)
