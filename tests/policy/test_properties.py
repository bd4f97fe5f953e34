"""What must hold of every batch, whatever is in it: against the compiled path."""

from __future__ import annotations

import copy
import os
import random
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chengxin import engine
from chengxin.policy import Policy, casefacts, compile
from chengxin.policy.casefiles import READINGS
from chengxin.policy.vocabulary import RANK

from . import generator
from .conftest import given as as_given
from .conftest import judge

Case = dict[str, Any]
A_FEW = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""Each example is a batch of hundreds of cases."""

seeds = st.integers(0, 2**32)


def _batch(seed: int, size: int = 300) -> list[Case]:
    rng = random.Random(seed)
    return [generator.matter_case(rng, number) for number in range(size)]


def _changed(cases: list[Case], change: Callable[[random.Random, Case], None], seed: int) -> list[Case]:
    rng, changed = random.Random(seed + 1), copy.deepcopy(cases)
    for case in changed:
        change(rng, case)
    return changed


def _steps(old: list[Any], new: list[Any]) -> list[int]:
    """By how much a change made each case more severe, in either reading."""
    return [
        RANK[after[reading]["decision"]] - RANK[came[reading]["decision"]]
        for came, after in zip(old, new, strict=True)
        for reading in READINGS
    ]


def _adverse(rng: random.Random, case: Case) -> None:
    t, code = date.fromisoformat(case["as_of"]), case["facts"]["subject"].get("uscc")
    if rng.random() < 0.5:
        case["facts"]["records"].append(
            {
                "subject_uscc": code,
                "identified_on": (t - timedelta(days=rng.randrange(500))).isoformat(),
                "in_report": True,
            }
        )
    else:
        case["facts"]["lists"].append({"subject_uscc": code, "list": rng.choice(generator.LISTS)})


def _repair(rng: random.Random, case: Case) -> None:
    for record in case["facts"]["records"]:
        if rng.random() < 0.5:
            record["repaired_on"] = case["as_of"]
    for entry in case["facts"]["lists"]:
        if rng.random() < 0.5:
            entry["removed_on"] = case["as_of"]


def _shuffle(rng: random.Random, case: Case) -> None:
    rng.shuffle(case["facts"]["records"])
    rng.shuffle(case["facts"]["lists"])


def _double(rng: random.Random, case: Case) -> None:
    for name in ("records", "lists"):
        case["facts"][name] = case["facts"][name] * 2
    case["facts"]["reports"] = [report for report in case["facts"]["reports"] for _ in range(2)]


@A_FEW
@given(seed=seeds)
def test_what_a_change_may_do(policy: Policy, seed: int) -> None:
    """An adverse item never softens, a repair never hardens, order and duplicates change nothing.

    The variants of the cases are judged in one batch: compiling the policy is what takes time.
    """
    before = _batch(seed)
    variants = [before, *(_changed(before, change, seed) for change in (_adverse, _repair, _shuffle, _double))]
    came = judge(policy, [case for variant in variants for case in variant])
    size = len(before)
    old, adverse, repaired, shuffled, doubled = (came[n * size : (n + 1) * size] for n in range(len(variants)))
    assert min(_steps(old, adverse)) == 0
    assert max(_steps(old, adverse)) > 0
    assert max(_steps(old, repaired)) == 0
    assert min(_steps(old, repaired)) < 0
    assert shuffled == old
    assert doubled == old


def test_one_case_alone_and_among_many(policy: Policy) -> None:
    cases = _batch(7, 10_000)
    among = judge(policy, cases)
    for number in (0, 4_999, 9_999):
        assert judge(policy, [cases[number]]) == [among[number]]


def _canonical(policy: Policy, cases: list[Case]) -> tuple[list[Any], list[Any]]:
    facts = casefacts.matters({case["id"]: as_given(case) for case in cases})
    connection = engine.connect()
    advised = compile.advise(policy, facts, keep=partial(engine.keep, connection))
    return (
        sorted(map(repr, connection.to_pyarrow(advised.findings).to_pylist())),
        sorted(map(repr, connection.to_pyarrow(advised.advice).to_pylist())),
    )


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in Honolulu."""
    monkeypatch.setenv("TZ", "Pacific/Honolulu")
    time.tzset()
    yield
    os.environ.pop("TZ", None)
    time.tzset()


def test_same_inputs_same_rows_in_any_time_zone(policy: Policy, request: pytest.FixtureRequest) -> None:
    rng = random.Random(3)
    cases = _batch(13)
    annual = [generator.annual_case(rng, number) for number in range(300)]
    here = _canonical(policy, cases), judge(policy, annual)
    assert (_canonical(policy, cases), judge(policy, annual)) == here
    request.getfixturevalue("elsewhere")
    assert (_canonical(policy, cases), judge(policy, annual)) == here


ABSENCE = {"report.missing", "state_property.missing"}


def test_every_finding_names_clause_and_evidence(policy: Policy) -> None:
    facts = casefacts.matters({case["id"]: as_given(case) for case in _batch(17, 3_000)})
    connection = engine.connect()
    advised = compile.advise(policy, facts, keep=partial(engine.keep, connection))
    findings = connection.to_pyarrow(advised.findings).to_pylist()
    assert findings
    for finding in findings:
        assert finding["clause"] in policy.document.clauses
        assert finding["rule"]
        assert finding["evidence_id"] or finding["rule"] in ABSENCE or finding["rule"].startswith("gate.")
        assert (finding["evidence_id"] is None) == (finding["evidence_table"] is None)
    met: dict[str, set[str]] = {}
    for finding in findings:
        met.setdefault(finding["applicant_id"], set()).add(finding["effect"])
    for advice in connection.to_pyarrow(advised.advice).to_pylist():
        for reading in READINGS:
            assert advice[reading] == "PASS" or advice[reading] in met[advice["applicant_id"]]


def test_readings_stand_apart_only_where_they_differ(policy: Policy) -> None:
    facts = casefacts.matters({case["id"]: as_given(case) for case in _batch(19, 3_000)})
    rows = engine.connect().to_pyarrow(compile.advise(policy, facts).findings).to_pylist()
    by_evidence: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        by_evidence.setdefault((row["applicant_id"], row["rule"], row["evidence_id"]), {})[row["reading"]] = row[
            "effect"
        ]
    assert any("guarded" in readings for readings in by_evidence.values())
    for readings in by_evidence.values():
        assert set(readings) in ({"both"}, {"as_written", "guarded"})
        if "guarded" in readings:
            assert readings["as_written"] != readings["guarded"]
