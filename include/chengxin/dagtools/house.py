"""The house of a task: the environment's, with Airflow's own connections."""

from __future__ import annotations

import json
import logging
import os

from chengxin.connections import Connection
from chengxin.dagtools.homes import named
from chengxin.errors import ConfigError, ConnectionNotFoundError
from chengxin.settings import House

log = logging.getLogger(__name__)

PATIENCE = 19
"""Niceness of a task: the least there is: it gets what the pages leave, alone a whole processor."""


def connection(conn_id: str) -> Connection:
    """A connection as Airflow knows it, from whatever secrets backend it uses.

    Raises:
        ConnectionNotFoundError: Airflow knows no such connection.
        ConfigError: its extra is no JSON object.
    """
    from airflow.sdk import Connection as AirflowConnection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        found = AirflowConnection.get(conn_id)
    except AirflowNotFoundException:
        raise ConnectionNotFoundError(
            f"connection {conn_id!r} is not defined",
            where="Airflow connections",
            remedy=f"add it (Admin → Connections), or set AIRFLOW_CONN_{conn_id.upper()}",
        ) from None
    try:
        extra = json.loads(found.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigError(
            f"the extra of connection {conn_id!r} is no JSON object",
            where="Airflow connections",
            remedy="mend its extra field (Admin → Connections)",
        )
    return Connection(
        conn_id=conn_id,
        conn_type=found.conn_type or "",
        host=found.host or "",
        port=found.port,
        login=found.login or "",
        password=found.password or "",
        schema=found.schema or "",
        extra=extra,
    )


def house(district: str = "") -> House:
    """The house of a district, with Airflow's connections; in a task the log is told of it.

    Args:
        district: its code; empty: the only one that the environment names.

    Raises:
        ConfigError: the environment describes no such house.
    """
    place = House.from_environment(district=district, connections=connection)
    name_in_log(place)
    yield_to_pages()
    return place


def yield_to_pages() -> None:
    """In a task: lets pages go first where both want the processor. A task has hours, a page a third of a second.

    Elsewhere nothing happens: the pages themselves live in Airflow's API server.
    """
    from airflow.sdk import get_current_context

    try:
        get_current_context()
    except RuntimeError:
        return
    # Threads that are begun from here on inherit it, the engine's among them.
    os.setpriority(os.PRIO_PROCESS, 0, max(PATIENCE, os.getpriority(os.PRIO_PROCESS, 0)))


def name_in_log(place: House) -> None:
    """Lets every further line of this task's log name the district and, in a harvest, the source.

    Airflow names DAG, run, task and try itself. Elsewhere than in a task there is nothing to name.
    """
    from airflow.sdk import get_current_context
    from structlog.contextvars import bind_contextvars

    try:
        dag_id = get_current_context()["dag"].dag_id
    except RuntimeError:
        return
    source = named(dag_id).source
    bind_contextvars(district=place.district, **({"source": source} if source else {}))
    log.info("house of district %s, mode %s, at %s", place.district, place.mode, place.var)
