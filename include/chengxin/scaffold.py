"""`chengxin new-source`: contract, sample and test of a new source; and `rehearse`, which those tests run.

What is written works as it stands, on made-up rows: the author then replaces headings, place and sample by the real
ones (made-up names and codes stay), and the test says at each step what does not fit yet. `docs/adding-a-source.md`
walks through it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from chengxin import contracts, yamlfile
from chengxin.contracts import FACT_TABLES
from chengxin.errors import ConfigError
from chengxin.settings import House
from chengxin.tables import Column, Table

CONNECTORS = ("files", "http_api", "database")
ROWS = 3
KEYS = {
    "subject": ("uscc",),
    "annual_report": ("uscc", "report_year"),
    "credit_report": ("report_no",),
    "credit_record": ("record_no", "subject_name"),
    "list_entry": ("uscc", "listed_on"),
    "matter": ("matter_id",),
    "applicant": ("matter_id", "applicant_no"),
    "consent": ("consent_id",),
    "agency": ("uscc",),
}
"""Fact table → what makes a row of it one and the same, most often."""
_DERIVED = ("name_key", "uscc_problem")
_CODES = ("uscc", "agency_uscc", "handed_in_by")
_WORDS = {
    "kind": "企业",
    "state": "存续",
    "type": "政府采购",
    "list": "信用不良记录",
    "channel": "网上",
    "severity": "一般",
    "scale": "示例等级",
    "grade": "A",
    "area_code": "370112001",
    "industry": "F",
}
_READ = {
    "files": """\
  connector: files
  connection: file_drop # its extra.path is the folder; SFTP and object stores: docs/adding-a-source.md
  pattern: "{name}_{{as_of}}.csv" # {{as_of}}: the day as YYYYMMDD
  format: csv
  encoding: utf-8-sig""",
    "http_api": """\
  connector: http_api
  connection: sharing_portal # host, login and password stand in the connection, never here
  path: /api/v1/{name}
  auth: hmac_sha256 # or none, basic, bearer
  paging: {{page: page, size: size, page_size: 1000}}
  envelope: {{code: code, ok: ["200"], message: msg, total: total, records: data}}""",
    "database": """\
  connector: database
  connection: front_db
  table: v_{name}
  order_by: [{first}] # a stable order, so that a read that was cut off can go on""",
}
_CONTRACT = """\
# yaml-language-server: $schema=../schema/contract.schema.json
# Every heading of the source is mapped under `columns` or written under `ignore`; anything else is drift.
name: {name}
title: {name} # what the source is called by its publisher
publisher: 示例单位 # who answers for it
legal_basis: 政务数据共享条例 # on what ground it may be read
table: {table}
mode: full # the whole list each time, what is gone was removed; or incremental
schedule: "40 2 * * *" # Beijing time
max_age: 2d # older than this, the check answers "cannot tell"
read:
{read}
columns: # heading of the source: field of {table}
{columns}
ignore: [] # headings of no use to us
key: [{key}] # what makes a row one and the same from day to day
nulls: ["\\\\N", 暂无, 无, "/", —, "-", "null", "NULL", "None", N/A] # words that mean nothing, besides the empty text
bounds:
  rows: {{min: 1}} # fewer usable records stop the harvest; see `chengxin bounds {name}` after some weeks
  shrink: {{max: 0.2}} # a larger share that vanishes at once stops it
drift: {{new: warn, missing: stop, retyped: stop}}
keep: 5y # how long raw files stay
owner: data-engineering
fixture: {fixture}
"""
_TEST = '''\
"""The source `{name}`: its contract, on a sample of what it delivers."""

from __future__ import annotations

from datetime import date

from chengxin import contracts, scaffold
from chengxin.settings import House
from tests.conftest import ROOT

CONTRACT = ROOT / "include/sources/{name}.yml"
DAY = date(2026, 6, 15)


def test_every_row_of_the_sample_has_an_outcome(house: House) -> None:
    found = scaffold.rehearse(house, CONTRACT, ROOT / "tests/fixtures", DAY)
    assert found.counts["harvested"] == {rows}
    assert found.detail["rejected"] == {{}}
    assert found.detail["drift"] == {{"new": [], "missing": [], "retyped": []}}
    assert found.counts["published"] == {rows}


def test_a_second_look_at_the_same_rows_changes_nothing(house: House) -> None:
    scaffold.rehearse(house, CONTRACT, ROOT / "tests/fixtures", DAY)
    again = scaffold.rehearse(house, CONTRACT, ROOT / "tests/fixtures", DAY)
    assert (again.counts["published"], again.counts["unchanged"]) == (0, {rows})


def test_the_values_are_read_as_they_are_meant(house: House) -> None:
    scaffold.rehearse(house, CONTRACT, ROOT / "tests/fixtures", DAY)
    rows = house.lake.rows(contracts.load(CONTRACT).table)
    first = min(rows, key=lambda row: row["raw_row"])
    expected = {{
{expected}
    }}
    assert {{name: str(first[name]) for name in expected}} == expected
'''


@dataclass(frozen=True)
class Outcome:
    """What became of a sample: `counts` as `harvest.publish` returns them, `detail` as the ledger keeps it."""

    counts: dict[str, Any]
    detail: dict[str, Any]


def write(root: Path, name: str, table: str, connector: str) -> list[Path]:
    """Writes contract, sample and test of a new source.

    Args:
        root: the project.
        name: the contract's name.
        table: the fact table it feeds.
        connector: one of `CONNECTORS`.

    Returns:
        The files written.

    Raises:
        ConfigError: a bad name, table or connector, or a file that is there already. Nothing is written then.
    """
    if not name.isascii() or not name.isidentifier() or name != name.lower():
        raise ConfigError(f"{name!r} is no name for a contract", remedy="small letters, digits and underscores")
    if table not in FACT_TABLES:
        raise ConfigError(f"no fact table {table!r}", remedy=f"one of {', '.join(FACT_TABLES)}")
    if connector not in CONNECTORS:
        raise ConfigError(f"no connector {connector!r}", remedy=f"one of {', '.join(CONNECTORS)}")
    fields = [column for column in FACT_TABLES[table].columns if column.name not in _DERIVED]
    rows = _sample(FACT_TABLES[table], fields)
    fixture = f"{name}/{ {'files': 'rows.csv', 'http_api': 'page.json', 'database': 'rows.jsonl'}[connector] }"
    key = ", ".join(KEYS[table])
    checked = [field.name for field in fields[:3]]
    files = {
        root / f"include/sources/{name}.yml": _CONTRACT.format(
            name=name,
            table=table,
            read=_READ[connector].format(name=name, first=KEYS[table][0]),
            columns="\n".join(_column(field, KEYS[table]) for field in fields),
            key=key,
            fixture=fixture,
        ),
        root / f"tests/fixtures/{fixture}": _WRITERS[connector](rows),
        root / f"tests/sources/test_{name}.py": _TEST.format(
            name=name, rows=ROWS, expected="\n".join(f'        "{one}": "{rows[0][one]}",' for one in checked)
        ),
    }
    for file in files:
        if file.exists():
            raise ConfigError("there is such a file already", where=str(file), remedy="choose another name")
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    package = root / "tests/sources/__init__.py"
    if not package.exists():
        package.write_text("", "utf-8")
    contracts.load(next(iter(files)))
    return list(files)


def rehearse(house: House, contract: Path, fixtures: Path, as_of: date) -> Outcome:
    """Harvests a contract's sample into a house: everything but the way the bytes arrive.

    Args:
        house: where to work, e.g. the fixture `house` of the tests.
        contract: the contract's file; it names its sample.
        fixtures: folder of the samples.
        as_of: the day to speak for.

    Raises:
        ConfigError: the contract names no sample.
        ChengxinError: as `harvest.run`.
    """
    from chengxin import harvest
    from chengxin.connections import Connection
    from chengxin.ledger.models import Harvest

    content = yamlfile.read(contract)
    if not content.get("fixture"):
        raise ConfigError("the contract names no sample", where=str(contract), remedy="set `fixture`")
    sample = fixtures / content["fixture"]
    drop, include = house.var / "rehearsal/drop", house.var / "rehearsal/include"
    for folder in (drop, include / "sources"):
        folder.mkdir(parents=True, exist_ok=True)
    content["read"] = _from_a_file(content["read"], sample.name)
    data = sample.read_bytes()
    if sample.suffix == ".jsonl":
        data = b"[" + b",".join(data.splitlines()) + b"]"
    (drop / sample.name).write_bytes(data)
    # A JSON document is YAML too.
    (include / f"sources/{contract.name}").write_text(json.dumps(content, ensure_ascii=False, default=str), "utf-8")
    place = Connection("rehearsal", "fs", extra={"path": str(drop)})
    there = replace(house, include=include, connections=lambda _: place)
    counts = harvest.run(there, contract.stem, as_of)
    with house.ledger.begin() as session:
        return Outcome(counts, dict(session.get_one(Harvest, counts["harvest_id"]).detail))


def _from_a_file(read: dict[str, Any], name: str) -> dict[str, Any]:
    """The contract's `read`, with the sample in place of the source."""
    if read["connector"] == "files":
        kept = {key: value for key, value in read.items() if key not in ("take", "marker", "checksum", "feedback")}
        return {**kept, "connection": "rehearsal", "pattern": name}
    records = read.get("envelope", {}).get("records", "data.records") if read["connector"] == "http_api" else ""
    return {
        "connector": "files",
        "connection": "rehearsal",
        "pattern": name,
        "format": "json",
        "encoding": "utf-8",
        "records": records,
    }


def _column(field: Column, key: tuple[str, ...]) -> str:
    settings = [f"to: {field.name}"]
    if field.type == "money":
        settings.append("unit: 元")
    if field.name in key:
        settings.append("required: true")
    target = field.name if len(settings) == 1 else f"{{{', '.join(settings)}}}"
    return f"  {field.name}: {target} # {field.doc}"


def _sample(table: Table, fields: list[Column]) -> list[dict[str, str]]:
    from chengxin import identity

    codes = identity.complete([f"91370112XXXX{number:05d}" for number in range(1, ROWS + 1)])
    return [{field.name: _value(table, field, number, codes[number]) for field in fields} for number in range(ROWS)]


def _value(table: Table, field: Column, number: int, code: str) -> str:
    if field.name in _CODES:
        return code
    if field.name == "state" and table.name == "matter":
        return "待办"
    if field.name in _WORDS:
        return _WORDS[field.name]
    if field.name == "report_year":
        return "2024"
    return {
        "string": f"示例{field.name}{number + 1}",
        "date": f"2026-01-{number + 10:02d}",
        "timestamp": f"2026-01-{number + 10:02d} 02:00:00+00:00",
        "int": str(number + 1),
        "long": str(number + 1),
        "double": f"{number + 1}.5",
        "money": f"{number + 1}000.00",
        "boolean": "True",
    }[field.type]


def _csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _page(rows: list[dict[str, str]]) -> str:
    page = {"code": "200", "msg": "成功", "total": len(rows), "data": rows}
    return json.dumps(page, ensure_ascii=False, indent=1) + "\n"


def _lines(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


_WRITERS: dict[str, Callable[[list[dict[str, str]]], str]] = {"files": _csv, "http_api": _page, "database": _lines}
