"""The annual-report countdown in words: one department's desk as a mail, and the line that stands in for it when the
data is too old for a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from chengxin import calendar, identity
from chengxin.calendar import Stage
from chengxin.clock import in_full, in_short
from chengxin.districts import District
from chengxin.warn import worklist
from chengxin.warn.due import KINDS, UNROUTED, Desk
from chengxin.warn.guard import Ground, SourceAge
from chengxin.warn.render import NO_REPLY, Attachment, Reply, Templates, Text
from chengxin.warn.words import Words
from chengxin.warn.worklist import Column

CLAUSE = "二（一）3"
_TOP = 5
_CALM, _NEAR, _LATE, _DONE = "#1f3a5f", "#8a4b00", "#a61b1b", "#1e6140"
_COLUMNS = {
    "name": Column("主体名称", 38),
    "uscc": Column("统一社会信用代码（脱敏）", 24),
    "kind": Column("主体类型", 16),
    "street": Column("属地", 20),
    "industry": Column("行业门类", 26),
    "last_year": Column("上次报送年度", 14),
    "open_matters": Column("在办事项", 10),
    "state": Column("状态", 12),
}


@dataclass(frozen=True)
class Occasion:
    """The day, the stage and the year that a countdown speaks of."""

    as_of: date
    stage: Stage
    report_year: int
    listing_by: date

    @property
    def days_left(self) -> int:
        """Calendar days to 30 June; negative after it."""
        return calendar.days_left(self.as_of, self.stage.year)

    @property
    def overdue(self) -> bool:
        """Whether the window has closed."""
        return self.days_left < 0

    @property
    def tone(self) -> str:
        """Colour of the number of days."""
        return _LATE if self.days_left <= 3 else _NEAR if self.days_left <= 15 else _CALM


def subject(occasion: Occasion, whose: str, total: int) -> str:
    """The subject line: the countdown and the number.

    Args:
        occasion: day and stage.
        whose: whose subjects are counted, e.g. 王舍人街道 or 全区.
        total: how many are due.
    """
    year, left = occasion.report_year, occasion.days_left
    if total == 0:
        return f"【年报公示】{whose}{year}年度年报应报主体已全部报送"
    still = f"{whose}尚有{total}户未报送{year}年度年报"
    if occasion.overdue:
        # Once that day has passed nobody is told any more what is to be expected of it.
        ahead = occasion.as_of <= occasion.listing_by
        what = f"预计{in_short(occasion.listing_by)}前列入经营异常名录" if ahead else "请尽快督促补报"
        return f"【逾期提醒】{year}年度年报公示已截止：{whose}{total}户未报，{what}"
    if left == 0:
        return f"【今日24时截止】{year}年度年报公示：{still}"
    tag = f"【年报公示预警·最后{left}天】" if left <= 3 else "【年报公示预警】"
    return f"{tag}距6月30日还有{left}天：{still}"


def _whose(district: District, code: str, role: str) -> str:
    if role == "summary" or code == district.regulator:
        return "全区"
    name = district.departments[code].name
    if any(route.to == code for route in district.areas):
        return name.removesuffix("办事处")
    return f"{name}主管行业"


def text(
    templates: Templates,
    words: Words,
    district: District,
    ground: Ground,
    occasion: Occasion,
    desk: Desk,
    role: str,
    reply: Reply = NO_REPLY,
) -> Text:
    """The mail on one desk.

    Args:
        templates: of `include/mail`.
        words: the words.
        district: the district.
        ground: what the list rests on.
        occasion: day and stage.
        desk: the numbers and the list.
        role: `unit`, `head` or `summary`.
        reply: how it can be answered.
    """
    name = district.departments[desk.department].name
    whose = _whose(district, desk.department, role)
    line = subject(occasion, whose, desk.total)
    context = {
        "sender": district.mail.sender_name,
        "title": _title(occasion, desk.total),
        "date": in_full(occasion.as_of),
        "preview": _preview(desk),
        "department": name,
        "figures": _figures(occasion, desk.total),
        "lead": _lead(occasion, desk, whose),
        "change": _change(desk),
        "todo": _todo(occasion, desk, role, cut=desk.total > len(desk.rows) > 0),
        "table": _table(district, desk),
        "top": [] if role == "summary" else _top(desk.rows),
        "sources": sources([source for source in ground.sources if source.name in ground.list_sources], words),
        "foot": _foot(words, district, desk.department, role),
        # Thanks need no answer.
        "reply": reply if desk.total else NO_REPLY,
    }
    return templates.text("countdown", line, context)


def stale_text(
    templates: Templates,
    words: Words,
    district: District,
    ground: Ground,
    occasion: Occasion,
    code: str,
    reply: Reply = NO_REPLY,
) -> Text:
    """The one line that a department gets at a stage when no list may go out."""
    name = district.departments[code].name
    when = (
        "已截止"
        if occasion.overdue
        else "今日24时截止"
        if occasion.days_left == 0
        else f"距6月30日还有{occasion.days_left}天"
    )
    faults = "、".join(f"“{source.title}”{_fault(source)}" for source in ground.list_faults) or "当日核查尚未完成"
    lead = (
        f"{occasion.report_year}年度年报公示{when}。因{faults}，为免误报，本期未报送名单暂缓发送；"
        "数据恢复后补发。请先按上一期名单继续督促。"
    )
    context = {
        "sender": district.mail.sender_name,
        "title": f"{occasion.report_year}年度年报公示：名单暂缓",
        "date": in_full(occasion.as_of),
        "preview": "数据过旧，本期名单暂缓",
        "department": name,
        "lead": lead,
        "sources": sources([source for source in ground.sources if source.name in ground.list_sources], words),
        "foot": [f"依据：{words.document} {CLAUSE}。", "本信由系统自动发送。"],
        "reply": reply,
    }
    return templates.text("stale", f"【数据异常】{occasion.report_year}年度年报公示{when}：本期未报送名单暂缓", context)


def attachment(words: Words, district: District, occasion: Occasion, desk: Desk) -> Attachment | None:
    """The work list as a workbook; None where there is nobody on it."""
    if desk.rows.empty:
        return None
    unit = district.departments[desk.department].name
    frame = desk.rows
    shown = pd.DataFrame(
        {
            "name": frame["name"],
            "uscc": identity.mask_all(frame["uscc"]),
            "kind": frame["kind"],
            "street": frame["street"].map(lambda code: _street(district, code)),
            "industry": frame["industry"].map(words.mail.industries),
            "last_year": _years(frame["last_year"]),
            "open_matters": frame["open_matters"].astype(int).astype(str).replace("0", ""),
            "state": "已逾期" if occasion.overdue else "未报送",
        }
    )
    notes = [
        f"{unit}：{occasion.report_year}年度年报未报送主体，截至{occasion.as_of:%Y年%m月%d日}，共{desk.total:,}户"
        + (f"，本表为其中先办的{len(frame):,}户。" if desk.total > len(frame) else "。"),
        "次序：有在办事项的在前，久未报送的在前。只作工作清单，不作考核排名。代码按通知四（三）脱敏，请勿外传。",
    ]
    content = worklist.workbook("未报送主体", _COLUMNS, shown, notes)
    return Attachment(f"未报送主体清单_{unit}_{occasion.as_of:%Y%m%d}.xlsx", content)


def sources(chosen: Sequence[SourceAge], words: Words) -> str:
    """How old each source is, in one sentence, those of one age together, what is wrong first."""
    groups: dict[str, list[str]] = {}
    for source in sorted(chosen, key=lambda source: (source.sound, -(source.age_days or 0))):
        if source.observed_on is None or source.age_days is None:
            age = words.mail.source_states["missing"]
        else:
            old = "当日" if source.age_days == 0 else f"{source.age_days}天前"
            state = "" if source.sound else f"，{words.mail.source_states[source.state]}"
            age = f"{in_short(source.observed_on)}（{old}{state}）"
        groups.setdefault(age, []).append(source.title)
    return "数据截至：" + "；".join(f"{age}：{'、'.join(titles)}" for age, titles in groups.items()) + "。"


def _fault(source: SourceAge) -> str:
    if source.state == "stopped":
        return "本批数量异常"
    return "尚无数据" if source.age_days is None else f"已{source.age_days}天未更新"


def _title(occasion: Occasion, total: int) -> str:
    what = "：已全部报送" if total == 0 else "逾期提醒" if occasion.overdue else "倒计时提醒"
    return f"{occasion.report_year}年度年报公示{what}"


def _figures(occasion: Occasion, total: int) -> list[tuple[str, str, str, str]]:
    left = occasion.days_left
    if total == 0:
        return [("0", "户", f"尚未报送{occasion.report_year}年度年报", _DONE)]
    if occasion.overdue:
        time = (f"{-left}", "天", "已逾期（6月30日24时截止）", occasion.tone)
    elif left == 0:
        time = ("今日", "", "24时截止", occasion.tone)
    else:
        time = (f"{left}", "天", "距6月30日24时截止", occasion.tone)
    return [(f"{total:,}", "户", f"尚未报送{occasion.report_year}年度年报", _CALM), time]


def _lead(occasion: Occasion, desk: Desk, whose: str) -> str:
    year = occasion.report_year
    if desk.total == 0:
        return f"{whose}{year}年度年报应报主体已全部报送，感谢支持。"
    parts = "、".join(f"{kind}{count:,}户" for kind, count in desk.kinds.items() if count)
    return f"{whose}尚有{desk.total:,}户未报送{year}年度年报：{parts}。"


def _change(desk: Desk) -> str:
    if desk.change is None:
        return ""
    change = desk.change
    moved = [
        f"{label}{count:,}户"
        for label, count in (("已报送", change.filed), ("新增", change.new), ("因注销、迁移等移出", change.gone))
        if count
    ]
    return f"与{in_short(change.since)}的上次提醒相比：{'，'.join(moved) if moved else '无变化'}。"


def _todo(occasion: Occasion, desk: Desk, role: str, *, cut: bool) -> list[str]:
    if desk.total == 0:
        return ["无需处理。"]
    if role == "summary":
        return ["请按通知四（一）指导督促各有关单位，具体名单在各单位手中。"]
    listing = in_short(occasion.listing_by)
    if occasion.overdue:
        lines = [
            "请提醒附件名单中的主体尽快补报并公示。",
            f"逾期未报的企业、农民专业合作社{'预计' if occasion.as_of <= occasion.listing_by else '应于'}{listing}前"
            "被列入经营异常名录，个体工商户被标记为经营异常状态；补报后可申请移出或者恢复。",
        ]
    else:
        lines = [
            "请在6月30日24时前，督促附件名单中的主体登录国家企业信用信息公示系统报送并公示年报。",
            "个体工商户可以纸质报送，可以选择不公示；未在网上公示不等于未报送，请以名单为准。",
        ]
    if cut:
        lines.append(f"名单较长，附件列出先办的{len(desk.rows):,}户，办完后由下一期续列。")
    return lines


def _table(district: District, desk: Desk) -> dict[str, Any] | None:
    if desk.total == 0 or len(desk.streets) < 2:
        return None
    heads = [*KINDS, "合计"]
    rows: list[dict[str, Any]] = [
        {
            # Short enough for one line on a phone.
            "name": _street(district, str(row["street"])).removesuffix("办事处"),
            "numbers": [f"{int(row[column]):,}" for column in (*KINDS, "total")],
            "strong": False,
        }
        for row in desk.streets.to_dict("records")
    ]
    totals = [*desk.kinds.values(), desk.total]
    rows.append({"name": "合计", "numbers": [f"{count:,}" for count in totals], "strong": True})
    return {
        "title": "分属地户数",
        "first": "属地",
        "heads": heads,
        "rows": rows,
        "note": "按区划代码排列，只作工作清单，不作排名。",
    }


def _top(rows: pd.DataFrame) -> list[dict[str, str]]:
    if rows.empty:
        return []
    first = rows[rows["open_matters"] > 0].head(_TOP)
    names = worklist.clean(first["name"])
    codes = identity.mask_all(first["uscc"])
    years = _years(first["last_year"])
    return [
        {"name": cut(name), "code": code, "kind": kind, "matters": f"{int(count)}件", "last": last}
        for name, code, kind, count, last in zip(names, codes, first["kind"], first["open_matters"], years, strict=True)
    ]


def cut(name: str, most: int = 40) -> str:
    """A name short enough for a line."""
    return name if len(name) <= most else name[: most - 1] + "…"


def _years(years: pd.Series[Any]) -> pd.Series[Any]:
    known = years.notna()
    return years.fillna(0).astype(int).astype(str).add("年度").where(known, "无记录")


def _street(district: District, code: str) -> str:
    return "地址区划未识别" if code == UNROUTED else district.departments[code].name


def _preview(desk: Desk) -> str:
    if desk.total == 0:
        return "应报主体已全部报送"
    return "、".join(f"{kind}{count:,}户" for kind, count in desk.kinds.items() if count)


def _foot(words: Words, district: District, code: str, role: str) -> list[str]:
    reasons: Mapping[str, bool] = {
        "属地管理": any(route.to == code for route in district.areas),
        "行业主管": bool(district.departments[code].industries),
        "市场监管": code == district.regulator,
        "区划未识别地址的承接单位": code == district.default_desk,
    }
    why = "、".join(reason for reason, holds in reasons.items() if holds)
    lines = [f"依据：{words.document} {CLAUSE}：每年6月30日前公示上一年度年报。"]
    if role == "summary":
        lines.append("贵单位收到本汇总，因通知四（一）规定由贵单位指导和监管；汇总不含主体名单。")
    elif role == "head":
        lines.append("此为发给贵单位业务邮箱同一提醒的抄送，按区里的升级规则同时送单位负责人。")
    else:
        lines.append(f"收信原因：{why}。")
    lines.append("名单按通知四（三）脱敏，仅供履职使用，请勿外传。本信由系统自动发送。")
    return lines
