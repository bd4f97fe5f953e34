"""A policy as small numbers: every line that a finding can rest on, and reasons, flags and clauses as bits.

The engine joins and aggregates integers; words come back in the last step. The tables here are as long as the policy,
whatever the number of applicants.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chengxin.policy.model import Form, Parameter, Policy
from chengxin.policy.predicates import VOCABULARY
from chengxin.policy.rules import OWN, Cell, FactRule
from chengxin.policy.vocabulary import FLAGS, RANK

if TYPE_CHECKING:
    import ibis

CONSIDERED = "entry considered"
"""The line of a list entry that was given and does not count: cited, without a finding."""

EVIDENCE = {"report": "credit_report", "record": "credit_record", "incentive": "credit_report", "list": "list_entry"}


@dataclass(frozen=True)
class Line:
    """One thing that can be found: a rule, or a rule in one cell of the severity table.

    Attributes:
        rule: its stable id; None: no finding.
        needs: fact tables beside its evidence that it rests on.
    """

    rule: str | None
    clause: str
    as_written: int
    guarded: int
    ends: bool
    reasons: tuple[str, ...]
    flags: tuple[str, ...]
    relation: str
    parameters: tuple[str, ...] = ()
    note: str | None = None
    needs: tuple[str, ...] = ()
    cites_own: bool = True


@dataclass(frozen=True)
class Codebook:
    """The numbering of one policy."""

    policy: Policy

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """Kinds of matter and their variants, by number."""
        return self.policy.forms

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Reasons by bit, in alphabetical order, so that decoded lists are sorted."""
        return tuple(sorted(self.policy.words.reasons))

    @cached_property
    def clauses(self) -> tuple[str, ...]:
        """Clauses by bit."""
        return tuple(sorted(self.policy.document.clauses))

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every line, by number."""
        policy = self.policy
        lines = [Line(None, policy.lists.clause, 0, 0, False, (), (), "list")]
        for name, gate in policy.gates.rules.items():
            rank = RANK[gate.effect]
            lines.append(
                Line(name, gate.clause, rank, rank, False, gate.reasons, gate.flags, "gate", cites_own=gate.cites_own)
            )
        lines += [_line(name, rule, "report") for name, rule in self.report_rules.items()]
        lines += [_line(name, rule, "record") for name, rule in self.record_rules.items()]
        lines += [_line(name, rule, "incentive") for name, rule in policy.incentives.rules.items()]
        lines += [_line(policy.lists.ids[name], rule, "list") for name, rule in policy.lists.rules.items()]
        for listed, column in self.cells:
            lines.append(self._cell_line(listed, column, policy.cell(column, listed)))
        for name, stale in policy.stale.rules.items():
            rank = RANK["CANNOT_TELL"]
            lines.append(Line(name, stale.clause, rank, rank, False, stale.reasons, (), "stale"))
        return tuple(lines)

    @cached_property
    def report_rules(self) -> Mapping[str, FactRule]:
        """Report rules, shared and of single kinds."""
        own = {name: rule for matter in self.policy.matters.values() for name, rule in matter.report_rules.items()}
        return {**self.policy.reports.rules, **own}

    @cached_property
    def record_rules(self) -> Mapping[str, FactRule]:
        """Record rules, shared and of single kinds."""
        own = {name: rule for matter in self.policy.matters.values() for name, rule in matter.rules.items()}
        return {**self.policy.records.rules, **own}

    @cached_property
    def cells(self) -> tuple[tuple[str, str], ...]:
        """(list, column) of the severity table, eased columns included."""
        columns = dict.fromkeys(form.lists for form in self.forms)
        return tuple((listed, column) for listed in self.policy.lists.lists for column in columns)

    @cached_property
    def number(self) -> Mapping[str, int]:
        """Rule id → line, for rules that are one line."""
        return {line.rule: number for number, line in enumerate(self.lines) if line.rule and line.note is None}

    @cached_property
    def changes(self) -> tuple[date, ...]:
        """Days on which some parameter's value changes."""
        days = set()
        for parameter in self.policy.parameters.values():
            for value in parameter.values:
                days.add(value.from_)
                if value.to is not None:
                    days.add(value.to + timedelta(days=1))
        return tuple(sorted(days))

    @cached_property
    def epochs(self) -> tuple[Mapping[str, Any], ...]:
        """Parameter id → value in force, for each span between two changes; before the first change: nothing."""
        days = (date.min, *self.changes)
        return tuple(
            {
                name: value.value
                for name, parameter in self.policy.parameters.items()
                if (value := parameter.on(day)) is not None
            }
            for day in days
        )

    def epoch(self, day: ibis.Value) -> ibis.Value:
        """The span between two changes that a day lies in; without a day: the last."""
        import ibis

        number: ibis.Value = ibis.literal(0, "int32")
        for change in self.changes:
            number = number + (day >= ibis.literal(change)).fill_null(True).cast("int32")
        return number.cast("int32")

    def reason_bits(self, reasons: Iterable[str]) -> int:
        """Reasons as bits."""
        return _bits(self.reasons, reasons)

    def clause_bits(self, clauses: Iterable[str]) -> int:
        """Clauses as bits; `own` has none."""
        return _bits(self.clauses, (clause for clause in clauses if clause != OWN))

    def line_table(self) -> ibis.Table:
        """`line → rule, clause, as_written, guarded, ends, reason_bits, flag_bits, clause_bits, evidence_table`."""
        rows = [
            {
                "line": number,
                "rule": line.rule,
                "line_clause": None if line.clause == OWN else line.clause,
                "rank_written": line.as_written,
                "rank_guarded": line.guarded,
                "ends": line.ends,
                "line_reasons": self.reason_bits(line.reasons),
                "line_flags": _bits(FLAGS, line.flags),
                "line_clauses": self.clause_bits([line.clause]),
                "evidence_table": EVIDENCE.get(line.relation),
            }
            for number, line in enumerate(self.lines)
        ]
        return small_table(
            rows,
            line="int32", rule="string", line_clause="string", rank_written="int32", rank_guarded="int32",
            ends="boolean", line_reasons="int64", line_flags="int64", line_clauses="int64", evidence_table="string",
        )  # fmt: skip

    def form_table(self) -> ibis.Table:
        """`form → own_clause, own_bits`; -1 is a matter of no known kind."""
        general = self._general_clause()
        rows = [
            {
                "form": number,
                "own_clause": clause,
                "own_bits": self.clause_bits([clause]),
            }
            for number, clause in [(-1, general), *((n, form.clause) for n, form in enumerate(self.forms))]
        ]
        return small_table(rows, form="int32", own_clause="string", own_bits="int64")

    def cell_table(self) -> ibis.Table:
        """`list (any of its names), form → cell_line`."""
        number = {line.note: number for number, line in enumerate(self.lines) if line.note}
        rows = [
            {"list": name, "form": form_number, "cell_line": number[_note(listed, form.lists)]}
            for listed, about in self.policy.lists.lists.items()
            for name in (listed, *about.aliases)
            for form_number, form in enumerate(self.forms)
        ]
        return small_table(rows, list="string", form="int32", cell_line="int32")

    def parameter_table(self) -> ibis.Table:
        """`line, epoch → parameters` (JSON text: what the line used, with dates and references)."""
        rows = [
            {"line": number, "epoch": epoch, "parameters": text}
            for number, line in enumerate(self.lines)
            if line.parameters or line.note
            for epoch, text in enumerate(self._parameters(line))
        ]
        return small_table(rows, line="int32", epoch="int32", parameters="string")

    def _parameters(self, line: Line) -> list[str]:
        texts = []
        for day in (date.min, *self.changes):
            used: dict[str, Any] = {name: _value(self.policy.parameters[name], day) for name in line.parameters}
            if line.note:
                listed, column = line.note.split(" × ")
                cell = self.policy.cell(column, listed)
                used["lists.severity"] = {"value": f"{line.note} = {cell.effect}", "reference": cell.basis}
            texts.append(json.dumps(used, ensure_ascii=False, sort_keys=True))
        return texts

    def _cell_line(self, listed: str, column: str, cell: Cell) -> Line:
        about = self.policy.lists.lists[listed]
        rank = RANK[cell.effect]
        reasons = (about.reason, *([cell.adds] if cell.adds else []))
        flags = () if cell.basis else ("LEGAL_REVIEW",)
        return Line(
            cell.rule or about.rule, self.policy.lists.clause, rank, rank, cell.ends, reasons, flags, "list",
            note=_note(listed, column),
        )  # fmt: skip

    def _general_clause(self) -> str:
        """The clause of a matter that no file describes: the one that most kinds have."""
        clauses = [matter.clause for matter in self.policy.matters.values()]
        return max(sorted(set(clauses)), key=clauses.count)


def small_table(rows: Sequence[Mapping[str, Any]], **schema: str) -> ibis.Table:
    """A constant relation."""
    import ibis
    import pyarrow as pa

    columns = {name: [row[name] for row in rows] for name in schema}
    return ibis.memtable(pa.table(columns, schema=ibis.schema(schema).to_pyarrow()))


def _line(name: str, rule: FactRule, relation: str) -> Line:
    as_written = RANK[rule.effect or "PASS"]
    guarded = as_written if rule.guarded is None else RANK[rule.guarded.effect or "PASS"]
    words = VOCABULARY["record" if relation == "list" else relation]  # type: ignore[index]
    needs = tuple(sorted({table for term in rule.when if (table := words[term.name].needs)}))
    return Line(
        name, rule.clause, as_written, guarded, rule.until is not None, rule.reasons, rule.flags, relation,
        rule.parameters, needs=needs,
    )  # fmt: skip


def _note(listed: str, column: str) -> str:
    return f"{listed} × {column}"


def _value(parameter: Parameter, day: date) -> dict[str, Any] | None:
    value = parameter.on(day)
    if value is None:
        return None
    return {"value": value.value, "from": value.from_.isoformat(), "reference": value.reference}


def _bits(names: Sequence[str], chosen: Iterable[str]) -> int:
    bits = 0
    for name in chosen:
        bits |= 1 << names.index(name)
    return bits
