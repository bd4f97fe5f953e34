"""What every task imports, imported once: under the LocalExecutor a task is a fork of the scheduler's worker processes.

A task's own process would pay for pandas, Great Expectations, PyIceberg, ibis anew each time: some four seconds of a
processor, twice a source and day. The scheduler imports them before it forks its workers (a listener, `on_starting`),
and its children share the pages. Third-party modules only: a change of this library takes effect with the next task, as
before. Under Celery nothing is preloaded.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
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
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.warning("not preloaded: %s: %s", name, error)
