"""A chunk's facts → one status column per rule, who is accepted, and the rejected rows with rule and value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chengxin import identity, persons, values
from chengxin.arrays import TEXT, Bools, mask
from chengxin.normalise import Facts
from chengxin.quality.rules import CODE_VALID, HEADING, READABLE, REQUIRED, AnyRule, Family, Rule
from chengxin.values import CODE

Status: TypeAlias = npt.NDArray[np.int16]
VALUE_LENGTH = 80

CODE_WORDS = {
    "EXCEL_MANGLED": "被表格软件改成了科学计数",
    "IS_PERSONAL_ID": "是公民身份号码",
    "IS_REGNO_15": "是 15 位旧注册号",
    "IS_REGNO_13": "是 13 位旧注册号",
    "BAD_LENGTH": "长度不是 18 位",
    "BAD_ALPHABET": "含有代码不用的字符",
    "BAD_CLASS": "登记部门、机构类别或区划不合规则",
    "BAD_CHECK": "校验码不符",
}
"""Why a text is no credit code (`identity.REASONS`), in words."""


@dataclass(frozen=True)
class Judged:
    """What the rules say about a chunk's facts.

    Attributes:
        facts: the facts.
        rules: the rules of their table, in order.
        status: rule id → status per row; 0 is fine, else the number of the field, or 1.
        bad: rows that break an error rule.
    """

    facts: Facts
    rules: tuple[AnyRule, ...]
    status: Mapping[str, Status]
    bad: Bools

    def counts(self, severity: str) -> dict[str, int]:
        """Rows that break each rule of a severity; rules that nobody breaks are left out."""
        found = {
            rule.id: int(np.count_nonzero(self.status[rule.id])) for rule in self.rules if rule.severity == severity
        }
        return {name: count for name, count in found.items() if count}

    def code_reasons(self) -> dict[str, int]:
        """Values that are no credit code, by reason of `identity`."""
        total: dict[str, int] = {}
        for name in ("uscc", "agency_uscc", "handed_in_by"):
            problems = self.facts.problems.get(name)
            if problems is not None:
                places, counts = np.unique(problems[problems >= CODE] - CODE, return_counts=True)
                for place, count in zip(places, counts, strict=True):
                    reason = identity.REASONS[place]
                    total[reason] = total.get(reason, 0) + int(count)
        return total


def judge(connection: Any, facts: Facts, rules: tuple[AnyRule, ...], as_of: date) -> Judged:
    """Applies every rule to every row.

    Args:
        connection: a DuckDB connection; it evaluates the conditions of `rules.yml`.
        facts: rows of one fact table.
        rules: its rules.
        as_of: the day the harvest speaks for.
    """
    status: dict[str, Status] = {}
    for rule in rules:
        if isinstance(rule, Family):
            status[rule.id] = _family(facts, rule)
    status.update(_conditions(connection, facts, [rule for rule in rules if isinstance(rule, Rule)], as_of))
    bad = np.zeros(len(facts), bool)
    for rule in rules:
        if rule.severity == "error":
            bad |= status[rule.id] != 0
    return Judged(facts, rules, {rule.id: status[rule.id] for rule in rules}, bad)


def _family(facts: Facts, family: Family) -> Status:
    status = np.zeros(len(facts), np.int16)
    if family.id == READABLE:
        # Readers notice that headings are repeated; the row is whole, and says what it is by the rule of its own.
        status[mask(facts.unreadable.is_valid()) & ~facts.heading_row] = 1
    elif family.id == HEADING:
        status[facts.heading_row] = 1
    elif family.id == REQUIRED:
        for number, name in enumerate(family.fields, start=1):
            if name in facts.required:
                # An unreadable value has a rule of its own; a sentinel that means "none" is empty.
                empty = mask(facts.columns[name].is_null()) & (facts.problem(name) == values.OK)
                status[empty & (status == 0)] = number
    else:
        for number, name in enumerate(family.fields, start=1):
            problems = facts.problems.get(name)
            if problems is not None:
                hit = np.isin(problems, [code for code in family.problems if code < CODE])
                if CODE in family.problems:
                    hit |= problems >= CODE
                status[hit & (status == 0)] = number
    return status


def _conditions(connection: Any, facts: Facts, rules: list[Rule], as_of: date) -> dict[str, Status]:
    if not rules or not len(facts):
        return {rule.id: np.zeros(len(facts), np.int16) for rule in rules}
    used = {name for rule in rules for name in rule.fields}
    connection.register("_facts", pa.table({name: facts.columns[name] for name in sorted(used)}))
    chosen = ", ".join(f'COALESCE({rule.bad}, false) AS "{rule.id}"' for rule in rules)
    found = connection.sql(
        f"SELECT {chosen} FROM (SELECT *, DATE '{as_of}' AS as_of FROM _facts)"  # noqa: S608 our own rules file
    ).to_arrow_table()
    connection.unregister("_facts")
    return {rule.id: mask(found[rule.id]).astype(np.int16) for rule in rules}


def rejected(judged: Judged) -> pa.Table:
    """The rows that break an error rule, as content of the lake table `rejected`.

    Columns: those of `tables.REJECTED`, and `_at`, the row's place in the facts. The value is that of the first rule
    broken; citizens' numbers and phones in it are starred.
    """
    facts = judged.facts
    at = np.flatnonzero(judged.bad)
    errors = [rule for rule in judged.rules if rule.severity == "error"]
    hits = np.stack([judged.status[rule.id][at] for rule in errors], axis=1) if errors else np.zeros((len(at), 0))
    broken = hits != 0
    first = broken.argmax(axis=1) if len(at) else np.zeros(0, np.int64)
    field_no = hits[np.arange(len(at)), first].astype(np.int64) if len(at) else np.zeros(0, np.int64)
    ids = np.array([rule.id for rule in errors], dtype=object)
    heading = np.full(len(at), None, dtype=object)
    value = np.full(len(at), None, dtype=object)
    reason = np.full(len(at), None, dtype=object)
    for number, rule in enumerate(errors):
        reason[first == number] = rule.says
        if rule.id == READABLE:
            said = facts.unreadable.take(pa.array(at)).to_numpy(zero_copy_only=False)
            reason[first == number] = [f"{rule.says}：{why}" for why in said[first == number]]
        for place in np.unique(field_no[first == number]) if rule.fields else ():
            name = rule.fields[place - 1 if isinstance(rule, Family) else 0]
            rows = np.flatnonzero((first == number) & (field_no == place))
            heading[rows] = facts.headings.get(name, name)
            value[rows] = _shown(facts, name, at[rows])
            if rule.id == CODE_VALID:
                reason[rows] = _code_reason(facts, name, at[rows], rule.says)
    count = broken.sum(axis=1)
    return pa.table(
        {
            "fact_table": pa.repeat(pa.scalar(facts.table.name), len(at)),
            "rule": pa.array(ids[first], pa.string()) if len(at) else pa.array([], pa.string()),
            "rules": pa.ListArray.from_arrays(
                pa.array(np.concatenate(([0], np.cumsum(count))), pa.int32()),
                pa.array(ids[np.nonzero(broken)[1]], pa.string()),
            ),
            "column": pa.array(heading, pa.string()),
            "value": pa.array(value, pa.string()),
            "reason": pa.array(reason, pa.string()),
            "_at": pa.array(at),
        }
    )


def _shown(facts: Facts, name: str, at: npt.NDArray[np.int64]) -> Any:
    if name not in facts.text:
        return np.full(len(at), None, dtype=object)
    text = pc.utf8_slice_codeunits(persons.hide(facts.text[name].take(pa.array(at))), 0, VALUE_LENGTH)
    person = facts.problem(name)[at] == values.PERSON_AS_CODE
    person |= facts.problem(name)[at] == values.PERSONAL_ID
    hidden = pc.replace_substring_regex(text, r"[\dXx]", "*")
    return pc.if_else(pa.array(person), hidden, text).to_numpy(zero_copy_only=False)


def _code_reason(facts: Facts, name: str, at: npt.NDArray[np.int64], says: str) -> Any:
    words = pa.array([f"{says}：{CODE_WORDS.get(reason, '')}（{reason}）" for reason in identity.REASONS], TEXT)
    return words.take(pa.array(facts.problem(name)[at] - CODE)).to_numpy(zero_copy_only=False)
