"""What would be said of a past day today, from what was known then: the proof that a record was not invented.

The check of that day left in the ledger how far it read (`read_seq`, and the commits that were still open), how old
each source was, and the rulebook it judged by. `run` judges again from exactly that and compares every row with what
was concluded, in canonical form: content columns by key, without clocks, run ids and snapshot ids, and without the
growing age of a source that was too old already.

Rows may differ for two good reasons, and each differing row says which: its facts were erased since (the rows erased
are named by their hashes, never brought back), or the rules are not those of the day. Anything else is unexplained,
and a reason to ask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import ibis
from sqlalchemy import func, or_, select

from chengxin import (
    calendar,
    check,
    conclusions,
    contracts,
    engine,
    forgetting,
    identity,
    linking,
    policy,
    pseudonyms,
    rulebook,
)  # fmt: skip
from chengxin.engine import Connection
from chengxin.errors import ChengxinError, ConfigError
from chengxin.freshness import Age
from chengxin.ledger import acts
from chengxin.ledger.erased import Erased
from chengxin.ledger.models import CheckRun
from chengxin.linking import ReadPoint
from chengxin.pseudonyms import Pseudonyms
from chengxin.settings import House
from chengxin.tables import TABLES

SHOWN = 50
"""Differing rows that are shown with their columns; all are counted."""

WHYS = ("erased", "rules", "unexplained")


class NoCheckError(ChengxinError):
    """There is no check of that day to compare with."""

    cause = "no check"


@dataclass(frozen=True)
class Difference:
    """One conclusion that would be another one today."""

    table: str
    key: str
    """Its id; a subject's code is masked."""
    kind: str
    """`gained` (only today's), `lost` (only that day's), `changed`."""
    why: str
    """`erased`, `rules` or `unexplained`."""
    columns: Mapping[str, tuple[Any, Any]]
    """Column → that day's value, today's; of a changed row, and of no private column."""


@dataclass(frozen=True)
class Forgotten:
    """A row that the check of the day could read and that was erased since."""

    table: str
    key_sha256: str
    reason: str
    erased_on: date
    observations: int


@dataclass(frozen=True)
class Replay:
    """A past day judged again. `str()` is the text for a terminal."""

    as_of: date
    check_id: int
    read_seq: int
    policy: str
    policy_version: str
    """The version that the check used."""
    used_version: str
    """The version used now: another one only where the check left no rulebook."""
    rows: Mapping[str, Mapping[str, int]]
    """Table → `recorded`, `recomputed`, `equal`."""
    counts: Mapping[str, Mapping[str, int]]
    """Table → reason why (`erased`, `rules`, `unexplained`) → rows that differ."""
    differences: tuple[Difference, ...]
    """The first rows that differ, unexplained ones first."""
    erased: tuple[Forgotten, ...]
    """Rows that the check could read, and nobody can any more."""

    @property
    def identical(self) -> bool:
        """No row differs."""
        return not any(count for reasons in self.counts.values() for count in reasons.values())

    @property
    def explained(self) -> bool:
        """No row differs without a good reason."""
        return not any(reasons["unexplained"] for reasons in self.counts.values())

    def to_dict(self) -> dict[str, Any]:
        """Numbers and ids only: for XCom, the ledger, a page."""
        return {
            "as_of": self.as_of.isoformat(),
            "check_id": self.check_id,
            "read_seq": self.read_seq,
            "policy": self.policy,
            "policy_version": self.policy_version,
            "used_version": self.used_version,
            "rows": {name: dict(counts) for name, counts in self.rows.items()},
            "differences": {name: dict(counts) for name, counts in self.counts.items()},
            "erased": len(self.erased),
            "identical": self.identical,
            "explained": self.explained,
        }

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def run(house: House, as_of: date, check_id: int | None = None) -> Replay:
    """Judges a past day again and compares. Writes nothing.

    Args:
        house: where everything is.
        as_of: the day.
        check_id: which of the day's checks; None: its last.

    Raises:
        NoCheckError: no check of the day was finished.
        RulebookError: the rulebook of the check is damaged or gone.
    """
    names = pseudonyms.of_house(house)
    with _session_rows(house, names, as_of, check_id) as (past, until, forgotten):
        books = rulebook.opened(house, past.rulebook) if past.rulebook else contextlib.nullcontext(house)
        connection = house.engine()
        with books as then:
            district = check.load_district(then)
            rules = policy.load(then.include_dir / "policy" / district.policy, district)
            linked = linking.link(
                then, connection, district, as_of, ReadPoint(past.read_seq, tuple(past.counts.get("unclosed", ())))
            )
            stale = check.stale_sources(then, _ages(then, past))
            table = calendar.load_table(then.include_dir / "calendar.yml")
            judged = check.judge(connection, rules, district, linked, stale, as_of, table, name="replayed")
    same = rules.version == past.policy_version
    compared = {
        name: _compare(house, connection, name, rows, past, until, same=same) for name, rows in judged.tables.items()
    }
    names.teach(connection)
    subjects = _subjects(connection, compared, names)
    hashes = {row.subject_sha256 for row in forgotten if row.subject_sha256}
    counts: dict[str, dict[str, int]] = {}
    shown: list[Difference] = []
    for name, both in compared.items():
        explained = _explain(connection, name, both.differing, subjects, hashes, same=same)
        counts[name] = _counted(explained)
        shown += _shown(name, explained)
    shown.sort(key=lambda row: (-WHYS.index(row.why), row.table, row.key))
    return Replay(
        as_of=as_of,
        check_id=past.id,
        read_seq=past.read_seq,
        policy=past.policy,
        policy_version=past.policy_version,
        used_version=rules.version,
        rows={name: both.rows for name, both in compared.items()},
        counts=counts,
        differences=tuple(shown[:SHOWN]),
        erased=tuple(
            Forgotten(row.table_name, row.key_sha256, row.reason, row.at.date(), row.observations) for row in forgotten
        ),
    )


def on_record(house: House, as_of: date, actor: str, reason: str) -> Replay:
    """Like `run`, and leaves an act in the ledger: who, which day, why, and what came out.

    Args:
        house: where everything is.
        as_of: the day.
        actor: who asks.
        reason: why.

    Raises:
        ConfigError: no reason is given.
        NoCheckError: no check of the day was finished.
    """
    if not reason.strip():
        raise ConfigError("a replay needs a reason", where="replay", remedy="say why in a sentence")
    made = run(house, as_of)
    with house.ledger.begin() as session:
        acts.record(session, house.clock(), actor, "replay", as_of.isoformat(), made.to_dict(), reason=reason)
    return made


@dataclass(frozen=True)
class _Compared:
    rows: dict[str, int]
    both: ibis.Table
    """`natural_key`, `kind`, each content column as `a_<name>` (recorded) and `b_<name>` (recomputed)."""

    @property
    def differing(self) -> ibis.Table:
        return self.both.filter(self.both.kind != "equal")


@contextlib.contextmanager
def _session_rows(
    house: House, names: Pseudonyms, as_of: date, check_id: int | None
) -> Iterator[tuple[CheckRun, int | None, list[Erased]]]:
    """The check to compare with, the last commit that it could know of conclusions, and what was erased since."""
    with house.ledger.begin() as session:
        mine = select(CheckRun).where(CheckRun.district == house.district, CheckRun.finished_at.is_not(None))
        wanted = CheckRun.id == check_id if check_id is not None else CheckRun.as_of == as_of
        past = session.scalar(mine.where(wanted, CheckRun.as_of == as_of).order_by(CheckRun.id.desc()).limit(1))
        if past is None:
            days = session.scalars(
                select(CheckRun.as_of).where(CheckRun.district == house.district).distinct().order_by(CheckRun.as_of)
            ).all()
            near = sorted(days, key=lambda day: abs((day - as_of).days))[:3]
            raise NoCheckError(
                f"no check of {as_of} was finished",
                where="replay",
                why=f"the nearest days with one: {', '.join(map(str, near))}" if near else "there is no check at all",
                remedy="replay one of these days" if near else f"run `{house.command} check` first",
            )
        next_seq = session.scalar(
            select(func.min(CheckRun.seq)).where(CheckRun.district == house.district, CheckRun.id > past.id)
        )
        known = or_(Erased.first_seq <= past.read_seq, Erased.table_name.in_(check.KEYS))
        forgotten = pseudonyms.erased_rows(session, names, known, Erased.first_day <= as_of)
        session.expunge_all()
    yield past, next_seq - 1 if next_seq else None, list(forgotten)


def _ages(house: House, past: CheckRun) -> dict[str, Age]:
    """How old the sources were, as the check saw it."""
    ages = {}
    for name, seen in past.sources.items():
        try:
            limit = contracts.load(house.include_dir / "sources" / f"{name}.yml").max_age.days
        except ConfigError:
            limit = None
        observed = date.fromisoformat(seen["observed_on"]) if seen["observed_on"] else None
        ages[name] = Age(name, observed, seen["age_days"], seen["state"], limit)
    return ages


def _compare(
    house: House, connection: Connection, name: str, now: ibis.Table, past: CheckRun, until: int | None, *, same: bool
) -> _Compared:
    recorded = conclusions.current(house, connection, name, past.as_of, seq=until)
    for column, value in check.scope(name, past.as_of).items():
        recorded = recorded.filter(recorded[column] == value)
    now = now.mutate(natural_key=conclusions.natural_key(house.district, now, check.KEYS[name]))
    left = engine.keep(connection, f"recorded_{name}", _canonical(name, recorded, same=same).rename("a_{name}"))
    right = engine.keep(connection, f"recomputed_{name}", _canonical(name, now, same=same).rename("b_{name}"))
    both = left.outer_join(right, left.a_natural_key == right.b_natural_key)
    kind = ibis.cases(
        (both.a_natural_key.isnull(), "gained"),
        (both.b_natural_key.isnull(), "lost"),
        (both.a_said != both.b_said, "changed"),
        else_="equal",
    )
    key = both.a_natural_key.coalesce(both.b_natural_key)
    both = engine.keep(connection, f"compared_{name}", both.mutate(kind=kind, natural_key=key))
    found = connection.to_pyarrow(both.group_by("kind").agg(n=both.count())).to_pylist()
    number = {row["kind"]: int(row["n"]) for row in found}
    equal, changed = number.get("equal", 0), number.get("changed", 0)
    rows = {
        "recorded": equal + changed + number.get("lost", 0),
        "recomputed": equal + changed + number.get("gained", 0),
        "equal": equal,
    }
    return _Compared(rows, both)


def _canonical(name: str, rows: ibis.Table, *, same: bool) -> ibis.Table:
    """Content columns, key, and the hash of what counts; under other rules their version does not count."""
    content = [column.name for column in TABLES[name].columns]
    stand_ins = check.hashed(name, rows)
    counting = [column for column in content if same or column != "policy_version"]
    hashed = rows.mutate(**{f"_hashed_{column}": value for column, value in stand_ins.items()})
    said = engine.row_hash(hashed, [f"_hashed_{column}" if column in stand_ins else column for column in counting])
    return hashed.mutate(said=said).select(*content, "natural_key", "said")


def _subjects(connection: Connection, compared: Mapping[str, _Compared], names: Pseudonyms) -> ibis.Table:
    """Advice id → what stands for its applicant's code and name, of the advice that differs or has findings that do."""
    asked = ibis.union(
        *[
            compared[name].differing.select(advice_id=compared[name].differing[f"{side}_advice_id"])
            for name in ("advice", "finding")
            for side in "ab"
        ]
    )
    seen = compared["advice"].both
    sides = [
        seen.select(advice_id=seen[f"{side}_advice_id"], uscc=seen[f"{side}_uscc"], name=seen[f"{side}_name"])
        for side in "ab"
    ]
    rows = ibis.union(*sides).semi_join(asked, "advice_id").distinct()
    table = connection.to_pyarrow(rows)
    keys = identity.name_key_arrow(table["name"].combine_chunks().cast("large_string"))
    hashes = {
        "advice_id": table["advice_id"].to_pylist(),
        "code": [names.of(code) if code else None for code in table["uscc"].to_pylist()],
        "named": [names.of(key) if key else None for key in keys.to_pylist()],
    }
    return ibis.memtable(hashes, schema={"advice_id": "string", "code": "string", "named": "string"})


def _explain(
    connection: Connection,
    name: str,
    differing: ibis.Table,
    subjects: ibis.Table,
    erased: set[str],
    *,
    same: bool,
) -> ibis.Table:
    """The rows that differ, each with its reason."""
    otherwise = "unexplained" if same else "rules"
    if name == "filing_status":
        code = differing.a_uscc.coalesce(differing.b_uscc)
        touched = forgetting.pseudonym(code).isin(sorted(erased)) if erased else ibis.literal(False)
        rows = differing.mutate(why=touched.ifelse("erased", otherwise))
    else:
        hit = subjects.filter(subjects.code.isin(sorted(erased)) | subjects.named.isin(sorted(erased)))
        hit = hit.select(_advice="advice_id", _hit=ibis.literal(True)).distinct()
        rows = differing.mutate(_advice=differing.a_advice_id.coalesce(differing.b_advice_id))
        rows = rows.left_join(hit, "_advice")
        rows = rows.mutate(why=rows._hit.notnull().ifelse("erased", otherwise))
    return engine.keep(connection, f"explained_{name}", rows)


def _counted(rows: ibis.Table) -> dict[str, int]:
    found = rows.group_by("why").agg(n=rows.count()).to_pyarrow().to_pylist()
    return {why: next((int(row["n"]) for row in found if row["why"] == why), 0) for why in WHYS}


def _shown(name: str, rows: ibis.Table) -> Iterator[Difference]:
    first = rows.order_by([ibis.desc(rows.why == "unexplained"), "natural_key"]).limit(SHOWN)
    open_columns = [column.name for column in TABLES[name].columns if not column.private and column.name != "name"]
    for row in first.to_pyarrow().to_pylist():
        keys = [
            row[f"a_{column}"] if row[f"a_{column}"] is not None else row[f"b_{column}"] for column in check.KEYS[name]
        ]
        if name == "filing_status":
            keys[0] = identity.mask(str(keys[0]))
        pairs = {column: (row[f"a_{column}"], row[f"b_{column}"]) for column in open_columns}
        differ = {column: pair for column, pair in pairs.items() if pair[0] != pair[1]}
        hidden = {"uscc", "evidence_key"}
        yield Difference(
            table=name,
            key="/".join(map(str, keys)),
            kind=row["kind"],
            why=row["why"],
            columns={
                column: ("***", "***") if column in hidden else pair
                for column, pair in differ.items()
                if row["kind"] == "changed"
            },
        )


def _lines(it: Replay) -> Iterator[str]:
    yield f"{it.as_of}: check {it.check_id}, facts up to commit {it.read_seq}, {it.policy} {it.policy_version[:12]}"
    if it.used_version != it.policy_version:
        yield f"  judged by version {it.used_version[:12]}: the check left no rulebook of its own"
    for name, rows in it.rows.items():
        said = ", ".join(f"{n} {why}" for why, n in it.counts[name].items() if n) or "no difference"
        yield f"  {name}: {rows['recorded']} recorded, {rows['recomputed']} recomputed, {rows['equal']} equal; {said}"
    for row in it.differences:
        yield f"  {row.table} {row.key}: {row.kind} ({row.why})"
        for column, (before, now) in row.columns.items():
            yield f"    {column}: {before} → {now}"
    for table, number in sorted(_tally(it.erased).items()):
        yield f"  erased since: {number} of {table[0]} ({table[1]})"
    yield "identical" if it.identical else "every difference is explained" if it.explained else "NOT EXPLAINED"


def _tally(erased: tuple[Forgotten, ...]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for row in erased:
        counts[row.table, row.reason] = counts.get((row.table, row.reason), 0) + 1
    return counts
