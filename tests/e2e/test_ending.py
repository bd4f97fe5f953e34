"""The demo as a program: it ends by itself or is ended, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chengxin.sandbox.processes import PROC, RECORD

from .days import DISTRICT

pytestmark = pytest.mark.long


def demo(folder: Path, subjects: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "chengxin.cli", "demo", "--folder", str(folder), "--subjects", str(subjects)]
    with (folder.parent / "screen.txt").open("ab") as screen:
        return subprocess.Popen(
            command, env={**os.environ, "CHENGXIN_DISTRICT": DISTRICT}, stdout=screen, stderr=screen
        )


def at_work(folder: Path) -> list[int]:
    """Every process that works in the demo's folders or was told of them."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                if str(folder) in words or str(entry.joinpath("cwd").readlink()).startswith(str(folder)):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until_up(folder: Path) -> None:
    record = folder / "airflow" / RECORD
    deadline = time.monotonic() + 120
    while not record.exists() or len(json.loads(record.read_text() or '{"sessions": []}')["sessions"]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while at_work(folder):
        assert time.monotonic() < deadline, at_work(folder)
        time.sleep(0.2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "a demo"
    program = demo(folder, 100)
    wait_until_up(folder)
    program.send_signal(number)
    assert program.wait(60) == 130
    assert at_work(folder) == []


def test_killed_and_started_again(tmp_path: Path) -> None:
    folder = tmp_path / "a demo"
    program = demo(folder, 100)
    wait_until_up(folder)
    program.kill()
    program.wait()
    wait_until_gone(folder)
    # What it left half done is no trouble.
    assert demo(folder, 100).wait(400) == 0
    assert at_work(folder) == []


def test_the_demo_of_the_readme(tmp_path: Path) -> None:
    folder = tmp_path / "a demo"
    started = time.monotonic()
    assert demo(folder, 2000).wait(400) == 0
    assert time.monotonic() - started < 240
    assert at_work(folder) == []
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert len(summary["sources"]) == 10
    assert summary["mails"]["planned"] == summary["mails"]["sent"] > 0
