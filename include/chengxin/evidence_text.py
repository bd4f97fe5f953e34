"""An explanation as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chengxin.evidence import Evidence, Explanation, Reason


def render(explanation: Explanation) -> str:
    """The whole explanation, one fact a line."""
    return "\n".join(_lines(explanation))


def _lines(it: Explanation) -> Iterator[str]:
    advice = it.advice
    leading, other = advice["leading"], "guarded" if advice["leading"] == "as_written" else "as_written"
    yield f"advice {advice['advice_id']}: {_outcome(advice, '')}"
    if not it.stands:
        yield "  withdrawn: a later check no longer says so"
    yield f"  matter: {_facts(it.matter) or advice['matter_id']}"
    yield f"  applicant: {_facts(it.applicant)}"
    if it.code_from_name:
        yield "  code: its source gave none; found by an exact name that one subject alone bears"
    if it.subject:
        yield f"  subject: {_facts(it.subject)}"
    yield f"  said on: {it.observed_on}; judged at: {advice.get('test_date') or 'the day of the check'}"
    yield f"  leading reading: {leading}"
    same = all(advice.get(f"as_written{part}") == advice.get(f"guarded{part}") for part in ("", "_until"))
    if same:
        yield f"  the other reading ({other}) says the same"
    else:
        yield f"  the other reading ({other}): {_outcome(advice, other)}"
    for clause, about in it.clauses.items():
        yield f"  clause {clause}: {about}"
    if advice.get("flags"):
        yield f"  flags: {', '.join(advice['flags'])}"
    if advice.get("stale_sources"):
        yield f"  too old to answer: {', '.join(advice['stale_sources'])} (source: days)"
    if not it.findings:
        yield "no findings: nothing speaks for or against it"
    for reason in it.findings:
        yield ""
        yield from _reason(reason)
    yield ""
    yield from _check(it)


def _outcome(advice: Mapping[str, Any], reading: str) -> str:
    decision = advice[reading] if reading else advice["decision"]
    prefix = f"{reading}_" if reading else ""
    until, reasons = advice.get(f"{prefix}until"), advice.get(f"{prefix}reasons")
    end = f" until {until}" if until else ""
    return f"{decision}{end} [{', '.join(reasons)}]" if reasons else f"{decision}{end}"


def _reason(reason: Reason) -> Iterator[str]:
    until = f" until {reason.until}" if reason.until else ""
    reading = "" if reason.reading == "both" else f" ({reason.reading} only)"
    yield f"finding {reason.finding_id}: {reason.effect or 'no effect'}{until}{reading}"
    yield f"  rule: {reason.rule}{f' {reason.title}' if reason.title else ' (not in the policy of today)'}"
    yield f"  clause: {reason.clause}"
    for name, words in reason.reasons.items():
        yield f"  reason: {name} {words}".rstrip()
    if reason.flags:
        yield f"  flags: {', '.join(reason.flags)}"
    for name, value in reason.parameters.items():
        yield f"  parameter {name}: {_parameter(value)}"
    if reason.do:
        yield f"  to do: {reason.do}"
    if reason.evidence is None:
        yield "  rests on: the absence of any"
    else:
        yield from _evidence(reason.evidence)


def _evidence(evidence: Evidence) -> Iterator[str]:
    yield f"  rests on: {evidence.table} {evidence.key} from {evidence.source}, commit {evidence.seq}"
    if evidence.fields:
        yield f"    fact: {_facts(evidence.fields)}"
    yield f"    raw file: sha256 {evidence.raw_sha256}, row {evidence.raw_row}"
    if evidence.raw_missing:
        yield f"    source record: {evidence.raw_missing}"
    else:
        yield f"    source record: {_facts(evidence.raw)}"


def _check(it: Explanation) -> Iterator[str]:
    check = it.check
    yield f"computed by check {check.get('id', '?')} of {check['as_of']}, on facts up to commit {check['read_seq']}"
    changed = "" if it.same_policy else " (the policy files have changed since)"
    yield f"  policy: {it.advice['policy']}, version {it.advice['policy_version']}{changed}"
    if check.get("engine"):
        yield f"  engine: {check['engine']}"
    for name, snapshot in sorted((check.get("snapshots") or {}).items()):
        yield f"  snapshot of {name}: {snapshot}"
    for name, age in sorted((check.get("sources") or {}).items()):
        seen = f"of {age['observed_on']}, {age['age_days']} days old" if age["observed_on"] else "never harvested"
        yield f"  source {name}: {seen}, {age['state']}"
    yield f"shown to: {it.viewer}"


def _facts(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items() if value is not None)


def _parameter(value: Any) -> str:
    if not isinstance(value, Mapping) or "value" not in value:
        return _facts(value) if isinstance(value, Mapping) else str(value)
    since = f", from {value['from']}" if value.get("from") else ""
    reference = f" ({value['reference']})" if value.get("reference") else ""
    return f"{value['value']}{since}{reference}"
