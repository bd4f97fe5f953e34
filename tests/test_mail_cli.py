"""`chengxin outbox|answers|supervise|watch-morning`, as an operator types them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import requests
from sqlalchemy import select, update

from chengxin.cli import app
from chengxin.ledger import outbox
from chengxin.ledger.acts import Act
from chengxin.ledger.messages import Message
from chengxin.ledger.outbox import Draft
from chengxin.settings import House

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def chengxin(house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command line on a house with one message that may or may not have arrived."""
    with house.ledger.begin() as session:
        draft = Draft(
            key="a" * 64, mode="production", district="370112", department="zjj", recipient="zjj@licheng.example",
            role="unit", kind="advice", matter="advice", stage="", fingerprint="f" * 64, as_of=date(2026, 6, 15),
            subject="s", header_id="<0a1b@licheng.example>", thread="<t@licheng.example>", content=b"bytes",
        )  # fmt: skip
        outbox.put(session, house.clock(), [draft])
        session.execute(update(Message).values(state="unknown", last_error="line cut", settled_at=house.clock()))
    for name, value in {"VAR": str(house.var), "DISTRICT": "370112", "MODE": "rehearsal"}.items():
        monkeypatch.setenv(f"CHENGXIN_{name}", value)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            app(list(arguments))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def _state(house: House) -> str:
    with house.ledger.begin() as session:
        return session.scalars(select(Message.state)).one()


def test_listed_with_what_is_needed_to_look_it_up(chengxin: Call) -> None:
    status, out, _ = chengxin("outbox")
    assert status == 0
    for told in ("unknown", "zjj@licheng.example", "<0a1b@licheng.example>", "2026-06-15", "line cut"):
        assert told in out


def test_settled_by_a_person_with_a_reason(chengxin: Call, house: House) -> None:
    status, out, _ = chengxin("outbox", "settle", "1", "--as", "sent", "--reason", "日志有此信", "--actor", "li")
    assert (status, out.strip()) == (0, "message 1: sent")
    with house.ledger.begin() as session:
        act = session.scalars(select(Act).order_by(Act.seq.desc())).first()
        assert act is not None
        assert (act.kind, act.actor) == ("message.settled", "operator/li")
    assert "nothing to decide" in chengxin("outbox")[1]
    status, _, err = chengxin("outbox", "settle", "1", "--as", "not-sent", "--reason", "改主意")
    assert status == 1
    assert "it is 'sent'" in err


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--as", "lost", "--reason", "so"), 2),
        (("--as", "sent", "--reason", " "), 2),
        (("--as", "sent"), 2),
    ],
)
def test_nothing_is_settled_by_half(chengxin: Call, house: House, arguments: tuple[str, ...], status: int) -> None:
    assert chengxin("outbox", "settle", "1", *arguments)[0] == status
    assert _state(house) == "unknown"


def test_the_bounce_box_by_hand(chengxin: Call, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_CHENGXIN_BOUNCES", raising=False)
    status, _, err = chengxin("outbox", "bounces")
    assert status == 2
    assert "AIRFLOW_CONN_CHENGXIN_BOUNCES" in err
    shape = Path(__file__).parent / "fixtures/bounces/postfix-failed.eml"
    (tmp_path / "1.eml").write_text(shape.read_text("utf-8").replace("{id}", "<0a1b@licheng.example>"), "utf-8")
    box = json.dumps({"conn_type": "fs", "extra": {"path": str(tmp_path)}})
    monkeypatch.setenv("AIRFLOW_CONN_CHENGXIN_BOUNCES", box)
    status, out, _ = chengxin("outbox", "bounces")
    assert (status, out.split()[:2]) == (0, ["bounced", "1"])
    assert _state(house) == "refused"
    assert "bounced: 5.1.1" in " ".join(chengxin("outbox")[1].split())


def test_the_watch_by_hand(chengxin: Call) -> None:
    assert chengxin("watch-morning", "--as-of", "2026-06-15")[1].split() == ["faults", "2", "sent", "0"]


def test_the_month_by_hand(chengxin: Call) -> None:
    assert chengxin("supervise", "--as-of", "2026-07-02")[1].split()[-2:] == ["planned", "2"]


def test_the_answering_page_as_a_server(house: House, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "CHENGXIN_VAR": str(house.var),
        "CHENGXIN_DISTRICT": "370112",
        "CHENGXIN_MODE": "rehearsal",
        "AIRFLOW_CONN_CHENGXIN_LINK_KEY": '{"conn_type": "generic", "password": "' + "k" * 40 + '"}',
    }
    command = [sys.executable, "-m", "chengxin.cli", "answers", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("w") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    answer = requests.get(f"http://127.0.0.1:{port}/answers/secret-token", timeout=5)
                    break
                except requests.ConnectionError:
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            assert answer.status_code == 404
            assert re.search("无效或者已经过期", answer.text)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)
    # Tokens are no business of a log.
    assert "secret-token" not in log.read_text()


def test_without_keys_the_server_says_what_to_do(chengxin: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_CHENGXIN_LINK_KEY", raising=False)
    status, _, err = chengxin("answers")
    assert status == 2
    assert "AIRFLOW_CONN_CHENGXIN_LINK_KEY" in err
