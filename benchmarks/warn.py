"""How long does a day's mail take to plan and to send, and in how much memory?

    python benchmarks/warn.py [--departments 500] [--subjects 250000] [--repeats 3] [--lines 4]

The stage is T-15, so that each department's head is copied and a message counts twice. Two things are measured:

- plan: who is due on which desk, the work lists as workbooks, both twins of each mail, and the commit into the outbox;
- send: hand everything to a loopback SMTP server, which is a process of its own on a core of its own: ours (claim,
  conversation, record, each message for itself, on disk before the next step) against a bare `smtplib` loop over one
  line with the same finished bytes in memory. Ours twice: all that waits in one call, as the command line does it, and
  department by department, as the tasks of `warn_departments` do. Not measured: Airflow starts a process for each of
  those tasks, two at a time.

The sides take turns over fresh copies of the same outbox, and the medians of the repeats count. The last line is one
JSON object: `time_vs_smtplib` (our sending over the loop's), `peak_mib` (the most memory that planning or sending had).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import contest
from contest import Run

SIDES = ("bare", "ours", "each")


@contextmanager
def server(core: int) -> Iterator[int]:
    """The mail server; gives its port."""
    process = subprocess.Popen(
        [sys.executable, str(contest.HERE / "warn_server.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.sched_setaffinity(process.pid, {core})
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)


def main() -> None:
    """Runs the contest, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--departments", type=int, default=500)
    parser.add_argument("--subjects", type=int, default=250_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lines", type=int, default=4, help="`mail.connections` of the district")
    parser.add_argument("--folder", type=Path, help="where to work; default: a folder of its own that is removed")
    options = parser.parse_args()
    core, others = contest.cores()
    on = contest.machine()
    runs: dict[str, list[Run]] = {}
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        made = folder / "planned"
        sizes = {"departments": options.departments, "subjects": options.subjects, "lines": options.lines}
        contest.compete("warn_sides:prepare", {"folder": str(made), **sizes}, others)
        runs["plan"] = [contest.compete("warn_sides:plan", {"folder": str(made)}, others)]
        planned = runs["plan"][0]
        say("plan", planned)
        for _ in range(options.repeats):
            for side in SIDES:
                place = folder / "turn"
                shutil.copytree(made / "include", place / "include")
                (place / "var").mkdir(parents=True)
                shutil.copy(made / "var/ledger.db", place / "var/ledger.db")
                with server(core) as port:
                    run = contest.compete(f"warn_sides:{side}", {"folder": str(place), "port": port}, others)
                shutil.rmtree(place)
                if run.records != planned.records:
                    raise SystemExit(f"{side} sent {run.records} of {planned.records} messages")
                runs.setdefault(side, []).append(run)
                say(side, run)
    middle = {side: contest.middle(found) for side, found in runs.items()}
    text = table(middle, options, on)
    print(text)
    contest.record("warn", text)
    ratio = middle["ours"].seconds / middle["bare"].seconds
    peak = max(middle["plan"].peak, middle["ours"].peak)
    print(json.dumps({"time_vs_smtplib": round(ratio, 2), "peak_mib": round(peak)}))


def say(side: str, run: Run) -> None:
    """One run, as it ends."""
    print(f"{side:<5} {run.seconds:6.2f} s, {run.peak:5.0f} MiB, {run.records:,} messages", file=sys.stderr)


def table(middle: dict[str, Run], options: argparse.Namespace, on: str) -> str:
    """The results as Markdown."""
    planned = middle["plan"]
    lines = [
        f"{options.departments} departments and their heads, {options.subjects:,} subjects due, "
        f"{planned.records:,} messages of {planned.detail['bytes'] / 2**20:.0f} MiB in all; {options.lines} lines to "
        f"the server. Medians of {options.repeats} interleaved runs of sending, one of planning. {on}.",
        "",
        "| what | time, s | × smtplib | CPU, s | peak MiB | messages/s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    names = {
        "plan": "plan, render, commit",
        "ours": "send, ours, all at once",
        "each": "send, ours, department by department",
        "bare": "send, bare smtplib loop",
    }
    for side, name in names.items():
        run = middle[side]
        times = f"{run.seconds / middle['bare'].seconds:.2f}" if side != "plan" else ""
        rate = f"{run.records / run.seconds:,.0f}"
        lines.append(f"| {name} | {run.seconds:.2f} | {times} | {run.cpu:.2f} | {run.peak:.0f} | {rate} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
