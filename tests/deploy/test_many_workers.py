"""docker-compose.yaml at work without containers: its commands and environment, two workers, one of which dies.

Strategy: the same day of the same made-up world is played twice, once by hand on embedded defaults (of which
`tests/e2e/test_day.py` shows that the embedded Airflow does the same), once by the compose file's services, where a
worker is killed in mid-harvest. Lake and mails must be the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage

import pytest
import requests
from rich.console import Console
from sqlalchemy import func, select

from chengxin import demo, sums
from chengxin.desk import read
from chengxin.desk.refresh import refresh
from chengxin.desk.scope import Scope
from chengxin.desk.tables import metadata, subject
from chengxin.harvest_ledger import COUNTS
from chengxin.ledger.models import Harvest
from chengxin.settings import House
from chengxin.summary import Summary
from chengxin.tables import HARVEST_SUM, TABLES
from tests.e2e import by_hand
from tests.e2e.by_hand import ByHand
from tests.e2e.days import AS_OF, DISTRICT, ROOT

from .native import WORKERS, ComposedAirflow, Metrics, composed, databases, free_ports, variables
from .test_compose import options

pytestmark = pytest.mark.services

SUBJECTS, SEED = 150, 7
SLOW = "credit_records"
"""The harvest in whose middle the worker dies: its source falls silent."""


@dataclass
class Days:
    """One day, played twice."""

    embedded: ByHand
    summary: Summary
    day: demo.Day
    mails: list[EmailMessage]
    lost: str
    """The worker that was killed."""
    killed: list[tuple[str, str]]
    """DAG and run of the tasks that died with it."""
    metrics: Metrics

    @property
    def airflow(self) -> ComposedAirflow:
        assert isinstance(self.day.airflow, ComposedAirflow)
        return self.day.airflow


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    folder = tmp_path_factory.mktemp("many workers")
    with (folder / "console.txt").open("w", encoding="utf-8") as screen, Metrics() as metrics:
        console = Console(file=screen, width=120)
        embedded = by_hand.play(folder / "embedded", subjects=SUBJECTS, seed=SEED)
        ports = free_ports()
        given = variables(ports, DISTRICT, metrics.port)
        settings = {
            **databases(ports, given),
            # Looks every two seconds for those who say nothing, and reports what it does more often.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        }
        chosen = demo.Options(
            as_of=AS_OF,
            subjects=SUBJECTS,
            seed=SEED,
            district=DISTRICT,
            folder=folder / "composed",
            port=ports["8080"],
            settings=settings,
            airflow=composed(ports, given),
        )
        with demo.day(chosen, ROOT, console) as day:
            assert isinstance(day.airflow, ComposedAirflow)
            day.sandbox.fail(SLOW, "timeout", seconds=600)
            killer = Killer(day.airflow, day.house, day.sandbox.heal)
            killer.start()
            summary = day.run()
            killer.join()
            assert killer.error is None, killer.error
            yield Days(embedded, summary, day, day.sandbox.messages(), killer.lost, killer.killed, metrics)


class Killer(threading.Thread):
    """Waits until the slow harvest is under way on a worker, kills that worker, and heals the source."""

    def __init__(self, airflow: ComposedAirflow, house: House, heal: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.airflow, self.house, self.heal = airflow, house, heal
        self.lost = ""
        self.killed: list[tuple[str, str]] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._kill()
        except BaseException as error:
            self.error = error
        finally:
            self.heal()

    def _kill(self) -> None:
        deadline = time.monotonic() + 240
        while not self.lost:
            assert time.monotonic() < deadline, "the slow harvest never began"
            time.sleep(1)
            if not self.fetching():
                continue
            running = self.running()
            for worker in WORKERS:
                processes = self.airflow.processes(worker)
                here = [(dag, run) for dag, run, pid in running if pid in processes]
                if f"harvest__{SLOW}" in {dag for dag, _ in here}:
                    self.lost, self.killed = worker, here
                    self.airflow.lose(worker)
                    return

    def fetching(self) -> bool:
        """Whether the slow harvest has begun and waits for its source."""
        asked = select(func.count()).select_from(Harvest).where(Harvest.source == SLOW, Harvest.state == "fetching")
        with self.house.ledger.begin() as session:
            return bool(session.scalar(asked))

    def running(self) -> list[tuple[str, str, int]]:
        found = self.airflow.api.call("GET", "/dags/~/dagRuns/~/taskInstances", state="running", limit=100)
        return [(task["dag_id"], task["dag_run_id"], task["pid"]) for task in found["task_instances"] if task["pid"]]


def test_the_providers_know_every_option_of_theirs() -> None:
    from airflow.configuration import retrieve_configuration_description

    known = retrieve_configuration_description(include_airflow=True, include_providers=True)
    assert [(s, o) for s, o in options() if o not in known.get(s, {}).get("options", {})] == []
    assert {section for section, _ in options()} >= {"celery", "fab"}
    # Where the compose file mounts the installation's own.
    assert known["fab"]["options"]["config_file"]["default"] == "{AIRFLOW_HOME}/webserver_config.py"


def test_every_service_was_healthy_by_its_own_check(days: Days) -> None:
    assert days.airflow.healthy == dict.fromkeys(
        ("metrics", "api-server", "scheduler", "dag-processor", "triggerer", *WORKERS), True
    )


def test_a_worker_died_in_mid_harvest_and_the_day_ended_complete(days: Days) -> None:
    assert days.lost in WORKERS
    assert f"harvest__{SLOW}" in {dag for dag, _ in days.killed}
    assert days.day.failures == []
    assert days.summary.faults() == []
    tries = {
        dag: max(
            task["try_number"]
            for task in days.airflow.api.call("GET", f"/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        )
        for dag, run in days.killed
    }
    assert all(number >= 2 for number in tries.values()), tries


def test_the_numbers_are_those_of_the_embedded_day(days: Days) -> None:
    with days.day.house.ledger.begin() as session:
        published = select(Harvest).where(Harvest.as_of == AS_OF, Harvest.state == "published")
        runs = list(session.scalars(published.order_by(Harvest.id)))
    counts = [(run.source, {name: getattr(run, name) for name in COUNTS}) for run in runs]
    expected = days.embedded.summary.sources
    assert dict(reversed(counts)) == expected, "the first harvest of each source"
    # A task that is killed between its harvest's end and its own is tried again, and finds everything unchanged.
    again = {source: run for source, run in days.summary.sources.items() if run != expected[source]}
    assert again.keys() <= {dag.removeprefix("harvest__") for dag, _ in days.killed}
    for source, run in again.items():
        first = expected[source]
        assert run == first | {"published": 0, "unchanged": first["published"], "removed": 0}
    assert days.summary.advice == days.embedded.summary.advice
    assert days.summary.mails == days.embedded.summary.mails


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_lake_is_that_of_the_embedded_day_to_the_row(days: Days, table: str) -> None:
    if table == HARVEST_SUM.name:
        assert sums.faults(days.day.house) == []
    rows, expected = (by_hand.canonical(house, table) for house in (days.day.house, days.embedded.house))
    if table == HARVEST_SUM.name and len(rows) > len(expected):
        # A task that was killed after its harvest's end was tried again: a run of its own, in which nothing changed.
        killed = {dag.removeprefix("harvest__") for dag, _ in days.killed}
        again = [row for row in days.day.house.lake.rows(table) if row["unchanged"] == row["harvested"]]
        assert {row["source"] for row in again} <= killed
        rows = [row for row in rows if row in expected]
    assert len(rows) == len(expected)
    assert rows == expected


def test_the_mails_are_those_of_the_embedded_day(days: Days) -> None:
    expected = by_hand.letters(days.embedded.mails)
    assert by_hand.letters(days.mails) == expected
    assert len(expected) > 5


def test_the_desk_is_in_postgresql_and_is_that_of_the_embedded_day(days: Days) -> None:
    refresh(days.embedded.house)
    desks = [days.day.house.desk, days.embedded.house.desk]
    assert [desk.embedded for desk in desks] == [False, True]
    shown = metadata.sorted_tables
    seen = []
    for desk in desks:
        with desk.read() as connection:
            numbers = [connection.scalar(select(func.count()).select_from(table)) for table in shown]
            # Refs and what is made of them are each house's own.
            named = select(subject.c.uscc, subject.c.name, subject.c.state).order_by(subject.c.uscc)
            seen.append((numbers, [tuple(row) for row in connection.execute(named)]))
    assert seen[0] == seen[1]
    assert sum(map(bool, seen[0][0])) > 10


def test_a_page_is_read_from_it(days: Days) -> None:
    url, session = days.airflow.url, requests.Session()
    session.trust_env = False
    who = {"username": days.airflow.variables["ADMIN_USER"], "password": days.airflow.password}
    token = session.post(f"{url}/auth/token", json=who, timeout=30).json()["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"
    found = session.get(f"{url}/credit/api/v1/matters", params={"limit": 100}, timeout=30).json()["items"]
    with days.embedded.house.desk.read() as connection:
        newest = read.matters(connection, Scope.everything(), paging=read.Paging(100)).page.rows
    assert [(each["type"], each["applicants"]) for each in found] == [(each.type, each.applicants) for each in newest]
    assert len(found) > 50


def test_gauges_say_what_the_ledger_says(days: Days) -> None:
    said = days.metrics.newest
    for source, counts in days.summary.sources.items():
        for part, number in counts.items():
            assert said[f"airflow.chengxin.{DISTRICT}.harvest.{source}.{part}"] == f"{number}|g"
    for decision, number in days.summary.advice.items():
        assert said[f"airflow.chengxin.{DISTRICT}.check.advice.{decision}"] == f"{number}|g"
    for state, number in days.summary.mails.items():
        assert said[f"airflow.chengxin.{DISTRICT}.messages.{state}"] == f"{number}|g"
    assert float(said[f"airflow.chengxin.{DISTRICT}.check.seconds"].removesuffix("|g")) > 0
    # Airflow's own go the same way.
    assert "airflow.ti_successes" in said
    assert "airflow.scheduler_heartbeat" in said


def test_logs_name_run_source_and_district(days: Days) -> None:
    (run,) = days.airflow.api.runs(f"harvest__{SLOW}")
    entries = days.airflow.api.log(run.dag_id, run.run_id, "harvest")
    ours = [entry for entry in entries if entry.get("district")]
    assert ours
    assert {(one["run_id"], one["source"], one["district"]) for one in ours} == {(run.run_id, SLOW, DISTRICT)}


def test_fab_lets_in_who_knows_the_password_and_nobody_else(days: Days) -> None:
    url, session = days.airflow.url, requests.Session()
    session.trust_env = False
    right = {"username": days.airflow.variables["ADMIN_USER"], "password": days.airflow.password}
    answer = session.post(f"{url}/auth/token", json=right, timeout=30)
    assert answer.status_code == 201
    token = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert session.get(f"{url}/api/v2/dags", headers=token, timeout=30).status_code == 200
    assert session.get(f"{url}/api/v2/dags", timeout=30).status_code == 401
    assert session.post(f"{url}/auth/token", json=right | {"password": "x" * 20}, timeout=30).status_code == 401


def test_the_clean_up_of_the_compose_file_runs(days: Days) -> None:
    before = len(days.airflow.api.runs())
    days.airflow.chore("clean")
    # Nothing is old enough to go.
    assert len(days.airflow.api.runs()) == before
