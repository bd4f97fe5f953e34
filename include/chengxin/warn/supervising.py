"""The monthly report on the use of credit records to the bodies that guide and supervise it (四（一）, 四（二）).

Numbers by unit and the names of agencies whose reports were rejected; no matter, no applicant, no report's content.
What was in force at any time of the month is counted: advice that changed twice is one check of one applicant. Units
stand in the order of the district file: this is no ranking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import ibis
import pandas as pd
from sqlalchemy import func, select

from chengxin import engine
from chengxin.clock import in_full
from chengxin.districts import District
from chengxin.ledger import answers, decisions, outbox
from chengxin.ledger.models import CheckRun
from chengxin.ledger.outbox import Scope
from chengxin.settings import House
from chengxin.warn import worklist
from chengxin.warn.answered import Answers
from chengxin.warn.drafting import Day, digest, draft
from chengxin.warn.guard import ground
from chengxin.warn.links import links
from chengxin.warn.modes import permit
from chengxin.warn.render import Reply, Templates, Text
from chengxin.warn.sending import deliver
from chengxin.warn.words import Words, district_of
from chengxin.warn.words import load as load_words

REPORT_NEEDED = "NEED_REPORT"
AGENCY_REJECTED = "AGENCY_NOT_FILED"
_COLUMNS = ("matters", "checked", "missing")
_UNRECORDED = "未记录"
"""Where no decision was recorded: not the same as none that weighed the credit."""


@dataclass(frozen=True)
class Use:
    """A month's use of credit records."""

    first: date
    last: date
    runs: int
    """Checks that were run in the month."""
    units: pd.DataFrame
    """department, matters (事项), checked (applicants checked), missing (without a report that counts), decided
    (applicants decided in the month), weighed (of these, with the credit weighed)."""
    agencies: pd.DataFrame
    """name, reports (rejected because the agency was not filed when it issued them), departments (codes, sorted)."""

    @property
    def month(self) -> str:
        """e.g. 2026-06."""
        return f"{self.first:%Y-%m}"


def supervise(house: House, as_of: date) -> dict[str, int]:
    """Plans and sends the report on the month before a day, once per month and recipient.

    Args:
        house: the house.
        as_of: any day of the month after the one that is reported.

    Returns:
        How many were `sent`, `refused`, left `unknown`, and are still `planned`; nothing where the district names no
        supervising bodies.

    Raises:
        DeferredError: the mail server did not take it for now.
    """
    district, may = district_of(house), permit(house, as_of)
    scope = Scope(district.code, may.mode, as_of, may.since)
    used = use(house, district, as_of)
    words, templates = load_words(house, district), Templates(house.include_dir / "mail")
    with house.ledger.begin() as session:
        given = Answers(answers.counting(session, district.code, may.mode), as_of)
    day = Day(
        house, district, may, as_of, words, templates, ground(house, district, as_of), 0, scope, given,
        links(house, district),
    )  # fmt: skip
    made = [
        draft(
            day,
            code=code,
            recipient=district.departments[code].mailbox,
            role="unit",
            kind="supervision",
            matter=f"supervision/{used.month}",
            stage="",
            # The month is the fact: what is filed under it later does not make a second report.
            fingerprint=digest(["month"]),
            write=partial(_text, templates, words, district, as_of, used, code),
            attached=None,
            detail={"matters": int(used.units["matters"].sum()), "checked": int(used.units["checked"].sum())},
        )
        for code in district.supervisors
    ]
    with house.ledger.begin() as session:
        outbox.put(session, house.clock(), made)
    counts = dict.fromkeys(("sent", "refused", "unknown", "planned"), 0)
    for code in district.supervisors:
        sent = deliver(house, district, may, Scope(district.code, may.mode, as_of, may.since, code))
        counts = {name: counts[name] + sent[name] for name in counts}
    return counts


def use(house: House, district: District, as_of: date) -> Use:
    """The use of credit records in the month before a day."""
    last = as_of.replace(day=1) - timedelta(days=1)
    first = last.replace(day=1)
    connection = house.engine()
    try:
        advice = _in_force(connection, house, "advice", first, last)
        missing = (advice.as_written == REPORT_NEEDED) | (advice.decision == REPORT_NEEDED)
        counted = advice.group_by("department").agg(
            matters=advice.matter_id.nunique(),
            checked=advice.advice_id.nunique(),
            missing=ibis.ifelse(missing, advice.advice_id, ibis.null("string")).nunique(),
        )
        units = connection.to_pandas(counted)
        agencies = connection.to_pandas(_rejected(connection, house, advice, first, last))
    finally:
        connection.disconnect()
    with house.ledger.begin() as session:
        runs = session.scalar(
            select(func.count()).where(
                CheckRun.district == district.code,
                CheckRun.as_of.between(first, last),
                CheckRun.finished_at.is_not(None),
            )
        )
        made = decisions.counts(session, district.code, first, last)
    units["decided"] = [sum(made.get(code, {}).values()) for code in units["department"]]
    units["weighed"] = units["decided"] - [made.get(code, {}).get("not_weighed", 0) for code in units["department"]]
    order = {code: place for place, code in enumerate(district.departments)}
    units = units.assign(_place=units["department"].map(order).fillna(len(order)))
    units = units.sort_values(["_place", "department"], kind="stable").drop(columns="_place").reset_index(drop=True)
    agencies = agencies.sort_values(["reports", "name"], ascending=[False, True], kind="stable").reset_index(drop=True)
    return Use(first, last, int(runs or 0), units, agencies)


def _in_force(connection: engine.Connection, house: House, name: str, first: date, last: date) -> ibis.Table:
    """Every version of a conclusion that held at some time of a month."""
    rows = engine.observations(connection, house.lake, name)
    within = rows.filter(rows.observed_on >= ibis.literal(first), rows.observed_on <= ibis.literal(last), ~rows.removed)
    before = engine.as_of(connection, house.lake, name, first - timedelta(days=1))
    return ibis.union(within, before.select(within.columns))


def _rejected(connection: engine.Connection, house: House, advice: ibis.Table, first: date, last: date) -> ibis.Table:
    """Agencies whose reports did not count, because they were not filed: name, reports, departments."""
    finding = _in_force(connection, house, "finding", first, last)
    finding = finding.filter(finding.reasons.contains(AGENCY_REJECTED), finding.evidence_table == "credit_report")
    reports = engine.as_of(connection, house.lake, "credit_report", last)
    holders = advice.select("advice_id", "department").distinct()
    hits = (
        finding.select("advice_id", "evidence_key")
        .distinct()
        .inner_join(reports.select("natural_key", "agency_name"), [("evidence_key", "natural_key")])
        .inner_join(holders, "advice_id")
    )
    name = hits.agency_name.fill_null("（未写明机构）")
    return hits.group_by(name=name).agg(
        reports=hits.evidence_key.nunique(), departments=hits.department.collect(distinct=True).sort()
    )


def _text(
    templates: Templates, words: Words, district: District, as_of: date, used: Use, code: str, reply: Reply
) -> Text:
    """The mail to one supervising body."""
    names = {unit: each.name for unit, each in district.departments.items()}
    month = f"{used.first.year}年{used.first.month}月"
    totals = {column: int(used.units[column].sum()) for column in (*_COLUMNS, "decided", "weighed")}
    context = {
        "sender": district.mail.sender_name,
        "title": f"{month}信用记录和信用报告使用情况",
        "date": in_full(as_of),
        "preview": f"事项{totals['matters']:,}件、核查{totals['checked']:,}户次、缺报告{totals['missing']:,}户次",
        "department": names[code],
        "lead": f"{month}全区共核查{totals['matters']:,}件行政管理事项、{totals['checked']:,}户次，"
        f"其中{totals['missing']:,}户次缺少有效信用报告。系统当月完成核查{used.runs:,}次。",
        "rows": [
            *_rows(used.units, names),
            {"name": "合计", "numbers": _numbers(totals), "strong": True},
        ],
        "agencies": _agencies(used.agencies, names),
        "weighed": "“作为考量”一栏为作为考量的户次/已登记决定的户次；未记录的，承办人员没有登记决定，不能以零代替。",
        "reply": reply,
        "foot": [
            f"依据：{words.document} 四（一）指导和监管、四（二）第三方信用报告的机构管理。",
            "按单位代码表排列，只作工作情况，不作排名；不含具体事项、主体和报告内容。本信由系统按月自动发送。",
        ],
    }
    return templates.text("supervision", f"【信用使用月报】{month}：{context['preview']}", context)


def _rows(units: pd.DataFrame, names: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": names.get(row["department"], f"未在名录的单位（{row['department']}）"),
            "numbers": _numbers(row),
            "strong": False,
        }
        for row in units.to_dict("records")
    ]


def _numbers(row: Mapping[Any, Any]) -> list[str]:
    weighed = f"{int(row['weighed']):,}/{int(row['decided']):,}" if row["decided"] else _UNRECORDED
    return [*(f"{int(row[column]):,}" for column in _COLUMNS), weighed]


def _agencies(agencies: pd.DataFrame, names: Mapping[str, str]) -> list[dict[str, str]]:
    shown = agencies.assign(name=worklist.clean(agencies["name"])) if len(agencies) else agencies
    return [
        {
            "name": row["name"],
            "reports": f"{int(row['reports']):,}份",
            "units": "、".join(names.get(code, code) for code in row["departments"]),
        }
        for row in shown.to_dict("records")
    ]
