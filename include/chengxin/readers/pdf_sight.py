"""What a person sees on a PDF page, held against what the file says: where the two may differ, the file is not read.

A PDF holds text that nobody sees (white on white, too small, beyond the edge, covered, a layer that is off, the hidden
text under a scan) and shows what is no text of the page (pictures, form fields, stamps). Either way the text alone is
no reading of the report. What is not seen here: a font that draws another letter than it names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

MIN_SIZE = 3.0
"""Points: smaller letters are not read by anybody."""
MIN_CONTRAST = 0.15
"""Between letter and ground, in the colour that differs most (0-1)."""
MAX_PICTURES = 0.08
"""Share of a page: a logo and two seals of 4 cm are within it, a list as a picture is not."""
MAX_DRAWN = 150
"""Filled curves of a page: a drawn seal is within it, a paragraph whose letters are drawn is not."""

_WHITE = (1.0, 1.0, 1.0)
_unseen: set[str] = set()
_watched = False

Box = tuple[float, float, float, float]
Colour = tuple[float, float, float] | None


def watch() -> None:
    """For the file that comes now, the parser notes what it drops: how text is painted, and through what."""
    global _watched
    _unseen.clear()
    if _watched:
        return
    _watched = True
    from pdfminer.converter import PDFLayoutAnalyzer
    from pdfminer.pdfdevice import PDFTextDevice
    from pdfminer.pdfinterp import PDFPageInterpreter
    from pdfminer.pdftypes import dict_value, resolve1
    from pdfminer.psparser import literal_name
    from pdfminer.utils import apply_matrix_pt

    device: Any = PDFTextDevice
    layout: Any = PDFLayoutAnalyzer
    interpreter: Any = PDFPageInterpreter
    render, letter, begin = device.render_string, layout.render_char, layout.begin_page
    save, restore, form = interpreter.do_q, interpreter.do_Q, interpreter.do_Do

    def string(self: Any, state: Any, seq: Any, *rest: Any) -> None:
        # 3: not painted; 7: only clips. OCR puts its guesses under a scan this way.
        if state.render in (3, 7) and any(isinstance(one, bytes) and one.strip() for one in seq):
            _unseen.add("text that is not painted, as under a scan")
        render(self, state, seq, *rest)

    def graphics(self: Any, name: Any) -> None:
        state = resolve1(dict_value(self.resources.get("ExtGState", {})).get(literal_name(name))) or {}
        opacity = resolve1(state.get("ca", 1))
        if isinstance(opacity, int | float) and opacity < MIN_CONTRAST:
            _unseen.add("something that is painted so thin that nobody sees it")

    def page(self: Any, *rest: Any) -> None:
        self.clips = [None]
        begin(self, *rest)

    def pushed(self: Any) -> None:
        self.device.clips.append(self.device.clips[-1])
        save(self)

    def popped(self: Any) -> None:
        if len(self.device.clips) > 1:
            self.device.clips.pop()
        restore(self)

    def inner(self: Any, name: Any) -> None:
        kept = [*self.device.clips]
        form(self, name)
        self.device.clips = kept

    def clipped(self: Any) -> None:
        points = [one for _, *numbers in self.curpath for one in zip(numbers[::2], numbers[1::2], strict=False)]
        if not points:
            return
        x, y = zip(*(apply_matrix_pt(self.ctm, point) for point in points), strict=True)
        old = self.device.clips[-1] or (min(x), min(y), max(x), max(y))
        self.device.clips[-1] = (max(min(x), old[0]), max(min(y), old[1]), min(max(x), old[2]), min(max(y), old[3]))

    def drawn(self: Any, *rest: Any, **named: Any) -> Any:
        found = letter(self, *rest, **named)
        item, clip = self.cur_item._objs[-1], self.clips[-1]
        middle = ((item.x0 + item.x1) / 2, (item.y0 + item.y1) / 2)
        if clip is not None and item.get_text().strip() and not _in(*middle, clip):
            _unseen.add("text outside of the part that is shown")
        return found

    device.render_string, layout.render_char, layout.begin_page = string, drawn, page
    interpreter.do_gs, interpreter.do_q, interpreter.do_Q, interpreter.do_Do = graphics, pushed, popped, inner
    interpreter.do_W = interpreter.do_W_a = clipped


def of_document(document: Any) -> str | None:
    """Why the pages' text is not all that the file says; None: it is."""
    from pdfminer.pdftypes import resolve1

    root = resolve1(document.doc.catalog)
    form = resolve1(root.get("AcroForm")) or {}
    if form.get("XFA") or any(kind != "Sig" for kind in _kinds(resolve1(form.get("Fields")) or ())):
        return "it has form fields, whose values are no text of the page"
    layers = resolve1((resolve1(root.get("OCProperties")) or {}).get("D")) or {}
    if resolve1(layers.get("OFF")) or _name(layers.get("BaseState")) == "OFF":
        return "it has layers that are not shown"
    if root.get("Collection") or (resolve1(root.get("Names")) or {}).get("EmbeddedFiles"):
        return "it has other files inside"
    return None


def of_page(page: Any) -> str | None:
    """Why the page's text is not what a person sees; None: it is, as far as can be told."""
    from pdfminer.layout import LTChar, LTCurve, LTImage, LTLine, LTRect
    from pdfminer.pdftypes import resolve1

    letters: list[tuple[float, float, float, float]] = []  # centre, then bottom and top
    grounds: list[tuple[Box, Colour]] = []
    rules: list[tuple[float, float, float]] = []  # height, then from and to
    drawn, pictures = 0, 0.0
    for item in _all(page.layout):
        if isinstance(item, LTChar):
            if not item.get_text().strip():
                continue
            a, b, _, d = item.matrix[:4]
            if a <= 0 or d <= 0 or abs(b) > 0.05 * a:
                return "text that is turned"
            x, y = (item.x0 + item.x1) / 2, (item.y0 + item.y1) / 2
            ground = next((colour for box, colour in reversed(grounds) if _in(x, y, box)), _WHITE)
            own = _colour(item.graphicstate.ncolor, item.ncs.name)
            if item.size < MIN_SIZE or (own and ground and _contrast(own, ground) < MIN_CONTRAST):
                return "text that nobody sees: too small, or in the colour of its ground"
            letters.append((x, y, item.y0, item.y1))
        elif isinstance(item, LTImage):
            pictures += item.width * item.height
            clear = any(item.stream.get(name) is not None for name in ("SMask", "Mask", "ImageMask"))
            if not clear and any(_in(x, y, item.bbox) for x, y, _, _ in letters):
                return "text under a picture"
        elif isinstance(item, LTLine) or (isinstance(item, LTRect) and item.height < 2):
            rules.append(((item.y0 + item.y1) / 2, item.x0, item.x1))
        elif isinstance(item, LTCurve) and item.fill:
            drawn += not isinstance(item, LTRect)
            if any(_in(x, y, item.bbox) for x, y, _, _ in letters):
                return "text that is painted over"
            grounds.append((item.bbox, _colour(item.non_stroking_color, "")))
    if _unseen:
        return min(_unseen)
    if drawn > MAX_DRAWN or pictures > MAX_PICTURES * page.width * page.height:
        return "pictures or drawings that may say something"
    if _struck(letters, sorted(rules)):
        return "text that is struck out"
    left, top, right, bottom = page.cropbox
    for one in page.chars:
        beside = one["x0"] < left - 1 or one["x1"] > right + 1 or one["top"] < top - 2 or one["bottom"] > bottom + 2
        if beside and one["text"].strip():
            return "text that runs over the page's edge"
    for note in (resolve1(one) for one in resolve1(page.page_obj.annots) or ()):
        kind = _name(note.get("Subtype"))
        if kind not in ("Link", "Popup") and not (kind == "Widget" and {*_kinds([note])} <= {"Sig"}):
            return "notes or stamps on top of its text"
    return None


def _all(items: Iterable[Any]) -> Iterator[Any]:
    from pdfminer.layout import LTContainer

    for item in items:
        if isinstance(item, LTContainer):
            yield from _all(item)
        else:
            yield item


def _kinds(fields: Iterable[Any], inherited: str | None = None) -> Iterator[str | None]:
    """The kinds of form fields, those inside others too; a kind is said by the field or by the one around it."""
    from pdfminer.pdftypes import resolve1

    for field in fields:
        found = resolve1(field) or {}
        kind = _name(found.get("FT")) or inherited or _name((resolve1(found.get("Parent")) or {}).get("FT"))
        inside = resolve1(found.get("Kids"))
        if inside:
            yield from _kinds(inside, kind)
        else:
            yield kind


def _name(value: Any) -> str | None:
    from pdfminer.pdftypes import resolve1

    found = getattr(resolve1(value), "name", None)
    return found if isinstance(found, str) else None


def _in(x: float, y: float, box: Box) -> bool:
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _colour(value: Any, space: str) -> Colour:
    """Red, green and blue; None where the space says too little."""
    parts = value if isinstance(value, tuple | list) else (value,)
    if space in ("Pattern", "Indexed", "Lab") or not all(isinstance(one, int | float) for one in parts):
        return None
    if space in ("Separation", "DeviceN"):
        return (1.0 - parts[0],) * 3 if len(parts) == 1 else None
    match [float(one) for one in parts]:
        case [grey]:
            return grey, grey, grey
        case [red, green, blue]:
            return red, green, blue
        case [*inks, black] if len(inks) == 3:
            red, green, blue = (1.0 - min(1.0, ink + black) for ink in inks)
            return red, green, blue
    return None


def _contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _struck(letters: Sequence[Box], rules: Sequence[tuple[float, float, float]]) -> bool:
    for x, _, bottom, top in letters:
        low, high = bottom + 0.25 * (top - bottom), bottom + 0.75 * (top - bottom)
        for place in range(bisect_left(rules, (low, 0.0, 0.0)), len(rules)):
            height, left, right = rules[place]
            if height > high:
                break
            if left <= x <= right:
                return True
    return False
