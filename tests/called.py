"""The command line as a test calls it, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chengxin.cli import app


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


Call = Callable[..., Done]


def caller(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls commands, each with its arguments, and gives how each ended."""

    def call(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            app(list(arguments))
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return call
