"""What the footer of a Parquet file of the lake tells about all its rows, without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow.parquet as pq


@dataclass(frozen=True)
class Observation:
    """One harvest of a day, or one check: nothing in it replaces anything else in it."""

    observed_on: date
    seq: int


def one_observation(file: str) -> Observation | None:
    """The observation that all rows of a file are of; None: they are of several, or the footer does not tell.

    Args:
        file: its path.
    """
    footer = pq.read_metadata(file)
    day, seq = (_only(footer, name) for name in ("observed_on", "seq"))
    return None if day is None or seq is None else Observation(day, seq)


def _only(footer: pq.FileMetaData, name: str) -> Any:
    """The one value that a column has everywhere."""
    place = footer.schema.names.index(name)
    values = set()
    for number in range(footer.num_row_groups):
        told = footer.row_group(number).column(place).statistics
        if told is None or not told.has_min_max:
            return None
        values |= {told.min, told.max}
    return values.pop() if len(values) == 1 else None
