"""What has had its time leaves by itself: `include/retention.yml` says when, a contract's `keep` for raw files.

A record whose repair is complete, whose document was withdrawn or whose display has ended is not shown, shared or used
from that day on (`chengxin.linking`). A little later its content leaves the lake, and the ledger keeps the hashes: a
replay of a day on which it counted names it, and a harvest that brings it again leaves it aside.
"""

from __future__ import annotations

import os
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
from sqlalchemy import delete, func, select

from chengxin import archive, contracts, documents, engine, forgetting, yamlfile
from chengxin.desk import refresh as desk
from chengxin.engine import Connection
from chengxin.erasure import alone, compact_ledger
from chengxin.forgetting import SEPARATOR, past
from chengxin.ledger import acts
from chengxin.ledger.messages import Message, MessageBody
from chengxin.ledger.models import Harvest, RawObject
from chengxin.settings import House
from chengxin.yamlfile import Duration, Strict


class Terms(Strict):
    """How long things stay after they ceased to count, or after they were made."""

    credit_record: Duration
    consent: Duration
    list_entry: Duration
    rejected: Duration
    message_bodies: Duration
    data_docs: Duration
    logs: Duration


def run(house: House, as_of: date) -> dict[str, Any]:
    """Clears what has had its time, on record; harvests wait while the lake is gone through.

    Args:
        house: where everything is.
        as_of: the day.

    Returns:
        `facts` (reason → rows), `rejected` (rows), `raw_files`, `message_bodies`, `data_docs`, `logs` (files).

    Raises:
        ConfigError: `include/retention.yml` cannot be used.
    """
    terms = yamlfile.load(house.include_dir / "retention.yml", Terms)
    connection = house.engine()
    with alone(house):
        done: dict[str, Any] = {
            "facts": facts(house, connection, as_of, terms),
            "rejected": _rejected(house, connection, as_of - terms.rejected),
            "raw_files": _raw_files(house),
        }
    done |= {
        "message_bodies": _message_bodies(house, terms.message_bodies),
        "data_docs": _files([house.var / "data_docs"], terms.data_docs),
        "logs": _files(log_folders(house), terms.logs),
    }
    if done["facts"] or done["rejected"]:
        desk.forget(house)
    if any(done.values()):
        with house.ledger.begin() as session:
            acts.record(session, house.clock(), "maintain", "retention", as_of.isoformat(), done)
    if done["message_bodies"]:
        compact_ledger(house)
    return done


def facts(house: House, connection: Connection, as_of: date, terms: Terms) -> dict[str, int]:
    """Takes repaired, withdrawn and expired facts out of the lake, with the findings that rest on them.

    Returns:
        Reason → rows that went.
    """
    counts: dict[str, int] = {}
    for name, ended in _ENDED.items():
        state = engine.newest(connection, house.lake, name, as_of)
        cut = as_of - getattr(terms, name)
        for reason, (column, last) in ended.items():
            over = state.filter(past(state, column, cut, last=last).fill_null(False), ~state.removed)
            keys = over.select("source", "natural_key")
            if name == "credit_record":
                keys = keys.union(_same_documents(engine.observations(connection, house.lake, name), over))
            keys = engine.keep(connection, f"over_{name}", keys.distinct())
            if not keys.count().to_pyarrow().as_py():
                continue
            for table in ("finding", name):
                pick = _resting_on(name, keys) if table == "finding" else _of(keys)
                rows = forgetting.forget(house, connection, table, pick, reason)["rows"]
                counts[reason] = counts.get(reason, 0) + rows
    return counts


_ENDED: dict[str, dict[str, tuple[str, bool]]] = {
    "credit_record": {
        "repaired": ("repaired_on", False),
        "withdrawn": ("withdrawn_on", False),
        "expired": ("expires_on", True),
    },
    "consent": {"withdrawn": ("withdrawn_on", False), "expired": ("expires_on", True)},
    "list_entry": {"withdrawn": ("removed_on", False), "expired": ("expires_on", True)},
}
"""Table → reason → the date that ends it, and whether that date is the last day that counts."""


def _same_documents(seen: ibis.Table, over: ibis.Table) -> ibis.Table:
    """The keys under which any source tells of the same documents: what is over in one is over in all."""

    def document(rows: ibis.Table) -> ibis.Value:
        return documents.alike(rows.record_no).coalesce(rows.natural_key)

    ended = over.select("uscc", document=document(over)).distinct()
    return seen.mutate(document=document(seen)).semi_join(ended, ["uscc", "document"]).select("source", "natural_key")


def _of(keys: ibis.Table) -> forgetting.Pick:
    known = keys.select(key=keys.source.concat(SEPARATOR, keys.natural_key))
    return lambda rows: rows.source.concat(SEPARATOR, rows.natural_key).isin(known.key)


def _resting_on(name: str, keys: ibis.Table) -> forgetting.Pick:
    known = keys.select(key=keys.source.concat(SEPARATOR, keys.natural_key))

    def pick(rows: ibis.Table) -> ibis.Value:
        evidence = rows.evidence_source.concat(SEPARATOR, rows.evidence_key)
        return (rows.evidence_table == name).fill_null(False) & evidence.isin(known.key).fill_null(False)

    return pick


def _rejected(house: House, connection: Connection, before: date) -> int:
    """A row that is still broken is rejected again by the next harvest."""
    return forgetting.forget(
        house, connection, "rejected", lambda rows: rows.observed_on < ibis.literal(before), "expired", keep_note=False
    )["rows"]


def _raw_files(house: House) -> int:
    """Raw files past their contract's `keep`; a file that came again since stays."""
    good, _ = contracts.load_all(house.include_dir / "sources")
    number = 0
    with house.ledger.begin() as session:
        old = [
            (name, sha256)
            for name, contract in good.items()
            for sha256 in session.scalars(
                select(RawObject.sha256)
                .join(Harvest, Harvest.id == RawObject.harvest_id)
                .where(Harvest.source == name)
                .group_by(RawObject.sha256)
                .having(func.max(RawObject.fetched_at) < house.clock() - contract.keep)
            )
        ]
    for source, sha256 in old:
        file = archive.path(house, source, sha256)
        if file.exists():
            file.unlink()
            number += 1
    return number


def _message_bodies(house: House, keep: timedelta) -> int:
    settled = select(Message.id).where(
        Message.planned_at < house.clock() - keep, Message.state.not_in(("planned", "sending"))
    )
    with house.ledger.begin() as session:
        bodies = list(
            session.scalars(
                delete(MessageBody).where(MessageBody.message_id.in_(settled)).returning(MessageBody.message_id)
            )
        )
    return len(bodies)


def log_folders(house: House) -> list[Path]:
    """Where logs are: the house's own, and Airflow's."""
    airflow = os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER")
    home = os.environ.get("AIRFLOW_HOME")
    return [house.var / "logs", *([Path(airflow)] if airflow else [Path(home) / "logs"] if home else [])]


def _files(folders: list[Path], keep: timedelta) -> int:
    # Files have the operating system's time, whatever day the house speaks for.
    before, number = time.time() - keep.total_seconds(), 0
    for folder in folders:
        for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if file.is_file() and not file.is_symlink() and file.stat().st_mtime < before:
                file.unlink()
                number += 1
    return number
