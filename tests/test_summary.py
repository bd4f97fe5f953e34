"""A day in numbers: its form, and what counts as a fault."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from chengxin.ledger.models import CheckRun, Harvest
from chengxin.settings import House
from chengxin.summary import Summary, summarise

DAY = date(2026, 6, 15)


def good() -> Summary:
    counts = {"harvested": 10, "published": 6, "unchanged": 1, "rejected": 2, "ignored": 1, "removed": 3}
    return Summary(
        as_of=DAY,
        sources={"matters": counts},
        advice={"PASS": 4},
        mails={"planned": 3, "sent": 3, "refused": 0, "unknown": 0},
        seconds={"harvest": 1.5},
        states={"matters": "published"},
    )


def test_a_good_day_has_no_faults() -> None:
    assert good().faults() == []


def test_sums_that_do_not_add_up() -> None:
    summary = good()
    summary.sources["matters"]["ignored"] = 0
    assert summary.faults() == ["matters: harvested 10 is not published + unchanged + rejected + ignored"]


def test_a_harvest_that_was_stopped() -> None:
    summary = good()
    summary.states["matters"] = "stopped"
    assert summary.faults() == ["matters: harvest is stopped"]


@pytest.mark.parametrize(
    ("mails", "fault"),
    [
        ({"planned": 3, "sent": 2, "refused": 1, "unknown": 0}, "mails refused: 1"),
        ({"planned": 3, "sent": 2, "refused": 0, "unknown": 1}, "mails unknown: 1"),
        ({"planned": 3, "sent": 2, "refused": 0, "unknown": 0}, "mails not sent: 1"),
    ],
)
def test_mails_that_did_not_go_out(mails: dict[str, int], fault: str) -> None:
    summary = good()
    summary.mails = mails
    assert summary.faults() == [fault]


def test_form_of_the_file(tmp_path: Path) -> None:
    good().write(tmp_path / "summary.json")
    assert json.loads((tmp_path / "summary.json").read_text("utf-8")) == {
        "as_of": "2026-06-15",
        "sources": {"matters": {"harvested": 10, "published": 6, "unchanged": 1, "rejected": 2, "ignored": 1}},
        "advice": {"PASS": 4},
        "mails": {"planned": 3, "sent": 3, "refused": 0, "unknown": 0},
        "seconds": {"harvest": 1.5},
    }


def test_for_people() -> None:
    screen = io.StringIO()
    good().print(Console(file=screen, width=120))
    assert "matters" in screen.getvalue()
    assert "PASS 4" in screen.getvalue()


def test_from_the_ledger_the_newest_of_each(house: House) -> None:
    at = house.clock()
    with house.ledger.begin() as session:
        for harvested in (5, 7):
            session.add(
                Harvest(
                    source="matters",
                    as_of=DAY,
                    state="published",
                    contract_sha256="0" * 64,
                    started_at=at,
                    harvested=harvested,
                    published=harvested,
                )
            )
        session.add(
            CheckRun(
                district=house.district,
                as_of=DAY,
                read_seq=1,
                policy="p",
                policy_version="v",
                engine="e",
                started_at=at,
                counts={"advice": {"PASS": 2, "EXCLUDE": 1}},
            )
        )
    summary = summarise(house, DAY, {"check": 2.0})
    assert summary.sources["matters"]["harvested"] == 7
    assert summary.advice == {"EXCLUDE": 1, "PASS": 2}
    assert summary.mails == {"planned": 0, "sent": 0, "refused": 0, "unknown": 0}
    assert summary.faults() == []


def test_a_day_of_which_nothing_is_known(house: House) -> None:
    summary = summarise(house, DAY, {})
    assert (summary.sources, summary.advice) == ({}, {})
