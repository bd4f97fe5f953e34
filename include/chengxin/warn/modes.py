"""Whether a message may go out at all: the modes of a house.

| mode | plans | sends |
|---|---|---|
| `production` | every day | for today and yesterday only; any other day is planned as a rehearsal |
| `sandbox` (the demo, tests) | every day | for every day, to loopback hosts only |
| `rehearsal` (backfill, replay, the default) | every day | never |
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from datetime import date, timedelta

from chengxin.clock import beijing_date
from chengxin.connections import Connection
from chengxin.districts import District
from chengxin.errors import ConfigError
from chengxin.settings import House, Mode

OPERATORS = ""
"""Stands for the operators where a message names its department."""


@dataclass(frozen=True)
class Permit:
    """What a run for one day may do."""

    mode: Mode
    """The mode its messages are planned in."""
    since: date | None
    """The oldest day whose waiting messages may still go out; None: any."""

    @property
    def sends(self) -> bool:
        """Whether anything may be sent."""
        return self.mode != "rehearsal"


def permit(house: House, as_of: date) -> Permit:
    """What a run for a day may do in this house, by its mode and its clock."""
    if house.mode != "production":
        return Permit(house.mode, None)
    today = beijing_date(house.clock())
    since = today - timedelta(days=1)
    return Permit("production", since) if since <= as_of <= today else Permit("rehearsal", None)


def quiet(house: House, district: District, may: Permit) -> bool:
    """Whether departments get no mail at this hour: it waits, and the first run after the quiet hours sends it.

    A sandbox plays a day at any hour of the clock, so it has none.
    """
    hours = district.mail.quiet_hours
    return may.mode == "production" and hours is not None and hours.hold(house.clock())


def check_host(mode: Mode, connection: Connection) -> None:
    """Refuses to let a sandbox talk to a real mail server.

    Raises:
        ConfigError: in sandbox mode, a host that is not (or not only) this machine.
    """
    if mode != "sandbox":
        return
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(connection.host or "localhost", None)}
    except OSError:
        found = set()
    if not found or not all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found):
        raise ConfigError(
            "a sandbox sends to this machine only",
            where=f"connection {connection.conn_id!r}",
            why="its host is not a loopback address",
            remedy="point the connection at the mail catcher, or run in production mode (CHENGXIN_MODE)",
        )
