"""One whole day in a real Airflow, against a sandbox of the outside world, on this machine alone.

`run` starts the sandbox and an Airflow of its own, lets every harvest, the check and the warnings run through
Airflow's scheduler, sums up what the ledger says about it, and ends every process it began.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from chengxin import districts
from chengxin.errors import ChengxinError
from chengxin.sandbox.airflow_api import Run
from chengxin.sandbox.local_airflow import USER, LocalAirflow
from chengxin.settings import House
from chengxin.summary import Summary, summarise
from chengxin.warn.links import CONNECTION

SUMMARY = "summary.json"
DAY_TIMEOUT = 900.0
"""Seconds that one stage may take on a slow machine."""


class DayFailedError(ChengxinError):
    """A part of the day did not end well."""

    cause = "demo"


@dataclass(frozen=True)
class Options:
    """What kind of day.

    Attributes:
        as_of: the day. The default in the CLI is a June working day, so that the countdown is on.
        subjects: how many market subjects the sandbox makes.
        seed: of the sandbox's generator.
        district: whose day.
        folder: everything is written here; what an earlier run left is removed.
        registry: a registry file to build the sandbox on; None: all made up.
        port: of Airflow's pages; None: any free one.
        parallelism: Airflow tasks at once.
        scheduled: DAGs keep their cron schedules; off, nothing runs but what is triggered.
        settings: more variables for the house and Airflow's processes, e.g. `CHENGXIN_INCLUDE`.
        airflow: the kind of Airflow that the day runs in.
    """

    as_of: date
    subjects: int
    seed: int
    district: str
    folder: Path
    registry: Path | None = None
    port: int | None = None
    parallelism: int = 4
    scheduled: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    airflow: type[LocalAirflow] = LocalAirflow


@dataclass
class Day:
    """A day under way: its house, its Airflow, the sandbox, and the seconds each stage took."""

    house: House
    airflow: LocalAirflow
    sandbox: Any
    as_of: date
    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def run(self, sources: Sequence[str] | None = None) -> Summary:
        """Harvests, checks, warns, each through Airflow's scheduler.

        Args:
            sources: what to harvest; None: all of the district.

        Returns:
            What the ledger says about the day. Failed runs stand in `failures`.
        """
        conf = {"as_of": self.as_of.isoformat()}
        with self.stage("harvest"):
            self.follow({f"harvest__{source}": conf for source in sources or _sources(self.house)})
        with self.stage("check"):
            known = {run.run_id for run in self.airflow.api.runs("warn_departments")}
            self.follow({"check_matters": conf})
        if "check_matters" not in self.failures:
            # Nobody triggers this one: the check's asset event does.
            with self.stage("warn"):
                self._follow_event("warn_departments", known)
        return summarise(self.house, self.as_of, self.seconds)

    def follow(self, dags: Mapping[str, Mapping[str, Any]]) -> None:
        """Triggers DAGs and waits for all of these runs, reporting each as it ends."""
        self._follow([(dag_id, self.airflow.api.trigger(dag_id, conf)) for dag_id, conf in dags.items()])

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures a stage."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 1)

    def _follow_event(self, dag_id: str, known: set[str]) -> None:
        found: list[str] = []

        def appeared() -> bool:
            found[:] = [run.run_id for run in self.airflow.api.runs(dag_id) if run.run_id not in known]
            return bool(found)

        self.airflow.wait(f"the asset event to start {dag_id}", appeared, 120)
        self._follow([(dag_id, run_id) for run_id in found])

    def _follow(self, runs: Sequence[tuple[str, str]]) -> None:
        waiting = set(runs)

        def all_done() -> bool:
            for run in self.airflow.api.runs():
                key = (run.dag_id, run.run_id)
                if key in waiting and run.done:
                    waiting.discard(key)
                    self._report(run)
            return not waiting

        with self.console.status("the day is under way", spinner="dots"):
            self.airflow.wait(", ".join(sorted(dag_id for dag_id, _ in runs)), all_done, DAY_TIMEOUT)

    def _report(self, run: Run) -> None:
        seconds = f"{run.seconds:.1f} s" if run.seconds is not None else ""
        mark = "[green]✓[/]" if run.state == "success" else "[red]✗[/]"
        self.console.print(f"  {mark} {run.dag_id:<28} {seconds:>8}")
        if run.state != "success":
            self.failures.append(run.dag_id)
            for (task, index), state in self.airflow.api.task_states(run.dag_id, run.run_id).items():
                if state == "failed":
                    error = self.airflow.api.error(run.dag_id, run.run_id, task, index)
                    self.console.print(f"    {task}: {error}", markup=False)


@contextmanager
def day(options: Options, root: Path, console: Console) -> Iterator[Day]:
    """A day ready to run: sandbox and Airflow are up, all DAGs are read and switched on. Ends both afterwards.

    Raises:
        ChengxinError: something does not come up; where and why.
    """
    from chengxin.sandbox.services import Sandbox

    folder = options.folder.resolve()
    environment = {
        "CHENGXIN_ROOT": str(root),
        "CHENGXIN_VAR": str(folder / "run"),
        "CHENGXIN_DISTRICT": options.district,
        "CHENGXIN_MODE": "sandbox",
        "CHENGXIN_AS_OF": options.as_of.isoformat(),
        "CHENGXIN_SCHEDULES": "on" if options.scheduled else "off",
        # Tasks run side by side.
        "CHENGXIN_THREADS": "2",
        **options.settings,
    }
    house = House.from_environment(environment)
    dag_ids = _expected(house)
    with ExitStack() as stack:
        stack.enter_context(_alone(folder))
        stack.enter_context(_terminable())
        started = time.monotonic()
        # Entered before the folder is cleared: it ends what a killed run may have left at work there.
        airflow = stack.enter_context(
            options.airflow(
                root,
                folder / "airflow",
                environment,
                port=options.port,
                parallelism=options.parallelism,
                users=dict.fromkeys(_district(house).accounts, "viewer"),
            )
        )
        for leftover in (folder / "run", folder / "sandbox"):
            shutil.rmtree(leftover, ignore_errors=True)
        (folder / SUMMARY).unlink(missing_ok=True)
        console.print(f"sandbox: {options.subjects:,} subjects, seed {options.seed}, {options.as_of}")
        sandbox = stack.enter_context(
            Sandbox(
                folder / "sandbox",
                seed=options.seed,
                subjects=options.subjects,
                day=options.as_of,
                registry=options.registry,
            )
        )
        airflow.environment.update(sandbox.environment())
        # Keys of this run alone; the mails' links lead to this Airflow.
        airflow.environment[f"AIRFLOW_CONN_{CONNECTION.upper()}"] = json.dumps(
            {"conn_type": "generic", "password": secrets.token_urlsafe(32)}
        )
        airflow.environment["CHENGXIN_ANSWERS_URL"] = f"{airflow.url}/answers"
        _make_stores(house)
        airflow.start(console.print)
        airflow.wait("its DAGs to be read", lambda: _all_read(airflow, dag_ids))
        for dag_id in sorted(dag_ids):
            airflow.api.unpause(dag_id)
        yield Day(house, airflow, sandbox, options.as_of, console, {"start": round(time.monotonic() - started, 1)})
        console.print("ending Airflow and the sandbox")


def run(options: Options, root: Path, console: Console, *, stay: bool = False) -> int:
    """The whole day, its summary on the console and in `summary.json`.

    Args:
        options: what kind of day.
        root: the project.
        console: where to report.
        stay: leave Airflow, the sandbox and the mail catcher running afterwards, until interrupted.

    Returns:
        Exit status: 0 when every run succeeded, every mail went out and the sums add up.
    """
    started = time.monotonic()
    with day(options, root, console) as today:
        if stay:
            _print_addresses(today)
        summary = today.run()
        summary.seconds["total"] = round(time.monotonic() - started, 1)
        summary.write(options.folder / SUMMARY)
        summary.print(console)
        faults = [f"{dag_id} failed" for dag_id in today.failures] + summary.faults()
        for fault in faults:
            console.print(f"[red]{fault}[/]")
        console.print(f"summary: {options.folder / SUMMARY}")
        if stay:
            _print_addresses(today)
            console.print("Ctrl-C ends all of it")
            _stay(today)
    return 1 if faults else 0


def _print_addresses(today: Day) -> None:
    today.console.print(f"Airflow       {today.airflow.url}   user {USER}, password {today.airflow.password}")
    others = ", ".join(name for name in today.airflow.users if name != USER)
    today.console.print(f"Pages         {today.airflow.url}/credit/   users {others}; the same password")
    today.console.print(f"Mail catcher  {today.sandbox.mail_url}")


def _stay(today: Day) -> None:
    try:
        while True:
            today.airflow.group.check()
            time.sleep(1)
    except KeyboardInterrupt:
        today.console.print()


def _expected(house: House) -> set[str]:
    return {"check_matters", "warn_departments", *(f"harvest__{source}" for source in _sources(house))}


def _sources(house: House) -> Sequence[str]:
    return _district(house).sources


def _district(house: House) -> districts.District:
    return districts.load(house.include_dir / "districts" / f"{house.district}.yml")


def _all_read(airflow: LocalAirflow, dag_ids: set[str]) -> bool:
    errors = airflow.api.import_errors()
    if errors:
        raise DayFailedError(
            "Airflow cannot read the DAG files",
            where=", ".join(errors),
            why="\n".join(errors.values()),
            remedy="run `make test`",
        )
    return dag_ids <= airflow.api.dag_ids()


def _make_stores(house: House) -> None:
    """Makes ledger and lake here, once, before several first tasks would do so at the same instant."""
    from chengxin import lake

    with house.ledger.begin():
        lake.ensure(house.lake)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the hold ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DayFailedError(
                "another demo is running here",
                where=str(folder),
                remedy="wait for it or end it, or give this one its own folder with --folder",
            ) from None
        yield


@contextmanager
def _terminable() -> Iterator[None]:
    """Turns SIGTERM and SIGHUP into Ctrl-C, so that they too end everything in order.

    SIGINT as well: a shell that starts a program in the background has it ignored.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
