"""A contract applied to a chunk of source records: typed columns, and what was wrong with each value.

In: text columns by source heading, `raw_row`, `raw_sha256`, and optionally `_problem` (the reader could not take the
row apart). Out: one `Facts` per fact table, columns typed as `chengxin.tables` says, with the source's own text and a
problem code per field. Nothing is dropped or judged here; `chengxin.quality` does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chengxin import identity, values
from chengxin.arrays import NULL, TEXT, Bools, Ints, Problems, mask
from chengxin.contracts import CODES, FACT_TABLES, Child, Column, Contract
from chengxin.lake import arrow_type
from chengxin.tables import Table

META = ("raw_row", "raw_sha256", "_problem")
"""Columns of a record batch that are no source heading."""


@dataclass(frozen=True)
class Facts:
    """Rows of one fact table out of one chunk.

    Attributes:
        table: the fact table.
        columns: its content columns, typed; null where a value is missing or cannot be read.
        text: field → the source's text, trimmed, null words as null.
        problems: field → problem code per row (`chengxin.values`); a field without any is absent.
        headings: field → the source heading that fills it.
        required: fields that must not be empty.
        record: number of the source record within the harvest, from 0.
        position: place within the record (0 for the record's own fact).
        raw_sha256: the raw file of the record.
        raw_row: the record's place in that file.
        unreadable: the reader's or the list parser's problem, in words; null where there is none.
        heading_row: rows that repeat the headings.
    """

    table: Table
    columns: Mapping[str, pa.Array]
    text: Mapping[str, pa.Array]
    problems: Mapping[str, Problems]
    headings: Mapping[str, str]
    required: tuple[str, ...]
    record: Ints
    position: Ints
    raw_sha256: pa.Array
    raw_row: pa.Array
    unreadable: pa.Array
    heading_row: Bools

    def __len__(self) -> int:
        return len(self.record)

    def problem(self, name: str) -> Problems:
        """Problem codes of a field."""
        return self.problems.get(name, np.zeros(len(self), np.int8))


@dataclass(frozen=True)
class Chunk:
    """Source records with what identifies them.

    Attributes:
        records: text columns by heading, and `META`.
        record: number of each record within the harvest.
    """

    records: pa.Table
    record: Ints

    @property
    def headings(self) -> tuple[str, ...]:
        """The source's headings."""
        return tuple(name for name in self.records.column_names if name not in META)

    def mark(self, which: Bools, why: str) -> Chunk:
        """The same chunk with a problem on some records, where they have none yet."""
        said = pc.if_else(pa.array(which), pa.scalar(why, TEXT), NULL)
        problem = pc.coalesce(column(self.records, "_problem"), said)
        others = [name for name in self.records.column_names if name != "_problem"]
        return Chunk(self.records.select(others).append_column("_problem", problem), self.record)


def chunk(records: pa.Table, first: int = 0) -> Chunk:
    """A chunk of all its records, numbered from `first`."""
    return Chunk(records, np.arange(first, first + records.num_rows, dtype=np.int64))


def excluded(contract: Contract, chunk: Chunk) -> dict[str, Bools]:
    """The records that the contract leaves out on purpose, by reason (`exclude:<heading>=<value>`).

    A record is named by the first reason that fits. The empty value stands for null and blank.
    """
    reasons: dict[str, Bools] = {}
    taken = np.zeros(chunk.records.num_rows, bool)
    for heading, words in contract.exclude.items():
        text = pc.fill_null(values.clean(column(chunk.records, heading)), "")
        for word in words:
            fits = mask(pc.equal(text, pa.scalar(word, TEXT))) & ~taken
            taken |= fits
            reasons[f"exclude:{heading}={word}"] = fits
    return reasons


def select(chunk: Chunk, keep: Bools) -> Chunk:
    """The chunk's records at `keep`."""
    if keep.all():
        return chunk
    return Chunk(chunk.records.filter(pa.array(keep)), chunk.record[keep])


def facts(contract: Contract, chunk: Chunk) -> Facts:
    """The records' own facts."""
    records = chunk.records
    count = records.num_rows
    raw = {
        **{heading: column(records, heading) for heading in contract.combined_headings},
        **_values(contract.columns, records, contract.nulls),
    }
    return _read(
        FACT_TABLES[contract.table],
        contract.columns,
        raw,
        given={name: _constant(contract.table, name, value, count) for name, value in contract.constants.items()},
        combined={name: _combine(text, raw, contract.nulls, count) for name, text in contract.combine.items()},
        key=contract.key,
        nulls=contract.nulls,
        record=chunk.record,
        position=np.zeros(count, np.int64),
        raw_sha256=_whole(records["raw_sha256"]).cast(TEXT),
        raw_row=_whole(records["raw_row"]).cast(pa.int32()),
        unreadable=column(records, "_problem"),
    )


def child_facts(contract: Contract, child: Child, parents: Facts, parsed: pa.Table) -> Facts:
    """The facts of a list inside the records.

    Args:
        contract: the source's contract.
        child: the list.
        parents: the records' own facts.
        parsed: the list's items: `_parent` (row in `parents`), `_position` (from 1), a text column per heading.
    """
    parent = pa.array(_whole(parsed["_parent"]))
    count = len(parent)
    place = parent.to_numpy(zero_copy_only=False)
    return _read(
        FACT_TABLES[child.table],
        child.columns,
        _values(child.columns, parsed, contract.nulls),
        given={
            **{name: _constant(child.table, name, value, count) for name, value in child.constants.items()},
            **{name: parents.columns[source].take(parent) for name, source in child.inherit.items()},
        },
        combined={},
        key=child.key,
        nulls=contract.nulls,
        record=parents.record[place],
        position=_whole(parsed["_position"]).cast(pa.int64()).to_numpy(zero_copy_only=False),
        raw_sha256=parents.raw_sha256.take(parent),
        raw_row=parents.raw_row.take(parent),
        unreadable=pa.nulls(count, TEXT),
    )


def headings(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Every heading that a column map speaks of, those under `also` included."""
    return tuple(name for heading, how in columns.items() for name in (heading, *how.also))


def _values(columns: Mapping[str, Column], records: pa.Table, nulls: Sequence[str]) -> dict[str, pa.Array]:
    """Heading → its texts; where a field has several headings, of each record the first that is not empty."""
    found = {}
    for heading, how in columns.items():
        given = [name for name in (heading, *how.also) if name in records.column_names]
        if how.also and given:
            found[heading] = pc.coalesce(*(values.clean(column(records, name), nulls) for name in given))
        else:
            found[heading] = column(records, heading)
    return found


def column(records: pa.Table, heading: str) -> pa.Array:
    """One text column, whole; null where the source has no such heading."""
    if heading not in records.column_names:
        return pa.nulls(records.num_rows, TEXT)
    return _whole(records[heading]).cast(TEXT)


def _read(
    table: Table,
    columns: Mapping[str, Column],
    raw: Mapping[str, pa.Array],
    *,
    given: Mapping[str, pa.Array],
    combined: Mapping[str, pa.Array],
    key: Sequence[str],
    nulls: Sequence[str],
    record: Ints,
    position: Ints,
    raw_sha256: pa.Array,
    raw_row: pa.Array,
    unreadable: pa.Array,
) -> Facts:
    typed: dict[str, pa.Array] = dict(given)
    text: dict[str, pa.Array] = {}
    problems: dict[str, Problems] = {}
    own_heading = np.zeros(len(record), np.int16)
    for name, made in combined.items():
        typed[name], found = _READERS[_KINDS[table.column(name).type]](made)
        if found.any():
            problems[name] = found
    for heading, how in columns.items():
        text[how.to] = values.clean(raw[heading], nulls)
        for name in (heading, *how.also):
            own_heading += mask(pc.equal(text[how.to], pa.scalar(name, TEXT)))
        typed[how.to], found = _typed(table, how, text[how.to])
        if found.any():
            problems[how.to] = found
    _derive(table, typed, text)
    count = len(record)
    return Facts(
        table=table,
        columns={
            wanted.name: typed[wanted.name].cast(arrow_type(wanted))
            if wanted.name in typed
            else pa.nulls(count, arrow_type(wanted))
            for wanted in table.columns
        },
        text=text,
        problems=problems,
        headings={how.to: heading for heading, how in columns.items()},
        required=tuple(dict.fromkeys([*(how.to for how in columns.values() if how.required), *key])),
        record=record,
        position=position,
        raw_sha256=raw_sha256,
        raw_row=raw_row,
        unreadable=unreadable,
        # A row of headings may hold some of ours only: the file of another release.
        heading_row=own_heading >= max(1, (len(columns) + 1) // 2),
    )


def _typed(table: Table, how: Column, text: pa.Array) -> tuple[pa.Array, Problems]:
    kind = how.as_ or ("uscc" if how.to in CODES else _KINDS[table.column(how.to).type])
    unknown: Problems | None = None
    if how.lookup:
        text, unknown = values.look_up(text, how.lookup, strict=how.lookup_strict)
        # Where all that is looked up means nothing ("长期"), or a value is not a word, others are none of its business.
        if not how.lookup_strict and (kind != "text" or not any(word is not None for word in how.lookup.values())):
            unknown = None
    typed, problems = values.money(text, how.unit or "元") if kind == "money" else _READERS[kind](text)
    if unknown is None:
        return typed, problems
    said = (unknown == values.UNKNOWN_WORD) | ((unknown != values.OK) & (problems == values.OK))
    return typed, np.where(said, unknown, problems).astype(np.int8)


_KINDS = {
    "string": "text",
    "date": "date",
    "timestamp": "timestamp",
    "int": "int",
    "long": "int",
    "double": "number",
    "money": "money",
    "boolean": "boolean",
}
_READERS = {
    "text": values.texts,
    "name": values.texts,
    "uscc": values.codes,
    "date": values.dates,
    "timestamp": values.timestamps,
    "int": values.integers,
    "number": values.numbers,
    "boolean": values.booleans,
}


def _derive(table: Table, typed: dict[str, pa.Array], text: Mapping[str, pa.Array]) -> None:
    """Fills the fields that no source gives: the name's key, and why an applicant has no code."""
    fields = {wanted.name for wanted in table.columns}
    for name in ("name", "subject_name"):
        if "name_key" in fields and "name_key" not in typed and name in typed:
            typed["name_key"] = identity.name_key_arrow(typed[name].cast(TEXT))
    if "uscc_problem" in fields and "uscc_problem" not in typed and "uscc" in text:
        typed["uscc_problem"] = _whole(identity.check_arrow(text["uscc"])["reason"])


def _constant(table: str, name: str, value: Any, count: int) -> pa.Array:
    kind = arrow_type(FACT_TABLES[table].column(name))
    return pa.repeat(pa.scalar(value).cast(kind), count)


def _combine(pattern: str, raw: Mapping[str, pa.Array], nulls: Sequence[str], count: int) -> pa.Array:
    """Text made of headings; null where one of them is empty."""
    parts: list[Any] = []
    for literal, heading, _, _ in Formatter().parse(pattern):
        if literal:
            parts.append(pa.repeat(pa.scalar(literal, TEXT), count))
        if heading:
            parts.append(values.clean(raw[heading], nulls))
    return pc.binary_join_element_wise(*parts, pa.scalar("", TEXT)) if parts else pa.repeat(NULL, count)


def _whole(array: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    return array
