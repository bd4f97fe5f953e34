"""Sending over a real SMTP server that refuses, drops and forgets: at most once, never silently lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from chengxin import warn
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.errors import ConfigError
from chengxin.ledger import acts, outbox
from chengxin.ledger.acts import Act
from chengxin.ledger.messages import Message, MessageBody
from chengxin.ledger.outbox import Scope
from chengxin.settings import House
from chengxin.warn import holder, modes

from .conftest import DAY, Catcher, Scene, code

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 6, 15, 8, 0, tzinfo=BEIJING)


@pytest.fixture(scope="session")
def planned_once(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house in which one advice mail waits for 区住建局: planned once, its ledger is copied for each test."""
    folder = tmp_path_factory.mktemp("planned")
    house = House(root=ROOT, var=folder / "var", district="370112", mode="sandbox", clock=lambda: NOW)
    scene = Scene(house)
    scene.ready()
    scene.advice(DAY, [{"matter_id": "LC-2026-0001"}, {"matter_id": "LC-2026-0002"}])
    assert warn.plan(house, DAY) == ["zjj"]
    return house


@pytest.fixture
def planned(planned_once: House, office: House) -> House:
    """One advice mail waits for 区住建局. The lake is empty: what is planned again stays as it is."""
    office.var.mkdir(parents=True)
    # Not the file alone: what was written last may still lie beside it.
    with closing(sqlite3.connect(planned_once.var / "ledger.db")) as ledger:
        ledger.execute("VACUUM INTO ?", (str(office.var / "ledger.db"),))
    return office


def _message(house: House) -> Message:
    with house.ledger.begin() as session:
        return session.scalars(select(Message)).one()


def _acts(house: House) -> list[str]:
    with house.ledger.begin() as session:
        assert acts.verify(session).broken_at is None
        return list(session.scalars(select(Act.kind).order_by(Act.seq)))


def _send(house: House, day: date = DAY) -> dict[str, int]:
    try:
        return warn.send(house, day, "zjj")
    except warn.DeferredError as error:
        return error.counts


def test_sent_once(planned: House, catcher: Catcher) -> None:
    assert warn.send(planned, DAY, "zjj") == {"sent": 1, "refused": 0, "unknown": 0, "planned": 0}
    assert warn.send(planned, DAY, "zjj") == {"sent": 0, "refused": 0, "unknown": 0, "planned": 0}
    assert len(catcher.accepted) == 1
    assert _acts(planned) == ["message.planned", "message.sending", "message.sent"]
    message = _message(planned)
    assert (message.state, message.attempts) == ("sent", 1)
    assert catcher.mails()[0]["Message-ID"] == message.header_id


def test_what_arrives_is_what_was_planned(planned: House, catcher: Catcher) -> None:
    with planned.ledger.begin() as session:
        content = session.scalar(select(MessageBody.content))
    warn.send(planned, DAY, "zjj")
    assert catcher.accepted == [content]


@pytest.mark.parametrize("behaviour", ["refuse", "refuse_data"])
def test_a_refusal_is_kept_and_not_repeated(planned: House, catcher: Catcher, behaviour: str) -> None:
    catcher.script = [behaviour, "accept"]
    assert warn.send(planned, DAY, "zjj")["refused"] == 1
    assert warn.send(planned, DAY, "zjj")["refused"] == 0
    message = _message(planned)
    assert message.state == "refused"
    assert str(message.last_error).startswith("55")
    assert catcher.accepted == []


@pytest.mark.parametrize("behaviour", ["greylist", "drop_before"])
def test_what_was_certainly_not_taken_waits_and_goes_later(planned: House, catcher: Catcher, behaviour: str) -> None:
    catcher.script = [behaviour, behaviour, "accept"] if behaviour == "drop_before" else [behaviour, "accept"]
    with pytest.raises(warn.DeferredError) as caught:
        warn.send(planned, DAY, "zjj")
    assert caught.value.counts == {"sent": 0, "refused": 0, "unknown": 0, "planned": 1}
    assert _message(planned).attempts == 1
    assert warn.send(planned, DAY, "zjj")["sent"] == 1
    assert len(catcher.accepted) == 1
    assert _acts(planned)[:4] == ["message.planned", "message.sending", "message.deferred", "message.sending"]


def test_a_line_cut_while_idle_is_opened_again(planned: House, catcher: Catcher) -> None:
    catcher.script = ["drop_before", "accept"]
    assert warn.send(planned, DAY, "zjj")["sent"] == 1


@pytest.mark.parametrize("behaviour", ["drop_after", "lose"])
def test_a_line_cut_after_the_bytes_is_unknown_and_never_repeated(
    planned: House, catcher: Catcher, behaviour: str
) -> None:
    catcher.script = [behaviour, "accept"]
    assert warn.send(planned, DAY, "zjj") == {"sent": 0, "refused": 0, "unknown": 1, "planned": 0}
    for _ in range(3):
        assert _send(planned)["sent"] == 0
    assert catcher.tried == 1
    assert _message(planned).state == "unknown"


def test_no_server_leaves_everything_waiting(planned: House) -> None:
    dead = replace(planned, connections=lambda name: Connection(name, "smtp", "127.0.0.1", 1, extra=_PLAIN))
    with pytest.raises(warn.DeferredError, match="1 messages wait"):
        warn.send(dead, DAY, "zjj")
    assert _message(planned).state == "planned"
    assert _message(planned).attempts == 0
    assert warn.send(planned, DAY, "zjj")["sent"] == 1


_PLAIN: dict[str, Any] = {"disable_ssl": True, "disable_tls": True, "timeout": 3}


def test_a_login_that_fails_blames_no_message(planned: House, catcher: Catcher) -> None:
    wrong = replace(
        planned,
        connections=lambda name: replace(catcher.connection(name), login="user", password="wrong"),
    )
    with pytest.raises(warn.DeferredError) as caught:
        warn.send(wrong, DAY, "zjj")
    assert "wrong" not in str(caught.value)
    assert _message(planned).state == "planned"


def test_a_crash_between_sending_and_recording_is_unknown_and_never_repeated(planned: House, catcher: Catcher) -> None:
    # A sender of its own process that dies once the server has taken the message.
    script = """
import os, sys
from datetime import date
from chengxin.warn import sending
from tests_support import house
sending.outbox.settle = lambda *_args: os.kill(os.getpid(), 9)
sending.send(house(sys.argv[1], int(sys.argv[2])), date(2026, 6, 15), "zjj")
"""
    ended = _run(planned, catcher, script)
    assert ended.returncode == -signal.SIGKILL
    assert len(catcher.accepted) == 1
    assert _message(planned).state == "sending"
    assert warn.plan(planned, DAY) == ["zjj"]
    assert warn.send(planned, DAY, "zjj") == {"sent": 0, "refused": 0, "unknown": 1, "planned": 0}
    assert warn.send(planned, DAY, "zjj") == {"sent": 0, "refused": 0, "unknown": 0, "planned": 0}
    assert len(catcher.accepted) == 1
    assert _acts(planned)[-1] == "message.unknown"


def _run(house: House, catcher: Catcher, script: str, *more: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a script in a process of its own, over the same house; `more` follows its var and the server's port."""
    folder = house.var.parent
    support = folder / "tests_support.py"
    if not support.exists():
        support.write_text(_SUPPORT)
    return subprocess.run(
        [sys.executable, "-c", script, str(house.var), str(catcher.port), *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=False,
        timeout=60,
    )


_SUPPORT = f"""
from datetime import datetime
from pathlib import Path
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.settings import House

def house(var, port):
    extra = {_PLAIN!r}
    return House(
        root=Path({str(Path(__file__).resolve().parents[2])!r}), var=Path(var), district="370112", mode="sandbox",
        clock=lambda: datetime(2026, 6, 15, 8, 0, tzinfo=BEIJING),
        connections=lambda name: Connection(name, "smtp", "127.0.0.1", port, extra=extra),
    )
"""


def test_two_senders_at_once_send_each_message_once(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    rows = [{"uscc": code(n), "name": f"历城样例{n}有限公司", "area_code": f"3701120{n:02d}001"} for n in range(1, 22)]
    scene.filings(DAY, rows)
    scene.advice(DAY, [{"matter_id": f"LC-2026-{n:04d}"} for n in range(5)])
    units = warn.plan(office, DAY)
    assert len(units) > 10
    totals: list[dict[str, int]] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            totals.extend(warn.send(office, DAY, unit) for unit in units)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A sender that sees messages another one is sending counts them as neither sent nor waiting.
    assert not [error for error in errors if not isinstance(error, warn.DeferredError)]
    with office.ledger.begin() as session:
        counts = outbox.counts(session, Scope(office.district, "sandbox", DAY))
        assert acts.verify(session).broken_at is None
    assert counts["sent"] == len(catcher.accepted) == sum(counts.values())
    assert len({mail["Message-ID"] for mail in catcher.mails()}) == len(catcher.accepted)


@pytest.fixture
def on_another_host(planned: House) -> House:
    with planned.ledger.begin() as session:
        number = session.scalar(select(Message.id))
        assert number is not None
        assert outbox.claim(session, planned.clock(), number, "elsewhere/abc/1/2/3") is not None
    return planned


def test_a_sender_elsewhere_keeps_its_claim_until_the_lease_ends(on_another_host: House, catcher: Catcher) -> None:
    house = on_another_host
    assert warn.send(house, DAY, "zjj")["unknown"] == 0
    later = house.at(lambda: house.clock() + outbox.LEASE + timedelta(seconds=1))
    assert warn.send(later, DAY, "zjj")["unknown"] == 1
    assert catcher.accepted == []


def test_a_sender_taken_for_dead_may_still_say_that_it_sent(on_another_host: House) -> None:
    house = on_another_host
    later = house.at(lambda: house.clock() + outbox.LEASE + timedelta(seconds=1))
    warn.send(later, DAY, "zjj")
    message = _message(house)
    claimed = outbox.Claimed(message.id, message.key, message.recipient, message.body_sha256, b"")
    with house.ledger.begin() as session:
        assert outbox.settle(session, house.clock(), claimed, "elsewhere/abc/1/2/3", "sent", "250 OK")
        assert not outbox.settle(session, house.clock(), claimed, "somebody/else/1/2/3", "refused")
    assert _message(house).state == "sent"


def test_a_stop_signal_inside_the_conversation_is_unknown(
    planned: House, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chengxin.warn.smtp.Line._transmit", stopped)
    with pytest.raises(KeyboardInterrupt):
        warn.send(planned, DAY, "zjj")
    assert _message(planned).state == "unknown"


def test_altered_bytes_are_not_sent(planned: House, catcher: Catcher) -> None:
    with planned.ledger.begin() as session:
        session.execute(update(MessageBody).values(content=b"Subject: other\r\n\r\nother\r\n"))
    with pytest.raises(Exception, match="not those that were planned"):
        warn.send(planned, DAY, "zjj")
    assert catcher.accepted == []


def test_this_process_lives_and_others_do_not() -> None:
    me = holder.name()
    assert holder.lives(me) is True
    host, boot, process, _started, own = me.split("/")
    assert holder.lives("/".join([host, boot, process, "1", own])) is False
    assert holder.lives("/".join([host, "other", process, _started, own])) is None
    assert holder.lives("nonsense") is None


class TestModes:
    """What may be sent when."""

    def test_rehearsal_plans_and_never_sends(self, planned: House, scene: Scene, catcher: Catcher) -> None:
        scene.advice(DAY, [{"matter_id": "LC-2026-0003"}])
        quiet = replace(planned, mode="rehearsal")
        assert warn.plan(quiet, DAY) == ["zjj"]
        assert warn.send(quiet, DAY, "zjj") == {"sent": 0, "refused": 0, "unknown": 0, "planned": 1}
        assert catcher.tried == 0

    def test_a_rehearsal_does_not_stand_in_the_way(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
        assert warn.plan(replace(office, mode="rehearsal"), DAY) == ["zjj"]
        assert warn.plan(office, DAY) == ["zjj"]
        assert warn.send(office, DAY, "zjj")["sent"] == 1

    def test_a_rehearsal_row_cannot_be_claimed(self, office: House, scene: Scene) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
        warn.plan(replace(office, mode="rehearsal"), DAY)
        with office.ledger.begin() as session:
            number = session.scalar(select(Message.id))
            assert number is not None
            assert outbox.claim(session, office.clock(), number, holder.name()) is None

    @pytest.mark.parametrize(("late", "sends"), [(0, True), (1, True), (2, False), (-1, False)])
    def test_production_sends_for_today_and_yesterday(
        self, office: House, scene: Scene, catcher: Catcher, late: int, sends: bool
    ) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
        real = replace(office, mode="production", clock=lambda: office.clock() + timedelta(days=late))
        assert warn.plan(real, DAY) == ["zjj"]
        assert warn.send(real, DAY, "zjj")["sent"] == int(sends)
        assert len(catcher.accepted) == int(sends)
        assert _message(real).mode == ("production" if sends else "rehearsal")

    def test_what_waited_too_long_goes_out_in_a_newer_message(
        self, office: House, scene: Scene, catcher: Catcher
    ) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
        real = replace(office, mode="production")
        warn.plan(real, DAY)  # and the mail server is down for two days
        after = DAY + timedelta(days=2)
        scene.ready(after)
        scene.advice(after, [{"matter_id": "LC-2026-0002"}])
        later = replace(real, clock=lambda: office.clock() + timedelta(days=2))
        assert warn.plan(later, after) == ["zjj"]
        assert warn.send(later, after, "zjj")["sent"] == 1
        with office.ledger.begin() as session:
            states = dict(session.execute(select(Message.state, func.count()).group_by(Message.state)).tuples().all())
        assert states == {"superseded": 1, "sent": 1}
        assert "2件" in str(catcher.mails()[0]["Subject"])

    def test_the_same_news_days_later_is_the_same_message_brought_up_to_date(
        self, office: House, scene: Scene, catcher: Catcher
    ) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
        real = replace(office, mode="production")
        warn.plan(real, DAY)
        after = DAY + timedelta(days=2)
        scene.ready(after)
        later = replace(real, clock=lambda: office.clock() + timedelta(days=2))
        assert warn.plan(later, after) == ["zjj"]
        assert warn.send(later, after, "zjj")["sent"] == 1
        assert _message(office).as_of == after

    @pytest.mark.parametrize("host", ["192.0.2.7", "mail.licheng.example"])
    def test_a_sandbox_talks_to_this_machine_only(self, planned: House, host: str) -> None:
        away = replace(planned, connections=lambda name: Connection(name, "smtp", host, 25, extra=_PLAIN))
        with pytest.raises(ConfigError, match="this machine only"):
            warn.send(away, DAY, "zjj")
        assert _message(planned).state == "planned"

    def test_loopback_by_name_and_by_both_families(self) -> None:
        for host in ("localhost", "127.0.0.1", "::1", ""):
            modes.check_host("sandbox", Connection("smtp_default", "smtp", host))
        modes.check_host("production", Connection("smtp_default", "smtp", "192.0.2.7"))
