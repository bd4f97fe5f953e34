"""What findings and advice carry: flags, parameters, stale sources; and that compiling depends on the policy alone."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import pytest

from chengxin import engine
from chengxin.policy import Policy, casefacts, compile, load
from chengxin.policy.facts import Stale
from chengxin.policy.loader import with_values

from .conftest import given
from .generator import CODE

INCLUDE = Path(__file__).resolve().parents[1] / "districts/include"


def _case(kind: str, subject: str = "企业", day: str = "2026-03-10", **facts: Any) -> dict[str, Any]:
    usable = {"subject_uscc": CODE, "agency_filed": True, "consent_active": True, "issue_date": day, "grade": "A"}
    attributes = {"procurement_form": "政府集中采购", "fund_kind": "产业扶持资金"}
    return {
        "id": "x",
        "kind": "matter",
        "as_of": day,
        "facts": {
            "subject": {"uscc": CODE, "kind": subject},
            "matter": {"type": kind, **attributes},
            "reports": [usable],
            **facts,
        },
    }


def _advise(
    policy: Policy, case: dict[str, Any], stale: dict[str, Stale] | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    connection = engine.connect()
    advised = compile.advise(policy, casefacts.matters({"x": given(case)}), stale, partial(engine.keep, connection))
    (advice,) = connection.to_pyarrow(advised.advice).to_pylist()
    return connection.to_pyarrow(advised.findings).to_pylist(), advice


LISTED = {"subject_uscc": CODE}
RECORD = {"subject_uscc": CODE, "identified_on": "2025-06-01", "in_report": True}


FLAGGED = [
    (_case("政府采购", records=[RECORD]), ["LEGAL_REVIEW"]),
    (_case("行政审批", records=[RECORD]), ["CONSIDER"]),
    (_case("国有资产产权交易", reports=[]), ["CURABLE", "LEGAL_REVIEW"]),
    (_case("政府采购", lists=[{**LISTED, "list": "失信被执行人"}]), []),
    (_case("行政审批", lists=[{**LISTED, "list": "黑名单"}]), ["LEGAL_REVIEW"]),
    (_case("行政审批", "个体工商户", lists=[{**LISTED, "list": "黑名单"}]), ["HUMAN_DECISION", "LEGAL_REVIEW"]),
    (_case("行政审批", lists=[{"list": "黑名单"}]), []),
    (_case("行政审批"), []),
]


def test_flags(policy: Policy) -> None:
    batch = {str(number): given(case) for number, (case, _) in enumerate(FLAGGED)}
    advice = engine.connect().to_pyarrow(compile.advise(policy, casefacts.matters(batch)).advice).to_pylist()
    came = {row["applicant_id"]: sorted(row["flags"]) for row in advice}
    assert came == {str(number): flags for number, (_, flags) in enumerate(FLAGGED)}


def test_a_finding_says_which_values_it_used(policy: Policy) -> None:
    (finding,), _ = _advise(policy, _case("政府采购", records=[RECORD]))
    used = json.loads(finding["parameters"])
    assert used["procurement.window"] == {"value": 1, "from": "2021-01-01", "reference": "二（二）2；民法典201至203"}
    assert set(used) == {"procurement.window", "subject.enterprise_kinds"}
    assert (finding["clause"], finding["until"], finding["evidence_table"]) == (
        "二（二）2",
        date(2026, 6, 1),
        "credit_record",
    )


def test_a_list_finding_says_its_cell_and_basis(policy: Policy) -> None:
    (finding,), _ = _advise(policy, _case("政府采购", lists=[{**LISTED, "list": "失信被执行人"}]))
    assert json.loads(finding["parameters"])["lists.severity"] == {
        "value": "失信被执行人 × 政府采购 = EXCLUDE",
        "reference": "财库〔2016〕125号",
    }


def test_values_are_those_in_force_on_the_test_date(policy: Policy) -> None:
    changed = with_values(
        policy,
        {
            "procurement.window": [
                {"from": "2021-01-01", "value": 1, "reference": "a"},
                {"from": "2026-03-10", "value": 2, "reference": "b"},
            ]
        },
        "test",
    )
    old = {**RECORD, "identified_on": "2024-06-01"}
    assert _advise(changed, _case("政府采购", day="2026-03-09", records=[old]))[1]["as_written"] == "REVIEW"
    (finding,), advice = _advise(changed, _case("政府采购", day="2026-03-10", records=[old]))
    assert (advice["as_written"], advice["as_written_until"]) == ("RESTRICT", date(2026, 6, 1))
    assert json.loads(finding["parameters"])["procurement.window"]["reference"] == "b"


def test_a_stale_source_is_named_with_its_age(policy: Policy) -> None:
    stale = {
        "blacklists": Stale(("list_entry",), 5, 2),
        "registry": Stale(("subject",), None, 2),
        "annual_reports": Stale(("annual_report",), 9, 2),
    }
    findings, advice = _advise(policy, _case("行政审批"), stale)
    assert advice["as_written"] == advice["guarded"] == "CANNOT_TELL"
    assert advice["stale_sources"] == ["blacklists:5", "registry:never"]
    assert {finding["rule"]: json.loads(finding["parameters"])["max_age"] for finding in findings} == {
        "stale.list": {"source": "blacklists", "age_days": 5, "max_age_days": 2},
        "stale.subject": {"source": "registry", "age_days": None, "max_age_days": 2},
    }
    assert {finding["effect"] for finding in findings} == {"CANNOT_TELL"}


def test_only_the_stale_sources_findings_lose_their_effect(policy: Policy) -> None:
    lists = [{**LISTED, "list": "黑名单", "expires_on": "2027-01-01"}]
    _, advice = _advise(policy, _case("行政审批", lists=lists), {"another": Stale(("list_entry",), 5)})
    assert (advice["as_written"], advice["as_written_until"]) == ("RESTRICT", date(2027, 1, 1))
    findings, advice = _advise(policy, _case("行政审批", lists=lists), {"list_entry": Stale(("list_entry",), 5)})
    assert (advice["as_written"], advice["as_written_until"]) == ("CANNOT_TELL", None)
    assert advice["as_written_reasons"] == ["LIST_BLACK", "SOURCE_STALE"]
    assert {finding["rule"]: finding["effect"] for finding in findings} == {
        "list.black": None,
        "stale.list": "CANNOT_TELL",
    }


def test_input_errors_know_no_stale_source(policy: Policy) -> None:
    _, advice = _advise(policy, _case("没有"), {"blacklists": Stale(("list_entry",), 5)})
    assert (advice["as_written"], advice["stale_sources"]) == ("INPUT_ERROR", [])


def _facts_schema() -> compile.Facts:
    return compile.Facts(
        *[
            ibis.table(schema, name=name)
            for name, schema in (
                ("a", casefacts.APPLICANTS),
                ("r", casefacts.REPORTS),
                ("c", casefacts.RECORDS),
                ("e", casefacts.ENTRIES),
            )
        ]
    )


@pytest.mark.parametrize("dialect", ["duckdb", "pyspark"])
def test_compiles_without_rows_for_both_engines(policy: Policy, dialect: str) -> None:
    advised = compile.advise(policy, _facts_schema(), {"blacklists": Stale(("list_entry",), 5)})
    for rows in (advised.findings, advised.advice):
        assert str(ibis.to_sql(rows, dialect=dialect)).startswith(("SELECT", "WITH"))


def test_importing_the_policy_pulls_in_no_engine() -> None:
    heavy = "('ibis', 'duckdb', 'pandas')"
    code = f"import sys, chengxin.policy.cli, chengxin.policy; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_district_without_overrides_keeps_the_documents_version(policy: Policy) -> None:
    assert load(INCLUDE / "policy/shili-2023-1").changed == ()
    assert len(policy.version) == 64
