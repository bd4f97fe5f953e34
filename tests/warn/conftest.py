"""A house with conclusions in its lake, and a real SMTP server that can be told to misbehave."""

from __future__ import annotations

import asyncio
import email.policy
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from email import message_from_bytes
from email.message import EmailMessage
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from chengxin import districts, identity, warn
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.lake import arrow_schema
from chengxin.ledger.models import CheckRun, Commit, Harvest
from chengxin.settings import House
from chengxin.tables import TABLES
from chengxin.warn.links import CONNECTION

DAY = date(2026, 6, 15)
"""A working day and the stage T-15."""


def code(number: int, head: str = "91370112XXXX") -> str:
    """A made-up credit code with a valid check character."""
    return identity.complete([f"{head}{number:05d}"])[0]


@dataclass
class Scene:
    """Writes what the check would have concluded, and what the harvests would have recorded."""

    house: House

    def write(self, table: str, day: date, rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], str]) -> int:
        """Appends observations of a day."""
        with self.house.ledger.begin() as session:
            commit = Commit(
                kind="check", name=self.house.district, as_of=day, opened_at=self.at(day), closed_at=self.at(day)
            )
            session.add(commit)
            session.flush()
            seq = commit.seq
        observed = {"observed_on": day, "seq": seq, "source": "check", "removed": False, "row_hash": "x"}
        full = [{**observed, "natural_key": key(row), **row} for row in rows]
        file = self.house.lake.data_file(table, seq)
        pq.write_table(pa.Table.from_pylist(full, schema=arrow_schema(TABLES[table])), file)
        self.house.lake.commit(table, [file], seq)
        return seq

    def at(self, day: date) -> datetime:
        return datetime.combine(day, time(6, 30), BEIJING)

    def filings(self, day: date, rows: list[dict[str, Any]]) -> int:
        """Filing statuses; by default due enterprises of 王舍人街道 for report year 2025."""
        base = {
            "report_year": 2025, "status": "DUE", "warn": True, "kind": "企业", "area_code": "370112009001",
            "industry": "F", "clause": "二（一）3", "rule": "annual.due",
        }  # fmt: skip
        done = dict.fromkeys(("ON_TIME", "LATE", "CORRECTION_TOO_LATE", "REVIEW", "NOT_DUE"), False)
        made = [{**base, "warn": done.get(row.get("status", "DUE"), True), **row} for row in rows]
        return self.write("filing_status", day, made, lambda row: f"{row['uscc']}\x1f{row['report_year']}")

    def advice(self, day: date, rows: list[dict[str, Any]]) -> int:
        """Advice rows; by default a missing report in a tender held by 区住建局."""
        made = []
        for row in rows:
            decision = row.get("decision", "NEED_REPORT")
            reasons = row.get("reasons", ["REPORT_MISSING"])
            number = row.get("advice_id", row["matter_id"] + "/1")
            base = {
                "advice_id": number, "applicant_no": "1", "uscc": code(1), "name": "历城样例一建设有限公司",
                "department": "zjj", "matter_type": "招投标", "test_date": day, "leading": "as_written",
                "decision": decision, "reasons": reasons, "as_written": decision, "as_written_reasons": reasons,
                "as_written_until": row.get("until"), "guarded": decision, "guarded_reasons": reasons,
                "guarded_until": row.get("until"), "flags": [], "cites": ["二（二）1", "四（一）"], "stale_sources": [],
                "policy": "licheng-2020-2", "policy_version": "v1",
            }  # fmt: skip
            made.append(base | row)
        return self.write("advice", day, made, lambda row: row["advice_id"])

    def findings(self, day: date, rows: list[dict[str, Any]]) -> int:
        """Findings of advice."""
        base = {
            "reading": "both",
            "rule": "bidding.report",
            "clause": "二（二）1",
            "effect": "NEED_REPORT",
            "flags": [],
        }
        return self.write("finding", day, [base | row for row in rows], lambda row: row["finding_id"])

    def facts(self, table: str, day: date, rows: list[dict[str, Any]], *key: str) -> int:
        """Observations of a fact table."""
        return self.write(table, day, rows, lambda row: "\x1f".join(str(row[name]) for name in key))

    def harvested(self, day: date, *, state: str = "published", only: tuple[str, ...] = (), **more: Any) -> None:
        """A harvest of each source for a day."""
        names = only or districts.load(self.house.include_dir / "districts/370112.yml").sources
        with self.house.ledger.begin() as session:
            for name in names:
                session.add(
                    Harvest(
                        source=name,
                        as_of=day,
                        state=state,
                        contract_sha256="0" * 64,
                        started_at=self.at(day),
                        finished_at=self.at(day),
                        **more,
                    )
                )

    def checked(self, day: date, **counts: Any) -> None:
        """A finished check of a day."""
        with self.house.ledger.begin() as session:
            session.add(
                CheckRun(
                    district=self.house.district,
                    as_of=day,
                    read_seq=1,
                    policy="licheng-2020-2",
                    engine="duckdb",
                    policy_version="0123456789abcdef",
                    started_at=self.at(day),
                    finished_at=self.at(day),
                    counts=counts,
                )
            )

    def ready(self, day: date = DAY) -> None:
        """Every source harvested and the check finished."""
        self.harvested(day)
        self.checked(day, advice={"NEED_REPORT": 2})


@dataclass
class Catcher:
    """What an SMTP server does, and what it accepted.

    `script` holds one behaviour per message, the last one for all that follow: `accept`, `refuse` (550 at RCPT),
    `refuse_data` (554 after the bytes), `greylist` (451 at RCPT), `drop_before` (cut at RCPT), `drop_after` (bytes
    taken, line cut, no answer), `lose` (as `drop_after`, and the message is kept: it did arrive).
    """

    script: list[str] = field(default_factory=lambda: ["accept"])
    accepted: list[bytes] = field(default_factory=list)
    tried: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def connection(self, conn_id: str) -> Connection:
        return Connection(
            conn_id, "smtp", "127.0.0.1", self.port, extra={"disable_ssl": True, "disable_tls": True, "timeout": 5}
        )

    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=email.policy.default) for raw in self.accepted]  # type: ignore[misc]

    def _next(self) -> str:
        with self.lock:
            self.tried += 1
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        behaviour = self._next()
        session.behaviour = behaviour
        if behaviour == "refuse":
            return "550 no such mailbox"
        if behaviour == "greylist":
            return "451 try again later"
        if behaviour == "drop_before":
            server.transport.abort()
            return "451 never heard"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        behaviour = session.behaviour
        if behaviour == "refuse_data":
            return "554 content not wanted"
        if behaviour != "drop_after":
            assert envelope.content is not None
            assert len(envelope.rcpt_tos) == 1
            self.accepted.append(bytes(envelope.content))
        if behaviour in ("drop_after", "lose"):
            server.transport.abort()
            await asyncio.sleep(0)
        return "250 OK"


@contextmanager
def serving(catcher: Catcher, **options: Any) -> Iterator[Catcher]:
    """The catcher behind a real socket on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        catcher.port = probe.getsockname()[1]
    controller = Controller(catcher, hostname="127.0.0.1", port=catcher.port, data_size_limit=10**8, **options)
    controller.start()
    try:
        yield catcher
    finally:
        controller.stop()


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    """A mail server that accepts everything until told otherwise."""
    with serving(Catcher()) as running:
        yield running


@pytest.fixture
def office(house: House, catcher: Catcher) -> House:
    """A house in sandbox mode whose mail goes to the catcher."""
    return replace(house, mode="sandbox", connections=catcher.connection)


ANSWERS = "https://credit.example/answers"
LINK_KEY = "k" * 40


@pytest.fixture
def answerable(office: House, catcher: Catcher) -> House:
    """The same office with an answering page: its mails carry links."""

    def connections(conn_id: str) -> Connection:
        if conn_id == CONNECTION:
            return Connection(conn_id, "generic", password=LINK_KEY)
        return catcher.connection(conn_id)

    return replace(office, connections=connections, answers_url=ANSWERS)


@pytest.fixture
def scene(office: House) -> Scene:
    """Empty tables, ready to be written."""
    return Scene(office)


def subjects(count: int, start: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Subjects that are due, numbered from `start`."""
    return [{"uscc": code(n), "name": f"历城样例{n:03d}有限公司"} | more for n in range(start, start + count)]


def sent(house: House, day: date, catcher: Catcher) -> list[EmailMessage]:
    """Plans and sends a day, as at eight in its morning; what arrived."""
    before = len(catcher.accepted)
    there = house.at(lambda: datetime(day.year, day.month, day.day, 8, tzinfo=BEIJING))
    for unit in warn.plan(there, day):
        warn.send(there, day, unit)
    return catcher.mails()[before:]


def go(house: House, day: date, catcher: Catcher) -> dict[str, EmailMessage]:
    """The same, by recipient and kind: `zjj/advice`."""
    mails = sent(house, day, catcher)
    arrived = {}
    for mail in mails:
        kind = "advice" if "信用核查" in str(mail["Subject"]) else "countdown"
        arrived[f"{mail['To'].addresses[0].username}/{kind}"] = mail
    assert len(arrived) == len(mails)
    return arrived


def body(mail: EmailMessage, kind: str = "plain") -> str:
    """The text of a mail."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def workbook_of(mail: EmailMessage) -> Any:
    """The attached work list, opened by another library."""
    import io

    import openpyxl

    (attached,) = list(mail.iter_attachments())
    return openpyxl.load_workbook(io.BytesIO(attached.get_content())).active


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
