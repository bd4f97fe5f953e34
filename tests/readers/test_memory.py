"""A value of a gigabyte is refused long before it is held: peak memory, measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

LIMIT = 400
"""MiB above what the imports take."""

MEASURE = """
import resource, sys, zipfile, io, time
from collections.abc import Iterator
from chengxin import readers
from chengxin.reads import FilesRead
from chengxin.errors import ChengxinError
from chengxin.readers import delimited, json_text, sheet, xml_text, packed
from chengxin.readers.raw import Raw

def giga(head: bytes) -> Iterator[bytes]:
    yield head
    for _ in range(1024):
        yield b"x" * (1 << 20)

def book() -> Iterator[bytes]:
    sink = io.BytesIO()
    import openpyxl
    whole = openpyxl.Workbook()
    whole.active.append(["a"])
    whole.save(sink)
    out = io.BytesIO()
    with zipfile.ZipFile(sink) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for name in old.namelist():
            with new.open(name, "w", force_zip64=True) as part:
                if name.endswith("sheet1.xml"):
                    ns = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
                    part.write(b'<worksheet %b><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>' % ns)
                    for _ in range(1000):
                        part.write(b"x" * (1 << 20))
                else:
                    part.write(old.read(name))
    data = out.getvalue()
    yield data

FILES = {
    "csv": lambda: giga(b"a,b\\n"), "heading": lambda: giga(b""), "json": lambda: giga(b'[{"a": "'),
    "xml": lambda: giga(b"<l><r><a>"), "attribute": lambda: giga(b'<l><r a="'), "xlsx": book,
}
kind = sys.argv[1]
format_ = {"heading": "csv", "attribute": "xml"}.get(kind, kind)
more = {"records": "l.r"} if format_ == "xml" else {}
read = FilesRead(connector="files", connection="x", pattern="*", format=format_, **more)
raw = Raw("0" * 64, "x", FILES[kind])
reader = {"csv": delimited.batches, "json": json_text.document, "xml": xml_text.batches, "xlsx": sheet.batches}[format_]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    for _ in reader(raw, read):
        pass
except ChengxinError as error:
    time.sleep(0.5)  # a thread that reads ahead comes to its end
    print(error.cause, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


LONG = [pytest.param(kind, marks=pytest.mark.long) for kind in ("heading", "attribute", "xlsx")]


@pytest.mark.parametrize("kind", ["csv", "json", "xml", *LONG])
def test_a_value_of_a_gigabyte_is_refused(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURE), kind], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    cause, grown = done.stdout.split()
    assert cause == "content"
    assert int(grown) < LIMIT, f"{grown} MiB"
