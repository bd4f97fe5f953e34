"""Look-ups by banks and partners (二（一）2 and 3): with the subject's live consent, its public status.

An account of role `partner` asks for a code and names a purpose: what the subject's consent was given for. The
policy's sharing rules (四（三）) decide, as for a credit report, which is never public: the consent must name this
recipient, and this purpose or none. What is told: registry state, entries in force of lists that are public by law,
whether the annual report was filed where that is public, and whether a valid credit report exists. Nothing of its
content.

Every call is on record, refused ones too, before it is answered. Without consent the answer is one and the same text
whether or not there is such a subject, a consent for somebody else, or a valid code; and every call does the same
work: the facts are read, the rules are asked and the act is written, and only then it is chosen what to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import ibis
import pandas as pd
from sqlalchemy.orm import Session

from chengxin import accounts, contracts, districts, engine, identity, linking, policy
from chengxin.accounts import Actor, NotPermittedError
from chengxin.calendar import reported_year
from chengxin.check import load_district
from chengxin.clock import BEIJING, beijing_date
from chengxin.districts import District, LookUp
from chengxin.errors import ConfigError
from chengxin.ledger import access, acts
from chengxin.lookup_facts import Consent, DeskFacts, Facts, Known, LakeFacts, desk_knows
from chengxin.policy import sharing
from chengxin.settings import House

WHAT = "lookup"
"""What look-ups are called in the record of looks."""
ROUTE = "lookup"
LONGEST_PURPOSE = 128
"""Characters of a purpose: it must fit the number that a consent names."""

Outcome = Literal["shown", "refused", "limited", "closed"]
Annual = Literal["filed", "not_filed", "not_public"]

_NOBODY = "000000000000000000"
"""Looked for where what was asked is no code: no subject can bear it."""
_PUBLISHES = ("企业", "农民专业合作社")
"""Kinds whose annual reports are published by law; an individual business may choose not to."""


@dataclass(frozen=True)
class Told:
    """What is told of a subject."""

    uscc: str
    name: str | None
    state: str | None
    """存续, 歇业, 迁出, 吊销, 注销; null: the registry's copy does not have it."""
    established: date | None
    lists: tuple[tuple[str, date | None], ...]
    """Public lists it stands on, and since when."""
    report_year: int
    annual_report: Annual
    """Of that year. `not_public`: the subject need not publish it, or did not choose to; says nothing else."""
    credit_report: bool
    """A valid credit report exists."""


@dataclass(frozen=True)
class Answer:
    """The answer to one call. `to_json` is what leaves the house."""

    outcome: Outcome
    """`shown`; `refused`: no consent; `limited`: too many calls; `closed`: not at this hour."""
    on: date | None
    """The day it speaks for; null unless shown."""
    told: Told | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what was not told does not stand there."""
        if self.told is None:
            return {"outcome": self.outcome}
        told = self.told
        return {
            "outcome": self.outcome,
            "on": self.on,
            "uscc": told.uscc,
            "name": told.name,
            "state": told.state,
            "established": told.established,
            "lists": [{"list": name, "since": since} for name, since in told.lists],
            "annual_report": {"year": told.report_year, "status": told.annual_report},
            "credit_report": told.credit_report,
        }

    def to_json(self) -> str:
        """The same bytes for the same answer."""
        return acts.canonical(self.to_dict())


def answer(
    house: House,
    account: str,
    uscc: str,
    purpose: str,
    on: date | None = None,
    *,
    route: str = ROUTE,
    facts: Facts | None = None,
) -> Answer:
    """Answers one look-up, on record.

    Args:
        house: where everything is; its clock says whether the hours and limits allow it.
        account: login name of a partner, as authenticated.
        uscc: the code asked for, as it was written.
        purpose: what the subject's consent was given for, by its number; goes on record.
        on: the day to speak for; None: today.
        route: where it was asked, for the record.
        facts: who tells of the subject; None: the desk, or the lake where the desk lags behind.

    Raises:
        NotPermittedError: the account is no partner.
        ConfigError: no purpose, or one that is too long. Says nothing about the subject.
    """
    district = load_district(house)
    actor = accounts.of(district, account)
    if actor.role != "partner":
        raise NotPermittedError(
            f"{actor.role} accounts do not look up",
            where="look-up",
            why="departments see the subjects of their own matters; look-ups are for banks and partners",
            remedy="log in with the account of a bank or a partner",
        )
    purpose = purpose.strip()
    if not purpose or len(purpose) > LONGEST_PURPOSE:
        raise ConfigError(
            "a look-up names its purpose",
            where="look-up",
            remedy=f"give the number that the consent was given for, at most {LONGEST_PURPOSE} characters",
        )
    day = on or beijing_date(house.clock())
    checked = identity.check(pd.Series([uscc], dtype=object)).iloc[0]
    code = str(checked["normalized"]) if checked["valid"] else _NOBODY
    rules = _rules(house, district, day)
    known = (facts or _facts(house, district, rules)).known(code, day)
    may = _may(rules, actor, purpose, known.consents)
    told = _told(district.lookup, code, day, known)
    with house.ledger.begin() as session:
        # One call at a time is counted and put on record, so that calls at once do not pass a limit together.
        acts.lock(session)
        now = house.clock()
        outcome = _hindered(session, district.lookup, actor, now) or ("shown" if may else "refused")
        whom = [access.subject_hash(house, code)]
        access.looked(session, now, actor.login, actor.department, WHAT, whom, purpose, route, outcome)
    return Answer(outcome, day, told) if outcome == "shown" else Answer(outcome, None, None)


def _facts(house: House, district: District, rules: _Rules) -> Facts:
    # A consent that was withdrawn is none from that day on: the desk must know what the sources of consents have told.
    if desk_knows(house, rules.consents):
        return DeskFacts(house.desk, rules.years)
    return LakeFacts(house, district, rules.years)


def _hindered(session: Session, limits: LookUp, actor: Actor, now: datetime) -> Outcome | None:
    """Why a call is not answered whoever it asks for; None: nothing hinders it. Calls not answered do not count."""
    if limits.hours is not None and not limits.hours.hold(now):
        return "closed"
    answered = ("shown", "refused")
    today = datetime.combine(beijing_date(now), time(), BEIJING)
    minute = access.number(session, actor.login, WHAT, now - timedelta(minutes=1), answered)
    day = access.number(session, actor.login, WHAT, today, answered)
    return "limited" if minute >= limits.per_minute or day >= limits.per_day else None


def _told(limits: LookUp, code: str, on: date, known: Known) -> Told:
    annual: Annual = "not_public"
    if known.submitted and (known.published or known.kind in _PUBLISHES):
        annual = "filed"
    elif not known.submitted and known.kind in _PUBLISHES:
        annual = "not_filed"
    return Told(
        uscc=code,
        name=known.name,
        state=known.state,
        established=known.established,
        lists=tuple((entry.list, entry.listed_on) for entry in known.entries if entry.list in limits.lists),
        report_year=reported_year(on),
        annual_report=annual,
        credit_report=known.report,
    )


def _may(rules: _Rules, actor: Actor, purpose: str, consents: Sequence[Consent]) -> bool:
    """Whether one of the consents lets this recipient be told for this purpose."""
    uses = [_use(consent, actor, purpose) for consent in consents] or [
        _Use(live=False, matter="none", recipient="none")
    ]
    return any(rules.allows[use] for use in uses)


Fit = Literal["same", "other", "none"]


class _Use(NamedTuple):
    """What the sharing rules see of a look-up and one consent."""

    live: bool
    matter: Fit
    recipient: Fit


def _use(consent: Consent, actor: Actor, purpose: str) -> _Use:
    # Outside of the administration a consent counts only for the recipient that it names (个人信息保护法23).
    named: Fit = "same" if consent.recipient == actor.recipient else "other"
    # One that names no matter is for any of that recipient's.
    matter: Fit = "same" if consent.matter_id in (None, purpose) else "other"
    return _Use(True, matter, named)


@dataclass(frozen=True)
class _Rules:
    """What the policy says on a day of every kind of use, asked once: it takes an engine, a look-up must not."""

    allows: Mapping[_Use, bool]
    years: int
    """How long a report without a last day is valid."""
    consents: frozenset[str]
    """The sources that tell of consents."""


def _rules(house: House, district: District, on: date) -> _Rules:
    folders = [house.include_dir / name for name in ("policy", "districts", "sources")]
    # A document may stand on another one beside it: any file that changes makes the answer anew.
    files = [file for folder in folders for file in sorted(folder.rglob("*.yml"))]
    return _asked(house.include_dir, district.code, tuple((str(file), file.stat().st_mtime_ns) for file in files), on)


@lru_cache(maxsize=8)
def _asked(include: Path, code: str, _stamp: tuple[tuple[str, int], ...], on: date) -> _Rules:
    district = districts.load(include / "districts" / f"{code}.yml")
    rules = policy.load(include / "policy" / district.policy, district)
    words: dict[Fit, str | None] = {"same": "a", "other": "b", "none": None}
    uses = [_Use(live, matter, to) for live in (True, False) for matter in words for to in words]
    rows = {
        "n": list(range(len(uses))),
        "as_of": [on] * len(uses),
        "item": [linking.REPORT_ITEM] * len(uses),
        "public": [False] * len(uses),
        "recipient": ["a"] * len(uses),
        "use_matter_id": ["a"] * len(uses),
        "consent_live": [use.live for use in uses],
        "consent_matter_id": [words[use.matter] for use in uses],
        "consent_recipient": [words[use.recipient] for use in uses],
    }
    kinds = {"n": "int64", "as_of": "date", "public": "boolean", "consent_live": "boolean"}
    schema = {name: kinds.get(name, "string") for name in rows}
    connection = engine.connect(threads=1)
    try:
        decided = connection.to_pyarrow(sharing.decide(rules, ibis.memtable(rows, schema=schema))).to_pylist()
    finally:
        connection.disconnect()
    validity = rules.parameters["report.validity"].on(on)
    good, broken = contracts.load_all(include / "sources")
    return _Rules(
        allows={uses[row["n"]]: row["decision"] == "ALLOW" for row in decided},
        years=int(validity.value) if validity else 0,
        # A contract that cannot be read may be one of consents.
        consents=frozenset(name for name, contract in good.items() if "consent" in contract.tables) | set(broken),
    )
