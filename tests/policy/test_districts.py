"""A second, made-up district beside the first: other thresholds, dated; a kind of matter more; no code changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chengxin import districts
from chengxin.districts import District
from chengxin.errors import ConfigError
from chengxin.policy import Policy, cases, load

from .conftest import FOLDER, judge
from .generator import CODE

INCLUDE = Path(__file__).resolve().parents[1] / "districts/include"


@pytest.fixture(scope="module")
def district() -> District:
    """The made-up second district."""
    return districts.load(INCLUDE / "districts/990101.yml")


@pytest.fixture(scope="module")
def second(district: District) -> Policy:
    """Its policy, with its own values."""
    return load(INCLUDE / "policy" / district.policy, district)


def _case(
    kind: str, as_of: str, grade: str = "B", identified_on: str | None = None, **attributes: Any
) -> dict[str, Any]:
    report = {"subject_uscc": CODE, "agency_filed": True, "consent_active": True, "issue_date": as_of, "grade": grade}
    records = [{"subject_uscc": CODE, "identified_on": identified_on, "in_report": True}] if identified_on else []
    facts = {
        "subject": {"uscc": CODE, "kind": "企业"},
        "matter": {"type": kind, **attributes},
        "reports": [report],
        "records": records,
        "lists": [],
    }
    return {"id": "c", "kind": "matter", "as_of": as_of, "facts": facts}


def _decisions(policy: Policy, given: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [
        (came["as_written"]["decision"], str(came["as_written"]["until"] or "") or None)
        for came in judge(policy, given)
    ]


def test_beside_the_first(policy: Policy, second: Policy) -> None:
    central = {"procurement_form": "政府集中采购"}
    given = [
        _case("户外广告设置", "2026-03-10"),
        _case("评先评优", "2024-12-31", "A"),
        _case("评先评优", "2025-01-01", "A"),
        _case("评先评优", "2025-01-01", "AA"),
        _case("政府采购", "2025-12-31", identified_on="2024-06-01", **central),
        _case("政府采购", "2026-01-01", identified_on="2024-06-01", **central),
        _case("行政审批", "2023-06-30"),
        _case("行政审批", "2023-07-01"),
    ]
    assert _decisions(policy, given) == [
        ("INPUT_ERROR", None), ("PASS", None), ("PASS", None), ("PRIORITY", None), ("REVIEW", None), ("REVIEW", None),
        ("PASS", None), ("PASS", None),
    ]  # fmt: skip
    assert _decisions(second, given) == [
        ("PASS", None), ("PRIORITY", None), ("PASS", None), ("PASS", None), ("REVIEW", None),
        ("RESTRICT", "2026-06-01"), ("NOT_APPLICABLE", None), ("PASS", None),
    ]  # fmt: skip
    assert (policy.leading, second.leading) == ("as_written", "guarded")
    assert policy.version != second.version


def test_own_cases_pass_without_the_districts_values() -> None:
    outcome = cases.check_own(load(INCLUDE / "policy/shili-2023-1"))
    assert not outcome.mismatches


def test_a_districts_values_change_the_version(policy: Policy, district: District) -> None:
    changed = load(FOLDER, district)
    assert changed.version != policy.version
    assert changed.changed == ("incentive.grades", "procurement.window")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"procurement.windows": {"values": []}}, "no parameter 'procurement.windows'"),
        ({"procurement.window": {"values": [{"from": "2021-01-01", "value": 2}]}}, "reference"),
        ({"procurement.window": {"values": [{"from": "2021-01-01", "value": 0, "reference": "x"}]}}, "not in years"),
    ],
)
def test_unusable_values_are_refused(district: District, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(FOLDER, district.model_copy(update={"parameters": parameters}))
    assert said in str(raised.value)
    assert "district 990101, parameters" in str(raised.value)
