"""What a printed report says, from its lines and tables: each is understood, ignored in writing, or ends the reading.

Lines are `heading：value`, words on the list (its title, that there is none, how many there are), or plain text. Plain
text that gives a value of its own, or may be the rest of a value, is unclear. Tables are headings with values, the
list, or ignored: all cells of its first row stand under `ignore`. Nothing in between is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from chengxin.contracts import Contract
from chengxin.readers.report_list import Items, UnreadableError, squeezed

_STRANGE = re.compile(
    "\\(cid:\\d+\\)|\ufffd|[\ue000-\uf8ff\u2e80-\u2eff\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
_CUT = re.compile(r"(?:…|\.{3}|#{3,})$")
_BOXES = re.compile("[□■☐☑☒√✓✔]")
_NUMBERING = r"\s*(?:[（(]?[一二三四五六七八九十\d]{1,3}[）)、.．]\s*|[•·●◆★▪○*-]\s*)?"
_OF_PAGES = re.compile(r"第?\s*(\d{1,3})\s*页?\s*[,，/／|]?\s*(?:共|/|／|of)\s*(\d{1,3})\s*页?", re.IGNORECASE)
_PAGES_OF = re.compile(r"共\s*(\d{1,3})\s*页\s*[,，/／|]?\s*第\s*(\d{1,3})\s*页")
_PAGES = re.compile(r"共\s*(\d{1,3})\s*页")
_PAGE = re.compile(r"(?:第\s*(\d{1,3})\s*页|Page\s+(\d{1,3})|[-—–]\s*(\d{1,3})\s*[-—–]|(\d{1,3}))", re.IGNORECASE)
_GIVES = re.compile(
    r"\s|(?:已?[被经拟]?(?:评定|评价|评估|核定|确定|调整|上调|下调|初评|复评|认定|评级|列|评|定|升|降))?(?:结果)?"
    r"(?:[为是系即至于:：=＝→【\[（(“\"「《]|[-—–]+|[A-Za-z0-9])"
)
"""What makes of a heading in plain text one that is followed by its value."""
_TITLES = re.compile(r"[及与和、的由以自在，。]|说明|含义|定义|解释|释义|划分|设置|符号|标识|体系|分为|注[:：]")
"""What makes of a line that begins with a heading a title or a sentence, and not the heading with its value."""
_TOTAL = re.compile(rf"{_NUMBERING}(?:共|合计|总计).{{1,12}}[条项个笔件]")
_OF_ANOTHER = re.compile(
    r"上年|上一年|上期|上次|前次|往年|往期|历史|变更前|修复前|更正前|作废|失效|样本|样张|草稿|未定稿|试行"
)
_SHORT = 16
"""Letters of a title at most."""
_UNKNOWN = re.compile(rf"{_NUMBERING}[一-鿿（）()]{{2,12}}\s*[:：]\s*\S")


class Line(NamedTuple):
    """A line of the page's text outside of tables; heights in points from the page's top."""

    page: int
    text: str
    top: float
    bottom: float
    full: bool
    """It ends where the page's lines end: it may go on in the next one."""


class Table(NamedTuple):
    """A table of a page; a cell that is merged into another is null."""

    page: int
    rows: list[list[str | None]]
    top: float
    bottom: float


def record(parts: Mapping[str, Any], headings: Sequence[str], contract: Contract) -> dict[str, Any]:
    """The values of a report by heading (null: not printed), and its lists as JSON.

    Args:
        parts: `pages`, `lines` and `tables`, as the child process tells them.
        headings: what may be printed before a value.
        contract: its lists, and which headings are ignored.

    Raises:
        UnreadableError: anything that is not certain.
    """
    return _Report(parts, headings, contract).read()


class _Report:
    def __init__(self, parts: Mapping[str, Any], headings: Sequence[str], contract: Contract) -> None:
        self.pages: int = parts["pages"]
        self.lines = [Line(*one) for one in parts["lines"]]
        self.tables = [Table(*one) for one in parts["tables"]]
        self._on: dict[int, list[Table]] = {page: [] for page in range(1, self.pages + 1)}
        for table in self.tables:
            self._on[table.page].append(table)
        self.contract = contract
        self.values: dict[str, set[str]] = {heading: set() for heading in headings}
        self.names = {squeezed(heading): heading for heading in headings}
        self.items = {name: Items(name, child, contract) for name, child in contract.children.items()}
        self._words = "|".join(_spaced(one) for one in sorted(self.names, key=len, reverse=True)) or "(?!)"

    def read(self) -> dict[str, Any]:
        texts = [line.text for line in self.lines]
        texts += [cell for table in self.tables for row in table.rows for cell in row if cell]
        if any(_STRANGE.search(text) for text in texts):
            raise UnreadableError("letters in a font that does not say what they are, or that nobody sees")
        self._count_pages()
        for place in range(len(self.lines)):
            self._line(place)
        for table in self.tables:
            self._table(table)
        unclear = sorted(heading for heading, found in self.values.items() if len(found) > 1)
        if unclear:
            raise UnreadableError(f"{', '.join(unclear)} is printed more than once, with different values")
        own = {heading: next(iter(found), None) for heading, found in self.values.items()}
        return own | {name: items.told() for name, items in self.items.items()}

    # Pages ----------------------------------------------------------------------------------------------------------

    def _count_pages(self) -> None:
        """Takes page numbers out of the text, and holds them against the pages that are there."""
        of: list[tuple[int, int, int]] = []
        plain: list[tuple[int, int]] = []
        lines = []
        for line in self.lines:
            text = line.text
            text = _PAGES_OF.sub(r"第\2页共\1页", text)
            for found in _OF_PAGES.finditer(text):
                if "页" in found[0] or found[0].strip() == text.strip():
                    of.append((line.page, int(found[1]), int(found[2])))
                    text = text.replace(found[0], "\t")
            # A cover may be uncounted; a page less than stated is missing.
            if (stated := _PAGES.search(text)) and int(stated[1]) not in (self.pages, self.pages - 1):
                raise UnreadableError(f"it says that it has {stated[1]} pages, and has {self.pages}")
            if number := _PAGE.fullmatch(text.strip()):
                plain.append((line.page, int(next(one for one in number.groups() if one))))
                continue
            if text.strip():
                lines.append(line._replace(text=text.strip()))
        self.lines = lines
        for table in self.tables:
            for row in table.rows:
                for place, cell in enumerate(row):
                    cell = _PAGES_OF.sub(r"第\2页共\1页", cell or "")
                    found_of = _OF_PAGES.search(cell)
                    if found_of is None or "页" not in found_of[0]:
                        continue
                    if found_of[0].strip() != cell.strip():
                        raise UnreadableError(f"a page number inside a value, in a table on page {table.page}")
                    of.append((table.page, int(found_of[1]), int(found_of[2])))
                    row[place] = ""
        told = sorted({(page, number) for page, number, _ in of})
        totals = {total for _, _, total in of}
        if of and (len(totals) > 1 or [number for _, number in told] != [*range(1, max(totals) + 1)]):
            raise UnreadableError(
                f"its page numbers say {', '.join(map(str, sorted(totals)))} pages and do not count up to that: "
                f"{len(told)} of its {self.pages} carry one"
            )
        counted = [number for _, number in sorted(set(plain))]
        if counted != [*range(1, len(counted) + 1)] and any(page != number for page, number in plain):
            raise UnreadableError(
                f"its page numbers do not count up: a page is missing, or stands elsewhere ({counted})"
            )

    # Lines ----------------------------------------------------------------------------------------------------------

    def _next(self, place: int) -> str | None:
        """What may be the rest of a line: the next one, unless something else is certain."""
        line = self.lines[place]
        if place + 1 == len(self.lines):
            return None
        after = self.lines[place + 1]
        if after.page > line.page:
            return after.text if line.full else None
        if any(line.top <= table.top <= after.top for table in self._on[line.page]):
            return None
        apart = after.top - line.bottom > 1.5 * (line.bottom - line.top)
        return None if apart and not line.full else after.text

    def _line(self, place: int) -> None:
        line, after = self.lines[place], self._next(place)
        where = f"a line on page {line.page}"
        if self._of_list(line.text, where):
            return
        marks = list(re.finditer(rf"({self._words})\s*[:：]\s*", line.text))
        if not marks:
            self._plain(line, after, where)
            return
        if not re.fullmatch(_NUMBERING, line.text[: marks[0].start()]):
            raise UnreadableError(f"{where} has {self._name(marks[0])} behind other words: whose or when is unclear")
        ends = [*(mark.start() for mark in marks), len(line.text)][1:]
        for mark, end in zip(marks, ends, strict=True):
            heading, last = self._name(mark), end == len(line.text)
            value = line.text[mark.end() : end]
            if heading in self.contract.ignore:
                self._mentions(value, after if last else None, where)
                continue
            if not last and value and value[-1] not in " \t;；,，、|":
                raise UnreadableError(f"{where} has the value of {heading} and the next heading without a gap")
            value = value.strip(" \t;；,，、|")
            parted = re.search(r"\s", value) and not re.fullmatch(r"[\d年月日:：./\s-]+", value)
            foreign = re.search(self._words, value)
            if "\t" in value or (parted and not last) or foreign or re.search(r"(?<!\d)[:：]|[:：](?!\d)", value):
                raise UnreadableError(f"{where} has more behind {heading} than one value")
            self._take(heading, value, where)
        heading = self._name(marks[-1])
        if heading in self.contract.ignore:
            return
        if not line.text[marks[-1].end() :].strip() and place + 1 < len(self.lines):
            after = self.lines[place + 1].text
        if after is not None and not self._begins(after):
            raise UnreadableError(f"{where} has {heading}, whose value may go on in the next line")

    def _begins(self, text: str) -> bool:
        """A line that is the rest of no other."""
        known = re.match(rf"{_NUMBERING}(?:{self._words})\s*[:：]", text)
        return bool(known or re.match(r"[一二三四五六七八九十]+、", text)) or self._of_list(text, "")

    def _of_list(self, text: str, where: str) -> bool:
        """Whether the words are understood and speak of a list; those that stand somewhere are noted."""
        bare = squeezed(re.sub(rf"^{_NUMBERING}", "", text))
        named = [items for name, items in self.items.items() if squeezed(name) in bare]
        if not named and len(self.items) == 1:
            return next(iter(self.items.values())).says(bare, note=bool(where), named=False)
        if not named:
            return False
        if len(named) == 1 and named[0].says(bare, note=bool(where)):
            return True
        if not where:
            return False
        raise UnreadableError(f"{where} speaks of {named[0].name} in words that are not understood")

    def _plain(self, line: Line, after: str | None, where: str) -> None:
        """Text that is no value: it must neither give one, nor be a table without its lines."""
        text = line.text
        self._mentions(text, after, where)
        columns = (items.headings_in(squeezed(text)) for items in self.items.values())
        if any(count > 1 for count in columns) or text.count("\t") > 1:
            raise UnreadableError(f"{where} is one of a table without lines")
        height = line.bottom - line.top
        if any(0 <= line.top - table.bottom < 0.9 * height for table in self._on[line.page]):
            raise UnreadableError(f"{where} stands right under a table, of which it may be a row")
        if _TOTAL.match(text):
            raise UnreadableError(f"{where} states a number of items in words that are not understood")
        if _UNKNOWN.match(text):
            raise UnreadableError(f"{where} has a heading and a value that the contract neither maps nor ignores")
        if len(squeezed(text)) <= _SHORT and _OF_ANOTHER.search(squeezed(text)):
            raise UnreadableError(f"{where} says that something is of another time, or not valid")

    def _mentions(self, text: str, after: str | None, where: str) -> None:
        """Headings in plain text must not be followed by a value there."""
        for mention in re.finditer(self._words, text):
            heading = self._name(mention)
            if heading in self.contract.ignore:
                continue
            rest = text[mention.end() :] or after or ""
            begins = re.fullmatch(_NUMBERING, text[: mention.start()]) and not _TITLES.match(rest)
            if begins or _GIVES.match(rest):
                raise UnreadableError(f"{where} gives {heading} in a sentence, or without a colon")
        if after is not None:
            one, other = squeezed(text), squeezed(after)
            for name, heading in self.names.items():
                over = any(one.endswith(name[:cut]) and other.startswith(name[cut:]) for cut in range(1, len(name)))
                if over and heading not in self.contract.ignore:
                    raise UnreadableError(f"{where} ends within the word {heading}")

    # Tables ---------------------------------------------------------------------------------------------------------

    def _table(self, table: Table) -> None:
        where = f"a table on page {table.page}"
        rows = [row for row in table.rows if any(row)]
        while rows and len(said := [cell for cell in rows[0] if cell]) == 1 and self._of_list(said[0], where):
            rows = rows[1:]
        if not rows:
            return
        for items in self.items.values():
            if items.is_head(rows[0]):
                items.add(rows, table.page, table.bottom, self._between(items.last, table))
                return
        if self._pairs(rows, where):
            return
        known = {*self.names} - {squeezed(one) for one in self.contract.ignore}
        known |= {squeezed(one) for name, child in self.contract.children.items() for one in (name, *child.columns)}
        ignored = {squeezed(one) for one in self.contract.ignore}
        cells = {squeezed(cell).rstrip(":：") for row in rows for cell in row if cell}
        if all(squeezed(cell).rstrip(":：") in ignored for cell in rows[0] if cell) and not cells & known:
            return
        width = len(rows[0])
        name = next((name for name, items in self.items.items() if items.last and items.width == width), None)
        if name:
            raise UnreadableError(f"{where} without the headings of {name}, but as wide as it")
        raise UnreadableError(f"{where} that the contract neither knows nor ignores")

    def _between(self, last: tuple[int, float] | None, table: Table) -> list[str]:
        """Lines between a list's table and its next piece that stand on one page only: no running head or foot."""
        if last is None:
            return []
        pages: dict[str, set[int]] = {}
        for line in self.lines:
            pages.setdefault(squeezed(line.text), set()).add(line.page)
        start, end = last, (table.page, table.top)
        between = [line.text for line in self.lines if start < (line.page, line.top) < end]
        return [text for text in between if len(pages[squeezed(text)]) == 1 and not self._begins(text)]

    def _pairs(self, rows: Iterable[Sequence[str | None]], where: str) -> bool:
        """Takes headings with the value in the next cell; False, and nothing is taken, where any cell is neither."""
        taken: list[tuple[str, str]] = []
        said: list[str] = []
        lists = {squeezed(name) for name in self.items}
        for row in rows:
            cells = [cell for cell in row if cell is not None]
            place = 0
            while place < len(cells):
                name = squeezed(cells[place]).rstrip(":：")
                value = cells[place + 1] if place + 1 < len(cells) else ""
                plain = bool(value) and squeezed(value).rstrip(":：") not in {*self.names, *lists}
                if name in self.names:
                    taken += [(self.names[name], value)] if plain else []
                elif name in lists and plain:
                    said.append(f"{name}：{value}")
                elif name:
                    return False
                place += 2 if name and plain else 1
        for text in said:
            if not self._of_list(text, where):
                return False
        for heading, value in taken:
            self._take(heading, value, where)
        return True

    # Values ---------------------------------------------------------------------------------------------------------

    def _take(self, heading: str, value: str, where: str) -> None:
        if not value or heading in self.contract.ignore:
            return
        if _CUT.search(value) or _BOXES.search(value):
            raise UnreadableError(f"{where} has {heading} with a value that is cut off, or to be ticked")
        if "\n" in value:
            raise UnreadableError(f"{where} has {heading} with several lines, which may be several values")
        self.values[heading].add(value)

    def _name(self, mark: re.Match[str]) -> str:
        return self.names[squeezed(re.split("[:：]", mark[0])[0])]


def _spaced(heading: str) -> str:
    """A heading as a pattern: printers spread letters over a line."""
    return r"\s*".join(re.escape(letter) for letter in heading)
