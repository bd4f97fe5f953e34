"""Who looks, and how much of a list: what every query of the desk takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, false, or_, select, true

from chengxin.desk.tables import event, filing, matter
from chengxin.districts import District

Row = TypeVar("Row")

LARGEST = 500
"""Rows of one page, at most."""


@dataclass(frozen=True)
class Scope:
    """What a viewer may see (四（三）). The queries keep to it; a page cannot ask for more than its scope holds."""

    auditor: bool
    """Sees every matter, every advice, every fact."""
    department: str = ""
    """Sees its matters with their advice, and public facts."""
    streets: bool = False
    """It is the street office of some area: sees its area's filings by name."""
    industries: tuple[str, ...] = ()
    """Letters of the industries it is in charge of: sees their filings by name."""
    all_filings: bool = False
    """It is the regulator: sees all filings by name."""

    @classmethod
    def everything(cls) -> Scope:
        """The auditor's."""
        return cls(auditor=True)

    @classmethod
    def of(cls, district: District, department: str) -> Scope:
        """A department's, as the district file has it.

        Raises:
            KeyError: the district has no such department.
        """
        return cls(
            auditor=False,
            department=department,
            streets=any(route.to == department for route in district.areas),
            industries=district.departments[department].industries,
            all_filings=department == district.regulator,
        )

    def matters(self) -> ColumnElement[bool]:
        """Condition on `matter`."""
        return true() if self.auditor else matter.c.department == self.department

    def events(self) -> ColumnElement[bool]:
        """Condition on `event`: public facts, and what belongs to its matters or was consented to be given to it."""
        if self.auditor:
            return true()
        own = select(matter.c.matter_id).where(matter.c.department == self.department)
        return or_(event.c.public, event.c.department == self.department, event.c.matter_id.in_(own))

    def filings(self) -> ColumnElement[bool]:
        """Condition on `filing`: whose annual report it may see by name."""
        if self.auditor or self.all_filings:
            return true()
        parts: list[ColumnElement[bool]] = [filing.c.industry.in_(self.industries)] if self.industries else []
        if self.streets:
            parts.append(filing.c.street == self.department)
        return or_(*parts) if parts else false()


@dataclass(frozen=True)
class Paging:
    """Which part of a list."""

    size: int = 50
    offset: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LARGEST or self.offset < 0:
            raise ValueError(f"a page has 1 to {LARGEST} rows and begins at 0 or later")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A part of a list, in an order that does not change between pages."""

    rows: Sequence[Row]
    total: int
    """Rows of the whole list."""
    paging: Paging
