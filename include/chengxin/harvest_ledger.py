"""A harvest's row in the ledger: opened or gone on with, fetched, planned, published, or ended without.

What a row says decides what a rerun may take over (see `chengxin.harvest`).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from chengxin import archive
from chengxin.clock import beijing_date
from chengxin.contracts import Contract
from chengxin.errors import BoundError, ChengxinError, DriftError, HarvestError
from chengxin.ledger.models import Commit, Harvest, RawObject
from chengxin.settings import House
from chengxin.tables import HARVEST_SUM

RESUME_WITHIN = timedelta(hours=12)
"""A half-finished fetch older than this is not gone on with: its first pages tell of another time than its last."""
COUNTS = ("harvested", "published", "unchanged", "rejected", "ignored", "removed")

_PASSING = ("unreachable", "refused", "connection")
"""Causes of a failed fetch after which going on makes sense: what was fetched is right, the rest is missing."""


def open_harvest(session: Session, house: House, contract: Contract, as_of: date) -> Harvest:
    """The harvest of a source and day that is to be fetched: the unfinished one, else a new one.

    Raises:
        HarvestError: in production, a day whose state the source cannot tell any more, or not yet.
    """
    harvest = _unfinished(session, house, contract, as_of)
    if harvest is None:
        harvest = Harvest(
            source=contract.name,
            as_of=as_of,
            state="fetching",
            contract_sha256=contract.sha256,
            started_at=house.clock(),
            detail=_asked(house, contract, as_of),
        )
        session.add(harvest)
        session.flush()
    return harvest


def _asked(house: House, contract: Contract, as_of: date) -> dict[str, Any]:
    """Notes that a source was asked on another day than it speaks for, where it answers with what holds when asked.

    A run of the day before (a retry after midnight) is taken. What is older, or to come, would be told in the lake as
    that day's state and is not: mails hold it the same way (`warn.modes`). Sandboxes and rehearsals play any day.
    """
    today = beijing_date(house.clock())
    if contract.dated or as_of == today:
        return {}
    if house.mode == "production" and not timedelta(0) <= today - as_of <= timedelta(days=1):
        raise HarvestError(
            f"{contract.name} cannot be asked for {as_of}",
            where=f"sources/{contract.name}.yml",
            why=f"it answers with its state of today ({today}), which would be kept as that day's",
            remedy="leave the day as it is: the newest earlier observation stands for it. Harvest today; for past "
            "days, ask the publisher for files or parameters of a day (`{as_of}` in the contract)",
        )
    return {"asked_on": today.isoformat()}


def fetched(session: Session, house: House, harvest_id: int, seconds: float | None = None) -> None:
    """Notes that a harvest was fetched to its end, and how long the last try took, where one alone fetched it."""
    harvest = session.get_one(Harvest, harvest_id)
    harvest.state, harvest.cause, harvest.message, harvest.finished_at = "fetched", None, None, None
    spent = {} if seconds is None else {"seconds": {"fetch": round(seconds, 3)}}
    harvest.detail = {**harvest.detail, "fetched": house.clock().isoformat(), **spent}


def _unfinished(session: Session, house: House, contract: Contract, as_of: date) -> Harvest | None:
    """The newest harvest of that source and day, if it is to be gone on with."""
    harvest = session.scalar(
        select(Harvest)
        .where(Harvest.source == contract.name, Harvest.as_of == as_of)
        .order_by(Harvest.id.desc())
        .limit(1)
    )
    if harvest is None or harvest.state in ("published", "stopped"):
        return None
    if "files" in harvest.detail:
        return harvest
    failed = harvest.state == "failed"
    if failed and ("fetched" in harvest.detail or harvest.cause not in _PASSING):
        return None
    if harvest.contract_sha256 != contract.sha256 or house.clock() - harvest.started_at > RESUME_WITHIN:
        if not failed:
            _end(session, house, harvest, "failed", "abandoned", "interrupted, and too old or of another contract")
        return None
    kept = session.scalars(select(RawObject.sha256).where(RawObject.harvest_id == harvest.id))
    if not all(archive.path(house, contract.name, sha256).exists() for sha256 in kept):
        if not failed:
            _end(session, house, harvest, "failed", "abandoned", "interrupted, and a raw file of it was erased since")
        return None
    if failed:
        harvest.state, harvest.cause, harvest.message, harvest.finished_at = "fetching", None, None, None
    return harvest


def planned(session: Session, source: str) -> list[int]:
    """Harvests of a source that are past the point of no return and not committed, oldest first."""
    waiting = session.scalars(
        select(Harvest).where(Harvest.source == source, Harvest.state == "fetched").order_by(Harvest.id)
    )
    return [harvest.id for harvest in waiting if "files" in harvest.detail]


def waited(house: House, source: str, as_of: date) -> bool:
    """Whether the last harvest published up to that day left keys that were missing as they were."""
    with house.ledger.read() as session:
        told = session.scalars(
            select(Harvest.detail)
            .where(Harvest.source == source, Harvest.state == "published", Harvest.as_of <= as_of)
            .order_by(Harvest.as_of.desc(), Harvest.id.desc())
        )
        # One that found nothing to read says nothing of this.
        last: dict[str, Any] = next((detail for detail in told if not detail.get("stands")), {})
    return "waiting" in last.get("alarms", {})


def later(session: Session, source: str, as_of: date) -> date | None:
    """The next day of which the source has a published harvest; None: there is none."""
    return session.scalar(
        select(func.min(Harvest.as_of)).where(
            Harvest.source == source, Harvest.state == "published", Harvest.as_of > as_of
        )
    )


def open_commit(house: House, harvest_id: int) -> int:
    """The number of this harvest's commit; one that a killed run has opened is used."""
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        if harvest.seq is None:
            commit = Commit(kind="harvest", name=harvest.source, as_of=harvest.as_of, opened_at=house.clock())
            session.add(commit)
            session.flush()
            harvest.seq = commit.seq
        return harvest.seq


def note(house: House, harvest_id: int, counts: dict[str, int], detail: dict[str, Any], quiet: bool = False) -> None:
    """Notes what was counted and found. With the names of the `files` in the detail, it is the point of no return."""
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        harvest.quiet = quiet
        for name, count in counts.items():
            setattr(harvest, name, count)
        harvest.detail = {**harvest.detail, **detail}


def fail(house: House, harvest_id: int, error: Exception) -> None:
    """Ends a harvest with an error: `stopped` where the batch is at fault, else `failed`."""
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        if "files" in harvest.detail:
            return  # past the point of no return: the next run ends it
        state = "stopped" if isinstance(error, BoundError | DriftError) else "failed"
        # The text of a foreign exception may quote a record.
        said = (error.cause, str(error)) if isinstance(error, ChengxinError) else ("error", type(error).__name__)
        _end(session, house, harvest, state, *said)


def _end(session: Session, house: House, harvest: Harvest, state: str, cause: str, message: str) -> None:
    """Ends a harvest without a publication. Nothing of it is in the lake, so its commit number is given back."""
    harvest.state, harvest.cause, harvest.message = state, cause, message
    harvest.finished_at = house.clock()
    seq, harvest.seq = harvest.seq, None
    session.flush()
    if seq is not None:
        session.execute(delete(Commit).where(Commit.seq == seq))


def outcome(harvest: Harvest) -> dict[str, Any]:
    """What `chengxin.harvest.publish` returns."""
    return {
        "harvest_id": harvest.id,
        "source": harvest.source,
        "as_of": harvest.as_of.isoformat(),
        "state": harvest.state,
        "seq": harvest.seq if harvest.detail["files"].keys() - {HARVEST_SUM.name} else None,
        **{name: getattr(harvest, name) for name in COUNTS},
    }
