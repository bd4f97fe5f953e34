"""A policy is adopted by a person, for a reason, on record: before that it is a draft.

The files of a policy lie under version control, and the district's file names the one it follows: a deployment can
change them, and that is meant to be so. What makes a version the adopted one is the act `policy.adopted`, which names
its hash and its rulebook, and says what it changed. A check judges by the files as they are and keeps their rulebook;
a replay judges by the rulebook of its day. In production the operators' daily report says when a check was judged by
a version that nobody adopted (`missing`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from chengxin import accounts, policy, rulebook
from chengxin.accounts import NotPermittedError
from chengxin.districts import District
from chengxin.errors import ConfigError
from chengxin.ledger import acts
from chengxin.ledger.acts import Act, ActBody
from chengxin.settings import House

if TYPE_CHECKING:
    from chengxin.shadow import Shadow

KIND = "policy.adopted"


@dataclass(frozen=True)
class Adoption:
    """One version made the adopted one."""

    act: int
    at: datetime
    actor: str
    version: str
    said: Mapping[str, Any]
    """`policy` (id), `folder`, `before` (the version it replaced), `rulebook`, `as_of`, `findings` (rule → gained,
    lost, changed), `advice`, `filing`, `reason`; empty where it was erased."""


def adopt(house: House, difference: Shadow, draft: Path, actor: str, reason: str) -> Adoption:
    """Puts an adoption on record. Nothing is moved: the district's file says which folder is followed.

    Args:
        house: where everything is.
        difference: what the draft changes, as `shadow.shadow` found it and the actor has seen it.
        draft: the folder of the version that is adopted.
        actor: who adopts it.
        reason: why, e.g. the number of the document that orders it.

    Raises:
        ConfigError: no reason; a draft that cannot be used, or that has changed since it was compared.
    """
    district = _district(house)
    adopted = policy.load(draft, district)
    if adopted.version != difference.draft:
        raise ConfigError(
            "the draft has changed since it was compared",
            where=str(draft),
            why=f"it was {difference.draft[:12]}, it is {adopted.version[:12]}",
            remedy="look at the difference again",
        )
    body = {
        "policy": adopted.id,
        "folder": draft.resolve().name,
        "before": difference.adopted,
        "rulebook": rulebook.keep(house, district, draft),
        "as_of": difference.as_of,
        "findings": difference.findings,
        "advice": difference.advice,
        "filing": difference.filing,
    }
    with house.ledger.begin() as session:
        acts.record(session, house.clock(), actor, KIND, adopted.version, body, reason=reason)
        made = of(session, adopted.version)
    assert made is not None
    return made


def of(session: Session, version: str) -> Adoption | None:
    """The newest adoption of a version; None: nobody adopted it."""
    return next(_read(session, Act.subject == version), None)


def history(session: Session) -> list[Adoption]:
    """Every adoption, the newest first."""
    return list(_read(session))


def missing(house: House, session: Session, version: str) -> str | None:
    """What the operators are to be told of a version that a check was judged by; None: nothing is wrong.

    Only production asks: a sandbox plays with drafts.
    """
    if house.mode != "production" or of(session, version) is not None:
        return None
    return (
        f"政策文件未经采纳登记（版本 {version[:12]}）：请核对文件的改动，"
        f"确认后由负责人登记：{house.command} policy adopt"
    )


def signature(district: District, login: str) -> str:
    """How an account that adopts stands in the ledger.

    Raises:
        NotPermittedError: it is no account of the district, or one that adopts nothing.
    """
    actor = accounts.of(district, login)
    if actor.role not in ("officer", "operator"):
        raise NotPermittedError(
            f"{actor.role} accounts adopt nothing", where="policy adopt", remedy="let an officer or operator do it"
        )
    return actor.signature


def compare(house: House, draft: Path, as_of: date, reason: str) -> Shadow:
    """What a draft would change on a day, before somebody adopts it.

    Raises:
        ConfigError: no reason was given, which is asked for first; or one of the two policies cannot be used.
    """
    from chengxin import shadow

    if not reason.strip():
        raise ConfigError("an adoption needs a reason", where="policy adopt", remedy="say why: --reason")
    return shadow.shadow(house, as_of, draft)


def _district(house: House) -> District:
    from chengxin import check

    return check.load_district(house)


def _read(session: Session, *conditions: Any) -> Iterator[Adoption]:
    rows = session.execute(
        select(Act, ActBody.content)
        .outerjoin(ActBody, ActBody.seq == Act.seq)
        .where(Act.kind == KIND, *conditions)
        .order_by(Act.seq.desc())
    )
    for act, content in rows:
        yield Adoption(act.seq, act.at, act.actor, act.subject, json.loads(content) if content else {})
