"""Several districts in one installation: each has DAGs, assets, pools and tags of its own, and breaks alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset

from chengxin import districts
from chengxin.dagtools import catalogue, harvest_dags
from chengxin.dagtools.common import TAGS
from chengxin.dagtools.homes import Home, Named, homes, named
from chengxin.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = "370112", "990101"
STAGES = ("check_matters", "warn_departments", "supervise", "watch_morning", "watch_sources", "maintain", "replay")
Load = Callable[[], dict[str, Any]]


def sources(include: Path, code: str) -> tuple[str, ...]:
    return districts.load(include / f"districts/{code}.yml").sources


def expected(include: Path, code: str) -> set[str]:
    return {f"{stage}__{code}" for stage in STAGES} | {f"harvest__{code}__{name}" for name in sources(include, code)}


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """An include folder with both districts, which may be broken at will."""
    folder = tmp_path / "include"
    shutil.copytree(ROOT / "include/sources", folder / "sources")
    shutil.copytree(ROOT / "include/districts", folder / "districts")
    shutil.copytree(ROOT / "tests/districts/include", folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def load(include: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Reads the DAG files as an installation of both districts."""
    monkeypatch.setenv("CHENGXIN_DISTRICT", f"{FIRST},{SECOND}")
    monkeypatch.setenv("CHENGXIN_INCLUDE", str(include))
    for name in ("CHENGXIN_SCHEDULES", "CHENGXIN_AS_OF", "CHENGXIN_MODE", "CHENGXIN_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return lambda: catalogue.load(ROOT / "dags")


def assets(dag: Any) -> set[str]:
    found = [asset for task in dag.tasks for asset in (*task.inlets, *task.outlets) if isinstance(asset, Asset)]
    found += getattr(getattr(dag.timetable, "asset_condition", None), "objects", ())
    return {asset.name for asset in found}


def test_every_district_has_every_dag_and_shares_none(load: Load, include: Path, dags: dict[str, Any]) -> None:
    many = load()
    assert set(many) == expected(include, FIRST) | expected(include, SECOND)
    for dag_id, dag in many.items():
        it = named(dag_id)
        code = it.home.district
        alone = dags["__".join(filter(None, (it.kind, it.source)))]
        assert set(dag.tags) == {*alone.tags, f"district:{code}"}, dag_id
        assert set(dag.tags) - {f"district:{code}"} <= TAGS, dag_id
        assert {task.pool for task in dag.tasks} == {f"district__{code}"}, dag_id
        assert assets(dag) == {name.replace("lake://", f"lake://{code}/") for name in assets(alone)}, dag_id
        # A page names the other DAGs as they are called.
        assert dag.doc_md == alone.doc_md.replace("`check_matters`", f"`check_matters__{code}`"), dag_id
        assert "warn_departments" not in dag.doc_md
        # Everything else is as in an installation of one.
        for name in ("description", "max_active_runs", "on_failure_callback"):
            assert getattr(dag, name) == getattr(alone, name), dag_id
        assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
            task.task_id: task.upstream_task_ids for task in alone.tasks
        }, dag_id
        assert {task.pool for task in alone.tasks} == {"default_pool"}


def test_an_installation_of_one_names_no_district(
    include: Path, monkeypatch: pytest.MonkeyPatch, dags: dict[str, Any]
) -> None:
    monkeypatch.setenv("CHENGXIN_DISTRICT", FIRST)
    assert homes() == (Home(),)
    assert not any(FIRST in text for dag in dags.values() for text in (dag.dag_id, *dag.tags, *assets(dag)))


def test_mails_are_started_by_the_own_check(load: Load) -> None:
    many = load()
    for code in (FIRST, SECOND):
        (event,) = many[f"warn_departments__{code}"].timetable.asset_condition.objects
        assert event.name == f"lake://{code}/advice"
        assert event in many[f"check_matters__{code}"].get_task("check").outlets


def test_a_broken_district_keeps_its_dags_and_harms_no_other(load: Load, include: Path) -> None:
    before = load()
    file = include / f"districts/{SECOND}.yml"
    file.write_text(file.read_text("utf-8").replace("default_desk: office", "default_desk: nobody"), "utf-8")
    after = load()
    assert set(after) == {*before, f"harvest__{SECOND}__district"}
    for dag_id, dag in after.items():
        it = named(dag_id)
        tasks = [task.task_id for task in dag.tasks]
        assert (tasks == ["contract"]) is (it.kind == "harvest" and it.home.district == SECOND), dag_id
    for name in ("district", "matters"):
        dag = after[f"harvest__{SECOND}__{name}"]
        assert "nobody" in (dag.doc_md or "")
        with pytest.raises(ConfigError, match="nobody"):
            dag.get_task("contract").python_callable()
    with pytest.raises(ConfigError, match="nobody"):
        Home(SECOND).house().connections("sharing_portal")
    Home(FIRST).house()


def test_sources_of_a_district_file_that_is_no_yaml_are_made_out(load: Load, include: Path) -> None:
    file = include / f"districts/{FIRST}.yml"
    names = {f"harvest__{FIRST}__{name}" for name in sources(include, FIRST)}
    file.write_text(file.read_text("utf-8").replace("  - consents\n", "  - consents  # [old, news]\n") + "\n}", "utf-8")
    found = {dag_id for dag_id in harvest_dags() if named(dag_id).home.district == FIRST}
    assert found == {*names, f"harvest__{FIRST}__district"}


def test_a_broken_contract_fails_alone_in_each_district_that_has_it(load: Load, include: Path) -> None:
    file = include / "sources/matters.yml"
    file.write_text(file.read_text("utf-8") + "\nshedule: daily\n", "utf-8")
    broken = [dag_id for dag_id, dag in load().items() if [task.task_id for task in dag.tasks] == ["contract"]]
    assert sorted(broken) == [f"harvest__{FIRST}__matters", f"harvest__{SECOND}__matters"]


def test_a_contracts_own_pool_is_each_districts_own(load: Load, include: Path) -> None:
    file = include / "sources/subject_registry.yml"
    text = file.read_text("utf-8").replace("  auth:", '  params: {jd: "{partition}"}\n  auth:')
    file.write_text(text + 'partitions: {values: ["1", "2"], pool: portal}\n', "utf-8")
    many = harvest_dags()
    for code in (FIRST, SECOND):
        dag = many[f"harvest__{code}__subject_registry"]
        pools = {task.task_id: task.pool for task in dag.tasks}
        own = f"district__{code}"
        assert pools == {"begin": own, "fetch": f"portal__{code}", "publish": own}


@pytest.mark.parametrize("home", [Home(), Home(FIRST)])
def test_an_id_can_be_taken_apart_again(home: Home) -> None:
    for kind, source in (("check_matters", ""), ("harvest", "matters"), ("harvest", "a__b"), ("harvest", "x_370112")):
        assert named(home.dag_id(kind, source)) == Named(kind, home, source)
