"""How long does a whole day of a district take under Airflow, and how much of it is Airflow's own?

    python benchmarks/day.py [--subjects 250000] [--repeats 1] [--parallelism 3]

The day is 15 June: every source harvested, checked, the departments warned, through a scheduler that is already up,
with its API server and DAG processor, all on two cores. Its peer is the same day by hand: the same stages as calls, the
harvests in two processes that share a list, then check, plan and send. Process starts and imports are in the clock on
both sides; the sandbox (portal, front database, file drop, mail catcher) has the other cores. The sides take turns.

The last line is one JSON object: `day_vs_byhand` (Airflow's day over the one by hand), `total_s` (Airflow's).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median

import contest
from rich.console import Console

from chengxin import demo
from chengxin.sandbox.processes import members
from chengxin.sandbox.services import Sandbox

ROOT = contest.HERE.parent
AS_OF = date(2026, 6, 15)
DISTRICT = "370112"
SEED = 1
CORES = 2


def under_airflow(folder: Path, subjects: int, parallelism: int, cores: Sequence[int], others: Sequence[int]) -> dict:
    """The day through the scheduler; gives seconds by stage and what the day came to."""
    options = demo.Options(
        as_of=AS_OF, subjects=subjects, seed=SEED, district=DISTRICT, folder=folder, parallelism=parallelism
    )
    os.sched_setaffinity(0, set(others))
    with demo.day(options, ROOT, Console(file=sys.stderr, width=100)) as day:
        for pid in members([child.pid for child in day.airflow.group.children.values()], day.airflow.home):
            _pin(pid, cores)
        started = time.monotonic()
        summary = day.run()
        total = time.monotonic() - started
        if day.failures or summary.faults():
            raise SystemExit(f"the day did not end well: {day.failures or summary.faults()}")
        stages = {name: value for name, value in day.seconds.items() if name != "start"}
        return {"total": total, **stages, "mails": summary.mails["sent"], "advice": sum(summary.advice.values())}


def by_hand(folder: Path, subjects: int, cores: Sequence[int], others: Sequence[int]) -> dict:
    """The day by hand, in a process of its own."""
    os.sched_setaffinity(0, set(others))
    folder.mkdir(parents=True)
    with Sandbox(folder / "sandbox", seed=SEED, subjects=subjects, day=AS_OF) as sandbox:
        environment = {
            **os.environ,
            **sandbox.environment(),
            "CHENGXIN_ROOT": str(ROOT),
            "CHENGXIN_VAR": str(folder / "run"),
            "CHENGXIN_DISTRICT": DISTRICT,
            "CHENGXIN_MODE": "sandbox",
            "CHENGXIN_THREADS": str(CORES),
            "CHENGXIN_ANSWERS_URL": "http://127.0.0.1:8080/answers",
            "AIRFLOW_CONN_CHENGXIN_LINK_KEY": json.dumps({"conn_type": "generic", "password": "k" * 40}),
        }
        started = time.monotonic()
        ended = subprocess.run(
            [sys.executable, str(contest.HERE / "day_side.py"), AS_OF.isoformat()],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, set(cores)),
        )
        total = time.monotonic() - started
        return {"total": total, **json.loads(ended.stdout.splitlines()[-1])}


def _pin(pid: int, cores: Sequence[int]) -> None:
    """Every thread of a process; what it starts later inherits."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), set(cores))
        except ProcessLookupError:
            continue


def main() -> None:
    """Plays the days, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=250_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--parallelism", type=int, default=3, help="tasks that Airflow runs at once")
    options = parser.parse_args()
    free = sorted(os.sched_getaffinity(0))
    cores, others = free[-CORES:], free[:-CORES] or free
    on = contest.machine()
    found: dict[str, list[Mapping[str, float]]] = {"airflow": [], "by hand": []}
    for turn in range(options.repeats):
        with tempfile.TemporaryDirectory(prefix="bench-day-") as place:
            folder = Path(place)
            found["by hand"].append(by_hand(folder / "hand", options.subjects, cores, others))
            print(f"by hand {turn + 1}: {found['by hand'][-1]}", file=sys.stderr)
            found["airflow"].append(
                under_airflow(folder / "airflow", options.subjects, options.parallelism, cores, others)
            )
            print(f"airflow {turn + 1}: {found['airflow'][-1]}", file=sys.stderr)
        for name in ("mails", "advice"):
            if found["airflow"][-1][name] != found["by hand"][-1][name]:
                raise SystemExit(f"the two days differ in {name}: {found['airflow'][-1]}, {found['by hand'][-1]}")
    middle = {side: {name: median(run[name] for run in runs) for name in runs[0]} for side, runs in found.items()}
    text = table(middle, options, on)
    print(text)
    contest.record("day", text)
    ratio = middle["airflow"]["total"] / middle["by hand"]["total"]
    print(json.dumps({"day_vs_byhand": round(ratio, 2), "total_s": round(middle["airflow"]["total"], 1)}))


def table(middle: Mapping[str, Mapping[str, float]], options: argparse.Namespace, on: str) -> str:
    """The results as Markdown."""
    lines = [
        f"{options.subjects:,} subjects, {middle['airflow']['advice']:,.0f} pieces of advice, "
        f"{middle['airflow']['mails']:,.0f} mails, on {CORES} cores; {options.parallelism} tasks of Airflow at once, "
        f"two processes by hand. Medians of {options.repeats} interleaved runs. {on}.",
        "",
        "| side | harvest, s | check, s | warn, s | whole day, s |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {side} | {run['harvest']:.1f} | {run['check']:.1f} | {run['warn']:.1f} | {run['total']:.1f} |"
        for side, run in middle.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
