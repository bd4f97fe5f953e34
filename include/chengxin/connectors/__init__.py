"""How the bytes of a source arrive: an HTTP API, a front database, files that somebody drops.

One connector a kind of source, each walking its source page by page (batch by batch, file by file) into the raw
archive. Nothing is interpreted here beyond what tells a whole answer from half of one; `chengxin.readers` does that.
"""

from __future__ import annotations

from datetime import date

from chengxin.connectors.intake import Intake, Onlooker
from chengxin.contracts import Contract
from chengxin.reads import DatabaseRead, FilesRead, HttpRead
from chengxin.settings import House


def fetch(
    house: House,
    contract: Contract,
    as_of: date,
    harvest_id: int,
    part: str | None = None,
    onlooker: Onlooker | None = None,
) -> None:
    """Fetches the whole of a source for a day, or goes on where a killed fetch of the same harvest stopped.

    Each page, batch or file becomes one raw object of the harvest, in order. A harvest fetched to its end is left as
    it is.

    Args:
        house: archive, ledger, connections.
        contract: the source.
        as_of: the Beijing date the harvest speaks for.
        harvest_id: the harvest in the ledger, in state `fetching`.
        part: which of the contract's `partitions`; None: it has none.
        onlooker: is told of every raw object, those of a cut-off fetch included, in order.

    Raises:
        ConnectionNotFoundError: nobody has defined the contract's connection.
        ConfigError: the connection cannot serve this connector.
        SourceUnreachableError: no answer, only server errors, or the awaited file is not there (whole) yet.
        SourceRefusedError: the source says no.
        SourceContentError: what arrived is not what the contract promises.
        DriftError: a table without the columns that the contract orders it by.
    """
    place = None
    if contract.partitions and part is not None:
        place = contract.partitions.values.index(part), part
    intake = Intake(house, contract.name, harvest_id, place, onlooker)
    if intake.complete:
        return
    match contract.read if part is None else contract.read_of(part):
        case HttpRead() as read:
            from chengxin.connectors import http_api

            http_api.fetch(house, contract, read, as_of, intake)
        case DatabaseRead() as read:
            from chengxin.connectors import database

            database.fetch(house, contract, read, as_of, intake)
        case FilesRead() as read:
            from chengxin.connectors import files

            files.fetch(house, contract, read, as_of, intake)
