"""Credit reports as PDF: read to the letter, or handed to a person."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from chengxin import contracts
from chengxin.readers import printed
from chengxin.sandbox import print_reports
from chengxin.settings import House

from .tools import rows

CONTRACT = contracts.load(Path(__file__).parents[2] / "include" / "sources" / "credit_report_pdfs.yml")
REPORT = {
    "报告编号": "XBP202606000001",
    "统一社会信用代码": "91370112XXXX5K4GM2",
    "企业名称": "济南天朗示例检测技术与工程质量安全咨询服务有限责任公司",
    "征信机构代码": "91370199XXXX5K4GM3",
    "征信机构": "临沂恒信示例征信有限公司",
    "报告日期": "2026年06月01日",
    "有效期至": "2027-05-31",
    "评级标准": "GB/T 22116",
    "信用等级": "AA",
    "信用评分": "86.5",
    "项目编号": "LC-CG-202606-0001",
}
ITEMS = [
    ["示例罚字〔2025〕第00001号", "行政处罚", "一般", "区市场监管局", "2025-09-01", "2026-01-15"],
    ["示例罚字〔2025〕第00002号", "行政处罚", "严重", "市生态环境局历城分局", "2025-11-20", ""],
]


def read(house: House, data: bytes) -> dict[str, Any]:
    (one,) = rows(house, CONTRACT, data)
    return one


def drawn(*texts: str, image: bool = False) -> bytes:
    """A page with lines of text, one below the other, and perhaps a picture."""
    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont(print_reports.FONT))
    sink = io.BytesIO()
    canvas = Canvas(sink, invariant=1)
    if image:
        canvas.drawImage(ImageReader(Image.new("L", (40, 40))), 50, 50)
    canvas.setFont(print_reports.FONT, 11)
    for place, text in enumerate(texts):
        canvas.drawString(60, 780 - 18 * place, text)
    canvas.showPage()
    canvas.save()
    return sink.getvalue()


def test_every_value_of_a_report_and_its_items(house: House) -> None:
    found = read(house, print_reports.page(REPORT, ITEMS))
    items = json.loads(found.pop("失信信息记录"))
    assert found == {**dict.fromkeys(CONTRACT.columns), **REPORT}
    assert [list(item.values()) for item in items] == ITEMS
    assert list(items[0]) == list(print_reports.ITEMS)


def test_a_report_that_says_that_there_is_nothing(house: House) -> None:
    assert json.loads(read(house, print_reports.page(REPORT, []))["失信信息记录"]) == []


def test_a_long_list_goes_on_over_the_pages(house: House) -> None:
    many = [[f"示例罚字〔2025〕第{n:05d}号", "行政处罚", "一般", "区住建局", "2025-09-01", ""] for n in range(90)]
    items = json.loads(read(house, print_reports.page(REPORT, many))["失信信息记录"])
    assert [item["文书号"] for item in items] == [row[0] for row in many]


def test_headings_and_values_on_lines(house: House) -> None:
    data = drawn(
        "报告编号：XBP1    报 告 日 期 : 2026-06-01",
        "征信机构：示例征信有限公司  征信机构代码：91370199XXXX5K4GM3  信用等级：A",
        "失信信息记录：无",
    )
    found = read(house, data)
    assert {key: value for key, value in found.items() if value} == {
        "报告编号": "XBP1", "报告日期": "2026-06-01", "征信机构": "示例征信有限公司",
        "征信机构代码": "91370199XXXX5K4GM3", "信用等级": "A", "失信信息记录": "[]",
    }  # fmt: skip


W = (130, 60, 50, 110, 75, 95)
HALF = (88, 172, 88, 172)
HEAD = [["报告编号", "XBP1", "企业名称", "测试公司"], ["信用等级", "AA", "信用评分", "86.5"]]
LIST, NO_ITEMS = print_reports.LIST, f"{print_reports.LIST}：无"


def printed_of(*parts: Any) -> bytes:
    """Paragraphs (text), tables (rows and widths), gaps (points) and page breaks (None)."""
    from reportlab.lib import colors
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

    pdfmetrics.registerFont(UnicodeCIDFont(print_reports.FONT))
    style = ParagraphStyle("text", fontName=print_reports.FONT, fontSize=10, leading=14, wordWrap="CJK")

    def part(one: Any) -> Any:
        if one is None:
            return PageBreak()
        if isinstance(one, str):
            return Paragraph(one, style)
        if isinstance(one, int):
            return Spacer(1, one)
        rows, widths = one
        cells = [[Paragraph(cell, style) for cell in row] for row in rows]
        return Table(cells, widths, style=[("GRID", (0, 0), (-1, -1), 0.5, colors.black)], splitInRow=1, repeatRows=1)

    sink = io.BytesIO()
    SimpleDocTemplate(sink, invariant=1).build([part(one) for one in parts])
    return sink.getvalue()


def row(number: int, authority: str = "区市场监管局") -> list[str]:
    return [f"示例罚字〔2025〕第{number:05d}号", "行政处罚", "严重", authority, "2025-09-01", ""]


ITEM_HEAD = list(print_reports.ITEMS)
OTHER_HEAD = [*ITEM_HEAD[:2], "失信等级", *ITEM_HEAD[3:]]
LAYOUTS: dict[str, tuple[tuple[Any, ...], str]] = {
    "a name over two lines": (
        ("报告编号：XBP1", f"企业名称：{REPORT['企业名称'] * 2} 报告日期：2026-06-01", "信用等级：AA", NO_ITEMS),
        "企业名称, whose value may go on",
    ),
    "a number over two lines": (
        (f"报告编号：{'XBP-2026-' * 12}0001", "信用等级：AA", NO_ITEMS),
        "报告编号, whose value",
    ),
    "words under a grade": (
        ((HEAD[:1], HALF), "信用等级：AA", "（观察名单，负面展望）", NO_ITEMS),
        "信用等级, whose value",
    ),
    "last year's grade": (
        ("报告编号：XBP1", 30, "上年度 信用等级：BBB", "本次评定信用等级为AA", NO_ITEMS),
        "信用等级 behind",
    ),
    "none of the other kind": (
        ((HEAD, HALF), 10, f"一般{LIST}：无", f"严重{LIST}：", ([OTHER_HEAD, row(3)], W)),
        "speaks of 失信信息记录 in words that are not understood",
    ),
    "a running head before the rest": (
        ((HEAD, HALF), LIST, ([ITEM_HEAD, row(1)], W), None, (HEAD[:1], HALF), 10, ([row(3), row(4)], W)),
        "page 2 without the headings",
    ),
    "two pieces on a page": (
        ((HEAD, HALF), LIST, ([ITEM_HEAD, row(1)], W), 20, ([row(3)], W)),
        "page 1 without the headings",
    ),
    "two lists": (
        ((HEAD, HALF), LIST, ([ITEM_HEAD, row(1)], W), 20, ([OTHER_HEAD, row(3)], W)),
        "page 1 without the headings",
    ),
    "a row over two pages": (
        ((HEAD, HALF), 520, LIST, ([ITEM_HEAD, row(1), row(2, "区市场监管局" * 18)], W)),
        "page 2 without the headings",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_that_hide_something(house: House, name: str) -> None:
    parts, why = LAYOUTS[name]
    found = read(house, printed_of(*parts))
    assert why in found.pop("_problem")
    assert set(found.values()) == {None}


def test_a_list_whose_headings_are_repeated_goes_on_behind_a_running_head(house: House) -> None:
    first = ((HEAD, HALF), LIST, ([ITEM_HEAD, row(1)], W), None)
    data = printed_of(
        *first, (HEAD[:1], HALF), 10, ([ITEM_HEAD, row(3)], W), 30, f"{LIST}：共2条", 30, "第 2 页 共 2 页"
    )
    assert "2 pages and do not count up" in read(house, data)["_problem"]
    data = printed_of(*first, (HEAD[:1], HALF), 10, ([ITEM_HEAD, row(3)], W), 30, f"{LIST}：共2条")
    assert [item["文书号"] for item in json.loads(read(house, data)[LIST])] == [row(1)[0], row(3)[0]]


def bomb() -> bytes:
    """A page whose content unpacks to 1.25 GiB."""
    packer = zlib.compressobj(1)
    zeros = bytes(1 << 24)
    stream = b"".join(packer.compress(zeros) for _ in range(80)) + packer.flush()
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
        b"<< /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, part)
    start = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % start


UNREADABLE: dict[str, tuple[bytes | None, str]] = {
    "locked": (print_reports.page(REPORT, [], password="geheim"), "locked with a password"),
    "scan": (drawn(image=True), "no text"),
    "empty": (b"", "no PDF"),
    "no pdf": (b"<html>captcha</html>", "no PDF"),
    "cut off": (print_reports.page(REPORT, ITEMS)[:700], "no "),
    "nothing said of items": (drawn("报告编号：XBP1"), "neither a table of 失信信息记录"),
    "two numbers": (
        drawn("报告编号：XBP1", "报告编号：XBP2", "失信信息记录：无"),
        "报告编号 is printed more than once",
    ),
    "bomb": (None, "memory"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_for_sure_goes_to_a_person(house: House, name: str) -> None:
    data, why = UNREADABLE[name]
    data = bomb() if data is None else data
    found = read(house, data)
    problem = found.pop("_problem")
    assert problem.startswith(f"{printed.UNREADABLE}: ")
    assert why in problem
    assert set(found.values()) == {None}


def test_the_next_report_is_read_after_one_that_killed_the_reader(house: House) -> None:
    read(house, print_reports.page(REPORT, []))
    process = printed._child._process
    assert process is not None
    process.kill()
    process.wait()
    assert read(house, print_reports.page(REPORT, []))["报告编号"] == "XBP202606000001"


def test_a_file_that_takes_too_long_is_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "SECONDS", 0.0)
    assert "more than 0 seconds" in read(house, print_reports.page(REPORT, []))["_problem"]


def test_equal_reports_are_equal_bytes() -> None:
    assert print_reports.page(REPORT, ITEMS) == print_reports.page(REPORT, ITEMS)
