"""Numbers and names that stand for codes: keyed, so that nobody can try codes against an address.

The same are computed by DuckDB for many rows (`refresh`) and here for one.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata

SEPARATOR = "\x1f"
REF_DIGITS = 24
"""Hexadecimal digits of a ref: 96 bits."""
NUMBER_DIGITS = 15
"""Hexadecimal digits of a number: 60 bits, a positive integer in every database."""


def ref(key: bytes, kind: str, name: str) -> str:
    """What stands for a subject's code or a matter's id in an address.

    Args:
        key: the ledger's key.
        kind: `subject` or `matter`.
        name: the code or id.
    """
    return hmac.digest(key, f"{kind}{SEPARATOR}{name}".encode(), "sha256").hex()[:REF_DIGITS]


def number(ref: str) -> int:
    """The number inside the desk that goes with a subject's ref."""
    return int(ref[:NUMBER_DIGITS], 16)


def key_id(fact: str, source: str, natural_key: str) -> int:
    """The number that stands for a fact's table, source and natural key."""
    digest = hashlib.md5(SEPARATOR.join((fact, source, natural_key)).encode(), usedforsecurity=False).hexdigest()
    return int(digest[:NUMBER_DIGITS], 16)


_BRACKETS = str.maketrans("〔【[{〈《〕】]}〉》（）", "(((((())))))()")


def name_key(name: str) -> str:
    """`identity.name_key` of one name, without its imports; empty for an empty one."""
    folded = "".join(unicodedata.normalize("NFKC", name).translate(_ZERO_WIDTH).split())
    # One by one: Arrow turns no letter into two.
    return "".join(_upper(letter) for letter in folded).translate(_BRACKETS)


def _upper(letter: str) -> str:
    upper = letter.upper()
    return upper if len(upper) == 1 else letter


_ZERO_WIDTH = dict.fromkeys([*range(0x200B, 0x2010), 0x2060, 0xFEFF])
