"""Runs case files through the compiled policy, in one batch, and says what did not come as expected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from chengxin import calendar, districts, engine
from chengxin.engine import Connection
from chengxin.policy import annual, casefacts, compile, duties, loader, sharing
from chengxin.policy.casefiles import READINGS, Given, as_bool, as_date, as_int, from_policy, read
from chengxin.policy.facts import Stale
from chengxin.policy.model import Policy
from chengxin.settings import House

EQUAL = (
    "decision", "status", "valid", "normalized", "reason", "until", "warn", "days_left", "expected_listing_by",
    "standing",
)  # fmt: skip
"""Keys that must be equal where a case names them; `reasons` are compared as a set, `cites` by `_cites_differ`."""

KINDS = ("matter", "annual_report", "identity", "sharing", "duty", "access")

_SETTINGS = ("priority_grades", "policy")

Came = Mapping[str, Mapping[str, Any]]
"""Reading → key → value."""


@dataclass(frozen=True)
class Mismatch:
    """One thing that did not come as expected."""

    case: Given
    key: str
    expected: Any
    came: Any

    def __str__(self) -> str:
        title = f" {self.case.title}" if self.case.title else ""
        place = f"{self.case.file} {self.case.id}{title}: {self.key}"
        return f"{place}: expected {_show(self.expected)}, came {_show(self.came)}"


@dataclass(frozen=True)
class Outcome:
    """What a run of cases gave."""

    cases: int
    mismatches: tuple[Mismatch, ...]

    @property
    def failed(self) -> int:
        """Cases with at least one mismatch."""
        return len({id(mismatch.case) for mismatch in self.mismatches})


def run(files: Sequence[Path], policy: Policy | None = None, echo: Callable[[str], None] = typer.echo) -> int:
    """Runs the cases of some files, and says each mismatch and the sum.

    Args:
        files: JSON or YAML.
        policy: the policy; None: the document of the environment's district, without the district's own values.
        echo: where the lines go; the last one is `N passed, N failed`.

    Returns:
        Exit status: 0 all passed, 1 some failed.

    Raises:
        ConfigError: a file that holds no cases.
    """
    cases = [case for file in files for case in read(file)]
    outcome = check(cases, policy or document())
    for mismatch in outcome.mismatches:
        echo(str(mismatch))
    echo(f"{outcome.cases - outcome.failed} passed, {outcome.failed} failed")
    return 1 if outcome.failed else 0


def document(house: House | None = None) -> Policy:
    """The policy document of a district, without the district's own values.

    Args:
        house: whose; None: the environment's.

    Raises:
        ConfigError: several districts and none chosen, or a policy that cannot be used.
    """
    house = house or House.from_environment()
    district = districts.load(house.include_dir / "districts" / f"{house.district}.yml")
    return loader.load(house.include_dir / "policy" / district.policy)


def check_own(policy: Policy, connection: Connection | None = None) -> Outcome:
    """Runs the policy's own cases."""
    return check([from_policy(case, "cases") for case in policy.cases], policy, connection)


def check(cases: Sequence[Given], policy: Policy, connection: Connection | None = None) -> Outcome:
    """Compares what comes with what is expected."""
    came = evaluate(cases, policy, connection)
    mismatches: list[Mismatch] = []
    for case, got in zip(cases, came, strict=True):
        mismatches += _compare(case, got)
    return Outcome(len(cases), tuple(mismatches))


def evaluate(cases: Sequence[Given], policy: Policy, connection: Connection | None = None) -> list[Came]:
    """What the policy says of each case, in their order. One batch per kind and distinct file settings.

    Args:
        cases: the cases.
        policy: the policy.
        connection: the engine; None: a DuckDB of its own.
    """
    connection = connection or engine.connect()
    came: list[Came] = [{} for _ in cases]
    batches: dict[tuple[str, str, tuple[tuple[str, int | None], ...]], dict[str, Given]] = {}
    policies: dict[str, Policy] = {}
    for number, case in enumerate(cases):
        settings = json.dumps([case.config.get(name) for name in _SETTINGS], sort_keys=True, default=str)
        if settings not in policies:
            policies[settings] = _configured(policy, case.config, case.file)
        stale = tuple(sorted(case.stale.items()))
        batches.setdefault((case.kind, settings, stale), {})[str(number)] = case
    for (kind, name, _), batch in batches.items():
        judge = _JUDGES.get(kind)
        if judge is None:
            continue
        for key, got in judge(connection, policies[name], batch).items():
            came[int(key)] = got
    return came


def _configured(policy: Policy, config: Mapping[str, Any], file: str) -> Policy:
    """The policy with a file's own grades and days in force, where these differ."""
    grades = config.get("priority_grades")
    stated = config.get("policy")
    about: Mapping[str, Any] = stated if isinstance(stated, dict) else {}
    if isinstance(grades, list) and all(isinstance(grade, str) for grade in grades):
        old = policy.parameters["incentive.grades"].values[-1]
        if sorted(grades) != sorted(old.value["default"]):
            value = {"from": old.from_, "value": {**old.value, "default": grades}, "reference": f"{file}, config"}
            policy = loader.with_values(policy, {"incentive.grades": {"values": [value]}}, where=file)
    start, end = as_date(about.get("effective_from")), as_date(about.get("effective_to"))
    in_force = policy.document.in_force
    if start is not None and (start, end) != (in_force.from_, in_force.to):
        changed = in_force.model_copy(update={"from_": start, "to": end})
        policy = replace(policy, document=policy.document.model_copy(update={"in_force": changed}))
    return policy


def _judge_matters(connection: Connection, policy: Policy, cases: Mapping[str, Given]) -> dict[str, Came]:
    stale = {table: Stale((table,), age) for case in cases.values() for table, age in case.stale.items()}
    advised = compile.advise(policy, casefacts.matters(cases), stale, partial(engine.keep, connection))
    met: dict[str, set[str]] = {}
    if any(case.rules for case in cases.values()):
        findings = connection.to_pyarrow(advised.findings.select("applicant_id", "rule"))
        for row in findings.to_pylist():
            met.setdefault(row["applicant_id"], set()).add(row["rule"])
    came: dict[str, Came] = {}
    for row in connection.to_pyarrow(advised.advice).to_pylist():
        common = {"cites": row["cites"], "rules": met.get(row["applicant_id"], set())}
        came[row["applicant_id"]] = {
            reading: {
                "decision": row[reading],
                "until": row[f"{reading}_until"],
                "reasons": row[f"{reading}_reasons"],
                "flags": row["flags"],
                **common,
            }
            for reading in READINGS
        }
    return came


def _judge_annual(connection: Connection, policy: Policy, cases: Mapping[str, Given]) -> dict[str, Came]:
    subjects = casefacts.annual(cases)
    years = {year for case in cases.values() if (year := as_int(case.facts.get("report_year")))}
    rows = annual.statuses(
        policy,
        subjects,
        calendar.nth_working_day_after,
        years={year for year in years if 1 <= year < 9990},
    )
    return _both(connection, rows, ("status", "warn", "days_left", "expected_listing_by"))


def _judge_sharing(connection: Connection, policy: Policy, cases: Mapping[str, Given]) -> dict[str, Came]:
    return _both(connection, sharing.decide(policy, casefacts.sharing(cases)), ("decision", "reasons"))


def _judge_access(connection: Connection, policy: Policy, cases: Mapping[str, Given]) -> dict[str, Came]:
    return _both(connection, sharing.grant(policy, casefacts.access(cases)), ("decision", "reasons"))


def _both(connection: Connection, rows: Any, keys: Iterable[str]) -> dict[str, Came]:
    came: dict[str, Came] = {}
    for row in connection.to_pyarrow(rows).to_pylist():
        values = {key: row[key] for key in keys}
        values |= {"cites": [row["clause"]], "rules": {row["rule"]}}
        came[row["case"]] = dict.fromkeys(READINGS, values)
    return came


def _judge_identity(_: Connection, policy: Policy, cases: Mapping[str, Given]) -> dict[str, Came]:
    checked = casefacts.codes(cases)
    came: dict[str, Came] = {}
    for key, valid, normalized, reason in zip(
        checked.index, checked["valid"], checked["normalized"], checked["reason"], strict=True
    ):
        values = {"valid": bool(valid), "normalized": _plain(normalized), "reason": _plain(reason), "cites": []}
        came[str(key)] = dict.fromkeys(READINGS, values)
    return came


def _judge_duties(_: Connection, policy: Policy, cases: Mapping[str, Given]) -> dict[str, Came]:
    came: dict[str, Came] = {}
    for key, case in cases.items():
        facts = case.facts
        duty, body = str(facts.get("duty")), str(facts.get("body"))
        if duty not in policy.duties.duties:
            continue
        day = case.as_of or policy.document.in_force.from_
        done = bool(as_bool(facts.get("done")))
        standing = duties.standing(policy, duty, body, day, done=done)
        bound = {about.id for about in duties.of(policy, body, day)}
        values = {"standing": standing, "cites": [policy.duties.duties[duty].clause], "rules": bound}
        came[key] = dict.fromkeys(READINGS, values)
    return came


_JUDGES: Mapping[str, Callable[[Connection, Policy, Mapping[str, Given]], dict[str, Came]]] = {
    "matter": _judge_matters,
    "annual_report": _judge_annual,
    "identity": _judge_identity,
    "sharing": _judge_sharing,
    "duty": _judge_duties,
    "access": _judge_access,
}


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value


def _compare(case: Given, came: Came) -> list[Mismatch]:
    if not came:
        return [Mismatch(case, "kind", " or ".join(KINDS), case.kind)]
    if not case.expected:
        return [Mismatch(case, "expected", "at least one reading", None)]
    found: list[Mismatch] = []
    for reading, expected in case.expected.items():
        got = came[reading]
        prefix = "" if reading == "as_written" else f"{reading}."
        for key in EQUAL:
            if key in expected and not _equal(key, expected[key], got.get(key)):
                found.append(Mismatch(case, f"{prefix}{key}", expected[key], got.get(key)))
        if "reasons" in expected and set(expected["reasons"] or ()) != set(got.get("reasons") or ()):
            found.append(Mismatch(case, f"{prefix}reasons", expected["reasons"], got.get("reasons")))
        if "cites" in expected and _cites_differ(expected["cites"] or (), got.get("cites") or ()):
            found.append(Mismatch(case, f"{prefix}cites", expected["cites"], got.get("cites")))
    met = came["as_written"].get("rules", set())
    for rule, wanted in case.rules.items():
        if (rule in met) != wanted:
            found.append(Mismatch(case, f"rule {rule}", "met" if wanted else "not met", sorted(met)))
    return found


def _equal(key: str, expected: Any, came: Any) -> bool:
    if isinstance(came, date) and isinstance(expected, str | date):
        return as_date(expected) == came
    if key == "days_left" and isinstance(expected, float):
        return came == expected
    return type(expected) is type(came) and bool(expected == came)


def _cites_differ(expected: Iterable[Any], came: Iterable[str]) -> bool:
    """Clauses of part two must be the same, where any is named; those of parts three and four must be among ours."""
    wanted = {str(cite).replace("(", "（").replace(")", "）") for cite in expected}
    ours = set(came)
    own = {cite for cite in wanted if cite.startswith("二（")}
    rest = {cite for cite in wanted if cite == "三" or cite.startswith("四（")}
    return bool(own and own != {cite for cite in ours if cite.startswith("二（")}) or not rest <= ours


def _show(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | set | tuple):
        return f"[{', '.join(sorted(map(str, value)))}]"
    return "null" if value is None else str(value)
