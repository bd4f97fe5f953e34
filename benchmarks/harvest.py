"""How long does a harvest over HTTP take, and does its memory grow with the number of records?

    python benchmarks/harvest.py [--records 250000 1000000] [--repeats 3]

Three sides read the same registry, page by page, from the sandbox's portal, which is a process of its own on a core of
its own:

- ours: fetch, archive, parse, normalise, validate (Great Expectations included) and publish into an empty lake;
- bare: a `requests` loop that parses the JSON and throws it away;
- dlt: dlt's REST source into Parquet.

All sign their requests alike, and have the same page size. Start-up, imports and a first run on 2,000 records are
outside the clock. The sides take turns, and the medians of the repeats count. The last line is one JSON object:
`time_vs_bare` and `time_vs_dlt` (our time over theirs, at the size where it is worse for us), `peak_growth` (how much
more memory at the peak with the largest number of records than with the smallest: 0.1 is 10 %).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import contest
from contest import Run

DAY = date(2026, 6, 15)
WARM = 2000
SIDES = ("bare", "ours", "dlt")


@contextmanager
def portal(folder: Path, records: int, secret: str, core: int) -> Iterator[int]:
    """Serves that many records of the registry; gives the port."""
    from chengxin.sandbox import pages
    from chengxin.sandbox.child import Child
    from chengxin.sandbox.shapes import SOURCES
    from chengxin.sandbox.world import World

    root = folder / f"portal-{records}"
    print(f"making {records:,} records", file=sys.stderr)
    source = SOURCES["subject_registry"]
    table = World(1, records, DAY, matters=80).source("subject_registry").slice(0, records)
    pages.write(root / DAY.isoformat(), {source.place: table})
    del table
    child = Child(
        "chengxin.sandbox.portal",
        [str(root), DAY.isoformat()],
        folder / "portal.log",
        {"SANDBOX_PORTAL_SECRET": secret},
    )
    os.sched_setaffinity(child.process.pid, {core})
    try:
        yield int(child.address()["port"])
    finally:
        child.end()
        shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Runs the contest, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[250_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--folder", type=Path, help="where to work; default: a folder of its own that is removed")
    options = parser.parse_args()
    core, others = contest.cores()
    on = contest.machine()
    secret = secrets.token_hex(32)
    runs: dict[tuple[str, int], list[Run]] = {}
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        warm = stack.enter_context(portal(folder, WARM, secret, core))
        for records in options.records:
            with portal(folder, records, secret, core) as port:
                for turn in range(options.repeats):
                    for side in options.sides:
                        place = folder / f"{side}-{records}"
                        run = contest.compete(
                            f"harvest_sides:{side}",
                            {
                                "port": port,
                                "warm_port": warm,
                                "secret": secret,
                                "day": DAY.isoformat(),
                                "folder": str(place),
                            },
                            others,
                        )
                        shutil.rmtree(place, ignore_errors=True)
                        if run.records != records:
                            raise SystemExit(f"{side} dealt with {run.records} of {records} records")
                        runs.setdefault((side, records), []).append(run)
                        print(
                            f"{records:>9,} {side:<5} turn {turn + 1}: {run.seconds:6.2f} s, {run.peak:7.0f} MiB",
                            file=sys.stderr,
                        )
    middle = {key: contest.middle(found) for key, found in runs.items()}
    text = table(middle, options.repeats, on)
    print(text)
    if set(options.sides) == set(SIDES):
        contest.record("harvest", text)
        print(json.dumps(verdict(middle, options.records)))


def table(middle: dict[tuple[str, int], Run], repeats: int, on: str) -> str:
    """The results as Markdown."""
    lines = [
        f"Medians of {repeats} interleaved runs. {on}. The portal has a core of its own; times in seconds.",
        "",
        "| records | side | time | × bare | CPU | peak MiB | records/s |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for (side, records), run in sorted(middle.items(), key=lambda item: (item[0][1], item[0][0])):
        base = middle.get(("bare", records))
        times = f"{run.seconds / base.seconds:.2f}" if base else ""
        lines.append(
            f"| {records:,} | {side} | {run.seconds:.2f} | {times} | {run.cpu:.2f} | {run.peak:.0f} "
            f"| {records / run.seconds:,.0f} |"
        )
    lines += [
        "",
        "Where our time goes (seconds; stages up to compare run side by side, so they add up to more than the whole):",
        "",
    ]
    for (side, records), run in sorted(middle.items(), key=lambda item: item[0][1]):
        if side == "ours":
            spent = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in run.detail["seconds"].items())
            lines.append(f"- {records:,}: {spent}")
    return "\n".join(lines)


def verdict(middle: dict[tuple[str, int], Run], sizes: list[int]) -> dict[str, float]:
    """The last line: the worse of the sizes for the ratios."""

    def against(side: str) -> float:
        return round(max(middle["ours", size].seconds / middle[side, size].seconds for size in sizes), 2)

    growth = middle["ours", max(sizes)].peak / middle["ours", min(sizes)].peak - 1
    return {"time_vs_bare": against("bare"), "time_vs_dlt": against("dlt"), "peak_growth": round(growth, 3)}


if __name__ == "__main__":
    main()
