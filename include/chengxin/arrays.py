"""Small tools over Arrow text arrays that the column readers share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.large_string()
NULL = pa.scalar(None, TEXT)

Problems: TypeAlias = npt.NDArray[np.int8]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


def mask(array: Any) -> Bools:
    """An Arrow boolean array as numpy; null is False."""
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)


def content(text: pa.Array) -> npt.NDArray[np.uint8]:
    """All bytes of a `TEXT` array, its values after one another; no copy."""
    buffer = text.buffers()[2]
    if buffer is None or len(text) == 0:
        return np.empty(0, np.uint8)
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int64)
    return np.frombuffer(buffer, np.uint8)[offsets[text.offset] : offsets[text.offset + len(text)]]
