"""Fetch, archive, normalise, validate, publish: one source for one day, safe to be killed and to be run again.

A harvest has a row in the ledger. `fetch` brings the raw files in and can go on where it was killed. `publish` reads
them, judges every record, and writes what is new or changed to the lake. It has one point of no return: the moment the
ledger holds the counts and the names of the files written. Before it, everything is done anew; after it, only the
commits are, and a commit that is in the lake already is found by its `seq`.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from chengxin import archive, connectors, contracts, suppression
from chengxin.clock import beijing_date
from chengxin.connectors import earlier, feedback, files_feedback
from chengxin.contracts import Contract
from chengxin.errors import BoundError, ChengxinError, DriftError, HarvestError, SumError
from chengxin.judging import Early, Judging
from chengxin.ledger.models import Commit, Harvest, HarvestPart, RawObject
from chengxin.settings import House
from chengxin.tables import HARVEST_SUM

RESUME_WITHIN = timedelta(hours=12)
"""A half-finished fetch older than this is not gone on with: its first pages tell of another time than its last."""
COUNTS = ("harvested", "published", "unchanged", "rejected", "ignored", "removed")

_PASSING = ("unreachable", "refused", "connection")
"""Causes of a failed fetch after which going on makes sense: what was fetched is right, the rest is missing."""


def run(house: House, source: str, as_of: date) -> dict[str, Any]:
    """Fetches and publishes a source for a day; what has been fetched is judged while the fetch goes on.

    Returns:
        What `publish` returns.

    Raises:
        ChengxinError: as `fetch` and `publish`.
    """
    contract = load(house, source)
    if contract.partitions is not None:
        return publish(house, fetch(house, source, as_of))
    with alone(house, source), Early(house, contract, as_of) as early:
        return _publish(house, contract, _fetch(house, contract, as_of, early), early)


def fetch(house: House, source: str, as_of: date) -> int:
    """Brings the raw files of a source for a day into the archive.

    An unfinished harvest of that source and day is gone on with; otherwise a new one is opened, also when the day has
    been published before. A source with `partitions` is fetched part by part (`chengxin.parts` does it side by side).

    Returns:
        The harvest's id.

    Raises:
        ConfigError: no such contract, or not a valid one.
        ChengxinError: as `connectors.fetch`; the harvest is marked `failed`.
    """
    contract = load(house, source)
    if contract.partitions is not None:
        from chengxin import parts

        harvest_id = parts.open(house, source, as_of)
        for part in contract.partitions.values:
            parts.fetch(house, harvest_id, part)
        return harvest_id
    with alone(house, source):
        return _fetch(house, contract, as_of)


def _fetch(house: House, contract: Contract, as_of: date, early: Early | None = None) -> int:
    with house.ledger.begin() as session:
        harvest = open_harvest(session, house, contract, as_of)
        harvest_id, state = harvest.id, harvest.state
    if state != "fetched":
        if early:
            early.begin(harvest_id)
        begun = time.perf_counter()
        try:
            connectors.fetch(house, contract, as_of, harvest_id, onlooker=early)
        except Exception as error:
            fail(house, harvest_id, error)
            raise
        with house.ledger.begin() as session:
            fetched(session, house, harvest_id, time.perf_counter() - begun)
    return harvest_id


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


def publish(house: House, harvest_id: int) -> dict[str, Any]:
    """Publishes a fetched harvest; a published one is left as it is.

    Returns:
        `harvest_id, source, as_of, state, seq` (null when no fact had changed) and the counts of `COUNTS`: source
        records, except `removed`, which counts tombstones.

    Raises:
        DriftError: the source's columns are not those of the contract; marked `stopped`, nothing is published.
        BoundError: the batch is outside its bounds; marked `stopped`, nothing is published.
        SumError: the counts do not add up; marked `failed`, nothing is published.
        HarvestError: the harvest has not been fetched to its end.
    """
    with house.ledger.begin() as session:
        source = session.get_one(Harvest, harvest_id).source
    contract = load(house, source)
    with alone(house, source):
        return _publish(house, contract, harvest_id)


def _publish(house: House, contract: Contract, harvest_id: int, early: Early | None = None) -> dict[str, Any]:
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        published, told = harvest.state == "published", "feedback" in harvest.detail
        if not published and "fetched" not in harvest.detail:
            raise HarvestError(
                f"harvest {harvest_id} of {contract.name} has not been fetched to its end",
                why=f"state {harvest.state}" + (f", {harvest.cause}" if harvest.cause else ""),
                remedy="run the fetch again: it goes on where it stopped",
            )
        planned = published or "files" in harvest.detail
        if not planned:
            harvest.state, harvest.cause, harvest.message, harvest.finished_at = "fetched", None, None, None
            harvest.contract_sha256 = contract.sha256
        others = [] if planned else _planned(session, contract.name)
    # A killed harvest of another day must be in the lake before this one is compared with the lake.
    for other in others:
        _commit(house, other)
        feedback.tell(house, contract, other)
    if not planned:
        try:
            _prepare(house, contract, harvest_id, early)
        except Exception as error:
            fail(house, harvest_id, error)
            feedback.tell(house, contract, harvest_id)
            raise
    if not published:
        _commit(house, harvest_id)
    # Also of one that was killed after its commit: each way of telling replaces what it has told.
    if not (published and told):
        feedback.tell(house, contract, harvest_id)
    with house.ledger.begin() as session:
        return _outcome(session.get_one(Harvest, harvest_id))


def _prepare(house: House, contract: Contract, harvest_id: int, early: Early | None) -> None:
    """Everything up to the point of no return."""
    from chengxin import late

    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        as_of = harvest.as_of
        raw = list(session.scalars(select(RawObject).where(RawObject.harvest_id == harvest_id).order_by("ordinal")))
        later = _later(session, contract.name, as_of)
        spent = dict(harvest.detail.get("seconds", {}))
        parts = session.scalars(select(HarvestPart.cursor).where(HarvestPart.harvest_id == harvest_id)).all()
        cursors = [*parts] or [dict(harvest.cursor)]
        session.expunge_all()
    if all(cursor.get("stands") for cursor in cursors):
        _stand(house, contract, harvest_id, as_of, earlier.quiet(house, contract, as_of, cursors, 0))
        return
    judging = early.result(raw) if early else None
    unread = [] if judging else raw
    judging = judging or Judging(house, contract, harvest_id, as_of)
    tally = judging.tally
    detail: dict[str, Any] = {"unread": sum(cursor.get("waiting", 0) for cursor in cursors)}
    try:
        judging.stage(unread)
        if contract.mode == "incremental":
            late.stage(house, contract, as_of, judging.rules, judging.folder, judging.engine.con)
        if files_feedback.wanted(contract):
            files_feedback.keep(house, contract, harvest_id, raw, judging.folder, judging.engine.con)
        # Great Expectations takes half a second and more, in which the lake can be compared and written.
        with ThreadPoolExecutor(1, thread_name_prefix="gate") as other:
            closing = other.submit(_timed, tally, "validate", judging.gate.close)
            try:
                counts, files = _write(house, contract, harvest_id, as_of, judging, later, detail, raw)
            except Exception:
                # Also of a harvest that is stopped: its data docs say why.
                detail["data_docs"] = _docs(judging, closing.result())
                seen = {"harvested": tally.harvested, "rejected": tally.rejected}
                _note(house, harvest_id, seen, detail | _found(tally))
                raise
            detail["data_docs"] = _docs(judging, closing.result())
        detail |= _found(tally)
        detail["files"] = files
        detail["seconds"] = spent | {stage: round(seconds, 3) for stage, seconds in tally.seconds.items()}
        _note(house, harvest_id, counts, detail, earlier.quiet(house, contract, as_of, cursors, counts["published"]))
    finally:
        judging.end()


def _stand(house: House, contract: Contract, harvest_id: int, as_of: date, quiet: bool) -> None:
    """Ends a harvest that found what the last one had read already: nothing is read, every row stands."""
    from chengxin import sums

    counts = dict.fromkeys(COUNTS, 0)
    found: dict[str, Any] = {"rejected": {}, "ignored": {}, "facts": {}}
    seq = _open_commit(house, harvest_id)
    file = sums.write(house.lake, contract, harvest_id, as_of, seq, counts, found, [])
    _note(house, harvest_id, counts, {**found, "stands": True, "files": {sums.NAME: file.name}}, quiet)


def _write(
    house: House,
    contract: Contract,
    harvest_id: int,
    as_of: date,
    judging: Judging,
    later: date | None,
    detail: dict[str, Any],
    raw: Sequence[RawObject],
) -> tuple[dict[str, int], dict[str, str]]:
    """Compares what is staged with the lake, holds it against its bounds, and writes what differs.

    Returns:
        The counts, and table → name of the file written. What was found goes into `detail`.
    """
    from chengxin import bounds, sums
    from chengxin.publish import Publication

    tally = judging.tally
    detail["drift"] = bounds.drift(contract, tally, {one.sha256: one.locator for one in raw})
    detail["bounds"] = bounds.batch(contract, tally)
    with tally.timed("compare"):
        erased = suppression.erased(house, judging.engine)
        publication = Publication(judging.engine, house.lake, contract, as_of, judging.folder, later, erased)
        tally.ignored.update(publication.duplicates())
        changes = publication.compare(bool(publication.doubts.nameless) and _waited(house, contract.name, as_of))
        published, unchanged = publication.records()
        jumps = publication.jumps()
    bounds.shrink(contract, changes)
    counts = {
        "harvested": tally.harvested,
        "published": published,
        "unchanged": unchanged,
        "rejected": tally.rejected,
        "ignored": sum(tally.ignored.values()),
        "removed": sum(changes[name].removed for name in contract.tables),
    }
    bounds.sums(contract.name, counts)
    detail["alarms"] = bounds.alarms(contract, tally, jumps, changes, detail["drift"], detail["unread"])
    detail["filled"] = bounds.shares(tally)
    parts = ("known", "new", "changed", "unchanged", "removed", "restored")
    detail["facts"] = {name: {part: getattr(change, part) for part in parts} for name, change in changes.items()}
    writes = [name for name, change in changes.items() if change.rows]
    seq = _open_commit(house, harvest_id)
    files: dict[str, str] = {}
    with tally.timed("write"):
        for name in writes:
            file = house.lake.data_file(name, seq)
            rows = publication.write(name, seq, file)
            if rows != changes[name].rows:
                raise SumError(
                    f"{rows} rows of {name} were written, {changes[name].rows} were to be",
                    where=f"{contract.name}, harvest {harvest_id}",
                    remedy="a defect of ours: keep the staging folder and report it",
                )
            files[name] = file.name
        found = detail | _found(tally)
        files[sums.NAME] = sums.write(house.lake, contract, harvest_id, as_of, seq, counts, found, raw).name
    return counts, files


def _docs(judging: Judging, index: Path | None) -> str | None:
    return (judging.docs / index.name).as_posix() if index else None


def _commit(house: House, harvest_id: int) -> None:
    """Everything after the point of no return: the commits, and the ledger's last word."""
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        seq, files, source = harvest.seq, dict(harvest.detail["files"]), harvest.source
    snapshots: dict[str, str] = {}
    for name, file in files.items():
        assert seq is not None
        path = house.lake.data_file(name, seq).with_name(file)
        properties = {"chengxin.source": source, "chengxin.harvest": str(harvest_id)}
        snapshots[name] = str(house.lake.commit(name, [path], seq, properties))
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        now = house.clock()
        if seq is not None:
            commit = session.get_one(Commit, seq)
            commit.closed_at, commit.snapshots = now, snapshots
        harvest.state, harvest.finished_at = "published", now


def _timed(tally: Any, stage: str, work: Callable[[], Any]) -> Any:
    with tally.timed(stage):
        return work()


def _found(tally: Any) -> dict[str, Any]:
    return {
        "ignored": {reason: count for reason, count in sorted(tally.ignored.items()) if count},
        "rejected": dict(sorted(tally.rejected_by.items())),
        "rejected_items": dict(sorted(tally.rejected_items.items())),
        "warnings": {rule: count for rule, count in sorted(tally.warnings.items()) if count},
        "personal_ids": tally.personal_ids,
    }


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
    fetched = session.scalars(select(RawObject.sha256).where(RawObject.harvest_id == harvest.id))
    if not all(archive.path(house, contract.name, sha256).exists() for sha256 in fetched):
        if not failed:
            _end(session, house, harvest, "failed", "abandoned", "interrupted, and a raw file of it was erased since")
        return None
    if failed:
        harvest.state, harvest.cause, harvest.message, harvest.finished_at = "fetching", None, None, None
    return harvest


def _planned(session: Session, source: str) -> list[int]:
    """Harvests of a source that are past the point of no return and not committed, oldest first."""
    waiting = session.scalars(
        select(Harvest).where(Harvest.source == source, Harvest.state == "fetched").order_by(Harvest.id)
    )
    return [harvest.id for harvest in waiting if "files" in harvest.detail]


def _waited(house: House, source: str, as_of: date) -> bool:
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


def _later(session: Session, source: str, as_of: date) -> date | None:
    return session.scalar(
        select(func.min(Harvest.as_of)).where(
            Harvest.source == source, Harvest.state == "published", Harvest.as_of > as_of
        )
    )


def _open_commit(house: House, harvest_id: int) -> int:
    """The number of this harvest's commit; one that a killed run has opened is used."""
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        if harvest.seq is None:
            commit = Commit(kind="harvest", name=harvest.source, as_of=harvest.as_of, opened_at=house.clock())
            session.add(commit)
            session.flush()
            harvest.seq = commit.seq
        return harvest.seq


def _note(house: House, harvest_id: int, counts: dict[str, int], detail: dict[str, Any], quiet: bool = False) -> None:
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        harvest.quiet = quiet
        for name, count in counts.items():
            setattr(harvest, name, count)
        harvest.detail = {**harvest.detail, **detail}


def fail(house: House, harvest_id: int, error: Exception) -> None:
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


def _outcome(harvest: Harvest) -> dict[str, Any]:
    return {
        "harvest_id": harvest.id,
        "source": harvest.source,
        "as_of": harvest.as_of.isoformat(),
        "state": harvest.state,
        "seq": harvest.seq if harvest.detail["files"].keys() - {HARVEST_SUM.name} else None,
        **{name: getattr(harvest, name) for name in COUNTS},
    }


def load(house: House, source: str) -> Contract:
    return contracts.load(house.include_dir / "sources" / f"{source}.yml")


@contextmanager
def alone(house: House, source: str, *, shared: bool = False) -> Iterator[None]:
    """One harvest of a source at a time; the lock goes with the process. `shared`: beside others who share it."""
    folder = house.var / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{source}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
