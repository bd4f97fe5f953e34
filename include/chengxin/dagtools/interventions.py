"""What people did to runs, from Airflow's own event log: who triggered, cleared or changed what, and why.

Airflow writes a row for each such request, with the account and the request's JSON, which holds the note that the
person typed (`airflow.api_fastapi.logging.decorators`, 3.3.2). Read in the API server, which has its database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from chengxin.clock import BEIJING, beijing_date
from chengxin.dagtools.homes import Home
from chengxin.web.auditor.history import Intervention

EVENTS = (
    "trigger_dag_run", "clear_dag_run", "post_clear_task_instances", "patch_dag_run", "patch_task_instance",
    "delete_dag_run", "update_hitl_detail",
)  # fmt: skip
MOST = 500
"""Rows shown of one day."""


def on_day(day: date, home: Home = Home()) -> list[Intervention]:  # noqa: B008 - frozen
    """What people did to the runs that speak for a day, the oldest first.

    Args:
        day: the Beijing date.
        home: the district whose runs, where there are several.
    """
    from airflow.models.dagrun import DagRun
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import String, and_, cast, or_, select, true

    begin = datetime.combine(day, time(), BEIJING)
    own = or_(
        Log.dag_id.endswith(f"__{home.district}", autoescape=True),
        Log.dag_id.startswith(f"{home.dag_id('harvest')}__", autoescape=True),
    )
    that_day = and_(DagRun.run_after >= begin, DagRun.run_after < begin + timedelta(days=1))
    wanted = (
        select(Log.dttm, Log.owner, Log.event, Log.dag_id, Log.run_id, Log.task_id, Log.extra)
        .add_columns(DagRun.conf, DagRun.logical_date, DagRun.run_after)
        .join(DagRun, and_(DagRun.dag_id == Log.dag_id, DagRun.run_id == Log.run_id))
        .where(own if home.district else true())
        .where(Log.event.in_(EVENTS), or_(that_day, cast(DagRun.conf, String).contains(day.isoformat())))
        .order_by(Log.id)
        .limit(MOST)
    )
    with create_session(scoped=False) as session:
        rows = session.execute(wanted).all()
    return [
        Intervention(
            at=row.dttm,
            who=row.owner or "",
            event=row.event,
            dag_id=row.dag_id,
            run_id=row.run_id,
            task_id=row.task_id or "",
            note=_note(row.extra),
        )
        for row in rows
        if _speaks_for(row.conf, row.logical_date or row.run_after) == day
    ]


def _speaks_for(conf: Mapping[str, Any] | None, instant: datetime) -> date:
    """As `days.as_of` has it, for a run that no asset event started: nobody triggers those by hand."""
    try:
        return date.fromisoformat(str((conf or {}).get("as_of", "")))
    except ValueError:
        return beijing_date(instant)


def _note(extra: str | None) -> str:
    try:
        said = json.loads(extra or "{}")
    except ValueError:
        return ""
    return str(said.get("note") or "") if isinstance(said, dict) else ""
