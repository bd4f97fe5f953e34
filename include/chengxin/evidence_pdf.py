"""An explanation as one A4 page for the file, in Chinese, with its font inside.

The font lies with the project (`fonts/`), so the page looks the same on a machine without any Chinese font. Equal
explanations give equal bytes. What does not fit one page in the smallest letters that can still be read is left to
`chengxin explain`, and the page says how much.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_CENTER
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, Spacer, Table, TableStyle

from chengxin.evidence import Evidence, Explanation, Reason
from chengxin.warn.words import Words

FONT = "ChengxinSans"
MARGIN = 16 * mm
SIZES = (9.5, 8.5, 7.5, 6.5)
"""Letters, in points: the largest with which everything fits."""

VIEWERS = {"operator": "操作员（代码已遮蔽）", "auditor": "审计"}
READINGS = {"as_written": "文件原文口径", "guarded": "现行法口径", "both": "两种口径"}
TABLES = {
    "credit_record": "失信信息记录",
    "credit_report": "信用报告",
    "list_entry": "名单信息",
    "applicant": "申请人",
    "consent": "同意书",
}
FIELDS = {
    "uscc": "统一社会信用代码",
    "name": "名称",
    "subject_name": "名称",
    "list": "名单",
    "listed_on": "列入日期",
    "removed_on": "移出日期",
    "expires_on": "有效期止",
    "reason": "原因",
    "authority": "认定单位",
    "doc_no": "文书号",
    "record_no": "文书号",
    "kind": "类别",
    "severity": "程度",
    "identified_on": "认定日期",
    "published_on": "公示日期",
    "rectified_confirmed_on": "整改确认日期",
    "repaired_on": "修复日期",
    "report_no": "报告编号",
    "issue_date": "出具日期",
    "valid_to": "有效期止",
    "grade": "等级",
    "scale": "等级标准",
    "title": "事项名称",
    "type": "事项类型",
    "matter_id": "事项编号",
    "state": "状态",
    "opened_on": "受理日期",
}
"""Fields that the page shows, in words; others are left to `chengxin explain`."""


def render(explanation: Explanation, words: Words, command: str) -> bytes:
    """The page.

    Args:
        explanation: with the eyes of its viewer: what is masked there is masked here.
        words: outcomes and reasons in Chinese.
        command: how the command line is called for this district (`House.command`).

    Returns:
        A PDF of one page, its font embedded.
    """
    _font()
    width, height = A4[0] - 2 * MARGIN, A4[1] - 2 * MARGIN
    findings = list(explanation.findings)
    for shown in range(len(findings), -1, -1):
        sizes = SIZES if shown == len(findings) else SIZES[-1:]
        for size in sizes:
            parts = _parts(explanation, words, findings[:shown], len(findings) - shown, size, width, command)
            heights = [part.wrap(width, height)[1] for part in parts]
            if sum(heights) <= height:
                return _drawn(explanation, parts, heights)
    raise AssertionError("the page's own frame is always smaller than the page")


@cache
def _font() -> None:
    pdfmetrics.registerFont(TTFont(FONT, str(Path(__file__).parent / "fonts" / "NotoSansSC-subset.ttf")))


def _drawn(explanation: Explanation, parts: list[Flowable], heights: list[float]) -> bytes:
    buffer = io.BytesIO()
    # `invariant`: no creation date and no random id.
    canvas = Canvas(buffer, pagesize=A4, invariant=1, lang="zh-CN")
    canvas.setTitle(f"信用核查意见说明 {explanation.advice['advice_id']}")
    canvas.setAuthor("诚信")
    top = A4[1] - MARGIN
    for part, height in zip(parts, heights, strict=True):
        part.drawOn(canvas, MARGIN, top - height)
        top -= height
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _parts(
    it: Explanation, words: Words, findings: list[Reason], left_out: int, size: float, width: float, command: str
) -> list[Flowable]:
    body = ParagraphStyle("body", fontName=FONT, fontSize=size, leading=size * 1.45, wordWrap="CJK")
    small = ParagraphStyle("small", body, fontSize=size - 1, leading=(size - 1) * 1.4, textColor=HexColor("#555555"))
    head = ParagraphStyle("head", body, fontSize=size + 1, leading=(size + 1) * 1.6, textColor=HexColor("#7a1f1f"))
    title = ParagraphStyle("title", body, fontSize=16, leading=24, alignment=TA_CENTER)
    advice = it.advice
    parts: list[Flowable] = [
        Paragraph("信用核查意见说明", title),
        Paragraph(
            f"依据{escape(words.document)}。本意见供经办人参考，决定由具名经办人作出。",
            ParagraphStyle("under", small, alignment=TA_CENTER),
        ),
        Spacer(1, 4),
        _grid(_about(it, words), body, width),
    ]
    parts.append(Paragraph("理由和依据", head))
    if not it.findings:
        parts.append(Paragraph("没有需要说明的情形。", body))
    for number, reason in enumerate(findings, 1):
        parts.append(_finding(number, reason, words, body, small, width))
    if left_out:
        parts.append(
            Paragraph(f"另有{left_out}条理由，一页不能尽列，见 {command} explain {advice['advice_id']}。", body)
        )
    if it.clauses:
        clauses = "；".join(f"{escape(name)} {escape(about)}".strip() for name, about in it.clauses.items())
        parts += [Paragraph("所引条款", head), Paragraph(clauses, small)]
    parts += [Paragraph("如何复核", head), Paragraph(_check(it, command), small)]
    return parts


def _about(it: Explanation, words: Words) -> list[tuple[str, str]]:
    advice = it.advice
    leading = advice["leading"]
    other = "guarded" if leading == "as_written" else "as_written"
    rows = [
        ("意见编号", advice["advice_id"]),
        ("事项", _facts(it.matter) or str(advice["matter_id"])),
        ("申请人", _facts({**it.applicant, **{name: advice[name] for name in ("name", "uscc") if name in advice}})),
        (f"意见（{READINGS[leading]}）", _outcome(advice, leading, words)),
        (f"意见（{READINGS[other]}）", _outcome(advice, other, words)),
        ("作出日期", f"{it.observed_on}；事实以{advice.get('test_date') or '核查当日'}为准"),
    ]
    if not it.stands:
        rows.append(("现状", "已被此后的核查撤回"))
    if it.code_from_name:
        rows.append(("代码来源", "来源未提供代码，按唯一的同名主体确定"))
    if advice.get("stale_sources"):
        rows.append(("过期数据源", "、".join(advice["stale_sources"]) + "（数据源:天数）"))
    return rows


def _outcome(advice: Mapping[str, Any], reading: str, words: Words) -> str:
    until = advice.get(f"{reading}_until")
    reasons = "、".join(words.reason(code) for code in advice.get(f"{reading}_reasons") or ())
    end = f"，至{until}" if until else ""
    return f"{words.effect(advice[reading])}{end}" + (f"（{reasons}）" if reasons else "")


def _finding(
    number: int, reason: Reason, words: Words, body: ParagraphStyle, small: ParagraphStyle, width: float
) -> Flowable:
    effect = words.effect(reason.effect) if reason.effect else "仅供考量"
    until = f"，至{reason.until}" if reason.until else ""
    why = "、".join(text or code for code, text in reason.reasons.items())
    reading = "" if reason.reading == "both" else f"〔仅{READINGS.get(reason.reading, reason.reading)}〕"
    lines = [
        Paragraph(escape(f"{number}. {reason.title or reason.rule}：{effect}{until}{reading}。{why}"), body),
        Paragraph(escape(f"条款 {reason.clause}；规则 {reason.rule}；编号 {reason.finding_id}"), small),
    ]
    for name, value in reason.parameters.items():
        lines.append(Paragraph(escape(f"参数 {name} = {_parameter(value)}"), small))
    if reason.do:
        lines.append(Paragraph(escape(f"请办：{reason.do}"), small))
    lines += [Paragraph(escape(text), small) for text in _evidence(reason.evidence)]
    made = Table([[lines]], colWidths=[width])
    made.setStyle(
        TableStyle(
            [
                ("LINEBEFORE", (0, 0), (0, -1), 1.2, HexColor("#7a1f1f")),
                ("LEFTPADDING", (0, 0), (-1, -1), 6),
                ("TOPPADDING", (0, 0), (-1, -1), 1),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
            ]
        )
    )
    return made


def _evidence(evidence: Evidence | None) -> list[str]:
    if evidence is None:
        return ["依据：没有相应的记录"]
    what = TABLES.get(evidence.table, evidence.table)
    fields = _facts(evidence.fields)
    lines = [f"依据：{what}（{evidence.source}，第{evidence.seq}次提交）{fields}"]
    if evidence.raw_sha256:
        lines.append(f"原始文件 sha256 {evidence.raw_sha256} 第{evidence.raw_row}行")
    if evidence.raw_missing:
        lines.append(f"原始记录不能展示：{evidence.raw_missing}")
    return lines


def _check(it: Explanation, command: str) -> str:
    check = it.check
    changed = "" if it.same_policy else "（此后政策文件已有变更）"
    text = (
        f"由{check['as_of']}第{check.get('id', '？')}号核查作出，事实截至第{check['read_seq']}次提交；"
        f"政策版本 {it.advice['policy_version']}{changed}。"
        f"重算：{command} replay --as-of {check['as_of']}。"
        f"查阅人：{VIEWERS.get(it.viewer, it.viewer)}。"
    )
    return escape(text)


def _grid(rows: list[tuple[str, str]], body: ParagraphStyle, width: float) -> Flowable:
    cells = [[Paragraph(escape(name), body), Paragraph(escape(value), body)] for name, value in rows]
    made = Table(cells, colWidths=[width * 0.24, width * 0.76])
    made.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.4, HexColor("#bbbbbb")),
                ("BACKGROUND", (0, 0), (0, -1), HexColor("#f5f1ee")),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ]
        )
    )
    return made


def _facts(fields: Mapping[str, Any]) -> str:
    return "，".join(
        f"{FIELDS[name]} {value}" for name, value in fields.items() if name in FIELDS and value is not None
    )


def _parameter(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    since = f"，自{value['from']}" if value.get("from") else ""
    reference = f"（{value['reference']}）" if value.get("reference") else ""
    return f"{value.get('value')}{since}{reference}"
