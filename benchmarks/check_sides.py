"""The contestants of `check.py` that run on an engine: ours, and the floor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import check_facts

Work = Callable[[], tuple[int, dict[str, Any]]]

OBSERVED = ("natural_key", "observed_on", "seq", "source", "raw_sha256", "raw_row", "removed")
READ = {
    "subject": ("uscc", "kind"),
    "matter": (
        "matter_id", "type", "department", "procurement_form", "fund_kind", "land_method", "is_construction",
        "test_date", "opened_on", "decided_on", "state",
    ),
    "applicant": ("matter_id", "applicant_no", "uscc", "name", "name_key"),
    "credit_report": (
        "uscc", "agency_uscc", "issue_date", "valid_to", "scale", "grade", "matter_id", "handed_in_by",
    ),
    "credit_record": (
        "record_no", "uscc", "identified_on", "rectified_confirmed_on", "repaired_on", "withdrawn_on", "expires_on",
        "in_report",
    ),
    "list_entry": ("list", "uscc", "name_key", "listed_on", "removed_on", "expires_on"),
    "consent": ("uscc", "item", "matter_id", "recipient", "given_on", "withdrawn_on", "expires_on"),
    "agency": ("uscc", "filed_on", "cancelled_on"),
}  # fmt: skip
"""Table → the columns that a check reads, beside those of the observation."""


def prepare(folder: str, applicants: int, subjects: int) -> Work:
    """Fills the lake."""

    def run() -> tuple[int, dict[str, Any]]:
        check_facts.make(folder, applicants, subjects)
        return applicants, {}

    return run


def ours(folder: str, out: str, memory_limit: str | None = None) -> Work:
    """The product: linking and judging as a check does, from the lake's files to two files."""
    from dataclasses import replace

    import pyarrow.parquet as pq

    from chengxin import check, linking, policy
    from chengxin.engine import duckdb as engine
    from chengxin.tables import ADVICE, FINDING

    def once(house: Any, target: Path) -> tuple[int, dict[str, Any]]:
        spent: dict[str, float] = {}
        begun = time.perf_counter()
        target.mkdir(parents=True, exist_ok=True)
        house = replace(house, memory_limit=memory_limit)
        district = check.load_district(house)
        rules = policy.load(house.include_dir / "policy" / district.policy, district)
        connection = house.engine()
        spent["open"] = time.perf_counter() - begun
        linked = linking.link(house, connection, district, check_facts.DAY, linking.read_point(house))
        spent["link"] = time.perf_counter() - begun - sum(spent.values())
        finding, advice = check.matters(connection, rules, district, linked, {})
        spent["judge"] = time.perf_counter() - begun - sum(spent.values())
        for table, rows in ((FINDING, finding), (ADVICE, advice)):
            rows = rows.select(*[column.name for column in table.columns])
            engine.copy(connection, rows, target / f"{table.name}.parquet")
        spent["words and write"] = time.perf_counter() - begun - sum(spent.values())
        count = pq.read_metadata(target / "advice.parquet").num_rows
        return count, {"seconds": {stage: round(seconds, 2) for stage, seconds in spent.items()}}

    small = Path(out) / "warm"
    check_facts.make(str(small), 400, 100)
    once(check_facts.house(str(small)), small)
    there = check_facts.house(folder)
    return lambda: once(there, Path(out))


def stage(folder: str, memory_limit: str) -> Work:
    """The whole stage on a fresh lake: linking, judging, comparing, writing into the lake."""
    from dataclasses import replace

    from chengxin import check

    house = replace(check_facts.house(folder), memory_limit=memory_limit)

    def run() -> tuple[int, dict[str, Any]]:
        counts = check.run(house, check_facts.DAY)
        return sum(counts["advice"].values()), {}

    return run


def pandas(folder: str, out: str) -> Work:
    """The same by hand in pandas (`check_pandas.py`)."""
    import check_pandas

    from chengxin import check, policy

    def once(house: Any, target: Path) -> tuple[int, dict[str, Any]]:
        district = check.load_district(house)
        rules = house.include_dir / "policy" / district.policy
        version = policy.load(rules, district).version
        lake = house.lake.warehouse / "chengxin"
        counts = check_pandas.run(lake, rules, version, district.code, check_facts.DAY, target)
        return counts["advice"], {}

    small = Path(out) / "warm"
    check_facts.make(str(small), 400, 100)
    once(check_facts.house(str(small)), small)
    there = check_facts.house(folder)
    return lambda: once(there, Path(out))


def floor(folder: str, out: str, results: str) -> Work:
    """Reads the columns that a check reads, and writes what it wrote, as it did, from memory: no join, no rule."""
    import duckdb
    import pyarrow.parquet as pq

    from chengxin.engine.duckdb import WRITTEN

    options = ", ".join(f"{name} {value}" for name, value in WRITTEN.items())
    there = check_facts.house(folder)
    files = {table: there.lake.files(table) for table in READ}
    connection = duckdb.connect()
    connection.execute(f"SET threads = {len(os.sched_getaffinity(0))}; SET preserve_insertion_order = false")
    for name in ("finding", "advice"):
        connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM read_parquet('{results}/{name}.parquet')")

    def run() -> tuple[int, dict[str, Any]]:
        begun = time.perf_counter()
        for table, columns in READ.items():
            for file in files[table]:
                pq.read_table(file, columns=[*columns, *OBSERVED])
        spent = {"read": round(time.perf_counter() - begun, 2)}
        Path(out).mkdir(parents=True, exist_ok=True)
        for name in ("finding", "advice"):
            connection.execute(f"COPY {name} TO '{out}/{name}.parquet' (FORMAT parquet, {options})")
        spent["write"] = round(time.perf_counter() - begun - spent["read"], 2)
        return connection.table("advice").count("*").fetchall()[0][0], {"seconds": spent}

    return run


def differences(one: Path, other: Path) -> dict[str, dict[str, int]]:
    """Table → column → rows in which two sides differ; `rows`: those that one side alone has. Empty: all is equal."""
    import duckdb

    from chengxin.tables import ADVICE, FINDING

    found: dict[str, dict[str, int]] = {}
    for table in (FINDING, ADVICE):
        key, *columns = [column.name for column in table.columns]
        differ = ", ".join(f"count(*) FILTER (WHERE a.{name} IS DISTINCT FROM b.{name})" for name in columns)
        unpaired = f"count(*) FILTER (WHERE a.{key} IS NULL OR b.{key} IS NULL)"
        sides = f"read_parquet('{one / table.name}.parquet') a FULL JOIN read_parquet('{other / table.name}.parquet') b"
        counted = duckdb.sql(f"SELECT {unpaired}, {differ} FROM {sides} ON a.{key} = b.{key}").fetchall()[0]
        told = {name: number for name, number in zip(["rows", *columns], counted, strict=True) if number}
        if told:
            found[table.name] = told
    return found
