"""Looks after what the other stages leave: is the chain of acts whole, does every data file belong to a snapshot?"""

from __future__ import annotations

from chengxin.errors import ChengxinError
from chengxin.settings import House
from chengxin.tables import TABLES


class ChainBrokenError(ChengxinError):
    """An act was changed, removed or slipped in afterwards."""

    cause = "chain"


def verify_chain(house: House) -> dict[str, object]:
    """Recomputes the chain of acts.

    Returns:
        `acts`: how many there are; `head`: the hash of the newest, to be compared with the one in an operators' mail.

    Raises:
        ChainBrokenError: an act does not fit.
    """
    from chengxin.ledger import acts

    with house.ledger.begin() as session:
        verdict = acts.verify(session)
    if verdict.broken_at is not None:
        raise ChainBrokenError(
            f"act {verdict.broken_at} does not fit its chain",
            where="table act of the ledger",
            why="it, or the one before it, was changed or removed after it was written",
            remedy="keep the ledger as it is, and compare it with the last backup and with the heads in the mails",
        )
    return {"acts": verdict.length, "head": verdict.head}


def orphans(house: House) -> dict[str, int]:
    """Data files that no snapshot names: left by a crash between writing and committing, or of a commit under way.

    Returns:
        Table → number of files, tables without any left out.
    """
    found = {name: len(house.lake.orphans(name)) for name in TABLES}
    return {name: number for name, number in found.items() if number}
