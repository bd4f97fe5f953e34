"""The demo, where nothing needs to start: places taken, ports in use, what is inherited."""

from __future__ import annotations

import io
import socket
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from chengxin import demo
from chengxin.sandbox.local_airflow import AirflowStartError, LocalAirflow, free_port, is_free

ROOT = Path(__file__).resolve().parents[1]


def options(folder: Path, port: int | None = None) -> demo.Options:
    return demo.Options(as_of=date(2026, 6, 15), subjects=100, seed=1, district="370112", folder=folder, port=port)


def start(chosen: demo.Options) -> None:
    with demo.day(chosen, ROOT, Console(file=io.StringIO())):
        raise AssertionError("it started")


def test_two_in_one_folder(tmp_path: Path) -> None:
    with demo._alone(tmp_path), pytest.raises(demo.DayFailedError, match="another demo is running"):
        start(options(tmp_path))


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(AirflowStartError, match=rf"port {port} is in use"):
            start(options(tmp_path, port))
    assert is_free(port)
    assert free_port() != 0


def test_nothing_of_another_airflow_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", "smtp://mail.example")
    monkeypatch.setenv("CHENGXIN_LEDGER_URL", "postgresql://elsewhere")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    environment = LocalAirflow(ROOT, tmp_path, {"CHENGXIN_MODE": "sandbox"}).environment
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW_CONN_SMTP_DEFAULT" not in environment
    assert "CHENGXIN_LEDGER_URL" not in environment
    assert environment["CHENGXIN_MODE"] == "sandbox"
    assert environment["NO_PROXY"] == "intranet.example,127.0.0.1,localhost"


def test_nothing_phones_home(tmp_path: Path) -> None:
    environment = LocalAirflow(ROOT, tmp_path, {}).environment
    assert environment["GX_ANALYTICS_ENABLED"] == "False"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
