"""The watch over the sources: four states, recorded once per change, as acts too."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from chengxin import contracts, districts, sweep
from chengxin.clock import BEIJING
from chengxin.ledger import acts
from chengxin.ledger.models import Harvest
from chengxin.ledger.watch import SourceState
from chengxin.settings import House
from tests.conftest import ROOT

DAY = date(2026, 6, 15)
SOURCE = "abnormal_list"
OTHERS = tuple(name for name in districts.load(ROOT / "include/districts/370112.yml").sources if name != SOURCE)


def at(house: House, day: date, hour: int = 12) -> House:
    return replace(house, clock=lambda: datetime(day.year, day.month, day.day, hour, tzinfo=BEIJING))


def harvested(house: House, source: str, as_of: date, state: str = "published", cause: str | None = None) -> None:
    with house.ledger.begin() as session:
        session.add(
            Harvest(
                source=source, as_of=as_of, state=state, contract_sha256="0" * 64, started_at=house.clock(), cause=cause
            )
        )


def all_others(house: House, day: date) -> None:
    for name in OTHERS:
        harvested(house, name, day)


def states(house: House) -> list[tuple[str, str | None, str]]:
    with house.ledger.begin() as session:
        rows = session.scalars(select(SourceState).where(SourceState.source == SOURCE).order_by(SourceState.id))
        return [(row.as_of.isoformat(), row.before, row.state) for row in rows]


def test_late_stale_recovered_fresh(house: House) -> None:
    max_age = contracts.load(ROOT / f"include/sources/{SOURCE}.yml").max_age.days
    assert max_age == 2
    for offset in range(8):
        day = DAY + timedelta(days=offset)
        all_others(at(house, day), day)
        if offset in (0, 5, 6, 7):
            harvested(at(house, day), SOURCE, day)
        found = sweep.run(at(house, day))
        again = sweep.run(at(house, day, 13))
        assert again["changed"] == {}
        assert sum(found[state] for state in sweep.STATES) == len(OTHERS) + 1
    assert states(house) == [
        ("2026-06-15", None, "fresh"),
        ("2026-06-16", "fresh", "late"),
        ("2026-06-18", "late", "stale"),
        ("2026-06-20", "stale", "recovered"),
        ("2026-06-21", "recovered", "fresh"),
    ]
    with house.ledger.begin() as session:
        kinds = list(session.scalars(select(acts.Act.kind).where(acts.Act.subject == SOURCE).order_by(acts.Act.seq)))
        assert acts.verify(session).broken_at is None
    assert kinds == ["source.fresh", "source.late", "source.stale", "source.recovered", "source.fresh"]


def test_before_its_hour_and_the_grace_nothing_is_missed(house: House) -> None:
    harvested(house, SOURCE, DAY)
    next_day = DAY + timedelta(days=1)
    # Scheduled at 02:10, missed from 05:10 on.
    assert sweep.standings(at(house, next_day, 5))[SOURCE].state == "fresh"
    late = sweep.standings(at(house, next_day, 6))[SOURCE]
    assert (late.state, late.expected_on, late.age_days) == ("late", next_day, 1)


def test_the_cause_of_the_last_failure_is_named(house: House) -> None:
    harvested(house, SOURCE, DAY - timedelta(days=1))
    harvested(house, SOURCE, DAY, "failed", "unreachable")
    found = sweep.standings(at(house, DAY))
    assert (found[SOURCE].state, found[SOURCE].cause) == ("late", "unreachable")
    assert found[OTHERS[0]].state == "stale"
    assert found[OTHERS[0]].observed_on is None


def test_a_past_day_is_looked_at_and_not_recorded(house: House) -> None:
    harvested(house, SOURCE, DAY)
    sweep.run(at(house, DAY))
    recorded = states(house)
    before = sweep.run(at(house, DAY), DAY - timedelta(days=1))
    assert before["stale"] == len(OTHERS) + 1
    assert states(house) == recorded


def test_a_broken_contract_is_stale_and_hides_nobody(house: House, tmp_path: Path) -> None:
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include/sources", include / "sources")
    shutil.copytree(ROOT / "include/districts", include / "districts")
    (include / f"sources/{SOURCE}.yml").write_text("name: [", "utf-8")
    house = replace(at(house, DAY), include=include)
    all_others(house, DAY)
    harvested(house, SOURCE, DAY)
    found = sweep.standings(house)
    assert found[SOURCE].state == "stale"
    assert {found[name].state for name in OTHERS} == {"fresh"}


def test_operators_hear_of_a_source_when_it_becomes_stale(house: House) -> None:
    changed = sweep.run(at(house, DAY))["changed"]
    with pytest.raises(sweep.StaleSourceError, match=rf"too old to be used: .*{SOURCE}"):
        sweep.alarm(changed)
    with pytest.raises(sweep.StaleSourceError, match="see `chengxin --district 370112 sources`"):
        sweep.alarm(changed, "chengxin --district 370112")
    sweep.alarm(sweep.run(at(house, DAY))["changed"])
    sweep.alarm({SOURCE: "fresh→late"})
