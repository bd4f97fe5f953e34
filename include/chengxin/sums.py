"""The sum of each harvest, in the lake: harvested = published + unchanged + rejected + ignored, in source records.

An auditor who has the lake and nothing else sees what became of every record of every run, also of a run that found
nothing new. The row belongs to the harvest's commit: its file is written before the point of no return and taken in
after the facts, so that a row means that all its facts are there; a harvest that is killed between them is ended by
the next run. `faults` compares rows and ledger.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import func, select

from chengxin.contracts import Contract
from chengxin.errors import SumError
from chengxin.lake import Lake, arrow_schema, whole
from chengxin.ledger.models import Commit, Harvest, RawObject
from chengxin.settings import House
from chengxin.tables import HARVEST_SUM

NAME = HARVEST_SUM.name
COUNTS = {name: name for name in ("harvested", "published", "unchanged", "rejected", "ignored")} | {
    "tombstones": "removed"
}
"""Column of the lake → count of the ledger."""


def write(
    lake: Lake,
    contract: Contract,
    harvest_id: int,
    as_of: date,
    seq: int,
    counts: Mapping[str, int],
    found: Mapping[str, Any],
    raw: Sequence[RawObject],
) -> Path:
    """Writes the row of a harvest, as a file that its commit takes in.

    Args:
        lake: the lake.
        contract: the source's contract.
        harvest_id: the harvest.
        as_of: the day it speaks for.
        seq: its commit.
        counts: as the ledger keeps them, in source records; `removed` counts tombstones.
        found: `rejected` and `ignored` (reason → records), `facts` (table → what `publish.Change` counts).
        raw: the raw files that were read.

    Returns:
        The file.

    Raises:
        SumError: the reasons do not add up to their counts.
    """
    for part in ("rejected", "ignored"):
        if sum(found[part].values()) != counts[part]:
            raise SumError(
                f"{counts[part]} records {part}, {sum(found[part].values())} with a reason",
                where=f"{contract.name}, harvest {harvest_id}",
                remedy="a defect of ours: nothing was published; report it with the harvest's id",
            )
    facts = [change for name, change in found["facts"].items() if name in contract.tables]
    content = {
        "contract_sha256": contract.sha256,
        **{column: counts[count] for column, count in COUNTS.items()},
        **{f"{part}_rows": sum(change[part] for change in facts) for part in ("new", "changed", "restored")},
        **{f"{part}_by": _json(found[part]) for part in ("rejected", "ignored")},
        "raw_files": len(raw),
        "raw_bytes": sum(one.size for one in raw),
        "raw_digest": raw_digest(one.sha256 for one in raw),
    }
    row = {
        "harvest_id": harvest_id,
        **content,
        "natural_key": as_of.isoformat(),
        "observed_on": as_of,
        "seq": seq,
        "source": contract.name,
        "row_hash": hashlib.sha256(_json(content).encode()).hexdigest()[:32],
        "removed": False,
    }
    file = lake.data_file(NAME, seq)
    with whole(file) as half:
        pq.write_table(pa.Table.from_pylist([row], schema=arrow_schema(HARVEST_SUM)), half)
    return file


def raw_digest(hashes: Iterable[str]) -> str:
    """One hash for several raw files, whatever the order in which they came (parts are fetched side by side)."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(hashes)).encode()).hexdigest()


def faults(house: House) -> list[str]:
    """Where the lake's sums do not add up, or are not the ledger's, in words.

    Harvests under way are left aside, and those of before the lake held sums.
    """
    with house.ledger.begin() as session:
        upto = session.scalar(select(func.max(Commit.seq))) or 0
        waiting = set(session.scalars(select(Commit.seq).where(Commit.closed_at.is_(None))))
        published = session.scalars(select(Harvest).where(Harvest.state == "published", Harvest.seq.is_not(None)))
        ledger = {one.id: one for one in published if NAME in one.detail.get("files", {})}
        session.expunge_all()
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in house.lake.rows(NAME):
        # What is newer than the look at the ledger is not known to it yet.
        if row["seq"] <= upto and row["seq"] not in waiting:
            rows[row["harvest_id"]].append(row)
    found = []
    for number in sorted(rows.keys() | ledger.keys()):
        said = f"harvest {number}"
        if number not in ledger:
            found.append(f"{said} has a sum in the lake, and was not published")
        elif len(rows[number]) != 1:
            found.append(f"{said} of {ledger[number].source} has {len(rows[number])} sums in the lake")
        else:
            found += [
                f"{said} of {ledger[number].source}: {what}" for what in _differences(rows[number][0], ledger[number])
            ]
    return found


def _differences(row: Mapping[str, Any], harvest: Harvest) -> list[str]:
    told = Counter({name: row[name] for name in ("published", "unchanged", "rejected", "ignored")})
    found = []
    if row["harvested"] != told.total():
        found.append(f"{row['harvested']} records harvested, {told.total()} accounted for in the lake")
    ours: dict[str, Any] = {column: getattr(harvest, count) for column, count in COUNTS.items()}
    ours |= {"source": harvest.source, "observed_on": harvest.as_of, "contract_sha256": harvest.contract_sha256}
    found += [
        f"{column} is {row[column]} in the lake and {value} in the ledger"
        for column, value in ours.items()
        if row[column] != value
    ]
    return found


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
