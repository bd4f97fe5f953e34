"""Whether a policy's files, each well-formed, hold together.

Every reason is declared, every clause is in the document's list and has a row, every condition is in the vocabulary
with a parameter of the right unit, every rule is used and has a case that meets it and one that does not, and the
severity table has a cell for every matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chengxin.errors import ConfigError
from chengxin.policy.model import Policy
from chengxin.policy.predicates import VOCABULARY, Relation, problem
from chengxin.policy.rules import OWN, Rule
from chengxin.policy.vocabulary import ATTRIBUTES, RANK, Term

MAX_REASONS = 62
"""Reasons travel as the bits of a 64-bit integer."""


@dataclass
class _Check:
    """Gathers the faults of a policy whose files are each well-formed."""

    policy: Policy
    faults: list[str] = field(default_factory=list)

    def rule(self, where: str, rule: Rule, relation: Relation) -> None:
        self.clause(where, rule.clause)
        self.reasons(where, rule.reasons)
        self.terms(where, rule.when, relation)

    def clause(self, where: str, clause: str) -> None:
        if clause != OWN and clause not in self.policy.document.clauses:
            self.faults.append(f"{where}.clause: {clause!r} is no clause of policy.yml; write one of those, or `own`")

    def reasons(self, where: str, reasons: Iterable[str]) -> None:
        for reason in reasons:
            if reason not in self.policy.words.reasons:
                self.faults.append(f"{where}.reasons: {reason!r} is not declared; add it to vocabulary.yml, reasons")

    def terms(self, where: str, terms: Iterable[Term], relation: Relation) -> None:
        units = {name: parameter.unit for name, parameter in self.policy.parameters.items()}
        for term in terms:
            fault = problem(term, relation, units)
            if fault:
                self.faults.append(f"{where}.when: {fault}")

    def names(self, where: str, names: Iterable[str], known: Iterable[str], what: str) -> None:
        known = list(known)
        for name in names:
            if name not in known:
                self.faults.append(f"{where}: no {what} {name!r}; one of {', '.join(sorted(known))}")

    def parameter(self, where: str, name: str, unit: str) -> None:
        parameter = self.policy.parameters.get(name)
        if parameter is None or parameter.unit != unit:
            self.faults.append(f"{where}: {name!r} is no parameter in {unit}")


def rules_of(policy: Policy) -> dict[str, tuple[Relation | None, Rule | None]]:
    """Every rule id of a policy → what it looks at, and the rule where it is one of conditions."""
    found: dict[str, tuple[Relation | None, Rule | None]] = {}
    groups: list[tuple[Relation, Mapping[str, Any]]] = [
        ("gate", policy.gates.rules),
        ("report", policy.reports.rules),
        ("record", policy.records.rules),
        ("incentive", policy.incentives.rules),
        ("annual", policy.annual.rules),
        ("sharing", policy.sharing.rules),
        ("access", policy.access.rules),
    ]
    for matter in policy.matters.values():
        groups += [("record", matter.rules), ("report", matter.report_rules)]
    for relation, rules in groups:
        found.update({name: (relation, rule) for name, rule in rules.items()})
    found.update({policy.lists.ids[name]: (None, rule) for name, rule in policy.lists.rules.items()})
    found.update({listed.rule: (None, None) for listed in policy.lists.lists.values()})
    found.update({easing.rule: (None, None) for easing in policy.lists.easings.values()})
    found.update(dict.fromkeys(policy.stale.rules, (None, None)))
    found.update(dict.fromkeys(policy.duties.duties, (None, None)))
    return found


def check(policy: Policy, folder: Path) -> None:
    """Refuses a policy that does not hold together.

    Raises:
        ConfigError: with every fault, each with its file, key and remedy.
    """
    found = _Check(policy)
    for part in (_check_words, _check_rules, _check_matters, _check_lists, _check_cases, _check_clauses):
        part(found)
    if found.faults:
        raise ConfigError(
            f"{len(found.faults)} fault{'s' if len(found.faults) > 1 else ''} in the policy {folder.name}",
            where=str(folder),
            why="; ".join(found.faults),
            remedy="mend the keys named above",
        )


def _check_words(check: _Check) -> None:
    words = check.policy.words
    start = check.policy.document.in_force.reference
    if start not in check.policy.document.clauses:
        check.faults.append(f"policy.yml in_force.reference: {start!r} is no clause; every advice cites it")
    missing = sorted(set(RANK) - set(words.effects))
    if missing:
        check.faults.append(f"vocabulary.yml effects: no words for {', '.join(missing)}")
    if len(words.reasons) > MAX_REASONS:
        check.faults.append(f"vocabulary.yml reasons: {len(words.reasons)}, at most {MAX_REASONS} are possible")


def _check_rules(check: _Check) -> None:
    policy = check.policy
    seen: dict[str, str] = {}
    groups: list[tuple[str, Relation, Mapping[str, Any]]] = [
        ("rules/gates.yml", "gate", policy.gates.rules),
        ("rules/reports.yml", "report", policy.reports.rules),
        ("rules/records.yml", "record", policy.records.rules),
        ("incentives.yml", "incentive", policy.incentives.rules),
        ("annual_report.yml", "annual", policy.annual.rules),
        ("sharing.yml", "sharing", policy.sharing.rules),
        ("access.yml", "access", policy.access.rules),
    ]
    for matter in policy.matters.values():
        file = f"matters/{matter.code}.yml"
        groups += [(file, "record", matter.rules), (file, "report", matter.report_rules)]
    for file, relation, rules in groups:
        for name, rule in rules.items():
            if name in seen:
                check.faults.append(f"{file} {name}: the rule id is taken in {seen[name]}; ids are unique")
            seen[name] = file
            check.rule(f"{file} {name}", rule, relation)
    check.terms("rules/reports.yml usable", policy.reports.usable, "report")
    for name, remark in policy.records.remarks.items():
        check.terms(f"rules/records.yml {name}", remark.when, "record")
        check.reasons(f"rules/records.yml {name}", [remark.reason])
    for name, stale in policy.stale.rules.items():
        check.clause(f"rules/staleness.yml {name}", stale.clause)
        check.reasons(f"rules/staleness.yml {name}", stale.reasons)
    check.names("rules/staleness.yml tables", policy.stale.tables.values(), policy.stale.rules, "rule")
    check.parameter("annual_report.yml deadline", policy.annual.deadline, "month_day")
    check.parameter("annual_report.yml listing", policy.annual.listing, "working_days")
    check.parameter("annual_report.yml kinds", policy.annual.kinds, "words")
    check.parameter("access.yml answer_within", policy.access.answer_within, "working_days")
    used = {name for form in policy.forms for name in (*form.report, *form.records, form.incentive)}
    fact_rules = {
        name for name, (relation, _) in rules_of(policy).items() if relation in ("report", "record", "incentive")
    }
    for name in sorted(fact_rules - used):
        check.faults.append(f"{seen[name]} {name}: no matter uses this rule; list it in a matter or drop it")


def _check_matters(check: _Check) -> None:
    policy = check.policy
    columns = {kind for listed in policy.lists.lists.values() for cells in listed.cells.values() for kind in cells}
    for matter in policy.matters.values():
        file = f"matters/{matter.code}.yml"
        check.clause(file, matter.clause)
        check.names(f"{file} needs", matter.needs, ATTRIBUTES, "attribute")
        for alias, implied in matter.aliases.items():
            check.names(f"{file} aliases.{alias}", implied, ATTRIBUTES, "attribute")
        for name, variant in matter.variants.items():
            check.names(f"{file} variants.{name}.when", variant.when, ATTRIBUTES, "attribute")
            if variant.clause:
                check.clause(f"{file} variants.{name}", variant.clause)
    report_rules, record_rules = set(policy.reports.rules), set(policy.records.rules)
    for form in policy.forms:
        matter = policy.matters[form.kind]
        file = f"matters/{matter.code}.yml"
        check.names(f"{file} report", form.report, report_rules | set(matter.report_rules), "report rule")
        check.names(f"{file} records", form.records, record_rules | set(matter.rules), "record rule")
        check.names(f"{file} lists", [form.lists], columns | set(policy.lists.easings), "column of lists.yml")
        if form.incentive is not None:
            check.names(f"{file} incentive", [form.incentive], policy.incentives.rules, "incentive rule")


def _check_lists(check: _Check) -> None:
    lists = check.policy.lists
    check.clause("lists.yml", lists.clause)
    for rule in lists.rules.values():
        check.rule("lists.yml rules", rule, "record")
    columns = {kind for listed in lists.lists.values() for cells in listed.cells.values() for kind in cells}
    names = [name for key, listed in lists.lists.items() for name in (key, *listed.aliases)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        check.faults.append(f"lists.yml: the list {name!r} stands twice")
    for name, listed in lists.lists.items():
        check.reasons(f"lists.yml {name}", [listed.reason])
        held = {kind for cells in listed.cells.values() for kind in cells}
        for kind in sorted(columns - held):
            check.faults.append(f"lists.yml {name}: no cell for {kind}; every list has an effect on every matter")
    for name, easing in lists.easings.items():
        check.names(f"lists.yml easings.{name}.of", [easing.of], columns, "column")
        check.reasons(f"lists.yml easings.{name}", [easing.adds])


def _check_cases(check: _Check) -> None:
    policy = check.policy
    rules = rules_of(policy)
    met: dict[str, list[bool]] = {name: [] for name in rules}
    ids: set[str] = set()
    for case in policy.cases:
        if case.id in ids:
            check.faults.append(f"cases {case.id}: the id stands twice")
        ids.add(case.id)
        for name, is_met in case.rules.items():
            if name not in met:
                check.faults.append(f"cases {case.id}: no rule {name!r}")
            else:
                met[name].append(is_met)
    for name, answers in met.items():
        if not any(answers) or all(answers):
            lacking = "meets it" if not any(answers) else "does not meet it"
            check.faults.append(f"rule {name}: no case {lacking}; add one under cases/, with `rules: {{{name}: …}}`")
            continue
        relation, rule = rules[name]
        dated = relation is not None and rule is not None and any(_is_dated(relation, term) for term in rule.when)
        if dated and len(answers) < 3:
            check.faults.append(f"rule {name} turns on a day: show the day before, the day and the day after")


def _is_dated(relation: Relation, term: Term) -> bool:
    condition = VOCABULARY[relation].get(term.name)
    return condition is not None and condition.dated and not term.negated


def _check_clauses(check: _Check) -> None:
    policy = check.policy
    named = {rule.clause for _, rule in rules_of(policy).values() if rule is not None}
    named |= {duty.clause for duty in policy.duties.duties.values()} | {form.clause for form in policy.forms}
    named |= {policy.lists.clause, policy.incentives.measures_clause, policy.annual.clause}
    for clause in policy.document.clauses:
        if clause not in named:
            check.faults.append(f"policy.yml clauses.{clause}: nothing runs for it; give it a rule or a duty")
