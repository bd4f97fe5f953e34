"""What every mailbox must hold on a day of the season, worked out anew: plain Python, from the notice's reading and the
district's file, with nothing of the product's code.

Sources: the wishes for the warnings (stages, who hears what, subject lines), 二（一）3 and its readings
(who is due), and the calendars of seven years written down day by day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

STAGES = {
    2024: {"04-01": -90, "04-30": -60, "05-31": -30, "06-14": -15, "06-21": -7, "06-27": -3, "06-28": 0,
           "07-01": 1, "07-05": 7, "07-30": 30},
    2025: {"04-01": -90, "04-30": -60, "05-30": -30, "06-13": -15, "06-23": -7, "06-27": -1, "06-30": 0,
           "07-01": 1, "07-07": 7, "07-30": 30},
    2026: {"04-01": -90, "04-30": -60, "05-29": -30, "06-15": -15, "06-23": -7, "06-26": -3, "06-29": -1, "06-30": 0,
           "07-01": 1, "07-07": 7, "07-30": 30},
    2027: {"04-01": -90, "04-30": -60, "05-31": -30, "06-15": -15, "06-23": -7, "06-25": -3, "06-29": -1, "06-30": 0,
           "07-01": 1, "07-07": 7, "07-30": 30},
    2028: {"03-31": -90, "04-28": -60, "05-31": -30, "06-15": -15, "06-23": -7, "06-27": -3, "06-29": -1, "06-30": 0,
           "07-03": 1, "07-07": 7, "07-28": 30},
    2029: {"03-30": -90, "04-30": -60, "05-31": -30, "06-15": -15, "06-22": -7, "06-27": -3, "06-29": 0,
           "07-02": 1, "07-06": 7, "07-30": 30},
    2030: {"04-01": -90, "04-30": -60, "05-31": -30, "06-14": -15, "06-21": -7, "06-27": -3, "06-28": 0,
           "07-01": 1, "07-05": 7, "07-30": 30},
}  # fmt: skip
"""Day a mail goes out → its stage in days from 30 June: the previous working day where the day itself is off, the
tighter stage where two meet, nothing overdue before 1 July."""
LISTING_BY = {2026: date(2026, 7, 14)}
"""The tenth working day after 30 June."""
KINDS = ("企业", "农民专业合作社", "个体工商户")


def stages(year: int) -> dict[date, int]:
    """The countdown of a year: day → stage."""
    return {date(year, int(text[:2]), int(text[3:])): offset for text, offset in STAGES[year].items()}


@dataclass(frozen=True)
class Mail:
    """One message as it must arrive."""

    recipient: str
    subject: str
    says: tuple[str, ...] = ()
    """Sentences of its text."""
    names: tuple[str, ...] | None = None
    """Names on the attached list, sorted; None: nothing is attached."""
    silent_on: tuple[str, ...] = ()
    """What its text must not hold."""


@dataclass
class Seen:
    """What the sources had shown by a day."""

    subjects: Mapping[str, Mapping[str, Any]]
    """Code → name, kind, established, revoked_on, deregistered_on, area_code, industry."""
    filed: Mapping[str, Any]
    """Codes whose report of the year before is in."""
    matters: Sequence[Mapping[str, Any]] = ()
    """Pending ones that lack every report: matter_id, department, names."""
    reports_fresh: bool = True


@dataclass
class Season:
    """The expectation, carried along from day to day.

    Args:
        district: the district's file as plain YAML.
        year: of the deadline.
    """

    district: Mapping[str, Any]
    year: int
    _said: set[int] = field(default_factory=set)
    _told: dict[str, tuple[date, set[str]]] = field(default_factory=dict)
    _matters: set[str] = field(default_factory=set)

    def on(self, day: date, seen: Seen) -> list[Mail]:
        """The messages of a day on which the house runs."""
        return [*self._countdown(day, seen), *self._advice(seen)]

    def _countdown(self, day: date, seen: Seen) -> list[Mail]:
        passed = [(send_on, stage) for send_on, stage in stages(self.year).items() if send_on <= day]
        if not passed or passed[-1][1] in self._said:
            return []
        send_on, stage = passed[-1]
        if not seen.reports_fresh:
            return self._withheld(day) if send_on == day else []
        self._said.add(stage)
        desks = self._desks(day, seen)
        mails: list[Mail] = []
        for code in sorted({*desks, *self._told}):
            due = desks.get(code, set())
            before = self._told.get(code)
            if not due and not (before and before[1]):
                continue
            unit = self.district["departments"][code]
            kinds = self._kinds(due, seen)
            says = []
            if due:
                says.append("、".join(f"{kind}{count:,}户" for kind, count in kinds.items() if count))
            if before:
                says.append(self._change(before, due, seen))
            names = tuple(sorted(seen.subjects[uscc]["name"] for uscc in due)) or None
            subject = self._subject(day, self._whose(code), len(due))
            mails.append(Mail(unit["mailbox"], subject, tuple(says), names))
            if stage >= -15:
                mails.append(Mail(unit["head"], subject, tuple(says), names))
            self._told[code] = (day, due)
        everybody = desks.get("scjg", set())
        if stage >= 1 and everybody:
            box = self.district["departments"]["fgj"]["mailbox"]
            nobody = tuple(str(seen.subjects[uscc]["name"]) for uscc in everybody)
            mails.append(Mail(box, self._subject(day, "全区", len(everybody)), (), None, nobody))
        return mails

    def _desks(self, day: date, seen: Seen) -> dict[str, set[str]]:
        """Who is due on whose desk: the street's, the industry's, the market regulator's."""
        desks: dict[str, set[str]] = {}
        for uscc, subject in seen.subjects.items():
            if subject["established"].year >= self.year or uscc in seen.filed:
                continue
            if any(subject[gone] and subject[gone] <= day for gone in ("revoked_on", "deregistered_on")):
                continue
            owners = {"scjg", self._street(subject["area_code"])}
            for code, unit in self.district["departments"].items():
                if subject["industry"] and subject["industry"] in unit.get("industries", ()):
                    owners.add(code)
            for code in owners:
                desks.setdefault(code, set()).add(uscc)
        return desks

    def _street(self, area: str | None) -> str:
        fits = [route for route in self.district["areas"] if area and area.startswith(route["area"])]
        return max(fits, key=lambda route: len(route["area"]))["to"] if fits else self.district["default_desk"]

    def _kinds(self, due: set[str], seen: Seen) -> dict[str, int]:
        counts = dict.fromkeys(KINDS, 0)
        for uscc in due:
            counts[seen.subjects[uscc]["kind"]] += 1
        return counts

    def _change(self, before: tuple[date, set[str]], due: set[str], seen: Seen) -> str:
        since, then = before
        left = then - due
        filed = sum(uscc in seen.filed for uscc in left)
        parts = [("已报送", filed), ("新增", len(due - then)), ("因注销、迁移等移出", len(left) - filed)]
        moved = "，".join(f"{word}{count:,}户" for word, count in parts if count)
        return f"与{since.month}月{since.day}日的上次提醒相比：{moved or '无变化'}。"

    def _whose(self, code: str) -> str:
        name = str(self.district["departments"][code]["name"])
        if code == "scjg":
            return "全区"
        if any(route["to"] == code for route in self.district["areas"]):
            return name.removesuffix("办事处")
        return f"{name}主管行业"

    def _subject(self, day: date, whose: str, due: int) -> str:
        left, year = (date(self.year, 6, 30) - day).days, self.year - 1
        if due == 0:
            return f"【年报公示】{whose}{year}年度年报应报主体已全部报送"
        if left < 0:
            listing = LISTING_BY[self.year]
            what = f"预计{listing.month}月{listing.day}日前列入经营异常名录" if day <= listing else "请尽快督促补报"
            return f"【逾期提醒】{year}年度年报公示已截止：{whose}{due}户未报，{what}"
        if left == 0:
            return f"【今日24时截止】{year}年度年报公示：{whose}尚有{due}户未报送{year}年度年报"
        last = f"·最后{left}天" if left <= 3 else ""
        return f"【年报公示预警{last}】距6月30日还有{left}天：{whose}尚有{due}户未报送{year}年度年报"

    def _withheld(self, day: date) -> list[Mail]:
        left = (date(self.year, 6, 30) - day).days
        when = "已截止" if left < 0 else "今日24时截止" if left == 0 else f"距6月30日还有{left}天"
        units = self.district["departments"]
        heard = {"scjg", self.district["default_desk"], *(route["to"] for route in self.district["areas"])}
        heard |= {code for code, unit in units.items() if unit.get("industries")}
        subject = f"【数据异常】{self.year - 1}年度年报公示{when}：本期未报送名单暂缓"
        return [Mail(units[code]["mailbox"], subject, ("“年度报告基本信息”已",)) for code in sorted(heard)]

    def _advice(self, seen: Seen) -> list[Mail]:
        """Matters that nobody was told of; each applicant lacks a report."""
        fresh = [matter for matter in seen.matters if matter["matter_id"] not in self._matters]
        self._matters |= {matter["matter_id"] for matter in fresh}
        mails = []
        for code in sorted({matter["department"] for matter in fresh}):
            mine = [matter for matter in fresh if matter["department"] == code]
            unit = self.district["departments"][code]
            names = tuple(sorted(name for matter in mine for name in matter["names"]))
            subject = f"【信用核查】{len(mine)}件待办事项缺少有效信用报告（{unit['name']}）"
            mails.append(Mail(unit["mailbox"], subject, (f"新增（{len(names)}条）",), names))
        return mails
