"""The ledger's tables for commits, harvests and checks. Messages and acts stand in `messages` and `acts`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chengxin.clock import BEIJING, utc


class Instant(TypeDecorator[datetime]):
    """An aware datetime: stored in UTC, read back in Beijing time, on SQLite too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware in, UTC stored; a naive value is refused."""
        if value is None:
            return None
        instant = utc(value)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Beijing time out."""
        if value is None:
            return None
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(BEIJING)


Serial = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """All tables of the ledger."""

    type_annotation_map: ClassVar = {datetime: Instant(), date: Date(), dict[str, Any]: JSON(), list[Any]: JSON()}


class Commit(Base):
    """One write to the lake. Its `seq` stands on every row it wrote, and orders all writes."""

    __tablename__ = "lake_commit"

    seq: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(16))
    """`harvest`, `check`, `maintain`."""
    name: Mapped[str] = mapped_column(String(64))
    """The source, or the district of a check."""
    as_of: Mapped[date]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    snapshots: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Table name → snapshot id (as text), once closed."""


class Harvest(Base):
    """One harvest of one source for one day, from its first request to its publication."""

    __tablename__ = "harvest"
    __table_args__ = (Index("ix_harvest_source_day", "source", "as_of"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    source: Mapped[str] = mapped_column(String(64), index=True)
    as_of: Mapped[date] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(String(16))
    """`fetching`, `fetched`, `published`, `stopped` (a bound or drift rule said no), `failed`."""
    contract_sha256: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    seq: Mapped[int | None] = mapped_column(ForeignKey("lake_commit.seq"))
    cursor: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Where the fetch goes on after a kill; what it holds is the connector's affair."""
    harvested: Mapped[int] = mapped_column(default=0)
    published: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    ignored: Mapped[int] = mapped_column(default=0)
    removed: Mapped[int] = mapped_column(default=0)
    quiet: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The source answered and brought nothing: the same newest file, no new file, nothing beyond the watermark. Its age
    counts from the last harvest that was not quiet (`chengxin.freshness`)."""
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Ignored by reason, rejected by rule, warnings by rule, rows by table, drift, links: counts and names only."""
    cause: Mapped[str | None] = mapped_column(String(32))
    message: Mapped[str | None] = mapped_column(Text)


class RawObject(Base):
    """One raw file that a harvest fetched, in its order. The bytes lie in the raw archive under their hash."""

    __tablename__ = "raw_object"
    __table_args__ = (UniqueConstraint("harvest_id", "ordinal"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    harvest_id: Mapped[int] = mapped_column(ForeignKey("harvest.id"), index=True)
    ordinal: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    locator: Mapped[str] = mapped_column(Text)
    """Where it came from: page, file name, table and range. Never a secret, never a person."""
    fetched_at: Mapped[datetime]


class HarvestPart(Base):
    """One part of a harvest whose contract has `partitions`: how far its fetch has come."""

    __tablename__ = "harvest_part"

    harvest_id: Mapped[int] = mapped_column(ForeignKey("harvest.id"), primary_key=True)
    part: Mapped[str] = mapped_column(String(64), primary_key=True)
    cursor: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """As `Harvest.cursor`."""


class CheckRun(Base):
    """One check: what it read, under which policy, and what came out."""

    __tablename__ = "check_run"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=True)
    district: Mapped[str] = mapped_column(String(12), index=True)
    as_of: Mapped[date]
    seq: Mapped[int | None] = mapped_column(ForeignKey("lake_commit.seq"))
    """The commit that holds its conclusions; null when nothing had changed."""
    read_seq: Mapped[int] = mapped_column(BigInteger)
    """Facts with `seq` up to this number were read."""
    snapshots: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Fact table → snapshot id read, while it lives."""
    policy: Mapped[str] = mapped_column(String(64))
    policy_version: Mapped[str] = mapped_column(String(64))
    rulebook: Mapped[str | None] = mapped_column(String(64))
    """Hash of every file it was judged by, kept whole: see `chengxin.rulebook`. Null: a check of before 0004."""
    engine: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Advice by outcome, filing statuses, findings by rule, changes: numbers only."""
    sources: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Source → {observed_on, age_days, state}: how old each was."""
