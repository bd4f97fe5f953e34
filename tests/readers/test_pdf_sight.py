"""Where a PDF's text and what a person sees of it differ, it is not read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from reportlab.lib.colors import Color, black, white
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from chengxin.readers import pdf_child
from chengxin.sandbox.print_reports import FONT

Draw = Callable[[Canvas], Any]


def drawn(*pages: Draw) -> dict[str, Any]:
    """What the reader makes of pages that all begin with one line."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    sink = io.BytesIO()
    canvas = Canvas(sink, invariant=1)
    for draw in pages:
        canvas.setFont(FONT, 11)
        canvas.drawString(60, 780, "报告编号：XBP1")
        draw(canvas)
        canvas.showPage()
    canvas.save()
    data = sink.getvalue()
    return pdf_child._answer(io.BytesIO(data), len(data))


def texts(answer: dict[str, Any]) -> list[str]:
    return [text for _, text, *_ in answer["lines"]]


def text(words: str, x: float = 60, y: float = 700, size: float = 11, **how: Any) -> Draw:
    def draw(canvas: Canvas) -> None:
        canvas.setFont(FONT, size)
        canvas.setFillColor(how.get("colour", black))
        if "mode" in how:
            piece = canvas.beginText(x, y)
            piece.setTextRenderMode(how["mode"])
            piece.textOut(words)
            canvas.drawText(piece)
        else:
            canvas.drawString(x, y, words)

    return draw


def both(*draws: Draw) -> Draw:
    return lambda canvas: [draw(canvas) for draw in draws]


def box(x: float, y: float, width: float, height: float, colour: Color) -> Draw:
    def draw(canvas: Canvas) -> None:
        canvas.setFillColor(colour)
        canvas.rect(x, y, width, height, stroke=0, fill=1)

    return draw


def picture(x: float, y: float, width: float, height: float, *, clear: bool = False) -> Draw:
    from PIL import Image

    image = Image.new("RGBA", (20, 20), (200, 0, 0, 90)) if clear else Image.new("RGB", (20, 20))
    return lambda canvas: canvas.drawImage(ImageReader(image), x, y, width, height, mask="auto")


def turned(canvas: Canvas) -> None:
    canvas.rotate(30)
    canvas.drawString(200, 300, "样本")


def mirrored(canvas: Canvas) -> None:
    canvas.scale(-1, 1)
    canvas.drawString(-200, 300, "样本")


def thin(canvas: Canvas) -> None:
    canvas.setFillAlpha(0.02)
    canvas.drawString(60, 700, "信用等级：A")


def form(canvas: Canvas) -> None:
    canvas.acroForm.textfield(name="grade", x=60, y=600, width=80, height=20, value="AA")


def note(canvas: Canvas) -> None:
    canvas.freeTextAnnotation("void", "/Helv 10 Tf", Rect=(60, 600, 160, 620))


def clipped(canvas: Canvas) -> None:
    canvas.saveState()
    path = canvas.beginPath()
    path.rect(60, 600, 50, 20)
    canvas.clipPath(path, stroke=0)
    canvas.drawString(60, 700, "信用等级：A")
    canvas.restoreState()


def framed(canvas: Canvas) -> None:
    canvas.saveState()
    for left in (55, 300):
        path = canvas.beginPath()
        path.rect(left, 690, 500, 30)
        canvas.clipPath(path, stroke=0)
        canvas.restoreState()
        canvas.saveState()
    canvas.restoreState()
    canvas.drawString(60, 700, "信用等级：A")


def curves(canvas: Canvas) -> None:
    for place in range(200):
        canvas.circle(60 + 2 * place, 400, 1, stroke=0, fill=1)


def grid(*words: tuple[float, float, str], width: float = 100) -> Draw:
    """A table of two by two cells, each 30 high, from (60, 600) on."""

    def draw(canvas: Canvas) -> None:
        canvas.grid([60, 60 + width, 60 + 2 * width], [600, 630, 660])
        for x, y, word in words:
            canvas.drawString(x, y, word)

    return draw


UNSEEN: dict[str, tuple[Draw, str]] = {
    "white on white": (text("信用等级：A", colour=white), "nobody sees"),
    "nearly white": (text("信用等级：A", colour=Color(0.9, 0.9, 0.9)), "nobody sees"),
    "black on black": (both(box(50, 690, 200, 30, black), text("信用等级：A")), "nobody sees"),
    "tiny": (text("信用等级：A", size=2), "nobody sees"),
    "not painted": (text("信用等级：A", mode=3), "not painted"),
    "clipped away": (clipped, "outside of the part that is shown"),
    "thin": (thin, "painted so thin"),
    "painted over": (both(text("信用等级：A"), box(50, 690, 200, 30, white)), "painted over"),
    "under a picture": (both(text("信用等级：A"), picture(50, 690, 80, 30)), "under a picture"),
    "struck out": (both(text("信用等级：A"), lambda canvas: canvas.line(60, 704, 120, 704)), "struck out"),
    "beyond the edge": (text("企业名称：济南天朗示例检测技术有限公司", x=500), "over the page's edge"),
    "turned": (turned, "turned"),
    "mirrored": (mirrored, "turned"),
    "a big picture": (picture(60, 300, 300, 300), "pictures or drawings"),
    "drawn": (curves, "pictures or drawings"),
    "a note": (note, "notes or stamps"),
    "a form": (form, "form fields"),
    "over each other": (both(text("信用等级：A"), text("信用等级：B")), "letters over each other"),
    "higher": (both(text("信用等级：AA"), text("-", x=129, y=703, size=8)), "letters that stand higher"),
    "lines too close": (
        both(text("信用等级：AA"), text("信用评分：86", x=200, y=695)),
        "lines that run into each other",
    ),
    "over the cell": (grid((120, 640, "济南天朗示例检测")), "over the edge of its cell"),
    "on the line": (grid((70, 656, "济南天朗")), "struck out"),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_a_person_sees_otherwise(name: str) -> None:
    draw, why = UNSEEN[name]
    assert why in drawn(draw)["problem"]
    told = drawn(lambda canvas: None, draw)["problem"]
    assert why in told
    assert name == "a form" or told.startswith("page 2 has ")


def test_a_page_without_text_between_others() -> None:
    def blank(canvas: Canvas) -> None:
        canvas.showPage()
        canvas.line(10, 10, 50, 50)
        canvas.showPage()
        canvas.drawString(60, 700, "x")

    assert drawn(blank)["problem"] == "page 2 holds no text: a picture or a scan, or empty"


SEEN: dict[str, tuple[Draw, str]] = {
    "white on blue": (both(box(50, 690, 200, 30, Color(0, 0, 0.6)), text("信用等级：A", colour=white)), "信用等级：A"),
    "printed twice to be bold": (both(text("信用等级：A"), text("信用等级：A", x=60.4)), "信用等级：A"),
    "under a seal": (both(text("信用等级：A"), picture(50, 690, 80, 80, clear=True)), "信用等级：A"),
    "after frames": (framed, "信用等级：A"),
    "a logo": (both(text("信用等级：A"), picture(400, 760, 100, 40)), "信用等级：A"),
    "underlined": (both(text("信用等级：A"), lambda canvas: canvas.line(60, 697, 120, 697)), "信用等级：A"),
    "a wide gap": (both(text("信用等级：A"), text("信用评分：86", x=300)), "信用等级：A\t信用评分：86"),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_a_person_sees_as_well(name: str) -> None:
    draw, words = SEEN[name]
    assert texts(drawn(draw)) == ["报告编号：XBP1", words]


def test_cells_hold_their_text_and_merged_ones_none() -> None:
    answer = drawn(both(grid((70, 640, "信用"), (70, 610, "AB-"), (170, 610, "86")), text("后", y=500)))
    assert [rows for _, rows, _, _ in answer["tables"]] == [[["信用", ""], ["AB-", "86"]]]
    assert texts(answer) == ["报告编号：XBP1", "后"]


@pytest.mark.parametrize(("pieces", "whole"), [(("XBP-", "2026"), "XBP-2026"), (("XB2A", "BC"), "XB2ABC")])
def test_a_code_over_two_lines_of_a_cell_is_one(pieces: tuple[str, str], whole: str) -> None:
    words = ((66, 646, pieces[0]), (66, 634, pieces[1]), (66, 616, "Example"), (66, 604, "Ltd"))
    (table,) = drawn(grid(*words, width=60))["tables"]
    assert [row[0] for row in table[1]] == [whole, "Example Ltd"]
    (table,) = drawn(grid(*words, width=150))["tables"]
    assert [row[0] for row in table[1]] == ["\n".join(pieces), "Example\nLtd"]


def test_radicals_are_the_letters_that_they_look_like() -> None:
    one = {"text": "\u2f64", "x0": 10.0, "top": 10.0, "width": 10.0, "height": 10.0}
    assert [char["text"] for char in pdf_child._single([one])] == ["用"]


def test_a_line_at_the_margin_is_known() -> None:
    answer = drawn(both(text("一" * 44, y=700), text("二", y=680)))
    assert [full for *_, full in answer["lines"]] == [False, True, False]


def raw(catalog: str = "", page: str = "", extra: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the reader makes of a page with one word, and whatever else its objects (from 5 on) say."""
    words = "BT /F1 12 Tf 60 700 Td (word) Tj ET"
    fonts = "/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    parts = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R {fonts} {page} >>",
        f"<< /Length {len(words)} >>\nstream\n{words}\nendstream",
        *extra,
    ]
    out, places = b"%PDF-1.6\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{part}\nendobj\n".encode()
    start, count = len(out), len(parts) + 1
    out += f"xref\n0 {count}\n0000000000 65535 f \n".encode()
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += f"trailer << /Size {count} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode()
    return pdf_child._answer(io.BytesIO(out), len(out))


SIGNATURE = "<< /Type /Annot /Subtype /Widget /FT /Sig /T (s) /Rect [300 100 400 200] >>"


def test_a_signed_report_is_read() -> None:
    assert texts(raw()) == ["word"]
    signed = raw("/AcroForm << /Fields [5 0 R] /SigFlags 3 >>", "/Annots [5 0 R]", (SIGNATURE,))
    assert texts(signed) == ["word"]


@pytest.mark.parametrize(
    ("catalog", "page", "extra", "why"),
    [
        ("/AcroForm << /Fields [5 0 R] >>", "", (SIGNATURE.replace("/Sig", "/Tx"),), "form fields"),
        ("", "/Annots [5 0 R]", (SIGNATURE.replace("/Sig", "/Tx"),), "notes or stamps"),
        ("", "/Annots [5 0 R]", ("<< /Subtype /Stamp /Rect [0 0 9 9] >>",), "notes or stamps"),
        ("/AcroForm << /Fields [] /XFA (x) >>", "", (), "form fields"),
        ("/OCProperties << /OCGs [5 0 R] /D << /OFF [5 0 R] >> >>", "", ("<< /Type /OCG >>",), "layers"),
        ("/Names << /EmbeddedFiles << /Names [] >> >>", "", (), "other files inside"),
        ("/Collection << >>  /Names << /EmbeddedFiles << /Names [] >> >>", "", (), "other files inside"),
        ("", "/CropBox [0 0 595 690]", (), "over the page's edge"),
    ],
)
def test_what_a_file_holds_besides_its_pages(catalog: str, page: str, extra: tuple[str, ...], why: str) -> None:
    assert why in raw(catalog, page, extra)["problem"]
