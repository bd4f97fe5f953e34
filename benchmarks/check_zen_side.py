"""zen-engine's side of `check.py`: from the lake's files to a file of a sample's outcomes, one applicant at a time.

zen-engine judges and does nothing else, so what comes before it is ours: the same linking as our own side's, of all
applicants. What follows is timed in two parts, since only one of them grows with the sample:

- once: linking, and taking the sample's facts out of the engine as Arrow tables;
- each: making Python objects of them, nesting these into contexts, evaluating, and writing the outcomes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import check_facts
from check_sides import Work

OUTCOME = ("as_written", "end", "guarded", "end_guarded", "reasons")
WORDS = (
    "applicant_id", "advice_id", "type", "procurement_form", "fund_kind", "land_method", "is_construction",
    "subject_kind", "code", "t",
)  # fmt: skip


def zen(folder: str, out: str, results: str, sample: int) -> Work:
    """A sample of the applicants. What it says must be what our side wrote; that comparison is not on the clock."""
    import check_rules
    import check_zen
    import pyarrow as pa
    import pyarrow.parquet as pq
    from zen import ZenEngine  # type: ignore[import-not-found]

    from chengxin import check

    def once(house: Any, number: int, target: Path) -> tuple[int, dict[str, Any]]:
        target.mkdir(parents=True, exist_ok=True)
        marks = [(time.perf_counter(), time.process_time())]

        def mark() -> None:
            marks.append((time.perf_counter(), time.process_time()))

        district = check.load_district(house)
        facts = _facts(house, district, number)
        mark()
        rules = check_rules.Rules(house.include_dir / "policy" / district.policy)
        decision = ZenEngine().create_decision(check_zen.graph(rules))
        asked = _contexts({name: rows.to_pylist() for name, rows in facts.items()})
        mark()
        answers = [check_zen.answer(decision.evaluate(context)["result"]) for context in asked.values()]
        mark()
        columns = [list(asked), *map(list, zip(*answers, strict=True))]
        pq.write_table(pa.table(columns, ["advice_id", *OUTCOME]), target / "zen.parquet", compression="zstd")
        mark()
        wall, cpu = ([after[n] - before[n] for before, after in pairwise(marks)] for n in (0, 1))
        return len(answers), {
            "once": wall[0], "each": sum(wall[1:]), "evaluate": wall[2], "cpu_once": cpu[0], "cpu_each": sum(cpu[1:]),
        }  # fmt: skip

    small = Path(out) / "warm"
    check_facts.make(str(small), 400, 100)
    once(check_facts.house(str(small)), 20, small)
    there = check_facts.house(folder)

    def run() -> tuple[int, dict[str, Any]]:
        found = once(there, sample, Path(out))
        _compare(Path(out) / "zen.parquet", Path(results) / "advice.parquet", check_rules.NO_END)
        return found

    return run


def _facts(house: Any, district: Any, sample: int) -> dict[str, Any]:
    """Linked facts of a sample: Arrow tables."""
    from chengxin import linking

    connection = house.engine()
    linked = linking.link(house, connection, district, check_facts.DAY, linking.read_point(house))
    facts = linked.facts
    wanted = linked.applicants.order_by("advice_id").limit(sample).select("applicant_id", "advice_id").to_pyarrow()
    ids = wanted["applicant_id"].to_pylist()
    people = facts.applicants.filter(facts.applicants.applicant_id.isin(ids))
    people = people.inner_join(linked.applicants.select("applicant_id", "advice_id"), "applicant_id")
    people = people.mutate(code=people.uscc, t=_number(people.test_date))
    code = people.select("applicant_id", "code")
    reports = facts.reports.inner_join(code, "applicant_id")
    records = facts.records.inner_join(code, "applicant_id")
    records = records.filter((records.uscc == records.code).fill_null(False))
    entries = facts.entries.inner_join(code, "applicant_id")
    entries = entries.filter(entries.uscc.isnull() | (entries.uscc == entries.code).fill_null(False))
    asked = {
        "people": people.select(*WORDS),
        "reports": reports.select(
            "applicant_id", "scale", "grade", own=(reports.uscc == reports.code).fill_null(False),
            filed=reports.agency_filed, consented=reports.consent_active, issued=_number(reports.issue_date),
            valid_to=_number(reports.valid_to),
            place=_number(reports.issue_date).fill_null(0) * 10_000_000_000 + reports.position,
        ),
        "records": records.select(
            "applicant_id", identified=_number(records.identified_on),
            confirmed=_number(records.rectified_confirmed_on), repaired=_number(records.repaired_on),
            in_report=records.in_report.fill_null(False),
        ),
        "lists": entries.select(
            "applicant_id", "list", by_name=entries.uscc.isnull(), listed=_number(entries.listed_on),
            removed=_number(entries.removed_on), expires=_number(entries.expires_on),
        ),
    }  # fmt: skip
    return {name: connection.to_pyarrow(rows) for name, rows in asked.items()}


def _number(day: Any) -> Any:
    return (day.year() * 10000 + day.month() * 100 + day.day()).cast("int64")


def _contexts(facts: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Advice id → what zen-engine is asked."""
    nested: dict[str, dict[Any, list[dict[str, Any]]]] = {}
    for name in ("reports", "records", "lists"):
        each = nested.setdefault(name, {})
        for row in facts[name]:
            each.setdefault(row.pop("applicant_id"), []).append(row)
    asked = {}
    for row in facts["people"]:
        who = row.pop("applicant_id")
        context = {**row, **{name: each.get(who, []) for name, each in nested.items()}}
        # A record that is not identified yet on the day to judge at is no record.
        context["records"] = [
            one for one in context["records"] if not (one["identified"] and one["identified"] > row["t"])
        ]
        asked[context.pop("advice_id")] = context
    return asked


def _compare(said: Path, ours: Path, no_end: int) -> None:
    """Ends the run where an outcome, an end or a reason differs from ours."""
    import duckdb

    def day(column: str) -> str:
        return f"coalesce(CAST(strftime({column}, '%Y%m%d') AS BIGINT), {no_end})"

    same = (
        f"zen.as_written = ours.as_written AND zen.guarded = ours.guarded AND zen.end = {day('as_written_until')} "
        f"AND zen.end_guarded = {day('guarded_until')} AND zen.reasons = ours.reasons"
    )
    wrong = duckdb.sql(
        f"SELECT zen.advice_id FROM read_parquet('{said}') zen LEFT JOIN read_parquet('{ours}') ours "
        f"USING (advice_id) WHERE NOT coalesce({same}, false) ORDER BY 1"
    ).fetchall()
    if wrong:
        raise SystemExit(f"zen-engine differs on {len(wrong)}, first {wrong[0][0]}")
