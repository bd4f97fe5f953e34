"""A process of its own that takes PDF files apart: what a hostile file does to it, it does to nobody else.

Reads from standard input, again and again, eight bytes of length and a file; writes one line of JSON for each: `lines`
(the text, line by line) and `tables` (rows of cells), each with its page, or `problem`. Memory is limited; time is
limited by whoever started it. Ends when its input does.
"""

from __future__ import annotations

import io
import json
import logging
import resource
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, BinaryIO

MEMORY = 1 << 30
"""Bytes of address space beyond what the libraries take at the start."""
MAX_PAGES = 100
MAX_CHARACTERS = 2_000_000


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

    lines: list[tuple[int, str]] = []
    tables: list[tuple[int, list[list[str]]]] = []
    characters = 0
    with pdfplumber.open(io.BytesIO(data)) as document:
        pages = document.pages
        if len(pages) > MAX_PAGES:
            return {"problem": f"{len(pages):,} pages, more than {MAX_PAGES}"}
        for number, page in enumerate(pages, start=1):
            count = len(page.chars)
            characters += count
            if not count and (page.images or len(pages) == 1):
                return {"problem": f"page {number} holds no text: a picture or a scan"}
            if characters > MAX_CHARACTERS:
                return {"problem": f"more than {MAX_CHARACTERS:,} characters"}
            found = page.find_tables()
            tables += [(number, [[_cell(cell) for cell in row] for row in one.extract()]) for one in found]
            # What stands in tables is read there, where cells do not run into each other.
            boxes = [one.bbox for one in found]
            rest = page.filter(partial(_outside, boxes=boxes))
            lines += [(number, line) for line in rest.extract_text().splitlines()]
            page.close()
    if not characters:
        return {"problem": "it holds no text: a scan, or empty"}
    return {"lines": lines, "tables": tables}


def _cell(cell: str | None) -> str:
    # A line break inside a cell is the page's, not the text's; between letters of other scripts it is a space.
    pieces = (cell or "").split("\n")
    text = pieces[0]
    for piece in pieces[1:]:
        latin = text[-1:].isascii() and piece[:1].isascii() and text[-1:].isalpha() and piece[:1].isalpha()
        text += (" " if latin else "") + piece
    return text.strip()


def _outside(piece: dict[str, Any], boxes: Sequence[tuple[float, float, float, float]]) -> bool:
    x, y = (piece["x0"] + piece["x1"]) / 2, (piece["top"] + piece["bottom"]) / 2
    return not any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)


if __name__ == "__main__":
    main()
