"""What the lake says, in the shape of the desk's tables: set-based, by DuckDB over the lake's own files.

A refresh makes anew what new rows touch: of a fact, every observation of the same natural key; of a subject, a matter
or an advice, its present state. So reading commit by commit ends where reading everything at once does, whatever the
order in which days were harvested; and reading a commit twice changes nothing.
"""

# ruff: noqa: S608 - every name in the SQL is our own, every value a number or quoted

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, Table, and_, or_

from chengxin import identity, keys
from chengxin.conclusions import SOURCE
from chengxin.desk import ids, shapes, tables
from chengxin.desk.facts import EVENTS, content
from chengxin.districts import District
from chengxin.engine import DuckDB
from chengxin.lake import arrow_schema
from chengxin.policy.vocabulary import RANK
from chengxin.settings import House
from chengxin.tables import CONCLUSIONS, FACTS, REJECTED, TABLES

_CONCLUSIONS = {table.name for table in CONCLUSIONS}
_SHOWN = (*FACTS, *CONCLUSIONS, REJECTED)
_NAMED = {
    "subject": "name", "credit_report": "subject_name", "credit_record": "subject_name", "list_entry": "subject_name",
    "applicant": "name", "agency": "name", "filing_status": "name", "advice": "name",
}  # fmt: skip
"""Tables that give a name with a code."""


@dataclass(frozen=True)
class Reach:
    """How far a refresh reads."""

    seq: int
    """Commits up to this number…"""
    waiting: tuple[int, ...]
    """… without these, which were not closed yet."""
    fresh: frozenset[int] | None
    """Commits that the desk does not have yet; None: all are read anew."""


@dataclass(frozen=True)
class Part:
    """Rows of one table of the desk that are made anew."""

    target: Table
    rows: str
    """SQL of the new rows, its columns named as the table's."""
    column: str = ""
    """Rows are deleted whose value of this column…"""
    keys: str = ""
    """… is one of this SQL's."""
    condition: ColumnElement[bool] | None = None
    """Or rows of which this holds."""


class Fill:
    """One reading of the lake. Its temporary tables end with the connection.

    Args:
        house: whose lake.
        district: whose sources, routes and conclusions.
        key: what refs are made with.
        reach: how far to read.
        day: the day whose routes of addresses hold.
    """

    def __init__(self, house: House, district: District, key: bytes, reach: Reach, day: date) -> None:
        self.lake = house.lake
        self.district = district
        self.reach = reach
        self.day = day
        self.full = reach.fresh is None
        self.connection: DuckDB = house.engine()
        if house.memory_limit is None:
            self.connection.raw_sql("SET memory_limit = '512MB'")
        self._macros(key)
        self.touched = [table.name for table in _SHOWN if self._views(table.name)]

    def parts(self) -> Iterator[Part]:
        """What is made anew, in the order in which it is to be written. Ends soon where nothing was touched."""
        if not self.touched:
            return
        self._subjects()
        yield self._part(tables.subject, _columns(tables.subject, "subjects_out"), "subject_id", "subjects_out")
        for name in EVENTS:
            if name in self.touched:
                yield self._part(tables.event, self._events(name), "key_id", f"keys_{name}")
        if {"matter", "advice"} & set(self.touched):
            yield self._matters()
        if {"applicant"} & set(self.touched):
            yield self._applicants()
        if "advice" in self.touched:
            yield self._part(tables.advice, shapes.ADVICE, "advice_id", "rows_advice")
        if "finding" in self.touched:
            yield self._part(tables.finding, shapes.FINDING, "finding_id", "rows_finding")
        if "filing_status" in self.touched:
            self._filings()
            yield self._part(tables.filing, shapes.FILING, "subject_id", "filing_subjects")
            yield self._counts()
        if "consent" in self.touched:
            yield self._part(tables.consent, shapes.CONSENT, "key_id", "keys_consent")
        if "credit_report" in self.touched:
            yield self._part(tables.report, shapes.REPORT, "key_id", "keys_credit_report")
        if "agency" in self.touched:
            yield Part(tables.agency, shapes.AGENCY, condition=tables.agency.c.id.is_not(None))
        if "rejected" in self.touched:
            yield self._part(tables.rejected, shapes.REJECTED, "key_id", "keys_rejected")

    def close(self) -> None:
        """Gives memory back."""
        self.connection.disconnect()

    def _part(self, target: Table, rows: str, column: str, keys: str) -> Part:
        return Part(target, rows, column, f"SELECT DISTINCT {column} FROM {keys}")

    def _macros(self, key: bytes) -> None:
        named = keys.hmac_sql(key, "kind || chr(31) || name")
        self._sql(f"CREATE MACRO ref_of(kind, name) AS left({named}, {ids.REF_DIGITS})")
        self._sql(f"CREATE MACRO number_of(ref) AS CAST('0x' || left(ref, {ids.NUMBER_DIGITS}) AS BIGINT)")
        self._sql("CREATE MACRO subject_of(code) AS number_of(ref_of('subject', code))")
        self._sql(
            "CREATE MACRO key_of(fact, source, natural_key) AS CAST('0x' || left(md5("
            f"fact || chr(31) || source || chr(31) || natural_key), {ids.NUMBER_DIGITS}) AS BIGINT)"
        )

    def _views(self, name: str) -> bool:
        """Makes `lake_…` (what counts of a table), `rows_…` (what is made anew) and `keys_…`; whether there is any."""
        files = self.lake.files(name)
        seen = self._observations(name, files)
        counts = [f"seq <= {self.reach.seq}"]
        if self.reach.waiting:
            counts.append(f"seq NOT IN ({', '.join(map(str, self.reach.waiting))})")
        if name in _CONCLUSIONS:
            counts.append(f"source = '{SOURCE}' AND starts_with(natural_key, '{self.district.code}' || chr(31))")
        else:
            counts.append(f"source IN ({_texts(self.district.sources)})")
        self._sql(f"CREATE TEMP VIEW lake_{name} AS SELECT * FROM {seen} {_where(counts)}")
        if self.full:
            self._sql(f"CREATE TEMP VIEW rows_{name} AS SELECT * FROM lake_{name}")
            touched = bool(files)
        else:
            touched = self._new_keys(name, files)
            matching = f"SEMI JOIN new_{name} USING (source, natural_key)" if touched else "LIMIT 0"
            self._sql(f"CREATE TEMP TABLE rows_{name} AS SELECT * FROM lake_{name} {matching}")
        self._sql(
            f"CREATE TEMP VIEW keys_{name} AS SELECT DISTINCT key_of('{name}', source, natural_key) AS key_id "
            f"FROM rows_{name}"
        )
        self._told(name)
        return touched

    def _observations(self, name: str, files: Sequence[str]) -> str:
        """Every observation of a table, as `engine.observations` gives it."""
        self.connection.con.register(f"nothing_{name}", arrow_schema(TABLES[name]).empty_table())
        if not files:
            return f"nothing_{name}"
        # A column that the files lack, since they were written before it was added, is null.
        seen = f"SELECT * FROM read_parquet([{_texts(files)}], union_by_name = true)"
        return f"(SELECT * FROM nothing_{name} UNION ALL BY NAME {seen})"

    def _new_keys(self, name: str, files: Sequence[str]) -> bool:
        fresh = self.reach.fresh or frozenset()
        # A commit's own file is named by its number; rewritten and merged ones must be looked into.
        files = [file for file in files if _number(file) in (None, *fresh)]
        if not files or not fresh:
            return False
        self._sql(
            f"CREATE TEMP TABLE new_{name} AS SELECT DISTINCT source, natural_key FROM read_parquet([{_texts(files)}]) "
            f"WHERE seq IN ({', '.join(map(str, sorted(fresh)))})"
        )
        return bool(self._sql(f"SELECT count(*) FROM new_{name}")[0][0])

    def _told(self, name: str) -> None:
        """Makes `told_…`: the rows with `code` and `of_matter`; a tombstone has those that its key had before."""
        columns = {column.name for column in TABLES[name].columns}
        code = "uscc" if "uscc" in columns else "NULL::VARCHAR"
        of_matter = "matter_id" if "matter_id" in columns else "NULL::VARCHAR"
        self._sql(
            f"CREATE TEMP VIEW told_{name} AS WITH gone AS (SELECT source, natural_key, max({code}) AS code_then, "
            f"max({of_matter}) AS matter_then FROM rows_{name} SEMI JOIN (SELECT DISTINCT source, natural_key "
            f"FROM rows_{name} WHERE removed) USING (source, natural_key) GROUP BY ALL) SELECT told.*, "
            f"CASE WHEN removed THEN code_then ELSE {code} END AS code, "
            f"CASE WHEN removed THEN matter_then ELSE {of_matter} END AS of_matter "
            f"FROM rows_{name} told LEFT JOIN gone USING (source, natural_key)"
        )

    def _subjects(self) -> None:
        """Makes `subjects_out`: the state of every subject that a touched row speaks of."""
        told = " UNION ".join(f"SELECT code FROM told_{name}" for name in self.touched)
        distinct = f"SELECT DISTINCT code FROM ({told}) WHERE code IS NOT NULL"
        self._sql(f"CREATE TEMP TABLE codes AS SELECT code, subject_of(code) AS subject_id FROM ({distinct})")
        self._routes()
        matching = (
            ""
            if self.full
            else "SEMI JOIN (SELECT DISTINCT source, natural_key FROM lake_subject "
            "WHERE uscc IN (SELECT code FROM codes)) USING (source, natural_key)"
        )
        self._sql(f"CREATE TEMP TABLE registered AS {shapes.REGISTERED.format(matching=matching)}")
        self._sql("CREATE TEMP TABLE others AS SELECT code FROM codes WHERE code NOT IN (SELECT uscc FROM registered)")
        named = " UNION ALL ".join(
            f"SELECT uscc AS code, {column} AS name FROM lake_{name} WHERE uscc IN (SELECT code FROM others)"
            for name, column in _NAMED.items()
        )
        found = self.connection.con.sql(
            f"SELECT others.code, max(name) AS name FROM others LEFT JOIN ({named}) USING (code) GROUP BY ALL"
        ).to_arrow_table()
        keys = identity.name_key_arrow(found["name"].combine_chunks().cast(pa.large_string()))
        self.connection.con.register("unregistered", found.append_column("name_key", keys.cast(pa.string())))
        self._sql(f"CREATE TEMP TABLE subjects_out AS {shapes.SUBJECT}")

    def _routes(self) -> None:
        areas = self._sql(
            "SELECT DISTINCT area_code FROM lake_subject WHERE area_code IS NOT NULL UNION "
            "SELECT DISTINCT area_code FROM lake_filing_status WHERE area_code IS NOT NULL"
        )
        # A few hundred codes, whatever the number of subjects.
        routes = {area: self.district.route(area, self.day) or "" for (area,) in areas}
        made = pa.table({"area_code": pa.array(routes, pa.string()), "street": pa.array(routes.values(), pa.string())})
        self.connection.con.register("routes", made)

    def _events(self, name: str) -> str:
        fact, columns = EVENTS[name], TABLES[name].columns
        newest = "row_number() OVER (PARTITION BY source, natural_key ORDER BY observed_on DESC, seq DESC) = 1"
        told = {
            "subject_id": "subject_id",
            "fact": f"'{name}'",
            "source": "source",
            "key_id": f"key_of('{name}', source, natural_key)",
            "observed_on": "observed_on",
            "seq": "seq",
            "removed": "removed",
            "public": fact.public,
            "matter_id": "of_matter" if any(column.name == "matter_id" for column in columns) else "",
            "department": fact.department,
            "document": f"key_of('document', {fact.document}, '')" if fact.document else "",
            "ended_on": f"CASE WHEN NOT removed THEN {fact.ended_on} END" if fact.ended_on else "",
            "lapsed_on": f"CASE WHEN NOT removed AND {newest} THEN {fact.lapsed_on} END" if fact.lapsed_on else "",
            "raw_sha256": "raw_sha256",
            "raw_row": "raw_row",
            "content": f"CASE WHEN NOT removed THEN {content(name)} END",
        }
        # What a table does not have is not even handed over: millions of nulls take seconds.
        listed = ", ".join(f"{expression} AS {column}" for column, expression in told.items() if expression != "")
        return f"SELECT {listed} FROM told_{name} LEFT JOIN codes USING (code)"

    def _matters(self) -> Part:
        touched = "SELECT of_matter AS matter_id FROM told_matter UNION SELECT of_matter FROM told_advice"
        self._sql(f"CREATE TEMP TABLE matters_in AS SELECT DISTINCT matter_id FROM ({touched}) WHERE matter_id <> ''")
        counted = ", ".join(
            f"count(*) FILTER (counts AND decision = '{outcome}') AS {tables.counter(outcome)}"
            for outcome in tables.OUTCOMES
        )
        rank = " ".join(f"WHEN '{outcome}' THEN {rank}" for outcome, rank in RANK.items())
        self._sql(f"CREATE TEMP TABLE counts AS {shapes.DECISIONS.format(counted=counted, rank=rank)}")
        numbers = ", ".join(f"coalesce({tables.counter(outcome)}, 0) AS {tables.counter(outcome)}" for outcome in RANK)
        return self._part(tables.matter, shapes.MATTER.format(numbers=numbers), "matter_id", "matters_in")

    def _applicants(self) -> Part:
        self._sql("CREATE TEMP TABLE applied_in AS SELECT DISTINCT of_matter AS matter_id FROM told_applicant")
        return self._part(tables.applicant, shapes.APPLICANT, "matter_id", "applied_in")

    def _filings(self) -> None:
        self._sql("CREATE TEMP TABLE filing_codes AS SELECT DISTINCT code FROM told_filing_status")
        self._sql("CREATE TEMP VIEW filing_subjects AS SELECT subject_of(code) AS subject_id FROM filing_codes")

    def _counts(self) -> Part:
        first = self._sql("SELECT report_year, min(observed_on) FROM rows_filing_status GROUP BY ALL")
        if not self.full:
            first = self._sql(
                "SELECT report_year, min(observed_on) FROM rows_filing_status "
                f"WHERE seq IN ({', '.join(map(str, sorted(self.reach.fresh or ())))}) GROUP BY ALL"
            )
        made = pa.table(
            {
                "report_year": pa.array([year for year, _ in first], pa.int32()),
                "since": pa.array([day for _, day in first], pa.date32()),
            }
        )
        self.connection.con.register("years", made)
        table = tables.filing_count.c
        return Part(
            tables.filing_count,
            shapes.COUNTS,
            condition=or_(*[and_(table.report_year == year, table.day >= day) for year, day in first]),
        )

    def _sql(self, query: str) -> Sequence[tuple[Any, ...]]:
        return list(self.connection.con.execute(query).fetchall())


def _columns(table: Table, source: str) -> str:
    return f"SELECT {', '.join(column.name for column in table.c)} FROM {source}"


def _where(conditions: Sequence[str]) -> str:
    return "WHERE " + " AND ".join(conditions)


def _number(file: str) -> int | None:
    """The commit that a data file is named by; None: it was made of others."""
    first = Path(file).name.split("-")[0]
    return int(first) if first.isdigit() else None


def _texts(values: Iterable[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


assert {*EVENTS} <= {table.name for table in (*FACTS, *CONCLUSIONS)}
assert REJECTED.name not in EVENTS
