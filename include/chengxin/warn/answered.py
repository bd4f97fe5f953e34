"""What desks answered, in words, and what it means for the next plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from chengxin.clock import in_short
from chengxin.ledger.answers import Given, What
from chengxin.ledger.messages import Message

LABELS: Mapping[What, str] = {
    "acknowledged": "已知悉，正在办理",
    "handled": "已办结",
    "wrong_desk": "不属于本单位",
    "snoozed": "暂缓提醒",
}


def spelt(given: Given) -> str:
    """An answer in one line, e.g. 6月16日答复：暂缓提醒至6月20日（企业停产检修）."""
    until = f"至{_day(given.until)}" if given.until else ""
    return f"{_day(given.at.date())}答复：{LABELS[given.what]}{until}" + (f"（{given.reason}）" if given.reason else "")


@dataclass(frozen=True)
class Answers:
    """The answers to earlier messages as a day's plan sees them."""

    given: Mapping[int, Given]
    """Message id → the answer that counts."""
    today: date

    def holding(self, message: int | None) -> Given | None:
        """The answer to a message, if it still holds today."""
        found = self.given.get(message) if message is not None else None
        return found if found is not None and found.holds(self.today) else None

    def line(self, message: int | None) -> str:
        """What a department answered to a message, in words; empty: nothing."""
        found = self.given.get(message) if message is not None else None
        return f"贵单位{spelt(found)}。" if found is not None else ""

    @property
    def ended(self) -> dict[str, date]:
        """Keys of messages whose snooze is over, and when: what they told is told again."""
        over = [each for each in self.given.values() if not each.holds(self.today)]
        return {each.key: each.until for each in over if each.until is not None}

    @property
    def misrouted(self) -> frozenset[str]:
        """Keys of messages that a desk gave back as not its own."""
        return frozenset(each.key for each in self.given.values() if each.what == "wrong_desk")


def signals(found: Sequence[tuple[Message, Given]], names: Mapping[str, str]) -> list[str]:
    """What the operators hear of a day's answers: what a desk says is not its own."""
    return [
        f"{names.get(message.department, message.department)}称不属于本单位（邮件{message.id}，{message.subject}）"
        f"{'：' + given.reason if given.reason else ''}，请核对分派"
        for message, given in found
        if given.what == "wrong_desk"
    ]


def _day(day: date | None) -> str:
    return in_short(day) if day else ""
