"""One check of many small situations at once: how facts are linked to applicants, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from chengxin import check, identity
from chengxin.errors import ConfigError
from chengxin.ledger.models import CheckRun
from chengxin.settings import House
from tests.conftest import NOW, ROOT
from tests.factlake import FactLake, codes, day

TODAY = day("2026-06-15")
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
AGENCY, LATE_AGENCY, GONE_AGENCY, UNKNOWN_AGENCY = identity.complete([f"91370100XXXX0600{n}" for n in range(1, 5)])


class Situations:
    """Collects situations: each has a matter, a subject and facts of its own."""

    def __init__(self) -> None:
        self.facts: dict[str, list[dict[str, Any]]] = {}
        self.by_source: list[tuple[str, str, dict[str, Any]]] = []
        self.codes = iter(codes(*range(1, 200)))

    def add(self, table: str, source: str | None = None, **fields: Any) -> None:
        if source:
            self.by_source.append((table, source, fields))
        else:
            self.facts.setdefault(table, []).append(fields)

    def matter(self, name: str, *, code: str | None = "", kind: str | None = "企业", **matter: Any) -> str:
        """A matter of centralised procurement with one applicant; returns the applicant's code."""
        code = next(self.codes) if code == "" else code
        about = {
            "type": "政府采购", "procurement_form": "政府集中采购", "department": "czj", "state": "待办",
            "opened_on": day("2026-06-01"),
        }  # fmt: skip
        self.add("matter", matter_id=name, **{**about, **matter})
        self.add("applicant", matter_id=name, applicant_no="1", uscc=code, name=f"示例{name}有限公司")
        if code and kind:
            self.add(
                "subject", uscc=code, name=f"示例{name}有限公司", kind=kind, state="存续", established=day("2019-01-01")
            )
        return code or ""

    def report(self, code: str, **fields: Any) -> None:
        """A report that is usable but for consent."""
        about = {
            "report_no": f"R{len(self.facts.get('credit_report', []))}", "uscc": code, "agency_uscc": AGENCY,
            "grade": "A", "issue_date": day("2026-01-10"), "valid_to": day("2026-12-31"), "scale": "GB/T 22116",
        }  # fmt: skip
        self.add("credit_report", **{**about, **fields})

    def consent(self, code: str, **fields: Any) -> None:
        about = {
            "consent_id": f"C{len(self.facts.get('consent', []))}", "uscc": code, "item": "信用报告",
            "recipient": "czj", "given_on": day("2026-01-10"),
        }  # fmt: skip
        self.add("consent", **{**about, **fields})

    def ready(self, name: str, **matter: Any) -> str:
        """A matter whose applicant has a usable report."""
        code = self.matter(name, **matter)
        self.report(code)
        self.consent(code)
        return code

    def record(self, code: str, source: str | None = None, **fields: Any) -> None:
        about = {
            "record_no": f"W{code}", "uscc": code, "kind": "行政处罚",
            "identified_on": day("2026-03-10"), "in_report": True,
        }  # fmt: skip
        self.add("credit_record", source, **{**about, **fields})

    def entry(self, listed: str, source: str | None = None, **fields: Any) -> None:
        about = {"list": listed, "doc_no": f"L{len(self.facts.get('list_entry', []))}", "listed_on": day("2026-01-01")}
        self.add("list_entry", source, **{**about, **fields})


def situations() -> Situations:
    it = Situations()
    for uscc, filed, gone in (
        (AGENCY, "2020-01-01", None),
        (LATE_AGENCY, "2026-01-11", None),
        (GONE_AGENCY, "2020-01-01", "2026-01-09"),
    ):
        it.add("agency", uscc=uscc, name="示例征信", filed_on=day(filed), cancelled_on=day(gone) if gone else None)

    it.ready("nothing")
    it.matter("no-report")
    code = it.matter("no-consent")
    it.report(code)
    for name, consent in {
        "consent-other-department": {"recipient": "zjj"},
        "consent-other-matter": {"matter_id": "nothing"},
        "consent-other-item": {"item": "纳税信息"},
        "consent-withdrawn-today": {"withdrawn_on": TODAY},
        "consent-withdrawn-tomorrow": {"withdrawn_on": TOMORROW},
        "consent-over": {"expires_on": YESTERDAY},
        "consent-last-day": {"expires_on": TODAY},
        "consent-tomorrow": {"given_on": TOMORROW},
        "consent-this-matter": {"matter_id": "consent-this-matter"},
        "consent-this-matter-no-recipient": {"matter_id": "consent-this-matter-no-recipient", "recipient": None},
        "consent-no-use": {"matter_id": None, "recipient": None},
    }.items():
        code = it.matter(name)
        it.report(code)
        it.consent(code, **consent)
    for name, report in {
        "agency-filed-later": {"agency_uscc": LATE_AGENCY},
        "agency-gone-before": {"agency_uscc": GONE_AGENCY},
        "agency-unknown": {"agency_uscc": UNKNOWN_AGENCY},
        "report-other-matter": {"matter_id": "nothing"},
        "report-this-matter": {"matter_id": "report-this-matter"},
        "report-over": {"valid_to": YESTERDAY},
    }.items():
        code = it.matter(name)
        it.report(code, **report)
        it.consent(code)
    mother = next(it.codes)
    code = it.matter("mothers-report")
    it.report(mother, handed_in_by=code, matter_id="mothers-report")
    it.consent(mother)
    code = it.matter("two-reports")
    it.report(code, grade="AAA", issue_date=day("2026-01-10"))
    it.report(code, grade="B", issue_date=day("2026-02-10"))
    it.consent(code)
    code = it.matter("two-reports-a-day")
    it.report(code, grade="B")
    it.report(code, grade="AAA")
    it.consent(code)

    it.record(it.ready("record"))
    it.record(it.ready("record-not-in-report"), in_report=None)
    it.record(it.ready("record-repaired"), repaired_on=day("2026-05-01"))
    it.record(it.ready("record-rectified"), rectified_confirmed_on=day("2026-05-01"))
    it.record(it.ready("record-claimed"), rectified_self_claimed=True)
    it.record(it.ready("record-withdrawn"), withdrawn_on=day("2026-05-01"))
    it.record(it.ready("record-display-over"), expires_on=YESTERDAY)
    it.record(it.ready("record-display-last-day"), expires_on=TODAY)
    it.record(it.ready("record-of-nobody"), uscc=None)
    code = it.ready("record-repaired-elsewhere")
    it.record(code)
    it.record(code, "blacklists", repaired_on=day("2026-05-01"), in_report=None)
    code = it.ready("record-rectified-elsewhere")
    it.record(code)
    it.record(code, "blacklists", rectified_confirmed_on=day("2026-05-01"))
    code = it.ready("record-in-report-elsewhere")
    it.record(code, in_report=False)
    it.record(code, "blacklists", in_report=True)
    code = it.ready("record-withdrawn-elsewhere")
    it.record(code)
    it.record(code, "blacklists", withdrawn_on=day("2026-05-01"))
    it.record(it.ready("record-comes-back"))

    it.entry("黑名单", uscc=it.ready("listed"), expires_on=day("2027-01-01"))
    it.entry("经营异常名录", "abnormal_list", uscc=it.ready("listed-elsewhere"))
    it.ready("name-only")
    it.entry("黑名单", subject_name=" 示例name-only有限公司　")
    it.ready("same-name")
    it.entry("黑名单", uscc=next(it.codes), subject_name="示例same-name有限公司")
    it.ready("two-of-one-name")
    twin = next(it.codes)
    it.add("applicant", matter_id="two-of-one-name", applicant_no="2", uscc=twin, name="示例two-of-one-name有限公司")
    it.entry("黑名单", subject_name="示例two-of-one-name有限公司")

    it.matter("no-code", code=None)
    it.matter("unknown-type", type="远洋捕捞")
    it.record(it.ready("kind-of-registry", kind="个体工商户"))
    for name, prefix in {"kind-of-code": "92", "kind-unknown": "N2"}.items():
        code = identity.complete([f"{prefix}370112XXXX00900"])[0]
        it.ready(name, code=code, kind=None)
        it.record(code)

    it.record(it.ready("tested-before", test_date=day("2026-03-09")))
    it.record(it.ready("tested-long-after", test_date=day("2027-03-11")))
    it.facts["credit_report"][-1]["valid_to"] = day("2027-12-31")
    it.matter("before-the-notice", test_date=day("2020-12-31"))
    it.ready("closed", state="办结")
    it.ready("decided", decided_on=TODAY)
    it.ready("opened-tomorrow", opened_on=TOMORROW)
    it.ready("decided-tomorrow", decided_on=TOMORROW)

    for number, (name, subject, report) in enumerate(FILINGS):
        uscc = identity.complete([f"93370112XXXX0{number:04}"])[0]
        it.add(
            "subject",
            **{
                "uscc": uscc,
                "name": name,
                "kind": "农民专业合作社",
                "state": "存续",
                "established": day("2019-01-01"),
                **subject,
            },
        )
        if report:
            it.add("annual_report", uscc=uscc, **{"report_year": 2025, **report})
    return it


FILINGS: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("due", {}, None),
    ("filed", {}, {"submitted_at": NOW - timedelta(days=30)}),
    ("filed-tomorrow", {}, {"submitted_at": NOW + timedelta(days=1)}),
    ("filed-last-year", {}, {"report_year": 2024, "submitted_at": NOW - timedelta(days=400)}),
    ("first-year", {"established": day("2026-01-01")}, None),
    ("gone", {"state": "注销", "deregistered_on": day("2026-01-01")}, None),
    ("revoked", {"state": "吊销", "revoked_on": day("2026-01-01")}, None),
]


def publish(house: House, it: Situations) -> FactLake:
    lake = FactLake(house)
    lake.fresh(TODAY)
    for table, rows in it.facts.items():
        lake.put(table, TODAY, rows)
    for table, source, row in it.by_source:
        lake.put(table, TODAY, [row], source)
    return lake


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    house = House(root=ROOT, var=tmp_path_factory.mktemp("check") / "var", district="370112", clock=lambda: NOW)
    it = situations()
    lake = FactLake(house)
    # What comes back without its repair: seen repaired once, then in an old copy of the list.
    back = next(row for row in it.facts["applicant"] if row["matter_id"] == "record-comes-back")["uscc"]
    repaired = {
        "record_no": f"W{back}",
        "uscc": back,
        "identified_on": day("2026-03-10"),
        "repaired_on": day("2026-05-01"),
    }
    lake.put("credit_record", day("2026-06-01"), [repaired])
    lake = publish(house, it)
    return Checked(house, lake, check.run(house, TODAY))


class Checked:
    """A checked day."""

    def __init__(self, house: House, lake: FactLake, counts: dict[str, Any]) -> None:
        self.house, self.lake, self.counts = house, lake, counts
        rows = lake.rows("advice", TODAY)
        self.advice = {(row["matter_id"], row["applicant_no"]): row for row in rows}
        self.findings = lake.rows("finding", TODAY)
        self.filings = {row["name"]: row for row in lake.rows("filing_status", TODAY)}

    def of(self, matter: str, number: str = "1") -> tuple[str, list[str]]:
        row = self.advice[matter, number]
        return row["decision"], row["reasons"]


OUTCOMES: Mapping[str, tuple[str, list[str]]] = {
    "nothing": ("PASS", []),
    "no-report": ("NEED_REPORT", ["REPORT_MISSING"]),
    "no-consent": ("NEED_REPORT", ["REPORT_NO_CONSENT"]),
    "consent-other-department": ("NEED_REPORT", ["REPORT_NO_CONSENT"]),
    "consent-other-matter": ("NEED_REPORT", ["REPORT_NO_CONSENT"]),
    "consent-other-item": ("NEED_REPORT", ["REPORT_NO_CONSENT"]),
    "consent-withdrawn-today": ("NEED_REPORT", ["REPORT_NO_CONSENT"]),
    "consent-withdrawn-tomorrow": ("PASS", []),
    "consent-over": ("NEED_REPORT", ["REPORT_NO_CONSENT"]),
    "consent-last-day": ("PASS", []),
    "consent-tomorrow": ("NEED_REPORT", ["REPORT_NO_CONSENT"]),
    "consent-this-matter": ("PASS", []),
    "consent-this-matter-no-recipient": ("PASS", []),
    "consent-no-use": ("NEED_REPORT", ["REPORT_NO_CONSENT"]),
    "agency-filed-later": ("NEED_REPORT", ["AGENCY_NOT_FILED"]),
    "agency-gone-before": ("NEED_REPORT", ["AGENCY_NOT_FILED"]),
    "agency-unknown": ("NEED_REPORT", ["AGENCY_NOT_FILED"]),
    "report-other-matter": ("NEED_REPORT", ["REPORT_MISSING"]),
    "report-this-matter": ("PASS", []),
    "report-over": ("NEED_REPORT", ["REPORT_EXPIRED"]),
    "mothers-report": ("NEED_REPORT", ["REPORT_SUBJECT_MISMATCH"]),
    "two-reports": ("PASS", []),
    "two-reports-a-day": ("PRIORITY", ["HIGH_GRADE"]),
    "record": ("RESTRICT", ["RECORD_UNRECTIFIED_IN_WINDOW"]),
    "record-not-in-report": ("REVIEW", ["RECORD_UNRECTIFIED"]),
    "record-repaired": ("PASS", ["RECORD_REPAIRED"]),
    "record-rectified": ("PASS", ["RECORD_RECTIFIED"]),
    "record-claimed": ("RESTRICT", ["RECORD_UNRECTIFIED_IN_WINDOW"]),
    "record-withdrawn": ("PASS", []),
    "record-display-over": ("PASS", []),
    "record-display-last-day": ("RESTRICT", ["RECORD_UNRECTIFIED_IN_WINDOW"]),
    "record-of-nobody": ("PASS", []),
    "record-repaired-elsewhere": ("PASS", ["RECORD_REPAIRED"]),
    "record-rectified-elsewhere": ("PASS", ["RECORD_RECTIFIED"]),
    "record-in-report-elsewhere": ("RESTRICT", ["RECORD_UNRECTIFIED_IN_WINDOW"]),
    "record-withdrawn-elsewhere": ("PASS", []),
    "record-comes-back": ("PASS", ["RECORD_REPAIRED"]),
    "listed": ("RESTRICT", ["LIST_BLACK"]),
    "listed-elsewhere": ("RESTRICT", ["LIST_ABNORMAL"]),
    "name-only": ("REVIEW", ["NAME_ONLY_MATCH"]),
    "same-name": ("PASS", []),
    "two-of-one-name": ("REVIEW", ["NAME_ONLY_MATCH"]),
    "no-code": ("INPUT_ERROR", []),
    "unknown-type": ("INPUT_ERROR", []),
    "kind-of-registry": ("REVIEW", ["RECORD_UNRECTIFIED", "SUBJECT_KIND_NOT_ENTERPRISE"]),
    "kind-of-code": ("REVIEW", ["RECORD_UNRECTIFIED", "SUBJECT_KIND_NOT_ENTERPRISE"]),
    "kind-unknown": ("REVIEW", ["RECORD_UNRECTIFIED", "SUBJECT_KIND_UNKNOWN"]),
    "tested-before": ("PASS", []),
    "tested-long-after": ("REVIEW", ["RECORD_UNRECTIFIED_OUT_OF_WINDOW"]),
    "before-the-notice": ("NOT_APPLICABLE", ["POLICY_NOT_IN_FORCE"]),
    "decided-tomorrow": ("PASS", []),
}


@pytest.mark.parametrize("matter", OUTCOMES)
def test_outcome(checked: Checked, matter: str) -> None:
    assert checked.of(matter) == OUTCOMES[matter]


@pytest.mark.parametrize("matter", ["closed", "decided", "opened-tomorrow"])
def test_what_is_not_pending_gets_no_advice(checked: Checked, matter: str) -> None:
    assert (matter, "1") not in checked.advice


def test_no_situation_is_forgotten(checked: Checked) -> None:
    assert {matter for matter, _ in checked.advice} == set(OUTCOMES)
    assert sum(checked.counts["advice"].values()) == len(checked.advice)


def test_applicants_who_share_a_name_are_both_looked_at(checked: Checked) -> None:
    assert (
        checked.of("two-of-one-name", "2") == ("REVIEW", ["NAME_ONLY_MATCH"])
        or "REPORT_MISSING" in checked.of("two-of-one-name", "2")[1]
    )
    assert "NAME_ONLY_MATCH" in checked.of("two-of-one-name", "2")[1]


def test_a_document_told_of_by_two_sources_is_one_finding(checked: Checked) -> None:
    for matter in ("record-repaired-elsewhere", "record-in-report-elsewhere", "record-rectified-elsewhere"):
        found = [row for row in checked.findings if row["matter_id"] == matter]
        assert len(found) == 1, matter


def test_a_finding_names_rule_clause_and_the_row_it_rests_on(checked: Checked) -> None:
    found = next(row for row in checked.findings if row["matter_id"] == "listed")
    entry = next(
        row for row in checked.lake.rows("list_entry", TODAY) if row["uscc"] == checked.advice["listed", "1"]["uscc"]
    )
    assert (found["rule"], found["clause"], found["effect"]) == ("list.black", "三", "RESTRICT")
    assert found["evidence_table"] == "list_entry"
    assert found["evidence_source"] == entry["source"] == "blacklists"
    assert found["evidence_key"] == entry["natural_key"]
    assert (found["evidence_seq"], found["evidence_sha256"], found["evidence_row"]) == (
        entry["seq"], entry["raw_sha256"], entry["raw_row"],
    )  # fmt: skip
    assert found["until"] == date(2027, 1, 1)


def test_every_finding_belongs_to_an_advice_and_every_sanction_has_evidence(checked: Checked) -> None:
    ids = {row["advice_id"]: row for row in checked.advice.values()}
    assert len({row["finding_id"] for row in checked.findings}) == len(checked.findings)
    for row in checked.findings:
        assert row["advice_id"] in ids
        assert row["clause"]
        if row["effect"] in ("EXCLUDE", "RESTRICT", "REVIEW", "INPUT_ERROR", "NOT_APPLICABLE"):
            assert None not in (row["evidence_key"], row["evidence_sha256"], row["evidence_seq"])


def test_an_advice_says_who_under_which_policy(checked: Checked) -> None:
    row = checked.advice["tested-before", "1"]
    assert (row["department"], row["matter_type"], row["leading"]) == ("czj", "政府采购", "as_written")
    assert row["test_date"] == date(2026, 3, 9)
    assert checked.advice["nothing", "1"]["test_date"] is None  # the day of the check, whatever it is
    assert row["policy"]
    assert len(row["policy_version"]) == 64
    assert row["source"] == "check"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("due", "DUE"),
        ("filed", "ON_TIME"),
        ("filed-tomorrow", "DUE"),
        ("filed-last-year", "DUE"),
        ("first-year", "EXEMPT_FIRST_YEAR"),
        ("gone", "NOT_DUE"),
        ("revoked", "REVIEW"),
    ],
)
def test_annual_reports(checked: Checked, name: str, status: str) -> None:
    row = checked.filings[name]
    assert (row["status"], row["report_year"], row["warn"]) == (status, 2025, status == "DUE")


def test_the_run_is_recorded(checked: Checked) -> None:
    with checked.house.ledger.begin() as session:
        run = session.get_one(CheckRun, checked.counts["check_id"])
        assert (run.district, run.as_of, run.seq) == ("370112", TODAY, checked.counts["seq"])
        assert run.read_seq == run.seq - 1
        assert set(run.snapshots) >= {"subject", "matter", "applicant", "credit_record"}
        assert run.engine.startswith("duckdb ")
        assert run.sources["blacklists"] == {"observed_on": "2026-06-15", "age_days": 0, "state": "fresh"}
        assert run.counts["advice"] == checked.counts["advice"]
        assert run.started_at == run.finished_at == NOW
    assert checked.counts["stale"] == []


def test_a_rerun_writes_nothing(checked: Checked) -> None:
    before = {name: checked.house.lake.snapshot_id(name) for name in ("advice", "finding", "filing_status")}
    again = check.run(checked.house, TODAY)
    assert again["seq"] is None
    assert again["advice"] == checked.counts["advice"]
    assert all(not any(counts.values()) for counts in again["changed"].values())
    assert {name: checked.house.lake.snapshot_id(name) for name in before} == before


def test_a_district_without_a_file_is_refused(house: House) -> None:
    from dataclasses import replace

    with pytest.raises(ConfigError):
        check.run(replace(house, district="999999"), TODAY)
