"""What a check need not judge again: conclusions that can be carried over from the last one.

An applicant's conclusions can differ from the last check's only if one of these happened since:

- a row about it became visible: its own, its matter's, its code's (registry, report, record, list), a list entry of
  its name alone, a consent to its report, the filing of the report's agency;
- time passed over a date in such a row, or over its anniversary: a window, an end, a repair, an expiry. Every date
  column of every fact table counts, and every number of years that a parameter of the policy names, so that a column
  or a rule that comes later is covered before anybody thinks of it. `Scope.years_after` and comparisons with a column
  are all the arithmetic with days that the vocabulary of conditions has;
- the ground moved for everybody: rulebook (policy, district, contracts, working days), code, engine, which sources are
  stale, the report year, a day on which a parameter or the policy begins or ends, rows taken out of the lake.

The first two name applicants and subjects (`touched`). The third judges all (`base` says why). Once a week all are
judged anyway and compared with what would have been carried over; a difference is an alarm of the operators.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import ibis
from pyiceberg.table.snapshots import Operation
from sqlalchemy import func, select

from chengxin import calendar, conclusions, engine
from chengxin.conclusions import Changes
from chengxin.districts import District
from chengxin.engine import Connection
from chengxin.freshness import Age
from chengxin.ledger.models import CheckRun, Commit
from chengxin.linking import Only, ReadPoint
from chengxin.policy import Policy
from chengxin.policy.codebook import Codebook
from chengxin.settings import House
from chengxin.tables import CONCLUSIONS, FACTS, TABLES

LONGEST = timedelta(days=31)
"""After a longer pause all are judged."""
VERIFIED_EVERY = timedelta(days=7)


COMPARED = "the week's comparison"
"""Why all are judged although conclusions could be carried over."""


@dataclass(frozen=True)
class Base:
    """The check to carry over from, and why that will not do; or since when nothing was compared."""

    run: CheckRun | None
    why: str | None
    """Why all are judged; null: those touched are enough."""
    verified_on: date | None
    """When all were judged and compared with what would have been carried over."""

    @property
    def holds(self) -> bool:
        """Whether conclusions could be carried over, even where all are judged for comparison."""
        return self.run is not None and self.why in (None, COMPARED)


def base(
    house: House,
    district: District,
    rules: Policy,
    ages: Mapping[str, Age],
    as_of: date,
    point: ReadPoint,
    stands_on: Mapping[str, str],
) -> Base:
    """The last check, if conclusions can be carried over from it.

    Args:
        house: where ledger and lake are.
        district: whether it resolves names.
        rules: the policy.
        ages: of the district's sources.
        as_of: the day to be checked.
        point: how far it reads.
        stands_on: `ground`, and the rulebook.
    """
    with house.ledger.begin() as session:
        mine = (CheckRun.district == house.district, CheckRun.finished_at.is_not(None))
        last = session.scalar(select(CheckRun).where(*mine).order_by(CheckRun.id.desc()).limit(1))
        if last is None:
            return Base(None, "no check before", None)
        session.expunge(last)
        newest = session.scalar(select(func.max(CheckRun.as_of)).where(*mine))
        left = session.scalar(
            select(func.count()).where(
                Commit.kind == "check", Commit.name == house.district, Commit.closed_at.is_(None),
                Commit.seq > last.read_seq,
            )
        )  # fmt: skip
    scope = last.counts.get("scope", {})
    verified = scope.get("verified_on")
    verified_on = date.fromisoformat(verified) if verified else None
    why = None
    if newest != last.as_of or as_of < last.as_of:
        why = "a day of the past"
    elif as_of - last.as_of > LONGEST:
        why = f"the last check is of {last.as_of}"
    elif {**scope.get("stands_on", {}), "rulebook": last.rulebook} != dict(stands_on):
        why = "rulebook, code or engine are others"
    elif left:
        why = "a check was broken off"
    elif {name: about["state"] for name, about in last.sources.items()} != {n: age.state for n, age in ages.items()}:
        why = "other sources are stale"
    elif {seq for seq in point.unclosed if seq <= last.read_seq} - set(last.counts.get("unclosed", ())):
        why = "a commit was opened again"
    elif district.resolve_names:
        # Whose name is whose hangs on all subjects at once.
        why = "names are resolved"
    elif day := _turning_day(rules, last.as_of, as_of):
        why = f"the policy's values change on {day}"
    elif rewritten := _rewritten(house, {**last.snapshots, **scope.get("conclusions", {})}):
        why = f"rewritten since: {', '.join(rewritten)}"
    elif verified_on is None or as_of - verified_on >= VERIFIED_EVERY:
        why = COMPARED
    return Base(last, why, verified_on)


def ground(connection: Connection) -> dict[str, str]:
    """What conclusions rest on beside facts and rulebook: code, engine, libraries."""
    return {
        "code": _code(),
        "engine": f"{connection.name} {connection.version}",
        "libraries": ", ".join(f"{name} {version(name)}" for name in ("ibis-framework", "chinesecalendar", "holidays")),
    }


def conclusions_read(house: House) -> dict[str, str]:
    """Conclusion table → its present snapshot."""
    found = {table.name: house.lake.snapshot_id(table.name) for table in CONCLUSIONS}
    return {name: str(snapshot) for name, snapshot in found.items() if snapshot is not None}


def touched(
    house: House,
    connection: Connection,
    district: District,
    rules: Policy,
    since: Base,
    as_of: date,
    point: ReadPoint,
) -> Only:
    """What the rows that became visible, or whose dates time passed over, are about.

    Args:
        house: where the lake is.
        connection: the engine.
        district: which sources count.
        rules: which numbers of years count.
        since: what is carried over from.
        as_of: the day to be checked.
        point: how far it reads.
    """
    last = since.run
    assert last is not None
    terms = [parameter for parameter in rules.parameters.values() if parameter.unit == "years"]
    years = sorted({value.value for parameter in terms for value in parameter.values})
    hit: dict[str, ibis.Table] = {}
    for table in FACTS:
        rows = engine.observations(connection, house.lake, table.name)
        rows = rows.filter(
            rows.source.isin(district.sources), rows.observed_on <= ibis.literal(as_of), rows.seq <= point.seq,
            ~rows.seq.isin(point.unclosed) if point.unclosed else ibis.literal(True),
        )  # fmt: skip
        unseen = (rows.observed_on > ibis.literal(last.as_of)) | (rows.seq > last.read_seq)
        if before := last.counts.get("unclosed"):
            unseen = unseen | rows.seq.isin(before)
        keys = rows.filter(unseen).select("source", "natural_key").distinct()
        # What a key was about before counts too: its new row may be a tombstone, or about another.
        parts = [rows.semi_join(keys, ["source", "natural_key"])]
        if as_of > last.as_of:
            dates = [c.name for c in TABLES[table.name].columns if c.type in ("date", "timestamp")]
            parts += [rows.filter(_passed(rows, dates, years, last.as_of, as_of))] if dates else []
        columns = [c for c in ("uscc", "handed_in_by", "agency_uscc", "name_key", "matter_id") if c in rows.columns]
        hit[table.name] = engine.keep(
            connection, f"hit_{table.name}", ibis.union(*[part.select(*columns) for part in parts], distinct=True)
        )
    reports = engine.observations(connection, house.lake, "credit_report")
    return _about(connection, reports, conclusions.current(house, connection, "advice", as_of), hit)


def nobody(only: Only) -> bool:
    """Whether nothing at all was touched."""
    return not any(table.limit(1).count().to_pyarrow().as_py() for table in vars(only).values())


def alarm(since: Base, as_of: date, found: int | None) -> int | None:
    """How many rows were found that carrying over would have got wrong, on this day so far; null: not compared."""
    before = None
    if since.run is not None and since.run.as_of == as_of:
        before = since.run.counts.get("scope", {}).get("unexpected")
    return before if found is None else found + (before or 0)


def outside(
    house: House,
    connection: Connection,
    changed: Iterable[Changes],
    some: Mapping[str, Mapping[str, ibis.Table]],
    as_of: date,
) -> int:
    """How many of the rows that a check of all changes are not about those that were touched.

    Args:
        house: where the lake is.
        connection: the engine.
        changed: what the check changes.
        some: conclusion table → the column and values by which the touched are known.
        as_of: the day.
    """
    total = 0
    for change in changed:
        ((column, values),) = some[change.table].items()
        rows = change.rows.filter(change.rows.observed_on == ibis.literal(as_of))
        if change.table == "finding":
            # A tombstone has nothing but its key.
            said = conclusions.current(house, connection, "finding", as_of).select("finding_id", of="advice_id")
            rows = rows.left_join(said, "finding_id").drop("finding_id_right")
            rows = rows.mutate(advice_id=rows.advice_id.coalesce(rows.of))
        total += int(rows.anti_join(values, column).count().to_pyarrow().as_py())
    return total


def _passed(rows: ibis.Table, dates: Iterable[str], years: Iterable[int], since: date, until: date) -> ibis.Value:
    """Whether time came to one of the dates, or left it behind; or to or behind its anniversary."""
    passed: ibis.Value = ibis.literal(False)
    for name in dates:
        day = rows[name].cast("date")
        for one in (day, *(day + ibis.interval(years=number) for number in years)):
            passed = passed | one.between(ibis.literal(since), ibis.literal(until)).fill_null(False)
    return passed


def _about(connection: Connection, reports: ibis.Table, advice: ibis.Table, hit: Mapping[str, ibis.Table]) -> Only:
    def codes(rows: ibis.Table, column: str = "uscc") -> ibis.Table:
        return rows.filter(rows[column].notnull()).select(uscc=rows[column])

    agreed = reports.semi_join(codes(hit["consent"]).distinct(), "uscc")
    agencies = codes(hit["agency"]).distinct().rename(agency_uscc="uscc")
    issued = reports.semi_join(agencies, "agency_uscc")
    by_code = [
        codes(hit[name]) for name in ("subject", "credit_report", "credit_record", "list_entry", "applicant", "consent")
    ]
    by_code += [codes(rows, "handed_in_by") for rows in (hit["credit_report"], agreed, issued)]
    by_code += [codes(issued)]
    entries = hit["list_entry"]
    matters = [hit[name].select("matter_id").filter(ibis._.matter_id.notnull()) for name in ("matter", "applicant")]
    told = engine.keep(connection, "only_codes", ibis.union(*by_code, distinct=True))
    meant = engine.keep(connection, "only_matters", ibis.union(*matters, distinct=True))
    said = advice.filter(advice.uscc.isin(told.uscc) | advice.matter_id.isin(meant.matter_id))
    return Only(
        codes=told,
        names=engine.keep(
            connection, "only_names",
            entries.filter(entries.uscc.isnull(), entries.name_key.notnull()).select("name_key").distinct(),
        ),
        matters=meant,
        advice=engine.keep(connection, "only_advice", said.select("advice_id")),
        subjects=engine.keep(
            connection, "only_subjects",
            ibis.union(codes(hit["subject"]), codes(hit["annual_report"]), distinct=True),
        ),
    )  # fmt: skip


def _turning_day(rules: Policy, since: date, until: date) -> date | None:
    """The first day after the one, up to the other, from which the same facts mean something else."""
    in_force = rules.document.in_force
    days = {*Codebook(rules).changes, in_force.from_, *([in_force.to + timedelta(days=1)] if in_force.to else [])}
    for parameter in rules.parameters.values():
        if parameter.unit != "month_day":
            continue
        for value in parameter.values:
            month, day = (int(part) for part in value.value.split("-"))
            for year in range(since.year, until.year + 1):
                end = date(year, month, day)
                days |= {end, end + timedelta(days=1)}
    if calendar.reported_year(since) != calendar.reported_year(until):
        days.add(until)
    return min((day for day in days if since < day <= until), default=None)


def _rewritten(house: House, read: Mapping[str, str]) -> list[str]:
    """Tables that were not only appended to since the snapshots that a check names."""
    found = []
    for table in (*FACTS, *CONCLUSIONS):
        then, snapshots = read.get(table.name), house.lake.table(table.name).snapshots()
        ids = [str(snapshot.snapshot_id) for snapshot in snapshots]
        if then is None:
            since = snapshots
        elif then in ids:
            since = snapshots[ids.index(then) + 1 :]
        else:
            found.append(table.name)
            continue
        if any(one.summary is None or one.summary.operation != Operation.APPEND for one in since):
            found.append(table.name)
    return found


@functools.cache
def _code() -> str:
    """A hash of this package's own files."""
    total = hashlib.sha256()
    folder = Path(__file__).parent
    for file in sorted(folder.rglob("*.py")):
        total.update(f"{file.relative_to(folder).as_posix()}\n".encode() + file.read_bytes())
    return total.hexdigest()
