"""What does the gate cost, against pandera?

    python benchmarks/validate.py [--rows 250000] [--repeats 5]

Both sides start from the same raw rows (text columns in memory) and end with accepted rows in types, rejected rows with
reasons, and counts by cause. Ours: normalise, judge, Great Expectations over the prepared columns with its data docs.
Theirs: pandera's parsers and checks over the same rules, as far as it can say them, with lazy validation. Imports and a
first run on 2,000 rows are outside the clock; the sides take turns, medians count. The last line is one JSON object:
`time_vs_pandera`, our time over theirs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path

import contest
from contest import Run

DAY = date(2026, 6, 15)
SIDES = ("pandera", "ours")


def raw_rows(file: Path, rows: int) -> None:
    """Writes the sandbox's registry as the readers would give it: texts by heading, and each row's place."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from chengxin.sandbox.world import World

    table = World(1, rows, DAY, matters=80).source("subject_registry").slice(0, rows)
    columns = {name: table[name].cast(pa.large_string()) for name in table.column_names}
    columns["raw_row"] = pa.array(np.arange(rows, dtype=np.int32))
    columns["raw_sha256"] = pa.repeat(pa.scalar("0" * 64, pa.large_string()), rows)
    pq.write_table(pa.table(columns), file)


def main() -> None:
    """Runs the contest, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000])
    parser.add_argument("--repeats", type=int, default=5)
    options, _ = parser.parse_known_args()
    _, cores = contest.cores()
    on = contest.machine()
    lines = [f"Medians of {options.repeats} interleaved runs. {on}. Times in seconds.", ""]
    lines += [
        "| rows | side | time | × pandera | CPU | peak MiB | accepted | rejected |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    ratios, where = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for rows in options.rows:
            file = Path(folder) / f"{rows}.parquet"
            print(f"making {rows:,} rows", file=sys.stderr)
            raw_rows(file, rows)
            runs: dict[str, list[Run]] = {side: [] for side in SIDES}
            for turn in range(options.repeats):
                for side in SIDES:
                    place = Path(folder) / side
                    run = contest.compete(f"validate_sides:{side}", {"file": str(file), "folder": str(place)}, cores)
                    shutil.rmtree(place, ignore_errors=True)
                    runs[side].append(run)
                    print(f"{rows:>9,} {side:<7} turn {turn + 1}: {run.seconds:6.3f} s", file=sys.stderr)
            middle = {side: contest.middle(found) for side, found in runs.items()}
            ratios.append(middle["ours"].seconds / middle["pandera"].seconds)
            for side, run in middle.items():
                lines.append(
                    f"| {rows:,} | {side} | {run.seconds:.3f} | {run.seconds / middle['pandera'].seconds:.2f} "
                    f"| {run.cpu:.2f} | {run.peak:.0f} | {run.detail['accepted']:,} | {run.detail['rejected']:,} |"
                )
            spent = ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in middle["ours"].detail["seconds"].items())
            where.append(f"- {rows:,}: {spent}")
            for side, run in middle.items():
                causes = ", ".join(f"{cause} {count:,}" for cause, count in run.detail["causes"].items())
                where.append(f"- {rows:,}, causes, {side}: {causes}")
    text = "\n".join([*lines, "", "Where our time goes (seconds), and what each side rejected:", "", *where])
    print(text)
    contest.record("validate", text)
    print(json.dumps({"time_vs_pandera": round(max(ratios), 2)}))


if __name__ == "__main__":
    main()
