"""Dirty rows of every kind that such sources are known for, about six in a thousand.

Which rows are dirty, and how, depends on their number alone, so that it stays so from day to day.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chengxin.sandbox.codes import personal_number, wrong_check
from chengxin.sandbox.shapes import Source

PERIOD = 160
"""One row in so many is dirty."""

_FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})


def _lower(code: str, row: int) -> str:
    """Valid after normalising: lower case or full width, with white space."""
    return f" {code.lower()}" if row % 2 else f"{code.translate(_FULL_WIDTH)} "


_CODES: tuple[Callable[[str, int], str], ...] = (
    lambda code, row: wrong_check(code),
    lambda code, row: "9.137E+17",
    _lower,
    lambda code, row: f"370112{row % 1_000_000_000:09d}",
    lambda code, row: personal_number(row),
)


def spread(table: pa.Table, source: Source) -> pa.Table:
    """The table with its dirty rows, without the column `_id`.

    Repeated rows come last, after them (in files) the headings once more, as where two files were put together.
    """
    ids = table["_id"].to_numpy()
    table = table.drop_columns("_id")
    # Each source has its own, or a subject would be dirty everywhere at once.
    first = zlib.crc32(source.place.encode()) % 24
    dirty = (ids >= 0) & (ids % PERIOD == first)
    if source.place.endswith("xlsx"):
        return _few(table, source)
    if not dirty.any():
        return table
    rows, numbers = table.filter(pa.array(dirty)).to_pandas(), ids[dirty] // PERIOD
    changes = _changes(source)
    repeated = np.zeros(len(rows), dtype=bool)
    for k, change in enumerate(changes):
        chosen = numbers % len(changes) == k
        if change == "repeat":
            repeated |= chosen
        else:
            _apply(rows, chosen, numbers, change, source)
    table = _put_back(table, dirty, rows)
    extra = [table.filter(pa.array(dirty)).filter(pa.array(repeated))]
    if source.place.endswith("csv"):
        extra.append(_heading_row(table.schema))
    return pa.concat_tables([table, *extra])


def _changes(source: Source) -> list[Any]:
    """The kinds of dirt that the source can show, in turn."""
    changes: list[Any] = ["required", "repeat"]
    if source.code:
        changes = [*_CODES, *changes]
    if source.date:
        changes.append("date")
    if source.open_date:
        changes += ["far", "early"]
    if source.text:
        changes.append("word")
    if source.count:
        changes.append("negative")
    return changes


def _apply(rows: pd.DataFrame, chosen: Any, numbers: Any, change: Any, source: Source) -> None:
    if callable(change):
        filled = chosen & rows[source.code].notna().to_numpy()
        rows.loc[filled, source.code] = [
            change(code, int(row)) for code, row in zip(rows.loc[filled, source.code], numbers[filled], strict=True)
        ]
    elif change == "required":
        rows.loc[chosen, source.required] = None
    elif change == "date":
        rows.loc[chosen, source.date] = "2026-13-45"
    elif change == "far":
        rows.loc[chosen, source.open_date] = source.sentinels[0]
    elif change == "early":
        rows.loc[chosen, source.open_date] = source.sentinels[1]
    elif change == "word":
        rows.loc[chosen, source.text] = np.where(numbers[chosen] % 2 == 0, "\\N", "暂无")
    elif change == "negative":
        rows.loc[chosen, source.count] = -3


def _put_back(table: pa.Table, dirty: Any, rows: pd.DataFrame) -> pa.Table:
    mask = pa.array(dirty)
    columns = []
    for field in table.schema:
        values = pa.array(rows[field.name].to_numpy(dtype=object), field.type, from_pandas=True)
        columns.append(pc.replace_with_mask(table[field.name].combine_chunks(), mask, values))
    return pa.table(columns, schema=table.schema)


def _heading_row(schema: pa.Schema) -> pa.Table:
    return pa.table([pa.array([field.name], field.type) for field in schema], schema=schema)


def _few(table: pa.Table, source: Source) -> pa.Table:
    """A short sheet: its last row again, its headings again, and a row whose code Excel has made a number."""
    if not table.num_rows:
        return table
    mangled = table.slice(table.num_rows - 1).to_pandas().astype(object)
    mangled[source.code] = "9.137E+17"
    mangled[source.required] = "示例：代码已损坏的机构"
    mangled_row = pa.Table.from_pandas(mangled, schema=table.schema, preserve_index=False)
    texts = pa.schema([(field.name, pa.string()) for field in table.schema])
    parts = [table, table.slice(table.num_rows - 1), mangled_row]
    return pa.concat_tables([*(part.cast(texts) for part in parts), _heading_row(texts)])
