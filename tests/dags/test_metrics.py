"""The house's gauges: what they say is what the ledger says; a gauge that cannot be set harms no task."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from chengxin import check
from chengxin.dagtools import HOUSE, metrics
from chengxin.ledger.models import Harvest
from chengxin.settings import House
from tests.conftest import NOW
from tests.factlake import FactLake, codes

DAY = NOW.date()
COUNTS = {"harvested": 10, "published": 5, "unchanged": 2, "rejected": 2, "ignored": 1, "removed": 3}


def measure(house: House, dag_id: str, task_id: str) -> dict[str, float]:
    return metrics.measure(house, dag_id, task_id, lambda: DAY)


def test_a_harvest_is_measured_by_its_sums_and_seconds(house: House) -> None:
    with house.ledger.begin() as session:
        for counts in (dict.fromkeys(COUNTS, 99), COUNTS):
            session.add(
                Harvest(
                    source="blacklists",
                    as_of=DAY,
                    state="published",
                    contract_sha256="0" * 64,
                    started_at=NOW,
                    finished_at=NOW + timedelta(seconds=7),
                    **counts,
                )
            )
    found = measure(house, "harvest__blacklists", "harvest")
    prefix = "chengxin.370112.harvest.blacklists."
    assert found == {f"{prefix}{part}": number for part, number in COUNTS.items()} | {f"{prefix}seconds": 7.0}
    assert measure(house, "harvest__blacklists", "publish") == found
    assert measure(house, "harvest__370112__blacklists", "publish") == found
    assert measure(house, "harvest__blacklists", "fetch") == {}
    assert measure(house, "harvest__consents", "harvest") == {}


def test_check_mails_and_sources_are_measured(house: House) -> None:
    lake = FactLake(house)
    lake.fresh(DAY)
    (code,) = codes(1)
    lake.put("matter", DAY, [{"matter_id": "M", "type": "招投标", "department": "zjj", "state": "待办"}])
    lake.put("applicant", DAY, [{"matter_id": "M", "applicant_no": "1", "uscc": code, "name": "示例甲有限公司"}])
    advice = check.run(house, DAY)["advice"]
    found = measure(house, "check_matters", "check")
    assert found.pop("chengxin.370112.check.seconds") >= 0
    assert found == {f"chengxin.370112.check.advice.{name}": number for name, number in advice.items()}
    assert sum(advice.values()) == 1

    mails = measure(house, "warn_departments", "report")
    assert mails == {f"chengxin.370112.messages.{state}": 0 for state in ("planned", "sent", "refused", "unknown")}

    # The same in an installation of several districts.
    assert measure(house, "warn_departments__370112", "report") == mails

    sources = measure(house, "watch_sources", "sweep")
    ages = {name: age for name, age in sources.items() if name.endswith(".age_days")}
    assert set(ages.values()) == {0}
    states = sum(sources[f"chengxin.370112.source.{state}"] for state in ("fresh", "late", "stale", "recovered"))
    assert states == len(ages) > 5


def test_what_has_nothing_to_measure_is_not_asked_for_its_day(house: House) -> None:
    def day() -> None:
        raise AssertionError

    assert metrics.measure(house, "maintain", "verify_chain", day) == {}  # type: ignore[arg-type]


def test_every_task_reports_and_a_gauge_that_fails_is_only_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert HOUSE["default_args"]["on_success_callback"] is metrics.report
    monkeypatch.setenv("CHENGXIN_MODE", "no such mode")
    context = {"dag": SimpleNamespace(dag_id="check_matters"), "ti": SimpleNamespace(task_id="check")}
    metrics.report(context)
    assert "the gauges of check_matters.check could not be set" in caplog.text
