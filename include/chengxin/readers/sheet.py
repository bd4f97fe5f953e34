"""Workbooks (XLSX), one sheet of them, streamed row by row.

A number cell arrives as it is written, so that a code turned into 9.137E+17 stays recognisable; a date cell in ISO
8601; a formula cell with the value that the sender's program computed last. A formula that nobody has computed arrives
as its own text, with a `_problem`. A heading that is merged over several rows names its column.
"""

from __future__ import annotations

import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl
import pyarrow as pa
from defusedxml.common import DefusedXmlException
from openpyxl.utils.cell import range_boundaries
from openpyxl.utils.datetime import WINDOWS_EPOCH
from openpyxl.utils.exceptions import InvalidFileException

from chengxin.errors import SourceContentError
from chengxin.readers.packed import MAX_DIRECTORY, Bounded, TooManyMembersError
from chengxin.readers.raw import Raw
from chengxin.readers.rows import (
    KEPT,
    MAX_BYTES,
    PART,
    add,
    batch,
    check_headings,
    mark_nameless,
    mark_repeated_headings,
    text,
    texts,
)
from chengxin.reads import FilesRead

MAX_UNPACKED = 1 << 30
"""Bytes that a workbook may unpack to."""
MAX_STRINGS = 256 << 20
"""Bytes of its table of strings, which is held in memory."""
MAX_PART = 32 << 20
"""Bytes of any other part (styles, relations), which is held as a tree."""
MAX_ROW = 16 << 20
"""Bytes of one row at most, as the part is written: it is held as a tree."""
MAX_CELL = 32_767
"""Characters of a cell, by the format's own limit."""
ROWS, CELLS = 10_000, 2_000_000
"""Rows, and cells, held as Python objects at once."""
LAST_ROW = 1_048_576
"""Rows of a sheet, by the format's own limit; a row that says it is the billionth would come after empty ones."""

_UNREADABLE = (
    zipfile.BadZipFile, struct.error, InvalidFileException, ParseError, zlib.error, EOFError, RuntimeError,
    NotImplementedError, KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError,
    DefusedXmlException,
)  # fmt: skip
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]+[0-9]+:[A-Z]+[0-9]+)"')
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
_ROW = re.compile(rb"</?(?:\w+:)?row[\s/>]")
_FAR_CELL = re.compile(rb"""<(?:\w+:)?c\s[^>]*?\br\s*=\s*["'][A-Za-z]{4,}""")
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"

_Row = Sequence[Any]
_Scan = tuple[set[str], bool]


def batches(raw: Raw, read: FilesRead) -> Iterator[pa.RecordBatch]:
    """The rows of the contract's sheet.

    Raises:
        SourceContentError: no workbook, too large a one, no such sheet, no headings.
        DriftError: the same heading twice.
    """
    where = raw.where
    with raw.open() as file:
        done = 0
        try:
            scans = _check(file, where)
            with warnings.catch_warnings():
                # openpyxl warns of styles and extensions that it leaves out.
                warnings.simplefilter("ignore", UserWarning)
                for one in _batches(file, raw.sha256, read, where, scans):
                    yield one
                    done += one.num_rows
        except _UNREADABLE as error:
            raise SourceContentError(
                "the workbook cannot be read",
                where=f"{where}, after row {done:,} of the records",
                why=type(error).__name__,
                remedy="open it in a spreadsheet program, save it once more as .xlsx, and tell the sender",
            ) from None


def _batches(
    file: IO[bytes], sha256: str, read: FilesRead, where: str, scans: Mapping[str, _Scan]
) -> Iterator[pa.RecordBatch]:
    sheet = _sheet(file, read, where)
    if sheet.parent.epoch != WINDOWS_EPOCH:
        raise SourceContentError(
            "a workbook that counts days from 1904",
            where=where,
            why="a day that stands in it as a bare number would be read as one four years before",
            remedy="ask the sender to save it with the 1900 date system",
        )
    merged, formulas = scans[sheet._worksheet_path.lstrip("/")]
    rows = sheet.iter_rows(max_row=LAST_ROW, values_only=True)
    head = list(islice(rows, read.header_row))
    names = _headings(head, merged, read.header_row)
    if not any(names):
        raise SourceContentError(
            f"no headings in row {read.header_row}", where=where, remedy="correct `header_row` of the contract"
        )
    check_headings([name for name in names if name], where)
    numbered: Iterator[tuple[_Row, _Row]] = ((row, ()) for row in rows)
    if formulas:
        # Without their computed values the same cells show their formulas.
        numbered = zip(
            rows,
            _sheet(file, read, where, computed=False).iter_rows(read.header_row + 1, LAST_ROW, values_only=True),
            strict=False,
        )
    filled = ((row, formula) for row, formula in numbered if any(_filled(value) for value in (*row, *formula)))
    done = 0
    problems: dict[int, str] = {}
    while part := _part(filled, problems):
        yield _batch(part, names, sha256, done, problems)
        done, problems = done + len(part), {}
    if not done:
        yield _batch([], names, sha256, 0, {})


def _batch(
    part: Sequence[tuple[_Row, _Row]], names: Sequence[str], sha256: str, first_row: int, problems: dict[int, str]
) -> pa.RecordBatch:
    width = max([len(names), *(len(row) for row, _ in part)])
    rows = [_computed(row, formula, index, problems) for index, (row, formula) in enumerate(part)]
    columns: dict[str, pa.Array] = {}
    for place in range(width):
        values = [text(row[place]) if place < len(row) else None for row in rows]
        name = names[place] if place < len(names) else ""
        if name:
            columns[name] = texts(values, True, name, problems)
        else:
            mark_nameless(pa.array(values, pa.string()), place + 1, problems)
    mark_repeated_headings(columns, problems)
    return batch(columns, sha256, first_row=first_row, problems=problems, rows=len(part))


def _part(rows: Iterator[tuple[_Row, _Row]], problems: dict[int, str]) -> list[tuple[_Row, _Row]]:
    """The next rows: fewer where they are wide or long, so that their cells fit into memory."""
    part: list[tuple[_Row, _Row]] = []
    cells = characters = 0
    for row in islice(rows, ROWS):
        lengths = [_length(value) for values in row for value in values]
        # A text that is written once may stand in every cell: here it is one object still.
        if max(lengths) > MAX_CELL or sum(lengths) > MAX_BYTES:
            part.append((_shortened(row[0]), _shortened(row[1])))
            add(problems, len(part) - 1, f"a cell of more than {MAX_CELL:,} characters, or far too many of them")
        else:
            part.append(row)
            characters += sum(lengths)
        cells += len(lengths)
        if cells >= CELLS or characters >= PART:
            break
    return part


def _length(value: Any) -> int:
    return len(value) if type(value) is str else 0


def _shortened(row: _Row) -> _Row:
    return [None if _length(value) > KEPT else value for value in row]


def _computed(row: _Row, formula: _Row, index: int, problems: dict[int, str]) -> _Row:
    """The row, with formulas that nobody has computed as their own text."""
    if not formula:
        return row
    whole = list(row) + [None] * (len(formula) - len(row))
    for place, value in enumerate(formula):
        written = str(getattr(value, "text", value) or "")
        if whole[place] is None and written.startswith("="):
            whole[place] = written
            add(problems, index, f"a formula that was never computed (column {place + 1})")
    return whole


def _sheet(file: IO[bytes], read: FilesRead, where: str, *, computed: bool = True) -> Any:
    book = openpyxl.load_workbook(file, read_only=True, data_only=computed, keep_links=False)
    names = book.sheetnames
    if isinstance(read.sheet, int):
        name = names[read.sheet] if read.sheet < len(names) else None
    else:
        name = read.sheet if read.sheet in names else None
    if name is None:
        raise SourceContentError(
            f"no sheet {read.sheet!r}", where=where, why=f"there are {', '.join(names)}", remedy="ask the sender"
        )
    sheet = book[name]
    if not hasattr(sheet, "reset_dimensions"):
        raise SourceContentError(f"sheet {name!r} is a chart", where=where, remedy="correct `sheet` of the contract")
    # The dimension that a file states is often wrong; rows beyond it would be lost.
    sheet.reset_dimensions()
    return sheet


def _headings(head: Sequence[_Row], merged: Iterable[str], header_row: int) -> list[str]:
    if len(head) < header_row:
        return []
    names = [" ".join((text(value) or "").split()) for value in head[-1]]
    for area in merged:
        left, top, right, bottom = (bound or 1 for bound in range_boundaries(area))
        if left == right and top < header_row <= bottom and left <= len(head[top - 1]):
            names += [""] * (left - len(names))
            names[left - 1] = names[left - 1] or " ".join((text(head[top - 1][left - 1]) or "").split())
    while names and not names[-1]:
        names.pop()
    return names


def _scan(book: zipfile.ZipFile, path: str, where: str) -> _Scan:
    """The merged areas of a sheet, and whether it has formulas: neither is told by a streaming reader.

    Raises:
        SourceContentError: cells that would take more memory than the format allows them.
    """
    merged: set[str] = set()
    formulas, tail, since = False, b"", 0
    with book.open(path) as stream:
        while chunk := stream.read(1 << 20):
            window = tail + chunk
            since = 0 if _ROW.search(window) else since + len(chunk)
            # Excel's own limit is 32,767 characters a cell and three letters a column.
            endless = (len(chunk) == 1 << 20 and b"<" not in chunk) or since > MAX_ROW
            if endless or b"\0" in chunk or _FAR_CELL.search(window):
                raise SourceContentError(
                    "a sheet with cells that no spreadsheet program writes",
                    where=f"{where}, {path}",
                    why="a value or a row too long, a column beyond the last, or not UTF-8: broken, or made to harm",
                    remedy="look at the file before anything else does; ask the sender for CSV",
                )
            merged.update(area.decode() for area in _MERGED.findall(window))
            formulas = formulas or _FORMULA.search(window) is not None
            tail = window[-200:]
    return merged, formulas


def _check(file: IO[bytes], where: str) -> dict[str, _Scan]:
    """Looks a workbook through before the library, which holds cells and trees whole, sees any of it."""
    head = file.read(8)
    file.seek(0)
    if head.startswith(_OLD_OFFICE):
        raise SourceContentError(
            "no .xlsx workbook",
            where=f"{where}, byte 0",
            why="an old .xls workbook, or one locked with a password",
            remedy="ask the sender to save it as .xlsx, without a password",
        )
    try:
        with zipfile.ZipFile(Bounded(file)) as book:
            sizes = {info.filename: info.file_size for info in book.infolist()}
    except TooManyMembersError:
        raise SourceContentError(
            "a workbook with too many parts",
            where=where,
            why=f"their list alone takes over {MAX_DIRECTORY >> 20} MiB: broken, or made to harm",
            remedy="look at the file before anything else does; ask the sender for CSV",
        ) from None
    except _UNREADABLE:
        raise SourceContentError(
            "no .xlsx workbook",
            where=f"{where}, byte 0",
            why=f"the file begins with {head[:4].hex(' ') or 'nothing'} and is no ZIP archive, or is cut off",
            remedy="ask the sender to send it once more",
        ) from None
    finally:
        file.seek(0)
    strings = max((size for name, size in sizes.items() if name.endswith("sharedStrings.xml")), default=0)
    parts = max((size for name, size in sizes.items() if _is_tree(name)), default=0)
    if sum(sizes.values()) > MAX_UNPACKED or strings > MAX_STRINGS or parts > MAX_PART:
        raise SourceContentError(
            f"a workbook that unpacks to {sum(sizes.values()) >> 20:,} MiB",
            where=where,
            why="more than any list of ours needs: broken, or made to harm",
            remedy="ask the sender for CSV, or for the list in parts",
        )
    with zipfile.ZipFile(file) as book:
        scans = {name: _scan(book, name, where) for name in sizes if _is_sheet(name)}
    file.seek(0)
    return scans


def _is_sheet(name: str) -> bool:
    return name.startswith("xl/worksheets/") and name.endswith(".xml")


def _is_tree(name: str) -> bool:
    """Whether a part of a workbook may be read as a tree, whole."""
    return not _is_sheet(name) and not name.endswith("sharedStrings.xml") and not name.startswith("xl/media/")


def _filled(value: Any) -> bool:
    return value is not None and value != ""
