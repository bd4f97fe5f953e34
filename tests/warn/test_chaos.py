"""A mail server that does what mail servers do, senders that are killed: the server's own log is the judge.

The server takes its behaviour for each try from a seed: it refuses a box or a content for good, greylists, hangs up
before the bytes, after the bytes and before its answer, having kept the message or not, and in the middle of a batch.
Every message that was planned must end sent once, or visibly refused or unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from email import message_from_bytes
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import create_engine, func, select, text

from chengxin import warn
from chengxin.ledger import acts, outbox
from chengxin.ledger.acts import Act
from chengxin.ledger.messages import Message
from chengxin.ledger.outbox import Draft
from chengxin.settings import House
from chengxin.warn.words import district_of
from tests.conftest import ROOT
from tests.talker import Talker

from ..ledger.conftest import postgres as postgres
from .conftest import DAY, Catcher, Scene, serving

ODDS = {
    "refuse": 0.03, "refuse_data": 0.02, "greylist": 0.10, "drop_before": 0.06, "drop_after": 0.03, "lose": 0.03,
    "drop_next": 0.08, "busy": 0.04,
}  # fmt: skip


@dataclass
class Judge(Catcher):
    """A server whose behaviours are drawn, and that logs what it did to each message.

    Besides the catcher's behaviours: `drop_next` takes the message and hangs up when the next one is announced;
    `busy` answers 421 and hangs up.
    """

    seed: int = 0
    calm: bool = False
    slow: float = 0.002
    log: list[tuple[str, str]] = field(default_factory=list)
    """What was done, and to which message (its Message-ID; empty before it is known)."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def _next(self) -> str:
        with self.lock:
            draw = self._random.random()
        if self.calm:
            return "accept"
        for name, odds in ODDS.items():
            draw -= odds
            if draw < 0:
                return name
        return "accept"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if getattr(session, "tired", False):
            server.transport.abort()
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.slow)
        answer = await super().handle_RCPT(server, session, envelope, address, options)
        if session.behaviour == "busy":
            asyncio.get_running_loop().call_later(0.001, server.transport.close)
            return "421 too many messages over this line"
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert envelope.content is not None
        name = str(message_from_bytes(bytes(envelope.content))["Message-ID"])
        behaviour = session.behaviour
        await asyncio.sleep(self.slow)
        if behaviour == "refuse_data":
            self.log.append(("refused", name))
        elif behaviour == "drop_after":
            self.log.append(("dropped", name))
        else:
            self.log.append(("kept", name))
        session.tired = behaviour == "drop_next"
        return await super().handle_DATA(server, session, envelope)


class Workers(Talker):
    """A process of `mailworker`."""

    def __init__(self, house: House, port: int, *, plans: bool = False) -> None:
        settings = {
            "root": str(ROOT), "var": str(house.var), "ledger": house.ledger_url, "port": port, "plans": plans
        }  # fmt: skip
        super().__init__("-m", "tests.warn.mailworker", settings=settings)

    def run(self, day: date, runs: Sequence[Mapping[str, Any]]) -> list[str]:
        """Several runs at the same time; what became of each."""
        asked = [{"plan": False, "day": day.isoformat(), "kill": None, "step": None, **run} for run in runs]
        return [str(outcome) for outcome in self.ask(asked)]


def verdict(house: House, judge: Judge) -> Counter[str]:
    """Holds the ledger against the server's log; counts messages by state."""
    with house.ledger.begin() as session:
        messages = session.scalars(select(Message)).all()
        assert acts.verify(session).broken_at is None
        counted = select(Act.subject, func.count()).where(Act.kind == "message.sending").group_by(Act.subject)
        claims = dict(session.execute(counted).tuples().all())
    kept, refused = (Counter(name for what, name in judge.log if what == word) for word in ("kept", "refused"))
    assert set(kept) <= {message.header_id for message in messages}
    for message in messages:
        name = message.header_id
        assert message.state in ("sent", "refused", "unknown"), (name, message.state)
        assert kept[name] <= 1, f"{name} arrived {kept[name]} times"
        assert claims.get(message.key, 0) == message.attempts
        if message.state == "sent":
            assert kept[name] == 1
        elif message.state == "refused":
            assert kept[name] == 0
            assert refused[name] == 1 or str(message.last_error).startswith("550")
        else:
            assert message.last_error
    return Counter(message.state for message in messages)


def settle(house: House, judge: Judge, day: date) -> None:
    """Sends until nothing waits: what a scheduler's retries do."""
    for turn in range(40):
        judge.calm = turn > 30
        try:
            warn.send(house, day, None)
            return
        except warn.DeferredError:
            continue
    raise AssertionError("messages still wait")


@contextmanager
def judged(seed: int, **more: Any) -> Iterator[Judge]:
    judge = Judge(seed=seed, **more)
    with serving(judge):
        yield judge


def _news(scene: Scene, day: date, number: int) -> None:
    """A matter for every department, and fresh sources."""
    scene.ready(day)
    units = sorted(district_of(scene.house).departments)
    scene.advice(day, [{"matter_id": f"LC-2026-{number:02d}{n:02d}", "department": u} for n, u in enumerate(units)])


def _home(house: House, judge: Judge, url: str = "") -> House:
    return replace(house, mode="sandbox", ledger_url=url, connections=judge.connection)


def _waiting(office: House, day: date, count: int) -> None:
    """So many small messages wait in the outbox, as if planned for that day."""
    drafts = []
    for number in range(count):
        key = f"{day.isoformat()}-{number}"
        content = f"Message-ID: <{key}@licheng.example>\r\nSubject: {key}\r\n\r\n.{key}\r\n".encode()
        drafts.append(
            Draft(
                key=key, mode="sandbox", district="370112", department="zjj", recipient="zjj@licheng.example",
                role="unit", kind="advice", matter="advice", stage="", fingerprint="", as_of=day, subject=key,
                header_id=f"<{key}@licheng.example>", thread="", content=content,
            )
        )  # fmt: skip
    with office.ledger.begin() as session:
        outbox.put(session, office.clock(), drafts)


@pytest.mark.parametrize("seed", range(4))
def test_every_message_of_a_bad_day_is_accounted_for(house: House, seed: int) -> None:
    with judged(seed, slow=0) as judge:
        office = _home(house, judge)
        _waiting(office, DAY, 60)
        settle(office, judge, DAY)
        states = verdict(office, judge)
        before = len(judge.log)
        warn.send(office, DAY, None)
        assert len(judge.log) == before
    assert sum(states.values()) == 60
    assert states["sent"] > states["refused"] + states["unknown"] > 0


def _end(draw: random.Random) -> dict[str, Any]:
    """How a sender ends: by the clock, or before or after a claim, a delivery or a record."""
    return {"kill": draw.uniform(0.03, 0.35)} if draw.random() < 0.4 else {"step": draw.randint(1, 30)}


def _killed(house: House, kills: int, seed: int) -> Counter[str]:
    """Rounds of news; three senders at a time, each killed at a random point of its work, over a bad server."""
    draw = random.Random(seed)
    with judged(seed) as judge:
        office = _home(house, judge)
        done, number = 0, 0
        with Workers(office, judge.port) as senders:
            while done < kills:
                # Two thirds of the senders or so are killed: a day of them that never are is a fault of the test.
                assert number <= kills, f"{done} kills in {number} days"
                day = DAY + timedelta(days=number)
                number += 1
                _waiting(office, day, 40)
                for _ in range(2):
                    outcomes = senders.run(day, [_end(draw) for _ in range(3)])
                    assert set(outcomes) <= {"killed", "done", "waits"}, outcomes
                    done += outcomes.count("killed")
                settle(office, judge, day)
                judge.calm = False
        return verdict(office, judge)


def test_ten_kills(house: House) -> None:
    states = _killed(house, 10, 1)
    assert states["sent"] > states["unknown"] > 0


@pytest.mark.long
def test_a_hundred_kills(house: House) -> None:
    states = _killed(house, 100, 2)
    assert states["sent"] > states["unknown"] > 0


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def test_two_schedulers(house: House, request: pytest.FixtureRequest, database: str) -> None:
    """Two processes plan and send the same day at once: each message goes out once."""
    url = ""
    if database == "postgresql":
        server: str = request.getfixturevalue("postgres")
        name = f"chaos_{uuid4().hex}"
        with create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        url = server.format(name)
    with judged(0, calm=True) as judge:
        office = _home(house, judge, url)
        with Workers(office, judge.port, plans=True) as both:
            _news(Scene(office), DAY, 1)
            outcomes = both.run(DAY, [{"plan": True}] * 2)
        # Who finds the other at work counts what that one has in hand as neither sent nor waiting.
        assert set(outcomes) <= {"done", "waits"}, outcomes
        assert warn.plan(office, DAY) == []
        states = verdict(office, judge)
    assert set(states) == {"sent"}
    assert len(judge.log) == states["sent"] >= 30
