"""The officer decides (二（一）1, 二（二）): the system advises, a named officer of the matter's department decides.

`decide` records what was decided on one applicant and how the credit was weighed, as an act with its words and a row
to ask by (`ledger.decisions`). Later decisions on the same advice count instead of earlier ones, which stay on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import ibis

from chengxin import accounts, conclusions, engine
from chengxin.accounts import Actor
from chengxin.check import load_district
from chengxin.errors import ChengxinError, ConfigError
from chengxin.ledger import acts, decisions, objections
from chengxin.ledger.decisions import Decided, Outcome, Weighed
from chengxin.settings import House

LONGEST = 1000
"""Characters of a reason or of other words."""

OPEN_ENDED = ("REVIEW", "CANNOT_TELL", "NOT_APPLICABLE", "INPUT_ERROR")
"""Advice that leaves the outcome to the officer: no decision goes against it."""


class NoSuchAdviceError(ChengxinError):
    """The department has no such advice: there is none of this id, or it is another department's."""

    cause = "no such advice"


class WithdrawnError(ChengxinError):
    """The advice stands no more (its matter was closed, the applicant left it), or says something else by now."""

    cause = "withdrawn"


def decide(
    house: House,
    account: str,
    advice_id: str,
    decision: Outcome,
    weighed: Weighed,
    reason: str = "",
    *,
    words: str = "",
    advised: str | None = None,
) -> Decided:
    """Records an officer's decision on one applicant of a matter.

    Args:
        house: where everything is; its clock stamps the act.
        account: login name of the officer, as authenticated.
        advice_id: the advice in full.
        decision: `PASS`, `PRIORITY`, `NEED_REPORT`, `RESTRICT` or `EXCLUDE`.
        weighed: how the credit was weighed: `necessary`, `scored`, `reference`, `not_weighed`.
        reason: why; needed against the advice, where credit was not weighed (the notice asks for it), and while an
            objection to the advice is open.
        words: how the credit was weighed, in the officer's words.
        advised: the outcome that the officer's page showed; None: not compared.

    Returns:
        The decision as recorded.

    Raises:
        NotPermittedError: the account is no officer.
        NoSuchAdviceError: the officer's department has no such advice.
        WithdrawnError: the advice stands no more, or no longer says `advised`.
        ConfigError: an unknown code, a reason that is missing, words that are too long.
    """
    district = load_district(house)
    officer = accounts.officer(district, account)
    _known(decision, get_args(Outcome), "decision")
    _known(weighed, get_args(Weighed), "weighed")
    reason, words = said(reason, "reason"), said(words, "words")
    advice = advice_of(house, officer, advice_id)
    if not advice["stands"]:
        raise WithdrawnError(
            "the advice was withdrawn",
            where="decide",
            why="a later check no longer gives it: the matter was closed, or the applicant left it",
            remedy="open the matter's page again",
        )
    if advised is not None and advice["decision"] != advised:
        raise WithdrawnError(
            "the advice has changed since the page was opened",
            where="decide",
            why=f"it says {advice['decision']} now, the page said {advised}",
            remedy="open the page again, and decide by what it says now",
        )
    against = goes_against(advice["decision"], decision)
    with house.ledger.begin() as session:
        acts.lock(session)
        disputed = bool(objections.disputed(session, [advice_id]))
        for needed, why in (
            (against, f"the advice says {advice['decision']}"),
            (weighed == "not_weighed", "the notice asks that credit be weighed (二（一）1, 二（二）)"),
            (disputed, "the subject's objection to the advice is not settled"),
        ):
            if needed and not reason:
                raise ConfigError("this decision needs a reason", where="decide", why=why, remedy="say why")
        return decisions.add(
            session,
            house.clock(),
            decisions.New(
                district=district.code,
                advice_id=advice_id,
                matter_id=advice["matter_id"],
                department=advice["department"],
                account=officer.login,
                signature=officer.signature,
                name=officer.name,
                decision=decision,
                weighed=weighed,
                words=words,
                advised=advice["decision"],
                against=against,
                disputed=disputed,
                policy_version=advice["policy_version"],
                reason=reason,
            ),
        )


def goes_against(advised: str, decision: str) -> bool:
    """Whether a decision goes against an advice: it is another outcome, and the advice left no choice."""
    return advised not in OPEN_ENDED and advised != decision


def advice_of(house: House, officer: Actor, advice_id: str) -> Mapping[str, Any]:
    """What was last said about one applicant of a matter of the officer's department.

    Args:
        house: where the lake is.
        officer: who asks.
        advice_id: in full.

    Returns:
        The content columns of `advice`, and `stands`: no later check has withdrawn it.

    Raises:
        NoSuchAdviceError: the department has none of this id. Whether another has is not said.
    """
    connection = house.engine()
    try:
        rows = engine.observations(connection, house.lake, "advice")
        rows = rows.filter(
            rows.source == conclusions.SOURCE,
            rows.natural_key == house.district + conclusions.SEPARATOR + advice_id,
        )
        history = connection.to_pyarrow(rows.order_by([ibis.desc("observed_on"), ibis.desc("seq")])).to_pylist()
    finally:
        connection.disconnect()
    last = next((row for row in history if not row["removed"]), None)
    if last is None or last["department"] != officer.department:
        raise NoSuchAdviceError(
            "no advice of this department has this id",
            where="advice",
            remedy="open the matter from the list of your department's matters",
        )
    return {**last, "stands": not history[0]["removed"]}


def said(text: str, what: str) -> str:
    """Words of a person as they are kept: without control characters, without white space around them.

    Raises:
        ConfigError: they are too long.
    """
    kept = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text).strip()
    if len(kept) > LONGEST:
        raise ConfigError(f"{what} has {len(kept)} characters", where=what, remedy=f"at most {LONGEST}")
    return kept


def _known(code: str, codes: tuple[str, ...], what: str) -> None:
    if code not in codes:
        raise ConfigError(f"unknown {what} {code!r}", where="decide", remedy=f"one of {', '.join(codes)}")
