"""How long does a check of a million applicants take, against pandas, against a rule engine by the row, and the floor?

    python benchmarks/check.py [--applicants 1000000] [--subjects 250000] [--repeats 3] [--sample 5000]

All start from the Parquet files of the same lake and end with Parquet files; imports and a first run on a small lake
are outside the clock, the sides take turns, and medians count. All write zstd at level 1, which is pyarrow's default;
ours and the floor as the lake's files are written (`chengxin.engine.duckdb.WRITTEN`).

- ours: what a check does (`linking.link`, `check.matters`): the state of the day, linking, the whole policy in both
  readings, with reasons, clauses, ends, parameters and the place of every piece of evidence: a file of findings, and
  one of advice;
- pandas: the same by hand, as a good pandas user would write it (`check_pandas.py`); both results are compared column
  by column, and the run ends where one cell differs;
- zen: zen-engine with the policy as a decision graph (`check_zen.py`), one applicant at a time in one process: a file
  of outcomes, ends and reasons of a sample, equal to ours, without findings, clauses or evidence. On its clock
  (`check_zen_side.py`) are linking, which is ours since zen-engine has none, and taking facts out of the engine, both
  counted once and as long as they took; and making contexts, evaluating and writing, times applicants over sample.
  The evaluation alone, as if all else took no time, stands beside it;
- floor: reading the same columns, and writing the same rows from memory, with no join and no rule.

The last line is one JSON object: `vs_pandas` (pandas over ours), `vs_zen` (zen over ours), `vs_zen_evaluation` (the
evaluation alone over the whole of ours), `vs_floor` (ours over the floor).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import check_sides
import contest
from contest import Run


def main() -> None:
    """Runs the contest, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--applicants", type=int, default=1_000_000)
    parser.add_argument("--subjects", type=int, default=250_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sample", type=int, default=5000, help="applicants that zen-engine gets")
    options, _ = parser.parse_known_args()
    _, cores = contest.cores()
    on = contest.machine()
    runs: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        lake, results = str(folder / "lake"), folder / "ours"
        sizes = {"applicants": options.applicants, "subjects": options.subjects}
        contest.compete("check_sides:prepare", {"folder": lake, **sizes}, cores)
        for turn in range(options.repeats):
            sides = {
                "ours": {"out": str(results)},
                "pandas": {"out": str(folder / "pandas")},
                "floor": {"out": str(folder / "floor"), "results": str(results)},
                "zen": {"out": str(folder / "zen"), "results": str(results), "sample": options.sample},
            }
            for side, arguments in sides.items():
                module = "check_zen_side" if side == "zen" else "check_sides"
                run = contest.compete(f"{module}:{side}", {"folder": lake, **arguments}, cores)
                runs.setdefault(side, []).append(run)
                print(f"{side:<6} turn {turn + 1}: {run.seconds:7.2f} s, {run.records:,} applicants", file=sys.stderr)
            differ = check_sides.differences(results, folder / "pandas")
            if differ:
                raise SystemExit(f"the results differ: {differ}")
        kept = {side: sum(file.stat().st_size for file in (folder / side).glob("*.parquet")) for side in ("ours",)}
        shutil.rmtree(folder / "pandas")
    middle = {side: contest.middle(found) for side, found in runs.items()}
    text = table(middle, options, on, kept["ours"])
    print(text)
    contest.record("check", text)
    ours = middle["ours"].seconds
    ratios = {
        "vs_pandas": round(middle["pandas"].seconds / ours, 2),
        "vs_zen": round(of_all(middle["zen"], middle["ours"].records).seconds / ours),
        "vs_zen_evaluation": round(evaluation(middle["zen"], middle["ours"].records) / ours),
        "vs_floor": round(ours / middle["floor"].seconds, 2),
    }
    print(json.dumps(ratios))


def of_all(run: Run, applicants: int) -> Run:
    """zen-engine's run as it would be for all applicants: what it does once, once; the rest for each."""
    more, spent = applicants / run.records, run.detail
    seconds = spent["once"] + spent["each"] * more
    return Run(seconds, spent["cpu_once"] + spent["cpu_each"] * more, run.peak, applicants, spent)


def evaluation(run: Run, applicants: int) -> float:
    """Seconds for the evaluation alone, of all applicants."""
    return float(run.detail["evaluate"]) * applicants / run.records


def table(middle: dict[str, Run], options: argparse.Namespace, on: str, size: int) -> str:
    """The results as Markdown."""
    ours = middle["ours"]
    lines = [
        f"{ours.records:,} applicants of pending matters, {options.subjects:,} subjects; findings and advice of "
        f"{size / 2**20:.0f} MiB. Medians of {options.repeats} interleaved runs. {on}. zen-engine had a sample of "
        f"{middle['zen'].records:,} applicants: linking (ours) and reading once, as it was; contexts, evaluation and "
        "writing for all at the sample's pace. `evaluation` is what of it zen-engine itself takes.",
        "",
        "| side | time, s | × ours | CPU, s | peak MiB | applicants/s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for side in ("floor", "ours", "pandas", "zen"):
        run = of_all(middle[side], ours.records) if side == "zen" else middle[side]
        lines.append(
            f"| {side} | {run.seconds:,.2f} | {run.seconds / ours.seconds:.2f} | {run.cpu:,.2f} | {run.peak:.0f} "
            f"| {run.records / run.seconds:,.0f} |"
        )
    alone = evaluation(middle["zen"], ours.records)
    lines.append(f"| zen, evaluation | {alone:,.2f} | {alone / ours.seconds:.2f} | | | {ours.records / alone:,.0f} |")
    lines += ["", "Where the time goes (seconds):", ""]
    for side in ("ours", "floor"):
        spent = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in middle[side].detail["seconds"].items())
        lines.append(f"- {side}: {spent}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
