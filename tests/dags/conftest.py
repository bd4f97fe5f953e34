"""The project's DAGs, read once per test process the way Airflow reads them, without a database.

Strategy: house rules are tested on every DAG there is, so a new DAG is held to them without a new test. The pieces of
`dagtools` are tested with plain stand-ins for the context; what only a running Airflow shows stands in `tests/e2e`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before the first import of Airflow, which makes folders there.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")

ROOT = Path(__file__).resolve().parents[2]
DISTRICT = "370112"


@pytest.fixture(scope="session")
def dags() -> Iterator[dict[str, Any]]:
    """Every DAG of the project, by id."""
    from chengxin.dagtools import catalogue

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHENGXIN_DISTRICT", DISTRICT)
        for name in ("CHENGXIN_SCHEDULES", "CHENGXIN_AS_OF", "CHENGXIN_MODE", "CHENGXIN_INCLUDE", "CHENGXIN_ROOT"):
            patch.delenv(name, raising=False)
        yield catalogue.load(ROOT / "dags")
