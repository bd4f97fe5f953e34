"""Looks after what the other stages leave: is the ledger as it was written, do the lake's files belong to snapshots?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chengxin.errors import ChengxinError
from chengxin.settings import House
from chengxin.tables import TABLES

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from chengxin.ledger.acts import Head

SHOWN = 20
"""Faults that an error's text names; `chengxin verify` names them all."""


class ChainBrokenError(ChengxinError):
    """A row of the ledger was changed, removed or slipped in afterwards."""

    cause = "chain"


def verify_chain(house: House, known: Sequence[Head] = ()) -> dict[str, object]:
    """Recomputes the chain of acts, and compares messages, answers, decisions, objections and looks with it; and the
    harvests' sums with the lake's.

    Args:
        house: where the ledger is.
        known: heads from operators' mails. Those of which the ledger itself kept the mail are compared anyway.

    Returns:
        `acts`: how many there are; `head`: the hash of the newest, to be compared with the one in an operators' mail.

    Raises:
        ChainBrokenError: something is not as it was written; the message says what.
    """
    from chengxin.ledger import acts

    faults = [*ledger_faults(house, known), *sum_faults(house)]
    with house.ledger.begin() as session:
        head = acts.head(session)
    if faults:
        more = f"; and {len(faults) - SHOWN} more: see `{house.command} verify`" if len(faults) > SHOWN else ""
        raise ChainBrokenError(
            f"{'; '.join(faults[:SHOWN])}{more}",
            where="the ledger",
            why="rows were changed, removed or slipped in after they were written",
            remedy="keep the ledger as it is, and compare it with the last backup and with the heads in the mails",
        )
    return {"acts": head.seq, "head": head.hash}


def ledger_faults(house: House, known: Sequence[Head] = ()) -> list[str]:
    """Everything in the ledger that is not as it was written, in words, acts first."""
    from chengxin.ledger import acts, agreement

    with house.ledger.begin() as session:
        verdict = acts.verify(session, [*known, *_mailed_heads(session)])
        return [*map(str, verdict.faults), *agreement.faults(session)]


def sum_faults(house: House) -> list[str]:
    """Every harvest whose sum in the lake does not add up, or is not the ledger's, in words."""
    from chengxin import sums

    return sums.faults(house)


def _mailed_heads(session: Session) -> list[Head]:
    """The heads that went out in operators' mails, as the ledger remembers them."""
    from sqlalchemy import select

    from chengxin.ledger.acts import Head
    from chengxin.ledger.messages import Message

    details = session.scalars(select(Message.detail).where(Message.role == "operator", Message.kind == "report"))
    return [Head(int(detail["acts"]), str(detail["head"])) for detail in details if detail.get("acts")]


def orphans(house: House) -> dict[str, int]:
    """Data files that no snapshot names: left by a crash between writing and committing, or of a commit under way.

    Returns:
        Table → number of files, tables without any left out.
    """
    found = {name: len(house.lake.orphans(name)) for name in TABLES}
    return {name: number for name, number in found.items() if number}
