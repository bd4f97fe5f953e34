"""Facts in words: what tables and fields are called, and a fact's content as rows of a page.

The Chinese labels are those of the sources' standards; `words/subjects.yml` has their English. What a source itself
says (names, kinds, reasons) stays as it was said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

TABLES: Mapping[str, str] = {
    "subject": "登记信息",
    "annual_report": "年度报告",
    "credit_report": "信用报告",
    "credit_record": "失信信息记录",
    "list_entry": "名单信息",
    "matter": "事项登记",
    "applicant": "申请人登记",
    "consent": "同意书",
    "agency": "征信机构备案",
}
"""Fact table → what it holds."""

FIELDS: Mapping[str, str] = {
    "uscc": "统一社会信用代码",
    "name": "名称",
    "kind": "类别",
    "established": "成立日期",
    "state": "状态",
    "revoked_on": "吊销日期",
    "deregistered_on": "注销日期",
    "area_code": "区划代码",
    "industry": "行业门类",
    "address": "住所",
    "capital": "注册资本（元）",
    "report_year": "报告年度",
    "submitted_at": "报送时间",
    "correction_at": "更正时间",
    "channel": "报送方式",
    "is_public": "选择公示",
    "report_no": "报告编号",
    "subject_name": "所载名称",
    "agency_uscc": "出具机构代码",
    "agency_name": "出具机构",
    "issue_date": "报告日期",
    "valid_to": "有效期止",
    "scale": "等级标准",
    "grade": "信用等级",
    "score": "信用分值",
    "matter_id": "事项编号",
    "handed_in_by": "提交人代码",
    "record_no": "文书号",
    "severity": "程度",
    "authority": "认定单位",
    "identified_on": "认定日期",
    "published_on": "公示日期",
    "rectified_confirmed_on": "整改确认日期",
    "rectified_self_claimed": "主体自称已整改",
    "repaired_on": "修复日期",
    "withdrawn_on": "撤回日期",
    "expires_on": "截止日期",
    "expected_listing_by": "预计列入异常名录",
    "in_report": "信用报告载明",
    "list": "名单",
    "listed_on": "列入日期",
    "removed_on": "移出日期",
    "reason": "原因",
    "doc_no": "文号",
    "type": "事项类型",
    "title": "事项名称",
    "department": "承办单位",
    "procurement_form": "采购形式",
    "fund_kind": "资金类别",
    "land_method": "出让方式",
    "is_construction": "建设工程",
    "field": "重点领域",
    "test_date": "事实截止日",
    "opened_on": "受理日期",
    "decided_on": "办结日期",
    "applicant_no": "序号",
    "uscc_problem": "代码问题",
    "role": "身份",
    "consent_id": "同意书编号",
    "item": "同意事项",
    "recipient": "接收单位",
    "given_on": "同意日期",
    "status": "报送情况",
    "filing_no": "备案号",
    "filed_on": "备案日期",
    "cancelled_on": "备案注销日期",
}
"""Field of a fact → its label. A field without any is not shown."""

CODES = frozenset({"uscc", "agency_uscc", "handed_in_by"})
"""Fields that hold a code."""

_TRUTH = {True: "是", False: "否"}


def rows(
    content: Mapping[str, Any], mask: Callable[[str], str], units: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """A fact's content as label and text, both to be translated; empty fields are left out.

    Args:
        content: field → value.
        mask: what becomes of a code.
        units: department code → name.
    """
    found = []
    for field, value in content.items():
        if field not in FIELDS or value is None or value == "":
            continue
        text = _TRUTH[value] if isinstance(value, bool) else f"{value:,.2f}" if isinstance(value, float) else str(value)
        if field in CODES:
            text = mask(text)
        elif field == "status":
            text = f"年报状态 {text}"
        elif field in ("department", "recipient"):
            text = (units or {}).get(text, text)
        found.append((FIELDS[field], text))
    return found


def key(content: Mapping[str, Any], fields: Sequence[str], mask: Callable[[str], str]) -> str:
    """A fact's natural key: the values of its source's key fields."""
    parts = [str(content.get(field) or "—") for field in fields]
    return " / ".join(mask(part) if field in CODES else part for field, part in zip(fields, parts, strict=True))
