"""What the tests of a whole day share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from pathlib import Path

from chengxin import demo
from chengxin.summary import Summary

ROOT = Path(__file__).resolve().parents[2]
AS_OF = date(2026, 6, 15)
DISTRICT = "370112"
SUBJECTS, SEED = 300, 7


@dataclass
class Played:
    """A day that was played once; Airflow and the sandbox are still up."""

    day: demo.Day
    summary: Summary
    mails: list[EmailMessage]
    """What the mail catcher held when the day was over."""

    def fresh_mails(self) -> list[EmailMessage]:
        """What arrived since."""
        return self.day.sandbox.messages()[len(self.mails) :]
