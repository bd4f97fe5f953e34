"""Workbooks: numbers and dates as text, merged headings, formulas, and files that are none."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import MAC_EPOCH

from chengxin.errors import DriftError, SourceContentError
from chengxin.readers import sheet
from chengxin.settings import House

from .tools import batches, file, rows


def book(content: list[list[Any]], change: Callable[[Any], Any] = lambda _: None) -> bytes:
    workbook = openpyxl.Workbook()
    one = workbook.active
    assert one is not None
    for row in content:
        one.append(row)
    change(one)
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def rewritten(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook with one of its parts changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            part = old.read(info)
            new.writestr(info.filename, change(part) if info.filename == name else part)
    return buffer.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def test_every_kind_of_cell(house: House) -> None:
    data = book(
        [
            ["代码", "数", "小数", "日期", "时刻", "是", "文字", "错"],
            [
                9.137011212345e17,
                370112123456789,
                0.1,
                datetime.date(2025, 3, 4),
                datetime.datetime(2025, 3, 4, 10, 20),  # noqa: DTZ001 - a cell has no zone
                True,
                " ９１ ",
                "#N/A",
            ],
            ["00123", None, 1234567.89, datetime.time(8, 30), "2025/3/4", False, "", None],
        ]
    )
    first, second = rows(house, file("xlsx"), data)
    assert first == {
        "代码": "9.137011212345E+17",
        "数": "370112123456789",
        "小数": "0.1",
        "日期": "2025-03-04",
        "时刻": "2025-03-04T10:20:00",
        "是": "true",
        "文字": " ９１ ",
        "错": "#N/A",
    }
    assert second["代码"] == "00123"
    assert second["小数"] == "1234567.89"
    assert second["日期"] == "08:30:00"
    assert second["数"] is None


def test_a_code_that_excel_mangled_stays_recognisable(house: House) -> None:
    data = book([["统一代码"], ["x"]])
    cell = b't="inlineStr"><is><t>x</t></is>'
    data = rewritten(data, SHEET, lambda xml: xml.replace(cell, b"><v>9.1370112123456794E+17</v>"))
    assert rows(house, file("xlsx"), data) == [{"统一代码": "9.13701121234568E+17"}]


def test_a_workbook_that_counts_from_1904_is_refused(house: House) -> None:
    """A date cell could be told, a bare number of days could not: it would be another day."""
    data = book([["code", "day"], ["1", 44197]], lambda one: setattr(one.parent, "epoch", MAC_EPOCH))
    with pytest.raises(SourceContentError, match="counts days from 1904"):
        rows(house, file("xlsx"), data)


def test_the_sheet_by_name_and_by_place(house: House) -> None:
    workbook = openpyxl.Workbook()
    for number, name in enumerate(["说明", "备案机构"]):
        one = workbook.create_sheet(name, number)
        one.append([name])
        one.append([number])
    buffer = io.BytesIO()
    workbook.save(buffer)
    assert rows(house, file("xlsx", sheet="备案机构"), buffer.getvalue()) == [{"备案机构": "1"}]
    assert rows(house, file("xlsx", sheet=0), buffer.getvalue()) == [{"说明": "0"}]
    for missing in ("机构", 7):
        with pytest.raises(SourceContentError, match="no sheet") as caught:
            rows(house, file("xlsx", sheet=missing), buffer.getvalue())
        assert "备案机构" in caught.value.why


def test_headings_below_a_merged_title(house: House) -> None:
    data = book(
        [["企业征信机构备案名单"], [" 机构\n名称 ", "代码"], ["虚构公司", "91"]], lambda one: one.merge_cells("A1:B1")
    )
    assert rows(house, file("xlsx", header_row=2), data) == [{"机构 名称": "虚构公司", "代码": "91"}]


def test_headings_merged_over_two_rows(house: House) -> None:
    def merge(one: Any) -> None:
        for area in ("A1:A2", "B1:C1", "D1:D2"):
            one.merge_cells(area)

    data = book([["序号", "主体", None, "备注"], [None, "名称", "代码", None], [1, "虚构", "91", "无"]], merge)
    assert rows(house, file("xlsx", header_row=2), data) == [{"序号": "1", "名称": "虚构", "代码": "91", "备注": "无"}]


def test_values_without_a_heading_are_a_problem_and_empty_columns_are_none(house: House) -> None:
    data = book([["a", None, "b", None], [1, None, 2, None], [3, "x", 4, None], [5, None, 6, "y"]])
    assert [row.get("_problem") for row in rows(house, file("xlsx"), data)] == [
        None,
        "a value under no heading (column 2)",
        "a value under no heading (column 4)",
    ]


def test_blank_rows_are_no_records(house: House) -> None:
    data = book([["a", "b"], [None, None], [1, None], ["", ""], [None, 2], [None, None]])
    assert rows(house, file("xlsx"), data) == [{"a": "1", "b": None}, {"a": None, "b": "2"}]


def test_headings_alone_are_an_empty_batch(house: House) -> None:
    (batch,) = batches(house, file("xlsx"), book([["a", "b"]]))
    assert batch.num_rows == 0
    assert batch.schema.names[:2] == ["a", "b"]


def test_headings_once_more_are_no_record(house: House) -> None:
    found = rows(house, file("xlsx"), book([["a", "b"], [1, 2], ["a", "b"]]))
    assert [row.get("_problem") for row in found] == [None, "the headings once more"]


def test_a_formula_is_read_as_what_it_was_computed_to(house: House) -> None:
    data = book([["a", "b"], [1, "=A2+1"], [2, "=A3+1"]])
    computed = rewritten(data, SHEET, lambda xml: xml.replace(b"<f>A2+1</f><v />", b"<f>A2+1</f><v>2</v>"))
    assert computed != data
    assert rows(house, file("xlsx"), computed) == [
        {"a": "1", "b": "2"},
        {"a": "2", "b": "=A3+1", "_problem": "a formula that was never computed (column 2)"},
    ]


def test_a_stated_dimension_that_is_wrong_loses_no_row(house: House) -> None:
    data = book([["a", "b"], [1, 2], [3, 4]])
    wrong = rewritten(data, SHEET, lambda xml: xml.replace(b'ref="A1:B3"', b'ref="A1:A1"'))
    assert wrong != data
    assert rows(house, file("xlsx"), wrong) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_many_rows_come_in_batches(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "ROWS", 10)
    found = rows(house, file("xlsx"), book([["a"], *([n] for n in range(25))]))
    assert [row["a"] for row in found] == [str(n) for n in range(25)]


def test_drift_and_missing_headings(house: House) -> None:
    with pytest.raises(DriftError, match="the same heading twice: a"):
        rows(house, file("xlsx"), book([["a", "b", "a"], [1, 2, 3]]))
    for header_row in (2, 9):
        with pytest.raises(SourceContentError, match=f"no headings in row {header_row}"):
            rows(house, file("xlsx", header_row=header_row), book([["a"], [None]]))


# Files that are none -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "begins with nothing"),
        (b"a,b\n1,2\n", "is no ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "an old .xls workbook, or one locked"),
        (b"<html>captcha</html>", "is no ZIP archive"),
    ],
)
def test_what_is_no_workbook_says_what_it_is(house: House, data: bytes, why: str) -> None:
    with pytest.raises(SourceContentError, match=r"no \.xlsx workbook") as caught:
        rows(house, file("xlsx"), data)
    assert why in caught.value.why


def test_a_workbook_cut_off(house: House) -> None:
    data = book([["a"], [1]])
    for size in (len(data) // 2, len(data) - 10):
        with pytest.raises(SourceContentError):
            rows(house, file("xlsx"), data[:size])


def test_another_zip_archive_is_no_workbook(house: House) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../etc/passwd", "x")
    with pytest.raises(SourceContentError, match="cannot be read"):
        rows(house, file("xlsx"), buffer.getvalue())


@pytest.mark.parametrize(
    "change",
    [
        lambda xml: xml[: len(xml) // 2],
        lambda xml: xml.replace(b't="inlineStr"><is><t>x</t></is>', b't="s"><v>999</v>'),
        lambda xml: b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + xml.split(b"?>", 1)[-1],
    ],
    ids=["cut", "no such string", "entities"],
)
def test_a_broken_sheet_is_named(house: House, change: Callable[[bytes], bytes]) -> None:
    data = rewritten(book([["a"], ["x"], ["y"]]), SHEET, change)
    with pytest.raises(SourceContentError, match="cannot be read"):
        rows(house, file("xlsx"), data)


def test_a_workbook_that_unpacks_to_too_much_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "MAX_UNPACKED", 1 << 20)
    data = rewritten(book([["a"], [1]]), "docProps/app.xml", lambda xml: xml + bytes(2 << 20))
    assert len(data) < 1 << 18
    with pytest.raises(SourceContentError, match="a workbook that unpacks to 2 MiB"):
        rows(house, file("xlsx"), data)
