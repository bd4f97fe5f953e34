"""A house whose one source is a folder of files, with a contract for a list and one for matters with applicants."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from chengxin import engine, harvest, identity
from chengxin.connections import Connection
from chengxin.ledger.models import Harvest
from chengxin.settings import House

MONDAY = date(2026, 6, 15)
TUESDAY, WEDNESDAY, SUNDAY = MONDAY + timedelta(1), MONDAY + timedelta(2), MONDAY - timedelta(1)


def head(name: str, title: str, table: str, mode: str = "full") -> str:
    """How the contract of a folder of daily JSON files begins, up to its columns."""
    return f"""
name: {name}
title: {title}
publisher: 测试
legal_basis: 测试
table: {table}
mode: {mode}
schedule: "0 2 * * *"
max_age: 2d
read: {{connector: files, connection: drop, pattern: "{name}_{{as_of}}.json", format: json}}
"""


ENTRIES = (
    head("entries", "名单", "list_entry")
    + """columns:
  code: uscc
  who: {to: subject_name, required: true}
  since: {to: listed_on, as: date}
  until: {to: removed_on, as: date}
  why: reason
  no: {to: doc_no, required: true}
constants: {list: 经营异常名录}
ignore: [batch]
exclude: {why: [自然人]}
key: [list, doc_no]
nulls: [暂无]
bounds: {rows: {min: 1, max: 1000}, shrink: {max: 0.5}, fields: {uscc: {filled: 0.2}}}
drift: {new: warn, missing: stop, retyped: stop}
keep: 1y
owner: data-engineering
"""
)

MATTERS = (
    head("matters_in", "事项", "matter", "MODE")
    + """columns:
  no: {to: matter_id, required: true}
  kind: {to: type, required: true}
  dept: {to: department, required: true}
  state: {to: state, lookup: {"1": 待办, "2": 办结}, lookup_strict: true}
children:
  who:
    table: applicant
    inherit: {matter_id: matter_id}
    columns: {n: {to: applicant_no, required: true}, code: uscc, name: name}
    key: [matter_id, applicant_no]
key: [matter_id]
bounds: {rows: {min: 0}, shrink: {max: 1}}
keep: 1y
owner: data-engineering
"""
)

CODES = identity.complete([f"91370112XXXX{n:05d}" for n in range(40)])


def entry(number: int, **changes: Any) -> dict[str, Any]:
    """A clean source record."""
    row = {"code": CODES[number], "who": f"测试{number}公司", "since": "2026-01-05", "until": "", "why": "未报年报"}
    return {**row, "no": f"第{number}号", "batch": "1", **changes}


def matter(number: int, *applicants: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A matter with its applicants."""
    return {"no": f"M{number}", "kind": "政府采购", "dept": "czj", "state": "1", "who": list(applicants), **changes}


def who(n: int, **changes: Any) -> dict[str, Any]:
    """An applicant."""
    return {"n": n, "code": CODES[n], "name": f"测试{n}公司", **changes}


class Source:
    """A house whose one source is a folder of files."""

    def __init__(self, house: House, tmp: Path) -> None:
        self.drop = tmp / "drop"
        self.drop.mkdir(parents=True)
        (tmp / "include/sources").mkdir(parents=True)
        self.include = tmp / "include"
        connection = Connection("drop", "fs", extra={"path": str(self.drop)})
        self.house = replace(house, include=self.include, connections=lambda _: connection)
        self.contract("entries", ENTRIES)
        self.contract("matters_in", MATTERS.replace("MODE", "full"))

    def contract(self, name: str, text: str) -> None:
        (self.include / "sources" / f"{name}.yml").write_text(text, "utf-8")

    def deliver(self, day: date, rows: list[dict[str, Any]], source: str = "entries") -> None:
        (self.drop / f"{source}_{day:%Y%m%d}.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")

    def run(self, day: date, rows: list[dict[str, Any]], source: str = "entries") -> dict[str, Any]:
        self.deliver(day, rows, source)
        return harvest.run(self.house, source, day)

    def detail(self, outcome: dict[str, Any]) -> dict[str, Any]:
        return self.row(outcome["harvest_id"]).detail

    def row(self, harvest_id: int) -> Harvest:
        with self.house.ledger.begin() as session:
            return session.get_one(Harvest, harvest_id)

    def last(self) -> Harvest:
        with self.house.ledger.begin() as session:
            return session.query(Harvest).order_by(Harvest.id.desc()).first()  # type: ignore[return-value]

    def state(self, day: date, table: str = "list_entry") -> dict[str, dict[str, Any]]:
        rows = engine.as_of(self.house.engine(), self.house.lake, table, day).to_pyarrow().to_pylist()
        return {row["natural_key"]: row for row in rows}

    def reasons(self, day: date) -> dict[str, str]:
        return {row["doc_no"]: row["reason"] for row in self.state(day).values()}
