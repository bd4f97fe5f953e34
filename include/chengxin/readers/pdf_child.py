"""A process of its own that takes PDF files apart: what a hostile file does to it, it does to nobody else.

Reads from standard input, again and again, eight bytes of length and a file; writes one line of JSON for each:
`pages` (how many), `lines` (page, text, top, bottom, and whether it ends at the margin) and `tables` (page, rows of
cells, top, bottom; no cell, as where others are merged: null), or `problem`. Memory is limited; time is limited by
whoever started it. Ends when its input does.
"""

from __future__ import annotations

import io
import json
import logging
import re
import resource
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Any, BinaryIO

from chengxin.readers import pdf_sight

MEMORY = 1 << 30
"""Bytes of address space beyond what the libraries take at the start."""
MAX_PAGES = 100
MAX_CHARACTERS = 2_000_000
MAX_PIECES = 20_000
"""Lines, and cells of tables."""
PADDING = 8.0
"""Points between a cell's edge and its text, at most."""
BAND = 20.0
"""Points: the height of the bands by which cells are found."""

RADICALS = {sign: unicodedata.normalize("NFKC", chr(sign)) for sign in range(0x2F00, 0x2FD6)}
"""Radical → the letter that looks the same: browsers that print write ⽤ for 用, as one glyph of the font is both."""

_Box = tuple[float, float, float, float]


def main() -> None:
    """Serves until standard input ends."""
    logging.disable(logging.CRITICAL)
    import pdfplumber  # noqa: F401 - before memory is limited

    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    source, sink = sys.stdin.buffer, sys.stdout
    while len(head := source.read(8)) == 8:
        answer = _answer(source, int.from_bytes(head, "big"))
        sink.write(json.dumps(answer, ensure_ascii=True) + "\n")
        sink.flush()


def _answer(source: BinaryIO, size: int) -> dict[str, Any]:
    try:
        return _apart(source.read(size))
    except RecursionError:
        return {"problem": "it is nested without end"}
    except Exception as error:  # noqa: BLE001 - hostile files raise anything, and none of it may end the process
        # The library wraps what its parser raised; never its text, which may quote the file.
        names = [type(one).__name__ for one in (error, error.__cause__, error.__context__, *error.args)]
        if "MemoryError" in names:
            return {"problem": "it needs more memory than any report"}
        if any("Password" in name or "Encrypt" in name for name in names):
            return {"problem": "it is locked with a password"}
        return {"problem": f"no readable PDF ({names[0]})"}


def _apart(data: bytes) -> dict[str, Any]:
    import pdfplumber

    pdf_sight.watch()
    lines: list[_Line] = []
    tables: list[tuple[int, list[list[str | None]], float, float]] = []
    edges: list[tuple[float, float]] = []
    characters = 0
    with pdfplumber.open(io.BytesIO(data)) as document:
        pages = document.pages
        if len(pages) > MAX_PAGES:
            return {"problem": f"{len(pages):,} pages, more than {MAX_PAGES}"}
        if problem := pdf_sight.of_document(document):
            return {"problem": problem}
        for number, page in enumerate(pages, start=1):
            characters += len(page.chars)
            if characters > MAX_CHARACTERS:
                return {"problem": f"more than {MAX_CHARACTERS:,} characters"}
            if not any(one["text"].strip() for one in page.chars):
                return {"problem": f"page {number} holds no text: a picture or a scan, or empty"}
            if problem := pdf_sight.of_page(page):
                return {"problem": f"page {number} has {problem}"}
            try:
                chars = _single(page.chars)
                found = page.find_tables()
                cells, rest = _sorted_in(found, chars)
                for one, texts in zip(found, cells, strict=True):
                    rows = [
                        [None if cell is None else _cell(texts.get(cell, []), cell[2] - cell[0]) for cell in row.cells]
                        for row in one.rows
                    ]
                    tables.append((number, rows, one.bbox[1], one.bbox[3]))
                own = _lines(number, rest)
            except _UnclearError as error:
                return {"problem": f"page {number} has {error}"}
            lines += own
            if len(lines) + sum(len(row) for _, rows, _, _ in tables for row in rows) > MAX_PIECES:
                return {"problem": f"more than {MAX_PIECES:,} lines and cells"}
            left = min((one["x0"] for one in chars if one["text"].strip()), default=0.0)
            edges.append((page.width - left, max((line.right for line in own), default=0.0)))
            page.close()
    if not characters:
        return {"problem": "it holds no text: a scan, or empty"}
    widest = max(right for _, right in edges)
    told = []
    for line in lines:
        # A line is full where it ends at the margin: at the other margin's mirror image, or where the longest ends.
        full = line.right >= min(widest, edges[line.page - 1][0]) - 2 * line.size
        told.append((line.page, line.text, line.top, line.bottom, full))
    return {"pages": len(pages), "lines": told, "tables": tables}


class _UnclearError(Exception):
    """What of a page has no certain order, in words without anything that it says."""


@dataclass(frozen=True)
class _Line:
    page: int
    text: str
    top: float
    bottom: float
    left: float
    right: float
    size: float
    head: float
    """Width of what cannot be parted from its beginning: three letters, or a word or number."""


def _single(chars: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Letters without their doubles: some printers make bold by printing twice. Others over each other are unclear."""
    near: dict[tuple[int, int], list[dict[str, Any]]] = {}
    kept = []
    for one in chars:
        if not one["text"].strip():
            kept.append(one)
            continue
        one["text"] = one["text"].translate(RADICALS)
        column, row = int(one["x0"] // 4), int(one["top"] // 4)
        others = [other for x in (-1, 0, 1) for y in (-1, 0, 1) for other in near.get((column + x, row + y), ())]
        double = False
        for other in others:
            x, y = abs(one["x0"] - other["x0"]), abs(one["top"] - other["top"])
            if x < 1 and y < 1 and one["text"] == other["text"]:
                double = True
            elif x < 0.3 * min(one["width"], other["width"]) and y < 0.3 * min(one["height"], other["height"]):
                raise _UnclearError("letters over each other")
        if not double:
            kept.append(one)
            near.setdefault((column, row), []).append(one)
    return kept


def _sorted_in(
    tables: Sequence[Any], chars: Sequence[dict[str, Any]]
) -> tuple[list[dict[_Box, list[dict[str, Any]]]], list[dict[str, Any]]]:
    """For each table the letters of each cell, and the letters outside of all tables."""
    bands: dict[int, list[tuple[int, _Box]]] = {}
    for place, table in enumerate(tables):
        for cell in table.cells:
            for band in range(int(cell[1] // BAND), int(cell[3] // BAND) + 1):
                bands.setdefault(band, []).append((place, cell))
    inside: list[dict[_Box, list[dict[str, Any]]]] = [{} for _ in tables]
    rest = []
    for one in chars:
        x, y = (one["x0"] + one["x1"]) / 2, (one["top"] + one["bottom"]) / 2
        holding = [
            (place, cell)
            for place, cell in bands.get(int(y // BAND), ())
            if cell[0] <= x < cell[2] and cell[1] <= y < cell[3]
        ]
        blank = not one["text"].strip()
        if not holding:
            boxes = (table.bbox for table in tables)
            if not blank and any(box[0] <= x <= box[2] and box[1] <= y <= box[3] for box in boxes):
                raise _UnclearError("text in a table, but in none of its cells")
            rest.append(one)
            continue
        place, cell = holding[0]
        if len(holding) > 1 and not blank:
            raise _UnclearError("tables inside each other")
        over, under = 0.1 * one["width"], 0.3 * one["height"]
        beside = one["x0"] < cell[0] - over or one["x1"] > cell[2] + over
        if not blank and (beside or one["top"] < cell[1] - under or one["bottom"] > cell[3] + under):
            raise _UnclearError("text that runs over the edge of its cell")
        inside[place].setdefault(cell, []).append(one)
    return inside, rest


def _lines(page: int, chars: Sequence[dict[str, Any]]) -> list[_Line]:
    """The lines of letters; where a gap is wider than one and a half letters, there is a tab."""
    from pdfplumber.utils.clustering import cluster_objects
    from pdfplumber.utils.text import extract_words

    words = extract_words(list(chars), return_chars=True)
    found = []
    for cluster in cluster_objects(words, itemgetter("top"), 3):
        line = sorted(cluster, key=itemgetter("x0"))
        letters = [letter for word in line for letter in word["chars"]]
        size = max(letter["height"] for letter in letters)
        bases = [letter["matrix"][5] for letter in letters]
        if max(bases) - min(bases) > 0.15 * size:
            raise _UnclearError("letters that stand higher or lower than their line")
        text = line[0]["text"]
        for before, word in pairwise(line):
            text += ("\t" if word["x0"] - before["x1"] > 1.5 * size else " ") + word["text"]
        top, bottom = min(letter["top"] for letter in letters), max(letter["bottom"] for letter in letters)
        found.append(_Line(page, text, top, bottom, line[0]["x0"], line[-1]["x1"], size, _head(line[0]["chars"], size)))
    for one, other in pairwise(found):
        if one.bottom - other.top > 0.3 * min(one.bottom - one.top, other.bottom - other.top):
            raise _UnclearError("lines that run into each other")
    return found


def _head(chars: Sequence[dict[str, Any]], size: float) -> float:
    word = re.match(r"[^一-鿿]*", "".join(one["text"][:1] for one in chars))
    return max(3 * size, chars[word.end() - 1]["x1"] - chars[0]["x0"] if word and word.end() else 0.0)


def _cell(chars: Sequence[dict[str, Any]], width: float) -> str:
    """The text of a cell; a line that ends though the next would have had room keeps its end."""
    lines = _lines(0, chars)
    pieces = [line.text.replace("\t", " ") for line in lines]
    text = pieces[0] if pieces else ""
    for before, line, piece in zip(lines, lines[1:], pieces[1:], strict=False):
        if width - 2 * PADDING - (before.right - before.left) > line.head:
            text += "\n" + piece
            continue
        # Else the line break is the page's, not the text's; between words of other scripts it is a space.
        ends = [*re.findall(r"[^\s一-鿿]+$", text), *re.findall(r"^[^\s一-鿿]+", piece)]
        latin = len(ends) == 2 and all(re.fullmatch("[A-Za-z.,'&()]+", end) for end in ends)
        text += (" " if latin else "") + piece
    return text.strip()


if __name__ == "__main__":
    main()
