"""What all pages share: the house, its district as the file says now, the secrets, the gate, and what day it is."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from threading import Lock

from fastapi import Request
from sqlalchemy import func, select

from chengxin import districts
from chengxin.clock import beijing_date
from chengxin.districts import District
from chengxin.errors import ConnectionNotFoundError
from chengxin.ledger.models import CheckRun
from chengxin.settings import House
from chengxin.warn.links import signer
from chengxin.web.gate import Gate

PER_MINUTE = 300
"""Requests of one account: a person clicks ten times a minute, a page is one request and its style sheet."""


@dataclass
class Office:
    """What all pages share.

    Args:
        house: whose pages.
        login_url: where those go who have not logged in; `?next=` is added.
    """

    house: House
    login_url: str
    gate: Gate = field(default_factory=lambda: Gate(PER_MINUTE))
    _read: tuple[int, District] | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def district(self) -> District:
        """The district as its file says now: an account taken out of it is out, without a restart.

        Raises:
            ConfigError: the file is no valid district.
        """
        path = self.house.include_dir / "districts" / f"{self.house.district}.yml"
        stamp = path.stat().st_mtime_ns
        with self._lock:
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, districts.load(path))
            return self._read[1]

    @property
    def now(self) -> datetime:
        """This instant."""
        return self.house.clock()

    def today(self) -> date:
        """The day that the pages speak for.

        A sandbox plays any day: there the newest day that was checked is today.
        """
        if self.house.mode != "sandbox":
            return beijing_date(self.now)
        with self.house.ledger.read() as session:
            newest = session.scalar(select(func.max(CheckRun.as_of)).where(CheckRun.district == self.house.district))
        return newest or beijing_date(self.now)

    def secret(self, use: str) -> bytes:
        """A key for one use, the same in every process and after a restart, as long as the house's keys are.

        Args:
            use: what for, e.g. `form`.
        """
        return hmac.new(self._root, f"chengxin pages: {use}".encode(), hashlib.sha256).digest()

    @cached_property
    def _root(self) -> bytes:
        try:
            return signer(self.house).keys[0].encode()
        except ConnectionNotFoundError:
            # No keys: forms and stated purposes hold in this process, until it ends.
            return secrets.token_bytes(32)


def office(request: Request) -> Office:
    """The office of the app that serves a request."""
    found: Office = request.app.state.office
    return found
