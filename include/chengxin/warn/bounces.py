"""Reads the bounce box: what mail servers reported on messages of ours becomes their state, and an act each.

A report counts where it returns our Message-ID and names the message's own recipient. What is no such report, or is
about another recipient, or about a message that was sent twice, changes nothing and is left for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from sqlalchemy.orm import Session

from chengxin.errors import ConnectionNotFoundError
from chengxin.ledger import settling
from chengxin.ledger.settling import Reported, Settled
from chengxin.settings import House
from chengxin.warn import reports
from chengxin.warn.bouncebox import CONNECTION, opened

UNREADABLE = "unreadable"
COUNTED: tuple[str, ...] = (*get_args(Settled), UNREADABLE)
"""What can become of a message in the box. `unreadable`: no delivery report that can be matched."""
_FOR_A_PERSON = ("foreign", "unclear", UNREADABLE)


def configured(house: House) -> bool:
    """Whether there is a bounce box at all."""
    try:
        house.connections(CONNECTION)
    except ConnectionNotFoundError:
        return False
    return True


def read(house: House) -> dict[str, int]:
    """Reads what is unread in the bounce box.

    Each message is settled in a transaction of its own before it is marked as read: a reader that is killed reads it
    again, and finds it settled.

    Returns:
        How many messages of the box ended as which of `COUNTED`.

    Raises:
        ConnectionNotFoundError: there is no connection to a bounce box.
        BounceBoxError: it cannot be read.
    """
    counts = dict.fromkeys(COUNTED, 0)
    with opened(house.connections(CONNECTION)) as box:
        for name, raw in box.unread():
            found = reports.parse(raw)
            outcome = UNREADABLE
            if found:
                with house.ledger.begin() as session:
                    outcome = _settled(session, house, found)
            counts[outcome] += 1
            box.done(name, flagged=outcome in _FOR_A_PERSON)
    return counts


def _settled(session: Session, house: House, found: Sequence[Reported]) -> str:
    """What a report comes to; of one on several recipients, that on ours."""
    mode = "sandbox" if house.mode == "sandbox" else "production"
    ended = [settling.by_report(session, house.clock(), house.district, mode, each) for each in found]
    return next((each for each in ended if each != "foreign"), "foreign")
