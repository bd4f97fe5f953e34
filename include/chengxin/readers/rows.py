"""Records to Arrow batches: text columns, what is wrong with a record, and where it came from."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chengxin import persons
from chengxin.errors import DriftError, SourceContentError

PROBLEM = "_problem"
RAW_ROW = "raw_row"
RAW_SHA256 = "raw_sha256"
OWN_COLUMNS = (PROBLEM, RAW_ROW, RAW_SHA256)
"""Columns of ours beside the source's headings."""
MAX_ROWS = 50_000
"""Rows of one batch at most."""
MAX_COLUMNS = 2_000
"""Headings at most: more is no table of ours, and would cost memory for every row."""
MAX_HEADING = 1_000
"""Characters of a heading at most."""
MAX_BYTES = 1 << 20
"""Bytes of one record's values at most: a list of some thousand applicants inside one fits, and a bounded number of
records is bounded memory."""
KEPT = MAX_BYTES // MAX_COLUMNS
"""Bytes of a value that is kept where its record has too many: codes, numbers and names are, and no number of them is
too many again."""
PART = 4 << 20
"""Characters of records that are held as Python objects at once."""
NUL_SIGN = "\N{SYMBOL FOR NULL}"
"""Stands in a text for a NUL, which no text should hold and many tools stumble over."""
NUL_MEANWHILE = "\ufdd0"
"""Stands for a NUL where it would end a text too early: no character, so that no text has it of its own."""

_STRING = pa.string()


class Repeated(dict[str, Any]):
    """A record in which a key stands twice, here or in a part of it: which value is meant cannot be known."""


def check_headings(headings: Sequence[str], where: str) -> None:
    """Refuses headings that cannot be told apart, or that are too many.

    Raises:
        DriftError: the same heading twice, or one that is a column of ours.
        SourceContentError: more than `MAX_COLUMNS`, or one that is beyond `MAX_HEADING` or holds half a character.
    """
    check_width(len(headings), where)
    longest = max(map(len, headings), default=0)
    if longest > MAX_HEADING:
        raise SourceContentError(
            f"a heading of {longest:,} characters, more than {MAX_HEADING:,}",
            where=where,
            why="no table of ours has such headings: another kind of file, broken, or made to harm",
            remedy="look at the file before anything else does; ask the sender for it once more",
        )
    if any("\ud800" <= sign <= "\udfff" for heading in headings for sign in heading):
        raise SourceContentError(
            "half a character in a heading", where=where, remedy="ask the sender to write its text as UTF-8"
        )
    twice = sorted(heading for heading, count in Counter(headings).items() if count > 1)
    if twice:
        raise DriftError(
            # A first record in place of the headings may hold anything.
            f"the same heading twice: {', '.join(persons.hide(pa.array(twice, pa.large_string())).to_pylist())}",
            where=where,
            why="which of the columns is meant cannot be known",
            remedy="ask the sender to name them apart",
        )
    ours = sorted(set(headings) & set(OWN_COLUMNS))
    if ours:
        raise DriftError(
            f"a heading that is ours: {', '.join(ours)}", where=where, remedy="ask the sender to rename the column"
        )


def check_width(count: int, where: str) -> None:
    """Refuses a table with too many columns.

    Raises:
        SourceContentError: more than `MAX_COLUMNS`.
    """
    if count > MAX_COLUMNS:
        raise SourceContentError(
            f"{count:,} columns, more than {MAX_COLUMNS:,}",
            where=where,
            why="no table of ours is so wide: another kind of file, broken, or made to harm",
            remedy="look at the file before anything else does; ask the sender for it once more",
        )


def batch(
    columns: Mapping[str, pa.Array],
    sha256: str,
    *,
    first_row: int = 0,
    problems: Mapping[int, str] | None = None,
    rows: int | None = None,
) -> pa.RecordBatch:
    """One batch from its columns of text. A record beyond `MAX_BYTES` loses its long values, and says so in `_problem`.

    Args:
        columns: heading → values, all of the same length.
        sha256: the raw object.
        first_row: place of the first record in the raw object; the others follow it.
        problems: place in this batch → what is wrong with that record.
        rows: number of rows, for records without any column.
    """
    count = rows if rows is not None else len(next(iter(columns.values())))
    raw_rows = np.arange(first_row, first_row + count, dtype=np.int32)
    problem = pa.nulls(count, _STRING)
    if problems:
        problem = pa.array([problems.get(row) for row in range(count)], _STRING)
    whole = pa.RecordBatch.from_arrays(
        [*columns.values(), problem, pa.array(raw_rows, pa.int32()), pa.repeat(pa.scalar(sha256, _STRING), count)],
        names=[*columns, *OWN_COLUMNS],
    )
    # Most pages are smaller than one record may be.
    if whole.get_total_buffer_size() <= MAX_BYTES:
        return whole
    long = _too_long(columns.values(), count)
    if not long.any():
        return whole
    problems = dict(problems or {})
    for row in np.flatnonzero(long).tolist():
        mark_long(problems, row)
    return batch(_shortened(columns, long), sha256, first_row=first_row, problems=problems, rows=rows)


def from_records(
    records: Sequence[Any], sha256: str, where: str, *, first_row: int = 0, may_hold_nul: bool = True
) -> pa.RecordBatch:
    """One batch from JSON objects as Python values (numbers as text, or whole numbers as int).

    Args:
        records: the objects; what is none becomes a row without values and with a problem.
        sha256: the raw object.
        where: for errors.
        first_row: place of the first record in the raw object.
        may_hold_nul: False where it is known that no text holds a NUL.

    Raises:
        DriftError: a heading that is a column of ours.
    """
    problems: dict[int, str] = {}
    if not all(type(record) is dict for record in records):
        problems = {
            row: f"no object but {_kind(record)}" for row, record in enumerate(records) if not isinstance(record, dict)
        }
        records = [record if isinstance(record, dict) else {} for record in records]
        problems |= {row: "a key twice" for row, record in enumerate(records) if type(record) is Repeated}
    layouts = dict.fromkeys(map(tuple, records))
    headings = list(dict.fromkeys(heading for layout in layouts for heading in layout))
    check_headings(headings, where)
    columns = {}
    for heading in headings:
        if len(layouts) == 1:
            values = list(map(itemgetter(heading), records))
        else:
            values = [record.get(heading) for record in records]
        columns[heading] = texts(values, may_hold_nul, heading, problems)
    return batch(columns, sha256, first_row=first_row, problems=problems, rows=len(records))


def texts(values: Sequence[Any], may_hold_nul: bool, heading: str, problems: dict[int, str]) -> pa.Array:
    """One column of text from values of any kind.

    Args:
        values: the values.
        may_hold_nul: False where it is known that no text holds a NUL.
        heading: for the problems.
        problems: row → what is wrong with it; added to.
    """
    try:
        column = pa.array(values, _STRING)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return texts(
            [value if type(value) is str else text(value) for value in values], may_hold_nul, heading, problems
        )
    except UnicodeEncodeError:
        # Half of a surrogate pair: legal as a JSON escape, but no character.
        given = [text(value) for value in values]
        whole = [value and value.encode("utf-8", "replace").decode() for value in given]
        for row, (one, other) in enumerate(zip(given, whole, strict=True)):
            if one != other:
                add(problems, row, f"half a character in {heading}")
        column = pa.array(whole, _STRING)
    return mark_nuls(column, heading, problems) if may_hold_nul else column


def mark_nuls(column: pa.Array, heading: str, problems: dict[int, str], sign: str = "\0") -> pa.Array:
    """The column with every NUL replaced by `␀`, and a problem for each such row.

    Args:
        column: the values.
        heading: for the problems.
        problems: row → what is wrong with it; added to.
        sign: what stands for a NUL in the values.
    """
    found = pc.fill_null(pc.match_substring(column, sign), False)
    if not found.true_count:
        return column
    _add(problems, found, f"a NUL in {heading}")
    return pc.replace_substring(column, sign, NUL_SIGN)


def mark_nameless(column: pa.Array, place: int, problems: dict[int, str]) -> None:
    """A problem for each row with a value in a column that has no heading.

    Args:
        column: the values.
        place: the column's place, from 1.
        problems: row → what is wrong with it; added to.
    """
    _add(
        problems, pc.greater(pc.utf8_length(pc.fill_null(column, "")), 0), f"a value under no heading (column {place})"
    )


def mark_repeated_headings(columns: Mapping[str, pa.Array], problems: dict[int, str]) -> None:
    """A problem for each row that holds the headings themselves."""
    mask: pa.BooleanArray | None = None
    for heading, column in columns.items():
        same = pc.fill_null(pc.equal(column, heading), False)
        mask = same if mask is None else pc.and_(mask, same)
        if not mask.true_count:
            return
    if mask is not None:
        _add(problems, mask, "the headings once more")


def text(value: Any) -> str | None:
    """A value as text: numbers as they are written, dates in ISO 8601, lists and objects as JSON."""
    if value is None or value is msgspec.UNSET:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).upper()
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | dict):
        try:
            return msgspec.json.encode(value).decode()
        except UnicodeEncodeError:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def pieces(whole: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch cut into batches of at most `MAX_ROWS` rows."""
    for start in range(0, max(1, whole.num_rows), MAX_ROWS):
        yield whole.slice(start, MAX_ROWS)


def mark_long(problems: dict[int, str], row: int) -> None:
    """A problem of a row whose long values are not kept."""
    add(problems, row, f"more than {MAX_BYTES >> 20} MiB in one record")


def add(problems: dict[int, str], row: int, problem: str) -> None:
    """One more problem of a row."""
    problems[row] = f"{problems[row]}; {problem}" if row in problems else problem


def _too_long(columns: Iterable[pa.Array], count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which records have more bytes than one may have."""
    lengths = [pc.fill_null(pc.binary_length(column), 0) for column in columns]
    together = np.zeros(count, np.int64)
    if sum(pc.max(length).as_py() or 0 for length in lengths) > MAX_BYTES:
        for length in lengths:
            together += length.to_numpy(zero_copy_only=False)
    return together > MAX_BYTES


def _shortened(columns: Mapping[str, pa.Array], long: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, pa.Array]:
    """The columns without the long values of some records."""
    order = np.arange(len(long))
    kept = {}
    for heading, column in columns.items():
        lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
        # Choosing anew leaves the bytes behind; replacing by null would keep them below it.
        kept[heading] = column.take(pa.array(order, mask=long & (lengths > KEPT)))
    return kept


def _add(problems: dict[int, str], mask: pa.BooleanArray, problem: str) -> None:
    if mask.true_count:
        for row in np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist():
            add(problems, row, problem)


def _kind(value: Any) -> str:
    return {list: "a list", type(None): "null", bool: "true or false"}.get(type(value), "a bare value")
