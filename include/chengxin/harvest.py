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
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select

from chengxin import connectors, contracts, harvest_ledger, suppression
from chengxin.connectors import earlier, feedback, files_feedback
from chengxin.contracts import Contract
from chengxin.errors import HarvestError, SumError
from chengxin.judging import Early, Judging
from chengxin.ledger.models import Commit, Harvest, HarvestPart, RawObject
from chengxin.settings import House


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
        harvest = harvest_ledger.open_harvest(session, house, contract, as_of)
        harvest_id, state = harvest.id, harvest.state
    if state != "fetched":
        if early:
            early.begin(harvest_id)
        begun = time.perf_counter()
        try:
            connectors.fetch(house, contract, as_of, harvest_id, onlooker=early)
        except Exception as error:
            harvest_ledger.fail(house, harvest_id, error)
            raise
        with house.ledger.begin() as session:
            harvest_ledger.fetched(session, house, harvest_id, time.perf_counter() - begun)
    return harvest_id


def publish(house: House, harvest_id: int) -> dict[str, Any]:
    """Publishes a fetched harvest; a published one is left as it is.

    Returns:
        `harvest_id, source, as_of, state, seq` (null when no fact had changed) and the counts of
        `harvest_ledger.COUNTS`: source records, except `removed`, which counts tombstones.

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
        others = [] if planned else harvest_ledger.planned(session, contract.name)
    # A killed harvest of another day must be in the lake before this one is compared with the lake.
    for other in others:
        _commit(house, other)
        feedback.tell(house, contract, other)
    if not planned:
        try:
            _prepare(house, contract, harvest_id, early)
        except Exception as error:
            harvest_ledger.fail(house, harvest_id, error)
            feedback.tell(house, contract, harvest_id)
            raise
    if not published:
        _commit(house, harvest_id)
    # Also of one that was killed after its commit: each way of telling replaces what it has told.
    if not (published and told):
        feedback.tell(house, contract, harvest_id)
    with house.ledger.begin() as session:
        return harvest_ledger.outcome(session.get_one(Harvest, harvest_id))


def _prepare(house: House, contract: Contract, harvest_id: int, early: Early | None) -> None:
    """Everything up to the point of no return."""
    from chengxin import late

    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        as_of = harvest.as_of
        raw = list(session.scalars(select(RawObject).where(RawObject.harvest_id == harvest_id).order_by("ordinal")))
        later = harvest_ledger.later(session, contract.name, as_of)
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
                harvest_ledger.note(house, harvest_id, seen, detail | _found(tally))
                raise
            detail["data_docs"] = _docs(judging, closing.result())
        detail |= _found(tally)
        detail["files"] = files
        detail["seconds"] = spent | {stage: round(seconds, 3) for stage, seconds in tally.seconds.items()}
        quiet = earlier.quiet(house, contract, as_of, cursors, counts["published"])
        harvest_ledger.note(house, harvest_id, counts, detail, quiet)
    finally:
        judging.end()


def _stand(house: House, contract: Contract, harvest_id: int, as_of: date, quiet: bool) -> None:
    """Ends a harvest that found what the last one had read already: nothing is read, every row stands."""
    from chengxin import sums

    counts = dict.fromkeys(harvest_ledger.COUNTS, 0)
    found: dict[str, Any] = {"rejected": {}, "ignored": {}, "facts": {}}
    seq = harvest_ledger.open_commit(house, harvest_id)
    file = sums.write(house.lake, contract, harvest_id, as_of, seq, counts, found, [])
    harvest_ledger.note(house, harvest_id, counts, {**found, "stands": True, "files": {sums.NAME: file.name}}, quiet)


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
        waited = bool(publication.doubts.nameless) and harvest_ledger.waited(house, contract.name, as_of)
        changes = publication.compare(waited)
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
    seq = harvest_ledger.open_commit(house, harvest_id)
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
