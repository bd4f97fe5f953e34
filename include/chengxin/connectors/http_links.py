"""URLs: of a connection, and of what a source says to go to next."""

from __future__ import annotations

import ipaddress
from urllib.parse import urljoin, urlsplit

from chengxin.connections import Connection
from chengxin.errors import ConfigError

PORTS = {"http": 80, "https": 443}


def base_url(connection: Connection) -> str:
    """`scheme://host[:port][/path]`, as Airflow's HTTP connections are read; never with login or password.

    Raises:
        ConfigError: no host.
    """
    whole = connection.host if "://" in connection.host else f"{_scheme(connection)}://{connection.host}"
    try:
        parts = urlsplit(whole)
        scheme, hostname, port, path = parts.scheme, parts.hostname, parts.port or connection.port, parts.path
    except ValueError:
        scheme, hostname, port, path = "", None, None, ""
    if scheme not in PORTS or not hostname:
        raise ConfigError(
            f"connection {connection.conn_id!r} gives no URL",
            where=f"connection {connection.conn_id}",
            why="it needs a host, and http or https as schema",
            remedy="set host (and port, schema), e.g. host=share.example.cn, schema=https",
        )
    host = f"[{hostname}]" if ":" in hostname else hostname
    return f"{scheme}://{host}{f':{port}' if port else ''}{path.rstrip('/')}"


def _scheme(connection: Connection) -> str:
    return connection.schema or ("https" if connection.conn_type == "https" else "http")


def joined(url: str, link: str) -> str:
    """Where a link leads, without anybody's password; empty: it is none."""
    try:
        parts = urlsplit(urljoin(url, link))
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl() if parts.port != 0 else ""
    except ValueError:
        return ""


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, which together say to whom a request goes."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
