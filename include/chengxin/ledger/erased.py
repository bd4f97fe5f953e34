"""What was erased from the lake: pseudonyms (`chengxin.pseudonyms`) and numbers, never content."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chengxin.ledger.models import Base, Serial


class Erased(Base):
    """One natural key of one source whose observations were taken out of a table.

    A harvest that brings the key again leaves it aside, so that nothing erased comes back.
    """

    __tablename__ = "erased"
    __table_args__ = (UniqueConstraint("table_name", "key_sha256"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    table_name: Mapped[str] = mapped_column(String(32))
    key_sha256: Mapped[str] = mapped_column(String(64))
    """Pseudonym of source and natural key, joined by U+001F."""
    subject_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    """Pseudonym of the subject's code, or of its `name_key` where the row had no code; null: the row names nobody."""
    document_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    """A credit record's code and document number, joined by U+001F: other sources tell of the same document."""
    reason: Mapped[str] = mapped_column(String(16))
    """`request`, `repaired`, `withdrawn`, `expired`."""
    observations: Mapped[int]
    """How many rows of the table were taken out."""
    first_seq: Mapped[int] = mapped_column(BigInteger)
    first_day: Mapped[date]
    last_day: Mapped[date]
    """From the day it was first observed to the day of its last change."""
    at: Mapped[datetime]
