"""A day's records, rendered once: one file of JSON lines a source, from which pages are cut by position.

A million records are served this way without building any of them twice: a page is a slice of the file with its line
feeds turned into commas.
"""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

_INDEX = "index.json"


def write(folder: Path, tables: dict[str, pa.Table]) -> None:
    """Renders tables below `folder`.

    Args:
        folder: made if it is not there.
        tables: by the path they are served under.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for place, (path, table) in enumerate(sorted(tables.items())):
        file = folder / f"{place}.jsonl"
        json_lines(table, file)
        index[path] = file.name
    part = folder / f"{_INDEX}.part"
    part.write_text(json.dumps(index), "utf-8")
    part.rename(folder / _INDEX)


def json_lines(table: pa.Table, file: Path) -> None:
    """The table as JSON lines: one object a row, nested lists included, nulls written out."""
    database = duckdb.connect()
    database.register("rows", table)
    database.execute(f"COPY rows TO '{str(file).replace(chr(39), chr(39) * 2)}' (FORMAT json, ARRAY false)")


@dataclass(frozen=True)
class Records:
    """Rendered records of one source."""

    data: mmap.mmap | bytes
    ends: npt.NDArray[np.int64]
    """Position after each record's line feed."""

    @classmethod
    def open(cls, file: Path) -> Records:
        """The records of a file of JSON lines."""
        if not file.stat().st_size:
            return cls(b"", np.zeros(0, dtype=np.int64))
        with file.open("rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(data, np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1)

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self.ends)

    def page(self, number: int, size: int) -> bytes:
        """The records of one page (from 1), as JSON objects with commas between them."""
        first, last = (number - 1) * size, min(number * size, self.total)
        if first >= last:
            return b""
        start = int(self.ends[first - 1]) if first else 0
        return bytes(self.data[start : int(self.ends[last - 1]) - 1]).replace(b"\n", b",")


def open_all(folder: Path) -> dict[str, Records]:
    """All records of a folder that `write` made, by path."""
    index = json.loads((folder / _INDEX).read_text("utf-8"))
    return {path: Records.open(folder / name) for path, name in index.items()}


def envelope(total: int, records: bytes) -> bytes:
    """The body of an answer: total of all pages, and the records of this one."""
    return b'{"code":"200","msg":"\xe6\x88\x90\xe5\x8a\x9f","total":%d,"data":[%b]}' % (total, records)
