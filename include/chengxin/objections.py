"""A subject objects (异议): an officer of the matter's department receives the objection and later settles it.

Until then the advice is disputed: `ledger.standing` says so, and a decision on it needs a reason. An objection may
also be made to advice that was withdrawn meanwhile: it was acted on, perhaps.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import select

from chengxin import accounts, officers
from chengxin.check import load_district
from chengxin.clock import beijing_date
from chengxin.errors import ChengxinError, ConfigError
from chengxin.ledger import acts, objections
from chengxin.ledger.objections import Objected, Objection, Outcome
from chengxin.settings import House


class NoSuchObjectionError(ChengxinError):
    """The department has no open objection of this number."""

    cause = "no such objection"


def make(house: House, account: str, advice_id: str, grounds: str, received_on: date | None = None) -> Objected:
    """Enters a subject's objection to an advice, which is disputed from now on.

    Args:
        house: where everything is.
        account: login name of the officer who received it.
        advice_id: the advice in full; it need not stand any more.
        grounds: what the subject says.
        received_on: the Beijing day on which it came in; None: today.

    Raises:
        NotPermittedError: the account is no officer.
        NoSuchAdviceError: the officer's department has no such advice.
        ConfigError: no grounds, too many words, or a day that has not come.
    """
    district = load_district(house)
    officer = accounts.officer(district, account)
    today = beijing_date(house.clock())
    if received_on is not None and received_on > today:
        raise ConfigError("an objection of a day to come", where="received_on", remedy=f"at the latest {today}")
    grounds = officers.said(grounds, "grounds")
    advice = officers.advice_of(house, officer, advice_id)
    row = Objection(
        received_on=received_on or today,
        district=district.code,
        advice_id=advice_id,
        matter_id=advice["matter_id"],
        department=advice["department"],
        received_by=officer.login,
    )
    with house.ledger.begin() as session:
        return objections.add(session, house.clock(), officer.signature, row, grounds)


def settle(house: House, account: str, number: int, outcome: Outcome, reason: str) -> Objected:
    """Settles an open objection.

    Args:
        house: where everything is.
        account: login name of an officer of the matter's department.
        number: the objection's id.
        outcome: `upheld`, `partly`, `rejected`, `withdrawn`.
        reason: why, or what was mended.

    Raises:
        NotPermittedError: the account is no officer.
        NoSuchObjectionError: its department has no open objection of this number.
        ConfigError: an unknown outcome, no reason, or too many words.
    """
    district = load_district(house)
    officer = accounts.officer(district, account)
    if outcome not in objections.OUTCOMES:
        raise ConfigError(
            f"unknown outcome {outcome!r}", where="settle", remedy=f"one of {', '.join(objections.OUTCOMES)}"
        )
    reason = officers.said(reason, "reason")
    with house.ledger.begin() as session:
        acts.lock(session)
        row = session.scalar(
            select(Objection).where(
                Objection.id == number,
                Objection.district == district.code,
                Objection.department == officer.department,
                Objection.outcome.is_(None),
            )
        )
        if row is None:
            raise NoSuchObjectionError(
                "the department has no open objection of this number",
                where="objections",
                remedy="open it from the list of objections that wait",
            )
        return objections.settle(session, house.clock(), officer.signature, row, outcome, reason)
