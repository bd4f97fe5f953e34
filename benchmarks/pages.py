"""How quickly do the auditor's pages answer on a lake of 250,000 subjects and a year of days, while a harvest runs?

    python benchmarks/pages.py [--subjects 250000] [--days 365] [--seconds 60] [--readers 20]

A year of facts, conclusions and acts is written set-based (`pages_lake`, `pages_ledger`). The desk is filled from it,
on two cores: its time, peak memory and size. Then a real Airflow (API server, DAG processor, scheduler) serves the
pages on the same two cores, on which a harvest of the whole registry runs over and over beside it, each time followed
by a refresh of the desk. The readers are a process of their own on other cores: each logs in, states a purpose, keeps
its connection, and asks for page after page without a pause, every kind of page as often as every other.

The last line is one JSON object: `p95_ms`, the 95th percentile of the time to the last byte, per page and `overall`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import contest

DAY = date(2026, 6, 15)
HERE = Path(__file__).resolve().parent
SAMPLE = 400
"""Different addresses of a kind of page, where there are so many."""
LOGINS = 3
"""Accounts that each reader takes in turn: the gate lets one account ask 300 times a minute."""


def main() -> None:
    """Runs the benchmark, prints the table, adds it to `RESULTS.md`, and ends with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=250_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="processes of the API server")
    parser.add_argument("--folder", type=Path, help="where to work; default: a folder of its own that is removed")
    parser.add_argument("--keep", action="store_true", help="take the lake that the folder already holds")
    parser.add_argument("--note", action="store_true", help="write RESULTS.md whatever the size")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        measured = measure(folder.resolve(), options, stack)
    text = table(measured, options)
    print(text)
    if options.note or options.subjects >= 250_000:
        contest.record("pages", text)
    times = measured["pages"]
    print(json.dumps({"p95_ms": {name: row["p95"] for name, row in sorted(times.items())}}))


def measure(folder: Path, options: argparse.Namespace, stack: ExitStack) -> dict[str, Any]:
    """The whole run: everything that the table says."""
    var, on = folder / "var", contest.machine()
    cores = sorted(os.sched_getaffinity(0))
    served, asking = cores[:2], cores[2:] or cores
    found: dict[str, Any] = {"on": on, "cores": served}
    if not (options.keep and (var / "ledger.db").exists()):
        shutil.rmtree(var, ignore_errors=True)
        found["made"] = side("make", {"var": str(var), **sizes(options)}, cores)
        say(f"lake and ledger: {found['made']['seconds']:.0f} s")
    for file in var.glob("desk.db*"):
        file.unlink()
    found["fill"] = side("fill", {"var": str(var), **sizes(options)}, served)
    say(f"desk: {found['fill']['seconds']:.1f} s, {found['fill']['peak']:.0f} MiB, {found['fill']['size']:.0f} MB")
    found["queries"] = side("queries", {"var": str(var), **sizes(options)}, served)
    say(f"queries: slowest p95 {max(one['p95'] for one in found['queries']['pages'].values()):.1f} ms")

    include, logins = accounts(folder, options.readers * LOGINS)
    airflow = stack.enter_context(served_by(folder, var, include, logins, options.workers, served))
    harvest = Harvest(folder, var, options, served, asking)
    stack.callback(harvest.end)
    harvest.start()
    asked = {
        "url": airflow.url,
        "password": airflow.password,
        "logins": logins,
        "pages": addresses(found["queries"]["samples"], options),
        "seconds": options.seconds,
        "readers": options.readers,
    }
    (folder / "asked.json").write_text(json.dumps(asked), "utf-8")
    harvest.begin()
    read = side("read", {"asked": str(folder / "asked.json")}, asking)
    found["harvests"] = harvest.end()
    found["pages"], found["asked"], found["errors"] = read["pages"], read["asked"], read["errors"]
    if read["errors"]:
        raise SystemExit(f"pages answered with errors: {read['errors']}")
    if not found["harvests"]:
        raise SystemExit("no harvest ran beside the readers")
    return found


def served_by(folder: Path, var: Path, include: Path, logins: list[str], workers: int, cores: list[int]) -> Any:
    """A started Airflow, all of whose processes run on these cores; ends what it started on the way out."""
    from contextlib import contextmanager

    from chengxin.sandbox.local_airflow import LocalAirflow

    @contextmanager
    def started() -> Any:
        environment = {
            "CHENGXIN_ROOT": str(HERE.parent),
            "CHENGXIN_VAR": str(var),
            "CHENGXIN_INCLUDE": str(include),
            "CHENGXIN_MODE": "sandbox",
            "CHENGXIN_DISTRICT": "370112",
            "CHENGXIN_SCHEDULES": "off",
            "AIRFLOW__API__WORKERS": str(workers),
            # Without keys, each process would know only the forms and purposes that it gave out itself.
            "AIRFLOW_CONN_CHENGXIN_LINK_KEY": json.dumps({"conn_type": "generic", "password": secrets.token_hex(32)}),
        }
        before = os.sched_getaffinity(0)
        with LocalAirflow(
            HERE.parent, folder / "airflow", environment, users=dict.fromkeys(logins, "viewer")
        ) as airflow:
            os.sched_setaffinity(0, set(cores))
            try:
                airflow.start(say)
            finally:
                os.sched_setaffinity(0, before)
            yield airflow

    return started()


class Harvest:
    """A process that harvests the registry over and over, from two portals by turns: a few records differ.

    The portals run where the readers do; only the harvest itself is on the cores of the pages.
    """

    def __init__(
        self, folder: Path, var: Path, options: argparse.Namespace, cores: list[int], elsewhere: list[int]
    ) -> None:
        self.arguments = {"var": str(var), "folder": str(folder / "portal"), **sizes(options)}
        self.cores, self.elsewhere = cores, elsewhere
        self.arguments["elsewhere"] = elsewhere
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until a first harvest has brought lake and source together."""
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "pages_sides.py"), "harvest", json.dumps(self.arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, set(self.cores)),
        )
        assert self.process.stdout
        say(f"first harvest: {self.process.stdout.readline().decode().strip()}")

    def begin(self) -> None:
        """Lets it harvest on and on."""
        assert self.process
        assert self.process.stdin
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def end(self) -> list[dict[str, float]]:
        """Ends it after the harvest at hand; gives seconds and rows of each."""
        process, self.process = self.process, None
        if process is None:
            return []
        assert process.stdin
        process.stdin.close()
        assert process.stdout
        lines = process.stdout.read().decode().strip().splitlines()
        process.wait(300)
        return json.loads(lines[-1]) if lines else []


def addresses(samples: dict[str, list[Any]], options: argparse.Namespace) -> dict[str, list[str]]:
    """Kind of page → its addresses."""
    chance = random.Random(1)  # the same addresses in every run
    days = [(DAY - timedelta(days=n)).isoformat() for n in range(min(options.days, 300))]
    year = DAY.year - 1
    return {
        "today": ["/today"],
        "filings": [f"/filings/{year}/{status}?street={street}" for status in ("DUE", "ON_TIME")
                    for street in samples["streets"]],
        "matters": ["/matters", "/matters?decision=RESTRICT", "/matters?state=待办", "/matters?department=zjj",
                    *[f"/matters?page={page}" for page in range(2, 40)]],
        "matter": [f"/matters/{ref}" for ref in samples["matters"]],
        "advice": [f"/advice/{one}" for one in samples["advice"]],
        "subject": [f"/subjects/{ref}" for ref in samples["subjects"]],
        "runs": ["/runs"],
        "run": [f"/runs/{day}" for day in days],
        "harvest": [f"/harvests/{number}" for number in chance.sample(range(1, 10 * options.days), 100)],
        "mails": ["/mails"],
        "mail": [f"/mails/{number}" for number in chance.sample(range(1, 60 * options.days), 200)],
        "sources": ["/sources"],
        "source": ["/sources/subject_registry", "/sources/matters", "/sources/blacklists"],
        "rejected": ["/sources/subject_registry/rejected?rule=code.valid"],
        "policy": ["/policy"],
        "acts": ["/acts"],
    }  # fmt: skip


def accounts(folder: Path, number: int) -> tuple[Path, list[str]]:
    """An include folder whose district has so many auditors, and their logins."""
    source, made = HERE.parent / "include", folder / "include"
    shutil.rmtree(made, ignore_errors=True)
    (made / "districts").mkdir(parents=True)
    for part in source.iterdir():
        if part.name not in ("districts", "chengxin"):
            (made / part.name).symlink_to(part)
    logins = [f"reader{n:03}" for n in range(number)]
    lines = "".join(f"  {login}: {{name: 样例审计员, role: auditor}}\n" for login in logins)
    text = (source / "districts" / "370112.yml").read_text("utf-8").replace("\naccounts:\n", f"\naccounts:\n{lines}", 1)
    (made / "districts" / "370112.yml").write_text(text, "utf-8")
    return made, logins


def side(name: str, arguments: dict[str, Any], cores: list[int]) -> dict[str, Any]:
    """One part of the run, in a process of its own on these cores."""
    process = subprocess.run(
        [sys.executable, str(HERE / "pages_sides.py"), name, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, set(cores)),
    )
    if process.returncode:
        raise SystemExit(f"{name} ended with status {process.returncode}")
    found: dict[str, Any] = json.loads(process.stdout.decode().strip().splitlines()[-1])
    return found


def sizes(options: argparse.Namespace) -> dict[str, Any]:
    """The size of the world."""
    return {"subjects": options.subjects, "days": options.days, "last": DAY.isoformat(), "sample": SAMPLE}


def table(found: dict[str, Any], options: argparse.Namespace) -> str:
    """The results as Markdown."""
    fill, harvests = found["fill"], found["harvests"]
    busy = ", ".join(f"{one['seconds']:.0f} s" for one in harvests)
    lines = [
        f"{options.subjects:,} subjects, {options.days} days; {options.readers} readers without a pause, "
        f"{options.seconds:.0f} s. {found['on']}. Airflow ({options.workers} API processes) and the harvest share "
        "two cores; readers and portal have the others. Times in milliseconds.",
        "",
        f"Desk filled from the lake on two cores: {fill['rows']:,} rows in {fill['seconds']:.1f} s "
        f"({fill['rows'] / fill['seconds']:,.0f} a second), peak {fill['peak']:.0f} MiB, {fill['size']:.0f} MB on "
        f"disk; refreshed with nothing new in {fill['idle'] * 1000:.1f} ms. Beside the readers: {len(harvests)} "
        f"harvests of {options.subjects:,} records, each with a refresh ({busy}).",
        "",
        "| page | asked | p50 | p95 | longest | queries alone, p50 | p95 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    alone = found["queries"]["pages"]
    for name, row in found["pages"].items():
        own = alone.get(name)
        numbers = f"{own['p50']:.1f} | {own['p95']:.1f}" if own else " | "
        title = "**overall**" if name == "overall" else name
        lines.append(
            f"| {title} | {row['asked']:,} | {row['p50']:.0f} | {row['p95']:.0f} | {row['longest']:.0f} | {numbers} |"
        )
    return "\n".join(lines)


def say(text: str) -> None:
    """Progress, for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
