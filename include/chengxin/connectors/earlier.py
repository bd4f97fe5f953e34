"""What the last published harvest of an earlier day saw, and whether a harvest has brought anything since.

A source can answer without saying anything: the newest file is the one that was read last time, a folder holds no new
file, no row is beyond the watermark. Such a harvest is `quiet`, and does not make the source any younger
(`chengxin.freshness`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select

from chengxin.connectors import watermark
from chengxin.contracts import Contract
from chengxin.ledger.models import Harvest, HarvestPart
from chengxin.reads import FilesRead
from chengxin.settings import House


@dataclass(frozen=True)
class Earlier:
    """The last published harvest of an earlier day.

    Attributes:
        cursors: where its fetch ended; of a harvest in parts, one for each.
        stands: its day's result can be taken over as it is: it ran under the same contract, and the day that is
            harvested now has no published harvest yet.
    """

    cursors: tuple[Mapping[str, Any], ...]
    stands: bool


def harvest(house: House, contract: Contract, as_of: date) -> Earlier | None:
    """The last published harvest of a day before `as_of`; None: there is none."""
    published = select(Harvest).where(Harvest.source == contract.name, Harvest.state == "published")
    before = published.where(Harvest.as_of < as_of).order_by(Harvest.as_of.desc(), Harvest.id.desc()).limit(1)
    with house.ledger.begin() as session:
        last = session.scalars(before).first()
        if last is None:
            return None
        again = session.scalars(published.where(Harvest.as_of == as_of).limit(1)).first()
        parts = session.scalars(select(HarvestPart.cursor).where(HarvestPart.harvest_id == last.id)).all()
        stands = again is None and last.contract_sha256 == contract.sha256
        return Earlier(tuple(parts) or (last.cursor,), stands)


def quiet(house: House, contract: Contract, as_of: date, cursors: Sequence[Mapping[str, Any]], new: int) -> bool:
    """Whether a harvest found that its source had brought nothing.

    Args:
        house: whose ledger.
        contract: the source.
        as_of: the day that the harvest speaks for.
        cursors: where its fetch ended; of a harvest in parts, one for each.
        new: how many of its records were new or changed.
    """
    read = contract.read
    if isinstance(read, FilesRead):
        return bool(cursors) and all(cursor.get("quiet", False) for cursor in cursors)
    if contract.mode == "full" or new:
        return False
    if read.watermark is None:
        return True
    before = watermark.previous(house, contract.name, as_of)
    return all(cursor.get("watermark") == before for cursor in cursors)
