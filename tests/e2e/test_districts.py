"""Two districts in one Airflow: the portal of one hangs, the other's day ends in time; neither sees the other's.

Each has a sandbox of its own: portal, front database, mail catcher. The contracts are the same; the second district's
file sends their connections to its own.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from rich.console import Console
from sqlalchemy import select

from chengxin import lake
from chengxin.demo import Day
from chengxin.ledger.messages import Message
from chengxin.ledger.models import Harvest
from chengxin.sandbox.airflow_api import AirflowApi
from chengxin.sandbox.local_airflow import LocalAirflow
from chengxin.sandbox.processes import members
from chengxin.sandbox.services import Sandbox
from chengxin.settings import House
from chengxin.summary import summarise

from .days import AS_OF, ROOT

pytestmark = pytest.mark.services

SLOW, QUICK = "370112", "990101"
FROM_THE_PORTAL = ("subject_registry", "matters", "credit_records", "blacklists")
SOURCES = (*FROM_THE_PORTAL, "annual_reports")
HARVESTED = ("subject_registry", "matters", "annual_reports")
"""What the quick district's mails need."""
SLOTS = 2
"""Of each district's pool: its share of the four tasks that run at once."""
CONNECTIONS = ("sharing_portal", "front_db", "file_drop", "smtp_default", "chengxin_link_key")
CONF = {"as_of": AS_OF.isoformat()}


@dataclass
class City:
    """Both districts under one Airflow."""

    airflow: LocalAirflow
    days: dict[str, Day]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder = tmp_path_factory.mktemp("two districts")
    settings = {
        "CHENGXIN_ROOT": str(ROOT),
        "CHENGXIN_INCLUDE": str(_include(folder / "include")),
        "CHENGXIN_VAR": str(folder / "run"),
        "CHENGXIN_DISTRICT": f"{SLOW},{QUICK}",
        "CHENGXIN_MODE": "sandbox",
        "CHENGXIN_SCHEDULES": "off",
        "CHENGXIN_THREADS": "2",
    }
    with (folder / "console.txt").open("w", encoding="utf-8") as screen, ExitStack() as stack:
        users = dict.fromkeys(("auditor", "czj", "yi"), "viewer")
        airflow = stack.enter_context(LocalAirflow(ROOT, folder / "airflow", settings, users=users))
        sandboxes = {
            code: stack.enter_context(Sandbox(folder / f"sandbox {code}", seed=seed, subjects=80, day=AS_OF))
            for seed, code in enumerate((SLOW, QUICK))
        }
        for code, ending in ((SLOW, ""), (QUICK, "_YI")):
            key = json.dumps({"conn_type": "generic", "password": secrets.token_urlsafe(32)})
            known = {**sandboxes[code].environment(), "AIRFLOW_CONN_CHENGXIN_LINK_KEY": key}
            airflow.environment.update({f"{name}{ending}": value for name, value in known.items()})
        airflow.environment["CHENGXIN_ANSWERS_URL"] = f"{airflow.url}/answers/{{district}}"
        houses = {code: House.from_environment(settings, district=code) for code in sandboxes}
        with ThreadPoolExecutor(2) as both:
            list(both.map(_prepare, houses.values()))
        airflow.start()
        ids = {f"harvest__{code}__{source}" for code in houses for source in SOURCES}
        ids |= {f"{stage}__{QUICK}" for stage in ("check_matters", "warn_departments")}
        airflow.wait("its DAGs to be read", lambda: ids <= airflow.api.dag_ids())
        assert airflow.api.import_errors() == {}
        for dag_id in ids:
            airflow.api.unpause(dag_id)
        console = Console(file=screen, width=120)
        yield City(
            airflow,
            {code: Day(house, airflow, sandboxes[code], AS_OF, console) for code, house in houses.items()},
        )
        sessions = [child.pid for child in airflow.group.children.values()]
    assert members(sessions, airflow.home) == []


def test_one_slow_district_delays_no_other(city: City) -> None:
    api, slow, quick = city.airflow.api, city.days[SLOW], city.days[QUICK]
    slow.sandbox.fail("*", "timeout", seconds=300)
    hanging = [f"harvest__{SLOW}__{source}" for source in FROM_THE_PORTAL]
    for dag_id in hanging:
        api.trigger(dag_id, CONF)
    city.airflow.wait("the slow district to fill its pool", lambda: _running(api, hanging) == SLOTS, 60)

    quick.follow({f"harvest__{QUICK}__{source}": CONF for source in HARVESTED})
    quick.follow({f"check_matters__{QUICK}": CONF})
    warned = f"warn_departments__{QUICK}"
    city.airflow.wait("its mails", lambda: any(run.done for run in api.runs(warned)), 90)

    assert quick.failures == []
    assert [(run.state, run.run_type) for run in api.runs(warned)] == [("success", "asset_triggered")]
    assert summarise(quick.house, AS_OF, {}).faults() == []
    # All that time the other waited for its portal, and had what its pool gives it and no more.
    assert not any(run.done for dag_id in hanging for run in api.runs(dag_id))
    assert 1 <= _running(api, hanging) <= SLOTS

    # Mails of the one went through its own server, to its own units; the other has said nothing yet.
    mails = quick.sandbox.messages()
    assert {mail["Delivered-To"].rpartition("@")[2] for mail in mails} == {"jia.example"}
    assert len(mails) > 1
    assert slow.sandbox.messages() == []


def test_pools_were_made_by_the_schedulers_start(city: City) -> None:
    for code in (SLOW, QUICK):
        pool = city.airflow.api.call("GET", f"/pools/district__{code}")
        assert pool["slots"] == SLOTS, code


def test_nothing_of_one_district_lies_with_the_other(city: City) -> None:
    one, other = (city.days[code].house for code in (SLOW, QUICK))
    assert one.var.parent == other.var.parent
    with other.ledger.read() as session:
        assert set(session.scalars(select(Harvest.source))) == set(HARVESTED)
        assert set(session.scalars(select(Message.district))) == {QUICK}
    with one.ledger.read() as session:
        # Failed where the machine is slow enough for the portal's time-outs to run out.
        assert set(session.scalars(select(Harvest.state))) <= {"fetching", "failed"}
        assert session.scalars(select(Message.id)).all() == []
    assert one.lake.rows("subject") == []
    assert len(other.lake.rows("subject")) > 50


def test_accounts_open_the_pages_of_their_own_district(city: City) -> None:
    airflow = city.airflow
    found = {}
    for login in ("auditor", "czj", "yi"):
        asked = requests.post(
            f"{airflow.url}/auth/token", json={"username": login, "password": airflow.password}, timeout=30
        )
        bearer = {"Authorization": f"Bearer {asked.json()['access_token']}"}
        for code in (SLOW, QUICK):
            found[login, code] = requests.get(
                f"{airflow.url}/credit/{code}/today", headers=bearer, timeout=60
            ).status_code
    assert found == {
        ("auditor", SLOW): 200, ("czj", SLOW): 200, ("yi", SLOW): 403,
        ("auditor", QUICK): 403, ("czj", QUICK): 403, ("yi", QUICK): 200,
    }  # fmt: skip


def test_answers_lead_to_the_own_districts_page(city: City) -> None:
    link = re.compile(rf"{re.escape(city.airflow.url)}(/answers/\d+)/([\w-]+)")
    texts = [
        part.get_content()
        for mail in city.days[QUICK].sandbox.messages()
        for part in mail.walk()
        if part.get_content_type() == "text/plain"
    ]
    base, token = next(found.groups() for text in texts if (found := link.search(text)))
    assert base == f"/answers/{QUICK}"
    here, there = (
        requests.get(f"{city.airflow.url}/answers/{code}/{token}", timeout=60).status_code for code in (QUICK, SLOW)
    )
    assert (here, there) == (200, 404)


def _include(folder: Path) -> Path:
    """The project's configuration, with the made-up second district beside the first."""
    shutil.copytree(ROOT / "include", folder, ignore=shutil.ignore_patterns("chengxin*", "trial", "__pycache__"))
    shutil.copytree(ROOT / "tests/districts/include", folder, dirs_exist_ok=True)
    policy = folder / "policy/shili-2023-1/policy.yml"
    other = "../../../../../include/policy/licheng-2020-2"
    policy.write_text(policy.read_text("utf-8").replace(other, "../licheng-2020-2"), "utf-8")
    for code in (SLOW, QUICK):
        file = folder / f"districts/{code}.yml"
        enabled = "".join(f"  - {name}\n" for name in SOURCES)
        text = re.sub(r"(?m)^sources:(\n(  - .*\n)+| .*\n)", f"sources:\n{enabled}", file.read_text("utf-8"), count=1)
        file.write_text(text, "utf-8")
    own = "".join(f"  {name}: {name}_yi\n" for name in CONNECTIONS)
    accounts = "accounts:\n  yi: {name: 样例承办员丙, role: officer, department: office}\n"
    file.write_text(f"{text}\n{accounts}connections:\n{own}", "utf-8")
    return folder


def _prepare(house: House) -> None:
    with house.ledger.begin():
        lake.ensure(house.lake)


def _running(api: AirflowApi, dag_ids: list[str]) -> int:
    """How many tasks of these DAGs have a slot."""
    return sum(
        state == "running"
        for dag_id in dag_ids
        for run in api.runs(dag_id)
        for state in api.task_states(dag_id, run.run_id).values()
    )
