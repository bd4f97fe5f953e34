"""Delimited text (CSV), streamed through Arrow's parser.

Quoted line breaks are part of their value. A row with too many or too few fields arrives with what it has and a
`_problem`. A quote that is never closed swallows the rest of a file: that file is refused. Where a second stray quote
ends it, the rows between have become one, which speaks of the first one's subject in the last one's words: a row whose
lines look like rows of their own arrives as these, each with a `_problem`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from chengxin.errors import SourceContentError
from chengxin.readers.decode import decoded
from chengxin.readers.raw import Raw
from chengxin.readers.rows import (
    NUL_MEANWHILE,
    batch,
    check_headings,
    check_width,
    mark_nameless,
    mark_nuls,
    mark_repeated_headings,
    pieces,
)
from chengxin.reads import FilesRead

BLOCK = 8 << 20
"""Bytes parsed at once: no row is longer."""
MOST_ASIDE = 250_000
"""Rows of one block that do not fit its headings, or that a quote has swallowed, at most: they are held as Python
objects."""

_BREAK = re.compile(r"\r\n|\r|\n")


def batches(raw: Raw, read: FilesRead) -> Iterator[pa.RecordBatch]:
    """The rows of a delimited file.

    Raises:
        SourceContentError: not in the contract's encoding, no headings, a row beyond `BLOCK`, an open quote.
        DriftError: the same heading twice.
    """
    where = raw.where
    stream = _Stream(decoded(raw.chunks(), read.encoding, where))
    names = _headings(stream, read.delimiter, where)
    check_headings([name for name in names if name], where)
    rows = _Rows(names, read.delimiter, raw.sha256, stream)
    try:
        yield from rows.batches()
    except pa.ArrowInvalid as error:
        long = "straddling" in str(error)
        why = "a quote that is opened and not closed swallows what follows" if long else str(error)[:120]
        if rows.too_many_bad:
            why = f"{MOST_ASIDE:,} rows with more or fewer fields than headings, one after the other"
        raise SourceContentError(
            f"a row of more than {BLOCK >> 20} MiB" if long else "not a delimited file",
            where=f"{where}, after row {rows.done:,}",
            why=why,
            remedy="ask the sender to mend the file",
        ) from None
    finally:
        # Arrow reads ahead in a thread of its own: nothing must go on there once we have done.
        stream.over = True
    if rows.open_quote:
        raise SourceContentError(
            "a quote is opened and never closed",
            where=f"{where}, row {rows.done:,}",
            why="everything after it has become part of one value",
            remedy="ask the sender to double the quotes inside values",
        )


class _Stream(io.RawIOBase):
    """The text as UTF-8 bytes for Arrow, with a count of its quotes."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts, self._rest = texts, b""
        self.quotes, self.nuls, self.over = 0, False, False

    def readable(self) -> bool:
        """Yes."""
        return True

    def next_text(self) -> str:
        """The next piece of text; empty at the end."""
        text = next(self._texts, "")
        if "\0" in text:
            self.nuls, text = True, text.replace("\0", NUL_MEANWHILE)
        self.quotes += text.count('"')
        return text

    def push(self, text: str) -> None:
        """Puts text back in front."""
        self._rest = text.encode() + self._rest

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer as far as there is something at hand."""
        if self.over:
            return 0
        if not self._rest:
            self._rest = self.next_text().encode()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _headings(stream: _Stream, delimiter: str, where: str) -> list[str]:
    text = ""
    while True:
        more = stream.next_text()
        text += more
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            row = next((row for row in reader if row), None)
        except csv.Error:
            row = None
        # A heading that ends with the text at hand may go on.
        if row is not None and (lines.tell() < len(text) or not more):
            check_width(len(row), where)
            stream.push(text[lines.tell() :])
            return [" ".join(name.split()) for name in row]
        if not more or len(text) > BLOCK:
            raise SourceContentError(
                "no headings",
                where=where,
                why="the file is empty" if not text.strip() else "the first row does not end",
                remedy="ask the sender for the file with its headings",
            )


class _Rows:
    """The rows behind the headings, good and bad, in the file's order."""

    def __init__(self, names: list[str], delimiter: str, sha256: str, stream: _Stream) -> None:
        self._names, self._delimiter, self._sha256, self._stream = names, delimiter, sha256, stream
        self._bad: list[arrow_csv.InvalidRow] = []
        self._last_breaks = False
        self._parsed = 0
        self.done = 0
        """Rows delivered."""

    @property
    def open_quote(self) -> bool:
        """Whether the last row holds what a quote that was never closed has swallowed."""
        return self._last_breaks and self._stream.quotes % 2 == 1

    @property
    def too_many_bad(self) -> bool:
        """Whether more rows do not fit the headings than are held."""
        return len(self._bad) >= MOST_ASIDE

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            with self._reader() as reader:
                for parsed in reader:
                    for part in pieces(parsed):
                        yield from pieces(self._batch(part.columns))
        except pa.ArrowInvalid as error:
            if not str(error).startswith("Empty CSV file"):
                raise
        # Bad rows behind the last good one; or none at all, and an empty batch shows the headings.
        if self._bad or not self.done:
            yield from pieces(self._batch([pa.nulls(0, pa.string()) for _ in self._names]))

    def _reader(self) -> arrow_csv.CSVStreamingReader:
        places = [str(place) for place in range(len(self._names))]
        return arrow_csv.open_csv(
            io.BufferedReader(self._stream, 1 << 20),
            # One thread: rows that do not fit are numbered only then.
            read_options=arrow_csv.ReadOptions(column_names=places, block_size=BLOCK, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=self._set_aside
            ),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(places, pa.string())),
        )

    def _set_aside(self, row: arrow_csv.InvalidRow) -> str:
        self._bad.append(row)
        return "skip" if len(self._bad) < MOST_ASIDE else "error"

    def _batch(self, good: Sequence[pa.Array]) -> pa.RecordBatch:
        count = len(good[0])
        # Good rows before each bad one, counted from the last row that was delivered as it was parsed.
        ranks = np.array([row.number - 1 - self._parsed - i for i, row in enumerate(self._bad)], dtype=np.int64)
        due = int(np.searchsorted(ranks, count, side="right"))
        bad, self._bad, ranks = self._bad[:due], self._bad[due:], ranks[:due]
        order = np.arange(count)
        places = np.concatenate([order + np.searchsorted(ranks, order, side="right"), ranks + np.arange(due)])
        fields = [self._fields(row) for row in bad]
        order = np.argsort(places, kind="stable")
        columns: Sequence[pa.Array] = list(good)
        if bad:
            columns = [
                pa.concat_arrays([column, pa.array([row[i] for row in fields], pa.string())]).take(pa.array(order))
                for i, column in enumerate(good)
            ]
        problems = {
            int(place): f"{row.actual_columns} fields under {row.expected_columns} headings"
            for place, row in zip(places[count:], bad, strict=True)
        }
        rows, first = count + due, self.done
        self._parsed += rows
        if rows:
            self._last_breaks = any("\n" in (column[rows - 1].as_py() or "") for column in columns)
        if self._stream.quotes and len(columns) > 1:
            written = {int(place): row.text for place, row in zip(places[count:], bad, strict=True)}
            columns, rows = self._let_go(columns, written, problems)
        named = self._named(columns, problems)
        self.done += rows
        return batch(named, self._sha256, first_row=first, problems=problems, rows=rows)

    def _let_go(
        self, columns: Sequence[pa.Array], written: dict[int, str], problems: dict[int, str]
    ) -> tuple[Sequence[pa.Array], int]:
        """The rows, and their number, with those that a quote had swallowed as rows of their own.

        Args:
            columns: the values.
            written: row → how it is written, of those with another number of fields.
            problems: row → what is wrong with it; renumbered and added to.
        """
        count, width = len(columns[0]), len(columns)
        swallowed: dict[int, list[str]] = {}
        suspects = [*self._with_breaks(columns), *(row for row, text in written.items() if _BREAK.search(text))]
        for row in dict.fromkeys(suspects):
            text = written.get(row) or self._delimiter.join(column[row].as_py() or "" for column in columns)
            lines = [line for line in _BREAK.split(text) if line]
            # Every line of a row that was one has as many delimiters as there are between the headings.
            if sum(line.count(self._delimiter) == width - 1 for line in lines) > 1:
                swallowed[row] = lines
        if not swallowed:
            return columns, count
        if sum(map(len, swallowed.values())) > MOST_ASIDE:
            raise pa.ArrowInvalid(f"a quote has swallowed more than {MOST_ASIDE:,} rows")
        times = np.ones(count, np.int64)
        times[list(swallowed)] = [len(lines) for lines in swallowed.values()]
        starts = np.cumsum(times) - times
        order = np.repeat(np.arange(count), times)
        told = {int(starts[row]): problem for row, problem in problems.items()}
        fields: list[list[str | None]] = []
        for row, lines in swallowed.items():
            place = int(starts[row])
            order[place : place + len(lines)] = np.arange(len(lines)) + (count + len(fields))
            told |= dict.fromkeys(range(place, place + len(lines)), f"a stray quote made one row of {len(lines)} lines")
            fields += [self._padded(line.split(self._delimiter)) for line in lines]
        problems.clear()
        problems |= told
        taken = pa.array(order)
        return [
            pa.concat_arrays([column, pa.array([row[i] for row in fields], pa.string())]).take(taken)
            for i, column in enumerate(columns)
        ], len(order)

    def _with_breaks(self, columns: Sequence[pa.Array]) -> list[int]:
        """The rows with a value that holds both a line break and a delimiter."""
        both = np.zeros(len(columns[0]), bool)
        for column in columns:
            found = pc.match_substring(column, self._delimiter)
            if found.true_count:
                at = np.flatnonzero(pc.fill_null(found, False).to_numpy(zero_copy_only=False))
                some = column.take(pa.array(at))
                breaks = pc.or_(pc.match_substring(some, "\n"), pc.match_substring(some, "\r"))
                both[at] |= breaks.to_numpy(zero_copy_only=False)
        return [int(row) for row in np.flatnonzero(both)]

    def _named(self, columns: Sequence[pa.Array], problems: dict[int, str]) -> dict[str, pa.Array]:
        named = {}
        for place, (name, column) in enumerate(zip(self._names, columns, strict=True)):
            if name:
                named[name] = mark_nuls(column, name, problems, NUL_MEANWHILE) if self._stream.nuls else column
            else:
                mark_nameless(column, place + 1, problems)
        mark_repeated_headings(named, problems)
        return named

    def _fields(self, row: arrow_csv.InvalidRow) -> list[str | None]:
        """As many fields as there are headings, of a row that has another number of them."""
        try:
            fields = next(csv.reader(io.StringIO(row.text, newline=""), delimiter=self._delimiter), [])
        except csv.Error:
            fields = []
        return self._padded(fields)

    def _padded(self, fields: Sequence[str]) -> list[str | None]:
        width = len(self._names)
        return [*fields[:width], *[None] * (width - len(fields))]
