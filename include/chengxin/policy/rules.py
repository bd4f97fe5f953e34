"""The model of rules: what one rule of each kind may say, and the files that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from chengxin.policy.vocabulary import Effect, Flag, GateEffect, Status, Strength, Term
from chengxin.yamlfile import Strict

OWN = "own"
"""A rule's clause where it is the matter's own clause."""


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


Text = Annotated[str, AfterValidator(_filled)]


class Guarded(Strict):
    """The effect under current law, where it differs from the notice's words."""

    effect: Effect | None
    basis: Text


class Rule(Strict):
    """What every rule says: where it comes from, when it holds, which reasons it gives."""

    title: Text
    clause: Text
    """The clause it comes from; `own`: the matter's own clause."""
    when: tuple[Term, ...] = ()
    """All of them hold. The first rule of a list that fits is the one that counts."""
    reasons: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()
    """Other law it leans on."""
    flags: tuple[Flag, ...] = ()
    do: str | None = None
    """What the department should do."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Ids of the parameters it uses."""
        return tuple(dict.fromkeys(term.parameter for term in self.when if term.parameter))


class GateRule(Rule):
    """A rule that stops all others."""

    effect: GateEffect
    cites_own: bool = True
    """The matter's own clause is cited beside its clause."""


class FactRule(Rule):
    """A rule about one report, record or grade."""

    effect: Effect | None = None
    """None: a reason without effect."""
    until: Literal["anniversary"] | None = None
    """`anniversary`: the effect's last day is the anniversary that its `within` asks for."""
    guarded: Guarded | None = None

    @model_validator(mode="after")
    def _until_has_its_day(self) -> FactRule:
        if self.until and not any(term.name == "within" for term in self.when):
            raise ValueError("`until: anniversary` needs a `within` condition to take the anniversary from")
        return self


class Remark(Strict):
    """A reason added to a record's finding, whatever the rule."""

    title: Text
    when: tuple[Term, ...] = Field(min_length=1)
    reason: str


class ReportRules(Strict):
    """`rules/reports.yml`."""

    usable: tuple[Term, ...] = Field(min_length=1)
    """What makes a report usable: all of these."""
    rules: Mapping[str, FactRule]


class RecordRules(Strict):
    """`rules/records.yml`."""

    remarks: Mapping[str, Remark] = {}
    rules: Mapping[str, FactRule]


class IncentiveRules(Strict):
    """`incentives.yml`: what good credit earns, and the fields that come first."""

    rules: Mapping[str, FactRule]
    measures: Mapping[str, Text]
    """What a department may offer."""
    measures_clause: Text
    key_fields: tuple[Text, ...]
    """Fields whose matters are checked first."""
    key_fields_clause: Text


class GateRules(Strict):
    """`rules/gates.yml`."""

    rules: Mapping[str, GateRule]


class StaleRule(Strict):
    """The answer where a source is too old."""

    title: Text
    clause: Text
    reasons: tuple[str, ...]


class StaleRules(Strict):
    """`rules/staleness.yml`: fact table → the rule when its source is too old."""

    rules: Mapping[str, StaleRule]
    tables: Mapping[str, str]
    """Fact table → rule id."""


class ListedAs(Strict):
    """One list of section three: its reason, and a legal basis per effect and matter kind."""

    rule: Text
    reason: str
    title: Text
    aliases: tuple[str, ...] = ()
    cells: Mapping[Effect, Mapping[str, str | None]]
    """Effect → matter kind → legal basis; null: none, the finding is flagged LEGAL_REVIEW."""

    @model_validator(mode="after")
    def _one_effect_each(self) -> ListedAs:
        kinds = [kind for cells in self.cells.values() for kind in cells]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            raise ValueError(f"two effects for {', '.join(twice)}")
        return self


class Easing(Strict):
    """A column of the table that softens another one."""

    title: Text
    of: str
    effects: tuple[Effect, ...]
    to: Effect
    adds: str
    basis: Text
    rule: Text


class Lists(Strict):
    """`lists.yml`: section three, the lists' effect on each kind of matter."""

    clause: Text
    rules: Mapping[Literal["name_only", "unknown"], FactRule]
    ids: Mapping[Literal["name_only", "unknown"], str]
    lists: Mapping[str, ListedAs]
    easings: Mapping[str, Easing] = {}
    """Column name → the column it softens. Their ends fall away."""


@dataclass(frozen=True)
class Cell:
    """One cell of the severity table."""

    effect: Effect
    basis: str | None
    adds: str | None = None
    ends: bool = True
    """The effect ends with the entry."""
    rule: str | None = None
    """Its own rule, where that is not the list's."""


class AnnualRule(Rule):
    """A status of the annual report."""

    status: Status
    warn: bool = False
    counts_down: bool = False
    """Says how many calendar days are left."""
    listing_follows: bool = False
    """Says by when the listing is to be expected."""


class Annual(Strict):
    """`annual_report.yml`."""

    clause: Text
    deadline: str
    """Parameter id: last day of the window."""
    listing: str
    """Parameter id: working days after the window until the listing is to be expected."""
    kinds: str
    """Parameter id: the kinds of subject that report."""
    rules: Mapping[str, AnnualRule]


class SharingRule(Rule):
    """Whether something may be passed on."""

    decision: Literal["ALLOW", "BLOCK"]


class Sharing(Strict):
    """`sharing.yml`, and the access part of `duties.yml`."""

    rules: Mapping[str, SharingRule]


class Duty(Strict):
    """What a clause asks of a kind of body."""

    clause: Text
    title: Text
    who: tuple[str, ...]
    """Kinds of body (`districts.OrgKind`), or `credit_agency`."""
    strength: Strength
    what: Text


class Duties(Strict):
    """`duties.yml`: who must, and who is only encouraged."""

    duties: Mapping[str, Duty]


class Access(Strict):
    """`access.yml`: easy access to one's own and a partner's record."""

    answer_within: str
    """Parameter id: working days."""
    rules: Mapping[str, SharingRule]
