"""What every DAG of the house has in common: failure notice, retries, time limits, tags, schedules."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import CronTriggerTimetable, ExceptionRetryPolicy, Param, RetryAction, RetryRule

from chengxin.dagtools import metrics
from chengxin.dagtools.notice import tell_operators
from chengxin.tables import CONCLUSIONS, FACTS

TIMEZONE = "Asia/Shanghai"

WAIT_FOR_A_PERSON = timedelta(hours=4)
"""After this nobody has approved. Shorter than a run may take, so that its report still goes out."""

TAGS = frozenset(
    {
        "stage:harvest",
        "stage:check",
        "stage:warn",
        "stage:watch",
        "stage:maintain",
        "stage:replay",
        # now: speaks for the state of the world at the run; interval: speaks for a stretch of time.
        "kind:now",
        "kind:interval",
        *(f"table:{table.name}" for table in (*FACTS, *CONCLUSIONS)),
    }
)
"""The closed list of tags. Where there are several districts, `district:<code>` comes to it."""


def _retry_delay(minutes: int = 5) -> timedelta:
    # A day of the sandbox is over in minutes.
    return timedelta(seconds=5) if os.environ.get("CHENGXIN_MODE") == "sandbox" else timedelta(minutes=minutes)


RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="chengxin.errors.ChallengeError",
            action=RetryAction.RETRY,
            retry_delay=_retry_delay(30),
            reason="a browser challenge may be lifted after a while; asked again soon it stays",
        ),
        *(
            RetryRule(exception=f"chengxin.errors.{name}", action=RetryAction.FAIL, reason="a retry cannot mend this")
            for name in (
                "ConfigError",
                "ConnectionNotFoundError",
                "SourceRefusedError",
                "MismatchError",
                "DriftError",
                "BoundError",
                "SumError",
                "HarvestError",
            )
        ),
    ]
)
"""Errors that only a person can mend fail at the first try; all others are retried."""


HOUSE: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "dagrun_timeout": timedelta(hours=6),
    # On the DAG, not on the tasks: a task's own callback never runs when its process is killed.
    "on_failure_callback": tell_operators,
    "default_args": {
        "owner": "data-engineering",
        # A killed process asks no retry policy, so one try more is always there.
        "retries": 2,
        "retry_delay": _retry_delay(),
        "retry_policy": RETRIES,
        "execution_timeout": timedelta(hours=1),
        "on_success_callback": metrics.report,
    },
    "params": {
        "as_of": Param(
            default=os.environ.get("CHENGXIN_AS_OF") or None,
            type=["null", "string"],
            format="date",
            title="as_of",
            description="The Beijing date this run speaks for. Empty: the day of the asset events, else of the run.",
        )
    },
}
"""Arguments of every `@dag` of the house."""


def schedule(cron: str) -> CronTriggerTimetable | None:
    """The cron schedule in Beijing time; None where `CHENGXIN_SCHEDULES=off` (runs are then started by hand only)."""
    if os.environ.get("CHENGXIN_SCHEDULES") == "off":
        return None
    return CronTriggerTimetable(cron, timezone=TIMEZONE)


def approval(task_id: str, *, subject: str, body: str) -> ApprovalOperator:
    """A task that waits for a person to approve in Airflow; what follows is skipped when they do not."""
    return ApprovalOperator(
        task_id=task_id, subject=subject, body=body, defaults="Reject", response_timeout=WAIT_FOR_A_PERSON
    )
