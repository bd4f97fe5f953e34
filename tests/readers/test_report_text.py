"""What a printed report says: to the letter, or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chengxin import contracts
from chengxin.readers.report_list import UnreadableError
from chengxin.readers.report_text import record
from chengxin.sandbox.print_reports import ITEMS

CONTRACT = contracts.load(Path(__file__).parents[2] / "include" / "sources" / "credit_report_pdfs.yml")
LIST = "失信信息记录"
NO_ITEMS = "失信信息记录：无"
HEAD = list(ITEMS)
PAIRS = [["报告编号", "XBP1", "信用等级", "AA"]]


def item(number: int, severity: str = "严重") -> list[str]:
    return [f"示例罚字〔2025〕第{number:05d}号", "行政处罚", severity, "区市场监管局", "2025-09-01", ""]


def page(*parts: Any, close: bool = False, full: bool = False) -> list[Any]:
    """Lines and tables from top to bottom, wide apart or as close as the lines of a paragraph."""
    return [(part, close, full) for part in parts]


def read(*pages: Sequence[Any], ignore: Sequence[str] = ()) -> dict[str, Any]:
    lines: list[Any] = []
    tables: list[Any] = []
    for number, parts in enumerate(pages, start=1):
        top = 40.0
        for part, close, full in parts:
            if isinstance(part, str):
                lines.append((number, part, top, top + 10, full))
                top += 14 if close else 40
            else:
                tables.append((number, [list(row) for row in part], top, top + 20 * len(part)))
                top += 20 * len(part) + (4 if close else 40)
    contract = CONTRACT.model_copy(update={"ignore": tuple(ignore)})
    found = record({"pages": len(pages), "lines": lines, "tables": tables}, [*CONTRACT.columns, *ignore], contract)
    return {key: json.loads(value) if key == LIST else value for key, value in found.items() if value is not None}


def numbers(found: dict[str, Any]) -> list[str]:
    return [one["文书号"][-3:-1] for one in found[LIST]]


READ: dict[str, tuple[Sequence[Any], dict[str, Any]]] = {
    "numbered lines": (
        ["（1）报告编号：XBP1", "2、信用等级：AA", "三、失信信息记录：无。"],
        {"报告编号": "XBP1", "信用等级": "AA"},
    ),
    "prose that only speaks": (
        ["报告编号：XBP1", NO_ITEMS, "信用等级说明见附件，征信机构对信用等级负责。", "信用等级的划分"],
        {"报告编号": "XBP1"},
    ),
    "pairs with merged cells": (
        [[["企业名称", "测试公司", None, None], *PAIRS], NO_ITEMS],
        {"企业名称": "测试公司", "报告编号": "XBP1", "信用等级": "AA"},
    ),
    "the word in a table": ([[*PAIRS, [LIST, "未发现", None, None]]], {"报告编号": "XBP1", "信用等级": "AA"}),
    "a count of none": (["报告编号：XBP1", "失信信息记录（共0条）"], {"报告编号": "XBP1"}),
    "a date with gaps": (
        ["报告日期：2026 年 6 月 1 日\t信用等级：AA", NO_ITEMS],
        {"报告日期": "2026 年 6 月 1 日", "信用等级": "AA"},
    ),
    "page number beside": (["报告编号：XBP1\t第1页 共1页", NO_ITEMS], {"报告编号": "XBP1"}),
    "empty frame": (["报告编号：XBP1", NO_ITEMS, [["", ""], ["", ""]]], {"报告编号": "XBP1"}),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_certain_is_read(name: str) -> None:
    parts, values = READ[name]
    assert read(page(*parts)) == {**values, LIST: []}


@pytest.mark.parametrize("count", ["失信信息记录（共2条）", "失信信息记录：共 二 条", "共有2条失信信息记录", "共2条"])
def test_a_list_with_its_stated_number(count: str) -> None:
    title = [] if count.startswith("失信") else [LIST]
    assert numbers(read(page(*title, count, [HEAD, item(1), item(2)]))) == ["01", "02"]


def test_a_list_goes_on_under_its_headings_and_a_running_head() -> None:
    first = page("示例信用报告", PAIRS, LIST, [HEAD, item(1)], "第1页 共2页")
    second = page("示例信用报告", PAIRS, [HEAD, item(2), ["以下空白", *[None] * 5]], "第2页 共2页")
    assert numbers(read(first, second)) == ["01", "02"]


def test_a_title_and_a_number_in_the_table_itself() -> None:
    rows = [[LIST, *[None] * 5], HEAD, item(1), item(2), ["合计：2条", *[None] * 5]]
    assert numbers(read(page(rows))) == ["01", "02"]


def test_what_the_contract_ignores() -> None:
    table = [["股东", "出资额"], ["示例公司", "100"]]
    parts = page("报告编号：XBP1\t法定代表人：示例", "上年度信用等级：BBB", "信用等级：AA", NO_ITEMS, table)
    found = read(parts, ignore=["股东", "出资额", "法定代表人", "上年度信用等级"])
    assert found == {"报告编号": "XBP1", "信用等级": "AA", LIST: []}


ROW = item(2)
UNCLEAR: dict[str, tuple[Sequence[Any], str]] = {
    # The list
    "none of another kind": (["一般失信信息记录：无", "严重失信信息记录：", [["编号"], ["1"]]], "not understood"),
    "none and a table": ([NO_ITEMS, [HEAD, ROW]], "said to be empty, and holds 1"),
    "none and rows": ([LIST, [HEAD, ["无", *[None] * 5], ROW]], "said to be empty"),
    "empty table": ([LIST, [HEAD, [""] * 6]], "without items, and no word"),
    "headings that differ": ([LIST, [[*HEAD[:2], "失信等级", *HEAD[3:]], ROW]], "neither knows nor ignores"),
    "second piece without": ([LIST, [HEAD, item(1)], [ROW]], "without the headings"),
    "second piece with": ([LIST, [HEAD, item(1)], [HEAD, ROW]], "may be another list"),
    "withdrawn ones": (["已撤销的记录", [HEAD, ROW]], "not under this title"),
    "historic ones": (["历史失信信息记录", [HEAD, ROW]], "not understood"),
    "fewer than stated": (["失信信息记录（共3条）", [HEAD, item(1), ROW]], "should hold 3 items by its words, 2 found"),
    "more than stated": (["失信信息记录：共1条", [HEAD, item(1), ROW]], "should hold 1 items"),
    "stated in a row": ([LIST, [HEAD, item(1), ["共2条", *[None] * 5]]], "should hold 2 items"),
    "stated in a sentence": (["该企业有失信信息记录多条", NO_ITEMS], "not understood"),
    "stated and no table": (["失信信息记录：共2条"], "neither a table"),
    "a note in a row": ([LIST, [HEAD, ROW, ["另有未公示记录", *[None] * 5]]], "merged cells"),
    "cells merged": ([LIST, [HEAD, item(1), [*ROW[:3], None, *ROW[4:]]]], "merged cells"),
    "no number": ([LIST, [HEAD, ["", *ROW[1:]]]], "no whole item"),
    "a page number as a row": ([LIST, [HEAD, ROW, ["2", *[""] * 5]]], "no whole item"),
    "a page number in a row": ([LIST, [HEAD, [*ROW[:3], "区局第1页共2页", *ROW[4:]]]], "a page number inside"),
    "no date": ([LIST, [HEAD, [*ROW[:4], "2025-13-41", ""]]], "a date under 认定日期 that is none"),
    "cut value": ([LIST, [HEAD, [*ROW[:3], "市生态环境局历…", *ROW[4:]]]], "cut off"),
    "several lines in a cell": ([LIST, [HEAD, [*ROW[:2], "严重\n一般", *ROW[3:]]]], "which may be several items"),
    "an item twice": ([LIST, [HEAD, ROW, ROW]], "holds an item twice"),
    "numbers with a gap": ([LIST, [["序号", *HEAD], ["1", *item(1)], ["3", *item(3)]]], "does not number its items"),
    "list without lines": ([LIST, "文书号\t信息类型\t失信程度", NO_ITEMS], "a table without lines"),
    "rows without lines": ([NO_ITEMS, "示例罚字1号\t行政处罚\t严重\t区局"], "a table without lines"),
    # Values
    "another year": (["上年度 信用等级：BBB", NO_ITEMS], "信用等级 behind other words"),
    "another year, in one word": (["上年度信用等级：BBB", NO_ITEMS], "behind other words"),
    "another year, further on": (["报告编号：XBP1 上年度 信用等级：BBB", NO_ITEMS], "more behind 报告编号"),
    "another year, in a cell": ([[*PAIRS, ["上年信用等级", "BBB", "", ""]], NO_ITEMS], "neither knows nor ignores"),
    "in a sentence": (["信用等级：AA", "本次评定信用等级为BBB", NO_ITEMS], "gives 信用等级 in a sentence"),
    "in a sentence, judged": (["信用等级：AA", "经复评，信用等级下调至B级", NO_ITEMS], "in a sentence"),
    "in brackets": (["信用等级：AA", "本次评级（信用等级【BBB】）", NO_ITEMS], "in a sentence"),
    "without a colon": (["信用等级 BBB", NO_ITEMS], "without a colon"),
    "without a gap": (["信用等级优秀", NO_ITEMS], "without a colon"),
    "a number in other words": ([LIST, "共一百二十条", [HEAD, ROW]], "states a number of items"),
    "heading alone": (["信用等级", NO_ITEMS], "without a colon"),
    "two values": (["信用等级：AA", [["信用等级", "BBB"]], NO_ITEMS], "printed more than once, with different values"),
    "another heading behind": (["信用等级：AA 展望：负面", NO_ITEMS], "more behind 信用等级"),
    "more behind a gap": (["信用等级：AA\t负面", NO_ITEMS], "more behind 信用等级"),
    "no gap": (["报告编号：XBP1信用等级：AA", NO_ITEMS], "without a gap"),
    "several lines": ([[["信用等级", "AA\n（负面）"]], NO_ITEMS], "信用等级 with several lines"),
    "the value far below": (["信用等级：", "AA", NO_ITEMS], "信用等级, whose value may go on"),
    "void": (["报告编号：XBP1", "（本报告作废）", NO_ITEMS], "of another time, or not valid"),
    "a title above": (["上年度评级结果", [["信用等级", "BBB"]], NO_ITEMS], "of another time, or not valid"),
    "unknown heading": (["报告状态：作废", NO_ITEMS], "neither maps nor ignores"),
    "cut": (["企业名称：济南天朗示例检测…", NO_ITEMS], "cut off"),
    "to be ticked": (["信用等级：□AAA ☑AA □A", NO_ITEMS], "to be ticked"),
    "headings in a row": ([[["报告编号", "信用等级"], ["XBP1", "AA"]], NO_ITEMS], "neither knows nor ignores"),
    "a gap before the value": ([[["报告编号", "", "XBP1"]], NO_ITEMS], "neither knows nor ignores"),
    "another table": (["报告编号：XBP1", NO_ITEMS, [["股东", "出资额"], ["甲", "1"]]], "neither knows nor ignores"),
    "a letter that nobody sees": (["信用\u200b等级：AA", NO_ITEMS], "that nobody sees"),
    "a letter of no font": (["企业名称：(cid:12)公司", NO_ITEMS], "does not say what they are"),
    "a part of a letter": (["企业名称：\u2ea0公司", NO_ITEMS], "does not say what they are"),
    # Pages
    "a page missing at the end": (["报告编号：XBP1", NO_ITEMS, "第1页 共2页"], "2 pages and do not count up"),
    "a page missing before": (["报告编号：XBP1", NO_ITEMS, "第 2 页/共 2 页"], "do not count up"),
    "a page missing, in short": (["报告编号：XBP1", NO_ITEMS, "1/3"], "3 pages and do not count up"),
    "a page missing, turned round": (["报告编号：XBP1", NO_ITEMS, "共2页，第1页"], "2 pages and do not count up"),
    "a page missing, in a sentence": (["报告编号：XBP1", NO_ITEMS, "本报告共3页"], "it says that it has 3 pages"),
    "a plain number": (["报告编号：XBP1", NO_ITEMS, "- 2 -"], "do not count up"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_not_certain_is_not_read(name: str) -> None:
    parts, why = UNCLEAR[name]
    with pytest.raises(UnreadableError, match=why):
        read(page(*parts))


def test_an_ignored_table_that_holds_what_is_looked_for_is_not_ignored() -> None:
    table = [["说明", None, None], ["其他", "信用等级", "AA"]]
    with pytest.raises(UnreadableError, match="neither knows nor ignores"):
        read(page("报告编号：XBP1", NO_ITEMS, table), ignore=["说明"])


@pytest.mark.parametrize("after", ["有限责任公司", "（观察名单）", "本报告仅供参考。"])
def test_a_value_that_may_go_on_in_the_next_line(after: str) -> None:
    assert read(page("信用等级：AA", after, NO_ITEMS))["信用等级"] == "AA"
    with pytest.raises(UnreadableError, match="信用等级, whose value may go on"):
        read(page("信用等级：AA", after, NO_ITEMS, close=True))
    with pytest.raises(UnreadableError, match="信用等级, whose value may go on"):
        read(page("信用等级：AA", after, NO_ITEMS, full=True))
    with pytest.raises(UnreadableError, match="信用等级, whose value may go on"):
        read(page("信用等级：AA", full=True), page(after, NO_ITEMS))


def test_a_value_before_the_next_heading_is_whole() -> None:
    assert read(page("信用等级：AA", "报告编号：XBP1", NO_ITEMS, close=True, full=True))["信用等级"] == "AA"


@pytest.mark.parametrize(("one", "other"), [("本次评定的信用", "等级为BBB"), ("本次评定的信用等级", "为BBB")])
def test_a_sentence_over_two_lines(one: str, other: str) -> None:
    with pytest.raises(UnreadableError, match="信用等级"):
        read(page("信用等级：AA"), page(NO_ITEMS), page(one, other, close=True))


def test_a_further_piece_under_a_title_of_its_own() -> None:
    with pytest.raises(UnreadableError, match="may be another list"):
        read(page(LIST, [HEAD, item(1)]), page("已撤销的信息", [HEAD, item(2)]))
    with pytest.raises(UnreadableError, match="may be another list"):
        read(page(LIST, [HEAD, item(1)]), page("声明"), page([HEAD, item(2)]))


def test_a_row_that_is_split_between_pages() -> None:
    rest = ["00001号", "", "", "历城分局", "", ""]
    with pytest.raises(UnreadableError, match="the rest of the one before"):
        read(page(LIST, [HEAD, item(0), item(1)]), page([HEAD, rest]))


def test_pages_that_count_up() -> None:
    lines = ("报告编号：XBP1", NO_ITEMS)
    assert read(page(*lines, "第1页 共2页"), page("附注", "第2页 共2页"))["报告编号"] == "XBP1"
    assert read(page("封面"), page(*lines, "- 1 -"), page("附注", "- 2 -"))["报告编号"] == "XBP1"
    with pytest.raises(UnreadableError, match="3 pages and do not count up to that: 2 of its 2"):
        read(page(*lines, "第1页 共3页"), page("附注", "第3页 共3页"))
    with pytest.raises(UnreadableError, match="a page is missing"):
        read(page(*lines, "- 1 -"), page("附注", "- 3 -"))


def test_a_row_without_its_line_below() -> None:
    with pytest.raises(UnreadableError, match="right under a table"):
        read([(LIST, False, False), ([HEAD, item(1)], True, False), (" ".join(item(2)), False, False)])


def test_ignored_headings_may_go_on_but_give_no_value() -> None:
    parts = page("说明：一：本报告依据有关规定", "编制，仅供参考。", "信用等级：AA", NO_ITEMS, close=True)
    assert read(parts, ignore=["说明"])["信用等级"] == "AA"
    with pytest.raises(UnreadableError, match="gives 信用等级 in a sentence"):
        read(page("说明：本次信用等级为BBB", "信用等级：AA", NO_ITEMS), ignore=["说明"])


@pytest.mark.parametrize(
    ("said", "count"), [("共12条", 12), ("共十条", 10), ("共十二条", 12), ("共二十条", 20), ("共二十三条", 23)]
)
def test_numbers_in_words(said: str, count: int) -> None:
    assert len(read(page(LIST, said, [HEAD, *map(item, range(count))]))[LIST]) == count


WORDS = [
    *CONTRACT.columns, *HEAD, LIST, "：", " ", "\t", "无", "共3条", "共十十条", "〇条", "第1页 共2页", "- 1 -", "AA",
    "1/2", "2026-06-01", "（", "。", "为", "上年度", "以下空白", "公司", "序号",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map("".join)
CELL = st.one_of(st.none(), st.just(""), TEXT)
ITEM_ROWS = st.lists(st.lists(CELL, min_size=6, max_size=6), max_size=3).map(lambda rows: [HEAD, *rows])
ANY_ROWS = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=3))
PART = st.tuples(st.one_of(TEXT, ITEM_ROWS, ANY_ROWS, st.sampled_from([LIST, NO_ITEMS])), st.booleans(), st.booleans())


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.lists(PART, max_size=4), min_size=1, max_size=3))
def test_whatever_it_says_it_is_read_or_it_is_not(pages: list[list[Any]]) -> None:
    try:
        found = read(*pages)
    except UnreadableError:
        return
    assert set(found) <= {*CONTRACT.columns, LIST}


def test_two_reports_in_one_file() -> None:
    with pytest.raises(UnreadableError, match="报告编号 is printed more than once"):
        read(page("报告编号：XBP1", NO_ITEMS, "第1页 共1页"), page("报告编号：XBP2", NO_ITEMS))
    with pytest.raises(UnreadableError, match="do not count up"):
        read(page("报告编号：XBP1", NO_ITEMS, "第1页 共1页"), page("报告编号：XBP1", NO_ITEMS, "第1页 共1页"))
