"""Made-up credit reports as PDF with text, laid out the way agencies print them.

A title, a table of headings and values, the list of adverse items (or the word that there is none), and a footer. The
font is one that every PDF reader brings along, so nothing is embedded; equal reports are equal bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FONT = "STSong-Light"
ITEMS = ("文书号", "信息类型", "失信程度", "认定单位", "认定日期", "整改确认日期")
"""Headings of the adverse items."""
LIST = "失信信息记录"


def page(report: Mapping[str, str | None], items: Sequence[Sequence[str]], *, password: str = "") -> bytes:
    """One report.

    Args:
        report: heading → value; a heading without a value is left out.
        items: adverse items, each with the values of `ITEMS`.
        password: to lock it with; empty: open.
    """
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    title = ParagraphStyle("title", fontName=FONT, fontSize=18, leading=26, alignment=1)
    text = ParagraphStyle("text", fontName=FONT, fontSize=10, leading=14, wordWrap="CJK")

    def table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Any:
        cells = [[Paragraph(cell.replace("&", "&amp;").replace("<", "&lt;"), text) for cell in row] for row in rows]
        style = [("GRID", (0, 0), (-1, -1), 0.5, colors.black), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")]
        return Table(cells, widths, style=style, repeatRows=1)

    pairs = [(heading, value) for heading, value in report.items() if value]
    rows = [[*first, *second] for first, second in zip(pairs[::2], [*pairs[1::2], ("", "")], strict=False)]
    parts: list[Any] = [Paragraph("企业信用报告", title), Spacer(1, 8), table(rows, (88, 172, 88, 172)), Spacer(1, 12)]
    if items:
        parts += [Paragraph(LIST, text), Spacer(1, 4), table([ITEMS, *items], (130, 60, 50, 110, 75, 95))]
    else:
        parts.append(Paragraph(f"{LIST}：无", text))
    parts += [Spacer(1, 12), Paragraph("示例数据，仅供测试；本报告所载主体均为虚构。", text)]
    sink = io.BytesIO()
    lock = StandardEncryption(password, strength=128) if password else None
    SimpleDocTemplate(sink, pagesize=A4, title="企业信用报告", encrypt=lock, invariant=1).build(parts)
    return sink.getvalue()


def scan() -> bytes:
    """A report that is a picture: a page with some strokes on it and no text."""
    from reportlab.pdfgen.canvas import Canvas

    sink = io.BytesIO()
    canvas = Canvas(sink, invariant=1)
    for place in range(40):
        canvas.line(72, 760 - 16 * place, 200 + 37 * place % 300, 760 - 16 * place)
    canvas.showPage()
    canvas.save()
    return sink.getvalue()


def write(folder: Path, name: str, data: bytes) -> Path:
    """Puts a report into the drop; it takes its name only when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}.part"
    part.write_bytes(data)
    return part.rename(folder / name)
