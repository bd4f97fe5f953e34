"""Many rows of some MiB each, in every kind of file: they are counted, their long values are not kept, and what a
harvest holds of them at once stays small: peak memory, measured in a process of its own."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from chengxin import archive, judging
from chengxin.ledger.models import RawObject
from chengxin.readers import rows as limits
from chengxin.readers import sheet
from chengxin.settings import House
from chengxin.staging import Tally
from tests.conftest import NOW
from tests.readers.tools import contract, file, rows

WIDE, COUNT = 5 << 20, 50
LIMIT = 230
"""MiB that 250 MiB of such rows may cost: the widest is held a few times while it is taken apart."""


def table(kind: str, values: Iterator[bytes]) -> Iterator[bytes]:
    """A file with the columns `a` (a number) and `b`, piece by piece."""
    head, row, tail = {
        "csv": (b"a,b\n", b"%d,%s\n", b""),
        "json": (b'[{"a":"-1"}', b',{"a":"%d","b":"%s"}', b"]"),
        "xml": (b"<l>", b"<r><a>%d</a><b>%s</b></r>", b"</l>"),
        "xlsx": (
            b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
            b'<row><c t="inlineStr"><is><t>a</t></is></c><c t="inlineStr"><is><t>b</t></is></c></row>',
            b'<row><c t="inlineStr"><is><t>%d</t></is></c><c t="inlineStr"><is><t>%s</t></is></c></row>',
            b"</sheetData></worksheet>",
        ),
    }[kind]
    yield head
    for number, value in enumerate(values):
        yield row % (number, value)
    yield tail


def made(kind: str, values: Iterator[bytes]) -> Iterator[bytes]:
    """The file, packed where its kind is."""
    if kind not in ("xlsx", "zip"):
        yield from table(kind, values)
        return
    empty, sink = io.BytesIO(), io.BytesIO()
    openpyxl.Workbook().save(empty)
    with zipfile.ZipFile(empty) as old, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for name in old.namelist() if kind == "xlsx" else ["a.csv"]:
            with new.open(name, "w", force_zip64=True) as part:
                if name.endswith(("sheet1.xml", ".csv")):
                    part.writelines(table("xlsx" if kind == "xlsx" else "csv", values))
                else:
                    part.write(old.read(name))
    yield sink.getvalue()


def chunks(house: House, kind: str, values: Iterator[bytes]) -> Iterator[pa.Table]:
    """What a harvest of such a file judges, chunk by chunk."""
    more: dict[str, Any] = {"xml": {"records": "l.r"}, "zip": {"members": "*.csv"}}.get(kind, {})
    one = file("csv" if kind == "zip" else kind, **more)
    sha256, size = archive.put_stream(house, one.name, made(kind, values))
    raw = RawObject(sha256=sha256, locator="名单 20260615", ordinal=0, size=size)
    yield from judging.chunks(house, one, [raw], Tally())


def measure(kind: str, var: str) -> None:
    """Tells the rows, those of them with a problem, and by how many MiB the process has grown."""
    house = House(root=Path(), var=Path(var), district="370112", clock=lambda: NOW)
    # Packing is no part of it: every kind packs the same small pieces first.
    list(chunks(house, kind, iter([b"x"])))
    wide = WIDE if kind != "xlsx" else 900_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # All at once: more than ever waits in memory.
    held = list(chunks(house, kind, (b"abcdefgh" * (wide >> 3) for _ in range(COUNT * WIDE // wide))))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    told = [problem for part in held for problem in part["_problem"].to_pylist()]
    print(json.dumps([len(told), sum(problem is not None for problem in told), grown]))


LONG = [pytest.param(kind, marks=pytest.mark.long) for kind in ("json", "xml", "xlsx", "zip")]


@pytest.mark.parametrize("kind", ["csv", *LONG])
def test_many_long_values_are_not_held(kind: str, tmp_path: Path) -> None:
    program = f"from tests.readers.test_wide import measure; measure({kind!r}, {str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    count, bad, grown = json.loads(done.stdout)
    wide = COUNT * WIDE // 900_000 if kind == "xlsx" else COUNT
    assert (count, bad) == (wide + (kind == "json"), wide)
    assert grown < LIMIT, f"{grown} MiB"


def test_what_is_short_is_kept_of_a_record_that_is_too_long(house: House) -> None:
    assert rows(house, file("csv"), b"a,b,c\n1,2,3\n4," + b"x" * (limits.MAX_BYTES + 1) + b",6\n") == [
        {"a": "1", "b": "2", "c": "3"},
        {"a": "4", "b": None, "c": "6", "_problem": "more than 1 MiB in one record"},
    ]
    many = {f"h{n}": "x" * 10_000 for n in range(200)}
    (found,) = rows(house, file("json"), json.dumps([{"a": "1", **many}]).encode())
    assert found["a"] == "1"
    assert {found[heading] for heading in many} == {None}


def test_a_list_of_a_thousand_applicants_in_one_record_is_kept(house: House) -> None:
    applicants = [{"code": "91370112XXXX00000R", "name": "虚构企业" * 10}] * 1000
    (found,) = rows(house, file("json"), json.dumps([{"list": applicants}], ensure_ascii=False).encode())
    assert json.loads(found["list"]) == applicants
    assert "_problem" not in found


def test_a_page_with_one_long_record_loses_no_other(house: House) -> None:
    api = contract({"connector": "http_api", "connection": "portal", "path": "/x"})
    records = [{"code": str(n), "name": "x" * (2 << 20) if n == 7 else "虚构"} for n in range(20)]
    found = rows(house, api, json.dumps({"data": {"records": records}}).encode())
    assert [row["code"] for row in found] == [str(n) for n in range(20)]
    assert [n for n, row in enumerate(found) if "_problem" in row] == [7]


def test_a_cell_longer_than_the_format_allows(house: House) -> None:
    at_most, beyond = b"x" * sheet.MAX_CELL, b"x" * (sheet.MAX_CELL + 1)
    first, second = rows(house, file("xlsx"), b"".join(made("xlsx", iter([at_most, beyond]))))
    assert first == {"a": "0", "b": at_most.decode()}
    assert second == {"a": "1", "b": None, "_problem": "a cell of more than 32,767 characters, or far too many of them"}


def test_chunks_are_cut_by_bytes_and_by_cells_and_lose_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [b"%d" % n * 1000 for n in range(500)]
    whole = pa.concat_tables(chunks(house, "csv", iter(values)))
    monkeypatch.setattr(judging, "BYTES", 20_000)
    parts = list(chunks(house, "csv", iter(values)))
    assert pa.concat_tables(parts).equals(whole)
    assert max(part.nbytes for part in parts) < 60_000
    monkeypatch.setattr(judging, "BYTES", 1 << 30)
    monkeypatch.setattr(judging, "CELLS", 20)
    one = file("json")
    raw = []
    for n in range(6):
        data = json.dumps([{f"a{n}": "1", "b": str(n)}] * 2).encode()
        raw.append(RawObject(sha256=archive.put(house, one.name, data), locator=f"{n}", ordinal=n, size=len(data)))
    parts = list(judging.chunks(house, one, raw, Tally()))
    assert [row["b"] for part in parts for row in part.to_pylist()] == [str(n) for n in range(6) for _ in range(2)]
    assert max(part.num_rows * part.num_columns for part in parts) <= 20
