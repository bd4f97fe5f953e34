"""How long does Airflow take to read the DAG files of a large house?

    python benchmarks/parse.py [--contracts 200] [--districts 20] [--repeats 5]

A folder is generated with 200 contracts and 20 districts, each of which enables ten of them; one installation carries
all districts, so that `harvest.py` makes 200 DAGs and every other file one for each district. Each DAG file is then
read as Airflow's DAG processor reads it: in a fork of its own, from a process that has the processor and nothing of
ours imported. What a fork costs is outside the clock, what our file imports is inside. Then the DAGs are serialised, as
they are for the scheduler, and read back.

Aim: every file under 1 s, all under 2 s. The last line is one JSON object: `slowest_s` (the slowest file's median),
`sum_s` (the sum of the medians), `dags`, `serialise_s` (all of them), `deserialise_s` (what the scheduler pays to have
them all in memory), `serialised_kib` (the median DAG's size in Airflow's database).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import contest

ROOT = Path(__file__).resolve().parents[1]
MODEL = "370112"
"""The district file that the generated ones are copies of."""
FILE_LIMIT, SUM_LIMIT = 1.0, 2.0
"""Seconds."""
COLUMNS = ("dags", "seconds", "cpu", "serialise", "deserialise")


def main() -> None:
    """Reads every file, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contracts", type=int, default=200)
    parser.add_argument("--districts", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    on = contest.machine()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        include = Path(folder) / "include"
        codes = generate(include, options.contracts, options.districts)
        _airflow(Path(folder), include, codes)
        files = sorted((ROOT / "dags").glob("*.py"))
        found: dict[str, list[dict[str, Any]]] = {file.name: [] for file in files}
        for turn in range(options.repeats):
            for file in files:
                found[file.name].append(forked(functools.partial(read, file)))
                print(f"turn {turn + 1}: {file.name} {found[file.name][-1]['seconds']:.3f} s", file=sys.stderr)
    for name, runs in found.items():
        if runs[0]["errors"]:
            raise SystemExit(f"{name}: {runs[0]['errors']}")
    text, last = table(found, options, on)
    print(text)
    contest.record("parse", text)
    print(json.dumps(last))


def generate(include: Path, contracts: int, districts: int) -> list[str]:
    """An include folder as large as that: the project's own, its contracts and district again under other names.

    Returns:
        The districts' codes. The contracts are dealt out among them.
    """
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin", "trial", "__pycache__"))
    own = {file.stem: file.read_text("utf-8") for file in sorted((include / "sources").glob("*.yml"))}
    names = list(own)[:contracts]
    for number in range(contracts - len(own)):
        model = list(own)[number % len(own)]
        name = f"{model}_{number:03d}"
        (include / "sources" / f"{name}.yml").write_text(
            re.sub(r"(?m)^name: .*$", f"name: {name}", own[model], count=1), "utf-8"
        )
        names.append(name)
    file = include / "districts" / f"{MODEL}.yml"
    text = file.read_text("utf-8")
    file.unlink()
    codes = [f"3701{20 + number}" for number in range(districts)]
    for number, code in enumerate(codes):
        enabled = "".join(f"  - {name}\n" for name in names[number::districts])
        named = re.sub(r"(?m)^sources:\n(  - .*\n)+", f"sources:\n{enabled}", text, count=1)
        (file.with_name(f"{code}.yml")).write_text(named.replace(MODEL, code), "utf-8")
    return codes


def _airflow(home: Path, include: Path, codes: list[str]) -> None:
    """Imports what the DAG processor has imported before it forks."""
    os.environ.update(
        {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "CHENGXIN_INCLUDE": str(include),
            "CHENGXIN_DISTRICT": ",".join(codes),
            "CHENGXIN_VAR": str(home / "var"),
        }
    )
    import airflow.dag_processing.manager
    import airflow.dag_processing.processor
    import airflow.jobs.dag_processor_job_runner
    import airflow.serialization.serialized_objects  # noqa: F401


def forked(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the work gives, done in a fork."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = work()
        except BaseException as error:
            said = {"seconds": 0.0, "errors": f"{type(error).__name__}: {error}"}
        with os.fdopen(writing, "w") as pipe:
            json.dump(said, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = json.load(pipe)
    os.waitpid(child, 0)
    return dict(said)


def read(file: Path) -> dict[str, Any]:
    """Reads one DAG file, serialises its DAGs and reads them back.

    Returns:
        `seconds` and `cpu` (to read), `dags`, `serialise`, `deserialise` (seconds), `sizes` (bytes of each DAG) and
        `errors`.
    """
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    started, processor = time.perf_counter(), time.process_time()
    bag = DagBag(file, bundle_path=file.parent, bundle_name="dags-folder")
    seconds, cpu = time.perf_counter() - started, time.process_time() - processor
    started = time.perf_counter()
    serialised = [DagSerialization.to_dict(dag) for dag in bag.dags.values()]
    written = [json.dumps(one) for one in serialised]
    serialise = time.perf_counter() - started
    started = time.perf_counter()
    for one in written:
        DagSerialization.from_dict(json.loads(one))
    return {
        "seconds": seconds,
        "cpu": cpu,
        "dags": len(bag.dags),
        "serialise": serialise,
        "deserialise": time.perf_counter() - started,
        "sizes": [len(one.encode()) for one in written],
        "errors": "; ".join(bag.import_errors.values()),
    }


def row(name: str, one: dict[str, float]) -> str:
    """A line of the table."""
    times = " | ".join(f"{one[key]:.3f}" for key in COLUMNS if key != "dags")
    return f"| {name} | {one['dags']:.0f} | {times} |"


def table(found: dict[str, list[dict[str, Any]]], options: argparse.Namespace, on: str) -> tuple[str, dict[str, float]]:
    """The results as Markdown, and the last line."""
    middle = {name: {key: median(run[key] for run in runs) for key in COLUMNS}
              for name, runs in found.items()}  # fmt: skip
    total = {key: sum(one[key] for one in middle.values()) for key in COLUMNS}
    size = median(size for runs in found.values() for size in runs[0]["sizes"]) / 1024
    slowest = max(one["seconds"] for one in middle.values())
    missed = [] if slowest < FILE_LIMIT and total["seconds"] < SUM_LIMIT else ["", "The aim is missed."]
    lines = [
        f"{options.contracts} contracts, {options.districts} districts in one installation; medians of "
        f"{options.repeats} readings, each in a fork of its own. {on}. Times in seconds.",
        "",
        "| DAG file | DAGs | read | CPU | serialise | read back |",
        "|---|---:|---:|---:|---:|---:|",
        *(row(name, one) for name, one in middle.items()),
        row("all", total),
        "",
        f"Half of the DAGs take less than {size:.1f} KiB each in Airflow's database.",
        *missed,
    ]
    return "\n".join(lines), {
        "slowest_s": round(slowest, 3),
        "sum_s": round(total["seconds"], 3),
        "dags": int(total["dags"]),
        "serialise_s": round(total["serialise"], 3),
        "deserialise_s": round(total["deserialise"], 3),
        "serialised_kib": round(size, 1),
    }


if __name__ == "__main__":
    main()
