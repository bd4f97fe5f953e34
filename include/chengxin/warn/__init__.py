"""Warnings: what departments see of us is a mail.

What may be sent when stands in `chengxin.warn.modes`. The functions here are the stages; each imports what it needs
when it is called, so that a task that only sends does not wait for the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from chengxin.settings import House
from chengxin.warn.smtp import DeferredError

__all__ = [
    "DeferredError", "approval_needed", "dry_run", "plan", "report", "send", "summary", "supervise", "watch",
]  # fmt: skip


def plan(house: House, as_of: date) -> list[str]:
    """Plans a day's messages and commits them; the departments that have messages waiting. See `planning.plan`."""
    from chengxin.warn import planning

    return planning.plan(house, as_of)


def send(house: House, as_of: date, department: str | None) -> dict[str, int]:
    """Sends the waiting messages of one department, or (None) of all of them; see `sending.send`."""
    from chengxin.warn import sending

    return sending.send(house, as_of, department)


def report(house: House, as_of: date, runs: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Sends the operators their one mail on a day. See `reporting.report`."""
    from chengxin.warn import reporting

    return reporting.report(house, as_of, runs)


def summary(house: House, as_of: date) -> dict[str, int]:
    """The messages that speak for a day: planned in all, sent, refused, unknown. See `reporting.summary`."""
    from chengxin.warn import reporting

    return reporting.summary(house, as_of)


def dry_run(house: House, as_of: date, folder: Path) -> list[Path]:
    """Writes a day's mails as files and commits nothing. See `planning.dry_run`."""
    from chengxin.warn import planning

    return planning.dry_run(house, as_of, folder)


def approval_needed(house: House, as_of: date) -> bool:
    """Whether so many messages wait that a person has to approve them. See `approval.needed`."""
    from chengxin.warn import approval

    return approval.needed(house, as_of)


def watch(house: House, as_of: date) -> dict[str, int]:
    """Tells the operators if a day was not checked or not reported. See `morning.watch`."""
    from chengxin.warn import morning

    return morning.watch(house, as_of)


def supervise(house: House, as_of: date) -> dict[str, int]:
    """Sends the supervising bodies the last month's use of credit records. See `supervising.supervise`."""
    from chengxin.warn import supervising

    return supervising.supervise(house, as_of)
