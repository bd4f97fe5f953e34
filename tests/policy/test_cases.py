"""The case runner: its format, what it prints, its exit status, and that odd values never stop it."""

from __future__ import annotations

import json
import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chengxin.errors import ConfigError
from chengxin.policy import Policy, cases, docs
from chengxin.policy.casefiles import as_date

from . import generator
from .conftest import FOLDER
from .generator import CODE

ROOT = FOLDER.parents[2]


def _file(tmp_path: Path, *given: dict[str, Any], **top: Any) -> Path:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"schema_version": "1.0", **top, "cases": list(given)}, ensure_ascii=False), "utf-8")
    return path


def _run(policy: Policy, *files: Path) -> tuple[int, list[str]]:
    lines: list[str] = []
    return cases.run(files, policy, lines.append), lines


def _approval(**facts: Any) -> dict[str, Any]:
    usable = {
        "subject_uscc": CODE,
        "agency_filed": True,
        "consent_active": True,
        "issue_date": "2026-03-10",
        "grade": "AAA",
    }
    return {"subject": {"uscc": CODE, "kind": "企业"}, "matter": {"type": "行政审批"}, "reports": [usable], **facts}


def test_the_policys_own_cases_pass(policy: Policy) -> None:
    status, lines = _run(policy, *sorted((FOLDER / "cases").glob("*.yml")))
    assert (status, lines) == (0, [f"{len(policy.cases)} passed, 0 failed"])


def test_a_mismatch_names_case_expected_and_came(policy: Policy, tmp_path: Path) -> None:
    right = {"decision": "PRIORITY", "reasons": ["HIGH_GRADE"], "until": None, "cites": ["三", "二（一）1", "某法1"]}
    path = _file(
        tmp_path,
        {"id": "ok", "kind": "matter", "as_of": "2026-03-10", "facts": _approval(), "expected": {"as_written": right}},
        {
            "id": "bad",
            "title": "错",
            "kind": "matter",
            "as_of": "2026-03-10",
            "facts": _approval(),
            "expected": {"as_written": {**right, "decision": "PASS"}, "guarded": {"cites": ["二（二）2"]}},
        },
    )
    status, lines = _run(policy, path)
    assert status == 1
    assert lines == [
        "cases.json bad 错: decision: expected PASS, came PRIORITY",
        "cases.json bad 错: guarded.cites: expected [二（二）2], came [三, 二（一）1, 四（一）]",
        "1 passed, 1 failed",
    ]


def test_all_kinds_in_one_file(policy: Policy, tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        {
            "id": "m",
            "kind": "matter",
            "as_of": "2026-03-10",
            "facts": _approval(),
            "expected": {"as_written": {"until": None}},
        },
        {
            "id": "i",
            "kind": "identity",
            "facts": {"raw": "９１３７０１１２－xxxx00019n\u200b"},
            "expected": {"as_written": {"valid": True, "normalized": CODE, "reason": None}},
        },
        {
            "id": "a",
            "kind": "annual_report",
            "facts": {"established": "2018-05-01", "report_year": 2024, "as_of": "2025-07-01", "state": "存续"},
            "expected": {"as_written": {"status": "OVERDUE", "expected_listing_by": "2025-07-14", "days_left": None}},
        },
        {
            "id": "s",
            "kind": "sharing",
            "facts": {"item": "信用报告", "to_org": "B局", "consent": None, "public": True},
            "expected": {"as_written": {"decision": "BLOCK", "reasons": ["CONSENT_REQUIRED"], "cites": ["四(三)"]}},
        },
    )
    assert _run(policy, path) == (0, ["4 passed, 0 failed"])


ODD: list[dict[str, Any]] = [
    {},
    {"subject": None, "matter": None, "reports": None, "records": None, "lists": None},
    {"subject": "x", "matter": 7, "reports": "none", "records": {"a": 1}, "lists": [None, 3, "x"]},
    _approval(records=[{"identified_on": "not a day", "subject_uscc": 7}], lists=[{"list": 5, "subject_uscc": CODE}]),
    _approval(
        reports=[{"issue_date": 20260310, "agency_filed": "是", "consent_active": 1, "subject_uscc": CODE.lower()}]
    ),
]


@pytest.mark.parametrize("kind", ["matter", "annual_report", "identity", "sharing"])
def test_odd_values_never_stop_the_run(policy: Policy, tmp_path: Path, kind: str) -> None:
    odd = [
        {"id": n, "kind": kind, "as_of": "2026-03-10", "facts": facts, "expected": {"as_written": {"flags": []}}}
        for n, facts in enumerate(ODD)
    ]
    undated = [
        {"kind": kind, "as_of": day, "facts": {}, "expected": {"as_written": {}, "guarded": {}}}
        for day in (None, "soon", 12)
    ]
    status, lines = _run(policy, _file(tmp_path, *odd, *undated))
    assert lines[-1].endswith(" failed")
    assert status in (0, 1)


def test_an_unknown_kind_fails(policy: Policy, tmp_path: Path) -> None:
    path = _file(tmp_path, {"id": "x", "kind": "tax", "facts": {}, "expected": {"as_written": {"decision": "PASS"}}})
    status, lines = _run(policy, path)
    assert status == 1
    assert "came tax" in lines[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"cases": 3}', "no list of cases"),
        ('{"cases": [{"id": 1}]}', "a case without facts"),
        ("", "not JSON"),
    ],
)
def test_a_malformed_file_is_refused(policy: Policy, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        _run(policy, path)


def test_a_files_own_settings_hold(policy: Policy, tmp_path: Path) -> None:
    case = {
        "id": "x",
        "kind": "matter",
        "as_of": "2026-03-10",
        "facts": _approval(),
        "expected": {"as_written": {"decision": "PRIORITY"}},
    }
    assert _run(policy, _file(tmp_path, case))[0] == 0
    assert _run(policy, _file(tmp_path, case, config={"priority_grades": ["A+"]}))[0] == 1
    late = {"policy": {"effective_from": "2026-03-11", "effective_to": None}}
    assert "came NOT_APPLICABLE" in _run(policy, _file(tmp_path, case, config=late))[1][0]


def test_thousands_in_one_batch(policy: Policy, tmp_path: Path) -> None:
    rng = random.Random(1)
    many = [{**generator.matter_case(rng, n), "expected": {"as_written": {}}} for n in range(3_000)]
    status, lines = _run(policy, _file(tmp_path, *many))
    assert (status, lines) == (0, ["3000 passed, 0 failed"])


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2025-06-30", date(2025, 6, 30)),
        ("2025-06-30T16:30:00Z", date(2025, 7, 1)),
        ("2025-06-30T15:59:59+00:00", date(2025, 6, 30)),
        ("2025-06-30T24:00:00+08:00", date(2025, 7, 1)),
        ("2025-07-01T00:30:00+09:00", date(2025, 6, 30)),
        ("2025-06-30 12:00:00 America/New_York", date(2025, 7, 1)),
        ("2025-06-30 17:00:00 UTC", date(2025, 7, 1)),
        ("2025/6/3", date(2025, 6, 3)),
        ("2025年6月3日", date(2025, 6, 3)),
        ("20250603", date(2025, 6, 3)),
        ("2025-02-30", None),
        ("soon", None),
        (True, None),
        (None, None),
    ],
)
def test_days(value: Any, day: date | None) -> None:
    assert as_date(value) == day


def test_policy_page_is_fresh(policy: Policy) -> None:
    assert (ROOT / "docs/POLICY.md").read_text("utf-8") == docs.page(policy), "run `make docs`"
