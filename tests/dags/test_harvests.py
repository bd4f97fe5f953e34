"""The factory of the harvest DAGs, on good and on broken configuration."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from airflow.sdk.definitions.mappedoperator import MappedOperator

from chengxin.dagtools import harvest_dags
from chengxin.errors import ConfigError
from chengxin.settings import House

ROOT = Path(__file__).resolve().parents[2]
SOURCES = 11


@pytest.fixture
def place(tmp_path: Path) -> House:
    """A house whose configuration may be broken at will."""
    shutil.copytree(ROOT / "include/sources", tmp_path / "include/sources")
    shutil.copytree(ROOT / "include/districts", tmp_path / "include/districts")
    return House(root=ROOT, var=tmp_path / "var", district="370112", include=tmp_path / "include")


def test_a_broken_contract_fails_alone_and_says_why(place: House) -> None:
    file = place.include_dir / "sources/abnormal_list.yml"
    file.write_text(file.read_text("utf-8") + "\nshedule: daily\n", "utf-8")
    dags = harvest_dags(place)
    assert len(dags) == SOURCES
    broken = dags["harvest__abnormal_list"]
    assert [task.task_id for task in broken.tasks] == ["contract"]
    assert "shedule" in (broken.doc_md or "")
    with pytest.raises(ConfigError, match="did you mean 'schedule'"):
        broken.get_task("contract").python_callable()
    assert [task.task_id for task in dags["harvest__matters"].tasks] == ["harvest"]


def test_a_source_in_parts_fans_out_bounded_by_a_pool(place: House) -> None:
    file = place.include_dir / "sources/subject_registry.yml"
    text = file.read_text("utf-8").replace("  auth:", '  params: {jd: "{partition}"}\n  auth:')
    text += 'partitions: {values: ["370112001", "370112002", "370112003"], at_once: 2, pool: portal}\n'
    file.write_text(text, "utf-8")
    dag = harvest_dags(place)["harvest__subject_registry"]
    assert [task.task_id for task in dag.tasks] == ["begin", "fetch", "publish"]
    fetch, publish = dag.get_task("fetch"), dag.get_task("publish")
    assert isinstance(fetch, MappedOperator)
    assert fetch.op_kwargs_expand_input.value == {"part": ["370112001", "370112002", "370112003"]}
    assert (fetch.pool, fetch.max_active_tis_per_dagrun) == ("portal", 2)
    assert fetch.upstream_task_ids == {"begin"}
    assert publish.upstream_task_ids == {"begin", "fetch"}


def test_a_missing_contract_is_seen(place: House) -> None:
    (place.include_dir / "sources/consents.yml").unlink()
    dags = harvest_dags(place)
    assert len(dags) == SOURCES
    with pytest.raises(ConfigError, match="no such file"):
        dags["harvest__consents"].get_task("contract").python_callable()


def test_a_contract_that_is_not_enabled_has_no_dag(place: House) -> None:
    file = place.include_dir / "districts/370112.yml"
    file.write_text(file.read_text("utf-8").replace("  - consents\n", ""), "utf-8")
    assert "harvest__consents" not in harvest_dags(place)


def test_a_broken_district_is_seen(place: House) -> None:
    (place.include_dir / "districts/370112.yml").write_text("code: [", "utf-8")
    dags = harvest_dags(place)
    assert list(dags) == ["harvest__district"]
    with pytest.raises(ConfigError, match="not valid YAML"):
        dags["harvest__district"].get_task("contract").python_callable()
