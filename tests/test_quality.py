"""The rules, the judged columns, and Great Expectations over them."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from chengxin.contracts import FACT_TABLES
from chengxin.errors import ConfigError
from chengxin.lake import arrow_type
from chengxin.normalise import Facts
from chengxin.quality import rules, suites
from chengxin.quality.gate import Gate, GateError
from chengxin.quality.judge import Judged, judge
from tests.conftest import ROOT

DAY = date(2026, 6, 15)
RULES = rules.load(rules.path(ROOT))
CODE = "91370112XXXX00019N"


def facts(table: str, *rows: dict[str, Any]) -> Facts:
    """Typed rows without any reading problem."""
    columns = {
        column.name: pa.array([row.get(column.name) for row in rows], arrow_type(column))
        for column in FACT_TABLES[table].columns
    }
    return Facts(
        table=FACT_TABLES[table],
        columns=columns,
        text={},
        problems={},
        headings={},
        required=(),
        record=np.arange(len(rows)),
        position=np.zeros(len(rows), np.int64),
        raw_sha256=pa.nulls(len(rows), pa.string()),
        raw_row=pa.nulls(len(rows), pa.int32()),
        unreadable=pa.nulls(len(rows), pa.string()),
        heading_row=np.zeros(len(rows), bool),
    )


def judged(table: str, *rows: dict[str, Any]) -> Judged:
    return judge(duckdb.connect(), facts(table, *rows), rules.of(RULES, FACT_TABLES[table]), DAY)


SUBJECT = {"uscc": CODE, "kind": "企业", "established": date(2020, 1, 1), "state": "存续", "area_code": "370112001"}
REPORT = {"report_year": 2025, "submitted_at": datetime(2026, 3, 1, tzinfo=UTC), "employees": 10, "insured": 15}
BOOKS = {"total_assets": Decimal(1_000_000), "total_liabilities": Decimal(400_000)}
RECORD = {"uscc": CODE, "subject_name": "甲", "identified_on": date(2025, 1, 1)}
ENTRY = {"uscc": CODE, "subject_name": "甲", "listed_on": date(2025, 1, 1)}
MATTER = {"type": "招投标", "state": "待办"}

BREAKS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("subject.kind_fits_code", SUBJECT, {"kind": "个体工商户"}),
    ("subject.kind_known", SUBJECT, {"kind": None}),
    ("subject.state_known", SUBJECT, {"state": "在营"}),
    ("subject.established_given", SUBJECT, {"established": None}),
    ("subject.established_not_later", SUBJECT, {"established": date(2026, 6, 16)}),
    ("subject.ends_after_start", SUBJECT, {"state": "吊销", "revoked_on": date(2019, 12, 31)}),
    ("subject.state_fits_dates", SUBJECT, {"state": "注销"}),
    ("subject.state_fits_dates", SUBJECT, {"deregistered_on": date(2026, 6, 15)}),
    ("subject.area_shape", SUBJECT, {"area_code": "37011"}),
    ("annual_report.year_before_submission", REPORT, {"submitted_at": datetime(2025, 12, 31, 15, 59, tzinfo=UTC)}),
    ("annual_report.year_possible", REPORT, {"report_year": 2012}),
    ("annual_report.heads_not_negative", REPORT, {"insured": -1}),
    ("annual_report.submission_not_later", REPORT, {"submitted_at": datetime(2026, 6, 15, 16, 0, tzinfo=UTC)}),
    ("annual_report.correction_after_submission", REPORT, {"correction_at": datetime(2026, 2, 1, tzinfo=UTC)}),
    ("annual_report.balance", REPORT, {**BOOKS, "equity": Decimal("589999.99")}),
    ("annual_report.insured_fit_employees", REPORT, {"insured": 16}),
    ("annual_report.channel_known", REPORT, {"channel": "微信"}),
    ("credit_report.issue_not_later", {"issue_date": DAY, "agency_uscc": CODE}, {"issue_date": date(2026, 6, 16)}),
    ("credit_report.issue_given", {"issue_date": DAY, "agency_uscc": CODE}, {"issue_date": None}),
    ("credit_report.ends_after_issue", {"issue_date": DAY, "agency_uscc": CODE}, {"valid_to": date(2026, 6, 14)}),
    ("credit_report.agency_named", {"issue_date": DAY, "agency_uscc": CODE}, {"agency_uscc": None}),
    ("credit_report.scale_given", {"issue_date": DAY, "agency_uscc": CODE}, {"grade": "AA"}),
    ("credit_record.code_given", RECORD, {"uscc": None}),
    ("credit_record.identified_given", RECORD, {"identified_on": None}),
    ("credit_record.identified_not_later", RECORD, {"identified_on": date(2026, 6, 16)}),
    ("credit_record.ends_after_identified", RECORD, {"repaired_on": date(2024, 12, 31)}),
    ("credit_record.display_within_five_years", RECORD, {"expires_on": date(2030, 1, 2)}),
    ("list_entry.code_given", ENTRY, {"uscc": None}),
    ("list_entry.listed_given", ENTRY, {"listed_on": None}),
    ("list_entry.listed_not_later", ENTRY, {"listed_on": date(2026, 6, 16)}),
    ("list_entry.ends_after_listed", ENTRY, {"removed_on": date(2024, 12, 31)}),
    ("matter.type_given", MATTER, {"type": None}),
    ("matter.state_known", MATTER, {"state": None}),
    ("matter.decided_after_opened", MATTER, {"opened_on": DAY, "decided_on": date(2026, 6, 14)}),
    ("matter.attributes_given", MATTER, {"type": "政府采购"}),
    ("applicant.code_given", {"uscc": CODE, "name": "甲"}, {"uscc": None}),
    ("consent.given_given", {"given_on": DAY}, {"given_on": None}),
    ("consent.ends_after_given", {"given_on": DAY}, {"withdrawn_on": date(2026, 6, 14)}),
    ("agency.filed_given", {"filed_on": DAY}, {"filed_on": None}),
    ("agency.cancelled_after_filed", {"filed_on": DAY}, {"cancelled_on": date(2026, 6, 14)}),
]


@pytest.mark.parametrize(
    ("rule", "sound", "change"), BREAKS, ids=[f"{rule}-{n}" for n, (rule, _, _) in enumerate(BREAKS)]
)
def test_each_rule_by_one_row_that_keeps_it_and_one_that_breaks_it(
    rule: str, sound: dict[str, Any], change: dict[str, Any]
) -> None:
    result = judged(rule.split(".")[0], sound, {**sound, **change})
    assert {name: status.tolist() for name, status in result.status.items() if status.any()} == {rule: [0, 1]}


def test_a_subject_without_code_and_name_is_rejected_everywhere() -> None:
    for table in ("credit_record", "list_entry", "applicant"):
        result = judged(table, {"uscc": CODE}, {})
        assert result.bad.tolist() == [False, True]
        assert result.counts("error") == {f"{table}.subject_named": 1}


def test_every_rule_of_the_file_is_tested() -> None:
    tested = {rule for rule, _, _ in BREAKS} | {
        f"{t}.subject_named" for t in ("credit_record", "list_entry", "applicant")
    }
    assert tested == {rule.id for own in RULES.tables.values() for rule in own}


def test_books_within_the_tolerance_balance() -> None:
    large = {"total_assets": Decimal(100_000_000), "total_liabilities": Decimal(0)}
    sound = [{**REPORT, **BOOKS, "equity": Decimal(590_000)}, {**REPORT, **large, "equity": Decimal(99_000_000)}]
    assert not judged("annual_report", *sound, {**REPORT, **BOOKS}).counts("warning")


def test_rules_that_do_not_fit_the_tables_are_refused(tmp_path: Path) -> None:
    text = rules.path(ROOT).read_text("utf-8")
    for wrong, says in (
        ("fields: [kind, uscc]", "fields: [kind, colour]"),
        ("id: subject.kind_known", "id: matter.kind_known"),
        ("  agency:\n", "  agencies:\n"),
        ("  subject: [capital]", "  subject: [capitol]"),
    ):
        path = tmp_path / f"{abs(hash(says))}.yml"
        path.write_text(text.replace(wrong, says), "utf-8")
        with pytest.raises(ConfigError):
            rules.load(path)


def test_the_committed_suites_are_those_of_the_rules() -> None:
    for name, text in suites.files(ROOT).items():
        assert (ROOT / "great_expectations" / name).read_text("utf-8") == text, "python -m chengxin.quality.suites"


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_great_expectations_counts_as_we_do_and_leaves_its_folder_alone(tmp_path: Path) -> None:
    before = fingerprint(ROOT / "great_expectations")
    gate = Gate(ROOT, tmp_path / "docs" / "source" / "1")
    for table in FACT_TABLES:
        gate.add(judged(table, {}, {}, {}))
    index = gate.close()
    assert index == tmp_path / "docs" / "source" / "1" / "index.html"
    assert fingerprint(ROOT / "great_expectations") == before
    results = list((tmp_path / "docs" / "source" / "1" / "results").rglob("*.json"))
    assert len(results) == len(FACT_TABLES)
    assert all('"partial_unexpected_list": []' in result.read_text("utf-8") for result in results)


def test_counts_that_differ_are_a_defect_of_ours(tmp_path: Path) -> None:
    result = judged("agency", {})
    foreign = replace(result, status={**result.status, "agency.unheard_of": np.zeros(1, np.int16)})
    gate = Gate(ROOT, tmp_path / "docs" / "source" / "1")
    gate.add(foreign)
    with pytest.raises(GateError, match="count differently"):
        gate.close()


def test_several_gates_at_once(tmp_path: Path) -> None:
    found: list[Path | None] = []

    def one(number: int) -> None:
        gate = Gate(ROOT, tmp_path / "docs" / "source" / str(number))
        gate.add(judged("agency", *({} for _ in range(number + 1))))
        found.append(gate.close())

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == [
        str(tmp_path / "docs" / "source" / str(number) / "index.html") for number in range(3)
    ]
    fonts = [file for file in (tmp_path / "docs").rglob("*.otf") if not file.parents[2].is_symlink()]
    assert {file.relative_to(tmp_path / "docs").parts[0] for file in fonts} == {"static"}
    assert (tmp_path / "docs/source/1/static/styles").is_dir()
