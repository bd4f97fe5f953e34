"""The day a run speaks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from chengxin.clock import beijing_date
from chengxin.errors import ConfigError


def as_of(context: Mapping[str, Any]) -> date:
    """The Beijing date that the run of this task context speaks for.

    In this order: `as_of` given when the run was started; the `as_of` that the triggering asset events carry; the
    DAG's parameter; the run's logical date, or for a run without one (manual) the instant it was asked for.

    Raises:
        ConfigError: `as_of` is no date, or the triggering events speak for different days or for none.
    """
    run = context["dag_run"]
    given = (getattr(run, "conf", None) or {}).get("as_of")
    if given:
        return _date(given, "the run's configuration")
    events = [event for group in (context.get("triggering_asset_events") or {}).values() for event in group]
    if events:
        return _agreed(events)
    default = (context.get("params") or {}).get("as_of")
    if default:
        return _date(default, "the parameter as_of")
    return beijing_date(run.logical_date or run.run_after)


def _agreed(events: list[Any]) -> date:
    days = sorted({str((event.extra or {}).get("as_of") or "none") for event in events})
    if len(days) == 1 and days != ["none"]:
        return _date(days[0], "the triggering asset event")
    raise ConfigError(
        "the triggering asset events do not speak for one day",
        where="as_of of the run",
        why=f"days: {', '.join(days)}",
        remedy='trigger the DAG once per day by hand, with {"as_of": "YYYY-MM-DD"}',
    )


def _date(text: Any, where: str) -> date:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ConfigError(
            f"{text!r} is no date", where=where, remedy="write it as YYYY-MM-DD, e.g. 2026-06-15"
        ) from None
