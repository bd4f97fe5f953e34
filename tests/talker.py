"""A process that takes a line of JSON and answers with one, after a first line that says it is ready."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.conftest import ROOT

PATIENCE = 120.0
"""Seconds after which it counts as hanging."""


class Talker:
    """The process; it starts while the test goes on.

    Args:
        arguments: of Python, the settings last, which are handed over as JSON.
        log: a file that takes what it says to standard error; None: ours does.
    """

    def __init__(self, *arguments: str, settings: dict[str, Any], log: Path | None = None) -> None:
        errors = log.open("a") if log else None
        try:
            self._process = subprocess.Popen(
                [sys.executable, *arguments, json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
            )
        finally:
            if errors:
                errors.close()
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, wish: dict[str, Any] | Sequence[dict[str, Any]]) -> Any:
        """What it answers."""
        if not self._ready:
            assert self._hear("its start") == "ready"
            self._ready = True
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        return json.loads(self._hear(str(wish)))

    def _hear(self, after: str) -> str:
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], PATIENCE)
        line = output.readline().strip() if ready else ""
        assert line, f"nothing is said for {PATIENCE:.0f} s after {after}"
        return line
