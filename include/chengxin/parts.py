"""A big source fetched in parts: side by side, each going on where it was cut off, published as one harvest.

The contract's `partitions` say what the parts are: districts by their code, classes, remainders, names of files. Each
has its cursor in the ledger and its stretch of the harvest's order, which is that of the contract whatever part comes
in first. So what is published is what it would be in one piece, and the sum of the harvest's records is the sum over
its parts. A part that is slow or fails keeps none of the others waiting; the harvest is published when all are there.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from chengxin import connectors, harvest, harvest_ledger
from chengxin.contracts import Contract
from chengxin.errors import ConfigError, HarvestError, SourceContentError
from chengxin.ledger.models import Harvest, HarvestPart
from chengxin.reads import HttpRead, Partitions
from chengxin.settings import House

SHARED = "~parts"
"""Ends the name of the lock that every fetch of a part shares, and that an erasure has for itself."""


def open(house: House, source: str, as_of: date) -> int:
    """The harvest whose parts are to be fetched: the unfinished one of that source and day, else a new one.

    Returns:
        The harvest's id.

    Raises:
        ConfigError: no such contract, not a valid one, or one without `partitions`.
    """
    contract = harvest.load(house, source)
    values = _partitions(contract).values
    with harvest.alone(house, source), house.ledger.begin() as session:
        opened = harvest_ledger.open_harvest(session, house, contract, as_of)
        known = session.scalars(select(HarvestPart.part).where(HarvestPart.harvest_id == opened.id)).all()
        session.add_all(HarvestPart(harvest_id=opened.id, part=part, cursor={}) for part in values if part not in known)
        return opened.id


def fetch(house: House, harvest_id: int, part: str) -> bool:
    """Brings the raw files of one part into the archive, from where it was cut off.

    Returns:
        Whether the harvest has now been fetched to its end.

    Raises:
        HarvestError: the contract has changed since the harvest was opened.
        SourceContentError: this was the last part, and together they are not what the source says it has.
        ChengxinError: as `connectors.fetch`; the harvest is marked `failed`, while other parts go on.
    """
    with house.ledger.begin() as session:
        source = session.get_one(Harvest, harvest_id).source
    contract = harvest.load(house, source)
    _partitions(contract)
    with harvest.alone(house, f"{source}{SHARED}", shared=True), harvest.alone(house, f"{source}.{part}"):
        with house.ledger.begin() as session:
            opened = session.get_one(Harvest, harvest_id)
            as_of = opened.as_of
            if "fetched" in opened.detail:
                return True
            if opened.contract_sha256 != contract.sha256:
                raise HarvestError(
                    f"the contract of {source} has changed since harvest {harvest_id} was opened",
                    remedy="run the harvest from its first task: a new one is opened",
                )
        try:
            connectors.fetch(house, contract, as_of, harvest_id, part)
            return _end(house, contract, as_of, harvest_id)
        except Exception as error:
            harvest_ledger.fail(house, harvest_id, error)
            raise


def _end(house: House, contract: Contract, as_of: date, harvest_id: int) -> bool:
    """Ends the fetch once every part is there."""
    with house.ledger.begin() as session:
        received = _received(session, contract, harvest_id)
    if received is None:
        return False
    read = contract.read
    if isinstance(read, HttpRead) and _partitions(contract).whole and read.envelope.total is not None:
        from chengxin.connectors import http_api

        whole = contract.read_of("")
        assert isinstance(whole, HttpRead)
        total = http_api.total(house, contract, whole, as_of)
        if total is not None and total != received:
            raise SourceContentError(
                f"the parts have {received:,} records, the whole has {total:,}",
                where=f"{contract.name} (connection {read.connection})",
                why="records are in no part or in several, or they changed while the parts were fetched",
                remedy="compare `partitions` with the areas or classes that the source knows; else run it again",
            )
    with house.ledger.begin() as session:
        # Two parts may end at the same time.
        session.get_one(Harvest, harvest_id, with_for_update=True)
        harvest_ledger.fetched(session, house, harvest_id)
    return True


def _received(session: Session, contract: Contract, harvest_id: int) -> int | None:
    """The records that the connectors counted in all parts; None: some part is not complete."""
    cursors = session.scalars(select(HarvestPart.cursor).where(HarvestPart.harvest_id == harvest_id)).all()
    if len(cursors) < len(_partitions(contract).values) or not all(cursor.get("complete") for cursor in cursors):
        return None
    return sum(cursor.get("received", 0) for cursor in cursors)


def _partitions(contract: Contract) -> Partitions:
    if contract.partitions is None:
        raise ConfigError(
            f"{contract.name} is not cut into parts", where=f"sources/{contract.name}.yml", remedy="use `harvest.fetch`"
        )
    return contract.partitions
