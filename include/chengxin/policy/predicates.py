"""What each condition of the closed vocabulary means: a Boolean expression over one relation, never null.

A rule is a list of conditions that all hold. `VOCABULARY[relation][name]` documents and builds one. A new condition
is one entry here with its case; nothing else interprets conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from chengxin.policy.vocabulary import Term, Unit

if TYPE_CHECKING:
    import ibis

Relation = Literal["gate", "report", "record", "incentive", "annual", "sharing", "access"]


@dataclass(frozen=True)
class Scope:
    """The row that a condition looks at, and the parameter values in force on its day."""

    row: ibis.Table
    epochs: tuple[Mapping[str, Any], ...]
    """Parameter id → value, one mapping per span of days between two changes of any value."""

    def each(self, parameter: str, build: Callable[[Any], ibis.Value], otherwise: ibis.Value) -> ibis.Value:
        """`build(value)` for the value in force on the row's day; `otherwise` where none is."""
        import ibis

        values = [epoch.get(parameter) for epoch in self.epochs]
        if all(value == values[0] for value in values):
            return otherwise if values[0] is None else build(values[0])
        branches = [
            (self.row.epoch == number, build(value)) for number, value in enumerate(values) if value is not None
        ]
        return ibis.cases(*branches, else_=otherwise)

    def years_after(self, day: ibis.Value, parameter: str) -> ibis.Value:
        """The anniversary of `day`, as many years on as the parameter says; a missing 29 February is the 28th."""
        import ibis

        return self.each(parameter, lambda years: day + ibis.interval(years=years), ibis.null("date"))


Build = Callable[[Scope, str], "ibis.Value"]


@dataclass(frozen=True)
class Condition:
    """One word of the vocabulary.

    Attributes:
        doc: its meaning, for `docs/POLICY.md`.
        build: its expression.
        unit: unit of the parameter that it takes; None: it takes none.
        dated: it turns on a day, so its cases show the day before, of and after.
        needs: fact table beside the relation's own that it rests on.
    """

    doc: str
    build: Build
    unit: Unit | None = None
    dated: bool = False
    needs: str | None = None


def _false() -> ibis.Value:
    import ibis

    return ibis.literal(False)


def _one_of(column: str) -> Build:
    """The column holds one of the parameter's words."""
    return lambda scope, parameter: scope.each(parameter, scope.row[column].isin, _false())


def _current(scope: Scope, parameter: str) -> ibis.Value:
    row = scope.row
    last = row.valid_to.coalesce(scope.years_after(row.issue_date, parameter))
    return (row.issue_date <= row.t) & (row.t <= last)


def _rectified(scope: Scope, _: str) -> ibis.Value:
    row = scope.row
    confirmed = row.rectified_confirmed_on
    return (confirmed <= row.t) & (confirmed >= row.identified_on.coalesce(confirmed))


def _grade_in(scope: Scope, parameter: str) -> ibis.Value:
    import ibis

    row = scope.row

    def holds(scales: Mapping[str, list[str]]) -> ibis.Value:
        named = [(row.scale == scale, row.grade.isin(grades)) for scale, grades in scales.items() if scale != "default"]
        default = row.grade.isin(scales["default"])
        return ibis.cases(*named, else_=default) if named else default

    return scope.each(parameter, holds, ibis.literal(False))


def _submission_known(scope: Scope, _: str) -> ibis.Value:
    return scope.row.submitted_on <= scope.row.as_of


def _day_of_next_year(scope: Scope, parameter: str) -> ibis.Value:
    """A month-day of the year after the report year."""
    import ibis

    def day(value: str) -> ibis.Value:
        month, day_of_month = (int(part) for part in value.split("-"))
        return ibis.date(scope.row.report_year + 1, month, day_of_month)

    return scope.each(parameter, day, ibis.null("date"))


VOCABULARY: dict[Relation, dict[str, Condition]] = {
    "gate": {
        "kind_known": Condition("the matter's type is a kind of this policy", lambda s, _: s.row.form >= 0),
        "code_valid": Condition("the applicant's code is valid", lambda s, _: s.row.code.notnull()),
        "day_known": Condition("the day to judge at is known", lambda s, _: s.row.t.notnull()),
        "in_force": Condition("the policy is in force on the test date", lambda s, _: s.row.in_force, dated=True),
    },
    "report": {
        "handed_in": Condition("there is a report at all", lambda s, _: s.row.evidence_id.notnull()),
        "own": Condition("the report is about this subject (equal codes)", lambda s, _: s.row.own),
        "any_own": Condition("some report handed in is about this subject", lambda s, _: s.row.any_own),
        "agency_filed": Condition("the issuing agency was filed", lambda s, _: s.row.agency_filed, needs="agency"),
        "consented": Condition("the subject's consent is live", lambda s, _: s.row.consent_active, needs="consent"),
        "current": Condition(
            "issue date ≤ test date ≤ last day of validity; without such a day, the anniversary given by the parameter",
            _current,
            unit="years",
            dated=True,
        ),
    },
    "record": {
        "repaired": Condition(
            "信用修复 completed on or before the test date", lambda s, _: s.row.repaired_on <= s.row.t, dated=True
        ),
        "rectified": Condition(
            "整改合格 confirmed by the identifying body, on or before the test date and not before the identification",
            _rectified,
            dated=True,
        ),
        "dated": Condition("its day of identification is known", lambda s, _: s.row.identified_on.notnull()),
        "within": Condition(
            "the test date is not after the anniversary of the identification",
            lambda s, p: s.row.t <= s.years_after(s.row.identified_on, p),
            unit="years",
            dated=True,
        ),
        "after": Condition(
            "the test date is after the anniversary of the identification",
            lambda s, p: s.row.t > s.years_after(s.row.identified_on, p),
            unit="years",
            dated=True,
        ),
        "in_report": Condition("the credit report contains it", lambda s, _: s.row.in_report),
        "kind_of_subject_known": Condition("the subject is of a known kind", _one_of("subject_kind"), unit="words"),
        "enterprise": Condition("the subject counts as an enterprise", _one_of("subject_kind"), unit="words"),
        "attribute_missing": Condition(
            "an attribute that the matter needs is missing", lambda s, _: s.row.attribute_missing
        ),
    },
    "incentive": {
        "grade_in": Condition(
            "the grade of the report that is read is one of these, by scale", _grade_in, unit="grades"
        ),
    },
    "annual": {
        "established_known": Condition("the date of establishment is known", lambda s, _: s.row.established.notnull()),
        "established_after_year": Condition(
            "established after 31 December of the report year",
            lambda s, _: s.row.established.year() > s.row.report_year,
            dated=True,
        ),
        "deregistered": Condition(
            "state 注销, unless that happens after the day",
            lambda s, _: (s.row.state == "注销") & ~(s.row.deregistered_on > s.row.as_of).fill_null(False),
            dated=True,
        ),
        "revoked": Condition(
            "the licence is revoked",
            lambda s, _: (s.row.state.startswith("吊销")) | ((s.row.revoked_on <= s.row.as_of).fill_null(False)),
        ),
        "submitted": Condition("a submission is known on the day", _submission_known, dated=True),
        "submitted_by": Condition(
            "submitted before the end of this day of the following year, Beijing time",
            lambda s, p: s.row.submitted_on <= _day_of_next_year(s, p),
            unit="month_day",
            dated=True,
        ),
        "corrected_after": Condition(
            "a correction known on the day came after the end of this day of the following year, Beijing time",
            lambda s, p: (s.row.corrected_on <= s.row.as_of) & (s.row.corrected_on > _day_of_next_year(s, p)),
            unit="month_day",
            dated=True,
        ),
        "before": Condition(
            "the day is before this day of the following year",
            lambda s, p: s.row.as_of < _day_of_next_year(s, p),
            unit="month_day",
            dated=True,
        ),
        "through": Condition(
            "the day is not after this day of the following year",
            lambda s, p: s.row.as_of <= _day_of_next_year(s, p),
            unit="month_day",
            dated=True,
        ),
        "question_complete": Condition(
            "report year and day are known", lambda s, _: s.row.report_year.notnull() & s.row.as_of.notnull()
        ),
    },
    "sharing": {
        "public": Condition("the item is marked public", lambda s, _: s.row.public),
        "item_in": Condition("the item is one of these", _one_of("item"), unit="words"),
        "consent_live": Condition(
            "the subject's consent stands: given, not withdrawn, not expired",
            lambda s, _: s.row.consent_live,
            dated=True,
        ),
        "use_named": Condition("the use names a matter", lambda s, _: s.row.use_matter_id.notnull()),
        "consent_for_matter": Condition(
            "the consent is for the matter of the use", lambda s, _: s.row.consent_matter_id == s.row.use_matter_id
        ),
        "consent_for_recipient": Condition(
            "the consent is for the recipient, where it names one",
            lambda s, _: (
                s.row.consent_recipient.isnull()
                | s.row.recipient.isnull()
                | (s.row.consent_recipient == s.row.recipient)
            ),
        ),
    },
    "access": {
        "identity_proven": Condition("who asks has proven who they are", lambda s, _: s.row.identity_proven),
        "own_record": Condition("the record asked for is the asker's own", lambda s, _: s.row.own),
        "public": Condition("what is asked for is public", lambda s, _: s.row.public),
        "consent_live": Condition("the other party's consent stands", lambda s, _: s.row.consent_live),
    },
}


def holds(terms: Iterable[Term], relation: Relation, scope: Scope) -> ibis.Value:
    """All the conditions, as one Boolean expression; no condition: true."""
    import ibis

    result: ibis.Value = ibis.literal(True)
    for number, term in enumerate(terms):
        value = VOCABULARY[relation][term.name].build(scope, term.parameter or "").fill_null(False)
        value = ~value if term.negated else value
        result = result & value if number else value
    return result


def problem(term: Term, relation: Relation, units: Mapping[str, Unit]) -> str | None:
    """What is wrong with a term, with what is allowed; None: nothing.

    Args:
        term: the condition.
        relation: what the rule looks at.
        units: parameter id → unit.
    """
    condition = VOCABULARY[relation].get(term.name)
    if condition is None:
        return f"no condition {term.name!r} of a {relation}; one of {', '.join(VOCABULARY[relation])}"
    if condition.unit is None:
        return f"{term.name} takes no parameter" if term.parameter else None
    if term.parameter is None:
        return f"{term.name} needs a parameter: write {{{term.name}: <parameter id>}}"
    if term.parameter not in units:
        return f"no parameter {term.parameter!r}; one of {', '.join(sorted(units))}"
    if units[term.parameter] != condition.unit:
        return f"{term.name} takes {condition.unit}; {term.parameter} is {units[term.parameter]}"
    return None
