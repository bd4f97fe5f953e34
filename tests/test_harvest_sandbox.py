"""All eleven sources of the sandbox through the harvest, over real HTTP, a real database and real files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from chengxin import connections, contracts, engine, harvest
from chengxin.ledger.models import Harvest
from chengxin.sandbox import shapes
from chengxin.sandbox.services import Sandbox
from chengxin.settings import House
from tests.conftest import NOW, ROOT

DAY = date(2026, 6, 15)
NEXT = date(2026, 6, 16)
SOURCES = tuple(sorted(set(shapes.SOURCES) - {"applicants"}))
AGAIN = ("annual_reports", "consents", "matters")
"""Harvested on a second day too: one source of each connector."""


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[date, dict[str, dict[str, Any]]]]]:
    """Two days of every source: the house, and day → source → outcome with `detail`."""
    tmp = tmp_path_factory.mktemp("sandbox")
    house = House(root=ROOT, var=tmp / "var", district="370112", clock=lambda: NOW)
    outcomes: dict[date, dict[str, dict[str, Any]]] = {}
    with Sandbox(tmp / "outside", subjects=1500, day=DAY) as sandbox:
        for day in (DAY, NEXT):
            sandbox.set_day(day)
            environment = sandbox.environment()
            house = replace(house, connections=lambda name, env=environment: connections.from_environment(name, env))  # type: ignore[misc]
            outcomes[day] = {}
            for source in SOURCES if day == DAY else AGAIN:
                outcome = harvest.run(house, source, day)
                with house.ledger.begin() as session:
                    outcome["detail"] = session.get_one(Harvest, outcome["harvest_id"]).detail
                outcomes[day][source] = outcome
        yield house, outcomes


Days = tuple[House, dict[date, dict[str, dict[str, Any]]]]


def test_every_record_has_one_outcome(days: Days) -> None:
    _, outcomes = days
    assert len(outcomes[DAY]) == 11
    for of_day in outcomes.values():
        for outcome in of_day.values():
            parts = ("published", "unchanged", "rejected", "ignored")
            assert outcome["state"] == "published"
            assert outcome["harvested"] == sum(outcome[name] for name in parts) > 0
            assert outcome["rejected"] == sum(outcome["detail"]["rejected"].values())
            assert outcome["ignored"] == sum(outcome["detail"]["ignored"].values())
            assert outcome["detail"]["drift"] == {"new": [], "missing": [], "retyped": []}


def test_the_second_day_writes_what_changed(days: Days) -> None:
    _, outcomes = days
    for source, second in outcomes[NEXT].items():
        first = outcomes[DAY][source]
        assert first["unchanged"] == 0
        assert second["published"] < first["published"] / 4, source
        assert second["unchanged"] > 0


def test_the_lake_holds_what_was_counted(days: Days) -> None:
    house, outcomes = days
    connection = house.engine()
    for source, outcome in outcomes[DAY].items():
        contract = contracts.load(ROOT / f"include/sources/{source}.yml")
        rows = engine.as_of(connection, house.lake, contract.table, DAY, source=source)
        assert rows.count().execute() == outcome["published"] == outcome["detail"]["facts"][contract.table]["new"]
        rejected = engine.as_of(connection, house.lake, "rejected", DAY, source=source)
        items = sum(outcome["detail"]["rejected_items"].values())
        assert rejected.count().execute() == outcome["rejected"] + items


def test_dirty_rows_of_several_kinds_were_met_and_no_person_was_kept(days: Days) -> None:
    house, outcomes = days
    rules = {rule for outcome in outcomes[DAY].values() for rule in outcome["detail"]["rejected"]}
    assert {"code.valid:EXCEL_MANGLED", "code.valid:IS_PERSONAL_ID", "date.readable", "field.required"} <= rules
    assert sum(outcome["detail"]["personal_ids"] for outcome in outcomes[DAY].values()) > 0
    values = [row["value"] or "" for row in house.lake.rows("rejected")]
    assert not [value for value in values if len(value) == 18 and value[:17].isdigit() and value[6:8] in ("19", "20")]
