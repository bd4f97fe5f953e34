"""What DAG files need from the library, and the only part of it that imports Airflow.

A DAG file is schedule, wiring and docstring; each task is one call into the library. From here come the day a run
speaks for (`as_of`), what became of its tasks (`failed_tasks`), the house with Airflow's own connections (`house`),
what every DAG has in common (`HOUSE`, `schedule`, assets) and the factory of the harvest DAGs (`harvest_dags`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chengxin.dagtools.common import ADVICE, HOUSE, approval, fact_assets, lake_asset, schedule
from chengxin.dagtools.days import as_of
from chengxin.dagtools.house import house
from chengxin.dagtools.runs import failed_tasks

if TYPE_CHECKING:
    from chengxin.dagtools.harvests import harvest_dags

__all__ = [
    "ADVICE", "HOUSE", "approval", "as_of", "fact_assets", "failed_tasks", "harvest_dags", "house", "lake_asset",
    "schedule",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # Only one DAG file needs the contracts, and every file is read again and again.
    if name == "harvest_dags":
        from chengxin.dagtools.harvests import harvest_dags

        return harvest_dags
    raise AttributeError(name)
