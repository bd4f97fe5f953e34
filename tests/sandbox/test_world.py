"""The made-up district: the same each time, growing by days, dirty in every way, and nobody's real name."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from chengxin import identity
from chengxin.sandbox import affairs, codes, names
from chengxin.sandbox.population import STREETS
from chengxin.sandbox.shapes import SOURCES
from chengxin.sandbox.state import QUERIES
from chengxin.sandbox.story import Told
from chengxin.sandbox.world import World

DAY = date(2026, 6, 15)
REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def world() -> World:
    return World(1, 2000, DAY)


def _codes(table: pa.Table, column: str) -> pd.DataFrame:
    return identity.check(table[column].drop_null().to_pandas())


def test_the_same_seed_gives_the_same_world(world: World) -> None:
    again, other = World(1, 2000, DAY), World(2, 2000, DAY)
    for name in SOURCES:
        assert world.source(name).equals(again.source(name)), name
    assert not world.source("matters").equals(other.source("matters"))


def test_a_day_does_not_depend_on_the_days_looked_at_before() -> None:
    moved = World(1, 300, date(2026, 3, 2)).at(date(2026, 5, 4)).at(DAY)
    direct = World(1, 300, DAY)
    for name in SOURCES:
        assert moved.source(name).equals(direct.source(name)), name


def test_every_code_of_the_facts_is_valid_and_made_up(world: World) -> None:
    for fact in QUERIES:
        table = world.frame(fact)
        if "uscc" in table.column_names:
            assert _codes(table, "uscc")["valid"].all(), fact
            assert table["uscc"].drop_null().to_pandas().str[8:12].eq("XXXX").all(), fact


def test_codes_stay_distinct_by_the_million() -> None:
    import numpy as np

    made = codes.credit_codes(np.full(1_000_000, b"91370112"), np.arange(1_000_000)).to_pandas()
    assert made.is_unique
    assert identity.check(made)["valid"].all()


def test_names_say_that_they_are_made_up(world: World) -> None:
    subjects = world.frame("subjects").to_pandas()
    assert subjects["name"].str.contains(names.MARK).all()
    enterprises = subjects[subjects["kind"] == "企业"]
    assert enterprises["name"].is_unique


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder with public data is not beside the project")
@pytest.mark.parametrize("file", ["enterprise_licheng", "enterprise_jinan", "enterprise_shandong"])
def test_no_real_enterprise_bears_the_mark(file: str) -> None:
    real = pa_csv.read_csv(REAL / f"{file}.csv.gz")["name"].cast(pa.string()).to_pandas()
    assert not real.str.contains(names.MARK).any()


def test_proportions_are_those_of_a_district(world: World) -> None:
    subjects = world.frame("subjects").to_pandas()
    kinds = subjects["kind"].value_counts(normalize=True)
    assert 0.3 < kinds["企业"] < 0.42
    assert 0.55 < kinds["个体工商户"] < 0.7
    assert 0 < kinds["农民专业合作社"] < 0.04
    states = subjects["state"].value_counts(normalize=True)
    assert set(states.index) == {"存续", "注销", "吊销", "迁出", "歇业"}
    assert states["存续"] > 0.8
    assert set(subjects["area_code"].str[:9]) - {"370112"} == {code for code, _, _ in STREETS}
    assert (subjects["established"].map(lambda day: day.year) == 2026).any()
    assert subjects["established"].map(lambda day: day.year).min() < 2006


def test_filings_arrive_over_the_season_and_peak_at_its_end(world: World) -> None:
    def filed(day: date) -> int:
        return int((world.at(day).frame("filings")["report_year"].to_pandas() == 2025).sum())

    january, june, july, august = (filed(day) for day in (date(2026, 1, 31), DAY, date(2026, 7, 1), date(2026, 8, 31)))
    assert 0 < january < june < july < august
    assert july - june > june - filed(date(2026, 5, 31))
    frame = world.at(date(2026, 12, 31)).frame("filings").to_pandas()
    this = frame[frame["report_year"] == 2025]
    assert (this["submitted_at"] >= datetime(2026, 7, 1)).any()  # noqa: DTZ001  # the source's own local time
    assert this["paper"].any()
    assert this["correction_at"].notna().any()
    assert not this["public"].all()


def test_nothing_of_tomorrow_is_seen(world: World) -> None:
    for fact in QUERIES:
        for name, column in zip((table := world.frame(fact)).column_names, table.columns, strict=True):
            if name in ("expires_on", "valid_to", "test_date"):
                continue
            if pa.types.is_date(column.type):
                latest = column.drop_null().to_pandas().max()
                assert pd.isna(latest) or latest <= DAY, (fact, name)


def test_a_missed_season_leads_to_the_abnormal_list(world: World) -> None:
    july = world.at(date(2026, 7, 20)).frame("abnormal").to_pandas()
    missed = july[july["reason"].str.contains("2025")]
    assert missed["listed_on"].between(date(2026, 7, 8), date(2026, 7, 14)).all()
    late = world.at(date(2026, 12, 1)).frame("abnormal").to_pandas()
    assert late[late["reason"].str.contains("2025")]["removed_on"].notna().any()


def test_matters_of_every_kind_are_held_by_known_departments(world: World) -> None:
    matters = world.frame("matters").to_pandas()
    pending = matters[matters["state"] == "待办"]
    assert set(matters["type"]) == {kind.type for kind in affairs.KINDS}
    assert {"政府采购", "招投标", "国有资产产权交易", "资金扶持"} <= set(pending["type"])
    assert {"政府集中采购", "分散采购"} <= set(pending["procurement_form"])
    assert {"社会福利扶贫资金", "产业扶持资金"} <= set(pending["fund_kind"])
    assert set(pending[pending["type"] == "招投标"]["is_construction"]) == {True, False}
    assert set(matters["department"]) <= set(affairs.DEPARTMENTS)


def test_reports_and_consents_come_in_every_condition(world: World) -> None:
    reports, consents = world.frame("reports").to_pandas(), world.frame("consents").to_pandas()
    filed = set(world.frame("agencies")["uscc"].to_pylist())
    assert set(reports["agency_uscc"]) & filed
    assert set(reports["agency_uscc"]) - filed
    assert (reports["valid_to"] < DAY).any()
    assert reports["valid_to"].isna().any()
    assert reports["handed_in_by"].notna().any()
    assert {"AAA", "AA", "A", "C"} <= set(reports["grade"])
    assert consents["withdrawn_on"].notna().any()
    assert consents["matter_no"].isna().any()


def test_records_and_lists_come_in_every_condition(world: World) -> None:
    records, listed = world.frame("records").to_pandas(), world.frame("listed").to_pandas()
    for column in ("rectified_on", "repaired_on", "identified_on"):
        assert records[column].notna().any(), column
        assert records[column].isna().any(), column
    assert records["claims"].any()
    assert set(records["in_report"].dropna()) == {"0", "1"}
    assert len(set(listed["list"])) == 7
    assert listed["uscc"].isna().any()
    debtors = world.frame("debtors").to_pandas()
    assert debtors["person"].any()
    assert (debtors["uscc"].isna() & ~debtors["person"]).any()


def test_dirty_rows_of_every_kind(world: World) -> None:
    filings = World(1, 20_000, DAY).source("annual_reports").to_pandas()
    checked = identity.check(filings["UNISCID"])
    reasons = set(checked["reason"].dropna())
    assert {"BAD_CHECK", "EXCEL_MANGLED", "IS_REGNO_15", "IS_PERSONAL_ID"} <= reasons
    assert (checked["valid"] & (checked["normalized"] != filings["UNISCID"])).any()
    assert filings["ANCHEYEAR"].isna().any()
    assert filings["ANCHEDATE"].eq("2026-13-45").any()
    assert filings["CORRDATE"].isin(["9999-09-09 00:00:00", "1899-12-31 00:00:00"]).any()
    assert filings["BUSST"].isin(["\\N", "暂无"]).any()
    assert (filings["EMPNUM"] < 0).any()
    assert filings.duplicated().any()
    assert 0.003 < (~checked["valid"]).mean() + 0.003 < 0.01
    consents = World(1, 20_000, DAY).source("consents").to_pandas()
    assert consents["授权书编号"].eq("授权书编号").any()


def test_clean_worlds_have_no_dirt() -> None:
    table = World(1, 2000, DAY, clean=True).source("subject_registry")
    assert _codes(table, "UNISCID")["valid"].all()
    assert table["UNISCID"].null_count == 0


def test_a_story_adds_changes_and_removes_a_fact() -> None:
    told = Told(
        "records",
        {"record_no": "示例罚字〔2026〕故事1号", "name": "济南故事示例有限公司", "identified_on": DAY},
        appears=DAY,
        changes={DAY + timedelta(2): {"repaired_on": DAY + timedelta(2)}},
        gone=DAY + timedelta(4),
    )
    world = World(1, 200, DAY - timedelta(1), story=[told])

    def seen(days: int) -> pd.DataFrame:
        rows = world.at(DAY + timedelta(days)).source("credit_records").to_pandas()
        return rows[rows["CF_WSH"] == "示例罚字〔2026〕故事1号"]

    assert seen(-1).empty
    assert seen(0)["XFRQ"].isna().all()
    assert seen(0)["CF_JDRQ"].tolist() == ["2026/06/15"]
    assert seen(2)["XFRQ"].tolist() == ["2026/06/17"]
    assert seen(4).empty


def test_a_story_with_an_unknown_column_is_refused() -> None:
    world = World(1, 200, DAY, story=[Told("records", {"nonsense": 1}, appears=DAY)])
    with pytest.raises(ValueError, match="records has no nonsense"):
        world.frame("records")


def test_a_registry_brings_its_subjects_and_nothing_is_invented_against_them(tmp_path: Path) -> None:
    file = tmp_path / "registry.csv"
    codes_of = codes.credit_codes(
        pd.Series(["91370112"] * 3).to_numpy(dtype="S8"), pd.Series([9001, 9002, 9003]).to_numpy()
    )
    rows = [
        f"{code},登记簿示例{i}有限公司,N/A,20{10 + i}-03-01,{i}00万元,370112,某路{i}号"
        for i, code in enumerate(codes_of, 1)
    ]
    file.write_text("uscc,name,type,established,capital_raw,reg_authority_code,address\n" + "\n".join(rows), "utf-8")
    world = World(1, 300, DAY, registry=file)
    served = world.source("subject_registry").to_pandas()
    assert served["ENTNAME"].tolist() == [f"登记簿示例{i}有限公司" for i in (1, 2, 3)]
    assert served["REGCAPRMB"].tolist() == [100.0, 200.0, 300.0]
    mine = set(served["UNISCID"])
    assert set(world.source("annual_reports")["UNISCID"].to_pylist()) <= mine
    assert set(world.frame("filings")["uscc"].to_pylist()) <= mine
    for fact in ("records", "debtors", "listed", "abnormal", "applicants", "reports", "consents"):
        assert not mine & set(world.frame(fact)["uscc"].to_pylist()), fact
        assert world.frame(fact).num_rows


def test_a_large_district_takes_seconds() -> None:
    started = time.monotonic()
    world = World(1, 250_000, DAY)
    rows = {name: world.source(name).num_rows for name in SOURCES}
    assert rows["subject_registry"] > 250_000
    assert time.monotonic() - started < 20
