"""A task lets pages go first; whoever is none keeps its place."""

from __future__ import annotations

import os
import subprocess
import sys

from chengxin.dagtools.house import PATIENCE

PROGRAM = """
import os
from airflow.sdk.execution_time.context import set_current_context
from chengxin.dagtools.house import yield_to_pages
yield_to_pages()
before = os.getpriority(os.PRIO_PROCESS, 0)
with set_current_context({"dag": None}):
    yield_to_pages()
    yield_to_pages()
print(before, os.getpriority(os.PRIO_PROCESS, 0))
"""


def test_a_task_yields_to_pages() -> None:
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True)
    before, after = map(int, done.stdout.split())
    assert before == mine
    assert after == max(mine, PATIENCE)
