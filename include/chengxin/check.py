"""Policy × the facts of a day → findings, advice, filing statuses.

`run` is the stage: it reads the lake up to one point, judges every applicant of every pending matter and every
subject's annual report at once, and appends what changed. The same facts under the same policy append nothing.
`shadow` judges with a draft beside the adopted policy and writes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args

import ibis
from sqlalchemy import func, select

from chengxin import calendar, conclusions, contracts, districts, engine, freshness, linking, policy, rulebook
from chengxin.conclusions import Changes
from chengxin.districts import District
from chengxin.engine import Connection
from chengxin.errors import ConfigError
from chengxin.freshness import Age
from chengxin.ledger.models import CheckRun, Commit
from chengxin.linking import Linked
from chengxin.policy import Policy, annual, compile
from chengxin.policy.facts import Stale
from chengxin.policy.vocabulary import GateEffect
from chengxin.settings import House
from chengxin.tables import ADVICE, FACTS, FILING_STATUS, FINDING


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


@dataclass(frozen=True)
class Judged:
    """A day's conclusions: the content columns of `finding`, `advice` and `filing_status`, as temporary tables."""

    finding: ibis.Table
    advice: ibis.Table
    filing_status: ibis.Table

    @property
    def tables(self) -> dict[str, ibis.Table]:
        """The three by name; findings come before the advice that rests on them."""
        return {"finding": self.finding, "advice": self.advice, "filing_status": self.filing_status}


def run(house: House, as_of: date) -> dict[str, Any]:
    """Checks one day, and appends what changed.

    Args:
        house: where everything is; its clock stamps the ledger, and nothing else.
        as_of: the Beijing date to speak for.

    Returns:
        `check_id`, `as_of`, `seq` (null: nothing had changed), `advice` (outcome → applicants), `filing` (status →
        subjects), `findings` (rule → number), `changed` (table → new, changed, gone, restored), `stale` (sources).

    Raises:
        ConfigError: the district's or the policy's files cannot be used.
    """
    started = house.clock()
    district = load_district(house)
    rules = policy.load(house.include_dir / "policy" / district.policy, district)
    ages = freshness.ages(house, as_of, district.sources)
    connection = house.check_engine()
    point = linking.read_point(house)
    snapshots = {table.name: house.lake.snapshot_id(table.name) for table in FACTS}
    linked = linking.link(house, connection, district, as_of, point)
    table = calendar.load_table(house.include_dir / "calendar.yml")
    judged = judge(connection, rules, district, linked, stale_sources(house, ages), as_of, table)

    later = _next_day_checked(house, as_of)
    changed = _changes(house, connection, judged, as_of, later)
    counts = {
        "advice": _count(judged.advice, "decision"),
        "filing": _count(judged.filing_status, "status"),
        "findings": _count(judged.finding, "rule"),
        "changed": {change.table: change.counts for change in changed},
    }
    seq, check_id = _write(
        house,
        connection,
        [change for change in changed if change.total],
        CheckRun(
            district=district.code,
            as_of=as_of,
            read_seq=point.seq,
            snapshots={name: str(snapshot) for name, snapshot in snapshots.items() if snapshot is not None},
            policy=rules.id,
            policy_version=rules.version,
            rulebook=rulebook.keep(house, district),
            engine=f"{connection.name} {connection.version}",
            started_at=started,
            counts={**counts, "unclosed": list(point.unclosed)} if point.unclosed else counts,
            sources={
                name: {
                    "observed_on": age.observed_on.isoformat() if age.observed_on else None,
                    "age_days": age.age_days,
                    "state": age.state,
                }
                for name, age in ages.items()
            },
        ),
    )
    stale = [name for name, age in ages.items() if age.state != "fresh"]
    return {"check_id": check_id, "as_of": as_of.isoformat(), "seq": seq, **counts, "stale": stale}


def shadow(house: House, as_of: date, draft: Path) -> Shadow:
    """Judges one day's facts with a draft beside the adopted policy. Nothing is written.

    Args:
        house: where everything is.
        as_of: a day of the past, or today.
        draft: the draft's folder.

    Raises:
        ConfigError: one of the two policies cannot be used.
    """
    district = load_district(house)
    adopted = policy.load(house.include_dir / "policy" / district.policy, district)
    drafted = policy.load(draft, district)
    connection = house.check_engine()
    stale = stale_sources(house, freshness.ages(house, as_of, district.sources))
    table = calendar.load_table(house.include_dir / "calendar.yml")
    linked = linking.link(house, connection, district, as_of, linking.read_point(house))
    now, then = (
        judge(connection, rules, district, linked, stale, as_of, table, name=name)
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


def load_district(house: House) -> District:
    """The house's district.

    Raises:
        ConfigError: its file is missing or no valid district.
    """
    return districts.load(house.include_dir / "districts" / f"{house.district}.yml")


def stale_sources(house: House, ages: Mapping[str, Age]) -> dict[str, Stale]:
    """The sources that are too old for an answer, with the tables they feed.

    Which tables a broken contract feeds cannot be known, so it counts as feeding all: no answer is better than one
    that passes in silence.
    """
    stale = {}
    for name, age in ages.items():
        if age.state == "fresh":
            continue
        try:
            tables = contracts.load(house.include_dir / "sources" / f"{name}.yml").tables
        except ConfigError:
            tables = tuple(table.name for table in FACTS)
        stale[name] = Stale(tables, age.age_days, age.max_age_days)
    return stale


def judge(
    connection: Connection,
    rules: Policy,
    district: District,
    linked: Linked,
    stale: Mapping[str, Stale],
    as_of: date,
    table: calendar.Table,
    *,
    name: str = "judged",
) -> Judged:
    """What a policy says about the facts of a day.

    Args:
        connection: the engine that holds the facts.
        rules: the policy.
        district: for the leading reading.
        linked: the facts.
        stale: sources too old for an answer.
        as_of: the day.
        table: the operator's working days.
        name: prefix of the temporary tables.
    """
    advised = compile.advise(rules, linked.facts, stale, functools.partial(engine.keep, connection))
    finding = _findings(advised.findings, linked)
    advice = _advice(advised.advice, linked.applicants, rules, district)
    filing = _filings(rules, linked, as_of, table)
    return Judged(
        *[
            engine.keep(connection, f"{name}_{table.name}", rows.select(*columns))
            for table, rows in ((FINDING, finding), (ADVICE, advice), (FILING_STATUS, filing))
            if (columns := [column.name for column in table.columns])
        ]
    )


def _findings(found: ibis.Table, linked: Linked) -> ibis.Table:
    # What stops all rules rests on the applicant's own row, anything else on the fact that it cites.
    stops = found.effect.isin(get_args(GateEffect)).fill_null(False)
    own = linked.applicants.select(
        "applicant_id", evidence_source="own_source", evidence_key="own_key", evidence_seq="own_seq",
        evidence_sha256="own_sha256", evidence_row="own_row",
    )  # fmt: skip
    cited = linked.evidence.select(
        "evidence_id", evidence_table="table", evidence_key="natural_key", evidence_seq="seq",
        evidence_sha256="raw_sha256", evidence_row="raw_row",
    )  # fmt: skip
    stopped = found.filter(stops).drop("evidence_source").inner_join(own, "applicant_id")
    judged = found.filter(~stops).left_join(cited, ["evidence_table", "evidence_id"])
    rows = ibis.union(stopped.select(*_SAID, gate=True), judged.select(*_SAID, gate=False))
    about = linked.applicants.select("applicant_id", "advice_id", "matter_id", "applicant_no")
    rows = rows.inner_join(about, "applicant_id")
    none = ibis.null("string")
    rows = rows.mutate(
        source=rows.gate.ifelse(none, rows.evidence_source),
        fact=rows.gate.ifelse(none, rows.evidence_source.concat(linking.SEPARATOR, rows.evidence_key)),
    )
    key = ["advice_id", "reading", "rule", "clause", "evidence_table", "source", "fact"]
    return rows.mutate(
        finding_id=linking.short_id(rows, key),
        evidence_table=rows.gate.ifelse("applicant", rows.evidence_table),
    )


_SAID = (
    "applicant_id", "reading", "rule", "clause", "effect", "reasons", "flags", "until", "parameters", "evidence_table",
    "evidence_source", "evidence_key", "evidence_seq", "evidence_sha256", "evidence_row",
)  # fmt: skip


def _advice(advised: ibis.Table, applicants: ibis.Table, rules: Policy, district: District) -> ibis.Table:
    rows = advised.inner_join(
        applicants.select(
            "applicant_id",
            "advice_id",
            "matter_id",
            "applicant_no",
            "uscc",
            "name",
            "department",
            matter_type="type",
            test_date="own_test_date",
        ),
        "applicant_id",
    )
    leading = district.leading
    return rows.mutate(
        leading=ibis.literal(leading),
        decision=rows[leading],
        until=rows[f"{leading}_until"],
        reasons=rows[f"{leading}_reasons"],
        policy=ibis.literal(rules.id),
        policy_version=ibis.literal(rules.version),
    )


def _filings(rules: Policy, linked: Linked, as_of: date, table: calendar.Table) -> ibis.Table:
    def working_day_after(day: date, n: int) -> date:
        return calendar.nth_working_day_after(day, n, table)

    year = calendar.reported_year(as_of)
    rows = annual.statuses(rules, linked.filings, working_day_after, [year])
    return rows.mutate(policy_version=ibis.literal(rules.version))


KEYS: Mapping[str, tuple[str, ...]] = {
    "finding": ("finding_id",),
    "advice": ("advice_id",),
    "filing_status": ("uscc", "report_year"),
}
"""The columns that identify a conclusion."""


def hashed(name: str, rows: ibis.Table) -> dict[str, ibis.Value]:
    """What stands for a column where conclusions are compared.

    A source that was too old yesterday is a day older today: that alone is no change.

    Args:
        name: the table.
        rows: its content columns.
    """
    if name == "advice":
        return {"stale_sources": rows.stale_sources.map(lambda label: label.re_replace(r":[^:]*$", ""))}
    if name == "finding":
        return {"parameters": rows.parameters.re_replace(r'"age_days": *[^,}]*', '"age_days": 0')}
    return {}


def scope(name: str, as_of: date) -> dict[str, int]:
    """What a check of a day speaks of, where that is not the whole table."""
    return {"report_year": calendar.reported_year(as_of)} if name == "filing_status" else {}


def _changes(house: House, connection: Connection, judged: Judged, as_of: date, later: date | None) -> list[Changes]:
    return [
        conclusions.changes(
            house, connection, name, as_of, rows,
            key=KEYS[name], hashed=hashed(name, rows), scope=scope(name, as_of), later=later,
        )
        for name, rows in judged.tables.items()
    ]  # fmt: skip


def _count(rows: ibis.Table, column: str) -> dict[str, int]:
    counted = rows.group_by(column).agg(n=rows.count()).order_by(column).to_pyarrow().to_pylist()
    return {str(row[column]): int(row["n"]) for row in counted}


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


def _next_day_checked(house: House, as_of: date) -> date | None:
    with house.ledger.begin() as session:
        return session.scalar(
            select(func.min(CheckRun.as_of)).where(CheckRun.district == house.district, CheckRun.as_of > as_of)
        )


def _write(house: House, connection: Connection, changed: list[Changes], run: CheckRun) -> tuple[int | None, int]:
    """Appends the changes and records the check. Findings come before the advice that rests on them.

    A check killed on the way leaves its commit open in the ledger; the next one finds what was appended already, and
    appends the rest.
    """
    if changed:
        with house.ledger.begin() as session:
            commit = Commit(kind="check", name=run.district, as_of=run.as_of, opened_at=house.clock())
            session.add(commit)
            session.flush()
            run.seq = commit.seq
        snapshots = {change.table: str(conclusions.write(house, connection, change, commit.seq)) for change in changed}
    with house.ledger.begin() as session:
        if changed:
            closing = session.get_one(Commit, run.seq)
            closing.closed_at, closing.snapshots = house.clock(), snapshots
        run.finished_at = house.clock()
        session.add(run)
        session.flush()
        return run.seq, run.id
