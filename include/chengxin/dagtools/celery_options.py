"""Celery's options for `[celery] celery_config_options`: the provider's own, and a worker that imports before it forks.

A Celery worker forks its children, and each child forks a process for every task it runs (Airflow's supervisor, on
Linux): what the worker's first process has imported, all of them have (`chengxin.dagtools.preload`). The module is read
wherever the provider makes its Celery application, in the scheduler and in health checks too; `worker_init` is sent in
a worker alone, before its first child.
"""

from __future__ import annotations

import gc
from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import worker_init

from chengxin.dagtools import preload

OPTIONS = DEFAULT_CELERY_CONFIG


@worker_init.connect
def load(**_signal: Any) -> None:
    """Imports what tasks need, once for all of a worker's children."""
    preload.load()
    # What is here now stays: a collection in a child would touch, and so copy, every page of it.
    gc.freeze()
