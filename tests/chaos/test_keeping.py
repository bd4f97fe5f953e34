"""Kill what takes out and puts in order too: retention, erasure, tidying, harvests in parts and with feedback.

Two houses before one folder of files. In one, every stage is killed again and again, and an erasure comes between a
killed harvest and its retry. In the end both lakes say the same, to the row, no less is remembered of what was taken
out, nothing of it is left on disk, and every file has its feedback.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from chengxin import sums, upkeep
from chengxin.ledger.erased import Erased
from chengxin.ledger.models import Commit
from chengxin.settings import House
from chengxin.tables import TABLES
from tests.chaos.test_kills import TRIES, Stage, Worker, canonical
from tests.conftest import ROOT
from tests.dropped import CODES, ENTRIES, MONDAY, TUESDAY, WEDNESDAY, Source, entry

PARTED = (
    ENTRIES.replace("name: entries", "name: parted")
    .replace('"entries_{as_of}.json"', '"parted_{partition}_{as_of}.json"')
    .replace("doc_no]\nnulls", 'doc_no]\npartitions: {values: ["1", "2"]}\nnulls')
)
GONE = CODES[5]


@dataclass
class Keeping:
    """Two houses before one folder."""

    source: Source
    worker: Worker
    shaken: House
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)

    def deliver(self, day: date, why: str) -> None:
        """A whole list, some of it over long ago, one row broken; and another in two parts."""
        rows = [entry(number, why=why, until="2020-01-01" if number < 3 else "") for number in range(12)]
        self.source.deliver(day, [*rows, entry(20, code="123")])
        for part in (1, 2):
            own = [entry(number, why=why, no=f"另{number}号") for number in range(part * 6 - 6, part * 6)]
            self.source.deliver(day, own, f"parted_{part}")

    def both(self, kind: str, name: str, day: date, kills: int) -> None:
        """A stage in both houses; in one it is killed so often before it may end."""
        stage = Stage(kind, name, day)
        calm = self.worker.run(self.source.house, stage)
        told = self.source.drop / f"{name}_{day:%Y%m%d}.json.feedback.csv"
        said = told.read_bytes() if told.exists() else None
        told.unlink(missing_ok=True)
        self.shake(stage, kills, calm["steps"])
        assert self.worker.run(self.shaken, stage)["outcome"] == "done"
        assert (told.read_bytes() if told.exists() else None) == said

    def shake(self, stage: Stage, kills: int, steps: int) -> None:
        """Kills a stage, at steps at which it has something to do; it is not run to its end after the last."""
        for _ in range(kills):
            for _ in range(TRIES):
                answer = self.worker.run(self.shaken, stage, {"step": 1 + int(self.chance.random() * steps)})
                if answer["outcome"] == "killed":
                    self.kills[stage.kind] += 1
                    break
                steps = answer["steps"]

    def live(self, kills: int) -> None:
        """Two days, with an erasure between a kill and its retry."""
        self.deliver(MONDAY, "周一")
        self.both("harvest", "entries", MONDAY, 0)
        self.both("clear", "", TUESDAY, kills)
        self.deliver(TUESDAY, "周二")
        for name in ("entries", "parted"):
            self.shake(Stage("harvest", name, TUESDAY), kills, 3000)
        self.both("erase", GONE, TUESDAY, kills)
        for name in ("entries", "parted"):
            self.both("harvest", name, TUESDAY, 0)
        self.both("tidy", "", TUESDAY, kills)

    def live_on(self, kills: int) -> None:
        """A third day."""
        self.deliver(WEDNESDAY, "周三")
        for name in ("entries", "parted"):
            self.both("harvest", name, WEDNESDAY, kills)
        self.both("clear", "", WEDNESDAY + timedelta(1), kills)
        self.both("tidy", "", WEDNESDAY + timedelta(1), kills)


@pytest.fixture
def keeping(house: House, tmp_path: Path) -> Iterator[Keeping]:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"the kills again: CHAOS_SEED={seed}")
    source = Source(house, tmp_path / "outside")
    source.contract("entries", ENTRIES.replace("format: json", "format: json, feedback: true"))
    source.contract("parted", PARTED)
    shutil.copy(ROOT / "include/retention.yml", source.include)
    drop = {"conn_type": "fs", "extra": {"path": str(source.drop)}}
    shaken = House(root=ROOT, var=tmp_path / "shaken" / "var", include=source.include, district="370112")
    with Worker(tmp_path, source.include, {"AIRFLOW_CONN_DROP": json.dumps(drop)}) as worker:
        yield Keeping(source, worker, shaken, random.Random(seed))


def _compare(keeping: Keeping) -> None:
    calm, shaken = keeping.source.house, keeping.shaken
    for name in ("list_entry", "rejected"):
        assert canonical(shaken, name) == canonical(calm, name), name
    assert len(canonical(calm, "list_entry")) > 20
    assert [sums.faults(house) for house in (calm, shaken)] == [[], []]
    remembered = []
    for house in (calm, shaken):
        with house.ledger.begin() as session:
            assert session.query(Commit).filter(Commit.closed_at.is_(None)).count() == 0
            rows = session.query(Erased.table_name, Erased.reason).all()
            remembered.append(Counter((row.table_name, row.reason) for row in rows))
    # A killed harvest may have come so far that there was one row more to erase.
    assert remembered[0]["list_entry", "request"] == 1 <= remembered[1].pop(("list_entry", "request")) <= 2
    assert remembered[1] == remembered[0] - Counter({("list_entry", "request"): 1})
    assert remembered[0]["list_entry", "withdrawn"] >= 3
    for name in TABLES:
        upkeep.sweep(shaken, name, grace=timedelta(0))
        assert shaken.lake.orphans(name) == [], name
    assert [file for file in sorted(shaken.lake.warehouse.rglob("*.parquet")) if GONE in _words(file)] == []


def _words(file: Path) -> str:
    content: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return json.dumps(content, ensure_ascii=False, default=str)


@pytest.mark.long
def test_a_kill_each_leaves_what_an_undisturbed_house_keeps(keeping: Keeping) -> None:
    keeping.live(1)
    _compare(keeping)
    assert set(keeping.kills) == {"harvest", "clear", "erase", "tidy"}


@pytest.mark.long
def test_many_kills_leave_what_an_undisturbed_house_keeps(keeping: Keeping) -> None:
    keeping.live(8)
    keeping.live_on(10)
    _compare(keeping)
    print(f"kills: {dict(keeping.kills)}")
    assert sum(keeping.kills.values()) >= 75
