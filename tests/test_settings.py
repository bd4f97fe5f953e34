"""The house that the environment describes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chengxin.connections import Connection
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


SEVERAL = "370112, 990101"


def _told(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"CHENGXIN_ROOT": str(tmp_path), "CHENGXIN_DISTRICT": SEVERAL, **more}


def test_each_of_several_districts_has_a_house_of_its_own(tmp_path: Path) -> None:
    told = _told(tmp_path, CHENGXIN_LEDGER_URL="postgresql://db/chengxin_{district}", CHENGXIN_MODE="production")
    told |= {"CHENGXIN_MODE_990101": "rehearsal", "CHENGXIN_ANSWERS_URL": "https://credit.example/answers/{district}"}
    one, other = (House.from_environment(told, district=code) for code in ("370112", "990101"))
    assert (one.var, other.var) == (tmp_path / "var/370112", tmp_path / "var/990101")
    assert (one.ledger_url, other.ledger_url) == ("postgresql://db/chengxin_370112", "postgresql://db/chengxin_990101")
    assert (one.mode, other.mode) == ("production", "rehearsal")
    assert other.answers_url.endswith("/990101")
    assert one.among_others
    assert not House.from_environment(told | {"CHENGXIN_DISTRICT": "370112"}).among_others
    for house in (one, other):
        house.lake.table("agency")
    assert {path.name for path in (tmp_path / "var").iterdir()} == {"370112", "990101"}


@pytest.mark.parametrize("asked", ["", "370103"])
def test_one_of_several_districts_must_be_named(tmp_path: Path, asked: str) -> None:
    with pytest.raises(ConfigError, match=r"370112, 990101(.|\n)*--district"):
        House.from_environment(_told(tmp_path), district=asked)


@pytest.mark.parametrize("text", ["370112,jinan", "370112,990101,370112"])
def test_codes_are_six_digits_each_once(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="each once"):
        House.from_environment(_told(tmp_path, CHENGXIN_DISTRICT=text), district="370112")


@pytest.mark.parametrize("name", ["LEDGER", "DESK", "CATALOG", "ANSWERS"])
def test_what_two_districts_would_share_is_refused(tmp_path: Path, name: str) -> None:
    variable = f"CHENGXIN_{name}_URL"
    told = _told(tmp_path, **{variable: "postgresql://user:secret@db/chengxin"})
    with pytest.raises(ConfigError, match=r"write \{district\}") as refused:
        House.from_environment(told, district="990101")
    assert "secret" not in str(refused.value)
    House.from_environment(told | {f"{variable}_990101": "sqlite:///other.db"}, district="990101")


def test_no_house_lies_within_another(tmp_path: Path) -> None:
    told = _told(tmp_path, CHENGXIN_VAR=str(tmp_path / "old"), CHENGXIN_VAR_370112=str(tmp_path / "old"))
    with pytest.raises(ConfigError, match="outside of the other's"):
        House.from_environment(told, district="370112")


def test_a_house_that_there_is_is_not_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "include/districts").mkdir(parents=True)
    alone = _told(tmp_path, CHENGXIN_DISTRICT="370112")
    House.from_environment(alone).lake.table("agency")
    with pytest.raises(ConfigError, match="CHENGXIN_VAR_<code>"):
        House.from_environment(_told(tmp_path), district="990101")
    moved = _told(tmp_path, CHENGXIN_VAR=str(tmp_path / "new"), CHENGXIN_VAR_370112=str(tmp_path / "var"))
    assert House.from_environment(moved, district="370112").var == House.from_environment(alone).var
    House.from_environment(moved, district="990101").lake.table("agency")
    with pytest.raises(ConfigError, match="--district 990101"):
        House.from_environment({**moved, "CHENGXIN_DISTRICT": "990101"})


def test_a_district_may_have_connections_of_its_own(tmp_path: Path) -> None:
    _districts(tmp_path, "990101")
    text = (Path(__file__).parent / "districts/include/districts/990101.yml").read_text("utf-8")
    file = tmp_path / "include/districts/990101.yml"
    file.write_text(f"{text}\nconnections: {{sharing_portal: portal_jia}}\n", "utf-8")
    house = House.from_environment({"CHENGXIN_ROOT": str(tmp_path)}, connections=lambda name: Connection(name, "http"))
    assert house.connections("sharing_portal").conn_id == "portal_jia"
    assert house.connections("front_db").conn_id == "front_db"
    assert house.connections("chengxin_bounces").conn_id == "chengxin_bounces"
    told = {"CHENGXIN_ROOT": str(tmp_path), "CHENGXIN_DISTRICT": SEVERAL}
    among = House.from_environment(told, district="990101", connections=lambda name: Connection(name, "imap"))
    assert among.connections("chengxin_bounces").conn_id == "chengxin_bounces_990101"
    file.write_text(f"{text}\nconnections: {{sharing_portal: portal jia}}\n", "utf-8")
    with pytest.raises(ConfigError, match="connections"):
        house.connections("front_db")
