"""The compiled policy against a second, independent reading, on thousands of random cases in one batch."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chengxin import calendar
from chengxin.policy import Policy

from . import generator, reference
from .conftest import judge
from .reference import COLUMN, TABLE

SEED = 20260615


def _say(case: dict[str, Any], expected: Any, came: Any) -> str:
    return f"expected {expected}\n came {came}\n of {case}"


def test_matters_agree_in_both_readings(policy: Policy) -> None:
    rng = random.Random(SEED)
    cases = [generator.matter_case(rng, number) for number in range(12_000)]
    seen: set[str] = set()
    for case, came in zip(cases, judge(policy, cases), strict=True):
        expected = reference.matter(case["facts"], case["as_of"], generator.VALID)
        for reading, answer in expected.items():
            got = {**came[reading], "reasons": set(came[reading]["reasons"]), "cites": set(came[reading]["cites"])}
            if answer["decision"] == "INPUT_ERROR":
                got["cites"].discard("三")
            got = {key: got[key] for key in answer}
            assert got == answer, _say(case, answer, got)
            seen.add(answer["decision"])
    assert seen == {*reference.ORDER, "INPUT_ERROR", "NOT_APPLICABLE"}


def test_annual_reports_agree(policy: Policy) -> None:
    rng = random.Random(SEED)
    cases = [generator.annual_case(rng, number) for number in range(4_000)]
    seen: set[str] = set()
    for case, came in zip(cases, judge(policy, cases), strict=True):
        expected = reference.annual(case["facts"], calendar.is_working_day)
        got = {key: came["as_written"][key] for key in expected}
        assert got == expected, _say(case, expected, got)
        seen.add(expected["status"])
    assert len(seen) == 8


def test_sharing_agrees(policy: Policy) -> None:
    rng = random.Random(SEED)
    cases = [generator.sharing_case(rng, number) for number in range(1_000)]
    for case, came in zip(cases, judge(policy, cases), strict=True):
        expected = reference.sharing(case["facts"])
        got = {"decision": came["as_written"]["decision"], "reasons": set(came["as_written"]["reasons"])}
        assert got == expected, _say(case, expected, got)


@pytest.mark.parametrize("listed", TABLE)
def test_every_cell_of_the_severity_table(policy: Policy, listed: str) -> None:
    reason, effects = TABLE[listed]
    columns = {form.lists for form in policy.forms if form.variant != "welfare"}
    assert columns == set(COLUMN)
    assert {kind: policy.cell(kind, listed).effect for kind in columns} == {
        kind: effects[COLUMN[kind]] for kind in columns
    }
    assert policy.lists.lists[listed].reason == reason
