"""Advice that changed since each department's last mail: set-based, from the lake and the ledger.

What counts as unchanged is decided by a fingerprint over the outcome (both readings) and its facts (findings with
their evidence). The age of a source and the policy's version are not in it: they change without anything happening.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import ibis
import pandas as pd

from chengxin import engine
from chengxin.districts import District
from chengxin.lake import Lake

Section = Literal["new", "worse", "again", "other", "milder"]
SECTIONS: tuple[Section, ...] = ("worse", "new", "again", "other", "milder")
"""In the order they are shown."""

SEVERITY: dict[str, int] = {
    "GONE": 0,
    "PASS": 0,
    "NOT_APPLICABLE": 0,
    "PRIORITY": 1,
    "REVIEW": 2,
    "CANNOT_TELL": 3,
    "INPUT_ERROR": 4,
    "NEED_REPORT": 5,
    "RESTRICT": 6,
    "EXCLUDE": 7,
}
"""How urgent an outcome is to the department: decides between worse and milder, and the order of a list."""
QUIET = frozenset({"PASS", "NOT_APPLICABLE", "GONE"})
"""Outcomes that are news only when they replace another one."""

AGAIN = "snoozed until "
"""Begins the fingerprint told of what was put off up to a day that has passed: unchanged, and told again."""

_UNIT, _RECORD = "\x1f", "\x1e"

COLUMNS = (
    "advice_id", "matter_id", "matter_type", "title", "field", "name", "uscc", "decision", "until", "reasons",
    "as_written", "as_written_until", "as_written_reasons", "guarded", "guarded_until", "guarded_reasons", "flags",
    "cites", "stale_sources", "leading", "test_date",
)  # fmt: skip


@dataclass(frozen=True)
class News:
    """What one department has not been told yet."""

    department: str
    rows: pd.DataFrame
    """One row per changed advice: `COLUMNS`, then section, told_outcome, told_fingerprint, told_key, fingerprint,
    disputed; most urgent first."""
    gone: int
    """Told before, no longer there: the matter was decided or withdrawn. No reason for a mail by itself."""

    def section(self, name: Section) -> pd.DataFrame:
        """The rows of one section."""
        return self.rows[self.rows["section"] == name]


@dataclass
class Changed:
    """The news of all departments on one day, and what was noticed on the way."""

    news: dict[str, News] = field(default_factory=dict)
    unrouted: int = 0
    """Changed advice whose matter names no department of this district."""


def changed(
    connection: engine.Connection,
    lake: Lake,
    district: District,
    as_of: date,
    told: Sequence[tuple[str, str, str, str, str]],
    misrouted: frozenset[str] = frozenset(),
    disputed: frozenset[str] = frozenset(),
) -> Changed:
    """The advice that changed, by department.

    Args:
        connection: the engine.
        lake: the lake.
        district: whose departments.
        as_of: the day.
        told: what each department was told last, as `outbox.told` gives it.
        misrouted: keys of messages that their department gave back: what they told goes to the default desk, as long
            as it does not change.
        disputed: ids of advice to which an objection is open. It marks the row and makes no news: the department
            entered the objection itself.
    """
    back = [each[:3] for each in told if each[4] in misrouted and each[0] != district.default_desk]
    returned = _table(back, ["from_desk", "returned", "returned_fingerprint"])
    now = _now(connection, lake, district, as_of, returned)
    before = _table(told, ["told_to", "item", "told_fingerprint", "told_outcome", "told_key"])
    joined = now.outer_join(before, [now.department == before.told_to, now.advice_id == before.item])
    # Read twice below, and large before what is unchanged falls out of it: computed once.
    both = engine.keep(
        connection,
        "advice_told",
        joined.filter(
            joined.told_to.isnull() | joined.advice_id.isnull() | (joined.fingerprint != joined.told_fingerprint)
        ),
    )
    fresh = both.told_to.isnull() & both.advice_id.notnull()
    quiet = both.decision.isin(sorted(QUIET))
    was_quiet = both.told_outcome.isin(sorted(QUIET))
    news = both.filter((fresh & ~quiet) | (both.told_to.notnull() & both.advice_id.notnull() & ~(quiet & was_quiet)))
    gone = both.filter(both.advice_id.isnull(), ~was_quiet, both.told_outcome != "PRIORITY").anti_join(
        returned, [("told_to", "from_desk"), ("item", "returned")]
    )
    frame = connection.to_pandas(
        news.select("department", "known_department", *COLUMNS, "fingerprint", "told_outcome", "told_fingerprint",
                    "told_key")
    )  # fmt: skip
    frame["disputed"] = frame["advice_id"].isin(disputed)
    left = connection.to_pandas(gone.group_by("told_to").agg(rows=ibis._.count()))
    counts = {str(code): int(rows) for code, rows in zip(left["told_to"], left["rows"], strict=True)}
    result = Changed(unrouted=int((~frame["known_department"].astype(bool)).sum()) if len(frame) else 0)
    for code, part in _in_order(frame).groupby("department"):
        result.news[str(code)] = News(str(code), part.reset_index(drop=True), counts.get(str(code), 0))
    return result


def _table(rows: Sequence[Sequence[str]], columns: list[str]) -> ibis.Table:
    return ibis.memtable(pd.DataFrame(list(rows), columns=columns, dtype=str), schema=dict.fromkeys(columns, "string"))


def _now(
    connection: engine.Connection, lake: Lake, district: District, as_of: date, returned: ibis.Table
) -> ibis.Table:
    """Today's advice with its fingerprint, matter title and the department that is told."""
    advice = engine.as_of(connection, lake, "advice", as_of)
    facts = _facts(engine.as_of(connection, lake, "finding", as_of))
    matter = engine.as_of(connection, lake, "matter", as_of)
    matter = matter.group_by(key=matter.matter_id).agg(title=matter.title.max(), field=matter.field.max())
    rows = advice.left_join(facts, "advice_id").left_join(matter, advice.matter_id == matter.key)
    outcome = [
        rows.leading, rows.decision, _text(rows.until), _list(rows.reasons),
        rows.as_written, _text(rows.as_written_until), _list(rows.as_written_reasons),
        rows.guarded, _text(rows.guarded_until), _list(rows.guarded_reasons), _list(rows.flags),
        _list(_without_ages(rows.stale_sources)), rows.facts,
    ]  # fmt: skip
    known = rows.department.isin(sorted(district.departments)).fill_null(False)
    rows = rows.mutate(
        fingerprint=ibis.literal(_RECORD).join([part.fill_null("") for part in outcome]).hexdigest("sha256"),
        known_department=known,
        department=ibis.ifelse(known, rows.department, district.default_desk),
    ).select("department", "known_department", *COLUMNS, "fingerprint")
    rows = rows.left_join(
        returned,
        [
            rows.department == returned.from_desk,
            rows.advice_id == returned.returned,
            rows.fingerprint == returned.returned_fingerprint,
        ],
    )
    return rows.mutate(department=ibis.ifelse(rows.returned.notnull(), district.default_desk, rows.department)).select(
        "department", "known_department", *COLUMNS, "fingerprint"
    )


def _facts(finding: ibis.Table) -> ibis.Table:
    """Every finding of an advice as one text: rule, outcome and which record it rests on."""
    parts = [
        finding.rule, finding.reading, finding.effect, _list(finding.reasons), _text(finding.until),
        finding.evidence_table, finding.evidence_source, finding.evidence_key,
    ]  # fmt: skip
    line = ibis.literal(_UNIT).join([part.fill_null("") for part in parts])
    lines = finding.select("advice_id", line=line)
    return lines.group_by("advice_id").agg(facts=lines.line.collect(distinct=True).sort().join(_RECORD))


def _text(day: Any) -> Any:
    return day.cast("string")


def _list(values: Any) -> Any:
    return values.sort().join(",")


def _without_ages(stale: Any) -> Any:
    return stale.map(lambda entry: entry.split(":")[0])


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Sections and order: the most urgent first, the nine key fields before others of the same urgency."""
    now = frame["decision"].map(SEVERITY).fillna(max(SEVERITY.values())).astype(int)
    then = frame["told_outcome"].map(SEVERITY).astype(float)
    section = pd.Series("other", index=frame.index, dtype=object)
    section[now < then] = "milder"
    section[now > then] = "worse"
    section[frame["told_key"].isna()] = "new"
    section[frame["told_fingerprint"].astype(object).fillna("").str.startswith(AGAIN) & (now == then)] = "again"
    frame = frame.assign(section=section, _rank=-now, _late=frame["field"].isna())
    frame = frame.sort_values(["department", "_rank", "_late", "matter_id", "advice_id"], kind="stable")
    return frame.drop(columns=["_rank", "_late"])
