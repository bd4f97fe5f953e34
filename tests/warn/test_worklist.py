"""Work lists: every nasty text survives as text, in a workbook that another library opens."""

from __future__ import annotations

import io

import openpyxl
import pandas as pd
import pytest

from chengxin.warn.worklist import Column, clean, workbook

COLUMNS = {"name": Column("主体名称", 36), "uscc": Column("统一社会信用代码", 22)}
NASTY = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "A & B \"公司\" '甲'",
    "]]></t></is></c>",
    "913700000000000000",
    "0012",
    "9.13E+17",
]


def _opened(content: bytes) -> openpyxl.worksheet.worksheet.Worksheet:
    return openpyxl.load_workbook(io.BytesIO(content)).active


def _made(names: list[str | None], notes: list[str] | None = None) -> openpyxl.worksheet.worksheet.Worksheet:
    rows = pd.DataFrame({"name": names, "uscc": ["9137****0001"] * len(names), "secret": ["x"] * len(names)})
    return _opened(workbook("清单", COLUMNS, rows, notes or []))


def test_nasty_texts_stay_text() -> None:
    sheet = _made(NASTY)
    assert [cell.value for cell in sheet["A"][1:]] == NASTY
    assert {cell.data_type for cell in sheet["A"]} == {"s"}
    assert all(cell.number_format == "@" and cell.quotePrefix for cell in sheet["A"][1:])


def test_only_the_columns_asked_for_are_written() -> None:
    sheet = _made(["甲"])
    assert [cell.value for cell in sheet[1]] == ["主体名称", "统一社会信用代码"]
    assert sheet.max_column == 2


def test_direction_and_control_characters_are_dropped() -> None:
    sheet = _made(["好\u202e司公\u0000\u0007", "两\n行\t字", "零\u200b宽\ufeff", "\ufffe坏", None])
    assert [cell.value or "" for cell in sheet["A"][1:]] == ["好司公", "两 行 字", "零宽", "坏", ""]


def test_notes_stand_above_the_headings() -> None:
    sheet = _made(["甲"], ["截至2026年6月15日", "编码已脱敏"])
    assert [sheet["A1"].value, sheet["A2"].value, sheet["A3"].value] == ["截至2026年6月15日", "编码已脱敏", "主体名称"]
    assert sheet.freeze_panes == "A4"
    assert sheet.auto_filter.ref == "A3:B4"


def test_an_empty_list_has_its_headings() -> None:
    assert _made([]).max_row == 1


def test_very_long_text_is_cut_to_what_a_cell_holds() -> None:
    assert len(_made(["长" * 40_000])["A2"].value) == 32_000


def test_same_rows_same_bytes() -> None:
    rows = pd.DataFrame({"name": NASTY, "uscc": NASTY})
    assert workbook("清单", COLUMNS, rows) == workbook("清单", COLUMNS, rows.copy())


def test_a_sheet_name_with_quotes() -> None:
    content = workbook('"甲" <乙> & 丙', COLUMNS, pd.DataFrame({"name": ["a"], "uscc": ["b"]}))
    assert openpyxl.load_workbook(io.BytesIO(content)).sheetnames == ['"甲" <乙> & 丙']


@pytest.mark.parametrize("text", ["a\u2028b", "a\x85b", " a \r\n b "])
def test_clean_gives_one_line(text: str) -> None:
    assert clean(pd.Series([text, None])).tolist() == ["a b", ""]


def test_a_hundred_thousand_rows_take_little_time() -> None:
    rows = pd.DataFrame({"name": [f"历城样例{n}有限公司" for n in range(100_000)], "uscc": ["9137****0001"] * 100_000})
    import time

    started = time.perf_counter()
    content = workbook("清单", COLUMNS, rows)
    assert time.perf_counter() - started < 5
    assert len(content) < 5_000_000
