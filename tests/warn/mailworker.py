"""A process that plans and sends in children of its own, and kills them: `python -m tests.warn.mailworker <settings>`.

Everything is imported once; each run is a fork, which is a process like any other to the ledger, the mail server and
`/proc`. Requests come as JSON lines on standard input, a list of runs that go on at the same time; one list of
outcomes goes out:

    [{"plan": false, "day": "2026-06-15", "kill": 0.12, "step": null}]
    ["killed"]

`kill` is seconds after the start, or null; `step` is the number of the step before which the process ends itself, or
null: a step is the beginning or the end of a claim, a delivery or a record. `outcome` is `killed`, `done`, `waits`
(some messages were deferred) or the text of an error.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
from datetime import date, datetime
from pathlib import Path
from typing import Any

from chengxin import warn
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.ledger import outbox
from chengxin.settings import House
from chengxin.warn import sending, smtp  # noqa: F401 (before the forks)

PLAIN: dict[str, Any] = {"disable_ssl": True, "disable_tls": True, "timeout": 5}


def main() -> None:
    """Serves requests until standard input ends."""
    settings = json.loads(sys.argv[1])
    if settings["plans"]:
        from chengxin.warn import planning  # noqa: F401 (before the forks, and only where it is needed)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_together(settings, json.loads(line))), file=answers, flush=True)


def _together(settings: dict[str, Any], runs: list[dict[str, Any]]) -> list[str]:
    children = [_start(settings, run) for run in runs]
    # Only once all are there: a fork and threads do not go together.
    timers = [
        threading.Timer(run["kill"], os.kill, (child, signal.SIGKILL))
        for run, (child, _) in zip(runs, children, strict=True)
        if run["kill"] is not None
    ]
    for timer in timers:
        timer.start()
    said = []
    for _, read in children:
        with os.fdopen(read, "rb") as pipe:
            said.append(pipe.read().decode())
    for timer in timers:
        timer.cancel()
        timer.join()
    # Left as zombies until now: those who were killed early counted as dead all the same.
    ends = [os.waitpid(child, 0)[1] for child, _ in children]
    return ["killed" if os.WIFSIGNALED(end) else words for end, words in zip(ends, said, strict=True)]


def _start(settings: dict[str, Any], run: dict[str, Any]) -> tuple[int, int]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.write(write, _work(settings, run).encode())
        os._exit(0)
    os.close(write)
    return child, read


def _die_at(last: int) -> None:
    steps = itertools.count(1)

    def counting(step: Any) -> Any:
        def counted(*args: Any, **more: Any) -> Any:
            if next(steps) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            result = step(*args, **more)
            if next(steps) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted

    outbox.claim, outbox.settle = counting(outbox.claim), counting(outbox.settle)
    smtp.Line._transmit = counting(smtp.Line._transmit)  # type: ignore[method-assign]


def _work(settings: dict[str, Any], request: dict[str, Any]) -> str:
    if request["step"] is not None:
        _die_at(request["step"])
    port = settings["port"]
    day = date.fromisoformat(request["day"])
    house = House(
        root=Path(settings["root"]),
        var=Path(settings["var"]),
        district="370112",
        mode="sandbox",
        ledger_url=settings["ledger"],
        clock=lambda: datetime(day.year, day.month, day.day, 8, 0, tzinfo=BEIJING),
        connections=lambda name: Connection(name, "smtp", "127.0.0.1", port, extra=PLAIN),
    )
    try:
        if request["plan"]:
            warn.plan(house, day)
        warn.send(house, day, None)
    except warn.DeferredError:
        return "waits"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "done"


if __name__ == "__main__":
    main()
