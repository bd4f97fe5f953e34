"""What is imported before a fork: it starts nothing that a fork would lose, and under Celery the worker does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .composefile import service
from .native import free_ports, variables

FORKED = """
import os, signal, threading
from chengxin.dagtools import preload
preload.load()
assert threading.active_count() == 1, threading.enumerate()
pid = os.fork()
if not pid:
    signal.alarm(60)
    try:
        import duckdb, numpy as np, pyarrow as pa
        # Each of them on all of its threads.
        numbers = pa.table({"x": pa.array(np.arange(3_000_000)), "y": pa.array(np.arange(3_000_000) % 7)})
        ones = np.ones((600, 600))
        assert (ones @ ones)[0, 0] == 600
        assert numbers.group_by("y").aggregate([("x", "sum")]).num_rows == 7
        with duckdb.connect() as connection:
            assert connection.execute("SELECT count(DISTINCT y) FROM numbers").fetchone() == (7,)
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def test_a_forked_task_can_use_all_of_it() -> None:
    """A lock of a thread that the fork did not take along would stop the child for good; its alarm would end it."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    # PySpark, where it is installed, is imported by Great Expectations: no word of that in every harvest's log.
    assert "PySpark" not in done.stderr


@pytest.mark.services
def test_a_celery_worker_imports_before_it_forks_and_nobody_else_does(tmp_path: Path) -> None:
    path = service("worker", variables(free_ports(), "370112", 1)).environment["AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS"]
    asked = """
import sys
from airflow.providers.celery.executors.celery_executor_utils import app
from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from airflow.configuration import conf
assert conf.getimport("celery", "celery_config_options") is DEFAULT_CELERY_CONFIG
app.loader.import_default_modules()
assert "great_expectations" not in sys.modules, "imported for nothing"
app.Worker(pool="solo")
assert "great_expectations" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={"AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": str(path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
