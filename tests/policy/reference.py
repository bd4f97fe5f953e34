"""A second reading of the notice, case by case, in plain Python: what the compiled policy is held against.

Written from the exact reading of the notice alone, without the policy files: when the two differ, one of them has
misread a sentence. Codes are compared as they stand (the generator writes valid ones), instants are handled by the
standard library.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

BEIJING = ZoneInfo("Asia/Shanghai")
ORDER = ["EXCLUDE", "RESTRICT", "NEED_REPORT", "REVIEW", "PRIORITY", "PASS"]
KINDS = [
    "日常监管", "政府采购", "招投标", "行政审批", "国有资产产权交易", "土地出让", "市场准入", "资质审核", "评先评优",
    "资金扶持", "信贷安排", "税收优惠", "食品药品安全监管",
]  # fmt: skip
COLUMN = {
    "政府采购": 0,
    **dict.fromkeys(["招投标", "土地出让", "国有资产产权交易", "市场准入", "资质审核"], 1),
    **dict.fromkeys(["资金扶持", "评先评优"], 2),
    **dict.fromkeys(["行政审批", "信贷安排", "税收优惠"], 3),
    **dict.fromkeys(["日常监管", "食品药品安全监管"], 4),
}
X, R, V = "EXCLUDE", "RESTRICT", "REVIEW"
TABLE = {
    "经营异常名录": ("LIST_ABNORMAL", [R, R, R, R, V]),
    "严重违法失信名单": ("LIST_SERIOUS", [X, X, X, R, V]),
    "失信被执行人": ("LIST_DISHONEST_DEBTOR", [X, R, X, R, V]),
    "政府采购严重违法失信行为记录名单": ("LIST_PROCUREMENT_BAN", [X, R, R, R, V]),
    "重大税收违法失信主体": ("LIST_TAX", [X, R, R, R, V]),
    "黑名单": ("LIST_BLACK", [R, R, R, R, V]),
    "信用不良记录": ("LIST_BAD_RECORD", [V, V, V, V, V]),
}
Finding = tuple[str | None, set[str], date | None]


def day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def anniversary(start: date) -> date:
    try:
        return start.replace(year=start.year + 1)
    except ValueError:
        return date(start.year + 1, 2, 28)


def matter(facts: dict[str, Any], as_of: str, valid: set[str]) -> dict[str, dict[str, Any]]:
    """Both readings of one applicant. `valid` are the codes that exist."""
    t = date.fromisoformat(as_of)
    subject, about = facts["subject"], facts["matter"]
    code, kind = subject.get("uscc"), about.get("type")
    construction = about.get("is_construction") is True
    if kind == "建设工程招投标":
        kind, construction = "招投标", True
    if kind in ("国有产权转让", "国有资产产权转让"):
        kind = "国有资产产权交易"
    if kind not in KINDS or code not in valid:
        return both("INPUT_ERROR", set(), None, {"四（一）", own_clause(kind, about, construction)})
    if t < date(2021, 1, 1):
        return both("NOT_APPLICABLE", {"POLICY_NOT_IN_FORCE"}, None, {"四（一）"})
    result = {}
    for reading in ("as_written", "guarded"):
        findings = [
            *reports(facts, kind, code, t, reading),
            *(
                found
                for record in facts["records"]
                if (found := record_finding(record, kind, about, subject, t, reading))
            ),
            *(found for entry in facts["lists"] if (found := entry_finding(entry, kind, about, code, t))),
        ]
        reasons = {reason for _, why, _ in findings for reason in why}
        effects = [effect for effect, _, _ in findings if effect]
        decision = min(effects, key=ORDER.index, default="PASS")
        ends = [end for effect, _, end in findings if effect == decision]
        until = max(ends) if ends and None not in ends else None
        cites = {"四（一）", own_clause(kind, about, construction)}
        cites |= {"三"} if facts["lists"] or "HIGH_GRADE" in reasons else set()
        cites |= {"四（二）"} if "AGENCY_NOT_FILED" in reasons else set()
        cites |= {"四（三）"} if "REPORT_NO_CONSENT" in reasons else set()
        result[reading] = {"decision": decision, "reasons": reasons, "until": until, "cites": cites}
    return result


def both(decision: str, reasons: set[str], until: date | None, cites: set[str]) -> dict[str, dict[str, Any]]:
    return {
        reading: {"decision": decision, "reasons": reasons, "until": until, "cites": cites}
        for reading in ("as_written", "guarded")
    }


def own_clause(kind: str | None, about: dict[str, Any], construction: bool) -> str:
    if kind == "招投标" and construction:
        return "二（二）1"
    if kind == "政府采购" and about.get("procurement_form") == "政府集中采购":
        return "二（二）2"
    if kind == "土地出让" and about.get("land_method") == "招标":
        return "二（二）3"
    return {
        "食品药品安全监管": "二（二）4",
        "国有资产产权交易": "二（二）5",
        "资金扶持": "二（二）6",
        "税收优惠": "二（二）7",
        "信贷安排": "二（二）8",
    }.get(kind or "", "二（一）1")


def reports(facts: dict[str, Any], kind: str, code: str, t: date, reading: str) -> list[Finding]:
    usable, unusable, own = [], [], False
    for place, report in enumerate(facts["reports"]):
        issued, ends = day(report.get("issue_date")), day(report.get("valid_to"))
        if issued and not ends:
            ends = anniversary(issued)
        same = report.get("subject_uscc") == code
        own = own or same
        if not same:
            unusable.append("REPORT_SUBJECT_MISMATCH")
        elif not report.get("agency_filed"):
            unusable.append("AGENCY_NOT_FILED")
        elif not report.get("consent_active"):
            unusable.append("REPORT_NO_CONSENT")
        elif issued is None or ends is None or not issued <= t <= ends:
            unusable.append("REPORT_EXPIRED")
        else:
            usable.append((issued, place, report.get("grade")))
    if usable:
        grade = max(usable)[2]
        quiet = kind in ("土地出让", "国有资产产权交易", "日常监管", "食品药品安全监管")
        return [("PRIORITY", {"HIGH_GRADE"}, None)] if grade in ("AAA", "AA") and not quiet else []
    effect = "NEED_REPORT"
    if kind == "国有资产产权交易" and (reading == "as_written" or not own):
        effect = "EXCLUDE"
    return [(effect, set(unusable) or {"REPORT_MISSING"}, None)]


def record_finding(
    record: dict[str, Any], kind: str, about: dict[str, Any], subject: dict[str, Any], t: date, reading: str
) -> Finding | None:
    if record.get("subject_uscc") != subject["uscc"]:
        return None
    identified = day(record.get("identified_on"))
    if identified and identified > t:
        return None
    repaired = day(record.get("repaired_on"))
    if repaired and repaired <= t:
        return None, {"RECORD_REPAIRED"}, None
    confirmed = day(record.get("rectified_confirmed_on"))
    rectified = confirmed is not None and confirmed <= t and (identified is None or confirmed >= identified)
    extra = set() if identified else {"IDENTIFIED_DATE_MISSING"}
    if kind == "国有资产产权交易":
        if rectified:
            effect = "EXCLUDE" if reading == "as_written" else "REVIEW"
            return effect, {"RECORD_IN_FILE", "RECORD_RECTIFIED"} | extra, None
        return "EXCLUDE", {"RECORD_IN_FILE"} | extra, None
    if rectified:
        return None, {"RECORD_RECTIFIED"} | extra, None
    form, fund = about.get("procurement_form"), about.get("fund_kind")
    if (kind == "政府采购" and form is None) or (kind == "资金扶持" and fund is None):
        extra = extra | {"MATTER_ATTRIBUTE_MISSING"}
    central = kind == "政府采购" and form == "政府集中采购"
    end = anniversary(identified) if identified else None
    if central and end and t > end:
        return "REVIEW", {"RECORD_UNRECTIFIED_OUT_OF_WINDOW"} | extra, None
    if kind == "资金扶持" and fund == "社会福利扶贫资金":
        return None, {"RECORD_UNRECTIFIED", "EXEMPT_WELFARE_FUND"} | extra, None
    if central or kind == "资金扶持":
        if record.get("in_report") is not True:
            return "REVIEW", {"RECORD_UNRECTIFIED"} | extra, None
        if subject.get("kind") != "企业":
            known = subject.get("kind") in ("农民专业合作社", "个体工商户")
            why = "SUBJECT_KIND_NOT_ENTERPRISE" if known else "SUBJECT_KIND_UNKNOWN"
            return "REVIEW", {"RECORD_UNRECTIFIED", why} | extra, None
        if central:
            if end is None:
                return "REVIEW", {"RECORD_UNRECTIFIED"} | extra, None
            return "RESTRICT", {"RECORD_UNRECTIFIED_IN_WINDOW"} | extra, end
        return ("REVIEW" if fund is None else "EXCLUDE"), {"RECORD_UNRECTIFIED"} | extra, None
    return "REVIEW", {"RECORD_UNRECTIFIED"} | extra, None


def entry_finding(entry: dict[str, Any], kind: str, about: dict[str, Any], code: str, t: date) -> Finding | None:
    listed, removed, expires = (day(entry.get(name)) for name in ("listed_on", "removed_on", "expires_on"))
    if (listed and listed > t) or (removed and removed <= t) or (expires and expires < t):
        return None
    if entry.get("subject_uscc") is None:
        return "REVIEW", {"NAME_ONLY_MATCH"}, None
    if entry["subject_uscc"] != code:
        return None
    name = entry.get("list")
    if name in ("严重违法企业名单", "严重违法失信企业名单"):
        name = "严重违法失信名单"
    if name not in TABLE:
        return "REVIEW", {"LIST_UNKNOWN"}, None
    reason, effects = TABLE[name]
    effect = effects[COLUMN[kind]]
    if kind == "资金扶持" and about.get("fund_kind") == "社会福利扶贫资金" and effect in (X, R):
        return "REVIEW", {reason, "EXEMPT_WELFARE_FUND"}, None
    return effect, {reason}, expires


def annual(facts: dict[str, Any], working_day: Any) -> dict[str, Any]:
    """The status of one annual report."""
    as_of = date.fromisoformat(facts["as_of"])
    year = facts["report_year"]

    def instant(text: str | None) -> datetime | None:
        if text is None:
            return None
        value = datetime.fromisoformat(text)
        value = value.replace(tzinfo=BEIJING) if value.tzinfo is None else value.astimezone(BEIJING)
        return None if value.date() > as_of else value

    deadline = datetime(year + 1, 7, 1, tzinfo=BEIJING)
    submitted, corrected = instant(facts.get("submitted_at")), instant(facts.get("correction_at"))
    established, gone = day(facts.get("established")), day(facts.get("deregistered_on"))
    state = facts.get("state")
    answer = {"warn": False, "days_left": None, "expected_listing_by": None}
    if established and established > date(year, 12, 31):
        return {**answer, "status": "EXEMPT_FIRST_YEAR"}
    if state == "注销" and not (gone and gone > as_of):
        return {**answer, "status": "NOT_DUE"}
    if state == "吊销" or established is None:
        return {**answer, "status": "REVIEW"}
    if submitted:
        if corrected and corrected >= deadline:
            return {**answer, "status": "CORRECTION_TOO_LATE"}
        return {**answer, "status": "ON_TIME" if submitted < deadline else "LATE"}
    last = date(year + 1, 6, 30)
    if as_of < date(year + 1, 1, 1):
        return {**answer, "status": "NOT_DUE"}
    if as_of <= last:
        return {**answer, "status": "DUE", "warn": True, "days_left": (last - as_of).days}
    listing, left = last, 10
    while left:
        listing += timedelta(days=1)
        left -= working_day(listing)
    return {**answer, "status": "OVERDUE", "warn": True, "expected_listing_by": listing}


def sharing(facts: dict[str, Any]) -> dict[str, Any]:
    """Whether something may be passed on."""
    if facts.get("public") is True and facts.get("item") != "信用报告":
        return {"decision": "ALLOW", "reasons": {"PUBLIC_INFORMATION"}}
    consent = facts.get("consent")
    if consent is None or consent.get("withdrawn_on") is not None:
        return {"decision": "BLOCK", "reasons": {"CONSENT_REQUIRED"}}
    use = facts.get("use_matter_id")
    if (
        use is not None
        and consent.get("matter_id") == use
        and consent.get("recipient", facts["to_org"]) == facts["to_org"]
    ):
        return {"decision": "ALLOW", "reasons": {"CONSENT_GIVEN"}}
    return {"decision": "BLOCK", "reasons": {"CONSENT_SCOPE"}}
