"""How do a check's time and memory grow with the number of applicants?

    python benchmarks/growth.py [--applicants 25000] [--subjects 250000] [--memory 1GB] [--repeats 1]

The whole stage (`check.run`: linking, judging, comparing with what the lake holds, writing) on fresh lakes of 1×, 4×,
16× and 64× the applicants, each in a process of its own under the same stated setting of the engine's memory
(`CHENGXIN_MEMORY_LIMIT`); what does not fit spills to disk. Half a second of start-up apart, time should grow at most
with the applicants.

Memory is bounded by the setting: a process stays under 1.3 times it and 400 MiB (`docs/operating.md`). The 400 MiB are
Python with its libraries (some 300 once a check has begun) and what is written at a time; three tenths are what DuckDB
takes beside the buffers that it counts, and what the C library's allocator keeps of what was given back. The run ends
with an error where a size passes that bound.

The last line is one JSON object: `time_64_vs_1` and `time_64_vs_16` (seconds per applicant at 64× over those at 1× and
16×: at most 1 is at most linear), `peak_mib` (the highest resident memory), `bound_mib` (what it may be), `limit_mib`
(the setting).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import contest
from contest import Run

STEPS = (1, 4, 16, 64)
BESIDE, SHARE = 400, 1.3
"""What a process may take: MiB whatever the setting, and times the setting."""
UNITS = {"MB": 1e6, "GB": 1e9, "MIB": 2**20, "GIB": 2**30}


def main() -> None:
    """Runs each size, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--applicants", type=int, default=25_000, help="at 1×")
    parser.add_argument("--subjects", type=int, default=250_000)
    parser.add_argument("--memory", default="1GB", help="CHENGXIN_MEMORY_LIMIT")
    parser.add_argument("--repeats", type=int, default=1)
    options, _ = parser.parse_known_args()
    _, cores = contest.cores()
    on = contest.machine()
    runs: dict[int, list[Run]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for _ in range(options.repeats):
            for step in STEPS:
                lake = Path(name) / "lake"
                sizes = {"applicants": options.applicants * step, "subjects": options.subjects}
                contest.compete("check_sides:prepare", {"folder": str(lake), **sizes}, cores)
                run = contest.compete("check_sides:stage", {"folder": str(lake), "memory_limit": options.memory}, cores)
                shutil.rmtree(lake)
                runs.setdefault(step, []).append(run)
                print(f"{step:>2}×: {run.seconds:7.2f} s, {run.peak:5.0f} MiB, {run.records:,}", file=sys.stderr)
    middle = {step: contest.middle(found) for step, found in runs.items()}
    each = {step: run.seconds / run.records for step, run in middle.items()}
    lines = [
        f"The whole stage on fresh lakes, {options.subjects:,} subjects, engine memory {options.memory}, so at most "
        f"{BESIDE + SHARE * _mebibytes(options.memory):.0f} MiB a process; medians of {options.repeats}. {on}.",
        "",
        "| × | applicants | time, s | µs an applicant | CPU, s | peak MiB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for step, run in middle.items():
        pace = each[step] * 1e6
        lines.append(f"| {step} | {run.records:,} | {run.seconds:.2f} | {pace:.0f} | {run.cpu:.2f} | {run.peak:.0f} |")
    text = "\n".join(lines)
    print(text)
    contest.record("growth", text)
    peak = max(run.peak for found in runs.values() for run in found)
    limit = _mebibytes(options.memory)
    bound = BESIDE + SHARE * limit
    print(
        json.dumps(
            {
                "time_64_vs_1": round(each[64] / each[1], 3),
                "time_64_vs_16": round(each[64] / each[16], 3),
                "peak_mib": round(peak),
                "bound_mib": round(bound),
                "limit_mib": round(limit),
            }
        )
    )
    if peak > bound:
        raise SystemExit(f"{peak:.0f} MiB, where {bound:.0f} are the bound under an engine memory of {options.memory}")


def _mebibytes(size: str) -> float:
    unit = next(unit for unit in UNITS if size.upper().endswith(unit))
    return float(size[: -len(unit)]) * UNITS[unit] / 2**20


if __name__ == "__main__":
    main()
