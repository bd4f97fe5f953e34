"""The house's own gauges, through Airflow's metrics: StatsD or OpenTelemetry, whichever Airflow is told to use.

Set by `report` when a task has succeeded, from what the ledger then says; so they say nothing that the ledger does not,
and a task that was run again sets them again. Names hold the district and the source, since plain StatsD has no tags:

| gauge | meaning |
|---|---|
| `chengxin.<district>.harvest.<source>.<part>` | records of the newest harvest: harvested, published, unchanged, … |
| `chengxin.<district>.harvest.<source>.seconds` | how long it took, waiting for a retry included |
| `chengxin.<district>.source.<source>.age_days` | days since the day that the newest published harvest spoke for |
| `chengxin.<district>.source.<state>` | sources that are fresh, late, stale or recovered |
| `chengxin.<district>.check.seconds` | how long the day's newest check took |
| `chengxin.<district>.check.advice.<decision>` | applicants by outcome |
| `chengxin.<district>.messages.<state>` | the day's mails: planned, sent, refused, unknown |

Numbers only: no gauge is named after a matter, an enterprise or a person.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from chengxin.dagtools.homes import named
from chengxin.settings import House

log = logging.getLogger(__name__)

PARTS = ("harvested", "published", "unchanged", "rejected", "ignored", "removed")


def report(context: Mapping[str, Any]) -> None:
    """Sets the gauges of a task that has just succeeded. A gauge that cannot be set is logged: the task is done."""
    dag_id, task_id = context["dag"].dag_id, context["ti"].task_id
    try:
        place = House.from_environment(district=named(dag_id).home.district)
        measured = measure(place, dag_id, task_id, lambda: _day(context))
        if measured:
            from airflow.sdk.observability import stats

            for name, value in measured.items():
                stats.gauge(name, value)
    except Exception:
        log.exception("the gauges of %s.%s could not be set", dag_id, task_id)


def measure(house: House, dag_id: str, task_id: str, day: Callable[[], date]) -> dict[str, float]:
    """What a task leaves to be measured: gauge → value; nothing for most tasks.

    Args:
        house: whose ledger is asked.
        dag_id: of the task.
        task_id: its own.
        day: asked for the day that the run speaks for, where there is something to measure.
    """
    it = named(dag_id)
    measures: dict[str, Callable[[], dict[str, float]]] = {
        "harvest.harvest": lambda: _harvest(house, it.source, day()),
        "harvest.publish": lambda: _harvest(house, it.source, day()),
        "check_matters.check": lambda: _check(house, day()),
        "warn_departments.report": lambda: _messages(house, day()),
        "watch_sources.sweep": lambda: _sources(house, day()),
    }
    found = measures.get(f"{it.kind}.{task_id}", dict)()
    return {f"chengxin.{house.district}.{name}": value for name, value in found.items()}


def _day(context: Mapping[str, Any]) -> date:
    from chengxin.dagtools.days import as_of

    return as_of(context)


def _harvest(house: House, source: str, day: date) -> dict[str, float]:
    from sqlalchemy import select

    from chengxin.ledger.models import Harvest

    asked = select(Harvest).where(Harvest.source == source, Harvest.as_of == day).order_by(Harvest.id.desc())
    with house.ledger.read() as session:
        newest = session.scalars(asked.limit(1)).first()
    if newest is None:
        return {}
    gauges: dict[str, float] = {f"harvest.{source}.{part}": getattr(newest, part) for part in PARTS}
    if newest.finished_at is not None:
        gauges[f"harvest.{source}.seconds"] = (newest.finished_at - newest.started_at).total_seconds()
    return gauges


def _check(house: House, day: date) -> dict[str, float]:
    from sqlalchemy import select

    from chengxin.ledger.models import CheckRun

    asked = select(CheckRun).where(CheckRun.district == house.district, CheckRun.as_of == day)
    with house.ledger.read() as session:
        newest = session.scalars(asked.order_by(CheckRun.id.desc()).limit(1)).first()
    if newest is None:
        return {}
    gauges: dict[str, float] = {
        f"check.advice.{decision}": number for decision, number in newest.counts.get("advice", {}).items()
    }
    if newest.finished_at is not None:
        gauges["check.seconds"] = (newest.finished_at - newest.started_at).total_seconds()
    return gauges


def _messages(house: House, day: date) -> dict[str, float]:
    from chengxin import warn

    return {f"messages.{state}": number for state, number in warn.summary(house, day).items()}


def _sources(house: House, day: date) -> dict[str, float]:
    from chengxin import sweep

    standings = sweep.standings(house, day)
    gauges: dict[str, float] = {
        f"source.{state}": sum(one.state == state for one in standings.values()) for state in sweep.STATES
    }
    return gauges | {
        f"source.{name}.age_days": one.age_days for name, one in standings.items() if one.age_days is not None
    }
