"""The stages that `memory.py` measures, one a process, in the house of the environment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

DAY = date(2026, 6, 15)

Work = Callable[[], tuple[int, dict[str, Any]]]


def _house() -> Any:
    from chengxin.clock import BEIJING
    from chengxin.settings import House

    return House.from_environment(clock=lambda: datetime(2026, 6, 15, 8, tzinfo=BEIJING))


def harvest(source: str) -> Work:
    """From the source to the lake: judged while it is fetched."""
    from chengxin import harvest as stage

    def run() -> tuple[int, dict[str, Any]]:
        counts = stage.run(_house(), source, DAY)
        return counts["harvested"], {"state": counts["state"]}

    return run


def check() -> Work:
    """The day's first check."""
    from chengxin import check as stage

    def run() -> tuple[int, dict[str, Any]]:
        counts = stage.run(_house(), DAY)
        return sum(counts["filing"].values()), {"judged": counts["scope"]["applicants"]}

    return run


def again() -> Work:
    """A check with nothing new."""
    return check()


def desk() -> Work:
    """What the pages show."""
    from chengxin.desk import refresh

    return lambda: (1, {"refreshed": bool(refresh.refresh(_house()))})


def plan() -> Work:
    """The departments' mails."""
    from chengxin import warn

    return lambda: (len(warn.plan(_house(), DAY)), {})


def send() -> Work:
    """To the mail catcher."""
    from chengxin import warn

    def run() -> tuple[int, dict[str, Any]]:
        counts = warn.send(_house(), DAY, None)
        return counts["sent"], {}

    return run


def replay() -> Work:
    """The day judged again from the record."""
    from chengxin import replay as stage

    return lambda: (1, {"same": stage.run(_house(), DAY).identical})


def maintain() -> Work:
    """Chain, retention, the lake's files."""
    from chengxin import maintain as stage
    from chengxin import retention, upkeep

    def run() -> tuple[int, dict[str, Any]]:
        house = _house()
        stage.verify_chain(house)
        retention.run(house, DAY)
        return 1, {"lake": bool(upkeep.tidy(house))}

    return run
