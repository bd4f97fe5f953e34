"""What the watch over the sources saw: one row per change of a source's state, never changed afterwards."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from chengxin.ledger.models import Base, Serial


class SourceState(Base):
    """A source came into a state. Its newest row is the state it is in."""

    __tablename__ = "source_state"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    source: Mapped[str] = mapped_column(String(64), index=True)
    state: Mapped[str] = mapped_column(String(16))
    """`fresh`, `late`, `stale`, `recovered`: see `chengxin.sweep`."""
    before: Mapped[str | None] = mapped_column(String(16))
    """The state it was in; null: it was never looked at."""
    as_of: Mapped[date]
    """The Beijing date that the sweep spoke for."""
    at: Mapped[datetime]
    observed_on: Mapped[date | None]
    """The day that its newest published harvest spoke for."""
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Expected day, age in days, cause of the last failure: names and numbers only."""
