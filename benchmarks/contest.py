"""What the benchmarks share: contestants in processes of their own, their memory, and the table of results.

A contestant is a function `prepare(**arguments) -> run`, where `run()` does the measured work once and returns the
records it dealt with. Everything before `run` (imports, start-up, a first small run) is outside the clock.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"


@dataclass(frozen=True)
class Run:
    """One measured run.

    Attributes:
        seconds: wall time.
        cpu: processor seconds of the process, its threads included.
        peak: highest resident memory during the run, MiB.
        records: records dealt with.
        detail: what the contestant says of itself.
    """

    seconds: float
    cpu: float
    peak: float
    records: int
    detail: Mapping[str, Any]


def compete(function: str, arguments: Mapping[str, Any], cores: Sequence[int]) -> Run:
    """Runs one contestant in a fresh process on the given cores.

    Args:
        function: `module:name` in this folder.
        arguments: for it; JSON.
        cores: processor numbers.
    """
    process = subprocess.run(
        [sys.executable, str(HERE / "contest.py"), function, json.dumps(dict(arguments))],
        stdout=subprocess.PIPE,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, set(cores)),
        env={
            **os.environ,
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "GX_ANALYTICS_ENABLED": "False",
            "OMP_NUM_THREADS": str(len(cores)),
        },
    )
    if process.returncode:
        raise SystemExit(f"{function} ended with status {process.returncode}")
    return Run(**json.loads(process.stdout.decode().strip().splitlines()[-1]))


def middle(runs: Sequence[Run]) -> Run:
    """The median of repeated runs, figure by figure; the detail of the run whose time is the median's nearest."""
    seconds = median(run.seconds for run in runs)
    nearest = min(runs, key=lambda run: abs(run.seconds - seconds))
    return Run(
        seconds, median(run.cpu for run in runs), median(run.peak for run in runs), nearest.records, nearest.detail
    )


def cores() -> tuple[int, list[int]]:
    """One processor for the other side, and the rest for the contestants (the same one, if there is only one)."""
    free = sorted(os.sched_getaffinity(0))
    return free[0], free[1:] or free


def machine() -> str:
    """What it ran on, for the table."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    name = model[1].strip() if model else "unknown processor"
    return f"{name}, {len(os.sched_getaffinity(0))} cores; load average before the run {load}"


def record(section: str, text: str) -> None:
    """Writes a section of `RESULTS.md`; the other sections stay."""
    title = "# Results\n\nWritten by the runs themselves (`make bench`); do not edit.\n\n"
    known = RESULTS.read_text("utf-8") if RESULTS.is_file() else title
    head, *parts = re.split(r"(?m)^## ", known)
    kept = {part.split("\n", 1)[0]: part for part in parts}
    kept[section] = f"{section}\n\n{text.strip()}\n\n"
    RESULTS.write_text((head + "".join(f"## {kept[name]}" for name in sorted(kept))).rstrip() + "\n", "utf-8")


def _status(key: str) -> float:
    value = re.search(rf"(?m)^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(value[1]) / 1024 if value else 0.0


def _main() -> None:
    module, _, name = sys.argv[1].partition(":")
    run = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    # From here on the process's highest memory is this run's own.
    Path("/proc/self/clear_refs").write_text("5")
    clock, processor = time.perf_counter(), time.process_time()
    records, detail = run()
    seconds, cpu = time.perf_counter() - clock, time.process_time() - processor
    print(json.dumps(vars(Run(seconds, cpu, _status("VmHWM"), records, detail))), flush=True)
    # Nothing that happens on the way out is measured, and a library's exit hooks may be slow.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _main()
