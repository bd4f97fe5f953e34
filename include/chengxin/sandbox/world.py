"""The made-up district on a day, as facts and as its sources show it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from chengxin.sandbox import adverse, affairs, population, soil
from chengxin.sandbox.shapes import SOURCES
from chengxin.sandbox.state import MACROS, QUERIES
from chengxin.sandbox.story import Told, add


class World:
    """A deterministic district.

    The same seed, size and season give the same world on every machine; `at` moves along its days. Facts have courses
    (a record is identified, rectified, repaired) of which a day sees what has happened by then.

    Args:
        seed: which world.
        subjects: subjects in the register on 1 January of the season; a few newcomers a day come on top.
        day: the day it is.
        registry: a registry file (CSV, `.gz` too; see `population.registered`). Its subjects are served in place of
            made-up ones, with made-up annual reports and nothing else: records, list entries, matters and reports
            stay with made-up subjects, who are then not in the register. No adverse fact is ever invented for a real
            name.
        season: the year that the courses run towards; None: the year of `day`.
        matters: how many are pending at a time; None: one for a hundred subjects, at least eighty.
        story: rows that a test adds on chosen days.
        clean: True leaves the dirty rows out.
    """

    def __init__(
        self,
        seed: int,
        subjects: int,
        day: date,
        registry: Path | None = None,
        *,
        season: int | None = None,
        matters: int | None = None,
        story: Iterable[Told] = (),
        clean: bool = False,
    ) -> None:
        self.seed, self.count, self.day, self.registry = seed, subjects, day, registry
        self.season = season or day.year
        self.pending = matters if matters is not None else max(80, subjects // 100)
        self.story = tuple(story)
        self.clean = clean
        self._seen: dict[date, affairs.Month] = {}

    def at(self, day: date) -> World:
        """The same world on another day."""
        other = World(
            self.seed,
            self.count,
            day,
            self.registry,
            season=self.season,
            matters=self.pending,
            story=self.story,
            clean=self.clean,
        )
        shared = ("people", "courses", "_seen")
        other.__dict__.update({name: self.__dict__[name] for name in shared if name in self.__dict__})
        return other

    @cached_property
    def people(self) -> population.Population:
        """All made-up subjects, newcomers and outsiders included."""
        return population.made_up(self.seed, self.count, self.season)

    @cached_property
    def courses(self) -> dict[str, pa.Table]:
        """The courses that do not depend on the month."""
        n, people = self.count, self.people
        records, a = adverse.records(self.seed, people, max(120, n * 4 // 100), self.season)
        debtors, b = adverse.debtors(self.seed, people, max(24, n // 120), self.season)
        listed, c = adverse.listed(self.seed, people, max(28, n // 120), self.season)
        unreachable, d = adverse.unreachable(self.seed, people, max(16, n // 60), self.season)
        register = people.subjects.slice(0, people.local)
        if self.registry is not None:
            register = population.registered(self.seed, self.registry)
        return {
            "people": people.subjects,
            "register": register,
            "records": records,
            "debtors": debtors,
            "listed": listed,
            "unreachable": unreachable,
            "agencies": affairs.agencies(self.seed, self.season),
            # Those with a record or on a lesser list come up oftener, or a small world would hardly show any.
            "troubled": pa.table({"subject": np.concatenate([a, a, b, b, c, c, c, d])}),
        }

    def frame(self, fact: str) -> pa.Table:
        """One fact's state on the day, clean, with the story's rows.

        Args:
            fact: a name of `state.QUERIES`.
        """
        names = {"day": self.day} | ({"local": self.people.local} if fact == "abnormal" else {})
        table = self._courses_of(fact).sql(QUERIES[fact], params=names).to_arrow_table()
        return add(table, fact, self.day, self.story)

    def source(self, name: str) -> pa.Table:
        """What a source shows on the day, in its own headings, dirty rows included.

        Args:
            name: a name of `shapes.SOURCES`. `matters` carry their applicants as a list of records in `sqr`.
        """
        source = SOURCES[name]
        database = _database()
        for fact in source.facts:
            database.register(fact, self.frame(fact))
        names = {"day": self.day} if "$day" in source.sql else {}
        table = database.sql(source.sql, params=names).to_arrow_table()
        # A registry file's own rows are served as they are.
        untouched = self.clean or (self.registry is not None and set(source.facts) <= {"subjects", "filings"})
        # A report is printed as a whole or not at all; `drop` adds one that was scanned.
        untouched = untouched or source.place.endswith("pdf")
        table = table.drop_columns("_id") if untouched else soil.spread(table, source)
        return self._with_applicants(table) if name == "matters" else table

    def _with_applicants(self, matters: pa.Table) -> pa.Table:
        database = duckdb.connect()
        database.register("matters", matters.append_column("place", pa.array(np.arange(matters.num_rows))))
        database.register("applicants", self.source("applicants"))
        return database.sql(
            """
            SELECT m.* EXCLUDE (place), coalesce(a.sqr, []) AS sqr FROM matters m LEFT JOIN (
                SELECT sxbh, list({'xh': xh, 'tyshxydm': tyshxydm, 'mc': mc, 'js': js, 'zt': zt}
                    ORDER BY CAST(xh AS INTEGER)) AS sqr
                FROM applicants GROUP BY sxbh
            ) a ON a.sxbh = m.sxbh ORDER BY place
            """
        ).to_arrow_table()

    def _courses_of(self, fact: str) -> duckdb.DuckDBPyConnection:
        """A database with the courses that the fact needs."""
        database = _database()
        for name, table in self.courses.items():
            database.register(name, table)
        if fact in ("filings", "abnormal"):
            who = "register" if fact == "filings" else "people"
            # The sources keep two report years; the abnormal list remembers every year of the season.
            first = self.day.year - 2 if fact == "filings" else min(self.season, self.day.year) - 3
            years = range(first, self.day.year)
            parts = [population.filings(self.seed, self.courses[who], year) for year in years]
            database.register(f"{who}_filings", pa.concat_tables(parts))
            database.register("years", pa.table({"year": pa.array(list(years), pa.int32())}))
        if fact in ("matters", "applicants", "reports", "consents"):
            months = [self._month(first) for first in _months(self.day)]
            for name in ("matters", "applicants", "reports", "consents"):
                database.register(name, pa.concat_tables([getattr(month, name) for month in months]))
        return database

    def _month(self, first: date) -> affairs.Month:
        if first not in self._seen:
            # A matter is pending for forty days on average, so a month opens three quarters of what is pending.
            count = max(len(affairs.KINDS), self.pending * 3 // 4)
            troubled = self.courses["troubled"]["subject"].to_numpy()
            self._seen[first] = affairs.month(self.seed, self.people, troubled, self.courses["agencies"], count, first)
        return self._seen[first]


def _months(day: date) -> list[date]:
    """First days of the months whose matters a day can see."""
    last = day.year * 12 + day.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(last - affairs.MONTHS_SEEN + 1, last + 1)]


def _database() -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    database.execute(MACROS)
    return database
