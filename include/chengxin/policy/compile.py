"""Compiles a policy to relational expressions, and judges a batch of applicants with them.

The number of expressions depends on the policy alone. Each relation of facts is joined to its applicants once and gets
the number of the first rule of its matter that fits (a CASE expression per distinct order of rules); the union of
these is joined to the policy's lines and aggregated once per applicant. Reasons, flags and clauses travel as bits,
effect and end as one number, so that the most severe effect and its latest end are one maximum. Words come last
(`chengxin.policy.wording`).

The engine's session must stand in Asia/Shanghai (`engine.connect` sees to it). Nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from chengxin.policy.codebook import Codebook, small_table
from chengxin.policy.encoding import NO_END, RANK_STEP, bit_or, day_number
from chengxin.policy.facts import Advised, Facts, Stale
from chengxin.policy.model import Policy
from chengxin.policy.predicates import Relation, Scope, holds
from chengxin.policy.rules import Rule
from chengxin.policy.vocabulary import ATTRIBUTES, FLAGS, RANK
from chengxin.policy.wording import Wording, ranked

_ORDER_STEP = 10000000000

_FINDING = ("applicant_id", "form", "epoch", "line", "remarks", "last_day", "evidence_id", "stale_source", "lost")


def advise(
    policy: Policy,
    facts: Facts,
    stale: Mapping[str, Stale] | None = None,
    keep: Callable[[str, ir.Table], ir.Table] = lambda _, rows: rows,
) -> Advised:
    """What the policy says about each applicant, in both readings, lazily.

    Args:
        policy: the policy.
        facts: the batch.
        stale: sources that are too old → what they feed. Their findings lose their effect, and every applicant gets
            CANNOT_TELL, which only a more severe finding of a fresh source outranks.
        keep: called with a word and rows that are read more than once: may compute them and keep the result.
    """
    book = Codebook(policy)
    old = {
        source: Stale(tables, about.age_days, about.max_age_days)
        for source, about in sorted((stale or {}).items())
        if (tables := tuple(table for table in about.tables if table in policy.stale.tables))
    }
    compiled, wording = _Compiler(policy, book, old), Wording(book, old)
    applicants = keep("applicants", compiled.applicants(facts.applicants))
    judged = applicants.filter(applicants.gate.isnull())
    found = [
        compiled.gates(applicants),
        compiled.reports(judged, facts.reports, keep),
        compiled.records(judged, facts.records),
        compiled.entries(applicants, facts.entries),
    ]
    if old:
        found.append(compiled.cannot_tell(judged))
    # An applicant or a fact may go by a number or by a text: where there is no evidence, its type is that of the rest.
    none = ibis.null(facts.reports.evidence_id.type())
    found = [part.mutate(evidence_id=none) if part.evidence_id.type().is_null() else part for part in found]
    findings = ibis.union(*[part.select(*_FINDING) for part in found])
    findings = keep("findings", findings.mutate(absent=findings.evidence_id.isnull()))
    words = keep("words", wording.words(findings))
    outcomes = keep("outcomes", compiled.outcomes(applicants, findings))
    stopped = applicants.filter(applicants.gate.notnull()).select("applicant_id")
    said = words.select("word", "reading", "rule", "clause", "effect", "evidence_table")
    return Advised(wording.findings(findings, words), said, stopped, wording.advice(outcomes))


@dataclass(frozen=True)
class _Compiler:
    policy: Policy
    book: Codebook
    stale: Mapping[str, Stale]

    def scope(self, row: ir.Table) -> Scope:
        return Scope(row, self.book.epochs)

    def applicants(self, given: ir.Table) -> ir.Table:
        """What the conditions look at: day, code, form of the matter, epoch, and the gate that stops, if any."""
        in_force = self.policy.document.in_force
        day = given.test_date
        inside = day >= ibis.literal(in_force.from_)
        if in_force.to is not None:
            inside = inside & (day <= ibis.literal(in_force.to))
        attributes = {name: self._attribute(given, name) for name in ATTRIBUTES}
        missing = ibis.literal(False)
        for names, needs in self._needs():
            for name in needs:
                missing = missing | (given.type.isin(names) & attributes[name].isnull())
        rows = given.select(
            "applicant_id", "subject_kind",
            t=day,
            code=given.uscc,
            form=self._form(given.type, attributes).cast("int32"),
            epoch=self.book.epoch(day),
            in_force=inside.fill_null(False),
            attribute_missing=missing.fill_null(False),
        )  # fmt: skip
        gates = self.policy.gates.rules
        return rows.mutate(gate=self.first(rows, "gate", gates, list(gates))).drop("in_force")

    def _needs(self) -> list[tuple[list[str], tuple[str, ...]]]:
        return [([m.kind, *m.aliases], m.needs) for m in self.policy.matters.values() if m.needs]

    def _attribute(self, given: ir.Table, name: str) -> ir.Value:
        """The attribute, or what the matter's name implies."""
        implied = [
            (given.type == alias, ibis.literal(values[name]))
            for matter in self.policy.matters.values()
            for alias, values in matter.aliases.items()
            if name in values
        ]
        return ibis.cases(*implied, else_=given[name]) if implied else given[name]

    def _form(self, kind: ir.Value, attributes: Mapping[str, ir.Value]) -> ir.Value:
        branches = []
        for number, form in enumerate(self.book.forms):
            fits: ir.Value = kind.isin([form.kind, *self.policy.matters[form.kind].aliases])
            for name, wanted in form.when.items():
                value = attributes[name]
                fits = fits & (value.isnull() if wanted is None else (value == wanted).fill_null(False))
            branches.append((fits, number))
        return ibis.cases(*branches, else_=-1)

    def first(self, row: ir.Table, relation: Relation, rules: Mapping[str, Rule], order: Iterable[str]) -> ir.Value:
        """The line of the first rule that fits; null: none."""
        scope = self.scope(row)
        branches = [
            (holds(rules[name].when, relation, scope), ibis.literal(self.book.number[name], "int32")) for name in order
        ]
        return ibis.cases(*branches, else_=ibis.null("int32"))

    def first_by_form(
        self,
        row: ir.Table,
        relation: Relation,
        rules: Mapping[str, Rule],
        order: Callable[[Any], Sequence[str]],
    ) -> ir.Value:
        """The same, where the order of the rules depends on the matter."""
        forms: dict[tuple[str, ...], list[int]] = {}
        for number, form in enumerate(self.book.forms):
            forms.setdefault(tuple(order(form)), []).append(number)
        branches = [
            (row.form.isin(numbers), self.first(row, relation, rules, names))
            for names, numbers in forms.items()
            if names
        ]
        return ibis.cases(*branches, else_=ibis.null("int32"))

    def gates(self, applicants: ir.Table) -> ir.Table:
        rows = applicants.filter(applicants.gate.notnull())
        return _finding(rows, line=rows.gate)

    def reports(self, judged: ir.Table, reports: ir.Table, keep: Callable[[str, ir.Table], ir.Table]) -> ir.Table:
        """Why there is no usable report; or the grade of the one that is read."""
        policy, book = self.policy, self.book
        given = reports.rename(report_applicant="applicant_id", report_code="uscc")
        rows = judged.left_join(given, judged.applicant_id == given.report_applicant)
        rows = rows.mutate(own=(rows.report_code == rows.code).fill_null(False))
        rows = rows.mutate(usable=holds(policy.reports.usable, "report", self.scope(rows)))
        place = day_number(rows.issue_date) * _ORDER_STEP + rows.position
        rows = rows.mutate(place=rows.usable.ifelse(place, ibis.null("int64")))
        rows = keep("reports", rows.drop("report_applicant", "report_code", "code", "gate", "position", "source"))
        each = rows.group_by("applicant_id").agg(read=rows.place.max(), any_own=rows.own.any())
        rows = rows.join(each, "applicant_id")
        bad = self.first_by_form(rows, "report", book.report_rules, lambda form: form.report)
        line = rows.read.isnull().ifelse(bad, ibis.null("int32"))
        rewarded = [number for number, form in enumerate(book.forms) if form.incentive is not None]
        if rewarded:
            grade = self.first_by_form(
                rows,
                "incentive",
                policy.incentives.rules,
                lambda form: [form.incentive] if form.incentive else [],
            )
            line = ibis.cases((rows.read.isnull(), bad), (rows.place == rows.read, grade), else_=ibis.null("int32"))
        rows = rows.mutate(line=line)
        rows = rows.filter(rows.line.notnull())
        return _finding(rows, line=rows.line, evidence=rows.evidence_id, lost=rows.line.isin(self._lost_report_lines()))

    def records(self, judged: ir.Table, records: ir.Table) -> ir.Table:
        """The rule that each record of the subject's own code meets."""
        rows = judged.join(records.rename(record_code="uscc"), "applicant_id")
        rows = rows.filter(rows.record_code == rows.code, rows.identified_on.isnull() | (rows.identified_on <= rows.t))
        rules = self.book.record_rules
        rows = rows.mutate(line=self.first_by_form(rows, "record", rules, lambda form: form.records))
        rows = rows.filter(rows.line.notnull())
        scope = self.scope(rows)
        remarks: ir.Value = ibis.literal(0, "int64")
        for remark in self.policy.records.remarks.values():
            bit = ibis.literal(self.book.reason_bits([remark.reason]), "int64")
            remarks = remarks | holds(remark.when, "record", scope).ifelse(bit, ibis.literal(0, "int64"))
        ends = [
            (rows.line == self.book.number[name], scope.years_after(rows.identified_on, term.parameter))
            for name, rule in rules.items()
            for term in rule.when
            if rule.until and term.name == "within" and term.parameter
        ]
        last_day = ibis.cases(*ends, else_=ibis.null("date")) if ends else ibis.null("date")
        return _finding(
            rows,
            line=rows.line,
            remarks=remarks,
            last_day=last_day,
            evidence=rows.evidence_id,
            lost=self._lost(rows.source, "credit_record"),
        )

    def entries(self, applicants: ir.Table, entries: ir.Table) -> ir.Table:
        """The cell of the severity table for each entry; those that do not count are cited all the same."""
        rows = applicants.join(entries.rename(entry_code="uscc"), "applicant_id")
        cells = self.book.cell_table()
        rows = rows.left_join(cells, ["list", "form"]).drop("list_right", "form_right")
        counts = (
            rows.gate.isnull()
            & (rows.listed_on.isnull() | (rows.listed_on <= rows.t))
            & (rows.removed_on.isnull() | (rows.removed_on > rows.t))
            & (rows.expires_on.isnull() | (rows.expires_on >= rows.t))
            & (rows.entry_code.isnull() | (rows.entry_code == rows.code))
        )
        ids = self.policy.lists.ids
        line = ibis.cases(
            (~counts.fill_null(False), 0),
            (rows.entry_code.isnull(), self.book.number[ids["name_only"]]),
            (rows.cell_line.isnull(), self.book.number[ids["unknown"]]),
            else_=rows.cell_line,
        )
        return _finding(
            rows,
            line=line,
            last_day=rows.expires_on,
            evidence=rows.evidence_id,
            lost=self._lost(rows.source, "list_entry"),
        )

    def cannot_tell(self, judged: ir.Table) -> ir.Table:
        """One answer per applicant and stale source."""
        lines = {
            (source, self.book.number[self.policy.stale.tables[table]])
            for source, about in self.stale.items()
            for table in about.tables
        }
        rows = [{"stale_line": line, "stale_source": source} for source, line in sorted(lines)]
        each = judged.cross_join(small_table(rows, stale_line="int32", stale_source="string"))
        return _finding(each, line=each.stale_line, stale_source=each.stale_source)

    def _lost(self, source: ir.Value, table: str) -> ir.Value:
        old = [name for name, about in self.stale.items() if table in about.tables]
        return source.isin(old).fill_null(False) if old else ibis.literal(False)

    def _lost_report_lines(self) -> list[int]:
        """Lines whose answer rests on a stale source: the absence of a report is one of all its sources."""
        old = {table for about in self.stale.values() for table in about.tables}
        return [
            number
            for number, line in enumerate(self.book.lines)
            if line.relation in ("report", "incentive") and old & {"credit_report", *line.needs}
        ]

    def outcomes(self, applicants: ir.Table, found: ir.Table) -> ir.Table:
        """One row per applicant, in numbers: the most severe effect and its latest end, all reasons, flags, clauses."""
        book = self.book
        found = ranked(found, self.book)
        end = (found.ends & found.last_day.notnull()).ifelse(day_number(found.last_day), NO_END).cast("int64")
        same = found.rank_written == found.rank_guarded
        each = found.group_by("applicant_id").agg(
            written=(found.rank_written.cast("int64") * RANK_STEP + end).max(),
            guarded_key=(found.rank_guarded.cast("int64") * RANK_STEP + same.ifelse(end, NO_END)).max(),
            reason_bits=bit_or(found.reason_bits),
            flag_bits=bit_or(found.line_flags),
            found_clauses=bit_or(found.line_clauses),
        )
        rows = applicants.left_join(each, "applicant_id").drop("applicant_id_right")
        rows = rows.join(book.form_table().select("form", "own_bits"), "form")
        rows = rows.mutate(
            written=rows.written.fill_null(NO_END),
            guarded_key=rows.guarded_key.fill_null(NO_END),
            reason_bits=rows.reason_bits.fill_null(0),
        )
        rows = rows.mutate(rank_written=rows.written // RANK_STEP, rank_guarded=rows.guarded_key // RANK_STEP)
        return rows.select(
            "applicant_id", "written", "guarded_key", "reason_bits", "rank_written", "rank_guarded",
            flag_bits=rows.flag_bits.fill_null(0) | self._human(rows),
            cite_bits=self._cite_bits(rows),
            stopped=rows.gate.notnull(),
        )  # fmt: skip

    def _human(self, rows: ir.Table) -> ir.Value:
        rule = self.policy.document.human_decision
        none = ibis.literal(0, "int64")
        if rule is None:
            return none
        ranks = [RANK[effect] for effect in rule.effects]
        fits = rows.subject_kind.isin(list(rule.kinds)) & (
            rows.rank_written.isin(ranks) | rows.rank_guarded.isin(ranks)
        )
        return fits.fill_null(False).ifelse(ibis.literal(1 << FLAGS.index("HUMAN_DECISION"), "int64"), none)

    def _cite_bits(self, rows: ir.Table) -> ir.Value:
        """The own clause, the clause that puts the policy in force, and those of the findings."""
        start = ibis.literal(self.book.clause_bits([self.policy.document.in_force.reference]), "int64")
        alone = [self.book.number[name] for name, gate in self.policy.gates.rules.items() if not gate.cites_own]
        further = rows.found_clauses.fill_null(0)
        return rows.gate.isin(alone).fill_null(False).ifelse(start, further | rows.own_bits | start)


def _finding(
    rows: ir.Table,
    *,
    line: ir.Value,
    remarks: ir.Value | None = None,
    last_day: ir.Value | None = None,
    evidence: ir.Value | None = None,
    stale_source: ir.Value | None = None,
    lost: ir.Value | None = None,
) -> ir.Table:
    none = ibis.literal(0, "int64")
    return rows.select(
        "applicant_id", "form", "epoch",
        line=line.cast("int32"),
        remarks=none if remarks is None else remarks,
        last_day=ibis.null("date") if last_day is None else last_day,
        evidence_id=ibis.null() if evidence is None else evidence,
        stale_source=ibis.literal("") if stale_source is None else stale_source,
        lost=ibis.literal(False) if lost is None else lost,
    )  # fmt: skip
