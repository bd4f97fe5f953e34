"""The model of a policy document: what its files may say.

A policy is a folder (`include/policy/<document>/`); `chengxin.policy.loader` reads it. Light on purpose: importing
this pulls in no engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, model_validator

from chengxin.policy.rules import (
    Access,
    Annual,
    Cell,
    Duties,
    FactRule,
    GateRules,
    IncentiveRules,
    Lists,
    RecordRules,
    ReportRules,
    Sharing,
    StaleRules,
    Text,
)
from chengxin.policy.vocabulary import Effect, Flag, Unit
from chengxin.yamlfile import Strict


class InForce(Strict):
    """From when to when a document applies."""

    from_: date = Field(alias="from")
    to: date | None = None
    reference: Text


class Note(Strict):
    """How an unclear place of the text is read."""

    about: Text
    reading: Text


class HumanDecision(Strict):
    """Where no officer may rest on an automatic answer alone: the advice is flagged HUMAN_DECISION."""

    kinds: tuple[str, ...]
    effects: tuple[Effect, ...]
    reference: Text


class Document(Strict):
    """`policy.yml`: what the document is."""

    id: Text
    title: Text
    number: Text
    issuer: Text
    aliases: tuple[str, ...] = ()
    extends: str | None = None
    """Folder (relative) of a document whose files stand unless this one brings its own."""
    in_force: InForce
    human_decision: HumanDecision | None = None
    confirm: Text | None = None
    """What the operator must confirm, such as whether it is still in force."""
    clauses: Mapping[str, Text]
    """Clause → what it is about, in our words."""
    notes: tuple[Note, ...] = ()


class Words(Strict):
    """`vocabulary.yml`: reasons, and the words shown for codes."""

    reasons: Mapping[str, Text]
    effects: Mapping[str, Text]
    flags: Mapping[Flag, Text]


class DatedValue(Strict):
    """A value, from when to when it holds, and where that is written."""

    value: Any
    from_: date = Field(alias="from")
    to: date | None = None
    reference: Text
    note: str | None = None


class Parameter(Strict):
    """A value that may change: dated, with references."""

    title: Text
    unit: Unit
    values: tuple[DatedValue, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> Parameter:
        for value in self.values:
            _check_unit(self.unit, value.value)
            if value.to is not None and value.to < value.from_:
                raise ValueError(f"ends ({value.to}) before it starts ({value.from_})")
        ordered = sorted(self.values, key=lambda value: value.from_)
        for earlier, later in pairwise(ordered):
            if earlier.from_ == later.from_ or (earlier.to is not None and earlier.to >= later.from_):
                raise ValueError(f"two values hold on {later.from_}: end the earlier before, or give one of them up")
        return self

    def on(self, day: date) -> DatedValue | None:
        """The value in force on a day."""
        fitting = [value for value in self.values if value.from_ <= day and (value.to is None or day <= value.to)]
        return max(fitting, key=lambda value: value.from_, default=None)


def _check_unit(unit: Unit, value: Any) -> None:
    match unit:
        case "years" | "working_days":
            fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
            wanted = "a whole number above 0"
        case "month_day":
            fits, wanted = isinstance(value, str) and _is_month_day(value), "a day as 'MM-DD' (in quotes)"
        case "grades":
            fits = isinstance(value, dict) and "default" in value and all(_words(grades) for grades in value.values())
            wanted = "scale: [grades], with `default`"
        case "words":
            fits, wanted = _words(value), "a list of words"
    if not fits:
        raise ValueError(f"{value!r} is not in {unit}: write {wanted}")


def _words(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(word, str) for word in value)


def _is_month_day(value: str) -> bool:
    match = re.fullmatch(r"(\d\d)-(\d\d)", value)
    if match is None:
        return False
    try:
        date(2023, int(match[1]), int(match[2]))
    except ValueError:
        return False
    return True


class Variant(Strict):
    """A special case of a matter kind: what is not said here is as in the kind."""

    title: Text
    when: Mapping[str, str | bool | None]
    """Attribute → value; null: missing."""
    clause: Text | None = None
    report: tuple[str, ...] | None = None
    records: tuple[str, ...] | None = None
    lists: str | None = None


class Case(Strict):
    """A case that a lawyer can read: title, day, facts, what is expected and why."""

    id: Text
    title: Text
    kind: Literal["matter", "annual_report", "identity", "sharing", "duty", "access"] = "matter"
    rules: Mapping[str, bool] = {}
    """Rule id → whether the case meets it."""
    as_of: date | None = None
    stale: Mapping[str, int | None] = {}
    """Fact table → age in days of its source, where that is too old for an answer; null: never harvested."""
    facts: Mapping[str, Any]
    expected: Mapping[str, Any]
    guarded: Mapping[str, Any] | None = None
    why: Text


class Cases(Strict):
    """`cases/<kind>.yml`."""

    cases: tuple[Case, ...]


class Matter(Strict):
    """One kind of matter: `matters/<kind>.yml`."""

    kind: Text
    code: Text
    clause: Text
    aliases: Mapping[str, Mapping[str, str | bool]] = {}
    """Another name of the kind → the attributes that this name implies."""
    needs: tuple[str, ...] = ()
    """Attributes whose absence is remarked upon."""
    report: tuple[str, ...] = Field(min_length=1)
    """Report rules in order."""
    records: tuple[str, ...] = Field(min_length=1)
    """Record rules in order."""
    lists: str
    """Column of the severity table."""
    incentive: str | None
    """The incentive rule; null: good credit has no effect here."""
    variants: Mapping[str, Variant] = {}
    rules: Mapping[str, FactRule] = {}
    """Record rules of this kind alone."""
    report_rules: Mapping[str, FactRule] = {}
    """Report rules of this kind alone."""
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True)
class Form:
    """A kind of matter, or one of its variants, with everything resolved."""

    kind: str
    variant: str | None
    title: str
    when: Mapping[str, str | bool | None]
    clause: str
    needs: tuple[str, ...]
    report: tuple[str, ...]
    records: tuple[str, ...]
    lists: str
    incentive: str | None


@dataclass(frozen=True)
class Policy:
    """A loaded policy document, with the district's values in place.

    Attributes:
        version: SHA-256 over everything that can change an outcome (not over cases and comments).
        changed: ids of parameters whose values come from the district file.
    """

    folder: str
    document: Document
    words: Words
    parameters: Mapping[str, Parameter]
    gates: GateRules
    reports: ReportRules
    records: RecordRules
    incentives: IncentiveRules
    lists: Lists
    stale: StaleRules
    matters: Mapping[str, Matter]
    annual: Annual
    sharing: Sharing
    access: Access
    duties: Duties
    cases: tuple[Case, ...]
    version: str
    leading: Literal["as_written", "guarded"] = "as_written"
    changed: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The document's id."""
        return self.document.id

    @property
    def forms(self) -> tuple[Form, ...]:
        """Every kind of matter, its variants before itself."""
        return tuple(form for matter in self.matters.values() for form in _forms(matter))

    def cell(self, column: str, listed: str) -> Cell:
        """The severity table's cell for a column and a list (its first name).

        Raises:
            KeyError: no such cell.
        """
        easing = self.lists.easings.get(column)
        if easing is not None:
            eased = self.cell(easing.of, listed)
            return (
                Cell(easing.to, easing.basis, easing.adds, ends=False, rule=easing.rule)
                if eased.effect in easing.effects
                else eased
            )
        for effect, cells in self.lists.lists[listed].cells.items():
            if column in cells:
                return Cell(effect, cells[column])
        raise KeyError(f"{listed} × {column}")


def _forms(matter: Matter) -> list[Form]:
    base = Form(
        matter.kind, None, matter.kind, {}, matter.clause, matter.needs,
        matter.report, matter.records, matter.lists, matter.incentive,
    )  # fmt: skip
    variants = [
        Form(
            matter.kind, name, variant.title, variant.when, variant.clause or matter.clause, matter.needs,
            variant.report or matter.report, variant.records or matter.records, variant.lists or matter.lists,
            matter.incentive,
        )
        for name, variant in matter.variants.items()
    ]  # fmt: skip
    return [*variants, base]
