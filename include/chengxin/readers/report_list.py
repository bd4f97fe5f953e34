"""The list of a printed report (its adverse items): a table with its headings, or words that there is none.

Items come from a table under the list's title that has all of its headings, and from its further pieces at the top of
the next pages, headings repeated. A stated number (`共3条`) must be the number of rows. An item less is a lie about an
enterprise's record, so whatever could hide or add one ends the reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pyarrow as pa

from chengxin import values
from chengxin.contracts import Child, Contract

NONE = r"(?:无|暂无|未发现|未查见|无此类信息)"
"""Words by which a report says that a list is empty."""

_DIGITS = "零一二三四五六七八九"
_UNIT = "[条项个笔件]"
_NUMBER = rf"(\d{{1,6}}|[两{_DIGITS}]?十[{_DIGITS}]?|[〇两{_DIGITS}])"
_COUNT = rf"(?:共有?|共?计|合计|总计)?{_NUMBER}{_UNIT}"
_BLANK = re.compile(r"[-—–(（]*以下空白[-—–)）]*")


class UnreadableError(Exception):
    """Why a report cannot be read, in words without anything that it says."""


class Items:
    """One list of one report, while it is read."""

    def __init__(self, name: str, child: Child, contract: Contract) -> None:
        self.name = name
        self.last: tuple[int, float] | None = None
        """Page and bottom of its last piece."""
        self.width = 0
        self._child = child
        self._nulls = {"", *contract.nulls}
        self._names = {squeezed(heading): heading for heading in (*child.columns, *child.ignore)}
        self._must = [heading for heading, how in child.columns.items() if how.required or how.to in child.key]
        self._titled = False
        self._none = False
        self._counts: set[int] = set()
        self._items: list[dict[str, str]] = []
        self._firsts: list[int] = []

    def says(self, bare: str, *, note: bool, named: bool = True) -> bool:
        """Whether words (without white space and numbering) are the list's title, that it is empty, or its length.

        Args:
            bare: the words.
            note: whether they count from now on.
            named: the list's name stands in them; else only `共3条` is its.
        """
        name = re.escape(squeezed(self.name))
        end = r"[。.;；]?"
        if not named:
            found = re.fullmatch(rf"(?:共有?|共?计|合计|总计)[:：]?{_NUMBER}{_UNIT}(?:记录|信息)?{end}", bare)
            return bool(found) and self._note(found, note=note)
        if re.fullmatch(rf"{name}(?:明细|列表|清单|一览)?表?(?:如下)?[:：]?", bare):
            self._titled |= note
            return True
        if re.fullmatch(rf"{name}[:：]*{NONE}{end}", bare):
            self._none |= note
            return True
        counted = rf"{name}(?:明细|列表|清单|一览)?表?[:：]?[（(]?{_COUNT}[)）]?[:：]?{end}"
        before = rf"(?:共有?|合计|总计)?{_NUMBER}{_UNIT}{name}{end}"
        return self._note(re.fullmatch(counted, bare) or re.fullmatch(before, bare), note=note)

    def _note(self, found: re.Match[str] | None, *, note: bool) -> bool:
        if found is None:
            return False
        if note:
            self._counts.add(_number(found[1]))
            self._titled = True
        return True

    def headings_in(self, bare: str) -> int:
        """How many of its headings stand in words without white space."""
        return sum(squeezed(heading) in bare for heading in self._child.columns)

    def is_head(self, row: Sequence[str | None]) -> bool:
        """Whether a row holds all of its headings."""
        return {squeezed(cell or "") for cell in row} >= {squeezed(heading) for heading in self._child.columns}

    def add(self, rows: Sequence[Sequence[str | None]], page: int, bottom: float, between: Sequence[str]) -> None:
        """A table with its headings.

        Args:
            rows: the headings, then the items.
            page: where it stands.
            bottom: the height at which it ends.
            between: plain lines between its last piece and this one.
        """
        where = f"a table on page {page}"
        if self.last is not None and (page != self.last[0] + 1 or between):
            raise UnreadableError(f"{where} is a second one of {self.name}, and may be another list")
        self.last, self.width = (page, bottom), len(rows[0])
        head = [self._names.get(squeezed(cell or ""), cell or "") for cell in rows[0]]
        if len(set(head)) < len(head) or None in rows[0]:
            raise UnreadableError(f"{where} with the same heading twice, or headings over several columns")
        self._firsts.append(len(self._items))
        for row in rows[1:]:
            if _joined(row) == _joined(rows[0]) or _BLANK.fullmatch(_joined(row)):
                continue
            if re.fullmatch(NONE, _joined(row)):
                self._none = True
            elif not self.says(_joined(row), note=True, named=squeezed(self.name) in _joined(row)):
                self._items.append(self._item(head, row, where))

    def _item(self, head: Sequence[str], row: Sequence[str | None], where: str) -> dict[str, str]:
        cells = [cell for cell in row if cell is not None]
        if len(cells) != len(head):
            raise UnreadableError(f"{where} whose rows do not fit its headings, or with merged cells")
        item = dict(zip(head, cells, strict=True))
        if sum(cell not in self._nulls for cell in cells) < 2 or any(item[one] in self._nulls for one in self._must):
            raise UnreadableError(f"{where} with a row that is no whole item: its number is missing")
        if any(re.search(r"(?:…|\.{3}|#{3,})$", cell) for cell in cells):
            raise UnreadableError(f"{where} with a value that is cut off")
        if any("\n" in cell for cell in cells):
            raise UnreadableError(f"{where} with several lines in a cell, which may be several items")
        return item

    def told(self) -> str:
        """The items as JSON.

        Raises:
            UnreadableError: it is not certain that these are all, and only these.
        """
        count = len(self._items)
        if self.last is None and not self._none and self._counts != {0}:
            raise UnreadableError(f"neither a table of {self.name} that can be read, nor a word that there is none")
        if self._counts - {count}:
            raise UnreadableError(
                f"{self.name} should hold {sorted(self._counts)[0]} items by its words, {count} found"
            )
        if count and self._none:
            raise UnreadableError(f"{self.name} is said to be empty, and holds {count} items")
        if not count and not self._none and not self._counts:
            raise UnreadableError(f"a table of {self.name} without items, and no word that there is none")
        if count and not self._titled:
            raise UnreadableError(f"a table with the headings of {self.name}, but not under this title")
        keys = [tuple(squeezed(item[one]) for one in self._must) for item in self._items]
        if self._must and len(set(keys)) < count:
            raise UnreadableError(f"{self.name} holds an item twice")
        self._hold_pieces()
        self._hold_dates()
        numbers = [item["序号"] for item in self._items if "序号" in item]
        if numbers != [str(one) for one in range(1, len(numbers) + 1)]:
            raise UnreadableError(f"{self.name} does not number its items from 1 on")
        return json.dumps(self._items, ensure_ascii=False)

    def _hold_pieces(self) -> None:
        """The first row of a page may be the rest of the one before: it lacks what all other rows have."""
        for first in self._firsts[1:]:
            if first >= len(self._items):
                continue
            others = [item for place, item in enumerate(self._items) if place != first]
            lacks = (heading for heading, cell in self._items[first].items() if cell in self._nulls)
            if any(all(item.get(heading, "") not in self._nulls for item in others) for heading in lacks):
                raise UnreadableError(
                    f"a row of {self.name} at the top of a page that may be the rest of the one before"
                )

    def _hold_dates(self) -> None:
        for heading, how in self._child.columns.items():
            if how.as_ != "date":
                continue
            column = values.clean(pa.array([item[heading] for item in self._items], pa.string()), tuple(self._nulls))
            read, _ = values.dates(column)
            if read.null_count > column.null_count:
                raise UnreadableError(f"{self.name} with a date under {heading} that is none")


def squeezed(text: str) -> str:
    """A text without white space."""
    return "".join(text.split())


def _joined(row: Sequence[str | None]) -> str:
    return squeezed("".join(cell or "" for cell in row))


def _number(text: str) -> int:
    if text.isdecimal():
        return int(text)
    plain = text.replace("〇", "零").replace("两", "二")
    tens, ten, ones = plain.rpartition("十")
    return (_DIGITS.index(tens or "一") * 10 if ten else 0) + (_DIGITS.index(ones) if ones else 0)
