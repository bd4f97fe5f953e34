"""Every DAG of the project keeps the rules of the house."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from chengxin import contracts, districts
from chengxin.dagtools import catalogue
from chengxin.dagtools.common import TAGS
from chengxin.dagtools.notice import tell_operators

ROOT = Path(__file__).resolve().parents[2]
DISTRICT = districts.load(ROOT / "include/districts/370112.yml")
HEADINGS = ("## What it does", "## Who reads the result", "## Kind", "## How to rerun", "## What not to clear")
HEAVY = ("pandas", "pyarrow", "great_expectations", "pyiceberg", "ibis", "duckdb", "numpy", "openpyxl")


def test_the_dags_are_these(dags: dict[str, Any]) -> None:
    harvests = {f"harvest__{source}" for source in DISTRICT.sources}
    assert set(dags) == harvests | {
        "check_matters", "warn_departments", "supervise", "watch_morning", "watch_sources", "maintain", "replay",
    }  # fmt: skip


def test_documented(dags: dict[str, Any]) -> None:
    for dag_id, dag in dags.items():
        positions = [(dag.doc_md or "").find(heading) for heading in HEADINGS]
        assert positions == sorted(positions), dag_id
        assert -1 not in positions, dag_id
        assert "*now*" in dag.doc_md or "*interval*" in dag.doc_md, dag_id
        assert dag.description, dag_id


def test_tags_are_from_the_closed_list(dags: dict[str, Any]) -> None:
    for dag_id, dag in dags.items():
        assert set(dag.tags) <= TAGS, dag_id
        for family in ("stage:", "kind:"):
            assert sum(tag.startswith(family) for tag in dag.tags) == 1, dag_id


def test_failures_are_told_to_operators_and_nobody_else(dags: dict[str, Any]) -> None:
    for dag_id, dag in dags.items():
        assert dag.on_failure_callback is tell_operators, dag_id
        for task in dag.tasks:
            assert not task.on_failure_callback, task.task_id
            assert not task.email, task.task_id


def test_every_task_is_owned_retried_and_ends(dags: dict[str, Any]) -> None:
    for dag_id, dag in dags.items():
        assert dag.catchup is False, dag_id
        assert dag.max_active_runs == 1, dag_id
        assert dag.dagrun_timeout, dag_id
        for task in dag.tasks:
            assert task.owner not in ("", "airflow"), task.task_id
            assert task.retries >= 1, task.task_id
            assert timedelta(0) < task.execution_timeout <= timedelta(hours=2), task.task_id


def test_schedules_are_in_beijing_time(dags: dict[str, Any]) -> None:
    for dag_id, dag in dags.items():
        if dag_id not in ("warn_departments", "replay"):
            assert str(dag.timetable.timezone) == "Asia/Shanghai", dag_id


def test_harvests_follow_their_contracts(dags: dict[str, Any]) -> None:
    for source in DISTRICT.sources:
        contract, dag = contracts.load(ROOT / f"include/sources/{source}.yml"), dags[f"harvest__{source}"]
        assert dag.timetable.expression == contract.schedule
        assert [task.task_id for task in dag.tasks] == ["harvest"]
        assert {asset.name for asset in dag.get_task("harvest").outlets} == {f"lake://{t}" for t in contract.tables}
        assert {task.owner for task in dag.tasks} == {contract.owner}


def test_check_runs_by_the_clock_and_warns_by_its_event(dags: dict[str, Any]) -> None:
    check, warn = dags["check_matters"], dags["warn_departments"]
    assert check.timetable.expression == "30 6,12,17 * * *"
    assert [asset.name for asset in check.get_task("check").outlets] == ["lake://advice"]
    assert [asset.name for asset in warn.timetable.asset_condition.objects] == ["lake://advice"]
    # The report goes out whatever happened, and hides no failure.
    assert warn.get_task("report").is_teardown
    assert warn.get_task("report").on_failure_fail_dagrun
    assert warn.get_task("send").upstream_task_ids == {"plan", "mass", "approve"}
    # Skipped where nobody has to approve; never sent where somebody had to, and did not.
    assert warn.get_task("mass").downstream_task_ids == {"approve", "send"}
    assert warn.get_task("send").trigger_rule == "none_failed_min_one_success"
    assert warn.get_task("approve").defaults == ["Reject"]


def test_catalogue_is_fresh(dags: dict[str, Any]) -> None:
    assert (ROOT / "docs/DAGS.md").read_text("utf-8") == catalogue.text(dags), "run `make docs`"


def test_parsing_is_light_and_quick() -> None:
    """Airflow reads these files again and again; what a task needs is imported in the task."""
    program = """
import json, pathlib, runpy, sys, time
import airflow.sdk
started = time.monotonic()
for file in sorted(pathlib.Path("dags").glob("*.py")):
    runpy.run_path(str(file))
print(json.dumps({"seconds": time.monotonic() - started, "modules": sorted({m.split(".")[0] for m in sys.modules})}))
"""
    environment = {**os.environ, "CHENGXIN_DISTRICT": DISTRICT.code}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert not set(HEAVY) & set(found["modules"])
    assert found["seconds"] < 5


def test_only_dagtools_imports_airflow() -> None:
    library = ROOT / "include/chengxin"
    guilty = [
        str(file.relative_to(library))
        for file in library.rglob("*.py")
        if file.relative_to(library).parts[0] != "dagtools" and "airflow" in _imported(file)
    ]
    assert not guilty


def test_dag_files_work_in_tasks_only() -> None:
    """At the top of a DAG file only Airflow, the standard library and dagtools are imported."""
    for file in (ROOT / "dags").glob("*.py"):
        tops = [
            node for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        modules = {name for node in tops for name in _names(node)}
        assert modules <= {"airflow", "chengxin.dagtools"}, file.name


def _imported(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return {
        name.split(".")[0] for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for name in _names(node)
    }


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    name = node.module or ""
    return [] if node.level else [name.split(".")[0] if name.startswith("airflow") else name]
