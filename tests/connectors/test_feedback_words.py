"""What publishers read: one wording a cause, in Chinese, and what to do about it, whatever the log says."""

from __future__ import annotations

import re

import pytest

from chengxin import identity
from chengxin.connectors import feedback_words
from chengxin.quality import rules
from chengxin.tables import FACTS
from tests.conftest import ROOT

FOREIGN = re.compile(r"[A-Za-z_]{3,}")
"""What no data staff should have to read; PDF and the headings of their own files aside."""


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("the headings once more", "表头行混入数据"),
        ("a NUL in 名称; half a character in 地址", "“名称”栏含空字符；“地址”栏有残缺字符"),
        ("a formula that was never computed (column 3)", "第3列是未计算的公式，请另存为数值"),
        ("a value under no heading (column 12)", "第12列没有表头却有内容，疑似串列"),
        ("7 fields under 6 headings", "共7列，与表头的6列不符"),
        ("more than 1 MiB in one record", "内容过长，超出一条记录的上限"),
        ("no object but a list", "不是一条完整的记录"),
        ("something nobody has thought of", "格式与约定不符"),
    ],
)
def test_a_readers_problem_is_told_in_chinese(problem: str, said: str) -> None:
    what, to_do = feedback_words.row("record.readable", f"记录不完整，无法拆分为字段：{problem}")
    assert what == f"记录不完整，无法拆分为字段：{said}"
    assert to_do.startswith("请")


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("报告编号 is printed more than once, with different values", "报告中“报告编号”出现多次且内容不一"),
        (
            "neither a table of 不良记录 that can be read, nor a word that there is none",
            "报告中没有可读的“不良记录”表，也没有写明“无”",
        ),
        ("a table on page 3 whose rows do not fit its headings", "报告第3页有不能可靠读取的内容"),
        ("不良记录 should hold 3 items by its words, 2 found", "报告称“不良记录”共3条，只读到2条"),
        ("page 4 holds no text: a picture or a scan, or empty", "报告第4页没有文字（图片、扫描件或空白页）"),
        ("it holds no text: a scan, or empty", "报告没有文字（扫描件或空白）"),
        ("its page numbers say 3, 4 pages and do not count up to that: 1, 2", "报告页码不连续，疑有缺页"),
        ("no PDF", "不是PDF文件，或文件过大、已损坏"),
        ("letters in a font that does not say what they are", "报告有不能可靠读取的内容"),
    ],
)
def test_a_report_that_cannot_be_read_is_asked_for_again(problem: str, said: str) -> None:
    what, to_do = feedback_words.row("record.readable", f"记录不完整，无法拆分为字段：pdf.unreadable: {problem}")
    assert what == said
    assert "PDF" in to_do


def test_every_rule_and_every_reason_of_a_code_has_words() -> None:
    own = rules.load(rules.path(ROOT))
    for table in FACTS:
        for rule in rules.of(own, table):
            what, to_do = feedback_words.row(rule.id, rule.says)
            assert not FOREIGN.search(what.replace("PDF", ""))
            assert not FOREIGN.search(to_do)
            assert feedback_words.counted([(rule.id, 1234)], ROOT).endswith(" 1,234条")
            assert not FOREIGN.search(feedback_words.counted([(rule.id, 1)], ROOT))
    for reason in identity.REASONS[1:]:
        what, to_do = feedback_words.row("code.valid", f"统一社会信用代码不合法：某某原因（{reason}）")
        assert what == "统一社会信用代码不合法：某某原因"
        assert not FOREIGN.search(to_do)
        assert not FOREIGN.search(feedback_words.counted([(f"code.valid:{reason}", 1)], ROOT))


@pytest.mark.parametrize(
    ("cause", "message", "what"),
    [
        (
            "bound",
            "3 usable records, at least 10 were expected\n  where: x",
            "超出约定的范围：可用记录3条，少于约定的10条",
        ),
        (
            "bound",
            "40 of 100 known rows of list_entry would vanish, at most 20% may",
            "超出约定的范围：原有100条中将有40条消失，超过约定的20%",
        ),
        (
            "bound",
            "dm is filled in 12.0% of 50 records, at least 98.0% were expected",
            "超出约定的范围：50条记录中“dm”的填写率为12.0%，低于约定的98.0%",
        ),
        ("drift", "retyped column: rq", "栏目与约定不符：内容类型已变的栏目rq"),
        ("content", "the document is cut off", "文件或数据的格式与约定不符，未能读取"),
        ("sum", "5 records harvested, 4 accounted for", "我方处理出错"),
        (None, None, "我方处理出错"),
    ],
)
def test_why_nothing_was_taken_over(cause: str | None, message: str | None, what: str) -> None:
    told = feedback_words.whole("stopped" if cause in ("bound", "drift") else "failed", cause, message)
    assert told is not None
    assert told[0] == f"整批未采用，沿用上一批：{what}"
    assert told[1]
    assert feedback_words.whole("published", cause, message) is None
