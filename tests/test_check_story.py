"""Checks over several days: facts that come, stay and go, sources that fall silent, checks that are killed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from chengxin import check, conclusions, shadow
from chengxin.lake import Lake
from chengxin.ledger.models import CheckRun, Commit
from chengxin.settings import House
from tests.conftest import ROOT
from tests.factlake import FactLake, codes, day

MONDAY = day("2026-06-15")
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=n) for n in (1, 2, 3))
FIRST, SECOND, THIRD = codes(1, 2, 3)
TABLES = ("advice", "finding", "filing_status")


def subject(code: str, name: str, **fields: Any) -> dict[str, Any]:
    known = {"kind": "企业", "state": "存续", "established": day("2019-01-01")}
    return {"uscc": code, "name": name, **known, **fields}


def matter(name: str, **fields: Any) -> dict[str, Any]:
    about = {"type": "招投标", "department": "zjj", "state": "待办", "opened_on": day("2026-06-01")}
    return {"matter_id": name, **about, **fields}


def applicant(matter_id: str, code: str | None, name: str, number: str = "1", **fields: Any) -> dict[str, Any]:
    return {"matter_id": matter_id, "applicant_no": number, "uscc": code, "name": name, **fields}


def entry(code: str, **fields: Any) -> dict[str, Any]:
    about = {"list": "黑名单", "doc_no": f"D{code[-4:]}", "listed_on": day("2026-01-01")}
    return {"uscc": code, **about, **fields}


@pytest.fixture
def lake(house: House) -> FactLake:
    """Two matters of one applicant each, everything fresh on Monday."""
    lake = FactLake(house)
    lake.fresh(MONDAY)
    lake.put("subject", MONDAY, [subject(FIRST, "示例甲有限公司"), subject(SECOND, "示例乙有限公司")])
    lake.put("matter", MONDAY, [matter("M1"), matter("M2")])
    lake.put("applicant", MONDAY, [applicant("M1", FIRST, "示例甲有限公司"), applicant("M2", SECOND, "示例乙有限公司")])
    return lake


def told(lake: FactLake, on: date) -> dict[str, tuple[str, list[str]]]:
    """Matter → outcome and reasons, as of a day."""
    return {row["matter_id"]: (row["decision"], row["reasons"]) for row in lake.rows("advice", on)}


def canonical(lake: FactLake, on: date) -> dict[str, list[dict[str, Any]]]:
    """A day's conclusions without what depends on the run."""
    accidental = {"seq", "observed_on", "evidence_seq", "evidence_sha256", "evidence_row", "row_hash"}
    return {
        name: [{key: value for key, value in row.items() if key not in accidental} for row in lake.rows(name, on)]
        for name in TABLES
    }


def test_a_fact_appears_stays_and_goes_and_its_matter_closes(house: House, lake: FactLake) -> None:
    check.run(house, MONDAY)
    assert told(lake, MONDAY)["M1"] == ("NEED_REPORT", ["REPORT_MISSING"])

    lake.fresh(TUESDAY)
    lake.put("list_entry", TUESDAY, [entry(FIRST)])
    second = check.run(house, TUESDAY)
    assert told(lake, TUESDAY)["M1"] == ("RESTRICT", ["LIST_BLACK", "REPORT_MISSING"])
    assert second["changed"]["advice"] == {"new": 0, "changed": 1, "gone": 0, "restored": 0}
    assert second["changed"]["finding"] == {"new": 1, "changed": 0, "gone": 0, "restored": 0}

    lake.fresh(WEDNESDAY)
    third = check.run(house, WEDNESDAY)
    assert third["seq"] is None
    assert told(lake, WEDNESDAY) == told(lake, TUESDAY)

    lake.fresh(THURSDAY)
    lake.put("list_entry", THURSDAY, [entry(FIRST)], gone=True)
    lake.put("matter", THURSDAY, [matter("M2", state="办结", decided_on=THURSDAY)])
    fourth = check.run(house, THURSDAY)
    assert told(lake, THURSDAY) == {"M1": ("NEED_REPORT", ["REPORT_MISSING"])}
    assert fourth["changed"]["advice"] == {"new": 0, "changed": 1, "gone": 1, "restored": 0}
    assert fourth["changed"]["finding"] == {"new": 0, "changed": 0, "gone": 2, "restored": 0}
    # What was said on each day can still be read.
    assert told(lake, TUESDAY)["M1"][0] == "RESTRICT"
    assert told(lake, MONDAY)["M1"][0] == "NEED_REPORT"
    assert set(told(lake, MONDAY)) == {"M1", "M2"}


class TestStaleSources:
    """No answer is better than one that passes in silence."""

    def test_a_silent_source_cannot_tell_and_being_older_still_is_no_change(self, house: House, lake: FactLake) -> None:
        lake.put("list_entry", MONDAY, [entry(FIRST)])
        late, later = MONDAY + timedelta(days=10), MONDAY + timedelta(days=11)
        for on in (late, later):
            lake.fresh(on, *[name for name in check.load_district(house).sources if name != "blacklists"])
        first = check.run(house, late)
        assert first["stale"] == ["blacklists"]
        assert first["advice"] == {"NEED_REPORT": 2}  # worse than CANNOT_TELL, and of a fresh source
        row = next(row for row in lake.rows("advice", late) if row["matter_id"] == "M1")
        assert row["stale_sources"] == ["blacklists:10"]
        assert set(row["reasons"]) >= {"LIST_BLACK", "SOURCE_STALE"}
        assert check.run(house, later)["seq"] is None

    def test_a_source_that_never_came_and_one_without_a_contract(
        self, house: House, lake: FactLake, tmp_path: Path
    ) -> None:
        include = tmp_path / "include"
        shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin*", "trial"))
        (include / "sources" / "credit_records.yml").write_text("name: [", "utf-8")
        broken = replace(house, include=include)
        counts = check.run(broken, MONDAY)
        assert counts["stale"] == ["credit_records"]
        # It might feed any table: nobody passes.
        assert all("SOURCE_STALE" in row["reasons"] for row in lake.rows("advice", MONDAY))


@pytest.mark.services
def test_the_order_in_which_facts_came_changes_nothing(house: House, tmp_path: Path) -> None:
    def story(name: str, order: Callable[[list[Any]], list[Any]]) -> dict[str, list[dict[str, Any]]]:
        made = replace(house, var=tmp_path / name)
        lake = FactLake(made)
        people = [subject(code, f"示例{n}有限公司") for n, code in enumerate((FIRST, SECOND, THIRD))]
        puts: list[Callable[[], object]] = [
            lambda: lake.put("subject", MONDAY, order(people)),
            lambda: lake.put("matter", MONDAY, order([matter("M1"), matter("M2"), matter("M3")])),
            lambda: lake.put("applicant", MONDAY, order([
                applicant(f"M{n + 1}", code, f"示例{n}有限公司") for n, code in enumerate((FIRST, SECOND, THIRD))
            ])),
            lambda: lake.put("list_entry", MONDAY, order([entry(FIRST), entry(SECOND, list="信用不良记录")])),
            lambda: lake.put("list_entry", MONDAY, [entry(FIRST, list="经营异常名录")], "abnormal_list"),
            lambda: lake.fresh(MONDAY),
        ]  # fmt: skip
        for put in order(puts):
            put()
        check.run(made, MONDAY)
        return canonical(lake, MONDAY)

    assert story("one", list) == story("other", lambda rows: rows[::-1])


@pytest.mark.services
def test_a_check_of_the_past_does_not_alter_what_later_days_said(house: House, lake: FactLake) -> None:
    check.run(house, MONDAY)
    lake.fresh(WEDNESDAY)
    check.run(house, WEDNESDAY)
    said = {on: told(lake, on) for on in (WEDNESDAY, THURSDAY)}

    # Facts that hold on Monday alone: an entry, a second applicant, a matter closed by mistake.
    alone: list[tuple[str, dict[str, Any]]] = [
        ("list_entry", entry(FIRST)),
        ("applicant", applicant("M1", THIRD, "示例丙有限公司", "2")),
    ]
    for table, row in alone:
        lake.put(table, MONDAY, [row])
        lake.put(table, TUESDAY, [row], gone=True)
    lake.put("matter", MONDAY, [matter("M2", state="办结")])
    lake.put("matter", TUESDAY, [matter("M2")])
    again = check.run(house, MONDAY)
    assert again["changed"]["advice"] == {"new": 1, "changed": 1, "gone": 1, "restored": 3}
    rows = {(row["matter_id"], row["applicant_no"]): row["decision"] for row in lake.rows("advice", MONDAY)}
    assert rows == {("M1", "1"): "RESTRICT", ("M1", "2"): "NEED_REPORT"}
    assert {on: told(lake, on) for on in said} == said
    assert check.run(house, WEDNESDAY)["seq"] is None


def test_a_killed_check_is_finished_by_the_next(house: House, lake: FactLake, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Lake.commit

    def killed(self: Lake, name: str, *arguments: Any, **options: Any) -> int:
        if name == "filing_status":
            raise KeyboardInterrupt
        return commit(self, name, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "commit", killed)
        with pytest.raises(KeyboardInterrupt):
            check.run(house, MONDAY)
    counts = check.run(house, MONDAY)
    assert counts["changed"]["advice"] == {"new": 0, "changed": 0, "gone": 0, "restored": 0}
    assert counts["changed"]["filing_status"]["new"] == 2
    assert len(house.lake.rows("advice")) == len(told(lake, MONDAY)) == 2
    with house.ledger.begin() as session:
        assert [run.seq for run in session.query(CheckRun)] == [counts["seq"]]


def test_an_unfinished_harvest_is_left_aside(house: House, lake: FactLake) -> None:
    seq = lake.put("list_entry", MONDAY, [entry(FIRST)])
    lake.put("list_entry", MONDAY, [entry(SECOND)], "dishonest_debtors")
    with house.ledger.begin() as session:
        session.get_one(Commit, seq).closed_at = None
    counts = check.run(house, MONDAY)
    assert told(lake, MONDAY)["M1"][0] == "NEED_REPORT"
    assert told(lake, MONDAY)["M2"][0] == "RESTRICT"
    with house.ledger.begin() as session:
        assert session.get_one(CheckRun, counts["check_id"]).counts["unclosed"] == [seq]


def test_a_name_that_one_subject_bears_gives_a_code_where_the_district_says_so(
    house: House, lake: FactLake, tmp_path: Path
) -> None:
    # A second bearer of the name.
    lake.put("subject", MONDAY, [subject(THIRD, "示例乙有限公司")])
    lake.put(
        "applicant",
        MONDAY,
        [
            applicant("M1", None, "示例甲 有限公司", "2", uscc_problem="EMPTY"),
            applicant("M1", None, "示例乙有限公司", "3"),
            applicant("M1", None, "示例甲有限公司", "4", uscc_problem="BAD_CHECK"),
            applicant("M1", None, "示例丁有限公司", "5"),
        ],
    )
    report = {"report_no": "R1", "subject_name": "示例甲有限公司", "agency_uscc": codes(9)[0], "issue_date": MONDAY}
    lake.put("credit_report", MONDAY, [report])

    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin*", "trial"))
    file = include / "districts" / "370112.yml"
    file.write_text(file.read_text("utf-8") + "\nresolve_names: [applicant, credit_report]\n", "utf-8")
    check.run(replace(house, include=include), MONDAY)
    rows = {row["applicant_no"]: row for row in lake.rows("advice", MONDAY) if row["matter_id"] == "M1"}
    # What the source gave and is invalid is not replaced; a name that two bear is nobody's.
    codes_found = {number: row["uscc"] for number, row in rows.items()}
    assert codes_found == {"1": FIRST, "2": FIRST, "3": None, "4": None, "5": None}
    assert rows["2"]["reasons"] == ["AGENCY_NOT_FILED"]
    assert rows["5"]["decision"] == "INPUT_ERROR"


@pytest.mark.services
def test_two_districts_share_a_lake(house: House, lake: FactLake, tmp_path: Path) -> None:
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin*", "trial"))
    text = (include / "districts" / "370112.yml").read_text("utf-8")
    text = text.replace('code: "370112"', 'code: "990101"').replace("leading: as_written", "leading: guarded")
    (include / "districts" / "990101.yml").write_text(text, "utf-8")
    other = replace(house, include=include, district="990101")
    here = check.run(house, MONDAY)
    there = check.run(other, MONDAY)
    assert there["changed"]["advice"] == here["changed"]["advice"] == {"new": 2, "changed": 0, "gone": 0, "restored": 0}
    for made, leading in ((house, "as_written"), (other, "guarded")):
        connection = made.engine()
        rows = connection.to_pyarrow(conclusions.current(made, connection, "advice", MONDAY)).to_pylist()
        assert [row["leading"] for row in rows] == [leading] * 2


@pytest.mark.services
def test_a_draft_policy_in_shadow(house: House, lake: FactLake, tmp_path: Path) -> None:
    lake.put("list_entry", MONDAY, [entry(FIRST), entry(SECOND, list="信用不良记录")])
    before = {name: house.lake.snapshot_id(name) for name in TABLES}
    draft = tmp_path / "policy" / "licheng-2020-2"
    shutil.copytree(ROOT / "include" / "policy" / "licheng-2020-2", draft)
    lists = draft / "lists.yml"
    text = lists.read_text("utf-8")
    lists.write_text(text.replace("LIST_BLACK\n", "LIST_SERIOUS\n"), "utf-8")
    assert lists.read_text("utf-8") != text
    different = shadow.shadow(house, MONDAY, draft)
    assert different.findings == {"list.black": {"gained": 0, "lost": 0, "changed": 1}}
    assert different.advice == {}
    assert "list.black: 1 changed" in str(different)
    assert {name: house.lake.snapshot_id(name) for name in TABLES} == before


def test_an_empty_lake_is_checked_too(house: House) -> None:
    counts = check.run(house, MONDAY)
    assert counts["advice"] == counts["filing"] == counts["findings"] == {}
    assert counts["seq"] is None
    assert set(counts["stale"]) == set(check.load_district(house).sources)
