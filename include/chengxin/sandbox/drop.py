"""Files as departments and agencies drop them into a folder: CSV, a sheet, JSON, packed XML, reports as PDF."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.csv as pa_csv
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font

from chengxin.sandbox import print_reports
from chengxin.sandbox.pages import json_lines

_SHEET = "备案机构"
_SHEET_TITLE = "企业征信机构备案情况表"


def write(folder: Path, pattern: str, day: date, table: pa.Table) -> Path:
    """Writes one file; it takes its name only when it is whole.

    Args:
        folder: where files are dropped.
        pattern: the file's name, `{day}` for the day as YYYYMMDD; its ending says how it is written.
        day: the day it speaks for.
        table: its rows.
    """
    if pattern.endswith(".pdf"):
        return _reports(folder / pattern.rpartition("/")[0], table)
    file = folder / pattern.format(day=f"{day:%Y%m%d}")
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    if file.suffix == ".csv":
        part.write_bytes(_csv(table).decode("utf-8").encode("utf-8-sig"))
    elif file.suffix == ".zip":
        part.write_bytes(_packed(file.stem, table))
    elif file.suffix == ".xlsx":
        part.write_bytes(_sheet(table))
    else:
        _document(table, day, part)
    part.rename(file)
    return file


def _csv(table: pa.Table) -> bytes:
    if not table.num_rows:
        text = io.StringIO()
        csv.writer(text).writerow(table.column_names)
        return text.getvalue().encode()
    sink = io.BytesIO()
    pa_csv.write_csv(table, sink, pa_csv.WriteOptions(quoting_style="needed"))
    return sink.getvalue()


def _packed(name: str, table: pa.Table) -> bytes:
    """A ZIP archive with one XML document in GB18030, as old systems write it."""
    lines = [f'<?xml version="1.0" encoding="GB18030"?>\n<list count="{table.num_rows}">\n']
    for row in table.to_pylist():
        fields = (f"<{heading}>{escape(value or '')}</{heading}>" for heading, value in row.items())
        lines.append(f"<row>{''.join(fields)}</row>\n")
    lines.append("</list>\n")
    data = io.BytesIO()
    # Equal lists are equal bytes: the member's time is the earliest that the format knows.
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(f"{name}.xml")
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, "".join(lines).encode("gb18030"))
    return data.getvalue()


def _reports(folder: Path, table: pa.Table) -> Path:
    """A file a report, and one that was scanned: nobody but a person can read that. What lies there stays."""
    for row in table.to_pylist():
        items = [[item[heading] or "" for heading in print_reports.ITEMS] for item in row.pop(print_reports.LIST)]
        name = f"{row['报告编号']}.pdf"
        if not (folder / name).exists():
            print_reports.write(folder, name, print_reports.page(row, items))
    return print_reports.write(folder, "扫描件.pdf", print_reports.scan())


def _sheet(table: pa.Table) -> bytes:
    """A title over all columns, headings, rows; a mangled code is a number, as Excel keeps it."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = _SHEET
    sheet.append([_SHEET_TITLE])
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=max(2, table.num_columns))
    sheet["A1"].font, sheet["A1"].alignment = Font(bold=True, size=14), Alignment(horizontal="center")
    sheet.append(table.column_names)
    for row in table.to_pylist():
        sheet.append([_cell(heading, value) for heading, value in row.items()])
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def _cell(heading: str, value: str | None) -> object:
    if value == "9.137E+17":
        return float(value)
    if heading.endswith("日期") and value and value != heading:
        return date.fromisoformat(value)
    return value


def _document(table: pa.Table, day: date, part: Path) -> None:
    """`{"batch": …, "data": {"reports": [...]}}`, written record by record."""
    lines = part.with_name(part.name + ".lines")
    json_lines(table, lines)
    with part.open("wb") as out, lines.open("rb") as records:
        head = {"batch": f"XYBG{day:%Y%m%d}", "sender": "示例征信归集平台", "count": table.num_rows}
        out.write(json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "data": {"reports": [')
        for place, line in enumerate(records):
            out.write((b",\n" if place else b"\n") + line.rstrip(b"\n"))
        out.write(b"\n]}}\n")
    lines.unlink()
