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
