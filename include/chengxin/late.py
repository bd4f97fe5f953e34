"""What later days have said, staged again: for an incremental source whose day is harvested late.

A record that a later day repeated without a change left no row in the lake. When an earlier day then comes late and
says otherwise of that record, the later day must still read as it did. What it said lies in the raw archive: it is read
again here, and `chengxin.publish` writes of it what the late day would hide.

(A full source needs none of this: what its later day said is its whole state, which the lake can tell.)
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select

from chengxin.contracts import Contract
from chengxin.errors import ArchiveError
from chengxin.ledger.models import Harvest, RawObject
from chengxin.quality.gate import Gate
from chengxin.quality.judge import Judged
from chengxin.quality.rules import Rules
from chengxin.settings import House
from chengxin.staging import Staging, Tally

logger = logging.getLogger(__name__)

FOLDER = "later"
Chunks = Callable[[House, Contract, list[RawObject], Tally], Iterator[Any]]


class _Judged(Gate):
    """The gate of rows that were judged before: their verdicts are counted nowhere a second time."""

    def __init__(self) -> None:
        """Nothing to prepare."""

    def add(self, judged: Judged) -> None:
        """Takes the rows as they are."""


def stage(
    house: House, contract: Contract, as_of: date, rules: Rules, folder: Path, connection: Any, chunks: Chunks
) -> None:
    """Stages what every published harvest of a later day brought.

    Each goes to a folder of its own, `<folder>/later/<number>_<day>`, numbered by day, then harvest. A harvest whose
    raw files are no longer kept is left aside.

    Args:
        house: ledger and archive.
        contract: the source's contract.
        as_of: the day that comes late.
        rules: the rules of all tables.
        folder: where the late harvest itself is staged.
        connection: DuckDB, with insertion order kept.
        chunks: reads raw objects as chunks of records.
    """
    with house.ledger.begin() as session:
        query = select(Harvest).where(
            Harvest.source == contract.name, Harvest.state == "published", Harvest.as_of > as_of
        )
        of = select(RawObject).order_by(RawObject.ordinal)
        told = [
            (harvest.as_of, list(session.scalars(of.where(RawObject.harvest_id == harvest.id))))
            for harvest in session.scalars(query.order_by(Harvest.as_of, Harvest.id)).all()
        ]
        session.expunge_all()
    for number, (day, raw) in enumerate(told):
        own = folder / FOLDER / f"{number:06d}_{day}"
        staging = Staging(contract, day, rules, _Judged(), own, connection)
        try:
            for records in chunks(house, contract, raw, staging.tally):
                staging.take(staging.prepare(records))
        except ArchiveError as error:
            logger.warning("%s: what was said for %s is not kept any more (%s)", contract.name, day, error.what)
            staging.close()
            shutil.rmtree(own)
        else:
            staging.close()
