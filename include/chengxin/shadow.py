"""A draft policy beside the adopted one, on the facts of a day: what it would change. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import ibis

from chengxin import calendar, check, engine, freshness, linking, policy
from chengxin.settings import House


@dataclass(frozen=True)
class Shadow:
    """What a draft policy would change on a day. `str()` is the text for a terminal."""

    as_of: date
    adopted: str
    """Version of the adopted policy."""
    draft: str
    """Version of the draft."""
    findings: Mapping[str, Mapping[str, int]]
    """Rule → gained, lost, changed (another effect, reading, reason, clause or end)."""
    advice: Mapping[str, int]
    """`PASS → REVIEW` → applicants; unchanged outcomes are left out."""
    filing: Mapping[str, int]
    """`DUE → OVERDUE` → subjects."""
    examples: Mapping[str, tuple[str, ...]]
    """Rule → a few ids of the advice concerned."""

    def __str__(self) -> str:
        lines = [f"adopted {self.adopted[:12]}, draft {self.draft[:12]}, facts of {self.as_of}"]
        for rule, counts in self.findings.items():
            numbers = ", ".join(f"{n} {kind}" for kind, n in counts.items() if n)
            lines.append(f"  rule {rule}: {numbers} (e.g. {', '.join(self.examples[rule])})")
        lines += [f"  advice {change}: {n} applicants" for change, n in self.advice.items()]
        lines += [f"  annual report {change}: {n} subjects" for change, n in self.filing.items()]
        return "\n".join(lines if len(lines) > 1 else [*lines, "  no difference"])


def shadow(house: House, as_of: date, draft: Path) -> Shadow:
    """Judges one day's facts with a draft beside the adopted policy. Nothing is written.

    Args:
        house: where everything is.
        as_of: a day of the past, or today.
        draft: the draft's folder.

    Raises:
        ConfigError: one of the two policies cannot be used.
    """
    district = check.load_district(house)
    adopted = policy.load(house.include_dir / "policy" / district.policy, district)
    drafted = policy.load(draft, district)
    connection = house.check_engine()
    stale = check.stale_sources(house, freshness.ages(house, as_of, district.sources))
    table = calendar.load_table(house.include_dir / "calendar.yml")
    linked = linking.link(house, connection, district, as_of, linking.read_point(house))
    now, then = (
        check.judge(connection, rules, district, linked, stale, as_of, table, name=name)
        for name, rules in (("adopted", adopted), ("drafted", drafted))
    )
    findings, examples = _findings_differ(now.finding, then.finding)
    return Shadow(
        as_of=as_of,
        adopted=adopted.version,
        draft=drafted.version,
        findings=findings,
        advice=_differ(now.advice, then.advice, ["advice_id"], "decision"),
        filing=_differ(now.filing_status, then.filing_status, ["uscc", "report_year"], "status"),
        examples=examples,
    )


def _findings_differ(now: ibis.Table, then: ibis.Table) -> tuple[dict[str, dict[str, int]], dict[str, tuple[str, ...]]]:
    """Rule → gained, lost, changed; and rule → a few advice ids."""
    key = ["advice_id", "rule", "evidence_source", "evidence_key"]

    def told(rows: ibis.Table, name: str) -> ibis.Table:
        rows = rows.mutate(
            evidence_source=rows.evidence_source.fill_null(""),
            evidence_key=rows.evidence_key.fill_null(""),
            said=engine.row_hash(rows, ["reading", "clause", "effect", "reasons", "flags", "until"]),
        )
        return rows.group_by(key).agg(**{name: rows.said.collect().sort().join("")})

    both = told(now, "adopted").outer_join(told(then, "drafted"), key)
    both = both.select(
        rule=both.rule.coalesce(both.rule_right),
        advice_id=both.advice_id.coalesce(both.advice_id_right),
        kind=ibis.cases(
            (both.adopted.isnull(), "gained"),
            (both.drafted.isnull(), "lost"),
            (both.adopted != both.drafted, "changed"),
            else_=ibis.null("string"),
        ),
    )
    both = both.filter(both.kind.notnull())
    counted = both.group_by("rule", "kind").agg(n=both.count(), ids=both.advice_id.collect(distinct=True).sort()[:3])
    findings: dict[str, dict[str, int]] = {}
    examples: dict[str, tuple[str, ...]] = {}
    for row in counted.order_by("rule", "kind").to_pyarrow().to_pylist():
        findings.setdefault(row["rule"], {"gained": 0, "lost": 0, "changed": 0})[row["kind"]] = int(row["n"])
        examples[row["rule"]] = tuple(sorted({*examples.get(row["rule"], ()), *row["ids"]})[:3])
    return findings, examples


def _differ(now: ibis.Table, then: ibis.Table, key: Sequence[str], column: str) -> dict[str, int]:
    both = now.select(*key, before=column).inner_join(then.select(*key, after=column), list(key))
    both = both.filter(both.before != both.after)
    return _count(both.select(change=both.before.concat(" → ", both.after)), "change")


def _count(rows: ibis.Table, column: str) -> dict[str, int]:
    counted = rows.group_by(column).agg(n=rows.count()).order_by(column).to_pyarrow().to_pylist()
    return {str(row[column]): int(row["n"]) for row in counted}
