"""Connections by id, the way Airflow names and stores them, without Airflow.

In a task `chengxin.dagtools` hands over Airflow's own connections (any secrets backend). By hand the same
`AIRFLOW_CONN_<ID>` environment variables serve, in either of Airflow's two notations (JSON or URI).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from chengxin.errors import ConfigError, ConnectionNotFoundError


@dataclass(frozen=True)
class Connection:
    """One connection. `password` and `extra` never appear in its representation."""

    conn_id: str
    conn_type: str
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


Connections = Callable[[str], Connection]


def renamed(known: Connections, names: Callable[[], Mapping[str, str]]) -> Connections:
    """The connections of one district: where it has one of its own for an id that contracts share, that one.

    Args:
        known: the connections.
        names: gives the id that contracts name → the district's own; asked at each use.
    """
    return lambda conn_id: known(names().get(conn_id, conn_id))


def from_environment(conn_id: str, environ: Mapping[str, str] = os.environ) -> Connection:
    """The connection that `AIRFLOW_CONN_<ID>` holds.

    Raises:
        ConnectionNotFoundError: the variable is not set.
        ConfigError: the variable is neither JSON nor a URI.
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = environ.get(variable)
    if not text:
        raise ConnectionNotFoundError(
            f"connection {conn_id!r} is not defined",
            where=f"environment variable {variable}",
            remedy=f"set {variable}, or add the connection in Airflow (Admin → Connections)",
        )
    try:
        return from_json(conn_id, text) if text.lstrip().startswith("{") else from_uri(conn_id, text)
    except ValueError as error:
        # The text may hold a password: name the variable, never its value.
        raise ConfigError(
            f"connection {conn_id!r} cannot be read",
            where=f"environment variable {variable}",
            why=type(error).__name__,
            remedy="write it as Airflow does: a URI, or JSON (conn_type, host, port, login, password, schema, extra)",
        ) from None


def from_json(conn_id: str, text: str) -> Connection:
    """A connection from Airflow's JSON notation; `extra` may be an object or a string of JSON."""
    value = json.loads(text)
    extra = value.get("extra") or {}
    return Connection(
        conn_id=conn_id,
        conn_type=value.get("conn_type", ""),
        host=value.get("host") or "",
        port=int(value["port"]) if value.get("port") else None,
        login=value.get("login") or "",
        password=value.get("password") or "",
        schema=value.get("schema") or "",
        extra=json.loads(extra) if isinstance(extra, str) else extra,
    )


def from_uri(conn_id: str, text: str) -> Connection:
    """A connection from Airflow's URI notation: percent-encoded parts, extras in the query or in `__extra__`."""
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("not a URI")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    extra = json.loads(query["__extra__"]) if "__extra__" in query else query
    return Connection(
        conn_id=conn_id,
        conn_type=parts.scheme.replace("-", "_"),
        host=unquote(parts.hostname or ""),
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=unquote(parts.path[1:]),
        extra=extra,
    )
