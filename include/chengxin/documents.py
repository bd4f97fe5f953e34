"""When two written numbers of a document (文书号) are one: a source that sends its list anew may write them otherwise.

`历罚字〔2025〕1号` also comes as `历罚字[2025]1号`, `历罚字（2025）1号`, in full-width digits, with blanks between, or
`W1` as `w1`. What was repaired, withdrawn or erased under one of them stays so under the others. A number is stored as
it came; only where two are compared are they alike: brackets of any shape are 〔〕 (GB/T 9704-2012, 7.2.5), dashes of
any length a hyphen, Latin letters capitals, blanks nothing, and width and compatibility forms what Unicode says they
are (NFKC). Digits, Chinese and everything else must be the same, letter by letter.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis

_OPENING, _CLOSING = "([{<〈《「『【〖〘〚", ")]}>〉》」』】〗〙〛"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_BLANKS = "".join(map(chr, (*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029, 0x202F)))
_BLANKS += "\u205f\u2060\u3000\ufeff"
_SMALL = "abcdefghijklmnopqrstuvwxyz"
_WIDE = "".join(map(chr, range(0xFF01, 0xFF5F)))
_FORMS = (range(0x2E80, 0x2FE0), range(0xF900, 0xFB00), range(0xFE10, 0xFE70), range(0xFF5F, 0xFFEF))
"""Radicals, compatibility ideographs, vertical and small forms, half width: where NFKC changes no meaning. It would
also make a 1 of ① and ¹, which another number may have."""


def _alike(char: str) -> str:
    char = unicodedata.normalize("NFKC", char)
    if char in _BLANKS:
        return ""
    for many, one in ((_OPENING, "〔"), (_CLOSING, "〕"), (_DASHES, "-")):
        if char in many:
            return one
    return char.upper() if char in _SMALL else char


def _table(chars: Iterable[str]) -> dict[str, str]:
    return {char: alike for char in chars if len(alike := _alike(char)) <= 1 and alike != char}


# DuckDB's `translate` looks at its whole table for every row: 5 µs for a hundred characters, 50 µs for a thousand.
_BRACKETS = _table("()[]（）［］")
_COMMON = _table(_OPENING + _CLOSING + _DASHES + _BLANKS + _SMALL + _WIDE)
_RARE = _table(chr(point) for some in _FORMS for point in some)


def alike(number: ibis.StringValue) -> ibis.StringValue:
    """What is equal where two document numbers are one. Runs on every engine; null stays null."""
    import ibis

    bracketed = number
    for char, one in _BRACKETS.items():
        bracketed = bracketed.replace(char, one)
    plain = number.re_search(_any_of(_RARE)).ifelse(number.translate(*_pair(_RARE)), number)
    return ibis.cases(
        (~number.re_search(_any_of(_COMMON | _RARE)), number),
        (number.re_search(_any_of((_COMMON | _RARE).keys() - _BRACKETS.keys())), plain.translate(*_pair(_COMMON))),
        else_=bracketed,
    )


def alike_sql(number: str) -> str:
    """`alike` as DuckDB's SQL.

    Args:
        number: SQL of the document number.
    """
    bracketed = number
    for char, one in _BRACKETS.items():
        bracketed = f"replace({bracketed}, '{char}', '{one}')"
    rare = f"CASE WHEN {_has(number, _RARE)} THEN {_translated(number, _RARE)} ELSE {number} END"
    return (
        f"CASE WHEN NOT {_has(number, _COMMON | _RARE)} THEN {number} "
        f"WHEN {_has(number, (_COMMON | _RARE).keys() - _BRACKETS.keys())} THEN {_translated(rare, _COMMON)} "
        f"ELSE {bracketed} END"
    )


def _pair(table: dict[str, str]) -> tuple[str, str]:
    """As SQL's `translate` takes it: what has no partner is left out."""
    kept = [char for char in table if table[char]]
    return "".join([*kept, *(char for char in table if not table[char])]), "".join(table[char] for char in kept)


def _any_of(chars: Iterable[str]) -> str:
    """A pattern, for RE2 and for Java alike, of any of some characters."""
    points = {ord(char) for char in chars}
    firsts = sorted(point for point in points if point - 1 not in points)
    lasts = sorted(point for point in points if point + 1 not in points)
    return "[" + "".join(f"\\x{{{one:x}}}-\\x{{{last:x}}}" for one, last in zip(firsts, lasts, strict=True)) + "]"


def _has(number: str, chars: Iterable[str]) -> str:
    return f"regexp_matches({number}, '{_any_of(chars)}')"


def _translated(number: str, table: dict[str, str]) -> str:
    quoted = ["'" + text.replace("'", "''") + "'" for text in _pair(table)]
    return f"translate({number}, {', '.join(quoted)})"
