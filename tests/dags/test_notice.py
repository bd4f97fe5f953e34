"""The failure notice, over a real SMTP server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from chengxin import districts
from chengxin.clock import system_clock
from chengxin.dagtools.notice import tell_operators
from chengxin.ledger.models import Harvest
from chengxin.sandbox.local_airflow import free_port
from chengxin.settings import House

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = set(districts.load(ROOT / "include/districts/370112.yml").mail.operators)


class Catcher:
    """Keeps what arrives; refuses the addresses it is told to."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def catcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Catcher]:
    """A mail server on loopback, and an environment that points at it, in sandbox mode."""
    handler = Catcher()
    server = Controller(handler, hostname="127.0.0.1", port=free_port())
    server.start()
    extra = {"disable_ssl": True, "disable_tls": True}
    connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.port}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps({**connection, "extra": extra}))
    monkeypatch.setenv("CHENGXIN_DISTRICT", "370112")
    monkeypatch.setenv("CHENGXIN_MODE", "sandbox")
    monkeypatch.setenv("CHENGXIN_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    yield handler
    server.stop()


def failed_run(dag_id: str = "harvest__matters") -> dict[str, Any]:
    run = SimpleNamespace(conf={"as_of": "2026-06-15"}, logical_date=None, run_after=datetime.now(UTC))
    return {
        "dag": SimpleNamespace(dag_id=dag_id),
        "run_id": "manual__1",
        "reason": "task_failure",
        "dag_run": run,
        "ti": SimpleNamespace(task_id="fetch"),
    }


def failed_harvest(house: House, message: str) -> None:
    """A harvest of the day that failed, in the ledger."""
    with house.ledger.begin() as session:
        session.add(
            Harvest(
                source="matters",
                as_of=date(2026, 6, 15),
                state="failed",
                contract_sha256="0" * 64,
                started_at=system_clock(),
                message=message,
            )
        )


def test_operators_are_told_what_where_and_why(catcher: Catcher) -> None:
    failed_harvest(House.from_environment(), "the source does not answer\n  to do: ask its owner")
    tell_operators(failed_run())
    mail = message_from_bytes(catcher.envelopes[0].content, policy=policy.default)
    text = mail.get_content()
    assert {address for envelope in catcher.envelopes for address in envelope.rcpt_tos} == OPERATORS
    assert "harvest__matters（2026-06-15）" in mail["Subject"]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "最后任务：fetch" in text
    assert "the source does not answer" in text
    assert "https://airflow.example/dags/harvest__matters/runs/manual__1" in text


def test_a_killed_run_has_less_to_tell_and_tells_it(catcher: Catcher) -> None:
    tell_operators({"dag": SimpleNamespace(dag_id="check_matters"), "run_id": "r", "reason": "timed_out"})
    assert "timed_out" in message_from_bytes(catcher.envelopes[0].content, policy=policy.default).get_content()


def test_of_several_districts_the_own_operators_are_told(
    catcher: Catcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include/districts", include / "districts")
    shutil.copytree(ROOT / "tests/districts/include/districts", include / "districts", dirs_exist_ok=True)
    monkeypatch.setenv("CHENGXIN_INCLUDE", str(include))
    monkeypatch.setenv("CHENGXIN_DISTRICT", "370112,990101")
    failed_harvest(House.from_environment(district="990101"), "the second district's portal does not answer")
    tell_operators(failed_run("harvest__990101__matters"))
    (envelope,) = catcher.envelopes
    mail = message_from_bytes(envelope.content, policy=policy.default)
    assert envelope.rcpt_tos == ["ops@jia.example"]
    assert "示例市甲区" in mail["Subject"]
    assert "the second district's portal does not answer" in mail.get_content()
    tell_operators(failed_run("check_matters__370112"))
    assert {address for each in catcher.envelopes[1:] for address in each.rcpt_tos} == OPERATORS


def test_rehearsal_sends_nothing(catcher: Catcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHENGXIN_MODE", "rehearsal")
    tell_operators(failed_run())
    assert not catcher.envelopes


def test_sandbox_sends_to_loopback_only(catcher: Catcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps({"conn_type": "smtp", "host": "mail.example"}))
    tell_operators(failed_run())
    assert not catcher.envelopes


def test_a_notice_that_cannot_be_sent_is_logged(
    catcher: Catcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SMTP_DEFAULT")
    tell_operators(failed_run())
    assert "could not be sent" in caplog.text
    assert not catcher.envelopes
