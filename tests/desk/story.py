"""A few days at a few subjects, with everything that can happen to a fact: for the tests of the desk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from chengxin import check
from chengxin.desk import tables
from chengxin.settings import House
from tests.factlake import FactLake, codes, day

MONDAY = day("2026-06-15")
TUESDAY, WEDNESDAY, THURSDAY = (MONDAY + timedelta(days=n) for n in (1, 2, 3))
FIRM, SHOP, STALL, COOP, FOREIGN, AGENCY = (
    *codes(1), *codes(2, 6, kind="92"), *codes(3, kind="93"), *codes(4, 5),
)  # fmt: skip
NAMES = {FIRM: "示例东街建材有限公司", SHOP: "示例面馆", STALL: "示例茶叶店", COOP: "示例草莓种植合作社"}
KINDS = {FIRM: "企业", SHOP: "个体工商户", STALL: "个体工商户", COOP: "农民专业合作社"}
AREAS = {FIRM: "370112009", SHOP: "370112002", STALL: "370112003", COOP: "370112999"}
SECRET = "示例密路77号"

Step = Callable[[FactLake], object]


def subjects(**changed: Any) -> list[dict[str, Any]]:
    """Those of the registry; `changed`: what is otherwise of the first."""
    rows = [
        {
            "uscc": code, "name": name, "kind": KINDS[code], "state": "存续", "established": day("2019-01-01"),
            "area_code": AREAS[code], "industry": "F", "address": SECRET,
        }
        for code, name in NAMES.items()
    ]  # fmt: skip
    rows[0] |= changed
    return rows


def matter(number: int, department: str, state: str = "待办", **more: Any) -> dict[str, Any]:
    """A matter."""
    return {
        "matter_id": f"M{number}", "type": "招投标", "title": f"示例{number}号道路工程", "department": department,
        "state": state, "opened_on": day("2026-06-01") + timedelta(days=number), **more,
    }  # fmt: skip


def monday(lake: FactLake) -> None:
    """Everything is new; a check."""
    lake.fresh(MONDAY)
    lake.put("subject", MONDAY, subjects())
    lake.put("annual_report", MONDAY, [
        {"uscc": code, "report_year": 2025, "submitted_at": lake.house.clock()} for code in (SHOP, STALL)
    ])  # fmt: skip
    lake.put("agency", MONDAY, [{"uscc": AGENCY, "name": "示例征信", "filed_on": day("2020-01-01")}])
    lake.put("credit_report", MONDAY, [
        {"report_no": "R1", "uscc": FIRM, "agency_uscc": AGENCY, "issue_date": day("2026-03-01"), "grade": "AAA+",
         "matter_id": "M1"},
    ])  # fmt: skip
    lake.put("consent", MONDAY, [
        {"consent_id": "C1", "uscc": FIRM, "item": "信用报告", "recipient": "zjj", "given_on": MONDAY},
        {"consent_id": "C2", "uscc": SHOP, "item": "信用报告", "recipient": "czj", "given_on": MONDAY,
         "withdrawn_on": TUESDAY},
    ])  # fmt: skip
    lake.put("credit_record", MONDAY, [
        {"record_no": "罚1", "uscc": FIRM, "subject_name": NAMES[FIRM], "identified_on": day("2026-01-05")},
        {"record_no": "罚2", "uscc": COOP, "identified_on": day("2026-01-05"), "expires_on": MONDAY},
    ])  # fmt: skip
    lake.put("credit_record", MONDAY, [{"record_no": "罚1", "uscc": FIRM, "authority": "另一来源"}], "blacklists")
    lake.put("list_entry", MONDAY, [
        {"list": "黑名单", "doc_no": "D1", "uscc": FIRM, "subject_name": NAMES[FIRM], "listed_on": day("2026-01-01")},
        {"list": "黑名单", "doc_no": "D2", "subject_name": NAMES[SHOP], "listed_on": day("2026-01-01")},
        {"list": "黑名单", "doc_no": "D3", "uscc": FOREIGN, "subject_name": "外地示例公司",
         "listed_on": day("2026-01-01")},
    ])  # fmt: skip
    lake.put("matter", MONDAY, [matter(1, "zjj"), matter(2, "czj"), matter(3, "zjj")])
    lake.put("applicant", MONDAY, [
        {"matter_id": "M1", "applicant_no": "1", "uscc": FIRM, "name": NAMES[FIRM]},
        {"matter_id": "M1", "applicant_no": "2", "uscc": SHOP, "name": NAMES[SHOP]},
        {"matter_id": "M1", "applicant_no": "10", "uscc": None, "name": "无码示例"},
        {"matter_id": "M2", "applicant_no": "1", "uscc": FIRM, "name": NAMES[FIRM]},
    ])  # fmt: skip
    reject(lake, MONDAY, ("code.valid", 3), ("date.readable", 1))
    check.run(lake.house, MONDAY)


def tuesday(lake: FactLake) -> None:
    """Some of it changes, some goes; a check."""
    lake.fresh(TUESDAY)
    lake.put("subject", TUESDAY, subjects(area_code="370112010")[:1])
    lake.put("annual_report", TUESDAY, [{"uscc": COOP, "report_year": 2025, "submitted_at": lake.house.clock()}])
    lake.put("list_entry", TUESDAY, [{"list": "黑名单", "doc_no": "D1"}], gone=True)
    lake.put("matter", TUESDAY, [matter(2, "czj", "办结", decided_on=TUESDAY)])
    lake.put("credit_record", TUESDAY, [{"record_no": "罚1", "uscc": FIRM, "repaired_on": WEDNESDAY}], "blacklists")
    reject(lake, TUESDAY, ("code.valid", 2), gone=True)
    check.run(lake.house, TUESDAY)


def late(lake: FactLake) -> None:
    """Monday is told otherwise, on Wednesday; a subject leaves the registry; a list names one without a name."""
    lake.put("subject", MONDAY, subjects(name="示例旧名有限公司")[:1])
    lake.put("subject", WEDNESDAY, [{"uscc": COOP}], gone=True)
    lake.put("list_entry", WEDNESDAY, [{"list": "黑名单", "doc_no": "D9", "uscc": codes(9)[0]}])
    lake.put("applicant", WEDNESDAY, [{"matter_id": "M1", "applicant_no": "2"}], gone=True)
    lake.put("matter", WEDNESDAY, [{"matter_id": "M2"}], gone=True)


def thursday(lake: FactLake) -> None:
    """A check after all that."""
    lake.fresh(THURSDAY)
    check.run(lake.house, THURSDAY)


STEPS: tuple[Step, ...] = (monday, tuesday, late, thursday)


def reject(lake: FactLake, on: Any, *rules: tuple[str, int], gone: bool = False) -> None:
    """Rejected rows: rule → how many."""
    rows = [
        {"fact_table": "subject", "rule": rule, "rules": [rule], "column": "UNISCID", "value": f"{SECRET}{n}",
         "reason": "不符"}
        for rule, number in rules
        for n in range(number)
    ]  # fmt: skip
    lake.put("rejected", on, rows, gone=gone)


def dump(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the desk, without numbers and instants of its making."""
    found = {}
    for table in tables.metadata.sorted_tables:
        if table is not tables.state:
            columns = [column for column in table.c if column.name != "id"]
            rows = [tuple(map(str, row)) for row in connection.execute(select(*columns))]
            found[table.name] = sorted(rows)
    return found


def play(house: House, *steps: Step) -> FactLake:
    """Plays steps in a house."""
    lake = FactLake(house)
    for step in steps or STEPS:
        step(lake)
    return lake
