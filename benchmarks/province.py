"""Does a province's check complete on two cores within 8 GiB, on DuckDB and on Spark, and with the same rows?

    python benchmarks/province.py [--subjects 15000000] [--applicants 10000000] [--engines duckdb spark]

The lake is made once (`province_facts.py`) and shared: each engine checks the same fact files into conclusions of its
own, in a process of its own that is bound to two cores. The memory of that process and all its children (for Spark:
the JVM) is added up twice a second; above the limit they are ended and the run fails. In the end the conclusions of
the engines are compared row by row, by key and hash. The last line is one JSON object: seconds, peak in MiB and rows
by engine, `equal`, and `spark_vs_duckdb` (Spark's time over DuckDB's).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import contest

ENGINES = ("duckdb", "spark")
MEMORY = {"duckdb": "5GB", "spark": "4GiB"}
"""What the engine is allowed. What stands beside it (Python, Arrow, the JVM's own) has to fit into the rest."""
TABLES = ("finding", "advice", "filing_status")


def main() -> None:
    """Makes the lake, checks it on each engine, compares, adds a section to `RESULTS.md`, ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=15_000_000)
    parser.add_argument("--applicants", type=int, default=10_000_000)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--limit", type=float, default=8, help="GiB for the process and its children")
    parser.add_argument("--master", default="", help="Spark's master; default: the process itself")
    parser.add_argument("--folder", type=Path, help="where to work; default: a folder of its own that is removed")
    parser.add_argument("--no-record", action="store_true", help="leave RESULTS.md alone")
    options = parser.parse_args()
    on = contest.machine()
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="province-")))
        os.sched_setaffinity(0, cores)
        import province_facts

        facts = province_facts.house(folder / "facts")
        started = time.perf_counter()
        if not facts.lake.files("subject"):
            province_facts.make(folder / "facts", options.subjects, options.applicants, threads=options.cores,
                                memory_limit="2GB")  # fmt: skip
        print(f"the lake: {time.perf_counter() - started:.0f} s", file=sys.stderr)
        found: dict[str, dict[str, Any]] = {}
        for name in options.engines:
            place = folder / name
            shutil.rmtree(place, ignore_errors=True)
            province_facts.share(facts, place)
            found[name] = watched(place, name, options.master if name == "spark" else "", cores, options.limit)
            print(f"{name}: {json.dumps(found[name])}", file=sys.stderr)
        equal = compared([folder / name for name in options.engines])
    text = table(options, found, equal, on)
    print(text)
    if not options.no_record:
        contest.record("province", text)
    verdict: dict[str, Any] = {name: {key: run[key] for key in ("seconds", "peak")} for name, run in found.items()}
    verdict["equal"] = equal
    if set(found) == set(ENGINES):
        verdict["spark_vs_duckdb"] = round(found["spark"]["seconds"] / found["duckdb"]["seconds"], 2)
    print(json.dumps(verdict))
    if not equal:
        raise SystemExit("the engines disagree")


def watched(place: Path, name: str, master: str, cores: list[int], limit: float) -> dict[str, Any]:
    """Checks in a process of its own, with an eye on its memory and its children's.

    Raises:
        SystemExit: it failed, or took more than the limit.
    """
    # A file and not a pipe: nobody reads while it runs, and a full pipe would stop it.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, __file__, "--check", str(place), name, master, str(len(cores))],
            stdout=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        peak, cpu = 0.0, 0.0
        try:
            while process.poll() is None:
                now = list(family(process.pid))
                peak, cpu = max(peak, sum(size for size, _ in now)), max(cpu, sum(spent for _, spent in now))
                if peak > limit * 1024:
                    raise SystemExit(f"{name} took {peak:,.0f} MiB; {limit * 1024:,.0f} were allowed")
                time.sleep(0.5)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            raise SystemExit(f"{name} ended with status {process.returncode}")
        output.seek(0)
        said = json.loads(output.read().decode().strip().splitlines()[-1])
    return {**said, "peak": round(peak), "cpu": round(cpu)}


def family(root: int) -> Iterator[tuple[float, float]]:
    """Resident MiB and processor seconds of a process and of each of its descendants."""
    parents: dict[int, tuple[int, float, float]] = {}
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE") / 2**20
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            spent = (int(fields[11]) + int(fields[12])) / tick
            parents[int(entry.name)] = (int(fields[1]), int(fields[21]) * page, spent)
    wanted = {root}
    while more := {pid for pid, (parent, _, _) in parents.items() if parent in wanted} - wanted:
        wanted |= more
    yield from (parents[pid][1:] for pid in wanted if pid in parents)


def check(place: Path, name: str, master: str, cores: int) -> None:
    """The watched process: one check from the lake's files to the lake's files."""
    import province_facts

    from chengxin import check, engine

    spent: dict[str, float] = {}
    for step in ("keep", "write"):
        setattr(engine, step, timed(getattr(engine, step), step, spent))
    house = replace(
        province_facts.house(place), checks_on=name, spark_master=master, threads=cores, memory_limit=MEMORY[name]
    )
    started = time.perf_counter()
    said = check.run(house, province_facts.DAY)
    seconds = time.perf_counter() - started
    rows = {table: counts["new"] for table, counts in said["changed"].items()}
    files = {table: len(house.lake.files(table)) for table in TABLES}
    result = {"seconds": round(seconds, 1), "rows": rows, "files": files, "advice": said["advice"], "spent": spent}
    print(json.dumps(result), flush=True)


def timed(function: Any, step: str, spent: dict[str, float]) -> Any:
    """The function, adding up its time by the name of what it keeps or writes."""

    def measured(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            name = f"{step} {arguments[1] if step == 'keep' else arguments[2]}"
            spent[name] = round(spent.get(name, 0) + time.perf_counter() - started, 1)
            print(f"  {name} {spent[name]:.1f} s", file=sys.stderr)

    return measured


def compared(places: list[Path]) -> bool:
    """Whether the engines' conclusions are the same rows."""
    import province_facts

    from chengxin import engine

    first, *others = [province_facts.house(place) for place in places]
    connection = replace(first, threads=2, memory_limit="3GB").engine()
    for other in others:
        for name in TABLES:
            one, two = (
                engine.observations(connection, house.lake, name).select("natural_key", "row_hash")
                for house in (first, other)
            )
            same = connection.to_pyarrow(one.inner_join(two, ["natural_key", "row_hash"]).count()).as_py()
            if not same == connection.to_pyarrow(one.count()).as_py() == connection.to_pyarrow(two.count()).as_py():
                return False
    return True


def table(options: argparse.Namespace, found: dict[str, dict[str, Any]], equal: bool, on: str) -> str:
    """The results as Markdown."""
    lines = [
        f"{options.subjects:,} subjects, {options.applicants:,} applicants, full policy, an empty lake of conclusions; "
        f"{options.cores} cores, at most {options.limit:g} GiB for the process and its children. {on}.",
        "",
        "| engine | allowed | time s | CPU s | peak MiB | findings | advice | filing statuses |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, run in found.items():
        rows = " | ".join(f"{run['rows'][table]:,}" for table in TABLES)
        lines.append(f"| {name} | {MEMORY[name]} | {run['seconds']:,.0f} | {run['cpu']:,} | {run['peak']:,} | {rows} |")
    if len(found) > 1:
        lines += ["", "Rows compared by key and hash: " + ("the same on all engines." if equal else "THEY DIFFER.")]
    lines += ["", "Where the time goes (seconds):", ""]
    for name, run in found.items():
        steps = sorted(run["spent"].items(), key=lambda item: -item[1])[:10]
        lines.append(f"- {name}: " + ", ".join(f"{step} {seconds:.0f}" for step, seconds in steps))
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        main()
