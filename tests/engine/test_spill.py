"""A check that does not fit into its memory: DuckDB goes on in the spill folder, and the answers are the same."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from chengxin import check, replay
from chengxin.settings import House
from tests.conftest import ROOT

LIMIT = "150MB"
SUBJECTS, APPLICANTS = 60_000, 40_000


@pytest.mark.long
def test_a_check_beyond_its_memory_completes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import province_facts

    facts = province_facts.make(tmp_path, SUBJECTS, APPLICANTS, threads=2, memory_limit="1GB")
    told = {"CHENGXIN_MEMORY_LIMIT": LIMIT, "CHENGXIN_THREADS": "2", "CHENGXIN_VAR": str(tmp_path)}
    house = replace(House.from_environment({**told, "CHENGXIN_DISTRICT": facts.district}), clock=facts.clock)
    spilled: list[int] = []
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(house.var / "spill", spilled, over))
    watch.start()
    try:
        changed = check.run(house, province_facts.DAY)["changed"]
    finally:
        over.set()
        watch.join()
    assert max(spilled) > 20_000_000
    assert changed["advice"]["new"] == APPLICANTS
    assert changed["filing_status"]["new"] == SUBJECTS
    assert replay.run(replace(house, memory_limit=None), province_facts.DAY).identical


def _watch(folder: Path, spilled: list[int], over: threading.Event) -> None:
    """Sizes of what lies in the spill folder, as often as possible."""
    while not over.wait(0.02):
        size = 0
        for file in folder.glob("*"):
            try:
                size += file.stat().st_size
            except OSError:
                continue
        spilled.append(size)
