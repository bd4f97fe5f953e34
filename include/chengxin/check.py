"""Policy × the facts of a day → findings, advice, filing statuses.

`run` is the stage: it reads the lake up to one point, judges every applicant of every pending matter and every
subject's annual report at once, and appends what changed. The same facts under the same policy append nothing.
What
cannot have changed since the last check is carried over (`chengxin.carry`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import ibis
from sqlalchemy import func, select

from chengxin import (
    calendar,
    carry,
    conclusions,
    contracts,
    districts,
    engine,
    findings,
    freshness,
    linking,
    policy,
    rulebook,
)
from chengxin.collector import keeping_all
from chengxin.conclusions import Changes
from chengxin.districts import District
from chengxin.engine import Connection
from chengxin.errors import ConfigError
from chengxin.freshness import Age
from chengxin.ledger.models import CheckRun, Commit
from chengxin.linking import Linked, Only
from chengxin.policy import Policy, annual, compile
from chengxin.policy.facts import Stale
from chengxin.settings import House
from chengxin.tables import ADVICE, FACTS, FILING_STATUS, FINDING


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


def run(house: House, as_of: date, *, full: bool = False) -> dict[str, Any]:
    """Checks one day, and appends what changed.

    Args:
        house: where everything is; its clock stamps the ledger, and nothing else.
        as_of: the Beijing date to speak for.
        full: judge all, even those whose conclusions could be carried over.

    Returns:
        `check_id`, `as_of`, `seq` (null: nothing had changed), `advice` (outcome → applicants), `filing` (status →
        subjects), `findings` (rule → number), `changed` (table → new, changed, gone, restored), `scope` (`full`: why
        all were judged, or null; `applicants`, `subjects`: how many were; `unexpected`: rows that carrying over would
        have got wrong, where that was compared on this day), `stale` (sources).

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
    table = calendar.load_table(house.include_dir / "calendar.yml")
    book = rulebook.keep(house, district)
    ground = carry.ground(connection)
    base = carry.base(house, district, rules, ages, as_of, point, {**ground, "rulebook": book})
    why = base.why or ("asked for" if full else None)
    only = carry.touched(house, connection, district, rules, base, as_of, point) if base.holds else None
    if base.run is not None and only is not None and why is None and carry.nobody(only):
        came = _nothing(base.run)
    else:
        linked = linking.link(house, connection, district, as_of, point, None if why else only)
        judged = judge(connection, rules, district, linked, stale_sources(house, ages), as_of, table)
        some = None if only is None else _some(connection, only, linked)
        came = _compare(house, connection, judged, linked, as_of, some, carried=why is None)
    scope = {**came.size, "full": why, "unexpected": carry.alarm(base, as_of, came.unexpected)}
    changed = [change for change in came.changes if change.total]
    kept = {
        **came.counts,
        "scope": {
            **scope,
            "stands_on": ground,
            "verified_on": (as_of if why and only is not None else base.verified_on or as_of).isoformat(),
        },
    }
    seq, check_id = _write(
        house,
        connection,
        changed,
        CheckRun(
            district=district.code,
            as_of=as_of,
            read_seq=point.seq,
            snapshots={name: str(snapshot) for name, snapshot in snapshots.items() if snapshot is not None},
            policy=rules.id,
            policy_version=rules.version,
            rulebook=book,
            engine=f"{connection.name} {connection.version}",
            started_at=started,
            counts={**kept, "unclosed": list(point.unclosed)} if point.unclosed else kept,
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
    told = {**kept, "scope": scope}
    return {"check_id": check_id, "as_of": as_of.isoformat(), "seq": seq, **told, "stale": stale}


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
    finding, advice = matters(connection, rules, district, linked, stale)
    filing = _filings(rules, linked, as_of, table)
    return Judged(
        *[
            engine.keep(connection, f"{name}_{table.name}", rows.select(*columns))
            for table, rows in ((FINDING, finding), (ADVICE, advice), (FILING_STATUS, filing))
            if (columns := [column.name for column in table.columns])
        ]
    )


@keeping_all()
def matters(
    connection: Connection, rules: Policy, district: District, linked: Linked, stale: Mapping[str, Stale]
) -> tuple[ibis.Table, ibis.Table]:
    """What a policy says about the applicants of a day's matters: findings and advice, lazily."""
    advised = compile.advise(rules, linked.facts, stale, functools.partial(engine.keep, connection))
    return findings.worded(connection, advised, linked), _advice(advised.advice, linked.applicants, rules, district)


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


Some = Mapping[str, Mapping[str, ibis.Table]]
"""Conclusion table → the one column, and its values, by which those are known that a check is about."""


def _some(connection: Connection, only: Only, linked: Linked) -> Some:
    """What is said, and was said, of those that the check is about."""
    ids = ibis.union(only.advice, only.of(linked.applicants).select("advice_id"), distinct=True)
    ids = engine.keep(connection, "only_ids", ids)
    return {"finding": {"advice_id": ids}, "advice": {"advice_id": ids}, "filing_status": {"uscc": only.subjects}}


@dataclass(frozen=True)
class _Came:
    """What came out of a check, before it is written."""

    changes: list[Changes]
    counts: dict[str, Any]
    """`advice`, `filing`, `findings`, `changed`: as `run` returns them."""
    size: dict[str, int]
    """`applicants`, `subjects`: how many were judged."""
    unexpected: int | None = None


def _nothing(last: CheckRun) -> _Came:
    """Nobody was touched: all is as the last check left it."""
    same = {name: last.counts[name] for name in ("advice", "filing", "findings")}
    none = dict.fromkeys(("new", "changed", "gone", "restored"), 0)
    return _Came([], {**same, "changed": dict.fromkeys(KEYS, none)}, {"applicants": 0, "subjects": 0})


def _compare(
    house: House,
    connection: Connection,
    judged: Judged,
    linked: Linked,
    as_of: date,
    some: Some | None,
    *,
    carried: bool,
) -> _Came:
    """What was judged beside what the lake holds.

    Args:
        house: where the lake is.
        connection: the engine.
        judged: the conclusions.
        linked: whom they are about.
        as_of: the day.
        some: those who were touched; None: that is not known.
        carried: the conclusions are theirs alone, and all others' are carried over.
    """
    later = _next_day_checked(house, as_of)
    about = some if carried else None
    changes = [
        conclusions.changes(
            house, connection, name, as_of, rows,
            key=KEYS[name], hashed=hashed(name, rows), scope=scope(name, as_of), later=later,
            only=about[name] if about else None,
        )
        for name, rows in judged.tables.items()
    ]  # fmt: skip
    counts = {
        word: _count(_all(house, connection, judged, name, as_of, about), column)
        for word, name, column in (
            ("advice", "advice", "decision"), ("filing", "filing_status", "status"), ("findings", "finding", "rule"),
        )
    }  # fmt: skip
    size = {"applicants": linked.applicants, "subjects": linked.filings}
    return _Came(
        changes,
        {**counts, "changed": {change.table: change.counts for change in changes}},
        {word: int(rows.count().to_pyarrow().as_py()) for word, rows in size.items()},
        None if some is None or carried else carry.outside(house, connection, changes, some, as_of),
    )


def _all(house: House, connection: Connection, judged: Judged, name: str, as_of: date, some: Some | None) -> ibis.Table:
    """A day's conclusions: those judged, and those carried over."""
    rows = judged.tables[name]
    if some is None:
        return rows
    carried = conclusions.current(house, connection, name, as_of)
    for column, value in scope(name, as_of).items():
        carried = carried.filter(carried[column] == value)
    for column, values in some[name].items():
        carried = carried.anti_join(values, column)
    return ibis.union(rows, carried.select(*rows.columns))


def _count(rows: ibis.Table, column: str) -> dict[str, int]:
    counted = rows.group_by(column).agg(n=rows.count()).order_by(column).to_pyarrow().to_pylist()
    return {str(row[column]): int(row["n"]) for row in counted}


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
        run.counts["scope"]["conclusions"] = carry.conclusions_read(house)
        session.add(run)
        session.flush()
        return run.seq, run.id
