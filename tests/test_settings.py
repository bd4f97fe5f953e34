"""The house that the environment describes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chengxin.errors import ConfigError
from chengxin.settings import House


def _districts(root: Path, *codes: str) -> None:
    (root / "include/districts").mkdir(parents=True)
    for code in codes:
        (root / f"include/districts/{code}.yml").write_text("")


def test_the_only_district_is_taken(tmp_path: Path) -> None:
    _districts(tmp_path, "370112")
    house = House.from_environment({"CHENGXIN_ROOT": str(tmp_path)})
    assert house.district == "370112"
    assert house.mode == "rehearsal"
    assert house.var == tmp_path / "var"


@pytest.mark.parametrize("codes", [(), ("370112", "370199")])
def test_no_or_several_districts_ask_for_a_choice(tmp_path: Path, codes: tuple[str, ...]) -> None:
    _districts(tmp_path, *codes)
    with pytest.raises(ConfigError, match="CHENGXIN_DISTRICT"):
        House.from_environment({"CHENGXIN_ROOT": str(tmp_path)})


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="production, sandbox, rehearsal"):
        House.from_environment({"CHENGXIN_ROOT": str(tmp_path), "CHENGXIN_DISTRICT": "x", "CHENGXIN_MODE": "live"})


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="duckdb, spark"):
        House.from_environment({"CHENGXIN_ROOT": str(tmp_path), "CHENGXIN_DISTRICT": "x", "CHENGXIN_ENGINE": "pandas"})


def test_spark_that_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    for name in [name for name in sys.modules if name == "chengxin.engine.spark" or name.startswith("pyspark.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("chengxin.engine.spark", raising=False)
    told = {"CHENGXIN_DISTRICT": "x", "CHENGXIN_VAR": str(tmp_path), "CHENGXIN_ENGINE": "spark"}
    with pytest.raises(ConfigError, match=r"chengxin\[spark\]"):
        House.from_environment(told).check_engine()


def test_everything_written_lies_under_var(tmp_path: Path) -> None:
    house = House(root=tmp_path, var=tmp_path / "a b", district="x")
    house.lake.table("agency")
    with house.ledger.begin():
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"a b"}
