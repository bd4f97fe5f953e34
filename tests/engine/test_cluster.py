"""Spark with executors in processes of their own, one of which is killed in the middle of a check.

`local-cluster` starts a master and workers, and each worker a process for its executor. Nothing is shared with them but
the lake's folder and sockets.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from chengxin import check
from chengxin.ledger.models import CheckRun
from chengxin.settings import House
from tests import test_check
from tests.conftest import NOW, ROOT

from .test_spark import alike, as_written

pytestmark = pytest.mark.long

EXECUTOR = b"CoarseGrainedExecutorBackend"


def test_separate_executors_give_the_same_and_one_may_die(tmp_path: Path) -> None:
    house = House(root=ROOT, var=tmp_path / "var", district="370112", clock=lambda: NOW, threads=2)
    test_check.publish(house, test_check.situations())
    cluster = replace(house, checks_on="spark", spark_master="local-cluster[2,1,1024]")
    seen: set[int] = set()
    killed: list[int] = []
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(house, seen, killed, over))
    watch.start()
    try:
        counts = check.run(cluster, test_check.TODAY)
    finally:
        over.set()
        watch.join()
    assert len(killed) == 1
    assert len(seen) >= 3, "two executors, and one in the place of the one that was killed"
    assert os.getpid() not in seen
    assert counts["changed"]["advice"]["new"] > 40
    with house.ledger.begin() as session:
        assert session.query(CheckRun).one().engine.startswith("pyspark")
    as_written(house)
    alike(house, test_check.TODAY)


def _watch(house: House, seen: set[int], killed: list[int], over: threading.Event) -> None:
    """Collects the executors, and kills one when the check has kept its third table."""
    while not over.wait(0.1):
        now = _executors()
        seen |= now
        kept = list((house.var / "spill").glob("spark-*/kept-*/*/_SUCCESS"))
        if now and len(kept) >= 3 and not killed:
            killed.append(min(now))
            os.kill(killed[0], signal.SIGKILL)


def _executors() -> set[int]:
    """Executor processes below this one."""
    parents: dict[int, int] = {}
    named: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if EXECUTOR in (entry / "cmdline").read_bytes():
                    named.add(int(entry.name))
            except OSError:
                continue
    return {pid for pid in named if _descends(pid, parents)}


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != os.getpid():
        pid = parents[pid]
    return pid == os.getpid()


def test_nothing_is_left_running() -> None:
    """Executors end with the session."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    assert active is not None
    active.stop()
    deadline = time.monotonic() + 30
    while _executors() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert _executors() == set()
