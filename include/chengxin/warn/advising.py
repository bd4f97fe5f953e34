"""Changed advice in words: one department's news as a mail with its work list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd

from chengxin import identity
from chengxin.clock import in_full, in_short
from chengxin.districts import District
from chengxin.warn import worklist
from chengxin.warn.countdown import cut, sources
from chengxin.warn.guard import Ground
from chengxin.warn.news import SECTIONS, SEVERITY, News, Section
from chengxin.warn.render import NO_REPLY, Attachment, Reply, Templates, Text
from chengxin.warn.words import Words
from chengxin.warn.worklist import Column

MOST_SHOWN = 6
"""Items on the screen, of all sections together; the rest is in the work list."""

DISPUTED = "有异议，处理中"
"""What stands beside advice to which the subject's objection is not settled (`ledger.objections`)."""

_COLOURS = {
    "stop": ("#a61b1b", "#fdf1f0"),
    "warn": ("#8a4b00", "#fdf6ea"),
    "ask": ("#1d4f91", "#eff4fb"),
    "ok": ("#1e6140", "#eff7f2"),
}
_LIST = {
    "section": Column("变化", 12),
    "decision": Column("核查意见", 12),
    "disputed": Column("异议", 16),
    "until": Column("意见截止", 14),
    "judged": Column("判断基准日", 14),
    "matter_id": Column("事项编号", 20),
    "matter_type": Column("事项类别", 18),
    "title": Column("事项名称", 36),
    "name": Column("主体名称", 34),
    "uscc": Column("统一社会信用代码（脱敏）", 24),
    "why": Column("原因", 44),
    "do": Column("请办", 44),
    "other": Column("另一口径", 30),
    "cites": Column("依据", 18),
    "before": Column("原意见", 12),
    "advice_id": Column("意见编号", 20),
}


def subject(words: Words, department: str, news: News) -> str:
    """The subject line: what is asked, about how many matters; no name, no code."""
    rows = news.rows
    first = rows.iloc[0]
    matters = rows["matter_id"].nunique()
    if len(rows) == 1 and first["decision"] in ("EXCLUDE", "RESTRICT"):
        why = words.reason(_codes(first["reasons"])[0]) if _codes(first["reasons"]) else ""
        label = words.effect(str(first["decision"]))
        return f"【信用核查·{label}】{first['matter_type']}事项{first['matter_id']}：{why}，请人工复核"
    pressing = rows[rows["section"].isin(["new", "worse", "other"])]
    if len(pressing) and set(pressing["decision"]) == {"NEED_REPORT"} and len(pressing) == len(rows):
        return f"【信用核查】{matters}件待办事项缺少有效信用报告（{department}）"
    held = pressing["decision"].isin(["EXCLUDE", "RESTRICT"]).sum()
    lacking = (pressing["decision"] == "NEED_REPORT").sum()
    parts = [
        f"{label}{count}"
        for label, count in (("不列入或限制", held), ("缺报告", lacking), ("其他", len(rows) - held - lacking))
        if count
    ]
    return f"【信用核查】{matters}件待办事项的核查意见有变化：{'、'.join(parts)}（{department}）"


def text(
    templates: Templates,
    words: Words,
    district: District,
    ground: Ground,
    as_of: date,
    news: News,
    reply: Reply = NO_REPLY,
) -> Text:
    """The mail on one department's changed advice."""
    name = district.departments[news.department].name
    figures = _figures(words, news)
    context = {
        "sender": district.mail.sender_name,
        "title": "行政管理事项信用核查意见",
        "date": in_full(as_of),
        "preview": "、".join(f"{figure['label']}{figure['number']}" for figure in figures),
        "department": name,
        "lead": _lead(words, district, as_of, news),
        "figures": figures,
        "sections": _shown(words, news, as_of),
        "reply": reply,
        "notes": _notes(news, {source.name: source.title for source in ground.sources}),
        "sources": sources(ground.sources, words),
        "foot": [
            f"依据：{words.document}。核查意见由系统按已入库数据给出，只作提示；是否限制或者不予列入，由承办人员决定。",
            "名称和代码按通知四（三）只供承办本事项使用，不含信用报告内容，请勿外传。本信由系统自动发送。",
        ],
    }
    return templates.text("advice", subject(words, name, news), context)


def attachment(words: Words, district: District, as_of: date, news: News) -> Attachment:
    """The changed advice as a workbook."""
    unit = district.departments[news.department].name
    rows = news.rows.head(district.mail.work_list_rows)
    shown = pd.DataFrame(
        {
            "section": rows["section"].map(words.mail.sections),
            "decision": rows["decision"].map(words.effect),
            "disputed": rows["disputed"].map({True: DISPUTED, False: ""}),
            "until": _dates(rows["until"]),
            "judged": _dates(rows["test_date"]),
            "matter_id": rows["matter_id"],
            "matter_type": rows["matter_type"],
            "title": rows["title"],
            "name": rows["name"],
            "uscc": identity.mask_all(rows["uscc"]),
            "why": _distinct(rows["reasons"], lambda codes: _reasons(words, codes)),
            "do": rows["decision"].map(lambda code: words.outcome(code).do),
            "other": _others(words, rows),
            "cites": _distinct(rows["cites"], "；".join),
            "before": rows["told_outcome"].map(words.effect, na_action="ignore"),
            "advice_id": rows["advice_id"],
        }
    )
    notes = [
        f"{unit}：核查意见有变化的主体，截至{as_of:%Y年%m月%d日}，共{len(news.rows):,}条"
        + (f"，本表为其中先办的{len(rows):,}条。" if len(rows) < len(news.rows) else "。"),
        "次序：意见从重到轻，重点领域在前。系统只作提示，由承办人员决定。代码按通知四（三）脱敏，请勿外传。",
    ]
    content = worklist.workbook("核查意见变化", _LIST, shown, notes)
    return Attachment(f"核查意见变化_{unit}_{as_of:%Y%m%d}.xlsx", content)


def _lead(words: Words, district: District, as_of: date, news: News) -> str:
    leading = words.mail.readings[district.leading]
    matters = news.rows["matter_id"].nunique()
    return (
        f"截至{in_short(as_of)}，贵单位有{matters:,}件待办事项、{len(news.rows):,}条核查意见是新的或有变化"
        f"（以{leading}为准）。请在作出决定前按下列意见办理。"
    )


def _figures(words: Words, news: News) -> list[dict[str, str]]:
    """Changed advice by outcome, the most urgent first."""
    counted = news.rows["decision"].value_counts()
    ordered = sorted(counted.index, key=lambda code: -SEVERITY[str(code)])
    return [
        {
            "number": f"{int(counted[code]):,}",
            "label": words.effect(str(code)),
            "colour": _COLOURS[words.outcome(str(code)).tone][0],
        }
        for code in ordered
    ]


def _shown(words: Words, news: News, as_of: date) -> list[dict[str, Any]]:
    """The sections as they are shown: the most urgent items of each; what stale data hides is a note, no list."""
    left = MOST_SHOWN
    shown = []
    for name in SECTIONS:
        rows = news.section(name)
        listed = rows[~rows["decision"].isin(["CANNOT_TELL", *(("PASS",) if name == "milder" else ())])]
        first = listed.head(left)
        left -= len(first)
        if len(listed) == 0:
            continue
        more = len(listed) - len(first)
        shown.append(
            {
                "title": f"{words.mail.sections[name]}（{len(listed):,}条）",
                "items": _items(words, first, name, as_of),
                "more": f"另有{more:,}条见附件。" if more else "",
            }
        )
    return shown


def _items(words: Words, rows: pd.DataFrame, section: Section, as_of: date) -> list[dict[str, Any]]:
    frame = rows.assign(
        name=worklist.clean(rows["name"]),
        title=worklist.clean(rows["title"]),
        matter_id=worklist.clean(rows["matter_id"]),
        code=identity.mask_all(rows["uscc"]).fillna("无代码"),
        until=_dates(rows["until"]),
        judged=_judged(rows["test_date"], as_of),
        other=_others(words, rows),
    )
    items = []
    for row in frame.to_dict("records"):
        outcome = words.outcome(row["decision"])
        colour, ground = _COLOURS[outcome.tone]
        matter = (row["matter_type"], row["matter_id"], cut(row["title"]), row["field"])
        told = row["told_outcome"]
        moved = section != "new" and _is(told) and told != row["decision"]
        items.append(
            {
                "label": words.effect(row["decision"]),
                "colour": colour,
                "ground": ground,
                "until": row["until"],
                "judged": row["judged"],
                "subject": f"{cut(row['name'])}（{row['code']}）",
                "matter": " · ".join(part for part in matter if _is(part)),
                "why": _reasons(words, _codes(row["reasons"])) or "未见不良信息",
                "before": words.effect(told) if moved else "",
                "do": outcome.do,
                "cites": "；".join(_codes(row["cites"])),
                "other": row["other"],
                "disputed": DISPUTED if row["disputed"] else "",
            }
        )
    return items


def _judged(days: pd.Series[Any], as_of: date) -> pd.Series[Any]:
    """The day that the facts were judged at, where it is another than the mail's: an end before today then fits."""
    other = days.notna() & (_dates(days) != as_of.isoformat())
    stamps = pd.to_datetime(days)
    spelt = stamps.dt.month.map("按{:.0f}月".format) + stamps.dt.day.map("{:.0f}日（截止日）判断".format)
    return spelt.astype(object).where(other, "")


def _others(words: Words, rows: pd.DataFrame) -> pd.Series[Any]:
    """The other reading, where it comes to something else."""
    pairs = {"as_written": "guarded", "guarded": "as_written"}
    frame = pd.DataFrame(index=rows.index)
    other = rows["leading"].map(pairs)
    for column, suffix in (("outcome", ""), ("until", "_until"), ("reasons", "_reasons")):
        frame[column] = rows[f"guarded{suffix}"].where(other == "guarded", rows[f"as_written{suffix}"])
    until = _dates(frame["until"]).map(lambda day: f"，至{day}" if day else "")
    why = _distinct(frame["reasons"], lambda codes: _reasons(words, codes)).map(
        lambda text: f"（{text}）" if text else ""
    )
    line = other.map(words.mail.readings) + "：" + frame["outcome"].map(words.effect) + until + why
    same = (rows["as_written"] == rows["guarded"]) & (_dates(rows["as_written_until"]) == _dates(rows["guarded_until"]))
    return line.astype(object).where(~same, "")


def _notes(news: News, titles: Mapping[str, str]) -> list[str]:
    notes = []
    disputed = int(news.rows["disputed"].sum())
    if disputed:
        notes.append(f"其中{disputed:,}条{DISPUTED}：了结前作出决定的，须写明理由；清单“异议”一栏有标注。")
    blind = news.rows[news.rows["decision"] == "CANNOT_TELL"]
    if len(blind):
        stale = sorted({entry for entries in blind["stale_sources"] for entry in _codes(entries)})
        named = "、".join(
            f"{titles.get(name, name)}（{age}天前）" if age.isdigit() else titles.get(name, name)
            for name, _, age in (entry.partition(":") for entry in stale)
        )
        notes.append(
            f"另有{len(blind):,}条暂无法判断，所需数据来源过旧{('：' + named) if named else ''}。"
            "这些不等于无问题，请先自行查询；清单见附件。"
        )
    cleared = news.rows[(news.rows["section"] == "milder") & (news.rows["decision"] == "PASS")]
    if len(cleared):
        notes.append(f"另有{len(cleared):,}条原有问题已解除，可按正常程序办理，清单见附件。")
    if news.gone:
        notes.append(f"此前提示过的{news.gone:,}条，因事项已办结或者撤回，不再列示。")
    return notes


def _reasons(words: Words, codes: list[str]) -> str:
    return "；".join(words.reason(code) for code in codes)


def _distinct(values: pd.Series[Any], spell: Any) -> pd.Series[Any]:
    """Lists in words; each different list is spelt once, however often it stands there."""
    keys = values.map(lambda codes: tuple(_codes(codes)))
    spelt = {key: spell(list(key)) for key in keys.unique()}
    return keys.map(spelt).astype(object)


def _codes(values: Any) -> list[str]:
    return [] if values is None or isinstance(values, float) else [str(value) for value in values]


def _is(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _dates(values: pd.Series[Any]) -> pd.Series[Any]:
    return pd.to_datetime(values).dt.strftime("%Y-%m-%d").astype(object).where(values.notna(), "")
