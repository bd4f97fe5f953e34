"""Kill the worker at any instant: what the lake says in the end is what an undisturbed run says, to the row.

Two houses live through the same days before the same sandbox. In one of them every stage (harvest, check, plan, send)
is killed again and again, by SIGKILL, at random steps of the library and at random moments, and started again until it
ends. Then both lakes are compared row by row, the sharing platform's own count of requests with the pages kept, and the
mails that arrived with the ledger.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import select as select_rows

from chengxin import contracts, sums
from chengxin.ledger.messages import Message
from chengxin.ledger.models import Commit, Harvest, RawObject
from chengxin.reads import HttpRead
from chengxin.sandbox.services import Sandbox
from chengxin.settings import House
from chengxin.tables import HARVEST_SUM, TABLES
from tests.conftest import ROOT
from tests.talker import Talker

MONDAY, TUESDAY, WEDNESDAY = date(2026, 6, 15), date(2026, 6, 16), date(2026, 6, 17)
PAGE = 20
"""Records a page or batch: small, so that a fetch has many places to be killed at."""
TRIES = 20
"""Runs for each kill at most: a kill by the clock, or at a step that a shorter run never gets to, strikes nothing."""
RUN_OF_ITS_OWN = {"seq", "evidence_seq", "harvest_id"}
"""Columns that number commits and harvests, which killed runs use up: no part of what was seen or concluded."""


@dataclass(frozen=True)
class Stage:
    """One run of one stage."""

    kind: str
    name: str
    day: date


class Worker(Talker):
    """The process that runs stages, for one house or another."""

    def __init__(self, folder: Path, include: Path, environment: dict[str, str]) -> None:
        settings = {"root": str(ROOT), "include": str(include), **environment}
        super().__init__(str(Path(__file__).with_name("worker.py")), settings=settings, log=folder / "worker.log")

    def run(self, house: House, stage: Stage, kill: dict[str, float] | None = None) -> dict[str, Any]:
        wish = {"stage": stage.kind, "name": stage.name, "day": stage.day.isoformat(), "kill": kill}
        answer: dict[str, Any] = self.ask({**wish, "var": str(house.var)})
        assert answer["outcome"] != "failed", f"{wish}: {answer['error']}"
        return answer


@dataclass
class Chaos:
    """Two houses before one sandbox."""

    sandbox: Sandbox
    worker: Worker
    calm: House
    shaken: House
    chance: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    """Stage, and the state in which kills left a harvest."""
    fetched: Counter[str] = field(default_factory=Counter)
    """Source → pages that the shaken house asked for."""
    mails: dict[str, list[str]] = field(default_factory=lambda: {"calm": [], "shaken": []})

    def live(self, day: date, sources: Sequence[str], kills: Mapping[str, int], departments: int = 100) -> None:
        """A day in both houses; every run of a stage of the shaken one is killed as often as `kills` says.

        For `send` it says how many departments' runs are killed, once each; `departments` bounds who is sent to.
        """
        if self.sandbox.day != day:
            self.sandbox.set_day(day)
        for source in sources:
            self.both(Stage("harvest", source, day), kills["harvest"])
        if "check" not in kills:
            return
        self.both(Stage("check", "", day), kills["check"])
        waiting = self.both(Stage("plan", "", day), kills["plan"])[:departments]
        struck = self.chance.sample(waiting, min(kills["send"], len(waiting)))
        for department in waiting:
            self.both(Stage("send", department, day), int(department in struck))

    def both(self, stage: Stage, kills: int) -> Any:
        calm = self._listening("calm", lambda: self.worker.run(self.calm, stage))
        self._listening("shaken", lambda: self._shake(stage, kills, calm))
        return calm["value"]

    def _shake(self, stage: Stage, kills: int, calm: dict[str, Any]) -> None:
        before, killed, tries, whole = self._asked(stage), 0, 0, calm
        while killed < kills:
            assert tries < TRIES * kills, f"{stage}: {killed} of {kills} kills struck in {tries} tries"
            tries += 1
            answer = self.worker.run(self.shaken, stage, self._moment(whole))
            if answer["outcome"] == "killed":
                killed += 1
                self.struck[f"{stage.kind} {self._state(stage)}".strip()] += 1
            else:
                # It ended before the kill. Run once more it may have much less to do: so long is it from now on.
                whole = answer
        assert self.worker.run(self.shaken, stage)["outcome"] == "done"
        self.kills[stage.kind] += killed
        if stage.kind == "harvest":
            self._nothing_fetched_twice(stage, self._asked(stage) - before, killed)

    def _moment(self, whole: dict[str, Any]) -> dict[str, float]:
        """By the clock, or at any step; at early ones, of the fetch, and late ones, of the commits, more often.

        Args:
            whole: the last run that came to its end.
        """
        late = self.chance.random()
        match self.chance.choice(("clock", "step", "early", "late")):
            case "clock":
                return {"after": late * whole["seconds"]}
            case "early":
                late = late / 4
            case "late":
                late = 0.75 + late / 4
        return {"step": 1 + int(late * whole["steps"])}

    def _state(self, stage: Stage) -> str:
        """Where the kill has left the harvest."""
        if stage.kind != "harvest":
            return ""
        with self.shaken.ledger.begin() as session:
            last = session.scalar(
                select_rows(Harvest)
                .where(Harvest.source == stage.name, Harvest.as_of == stage.day)
                .order_by(Harvest.id.desc())
                .limit(1)
            )
            if last is None:
                return "not begun"
            return "files written" if last.state == "fetched" and "files" in last.detail else last.state

    def _nothing_fetched_twice(self, stage: Stage, asked: int, killed: int) -> None:
        calm, shaken = (_raw(house, stage) for house in (self.calm, self.shaken))
        (undisturbed,) = calm
        for files in shaken:
            # A rerun after the end is a harvest of its own, and whole.
            assert files == undisturbed, stage
        # Each walk of several pages looks at its first once more, each kill costs the page that was under way and a
        # look at the one kept before it.
        looks = len(shaken) if len(undisturbed) > 1 else 0
        assert asked <= len(shaken) * len(undisturbed) + looks + 2 * killed, stage
        self.fetched[stage.name] += asked

    def _asked(self, stage: Stage) -> int:
        if stage.kind != "harvest" or stage.name not in self._paths:
            return 0
        with urllib.request.urlopen(f"{self.sandbox.portal_url}/admin/status", timeout=30) as answer:
            return int(json.load(answer)["requests"].get(self._paths[stage.name], 0))

    @cached_property
    def _paths(self) -> dict[str, str]:
        known, _ = contracts.load_all(self.calm.include_dir / "sources")
        return {name: one.read.path for name, one in known.items() if isinstance(one.read, HttpRead)}

    def _listening(self, who: str, run: Any) -> Any:
        before = len(self.sandbox.messages())
        value = run()
        self.mails[who] += [str(mail["Message-ID"]) for mail in self.sandbox.messages()[before:]]
        return value


def _raw(house: House, stage: Stage) -> list[list[str]]:
    """The raw files of every harvest of a source and day."""
    with house.ledger.begin() as session:
        found = session.scalars(
            select_rows(Harvest.id).where(Harvest.source == stage.name, Harvest.as_of == stage.day).order_by(Harvest.id)
        )
        of = select_rows(RawObject.sha256).order_by(RawObject.ordinal)
        return [list(session.scalars(of.where(RawObject.harvest_id == one))) for one in found.all()]


def canonical(house: House, name: str) -> list[str]:
    """Every observation of a table as text, in an order of its own; what numbers commits is left out."""
    table = house.lake.table(name).scan().to_arrow()
    if name == HARVEST_SUM.name:
        table = _first_runs(table)
    # The hash of a finding covers the number of the commit that holds its evidence.
    hidden = RUN_OF_ITS_OWN | ({"row_hash"} if name == "finding" else set())
    kept = [column for column in sorted(table.column_names) if column not in hidden]
    return sorted(repr(tuple(row.values())) for row in table.select(kept).to_pylist())


def _first_runs(table: pa.Table) -> pa.Table:
    """The sum of each source's first harvest of a day. Killed after its end it is run again, as a harvest with a sum of
    its own, in which nothing is published and the whole is the same.
    """
    rows = table.sort_by("seq").to_pylist()
    first: dict[tuple[str, date], dict[str, Any]] = {}
    for row in rows:
        kept = first.setdefault((row["source"], row["observed_on"]), row)
        if row is not kept:
            assert (row["published"], row["tombstones"], row["harvested"]) == (0, 0, kept["harvested"]), row
            assert row["unchanged"] == kept["published"] + kept["unchanged"], row
            assert row["raw_digest"] == kept["raw_digest"], row
    return pa.Table.from_pylist(list(first.values()), schema=table.schema)


def _include(folder: Path) -> Path:
    """The project's files, with small pages; one source tells only what changed."""
    include = folder / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin", "*.egg-info", "trial"))
    for file in (include / "sources").glob("*.yml"):
        text = re.sub(r"page_size: \d+", f"page_size: {PAGE}", file.read_text("utf-8"))
        text = text.replace("connector: database\n", f"connector: database\n  batch: {PAGE}\n")
        if file.stem == "annual_reports":
            text = text.replace("mode: full", "mode: incremental")
            text = text.replace("  batch:", "  watermark: {heading: ANCHEDATE, overlap: 14d}\n  batch:")
        file.write_text(text, "utf-8")
    return include


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Chaos]:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"the kills again: CHAOS_SEED={seed}")
    with Sandbox(tmp_path / "outside", subjects=200, day=MONDAY) as sandbox:
        include = _include(tmp_path)
        calm, shaken = (
            House(root=ROOT, var=tmp_path / name / "var", include=include, district="370112", mode="sandbox")
            for name in ("calm", "shaken")
        )
        with Worker(tmp_path, include, sandbox.environment()) as worker:
            yield Chaos(sandbox, worker, calm, shaken, random.Random(seed))


def _compare(chaos: Chaos) -> int:
    calm, shaken = chaos.calm, chaos.shaken
    rows = 0
    for name in TABLES:
        undisturbed = canonical(calm, name)
        assert canonical(shaken, name) == undisturbed, name
        rows += len(undisturbed)
    assert [sums.faults(house) for house in (calm, shaken)] == [[], []]
    with shaken.ledger.begin() as session:
        assert session.query(Commit).filter(Commit.closed_at.is_(None), Commit.kind == "harvest").count() == 0
        assert session.query(Harvest).filter(Harvest.state != "published").count() == 0
    _compare_mails(chaos)
    return rows


def _compare_mails(chaos: Chaos) -> None:
    found: list[dict[str, tuple[str, str]]] = []
    for house in (chaos.calm, chaos.shaken):
        with house.ledger.begin() as session:
            found.append({m.key: (m.header_id, m.state) for m in session.scalars(select_rows(Message))})
    calm, shaken = found
    assert set(shaken) == set(calm)
    # Departments that were not sent to still have theirs waiting, in both houses.
    assert {state for _, state in calm.values()} <= {"sent", "planned"}
    for key, (_, state) in shaken.items():
        assert state in ({"sent", "unknown"} if calm[key][1] == "sent" else {"planned"}), key
    arrived = Counter(chaos.mails["shaken"])
    assert max(arrived.values(), default=1) == 1
    assert {header for header, state in shaken.values() if state == "sent"} <= set(arrived)
    assert sorted(chaos.mails["calm"]) == sorted(header for header, state in calm.values() if state == "sent")


def test_ten_kills_leave_the_lake_of_an_undisturbed_day(chaos: Chaos) -> None:
    chaos.live(MONDAY, ["matters"], {"harvest": 0})
    kills = {"harvest": 3, "check": 1, "plan": 1, "send": 2}
    chaos.live(WEDNESDAY, ["matters", "annual_reports"], kills, departments=2)
    assert sum(chaos.kills.values()) == 10
    assert _compare(chaos) > 500


@pytest.mark.long
def test_a_hundred_kills_leave_the_lake_of_undisturbed_days(chaos: Chaos) -> None:
    sources = sorted(file.stem for file in (chaos.calm.include_dir / "sources").glob("*.yml"))
    for day in (MONDAY, WEDNESDAY, TUESDAY):
        chaos.live(day, sources, {"harvest": 3, "check": 4, "plan": 3, "send": 12})
    rows = _compare(chaos)
    print(f"kills: {dict(chaos.kills)}; left: {dict(chaos.struck)}; pages: {dict(+chaos.fetched)}; rows: {rows}")
    assert sum(chaos.kills.values()) >= 100
    assert set(chaos.struck) >= {"harvest fetching", "harvest fetched", "harvest files written", "harvest published"}
    assert set(chaos.kills) == {"harvest", "check", "plan", "send"}
    before = {name: canonical(chaos.shaken, name) for name in TABLES}
    for source in sources:
        # Cleared after its end: fetched in full again, and nothing changes.
        stage = Stage("harvest", source, TUESDAY)
        again = chaos.worker.run(chaos.shaken, stage)["value"]
        assert (again["published"], again["removed"], again["seq"]) == (0, 0, None)
        assert _raw(chaos.shaken, stage)[-1] == _raw(chaos.calm, stage)[0]
    assert {name: canonical(chaos.shaken, name) for name in TABLES} == before
