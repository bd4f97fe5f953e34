"""The pools that the scheduler's start makes: what DAGs name, and nothing that operators have set."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from airflow.models.base import Base
from airflow.models.pool import Pool
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from chengxin.dagtools import catalogue
from chengxin.dagtools.pools import Size, make, wanted

ROOT = Path(__file__).resolve().parents[2]
SEVERAL = "370112,990101"


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two districts, one contract whose parts name a pool."""
    folder = tmp_path / "include"
    shutil.copytree(ROOT / "include/sources", folder / "sources")
    shutil.copytree(ROOT / "include/districts", folder / "districts")
    shutil.copytree(ROOT / "tests/districts/include", folder, dirs_exist_ok=True)
    file = folder / "sources/subject_registry.yml"
    text = file.read_text("utf-8").replace("  auth:", '  params: {jd: "{partition}"}\n  auth:')
    file.write_text(text + 'partitions: {values: ["1", "2", "3"], at_once: 3, pool: portal}\n', "utf-8")
    monkeypatch.setenv("CHENGXIN_INCLUDE", str(folder))
    monkeypatch.setenv("CHENGXIN_DISTRICT", SEVERAL)
    monkeypatch.delenv("CHENGXIN_DISTRICT_SLOTS", raising=False)
    return folder


def test_every_pool_that_a_dag_names_is_made(include: Path) -> None:
    pools = wanted(16)
    assert set(pools) == {task.pool for dag in catalogue.load(ROOT / "dags").values() for task in dag.tasks}
    assert pools["district__370112"].slots == pools["district__990101"].slots == 8
    assert pools["portal__990101"].slots == 3


def test_a_share_is_never_less_than_two_and_can_be_said(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted(2)["district__370112"].slots == 2
    monkeypatch.setenv("CHENGXIN_DISTRICT_SLOTS", "5")
    assert wanted(2)["district__370112"].slots == 5


def test_one_district_needs_only_what_contracts_name(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHENGXIN_DISTRICT", "370112")
    assert wanted(16) == {"portal": Size(3, "parts of sources that name portal")}


def test_a_district_that_cannot_be_read_has_its_pool_all_the_same(include: Path) -> None:
    (include / "districts/990101.yml").write_text("code: [", "utf-8")
    assert set(wanted(16)) == {"district__370112", "portal__370112", "district__990101"}


def test_what_is_there_stays_as_operators_set_it() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine, [Base.metadata.tables["team"], Base.metadata.tables["slot_pool"]])
    with Session(engine) as session:
        make(session, {"district__370112": Size(4, "")})
        pool = session.scalars(select(Pool)).one()
        pool.slots = 9
        session.flush()
        make(session, {"district__370112": Size(4, ""), "portal__370112": Size(2, "")})
        found = {pool.pool: pool.slots for pool in session.scalars(select(Pool))}
    assert found == {"district__370112": 9, "portal__370112": 2}
