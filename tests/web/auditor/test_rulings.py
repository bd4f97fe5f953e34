"""What rules say stands in Chinese on the policy page, whatever the policy: nothing is left in English."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from chengxin import districts, policy
from chengxin.policy import docs
from chengxin.policy.predicates import VOCABULARY
from chengxin.web.auditor import rulings
from tests.conftest import ROOT

FILES = sorted([*ROOT.glob("include/districts/*.yml"), *ROOT.glob("tests/districts/include/districts/*.yml")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_is_left_in_english(file: Path) -> None:
    district = districts.load(file)
    found = policy.load(file.parents[1] / "policy" / district.policy, district)
    rows = docs.rows(found)
    assert len(rows) > 20
    for row in rows:
        for said in (*row.holds, *row.effect):
            words = rulings.chinese(found, said)
            assert words, row
            # Law is cited as it is called.
            assert not re.search("[A-Za-z_`]{2}", words.replace(said.name, "")), (row.rule, words)


def _places(words: str) -> set[str]:
    return {place for _, place, _, _ in string.Formatter().parse(words) if place}


def test_every_phrase_and_condition_has_its_chinese() -> None:
    assert set(rulings.PHRASES) == set(docs.PHRASES)
    assert set(rulings.CONDITIONS) == {name for conditions in VOCABULARY.values() for name in conditions}
    for name, words in rulings.PHRASES.items():
        assert _places(words) == _places(docs.PHRASES[name].replace("{plain}", "{codes}")), name


def test_a_condition_with_its_parameter_and_its_negation() -> None:
    district = districts.load(ROOT / "include/districts/370112.yml")
    found = policy.load(ROOT / "include/policy" / district.policy, district)
    holds = {row.rule: [rulings.chinese(found, said) for said in row.holds] for row in docs.rows(found)}
    assert holds["report.not_current"] == ["不满足“事实截止日在报告有效期内（报告未写有效期时的有效期）”"]
    assert holds["report.missing"] == ["不满足“提交了信用报告”"]
