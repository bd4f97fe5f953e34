"""The house of a task: the environment's, with Airflow's own connections."""

from __future__ import annotations

import json

from chengxin.connections import Connection
from chengxin.errors import ConfigError, ConnectionNotFoundError
from chengxin.settings import House


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


def house() -> House:
    """The house that the environment describes, with Airflow's connections.

    Raises:
        ConfigError: the environment describes none.
    """
    return House.from_environment(connections=connection)
