"""A harvest in the ledger, contracts for each kind of source, and what a small HTTP source is asked and answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from chengxin.connections import Connection
from chengxin.connectors import http_api
from chengxin.connectors.intake import Intake
from chengxin.contracts import Contract
from chengxin.ledger.models import Harvest, RawObject
from chengxin.reads import HttpRead
from chengxin.settings import House

AS_OF = date(2026, 6, 15)


def contract(read: dict[str, Any], name: str = "subject_registry", **more: Any) -> Contract:
    return Contract.model_validate(
        {
            "name": name,
            "title": "虚构来源",
            "publisher": "虚构单位",
            "legal_basis": "虚构依据",
            "table": "subject",
            "mode": "full",
            "schedule": "0 1 * * *",
            "max_age": "2d",
            "read": read,
            "columns": {"code": "uscc", "name": "name"},
            "key": ["uscc"],
            "bounds": {"rows": {"min": 0}, "shrink": {"max": 1}},
            "keep": "5y",
            "owner": "data-engineering",
            **more,
        }
    )


INCREMENTAL: dict[str, Any] = {"mode": "incremental", "ignore": ["gxsj"]}
"""What a contract with a watermark has besides."""


def records(count: int) -> list[dict[str, Any]]:
    return [{"code": f"91370112XXXX{number:06d}", "name": f"虚构企业{number}"} for number in range(count)]


def over(house: House, connection: Connection) -> House:
    """The house with one connection, whatever its id."""
    return replace(house, connections=lambda conn_id: replace(connection, conn_id=conn_id))


def new_harvest(house: House, source: str = "subject_registry") -> int:
    with house.ledger.begin() as session:
        harvest = Harvest(
            source=source, as_of=AS_OF, state="fetching", contract_sha256="0" * 64, started_at=house.clock()
        )
        session.add(harvest)
        session.flush()
        return harvest.id


def raw_objects(house: House, harvest_id: int) -> list[RawObject]:
    with house.ledger.begin() as session:
        query = select(RawObject).where(RawObject.harvest_id == harvest_id).order_by(RawObject.ordinal)
        return list(session.scalars(query))


def cursor(house: House, harvest_id: int) -> dict[str, Any]:
    with house.ledger.begin() as session:
        return dict(session.get_one(Harvest, harvest_id).cursor)


class Killed(BaseException):
    """What a kill looks like from inside: nothing of ours may catch it."""


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Send only so many bytes of those announced, then hang up."""
    hang: float = 0.0
    """Seconds before the answer."""
    own_date: bool = True
    """The server says what time it is; False: `headers` do."""


@dataclass
class Source:
    """An HTTP source: serves `records` page by page, except where `answers` says something else."""

    url: str
    records: list[dict[str, Any]] = field(default_factory=list)
    answers: Callable[[Request], Reply | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def pages(self) -> list[int]:
        return [int(request.query["page"]) for request in self.requests]

    def page(self, request: Request) -> dict[str, Any]:
        number, size = int(request.query["page"]), int(request.query["size"])
        part = self.records[(number - 1) * size : number * size]
        return {"code": "200", "msg": "成功", "data": {"total": len(self.records), "records": part}}

    def fail(self, *replies: Reply, page: int = 1) -> None:
        """The page is answered by these, one after the other, then truly."""
        queue = list(replies)
        self.answers = lambda request: queue.pop(0) if queue and request.query.get("page") == str(page) else None

    @property
    def connection(self) -> Connection:
        parts = urlsplit(self.url)
        return Connection(
            "portal", "http", host=parts.hostname or "", port=parts.port, login="app", password="s3cret-s3cret"
        )


PATH = "/api/v1/sczt/jbxx"


def http_contract(page_size: int = 10, **more: Any) -> Contract:
    return contract(
        {
            "connector": "http_api",
            "connection": "sharing_portal",
            "path": PATH,
            "paging": {"page_size": page_size},
            "timeout": 5,
            **more,
        },
        **(INCREMENTAL if "watermark" in more else {}),
    )


def fetch_http(house: House, source: Source, harvest_id: int | None = None, **more: Any) -> tuple[int, list[float]]:
    """Fetches; returns the harvest and the pauses made."""
    one = http_contract(**more)
    pauses: list[float] = []
    house = over(house, source.connection)
    harvest_id = new_harvest(house) if harvest_id is None else harvest_id
    assert isinstance(one.read, HttpRead)
    http_api.fetch(house, one, one.read, AS_OF, Intake(house, one.name, harvest_id), sleep=pauses.append)
    return harvest_id, pauses
