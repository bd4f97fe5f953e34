"""What holds for every reader and every sequence of bytes.

    python -m tests.fuzz csv [folder of inputs] [-max_total_time=60]

A reader may refuse a file with an error of ours. Anything else that it raises, a batch of another shape, a row that is
counted twice or not at all, is a finding: keep the input under `found/<format>/`, where every test run tries it again.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import openpyxl
import pyarrow as pa

from chengxin import contracts, readers
from chengxin.contracts import Contract
from chengxin.errors import ChengxinError
from chengxin.readers import pdf_child, regular, report_list, report_text
from chengxin.readers.raw import Raw
from chengxin.readers.rows import from_records
from chengxin.reads import FilesRead
from chengxin.sandbox import print_reports

FOUND = Path(__file__).parent / "found"
_PDF = Path(__file__).parents[2] / "include" / "sources" / "credit_report_pdfs.yml"

READS: dict[str, dict[str, Any]] = {
    "csv": {"format": "csv"},
    "gb18030": {"format": "csv", "encoding": "gb18030"},
    "json": {"format": "json", "records": "data.rows"},
    "xml": {"format": "xml", "records": "data.row"},
    "xlsx": {"format": "xlsx", "header_row": 2},
    "zip": {"format": "csv", "members": "*.csv"},
    "pdf": {"format": "pdf"},
    "page": {},
}
"""Kind → how the contract reads it. `page`: the records of one page of an API, all of which look alike."""


def check(kind: str, data: bytes) -> int | None:
    """Reads bytes as a kind of file.

    Returns:
        The number of records; None if the file was refused by an error of ours.
    """
    if kind == "pdf":
        return _check_pdf(data)
    if kind == "page":
        return _check_page(data)
    contract = _contract(kind)
    assert isinstance(contract.read, FilesRead)
    pieces = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    rows = 0
    try:
        for batch in readers.file_batches(contract, contract.read, Raw("0" * 64, "fuzz", lambda: iter(pieces))):
            _check(batch, rows)
            rows += batch.num_rows
    except ChengxinError as error:
        cause = error.cause
    else:
        return rows
    assert cause in ("content", "drift"), cause
    return None


def _check(batch: pa.RecordBatch, first: int) -> None:
    batch.validate(full=True)
    assert tuple(batch.schema.names[-3:]) == readers.OWN_COLUMNS
    assert len(set(batch.schema.names)) == batch.num_columns
    assert batch.num_rows <= readers.MAX_ROWS
    assert batch.column(batch.num_columns - 2).to_pylist() == list(range(first, first + batch.num_rows))


def _check_pdf(data: bytes) -> int | None:
    """As the reader does, in this process: there, the parser is on its own."""
    answer = pdf_child._answer(io.BytesIO(data), len(data))
    if "problem" in answer:
        assert answer["problem"]
        return None
    try:
        found = report_text.record(answer, list(_contract("pdf").columns), _contract("pdf"))
    except report_list.UnreadableError:
        return None
    assert set(found) == {*_contract("pdf").columns, *_contract("pdf").children}
    return 1


def _check_page(data: bytes) -> int | None:
    """What is cut out by the places of the quotation marks is what a reader of every value finds."""
    try:
        listed = msgspec.json.decode(data, type=msgspec.Raw)
    except msgspec.DecodeError:
        return None
    found = regular.columns(listed, ("代码", "名称", "a", "b"))
    if found is None:
        return None
    whole = from_records(msgspec.json.Decoder(float_hook=str).decode(data), "0" * 64, "fuzz")
    assert set(found) == set(whole.schema.names) - set(readers.OWN_COLUMNS)
    for name, column in found.items():
        column.validate(full=True)
        assert column.to_pylist() == whole.column(name).to_pylist(), name
    return len(whole)


@cache
def _contract(kind: str) -> Contract:
    if kind == "pdf":
        return contracts.load(_PDF)
    return Contract.model_validate(
        {
            "name": "fuzz", "title": "虚构来源", "publisher": "虚构单位", "legal_basis": "虚构依据", "table": "subject",
            "mode": "full", "schedule": "0 1 * * *", "max_age": "2d", "columns": {"代码": "uscc", "名称": "name"},
            "read": {"connector": "files", "connection": "x", "pattern": "*", **READS[kind]},
            "key": ["uscc"], "bounds": {"rows": {"min": 0}, "shrink": {"max": 1}}, "keep": "5y",
            "owner": "data-engineering",
        }
    )  # fmt: skip


@cache
def seed(kind: str) -> bytes:
    """A sound file of a kind, with what its format can do."""
    text = '代码,名称\r\n91370112XXXX000001,"虚构, ""企业""\n一"\r\n2,㐂\r\n代码,名称\r\n3\r\n'
    match kind:
        case "csv":
            return text.encode()
        case "gb18030":
            return text.encode("gb18030")
        case "json":
            return (
                '{"a": [1, 2.50, null], "data": {"rows": [{"代码": "1", "n": [{"x": true}]}, {"名称": 1e9}]}}'.encode()
            )
        case "xml":
            return '<data><row id="1"><代码>1</代码><n><x><y>2</y></x></n><![CDATA[文]]></row><row/></data>'.encode()
        case "zip":
            sink = io.BytesIO()
            with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as book:
                book.writestr("a/1.csv", text)
                book.writestr("2.csv", "代码,名称\n4,四\n")
            return sink.getvalue()
        case "xlsx":
            book_ = openpyxl.Workbook()
            sheet = book_.active
            assert sheet is not None
            for row in (["名单", None, None], ["代码", "名称", None], ["1", "=A3", 1.5], [True, None, None]):
                sheet.append(row)
            sheet.merge_cells("A1:B1")
            sink = io.BytesIO()
            book_.save(sink)
            # Stored, not packed: a changed byte is a change of the sheet, not of the packing.
            plain = io.BytesIO()
            with zipfile.ZipFile(sink) as packed, zipfile.ZipFile(plain, "w") as stored:
                for name in packed.namelist():
                    stored.writestr(name, packed.read(name))
            return plain.getvalue()
        case "page":
            return '[{"代码":"1","名称":"\\\\N","a":1.50,"b":null},{"代码":"","名称":"\\"","a":true,"b":-7}]'.encode()
        case _:
            item = ["示例罚字1号", "行政处罚", "一般", "区住建局", "2025-09-01", ""]
            return print_reports.page({"报告编号": "XBP1", "报告日期": "2026-06-01"}, [item])
