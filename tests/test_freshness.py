"""How old a source is, by day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from chengxin import contracts, freshness
from chengxin.freshness import Age
from chengxin.ledger.models import Harvest
from chengxin.settings import House

DAY = date(2026, 6, 15)


def harvested(house: House, source: str, as_of: date, state: str = "published") -> None:
    with house.ledger.begin() as session:
        session.add(
            Harvest(source=source, as_of=as_of, state=state, contract_sha256="0" * 64, started_at=house.clock())
        )


@pytest.fixture
def two_days(house: House) -> contracts.Contract:
    """A contract whose source may be two days old."""
    one = contracts.load(house.include_dir / "sources" / "abnormal_list.yml")
    return one.model_copy(update={"max_age": timedelta(days=2)})


@pytest.mark.parametrize(("age", "state"), [(0, "fresh"), (1, "fresh"), (2, "fresh"), (3, "stale"), (400, "stale")])
def test_the_last_day_is_still_fresh(house: House, two_days: contracts.Contract, age: int, state: str) -> None:
    day = DAY - timedelta(days=age)
    harvested(house, two_days.name, day)
    assert freshness.ages(house, DAY, [two_days]) == {two_days.name: Age(two_days.name, day, age, state, 2)}


def test_a_limit_in_hours_counts_whole_days(house: House, two_days: contracts.Contract) -> None:
    harvested(house, two_days.name, DAY - timedelta(days=2))
    tight = two_days.model_copy(update={"max_age": timedelta(hours=36)})
    assert freshness.ages(house, DAY, [tight])[tight.name].state == "stale"


def test_the_newest_published_harvest_up_to_the_day_counts(house: House, two_days: contracts.Contract) -> None:
    for offset, state in [(-9, "published"), (-1, "published"), (0, "failed"), (0, "stopped"), (1, "published")]:
        harvested(house, two_days.name, DAY + timedelta(days=offset), state)
    assert freshness.ages(house, DAY, [two_days])[two_days.name].observed_on == DAY - timedelta(days=1)


def test_a_source_never_published_is_missing(house: House, two_days: contracts.Contract) -> None:
    harvested(house, two_days.name, DAY + timedelta(days=1))
    harvested(house, two_days.name, DAY, "fetched")
    assert freshness.ages(house, DAY, [two_days]) == {two_days.name: Age(two_days.name, None, None, "missing", 2)}


def test_names_are_looked_up_and_a_bad_contract_silences_nobody(
    house: House, two_days: contracts.Contract, tmp_path: Path
) -> None:
    folder = tmp_path / "include" / "sources"
    folder.mkdir(parents=True)
    good = (house.include_dir / "sources" / "abnormal_list.yml").read_text("utf-8")
    (folder / "abnormal_list.yml").write_text(good, "utf-8")
    (folder / "broken.yml").write_text("name: [", "utf-8")
    house = replace(house, include=tmp_path / "include")
    for source in ("abnormal_list", "broken"):
        harvested(house, source, DAY)
    ages = freshness.ages(house, DAY, ["broken", "abnormal_list", "unknown"])
    assert [(age.source, age.state, age.observed_on) for age in ages.values()] == [
        ("broken", "missing", DAY),
        ("abnormal_list", "fresh", DAY),
        ("unknown", "missing", None),
    ]


def test_nothing_asked_nothing_said(house: House) -> None:
    assert freshness.ages(house, DAY, []) == {}
