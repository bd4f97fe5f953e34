"""Made-up 18-character codes (GB 32100-2015) with valid check characters, by the million."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chengxin.identity import ALPHABET

Indices = npt.NDArray[np.int64]

BODIES = 31**5
"""Bodies `XXXX` + five characters: how many codes one prefix can have (28,629,151)."""

_CHARACTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_WEIGHTS = np.array([pow(3, i, 31) for i in range(17)], dtype=np.int64)
# Coprime to 31, so that multiplying permutes the bodies: neighbours in the register have unlike codes.
_STEP, _START = 17_395_127, 4_099_813
_PERSON_WEIGHTS = np.array([pow(2, 17 - i, 11) for i in range(17)], dtype=np.int64)


def credit_codes(prefixes: npt.NDArray[np.bytes_], indices: Indices) -> pa.Array:
    """One valid code per row.

    Args:
        prefixes: the first eight characters of each (`S8`): class and area.
        indices: a number below `BODIES` per row; different numbers give different codes within a prefix.
    """
    values = np.empty((len(indices), 17), dtype=np.int64)
    values[:, :8] = _values(np.ascontiguousarray(prefixes, dtype="S8").view(np.uint8).reshape(-1, 8))
    values[:, 8:12] = ALPHABET.index("X")
    rest = (indices * _STEP + _START) % BODIES
    for place in range(16, 11, -1):
        rest, values[:, place] = np.divmod(rest, 31)
    check = (31 - (values @ _WEIGHTS) % 31) % 31
    return _strings(np.column_stack([_CHARACTERS[values], _CHARACTERS[check]]))


def wrong_check(code: str) -> str:
    """The code with another check character: the next one of the alphabet."""
    return code[:17] + ALPHABET[(ALPHABET.index(code[17]) + 1) % 31]


def personal_number(index: int) -> str:
    """A citizen's number that nobody has (area 379900 was never given out), with a valid ISO 7064 check."""
    first = f"379900{1950 + index % 50:04d}{1 + index % 12:02d}{1 + index % 28:02d}{index % 1000:03d}"
    digits = np.frombuffer(first.encode(), dtype=np.uint8).astype(np.int64) - ord("0")
    return first + "10X98765432"[int(digits @ _PERSON_WEIGHTS) % 11]


def _values(characters: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    table = np.zeros(256, dtype=np.int64)
    table[_CHARACTERS] = np.arange(31)
    return table[characters]


def _strings(characters: npt.NDArray[np.uint8]) -> pa.Array:
    width = characters.shape[1]
    data = pa.py_buffer(np.ascontiguousarray(characters, dtype=np.uint8))
    fixed = pa.Array.from_buffers(pa.binary(width), len(characters), [None, data])
    return fixed.cast(pa.binary()).cast(pa.string())
