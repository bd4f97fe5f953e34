"""How much memory does each stage of a district's day need?

    python benchmarks/memory.py [--subjects 250000] [--memory 512MB] [--threads 2]

A day of the sandbox by hand: every source fetched and published, checked, the desk filled, mails planned and sent, the
check repeated (nothing new) and replayed, the lake tidied. Each is a process of its own, as a task of Airflow is, with
the engine's settings stated; its highest resident memory is the kernel's own count. Aim: under 1,024 MiB each.

The last line is one JSON object: stage → MiB; a stage of several processes counts as its highest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

import contest
from contest import Run

DAY = date(2026, 6, 15)
AIM = 1024


def main() -> None:
    """Runs the stages, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=250_000)
    parser.add_argument("--memory", default="512MB", help="CHENGXIN_MEMORY_LIMIT")
    parser.add_argument("--threads", type=int, default=2, help="CHENGXIN_THREADS")
    options, _ = parser.parse_known_args()
    from chengxin import check
    from chengxin.sandbox.services import Sandbox
    from chengxin.settings import House

    _, cores = contest.cores()
    on = contest.machine()
    stages: list[tuple[str, str, Run]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        settings = {
            "CHENGXIN_VAR": f"{name}/var", "CHENGXIN_DISTRICT": "370112", "CHENGXIN_MODE": "sandbox",
            "CHENGXIN_MEMORY_LIMIT": options.memory, "CHENGXIN_THREADS": str(options.threads),
        }  # fmt: skip
        house = House.from_environment(settings)
        with Sandbox(Path(name) / "sandbox", subjects=options.subjects, day=DAY) as sandbox:
            os.environ.update(settings | sandbox.environment())

            def stage(word: str, work: str, **arguments: str) -> None:
                run = contest.compete(f"memory_sides:{work}", arguments, cores)
                stages.append((word, ", ".join(arguments.values()), run))
                print(f"{word:<8} {run.peak:5.0f} MiB {run.seconds:7.1f} s {run.detail}", file=sys.stderr)

            for source in check.load_district(house).sources:
                stage("harvest", "harvest", source=source)
            for word in ("check", "again", "desk", "plan", "send", "replay", "maintain"):
                stage(word, word)
    peaks: dict[str, int] = {}
    for word, _, run in stages:
        peaks[word] = max(peaks.get(word, 0), round(run.peak))
    lines = [
        f"{options.subjects:,} subjects, engine memory {options.memory}, {options.threads} threads; one run. {on}.",
        "",
        "| stage | of | peak MiB | time, s | |",
        "|---|---|---:|---:|---|",
    ]
    lines += [
        f"| {word} | {what} | {run.peak:.0f} | {run.seconds:.1f} | {'above the aim' if run.peak > AIM else ''} |"
        for word, what, run in stages
    ]
    text = "\n".join(lines)
    print(text)
    contest.record("memory", text)
    print(json.dumps(peaks))


if __name__ == "__main__":
    main()
