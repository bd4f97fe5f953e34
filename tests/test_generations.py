"""One contract for two generations of headings, and the registry's short codes, through whole harvests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chengxin.errors import DriftError
from chengxin.settings import House
from tests.dropped import CODES, MONDAY, TUESDAY, Source, head

PENALTIES = (
    head("penalties", "行政处罚", "credit_record")
    + """columns:
  CF_WSH: {to: record_no, required: true}
  CF_XDR_MC: {to: subject_name, required: true}
  CF_XDR_SHXYM: uscc
  CF_CFJG: {to: authority, also: [CF_XZJG]}
  CF_JDRQ: identified_on
  CF_GSJZQ: {to: expires_on, optional: true}
ignore: [CF_CFMC, CF_ZT, SJC, CF_NR_FK]
key: [record_no]
nulls: ["\\\\N", 暂无]
bounds: {rows: {min: 0}, shrink: {max: 1}}
keep: 1y
owner: data-engineering
"""
)


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    source = Source(house, tmp_path / "place")
    source.contract("penalties", PENALTIES)
    return source


def newer(number: int, **more: Any) -> dict[str, Any]:
    row = {"CF_WSH": f"{number}号", "CF_XDR_MC": f"示例{number}公司", "CF_XDR_SHXYM": CODES[number]}
    return {**row, "CF_CFJG": "示例局", "CF_JDRQ": "2026-03-01", "CF_GSJZQ": "2099-12-31", "CF_NR_FK": "1.5", **more}


def older(number: int, **more: Any) -> dict[str, Any]:
    row = {"CF_WSH": f"{number}号", "CF_XDR_MC": f"示例{number}公司", "CF_XDR_SHXYM": CODES[number]}
    return {**row, "CF_CFMC": "罚款", "CF_XZJG": "示例局", "CF_JDRQ": "20260301", "CF_ZT": "0", "SJC": "1", **more}


def test_both_generations_say_the_same(source: Source) -> None:
    first = source.run(MONDAY, [newer(n) for n in range(3)], "penalties")
    assert source.detail(first)["drift"] == {"new": [], "missing": [], "retyped": []}
    second = source.run(TUESDAY, [older(n) for n in range(3)], "penalties")
    assert (second["unchanged"], second["published"]) == (3, 0), "other headings, other date shape, same facts"
    assert source.detail(second)["drift"] == {"new": [], "missing": [], "retyped": []}


def test_both_in_one_file(source: Source) -> None:
    rows = [newer(1), older(2), newer(3, CF_CFJG="\\N", CF_XZJG="旧局"), older(4, CF_CFJG="暂无", CF_XZJG="")]
    source.run(MONDAY, rows, "penalties")
    found = {row["record_no"]: row["authority"] for row in source.house.lake.rows("credit_record")}
    assert found == {"1号": "示例局", "2号": "示例局", "3号": "旧局", "4号": None}


def test_none_of_the_headings_is_drift(source: Source) -> None:
    rows = [{name: value for name, value in newer(n).items() if name != "CF_CFJG"} for n in range(3)]
    with pytest.raises(DriftError, match="missing column: CF_CFJG"):
        source.run(MONDAY, rows, "penalties")


def test_headings_repeated_as_a_row_are_found_in_either_generation(source: Source) -> None:
    heading = {name: name for name in older(1)}
    outcome = source.run(MONDAY, [older(1), heading], "penalties")
    assert source.detail(outcome)["rejected"] == {"record.heading": 1}


REPORTS = (
    head("reports", "年报", "annual_report")
    + """columns:
  UNISCID: {to: uscc, required: true}
  ANCHEYEAR: {to: report_year, required: true}
  ANCHEDATE: {to: submitted_at, required: true}
  REPTYPE: {to: channel, lookup: {"1": 网上, "2": 纸质}, lookup_strict: true}
  PUBSTATE: {to: is_public, lookup: {"1": true, "2": false}}
  ASSGRO: {to: total_assets, unit: 万元}
  VENDINC: {to: revenue, unit: 元}
key: [uscc, report_year]
nulls: ["\\\\N"]
bounds: {rows: {min: 0}, shrink: {max: 1}}
keep: 1y
owner: data-engineering
"""
)


def test_short_codes_units_and_shapes_of_the_registry(source: Source) -> None:
    source.contract("reports", REPORTS)
    rows = [
        {"ANCHEDATE": "2026-03-01 00:00:00", "REPTYPE": "1", "PUBSTATE": "1", "ASSGRO": "12.5", "VENDINC": "12.5"},
        {"ANCHEDATE": 1772294400000, "REPTYPE": 2, "PUBSTATE": 2, "ASSGRO": 12.5, "VENDINC": "1,000"},
        {"ANCHEDATE": "46082", "REPTYPE": "\\N", "PUBSTATE": "", "ASSGRO": "\\N", "VENDINC": "3万元"},
        {"ANCHEDATE": "20260301", "REPTYPE": "3", "PUBSTATE": "1", "ASSGRO": "1", "VENDINC": "1"},
    ]
    delivered = [{"UNISCID": CODES[n], "ANCHEYEAR": 2025, **row} for n, row in enumerate(rows)]
    outcome = source.run(MONDAY, delivered, "reports")
    assert source.detail(outcome)["rejected"] == {"word.known": 1}
    found = {row["uscc"]: row for row in source.house.lake.rows("annual_report")}
    assert {str(found[CODES[n]]["submitted_at"]) for n in range(3)} == {"2026-02-28 16:00:00+00:00"}
    assert [found[CODES[n]]["channel"] for n in range(3)] == ["网上", "纸质", None]
    assert [found[CODES[n]]["is_public"] for n in range(3)] == [True, False, None]
    assert [str(found[CODES[n]]["total_assets"]) for n in range(3)] == ["125000.00", "125000.00", "None"]
    assert [str(found[CODES[n]]["revenue"]) for n in range(3)] == ["12.50", "1000.00", "30000.00"]
