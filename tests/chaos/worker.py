"""A process that runs stages in children of its own and kills them: `python worker.py <settings as JSON>`.

Everything is imported once, then each stage runs in a fork, which costs a tenth of a fresh process. Requests come as
JSON lines on standard input, one answer each goes to standard output:

    {"stage": "harvest", "name": "matters", "day": "2026-06-15", "var": "…/shaken/var", "kill": {"step": 812}}
    {"outcome": "killed", "steps": null, "seconds": 0.41, "value": null, "error": null}

`kill` is null, `{"step": n}` (the child ends itself by SIGKILL at its n-th touch of the outside: a file opened, renamed
or removed, a socket, a lock, a statement or commit of a database, in whichever thread) or `{"after": seconds}`
(SIGKILL from outside).
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from datetime import date, datetime
from datetime import time as at
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Pool
from sqlalchemy.event import listen

# A fork does not take threads along: a pool that waits for them would wait for ever.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

NOT_OURS = (
    "chengxin.dagtools",
    "chengxin.sandbox",
    "chengxin.web",
    "chengxin.ledger.migrations",
    "chengxin.demo",
    "chengxin.engine.spark",
)
TOUCHES = ("open", "os.", "shutil.", "socket.", "fcntl.", "sqlite3.", "tempfile.")
"""Audit events of the interpreter that count."""


Stages = dict[str, Callable[[date, str, Path], Any]]
"""Stage → what runs it, for a day, a source or department, and a house's folder."""


class Steps:
    """Counts touches of the outside, and dies at one of them: that is where an order of writes matters."""

    def __init__(self, last: int | None) -> None:
        self.count, self._last = 0, last

    def start(self) -> None:
        sys.addaudithook(lambda event, _: self.touch() if event.startswith(TOUCHES) else None)
        for moment in ("before_cursor_execute", "after_cursor_execute", "commit", "begin", "checkin"):
            listen(Pool if moment == "checkin" else Engine, moment, lambda *_, **__: self.touch())

    def touch(self) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    settings = json.loads(sys.argv[1])
    # Libraries may print while they are imported: standard output is for answers only.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    stages = _stages(settings)
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(_answer(stages, json.loads(line))) + "\n")
        answers.flush()


def _stages(settings: dict[str, str]) -> Stages:
    import pyiceberg.catalog.sql
    import pyiceberg.io.pyarrow  # noqa: F401

    import chengxin

    folder = Path(chengxin.__path__[0])
    for file in sorted(folder.rglob("*.py")):
        name = ".".join(["chengxin", *file.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__")
        # All that a stage may import when it is called, so that a fork pays for none of it.
        if not name.startswith(NOT_OURS) and file.stem != "__main__":
            importlib.import_module(name)
    for name in ("great_expectations", "pyiceberg.catalog.sql", "pyiceberg.io.pyarrow", "ibis.backends.duckdb"):
        importlib.import_module(name)

    from chengxin import check, connections, erasure, harvest, retention, upkeep, warn
    from chengxin.clock import BEIJING
    from chengxin.settings import House

    def house(day: date, var: Path) -> House:
        return House(
            root=Path(settings["root"]),
            var=var,
            include=Path(settings["include"]),
            district="370112",
            mode="sandbox",
            threads=1,
            clock=lambda: datetime.combine(day, at(8), BEIJING),
            connections=lambda name: connections.from_environment(name, settings),
        )

    return {
        "harvest": lambda day, name, var: harvest.run(house(day, var), name, day),
        "check": lambda day, _, var: check.run(house(day, var), day),
        "plan": lambda day, _, var: warn.plan(house(day, var), day),
        "send": lambda day, name, var: warn.send(house(day, var), day, name),
        "clear": lambda day, _, var: retention.run(house(day, var), day),
        "erase": lambda day, name, var: erasure.subject(house(day, var), name, "officer", "申请第1号"),
        "tidy": lambda day, _, var: upkeep.tidy(house(day, var)),
    }


def _answer(stages: Stages, wish: dict[str, Any]) -> dict[str, Any]:
    kill = wish["kill"] or {}
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if not child:
        _run(stages, wish, kill.get("step"), writing)
    os.close(writing)
    if "after" in kill and not select.select([reading], [], [], kill["after"])[0]:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - started
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return {"outcome": "killed", "steps": None, "seconds": seconds, "value": None, "error": None}
    if not said:
        raise SystemExit(f"the child of {wish} ended with {status} and said nothing")
    return {**json.loads(said), "seconds": seconds}


def _run(stages: Stages, wish: dict[str, Any], last: int | None, writing: int) -> None:
    steps = Steps(last)
    steps.start()
    said: dict[str, Any] = {"outcome": "done", "value": None, "error": None}
    try:
        said["value"] = stages[wish["stage"]](date.fromisoformat(wish["day"]), wish["name"], Path(wish["var"]))
    except BaseException as error:
        said |= {"outcome": "failed", "error": f"{type(error).__name__}: {error}"}
    counted = steps.count
    os.write(writing, json.dumps({**said, "steps": counted}).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
