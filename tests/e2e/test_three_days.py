"""Three days by hand, without Airflow: a fact appears, stays, is repaired; every rerun is quiet.

One made-up supplier applies in a central procurement (政府集中采购). On the second day its report shows a credit record
that is not rectified, on the fourth day the record is repaired.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from chengxin import check, connections, districts, engine, freshness, harvest, identity, warn
from chengxin.clock import BEIJING
from chengxin.sandbox.services import Sandbox
from chengxin.sandbox.story import Told
from chengxin.sandbox.world import World
from chengxin.settings import House

ROOT = Path(__file__).resolve().parents[2]
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2026, 6, 15) + timedelta(days) for days in range(4))
SUPPLIER = identity.complete(["91370112XXXX00042"])[0]
NAME = "济南三日示例供应有限公司"
MATTER = "LC-CG-202606-9001"
DEPARTMENT = "czj"


def story() -> list[Told]:
    """The supplier, its matter, its report and consent; and the record, with its course."""
    agency = World(1, 100, MONDAY).frame("agencies").to_pylist()[0]
    who = {"uscc": SUPPLIER, "name": NAME}
    subject = who | {"kind": "企业", "established": date(2015, 3, 2), "area_code": "370112010", "industry": "F"}
    matter = {
        "matter_no": MATTER,
        "title": "示例设备集中采购项目",
        "department": DEPARTMENT,
        "type": "政府采购",
        "procurement_form": "政府集中采购",
        "synonym": False,
        "opened_on": date(2026, 6, 8),
        "state": "待办",
    }
    report = who | {
        "report_no": "XB202606009001",
        "agency_uscc": agency["uscc"],
        "agency_name": agency["name"],
        "issue_date": date(2026, 5, 20),
        "valid_to": date(2027, 5, 19),
        "scale": "GB/T 22116",
        "grade": "BBB",
        "delivered_on": date(2026, 6, 9),
    }
    consent = who | {
        "consent_no": "SQ202606009001",
        "item": "信用报告",
        "matter_no": MATTER,
        "recipient": DEPARTMENT,
        "given_on": date(2026, 6, 8),
        "expires_on": date(2027, 6, 8),
    }
    record = who | {
        "record_no": "示例罚字〔2026〕第90001号",
        "severity": "一般",
        "authority": "区城管局",
        "identified_on": date(2026, 6, 1),
        "published_on": TUESDAY,
        "expires_on": date(2027, 6, 1),
        "in_report": "1",
        "person": False,
        "claims": False,
    }
    early = date(2026, 1, 1)
    return [
        Told("subjects", subject | {"state": "存续"}, early),
        Told("matters", matter, early),
        Told("applicants", who | {"matter_no": MATTER, "number": 1, "role": "供应商"}, early),
        Told("reports", report, early),
        Told("consents", consent, early),
        Told("records", record, TUESDAY, {THURSDAY: {"repaired_on": THURSDAY}}),
    ]


@dataclass
class Village:
    """The house, and the world around it."""

    house: House
    sandbox: Sandbox

    def live(self, day: date, *first: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Harvests what is named and what would be too old otherwise, then checks.

        Returns the counts by source, and those of the check.
        """
        if self.sandbox.day != day:
            self.sandbox.set_day(day)
        house = self.at(day)
        sources = districts.load(house.include_dir / f"districts/{house.district}.yml").sources
        ages = freshness.ages(house, day, sources)
        due = [source for source in sources if source in first or ages[source].state != "fresh"]
        return {source: harvest.run(house, source, day) for source in due}, check.run(house, day)

    def mail(self, day: date) -> list[Any]:
        """Plans and sends. Returns the mails that arrived meanwhile, the operators' report aside."""
        house, before = self.at(day), len(self.sandbox.messages())
        for department in warn.plan(house, day):
            warn.send(house, day, department)
        warn.report(house, day)
        district = districts.load(house.include_dir / f"districts/{house.district}.yml")
        arrived = self.sandbox.messages()[before:]
        return [mail for mail in arrived if mail["Delivered-To"] not in district.mail.operators]

    def at(self, day: date) -> House:
        """The house at eight in the morning."""
        return self.house.at(lambda: datetime.combine(day, time(8), BEIJING))

    def advice(self, day: date) -> dict[str, Any]:
        """What the lake says about the supplier on a day."""
        rows = engine.as_of(self.house.engine(), self.house.lake, "advice", day)
        (row,) = rows.filter(rows.matter_id == MATTER).to_pyarrow().to_pylist()
        return dict(row)


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    folder = tmp_path_factory.mktemp("three days")
    with Sandbox(folder / "sandbox", seed=1, subjects=100, day=MONDAY, story=story()) as sandbox:
        environment = sandbox.environment()
        house = House(root=ROOT, var=folder / "var", district="370112", mode="sandbox")
        house = replace(house, connections=lambda name: connections.from_environment(name, environment))
        yield Village(house, sandbox)


@pytest.mark.services
def test_a_fact_appears_stays_and_is_repaired(village: Village) -> None:
    sources, checked = village.live(MONDAY)
    for source, counts in sources.items():
        parts = sum(counts[part] for part in ("published", "unchanged", "rejected", "ignored"))
        assert counts["harvested"] == parts > 0, source
    monday = village.advice(MONDAY)
    assert monday["decision"] == "PASS"
    assert sum(checked["advice"].values()) > 100
    first = village.mail(MONDAY)
    assert first
    assert mailbox(village) in {mail["Delivered-To"] for mail in first}
    assert village.mail(MONDAY) == []

    # The same day again: nothing new anywhere.
    sources, checked = village.live(MONDAY, "subject_registry", "matters")
    assert {source: counts["published"] for source, counts in sources.items()} == {"subject_registry": 0, "matters": 0}
    assert checked["seq"] is None
    assert village.mail(MONDAY) == []

    # It appears.
    village.live(TUESDAY, "credit_records")
    tuesday = village.advice(TUESDAY)
    assert tuesday["decision"] == "RESTRICT"
    assert tuesday["advice_id"] == monday["advice_id"]
    told = [mail for mail in village.mail(TUESDAY) if mentions(mail, NAME)]
    assert {mail["Delivered-To"] for mail in told} == {mailbox(village)}

    # It stays: the next day's mails say nothing of it.
    village.live(WEDNESDAY, "credit_records")
    assert village.advice(WEDNESDAY)["decision"] == "RESTRICT"
    assert not [mail for mail in village.mail(WEDNESDAY) if mentions(mail, NAME)]

    # It is repaired.
    village.live(THURSDAY, "credit_records")
    assert village.advice(THURSDAY)["decision"] == "PASS"
    told = [mail for mail in village.mail(THURSDAY) if mentions(mail, NAME)]
    assert {mail["Delivered-To"] for mail in told} == {mailbox(village)}

    # The past reads as it was.
    assert village.advice(MONDAY)["row_hash"] == monday["row_hash"]
    assert village.advice(TUESDAY)["row_hash"] == tuesday["row_hash"]


def mailbox(village: Village) -> str:
    district = districts.load(ROOT / f"include/districts/{village.house.district}.yml")
    return district.departments[DEPARTMENT].mailbox


def mentions(mail: Any, text: str) -> bool:
    """The mail, or a work list attached to it, speaks of it."""
    for part in mail.walk():
        if part.get_content_type() == "text/plain" and text in part.get_content():
            return True
        if (part.get_filename() or "").endswith(".xlsx"):
            book = openpyxl.load_workbook(io.BytesIO(part.get_content()), read_only=True)
            if any(text in str(cell) for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row):
                return True
    return False
