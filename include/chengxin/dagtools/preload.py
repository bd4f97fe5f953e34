"""What every task imports, imported once: a task is a fork of its executor's worker processes.

A task's own process would pay for pandas, Great Expectations, PyIceberg, ibis anew each time: some four seconds of a
processor, for each source and day. Under the LocalExecutor the scheduler imports them before it forks its workers (a
listener, `on_starting`), under Celery each worker does (`chengxin.dagtools.celery_options`), and their children share
the pages. Third-party modules only: a change of this library takes effect with the next task, as before.

Nothing that runs threads of its own may stand here: a fork takes only one along. The libraries for linear algebra do
(they end theirs before a fork, and start anew), Arrow's allocator does (it likewise), and Arrow's, DuckDB's and gRPC's
pools start at first use, which is in the task.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from typing import Any

from airflow.listeners import hookimpl

MODULES = (
    "pandas", "pyarrow.parquet", "pyarrow.compute", "pyarrow.csv", "duckdb", "ibis", "ibis.backends.duckdb",
    "pyiceberg.catalog.sql", "great_expectations", "great_expectations.data_context", "openpyxl", "sqlalchemy.orm",
    "alembic.command", "ruamel.yaml", "requests", "airflow.sdk", "airflow.sdk.execution_time.task_runner",
)  # fmt: skip

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:
    """Called by Airflow when a component starts; only the scheduler's start counts, before its executor's.

    Args:
        component: a job whose kind Airflow has not set yet at this point (3.3.2), so the command line must tell.
    """
    from airflow.configuration import conf
    from airflow.jobs.job import Job

    if isinstance(component, Job) and "scheduler" in sys.argv and conf.get("core", "executor") == "LocalExecutor":
        load()


def load() -> None:
    """Imports what tasks need. A module that cannot be imported is the task's affair, which will say so."""
    # Read while it is imported: no usage report of ours leaves the house.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    # Great Expectations imports PySpark wherever that is installed; see `chengxin.quality.gate`.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.warning("not preloaded: %s: %s", name, error)
