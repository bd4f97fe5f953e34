"""A whole day through Airflow: all runs succeed, sums add up, mails go out once, failures stay where they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chengxin import districts
from chengxin.sandbox.processes import PROC, members
from chengxin.tables import TABLES

from . import by_hand
from .days import AS_OF, DISTRICT, ROOT, SEED, SUBJECTS, Played

pytestmark = pytest.mark.services

CODE = re.compile(r"\b9[1-3]\d{6}[0-9A-Z]{10}\b")


def test_every_run_succeeded(played: Played) -> None:
    assert played.day.failures == []
    runs = played.day.airflow.api.runs()
    district = districts.load(ROOT / f"include/districts/{DISTRICT}.yml")
    expected = {f"harvest__{source}" for source in district.sources} | {"check_matters", "warn_departments"}
    assert {run.dag_id for run in runs if run.state == "success"} >= expected


def test_warnings_were_started_by_the_asset_event(played: Played) -> None:
    assert played.day.airflow.api.runs("warn_departments")[-1].run_type == "asset_triggered"


def test_summary_adds_up(played: Played, tmp_path: Path) -> None:
    assert played.summary.faults() == []
    played.summary.write(tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert set(summary) == {"as_of", "sources", "advice", "mails", "seconds"}
    assert summary["as_of"] == "2026-06-15"
    for source, counts in summary["sources"].items():
        assert set(counts) == {"harvested", "published", "unchanged", "rejected", "ignored"}
        assert counts["harvested"] == sum(counts.values()) - counts["harvested"] > 0, source
    assert set(summary["mails"]) == {"planned", "sent", "refused", "unknown"}
    assert sum(summary["advice"].values()) > 0
    assert {"harvest", "check", "warn"} <= set(summary["seconds"])


def test_dirty_rows_were_rejected_or_ignored_not_lost(played: Played) -> None:
    assert sum(counts["rejected"] for counts in played.summary.sources.values()) > 0
    assert sum(counts["ignored"] for counts in played.summary.sources.values()) > 0


def test_mails_arrived_as_the_ledger_says(played: Played) -> None:
    assert len(played.mails) == played.summary.mails["sent"] > 0
    district = districts.load(ROOT / f"include/districts/{DISTRICT}.yml")
    boxes = {box for unit in district.departments.values() for box in (unit.mailbox, unit.head) if box}
    assert {mail["Delivered-To"] for mail in played.mails} <= boxes | set(district.mail.operators)
    assert len({mail["Message-ID"] for mail in played.mails}) == len(played.mails)


def test_the_stages_by_hand_give_the_same_lake_and_mails(played: Played, tmp_path: Path) -> None:
    alone = by_hand.play(tmp_path, subjects=SUBJECTS, seed=SEED)
    for table in TABLES:
        assert by_hand.canonical(played.day.house, table) == by_hand.canonical(alone.house, table), table
    assert by_hand.letters(played.mails) == by_hand.letters(alone.mails)


def test_xcom_carries_ids_and_counts_only(played: Played) -> None:
    api = played.day.airflow.api
    entries = 0
    for run in api.runs():
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        for task, index in api.task_states(run.dag_id, run.run_id):
            found = api.call("GET", f"{path}/{task}/xcomEntries", map_index=index, limit=100)["xcom_entries"]
            for entry in found:
                value = api.call("GET", f"{path}/{task}/xcomEntries/{entry['key']}", map_index=index)["value"]
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                assert len(text) < 10_000, (run.dag_id, task)
                assert not CODE.search(text), (run.dag_id, task)
                entries += 1
    assert entries > 20


def test_the_scheduler_imports_once_what_every_task_needs(played: Played) -> None:
    children = played.day.airflow.group.children
    mapped = {
        name: (PROC / str(child.pid) / "maps").read_text() for name, child in children.items() if child.poll() is None
    }
    assert "duckdb" in mapped["scheduler"], "its tasks are forks that share it"
    assert "pyspark" not in mapped["scheduler"]
    for heavy in ("duckdb", "pyarrow", "pandas"):
        assert heavy not in mapped["dag-processor"], "DAG files and plugins import nothing heavy"


def test_everything_listens_on_loopback_only(played: Played) -> None:
    group = played.day.airflow.group
    inodes = {
        link.split("[")[1].rstrip("]")
        for pid in members([child.pid for child in group.children.values()], group.folder)
        for link in _links(PROC / str(pid) / "fd")
        if link.startswith("socket:[")
    }
    listening = [
        fields[1]
        for table in ("net/tcp", "net/tcp6")
        for fields in (line.split() for line in (PROC / table).read_text().splitlines()[1:])
        if fields[3] == "0A" and fields[9] in inodes
    ]
    assert listening
    assert all(address.startswith("0100007F:") for address in listening)


def test_the_same_day_again_sends_nothing_more(played: Played) -> None:
    again = played.day.run(["credit_records", "matters"])
    assert played.day.failures == []
    assert again.faults() == []
    for source in ("credit_records", "matters"):
        counts, before = again.sources[source], played.summary.sources[source]
        assert counts["published"] == 0, source
        assert counts["harvested"] == before["harvested"], source
        assert counts["unchanged"] == before["published"], source
    assert again.advice == played.summary.advice
    district = districts.load(ROOT / f"include/districts/{DISTRICT}.yml")
    fresh = [mail["Subject"] for mail in played.fresh_mails() if mail["Delivered-To"] not in district.mail.operators]
    assert fresh == []


def test_a_source_that_refuses_fails_alone_and_operators_hear_of_it(played: Played) -> None:
    day = played.day
    before = len(day.sandbox.messages())
    day.sandbox.fail("credit_records", "signature")
    try:
        conf = {"as_of": AS_OF.isoformat()}
        day.follow({"harvest__credit_records": conf, "harvest__blacklists": conf})
    finally:
        day.sandbox.heal()
    assert day.failures == ["harvest__credit_records"]
    newest = {run.dag_id: run.state for run in reversed(day.airflow.api.runs())}
    assert newest["harvest__blacklists"] == "success"

    def told() -> list[Any]:
        return [mail for mail in day.sandbox.messages()[before:] if "运行失败" in mail["Subject"]]

    # The DAG processor calls back when it comes round to it.
    day.airflow.wait("the failure notice", lambda: bool(told()), 60)
    district = districts.load(ROOT / f"include/districts/{DISTRICT}.yml")
    (notice,) = told()
    assert notice["Delivered-To"] in district.mail.operators
    assert "harvest__credit_records" in notice["Subject"]
    assert "401" in notice.get_content() or "signature" in notice.get_content()


def _links(folder: Path) -> list[str]:
    try:
        return [str(link.readlink()) for link in folder.iterdir()]
    except OSError:
        return []
