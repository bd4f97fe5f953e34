"""What all pages share: the house, its district as the file says now, the secrets, the gate, and what day it is."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, TypeVar, cast

from fastapi import Request
from sqlalchemy import Select, func, select

from chengxin import contracts, districts, policy
from chengxin.clock import beijing_date
from chengxin.contracts import Contract
from chengxin.desk import Desk
from chengxin.desk.scope import Scope
from chengxin.districts import District
from chengxin.errors import ConnectionNotFoundError
from chengxin.ledger import objections, standing
from chengxin.ledger.messages import Message
from chengxin.ledger.models import CheckRun
from chengxin.ledger.objections import Objected
from chengxin.ledger.standing import Standing
from chengxin.policy import Policy
from chengxin.settings import House
from chengxin.warn import words
from chengxin.warn.links import signer
from chengxin.warn.words import Words
from chengxin.web.auditor.history import Interventions
from chengxin.web.auditor.visitor import Visitor
from chengxin.web.gate import Gate

LOOKED_AT = 1.0
"""Seconds for which the sixty files of the policy are not looked at again: that would be a fourth of a page's time."""
PER_MINUTE = 300
"""Requests of one account: a person clicks ten times a minute, a page is one request and its style sheet."""
SEARCHES_PER_MINUTE = 20
"""Searches for subjects of one account: nobody needs to walk through a list of codes."""


T = TypeVar("T")


@dataclass
class Office:
    """What all pages share.

    Args:
        house: whose pages.
        login_url: where those go who have not logged in; `?next=` is added.
        interventions: what people did to runs in Airflow; None: there is no Airflow to ask.
    """

    house: House
    login_url: str
    interventions: Interventions | None = None
    gate: Gate = field(default_factory=lambda: Gate(PER_MINUTE))
    searches: Gate = field(default_factory=lambda: Gate(SEARCHES_PER_MINUTE))
    _kept: dict[str, tuple[object, Any, float]] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def district(self) -> District:
        """The district as its file says now: an account taken out of it is out, without a restart.

        Raises:
            ConfigError: the file is no valid district.
        """
        return self._current("district", lambda: [self._district_file], lambda: districts.load(self._district_file), 0)

    @property
    def policy(self) -> Policy:
        """The district's policy as its files say now, or said a moment ago.

        Raises:
            ConfigError: it cannot be read.
        """
        folder = self.house.include_dir / "policy"

        def files() -> list[Path]:
            return [*folder.rglob("*.yml"), self._district_file]

        return self._current("policy", files, lambda: policy.load(folder / self.district.policy, self.district))

    @property
    def sources(self) -> Mapping[str, Contract]:
        """The contracts of the district's sources, as their files say now; one that cannot be read is left out."""

        def files() -> list[Path]:
            return [self.house.include_dir / "sources" / f"{name}.yml" for name in self.district.sources]

        def read() -> Mapping[str, Contract]:
            found, _faults = contracts.load_all(self.house.include_dir / "sources")
            return {name: found[name] for name in self.district.sources if name in found}

        return self._current("sources", files, read)

    @property
    def titles(self) -> Mapping[str, str]:
        """Source → what it is called."""
        return {name: contract.title for name, contract in self.sources.items()}

    @property
    def words(self) -> Words:
        """What outcomes, reasons and states are called in Chinese."""
        folder = self.house.include_dir

        def files() -> list[Path]:
            return [*(folder / "policy").glob("*/vocabulary.yml"), folder / "mail" / "words.yml", self._district_file]

        return self._current("words", files, lambda: words.load(self.house, self.district))

    @property
    def desk(self) -> Desk:
        """The desk: what pages read of the lake."""
        return self.house.desk

    def scope(self, visitor: Visitor) -> Scope:
        """What of the desk a visitor may see."""
        if visitor.sees_all:
            return Scope.everything()
        return Scope.of(self.district, visitor.department or "")

    def standing(self, advice_ids: Iterable[str]) -> Mapping[str, Standing]:
        """What officers decided on some advice, and what subjects object to; every id asked for is there."""
        with self.house.ledger.read() as session:
            return standing.of(session, advice_ids)

    def disputed(self, advice_ids: Iterable[str]) -> set[str]:
        """Those of some advice to which an objection is open."""
        with self.house.ledger.read() as session:
            return objections.disputed(session, advice_ids)

    def objections(self, visitor: Visitor) -> list[Objected]:
        """The objections that wait to be settled, of those that a visitor may see; the oldest first."""
        with self.house.ledger.read() as session:
            return objections.waiting(session, self.district.code, None if visitor.sees_all else visitor.department)

    def messages(self, visitor: Visitor) -> Select[Message]:
        """The messages that a visitor may see, to be narrowed further; a department sees its own."""
        wanted = select(Message).where(Message.district == self.district.code, Message.mode == self.house.mode)
        # The operators' messages belong to no department, and are nobody's own.
        return wanted if visitor.sees_all else wanted.where(Message.department == (visitor.department or "?"))

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
        """A key for one use in this district: the same in every process, and after a restart with the same keys.

        Args:
            use: what for, e.g. `form`.
        """
        # Districts may have the same keys: what one stated or signed must not count with another.
        said = f"chengxin pages of {self.house.district}: {use}"
        return hmac.new(self._root, said.encode(), hashlib.sha256).digest()

    @cached_property
    def _root(self) -> bytes:
        try:
            return signer(self.house).keys[0].encode()
        except ConnectionNotFoundError:
            # No keys: forms and stated purposes hold in this process, until it ends.
            return secrets.token_bytes(32)

    @property
    def _district_file(self) -> Path:
        return self.house.include_dir / "districts" / f"{self.house.district}.yml"

    def _current(
        self, name: str, files: Callable[[], Iterable[Path]], read: Callable[[], T], every: float = LOOKED_AT
    ) -> T:
        """What was read from some files, read again when one of them has changed."""
        kept = self._kept.get(name)
        if kept is not None and monotonic() - kept[2] < every:
            return cast(T, kept[1])
        stamp = tuple(sorted((str(file), file.stat().st_mtime_ns) for file in files() if file.exists()))
        value = read() if kept is None or kept[0] != stamp else kept[1]
        with self._lock:
            self._kept[name] = (stamp, value, monotonic())
        return cast(T, value)


def office(request: Request) -> Office:
    """The office of the app that serves a request."""
    found: Office = request.app.state.office
    return found
