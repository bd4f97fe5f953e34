"""The 18-character unified social credit code (GB 32100-2015), and names as keys. Vectorised: no loop over rows.

A code has five parts: registering body (1), class of organisation (2), area of the registrar (3-8), organisation code
(9-17, GB 11714) and check character (18). `check` says for each value whether it is such a code and, if not, why, by
the first of `REASONS` that fits. Nothing is corrected in silence, and nothing invalid is echoed: what is no credit
code may be a citizen's number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""The 31 characters of a code, by value: no I, O, S, V, Z."""

REASONS = (
    "EXCEL_MANGLED",
    "EMPTY",
    "IS_PERSONAL_ID",
    "IS_REGNO_15",
    "IS_REGNO_13",
    "BAD_LENGTH",
    "BAD_ALPHABET",
    "BAD_CLASS",
    "BAD_CHECK",
)
"""Why a value is no code, in the order of the tests."""

CLASSES = {
    "1": "1239",
    "2": "19",
    "3": "123459",
    "4": "19",
    "5": "1239",
    "6": "129",
    "7": "129",
    "8": "19",
    "9": "123",
    "A": "19",
    "N": "1239",
    "Y": "1",
}
"""Registering body → classes of organisation it registers."""

KINDS = {"91": "企业", "92": "个体工商户", "93": "农民专业合作社"}
"""Kind of subject by the first two characters; other codes are no market subjects."""

_LENGTH = 18
_WEIGHTS = np.array([pow(3, i, 31) for i in range(17)], dtype=np.int32)
_CHECK_BYTES = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_NONE = 99
_VALUE = np.full(256, _NONE, dtype=np.uint8)
_VALUE[_CHECK_BYTES] = np.arange(31, dtype=np.uint8)
_CLEAN = np.zeros(256, dtype=bool)
_CLEAN[np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", dtype=np.uint8)] = True
_PAIR = np.zeros((256, 256), dtype=bool)
for _body, _kinds in CLASSES.items():
    for _kind in _kinds:
        _PAIR[ord(_body), ord(_kind)] = True

# ISO 7064 MOD 11-2, as in the citizen's number (GB 11643).
_PERSON_WEIGHTS = np.array([pow(2, 17 - i, 11) for i in range(17)], dtype=np.int32)
_PERSON_CHECK = np.frombuffer(b"10X98765432", dtype=np.uint8)
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int32)

_ORG_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int32)
_ORG_CHECK = np.frombuffer(b"0123456789X", dtype=np.uint8)

_SPACE = r"\t-\r\x1c- \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
BLANKS = _SPACE + r"\x{200b}-\x{200f}\x{2060}\x{feff}"
"""White space and zero-width characters, and `DASHES`: what a pattern puts between square brackets."""
DASHES = r"\-\x{2010}-\x{2015}\x{2212}\x{ad}"
_BLANK = f"[{BLANKS}]+"
_MANGLED = r"^\d+(\.\d*(E[+\-\x{2212}]?\d+)?|E[+\-\x{2212}]\d+)$"

_NOTHING = pa.scalar("", pa.large_string())
_OK = -1
_CODE = {reason: number for number, reason in enumerate(REASONS)}


def check(codes: pd.Series[Any]) -> pd.DataFrame:
    """Judges each value as a credit code.

    Args:
        codes: values as the source gave them: text, or numbers where a spreadsheet made them so.

    Returns:
        A frame with the index of `codes`: `normalized` (the code in its normal form, null unless valid), `valid`,
        and `reason` (one of `REASONS`, null where valid).
    """
    table = check_arrow(_text(codes))
    frame = pd.DataFrame(
        {
            "normalized": _to_series(table["normalized"]),
            "valid": table["valid"].to_numpy(),
            "reason": _to_series(table["reason"]),
        }
    )
    frame.index = codes.index
    return frame


def check_arrow(codes: pa.Array) -> pa.Table:
    """`check` over an Arrow array of text: a table of `normalized`, `valid`, `reason` in the same order."""
    count = len(codes)
    reason = np.full(count, _OK, dtype=np.int8)
    clean = _clean(codes)
    clean_rows = np.flatnonzero(clean)
    clean_values = codes.filter(pa.array(clean))
    reason[clean_rows] = _judge_bytes(_bytes(clean_values, _LENGTH))
    if len(clean_rows) == count:
        normal = codes
    else:
        slow_rows = np.flatnonzero(~clean)
        slow_values, reason[slow_rows] = _judge_text(codes.filter(pa.array(~clean)))
        order = np.empty(count, dtype=np.int64)
        order[clean_rows] = np.arange(len(clean_rows))
        order[slow_rows] = len(clean_rows) + np.arange(len(slow_rows))
        normal = pa.concat_arrays([clean_values, slow_values]).take(pa.array(order))
    valid = pa.array(reason == _OK)
    words = pa.DictionaryArray.from_arrays(pa.array(reason, mask=reason == _OK), pa.array(REASONS, pa.large_string()))
    return pa.table(
        {
            "normalized": pc.if_else(valid, normal, pa.scalar(None, pa.large_string())),
            "valid": valid,
            "reason": words.cast(pa.large_string()),
        }
    )


def kind(codes: pd.Series[Any]) -> pd.Series[Any]:
    """The kind of subject that a valid code stands for, by its first two characters; null for other bodies."""
    prefix = pc.utf8_slice_codeunits(_text(codes), 0, 2)
    place = pc.index_in(prefix, value_set=pa.array(list(KINDS), pa.large_string()))
    result = _to_series(pa.array(list(KINDS.values()), pa.large_string()).take(place))
    result.index = codes.index
    return result


def organisation_code_fits(codes: pd.Series[Any]) -> npt.NDArray[np.bool_]:
    """Whether the organisation code inside each valid credit code (9-17) passes its own check (GB 11714).

    A warning at most: some early individual businesses carry one that does not. False for what is no 18 characters.
    """
    text = pc.fill_null(_text(codes), "")
    fits = np.zeros(len(text), dtype=bool)
    clean = _clean(text)
    fits[clean] = _organisation_check(_bytes(text.filter(pa.array(clean)), _LENGTH)[:, 8:17])
    return fits


def check_organisation(codes: pd.Series[Any]) -> pd.DataFrame:
    """Judges each value as an old organisation code (组织机构代码, GB 11714), as `74218321-3` in some lists.

    Returns:
        A frame like that of `check`; reasons EMPTY, BAD_LENGTH, BAD_ALPHABET, BAD_CHECK. A valid one may be joined to
        characters 9-17 of a credit code.
    """
    text = _without_dashes(_fold(pc.fill_null(_text(codes), "")))
    reason = np.full(len(text), _OK, dtype=np.int8)
    nine = pc.equal(pc.binary_length(text), 9).to_numpy(zero_copy_only=False)
    empty = pc.equal(text, "").to_numpy(zero_copy_only=False)
    body = _bytes(text.filter(pa.array(nine)), 9)
    verdict = np.where(_organisation_check(body), _OK, _CODE["BAD_CHECK"]).astype(np.int8)
    verdict[~_CLEAN[body].all(axis=1)] = _CODE["BAD_ALPHABET"]
    characters = pc.utf8_length(text).to_numpy(zero_copy_only=False)
    reason[characters != 9] = _CODE["BAD_LENGTH"]
    reason[characters == 9] = _CODE["BAD_ALPHABET"]
    reason[nine] = verdict
    reason[empty] = _CODE["EMPTY"]
    valid = reason == _OK
    words = pa.DictionaryArray.from_arrays(pa.array(reason, mask=valid), pa.array(REASONS, pa.large_string()))
    return pd.DataFrame(
        {
            "normalized": _to_series(pc.if_else(pa.array(valid), text, pa.scalar(None, pa.large_string()))),
            "valid": valid,
            "reason": _to_series(words.cast(pa.large_string())),
        }
    ).set_axis(codes.index)


# Unified ideographs, capitals and digits: NFKC and upper case change none of them.
_PLAIN_NAME = r"^[\x{4E00}-\x{9FFF}A-Z0-9()（）]+$"


def name_key(names: pd.Series[Any]) -> pd.Series[Any]:
    """Names for exact comparison: NFKC, one kind of bracket, no white space, upper case; an empty name is null."""
    result = _to_series(name_key_arrow(_text(names)))
    result.index = names.index
    return result


def name_key_arrow(names: pa.Array) -> pa.Array:
    """`name_key` over an Arrow array of text."""
    # Most names are of characters that folding leaves alone, full-width brackets aside: a tenth of the time.
    plain = pc.fill_null(pc.match_substring_regex(names, _PLAIN_NAME), True)
    easy = pc.replace_substring(pc.replace_substring(names, "（", "("), "）", ")")
    if pc.all(plain).as_py() is not False:
        return easy
    hard = pc.invert(plain)
    return pc.replace_with_mask(easy, hard, _folded_names(names.filter(hard)))


def _folded_names(names: pa.Array) -> pa.Array:
    folded = _fold(names)
    # Signs that nobody sees, as those that turn the direction of writing: a name with one is still that name.
    folded = pc.replace_substring_regex(folded, r"\p{Cf}+", "")
    folded = pc.replace_substring_regex(folded, r"[〔【\[{〈《]", "(")
    folded = pc.replace_substring_regex(folded, r"[〕】\]}〉》]", ")")
    return pc.if_else(pc.equal(folded, ""), pa.scalar(None, pa.large_string()), folded)


def complete(first17: Sequence[str]) -> list[str]:
    """Appends the check character to each.

    Args:
        first17: the first 17 characters of codes.

    Raises:
        ValueError: one is not 17 characters of `ALPHABET`.
    """
    text = pa.array(first17, pa.large_string())
    if len(text) == 0:
        return []
    if not pc.all(pc.equal(pc.binary_length(text), 17)).as_py():
        raise ValueError("a code without its check character has 17 characters")
    values = _VALUE[_bytes(text, 17)]
    if (values == _NONE).any():
        raise ValueError(f"a code is written in {ALPHABET}")
    check_characters = pa.array(list(ALPHABET), pa.large_string()).take(pa.array(_check_values(values)))
    return pc.binary_join_element_wise(text, check_characters, _NOTHING).to_pylist()


def mask(code: str) -> str:
    """A code for the eyes of others: its first and last four characters. What is no 18 characters shows nothing."""
    return f"{code[:4]}{'*' * 10}{code[-4:]}" if len(code) == _LENGTH else "*" * len(code)


def mask_all(codes: pd.Series[Any]) -> pd.Series[Any]:
    """`mask` for each; null stays null."""
    text = _text(codes)
    stars = pa.scalar("*" * 10, pa.large_string())
    shown = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(text, 0, 4), stars, pc.utf8_slice_codeunits(text, 14, 18), _NOTHING
    )
    hidden = pc.replace_substring_regex(text, ".", "*")
    result = _to_series(pc.if_else(pc.equal(pc.utf8_length(text), _LENGTH), shown, hidden))
    result.index = codes.index
    return result


def _text(values: pd.Series[Any]) -> pa.Array:
    """The values as one Arrow array of text."""
    series = values if isinstance(values.dtype, pd.StringDtype) else values.astype("string")
    array = pa.Array.from_pandas(series, type=pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _to_series(array: pa.Array | pa.ChunkedArray) -> pd.Series[Any]:
    return pd.Series(pd.array(array, dtype=pd.StringDtype("pyarrow", na_value=np.nan)))


def _bytes(text: pa.Array, width: int) -> npt.NDArray[np.uint8]:
    """The bytes of texts that all have `width` of them, as (rows, width); no copy."""
    if len(text) == 0:
        return np.empty((0, width), dtype=np.uint8)
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int64)
    start = int(offsets[text.offset])
    return np.frombuffer(text.buffers()[2], dtype=np.uint8, offset=start, count=len(text) * width).reshape(-1, width)


def _clean(text: pa.Array) -> npt.NDArray[np.bool_]:
    """Which values are 18 plain upper-case letters and digits: normalising them changes nothing."""
    clean = pc.fill_null(pc.equal(pc.binary_length(text), _LENGTH), False).to_numpy(zero_copy_only=False).copy()
    rows = np.flatnonzero(clean)
    clean[rows] = _CLEAN[_bytes(text.filter(pa.array(clean)), _LENGTH)].all(axis=1)
    return clean


def _fold(text: pa.Array) -> pa.Array:
    """NFKC, without white space and zero-width characters, upper case."""
    return pc.utf8_upper(pc.replace_substring_regex(pc.utf8_normalize(text, form="NFKC"), _BLANK, ""))


def _without_dashes(text: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(text, f"[{DASHES}]+", "")


def _judge_text(text: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int8]]:
    """Normalises, then judges, values that need it: their normal form, and their reason (-1: none)."""
    folded = _fold(pc.fill_null(text, ""))
    mangled = pc.match_substring_regex(folded, _MANGLED).to_numpy(zero_copy_only=False)
    normal = _without_dashes(folded)
    length = pc.utf8_length(normal).to_numpy(zero_copy_only=False)
    width = pc.binary_length(normal).to_numpy(zero_copy_only=False)
    digits = pc.match_substring_regex(normal, r"^[0-9]+$").to_numpy(zero_copy_only=False)
    reason = np.full(len(text), _CODE["BAD_LENGTH"], dtype=np.int8)
    reason[length == _LENGTH] = _CODE["BAD_ALPHABET"]
    plain = (length == _LENGTH) & (width == _LENGTH)
    reason[plain] = _judge_bytes(_bytes(normal.filter(pa.array(plain)), _LENGTH))
    reason[digits & (length == 15)] = _CODE["IS_REGNO_15"]
    reason[digits & (length == 13)] = _CODE["IS_REGNO_13"]
    reason[length == 0] = _CODE["EMPTY"]
    reason[mangled] = _CODE["EXCEL_MANGLED"]
    return normal, reason


def _judge_bytes(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """The reason of each of (rows, 18) ASCII bytes in normal form; -1: a valid code."""
    values = _VALUE[codes]
    alphabet = (values != _NONE).all(axis=1)
    check_fits = alphabet & (_check_values(values[:, :17]) == values[:, 17])
    area = (codes[:, 2:8] <= ord("9")).all(axis=1)
    pair = _PAIR[codes[:, 0], codes[:, 1]]
    reason = np.full(len(codes), _OK, dtype=np.int8)
    reason[~check_fits] = _CODE["BAD_CHECK"]
    reason[~(pair & area)] = _CODE["BAD_CLASS"]
    reason[~alphabet] = _CODE["BAD_ALPHABET"]
    suspects = np.flatnonzero(~check_fits & (codes[:, :17] <= ord("9")).all(axis=1))
    reason[suspects[is_person(codes[suspects])]] = _CODE["IS_PERSONAL_ID"]
    return reason


def _check_values(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """The value of the check character over (rows, 17) values; the outer modulus turns 31 into 0."""
    total = np.zeros(len(values), dtype=np.int32)
    for place, weight in enumerate(_WEIGHTS):
        total += values[:, place].astype(np.int32) * weight
    return ((31 - total % 31) % 31).astype(np.int32)


def is_person(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of (rows, 18) bytes, 17 digits first, are citizens' numbers: a birth date, and a check that fits.

    Any day of 1900 to 2099 is plausible: there is no clock here, and a number too many hidden does no harm.
    """
    digit = codes[:, :17].astype(np.int32) - ord("0")
    year = digit[:, 6] * 1000 + digit[:, 7] * 100 + digit[:, 8] * 10 + digit[:, 9]
    born = real_days(year, digit[:, 10] * 10 + digit[:, 11], digit[:, 12] * 10 + digit[:, 13])
    fits: npt.NDArray[np.bool_] = _PERSON_CHECK[digit @ _PERSON_WEIGHTS % 11] == codes[:, 17]
    return born & fits


def real_days(year: npt.NDArray[Any], month: npt.NDArray[Any], day: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which are days of 1900 to 2099; months and days are numbers of at most two digits."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = _MONTH_DAYS[np.where(month <= 12, month, 0)] + (leap & (month == 2))
    return np.asarray((year >= 1900) & (year <= 2099) & (day >= 1) & (day <= last))


def _organisation_check(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of (rows, 9) bytes of letters and digits are organisation codes."""
    number = codes[:, :8].astype(np.int32)
    value = np.where(number <= ord("9"), number - ord("0"), number - ord("A") + 10)
    fits: npt.NDArray[np.bool_] = _ORG_CHECK[(11 - value @ _ORG_WEIGHTS % 11) % 11] == codes[:, 8]
    return fits
