"""Credit reports as PDF with text: one file is one record, and what cannot be read for sure is not guessed.

The contract's headings are the words that the report prints before its values: `报告编号：…` on a line, or a cell with
the value in the next one. A list (`children`) is a table under the list's name whose first row holds its headings, or
its name with a word that says that there is none. Every other table, and every other heading with a value, must stand
under `ignore`. A file that is locked, scanned, cut off, shows something else than it says (`pdf_sight`), or in which
anything is unclear (`report_text`, `report_list`) arrives as a record with the reason in `_problem`
(`pdf.unreadable: …`): the gate rejects it, and a person reads the original, which the raw archive keeps under its hash.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from chengxin.contracts import Contract
from chengxin.readers.raw import Raw
from chengxin.readers.report_list import UnreadableError
from chengxin.readers.report_text import record
from chengxin.readers.rows import from_records

MAX_FILE = 32 << 20
"""Bytes of one report."""
SECONDS = 30.0
"""Time for one report."""
UNREADABLE = "pdf.unreadable"


def batches(raw: Raw, contract: Contract) -> Iterator[pa.RecordBatch]:
    """The one record of a report, with a column for every heading of the contract."""
    headings = [*contract.columns, *contract.other_headings, *contract.exclude, *contract.combined_headings]
    headings += contract.ignore
    try:
        found: dict[str, Any] = record(_apart(raw), list(dict.fromkeys(headings)), contract)
        problem = None
    except UnreadableError as error:
        found, problem = dict.fromkeys([*headings, *contract.children]), f"{UNREADABLE}: {error}"
    one = from_records([found], raw.sha256, raw.where)
    place = one.schema.get_field_index("_problem")
    if problem:
        one = one.set_column(place, "_problem", pa.array([problem], pa.string()))
    yield one


def _apart(raw: Raw) -> dict[str, Any]:
    data = bytearray()
    for chunk in raw.chunks():
        data += chunk
        if len(data) > MAX_FILE:
            raise UnreadableError(f"more than {MAX_FILE >> 20} MiB")
    if b"%PDF-" not in data[:1024]:
        raise UnreadableError("no PDF")
    answer: dict[str, Any] = _child.ask(bytes(data))
    if "problem" in answer:
        raise UnreadableError(str(answer["problem"]))
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
