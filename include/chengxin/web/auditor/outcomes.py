"""Advice in words: outcomes with their colours, reasons, rules and readings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from chengxin.desk.read import AdviceRow
from chengxin.policy import Policy
from chengxin.policy.loader import rules_of
from chengxin.policy.vocabulary import RANK
from chengxin.warn.words import Words

REPAIRED = "RECORD_REPAIRED"
"""The reason that no page gives: a repaired record is not spoken of, not even that it was one (信用修复)."""

OUTCOMES = tuple(sorted(RANK, key=lambda code: -RANK[code]))
"""The outcomes of an advice, the severest first."""

READINGS: Mapping[str, str] = {"as_written": "通知原文口径", "guarded": "现行法规口径", "both": "两种口径"}
PROBLEMS: Mapping[str, str] = {
    "EXCEL_MANGLED": "代码被电子表格改坏",
    "EMPTY": "没有代码",
    "IS_PERSONAL_ID": "填的是身份证号",
    "IS_REGNO_15": "填的是15位注册号",
    "IS_REGNO_13": "填的是13位注册号",
    "BAD_LENGTH": "代码位数不对",
    "BAD_ALPHABET": "代码含不允许的字符",
    "BAD_CLASS": "代码的登记部门或类别不对",
    "BAD_CHECK": "代码校验位不对",
}
"""Why an applicant has no code."""

WEIGHED: Mapping[str, str] = {
    "necessary": "作为必要条件",
    "scored": "计入评分或排序",
    "reference": "作为参考",
    "not_weighed": "未考量",
}
"""How the credit was weighed."""

SETTLED: Mapping[str, str] = {"upheld": "成立", "partly": "部分成立", "rejected": "不成立", "withdrawn": "主体撤回"}
"""What came of an objection."""

Tone = Literal["stop", "warn", "ask", "ok"]


@dataclass(frozen=True)
class Reading:
    """One reading's outcome."""

    name: str
    outcome: str
    until: object
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Speech:
    """Codes in words, for templates."""

    words: Words
    policy: Policy

    def tone(self, outcome: str) -> Tone:
        """The colour of an outcome."""
        return self.words.outcome(outcome).tone if outcome in self.words.mail.outcomes else "ask"

    def outcome(self, code: str | None) -> str:
        """An outcome in words."""
        return self.words.effect(code) if code else "—"

    def do(self, outcome: str) -> str:
        """What an outcome asks the department to do."""
        return self.words.outcome(outcome).do if outcome in self.words.mail.outcomes else ""

    def reasons(self, codes: Iterable[str]) -> list[str]:
        """Reasons in words; that a record was repaired is not said."""
        return [self.words.reason(code) for code in codes if code != REPAIRED]

    def flag(self, code: str) -> str:
        """A flag in words."""
        return dict(self.policy.words.flags).get(code, code)  # type: ignore[call-overload]

    def clause(self, name: str) -> str:
        """What a clause is about."""
        return self.policy.document.clauses.get(name, "")

    def rule(self, name: str) -> str:
        """What a rule is called; its id where the policy no longer has it."""
        return self._titles.get(name, name)

    def parameter(self, name: str) -> str:
        """What a parameter is called."""
        return self.policy.parameters[name].title if name in self.policy.parameters else ""

    @staticmethod
    def cell(value: object) -> tuple[str, str | None]:
        """A parameter's value; of a cell of the severity table (`list × kind = CODE`) its place and its outcome."""
        place, _, code = str(value).rpartition(" = ")
        return (place, code) if place and code in RANK else (str(value), None)

    def readings(self, advice: AdviceRow) -> tuple[Reading, Reading]:
        """Both readings of an advice, the leading one first."""
        found = {
            "as_written": Reading(
                "as_written", advice.as_written or "", advice.as_written_until, tuple(advice.as_written_reasons)
            ),
            "guarded": Reading("guarded", advice.guarded or "", advice.guarded_until, tuple(advice.guarded_reasons)),
        }
        leading = advice.leading if advice.leading in found else "as_written"
        (other,) = set(found) - {leading}
        return found[leading], found[other]

    @cached_property
    def _titles(self) -> Mapping[str, str]:
        found = {name: rule.title for name, (_, rule) in rules_of(self.policy).items() if rule}
        found |= {about.rule: about.title for about in self.policy.lists.lists.values()}
        found |= {about.rule: about.title for about in self.policy.lists.easings.values()}
        found |= {name: about.title for name, about in self.policy.stale.rules.items()}
        return found
