"""Credit reports as PDF with text: one file is one record, and what cannot be read for sure is not guessed.

The contract's headings are the words that the report prints before its values: `报告编号：…` on a line, or a cell with
the value in the next one. A list (`children`) is a table whose first row holds the list's headings, or its name with a
word that says that there is none. A file that is locked, scanned, cut off, or in which any of this is unclear arrives
as a record with the reason in `_problem` (`pdf.unreadable: …`): the gate rejects it, and a person reads the original,
which the raw archive keeps under its hash.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from chengxin.contracts import Child, Contract
from chengxin.readers.raw import Raw
from chengxin.readers.rows import from_records

MAX_FILE = 32 << 20
"""Bytes of one report."""
SECONDS = 30.0
"""Time for one report."""
UNREADABLE = "pdf.unreadable"
NONE = r"(?:无|暂无|未发现|未查见|无此类信息)"
"""Words by which a report says that a list is empty."""

_STRANGE = re.compile("\\(cid:\\d+\\)|\ufffd|[\ue000-\uf8ff]")


class _UnreadableError(Exception):
    """Why a report cannot be read, in words without anything that it says."""


def batches(raw: Raw, contract: Contract) -> Iterator[pa.RecordBatch]:
    """The one record of a report, with a column for every heading of the contract."""
    headings = [*contract.columns, *contract.exclude, *contract.combined_headings, *contract.ignore]
    try:
        found: dict[str, Any] = _record(_apart(raw), list(dict.fromkeys(headings)), contract)
        problem = None
    except _UnreadableError as error:
        found, problem = dict.fromkeys([*headings, *contract.children]), f"{UNREADABLE}: {error}"
    one = from_records([found], raw.sha256, raw.where)
    place = one.schema.get_field_index("_problem")
    if problem:
        one = one.set_column(place, "_problem", pa.array([problem], pa.string()))
    yield one


def _record(parts: dict[str, Any], headings: Sequence[str], contract: Contract) -> dict[str, Any]:
    lines: list[tuple[int, str]] = [(page, line) for page, line in parts["lines"]]
    tables: list[tuple[int, list[list[str]]]] = [(page, rows) for page, rows in parts["tables"]]
    whole = [line for _, line in lines] + [cell for _, rows in tables for row in rows for cell in row]
    if any(_STRANGE.search(text) for text in whole):
        raise _UnreadableError("letters in a font that does not say what they are")
    lists: dict[str, list[dict[str, str]]] = {}
    rest = []
    for place, (page, rows) in enumerate(tables):
        name = next((name for name, child in contract.children.items() if rows and _is_head(rows[0], child)), None)
        if name is None:
            rest.append(rows)
            _hold_no_continuation(contract, tables, place)
            continue
        lists.setdefault(name, []).extend(_items(rows, contract.children[name], page))
    values: dict[str, set[str]] = {heading: set() for heading in headings}
    for line in (line for _, line in lines):
        _take_line(line, values)
    for rows in rest:
        for row in rows:
            _take_row(row, values)
    unclear = sorted(heading for heading, found in values.items() if len(found) > 1)
    if unclear:
        raise _UnreadableError(f"{', '.join(unclear)} is printed more than once, with different values")
    texts = [line for _, line in lines] + ["：".join(row) for rows in rest for row in rows]
    for name in contract.children:
        if name in lists:
            continue
        if not any(re.search(rf"{re.escape(name)}\s*[:：]*\s*{NONE}\s*[。.]?\s*$", text) for text in texts):
            raise _UnreadableError(f"neither a table of {name} that can be read, nor a word that there is none")
        lists[name] = []
    own = {heading: next(iter(found), None) for heading, found in values.items()}
    return own | {name: json.dumps(items, ensure_ascii=False) for name, items in lists.items()}


def _is_head(row: Sequence[str], child: Child) -> bool:
    return {_squeezed(cell) for cell in row} >= {_squeezed(heading) for heading in child.columns}


def _items(rows: Sequence[Sequence[str]], child: Child, page: int) -> list[dict[str, str]]:
    names = {_squeezed(heading): heading for heading in (*child.columns, *child.ignore)}
    head = [names.get(_squeezed(cell), cell) for cell in rows[0]]
    if len(set(head)) < len(head):
        raise _UnreadableError(f"a table on page {page} with the same heading twice")
    items = []
    for row in rows[1:]:
        if _squeezed("".join(row)) == _squeezed("".join(rows[0])) or not any(row):
            continue
        if len(row) != len(head):
            raise _UnreadableError(f"a table on page {page} whose rows do not fit its headings")
        if re.fullmatch(NONE, "".join(row)):
            continue
        items.append(dict(zip(head, row, strict=True)))
    return items


def _hold_no_continuation(contract: Contract, tables: Sequence[tuple[int, list[list[str]]]], place: int) -> None:
    """A table without headings, at the top of the page after a list of the same width, may be the rest of it."""
    page, rows = tables[place]
    before = [(number, one) for number, one in tables[:place] if number == page - 1]
    first = place == 0 or tables[place - 1][0] < page
    if not before or not first or not rows:
        return
    last = before[-1][1]
    if any(_is_head(last[0], child) for child in contract.children.values()) and len(last[0]) == len(rows[0]):
        raise _UnreadableError(f"a table on page {page} without headings, as wide as the list on the page before")


def _take_line(line: str, values: dict[str, set[str]]) -> None:
    """Every `heading：value` of a line; a value ends where the next heading begins."""
    if not values:
        return
    words = "|".join(_spaced(heading) for heading in sorted(values, key=len, reverse=True))
    marks = list(re.finditer(rf"(?<![一-鿿])({words})\s*[:：]\s*", line))
    ends = [*(mark.start() for mark in marks), len(line)][1:]
    for mark, end in zip(marks, ends, strict=True):
        value = line[mark.end() : end].strip(" \t;；")
        if value:
            values[next(heading for heading in values if _squeezed(heading) == _squeezed(mark[1]))].add(value)


def _take_row(row: Sequence[str], values: dict[str, set[str]]) -> None:
    """Every cell that is a heading, with the next cell as its value."""
    names = {_squeezed(heading): heading for heading in values}
    for cell, following in pairwise(row):
        heading = names.get(_squeezed(cell).rstrip(":："))
        if heading and following and _squeezed(following).rstrip(":：") not in names:
            values[heading].add(following)


def _spaced(heading: str) -> str:
    """A heading as a pattern: printers spread letters over a line."""
    return r"\s*".join(re.escape(letter) for letter in _squeezed(heading))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _apart(raw: Raw) -> dict[str, Any]:
    data = bytearray()
    for chunk in raw.chunks():
        data += chunk
        if len(data) > MAX_FILE:
            raise _UnreadableError(f"more than {MAX_FILE >> 20} MiB")
    if b"%PDF-" not in data[:1024]:
        raise _UnreadableError("no PDF")
    answer: dict[str, Any] = _child.ask(bytes(data))
    if "problem" in answer:
        raise _UnreadableError(str(answer["problem"]))
    return answer


class _Child:
    """The process that takes files apart; started when it is first needed, and again after a file that ended it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, data: bytes) -> dict[str, Any]:
        """What is in a file, or its problem."""
        with self._lock:
            if self._process is None or self._process.poll() is not None or self._owner != os.getpid():
                self._start()
            assert self._process is not None
            try:
                answer = self._exchange(self._process, data)
            except (OSError, ValueError):
                answer = b""
            except BaseException:
                self._end()
                raise
            if not answer.endswith(b"\n"):
                self._end()
                return {"problem": f"it takes more than {SECONDS:.0f} seconds, or more memory than any report"}
            found: dict[str, Any] = json.loads(answer)
            return found

    def _start(self) -> None:
        # Hostile bytes go in: no connection, no password, no other variable goes with them.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "chengxin.readers.pdf_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
        )
        self._owner = os.getpid()

    def _exchange(self, process: subprocess.Popen[bytes], data: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        # The child reads all of it before it does anything else.
        process.stdin.write(len(data).to_bytes(8, "big") + data)
        process.stdin.flush()
        answer = bytearray()
        deadline = time.monotonic() + SECONDS
        while not answer.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
            if select.select([process.stdout], [], [], left)[0]:
                piece = os.read(process.stdout.fileno(), 1 << 20)
                if not piece:
                    break
                answer += piece
        return bytes(answer)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._process = None


_child = _Child()
