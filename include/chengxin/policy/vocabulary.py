"""The closed words of a policy: effects and their rank, flags, units, matter attributes, and the form of a condition.

What a condition means stands in `chengxin.policy.predicates`. Reasons are each document's own, declared with their
meaning in its `vocabulary.yml`; a rule that uses another one is refused. `docs/POLICY.md` prints all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Effect = Literal["EXCLUDE", "RESTRICT", "NEED_REPORT", "REVIEW", "PRIORITY"]
"""What a rule may conclude. `CANNOT_TELL` and `PASS` come from the absence of an answer or of a finding."""

GateEffect = Literal["INPUT_ERROR", "NOT_APPLICABLE"]
"""What stops every other rule."""

RANK: dict[str, int] = {
    "PASS": 0,
    "PRIORITY": 1,
    "REVIEW": 2,
    "CANNOT_TELL": 3,
    "NEED_REPORT": 4,
    "RESTRICT": 5,
    "EXCLUDE": 6,
    "NOT_APPLICABLE": 7,
    "INPUT_ERROR": 8,
}
"""Outcome → severity: the most severe finding decides."""

Flag = Literal["CONSIDER", "LEGAL_REVIEW", "CURABLE", "HUMAN_DECISION"]
"""Advice beside the outcome; never part of it."""
FLAGS: tuple[Flag, ...] = get_args(Flag)

Unit = Literal["years", "working_days", "month_day", "grades", "words"]
"""`years`, `working_days`: whole numbers; `month_day`: MM-DD; `grades`: scale → grades, with `default`; `words`: a
list of words."""

ATTRIBUTES = ("procurement_form", "fund_kind", "land_method", "is_construction")
"""The attributes of a matter that a variant may ask for."""

Status = Literal[
    "EXEMPT_FIRST_YEAR", "NOT_DUE", "REVIEW", "CORRECTION_TOO_LATE", "ON_TIME", "LATE", "DUE", "OVERDUE"
]  # fmt: skip
"""Where a subject stands with an annual report."""

Strength = Literal["must", "encouraged", "protected"]
"""How a clause binds: `must` is a duty, `encouraged` is never a violation, `protected` keeps something from being
done."""


@dataclass(frozen=True)
class Term:
    """One condition of a rule: `name`, `{name: parameter id}`, or either under `not`."""

    name: str
    parameter: str | None = None
    negated: bool = False

    @classmethod
    def parse(cls, value: Any) -> Term:
        """A term as it stands in a file.

        Raises:
            ValueError: of another shape.
        """
        if isinstance(value, Term):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, dict) and len(value) == 1:
            ((key, inner),) = value.items()
            if key == "not":
                term = cls.parse(inner)
                return cls(term.name, term.parameter, not term.negated)
            if isinstance(key, str) and isinstance(inner, str):
                return cls(key, inner)
        raise ValueError(f"{value!r} is no condition: write `name`, `{{name: parameter}}` or `{{not: …}}`")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    def __str__(self) -> str:
        text = f"{self.name}: {self.parameter}" if self.parameter else self.name
        return f"not {text}" if self.negated else text
