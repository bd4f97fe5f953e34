"""Where the people stand with an advice: what officers decided on it, and what its subject objects to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from chengxin.ledger import decisions, objections
from chengxin.ledger.decisions import Decided
from chengxin.ledger.objections import Objected


@dataclass(frozen=True)
class Standing:
    """Where the people stand with one advice."""

    decisions: tuple[Decided, ...] = ()
    """Oldest first."""
    objections: tuple[Objected, ...] = ()
    """Oldest first."""

    @property
    def decision(self) -> Decided | None:
        """The decision that counts; None: not decided."""
        return self.decisions[-1] if self.decisions else None

    @property
    def disputed(self) -> bool:
        """An objection of the subject waits to be settled."""
        return any(each.is_open for each in self.objections)


def of(session: Session, advice_ids: Iterable[str]) -> Mapping[str, Standing]:
    """The standing of some advice, by id; every id asked for is there.

    Args:
        session: an open transaction.
        advice_ids: in full.
    """
    ids = list(dict.fromkeys(advice_ids))
    decided, objected = decisions.decisions_of(session, ids), objections.objections_of(session, ids)
    return {one: Standing(decided.get(one, ()), objected.get(one, ())) for one in ids}
