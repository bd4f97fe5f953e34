"""The policy under test, loaded once, and what runs cases through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from chengxin.policy import Policy, cases, load
from chengxin.policy.casefiles import Given, as_date

FOLDER = Path(__file__).resolve().parents[2] / "include/policy/licheng-2020-2"


@pytest.fixture(scope="session")
def policy() -> Policy:
    """The notice, without any district's values."""
    return load(FOLDER)


def given(case: Mapping[str, Any]) -> Given:
    """A generated case as the runner reads it."""
    as_of = as_date(case.get("as_of") or case["facts"].get("as_of"))
    return Given("generated", case["id"], "", case["kind"], as_of, case["facts"], {}, {}, {})


def judge(policy: Policy, generated: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What the compiled policy says of generated cases, in one batch, in their order."""
    return cases.evaluate([given(case) for case in generated], policy)
