"""What DAG files need from the library, and the only part of it that imports Airflow.

A DAG file is schedule, wiring and docstring; each task is one call into the library. From here come the day a run
speaks for (`as_of`), what became of its tasks (`failed_tasks`), what every DAG has in common (`HOUSE`, `schedule`), and
the factories: a DAG for each district (`each_district`, with its `Home`), and for each of its sources (`harvest_dags`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chengxin.dagtools.common import HOUSE, approval, schedule
from chengxin.dagtools.days import as_of
from chengxin.dagtools.each import each_district
from chengxin.dagtools.homes import Home
from chengxin.dagtools.runs import failed_tasks

if TYPE_CHECKING:
    from chengxin.dagtools.harvests import harvest_dags

__all__ = ["HOUSE", "Home", "approval", "as_of", "each_district", "failed_tasks", "harvest_dags", "schedule"]


def __getattr__(name: str) -> Any:
    # Only one DAG file needs the contracts, and every file is read again and again.
    if name == "harvest_dags":
        from chengxin.dagtools.harvests import harvest_dags

        return harvest_dags
    raise AttributeError(name)
