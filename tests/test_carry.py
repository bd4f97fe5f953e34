"""Conclusions carried over from the last check are those that judging all would give, whatever happened since."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest

from chengxin import carry, check, engine, freshness, linking, policy, rulebook
from chengxin.ledger.models import CheckRun, Commit
from chengxin.linking import Only
from chengxin.settings import House
from tests.conftest import ROOT
from tests.factlake import FactLake, codes, day

START = day("2026-05-20")
PEOPLE = [*codes(*range(1, 7)), *codes(7, kind="92"), *codes(8, kind="93")]
AGENCY, UNFILED = codes(90, 91)
TYPES = ("政府采购", "资金扶持", "招投标", "国有资产产权交易", "日常监管", "土地出让")
LISTS = ("黑名单", "失信被执行人", "重点关注名单")


def subject(number: int, **fields: Any) -> dict[str, Any]:
    kinds = {"91": "企业", "92": "个体工商户", "93": "农民专业合作社"}
    code = PEOPLE[number]
    known = {"kind": kinds[code[:2]], "state": "存续", "established": day("2019-05-22"), "name": f"示例{number}"}
    return {"uscc": code, **known, **fields}


def begin(house: House, people: int = len(PEOPLE)) -> FactLake:
    """Subjects, a filed agency, and a matter for each subject: of every kind, with a fixed test date or none."""
    lake = FactLake(house)
    lake.fresh(START)
    lake.put("subject", START, [subject(n) for n in range(people)])
    lake.put("agency", START, [{"uscc": AGENCY, "filed_on": day("2020-01-01")}])
    lake.put("matter", START, [matter(n) for n in range(people)])
    lake.put(
        "applicant", START,
        [{"matter_id": f"M{n}", "applicant_no": "1", "uscc": PEOPLE[n], "name": f"示例{n}"} for n in range(people)],
    )  # fmt: skip
    return lake


def matter(number: int, **fields: Any) -> dict[str, Any]:
    about = {
        "type": TYPES[number % len(TYPES)], "department": "zjj", "state": "待办", "opened_on": day("2026-05-01"),
        "procurement_form": "政府集中采购", "fund_kind": "产业扶持资金", "land_method": "招标",
        "test_date": day("2026-06-01") if number % 3 == 2 else None,
    }  # fmt: skip
    return {"matter_id": f"M{number}", **about, **fields}


def record(number: int, **fields: Any) -> dict[str, Any]:
    return {"record_no": f"D{number}", "uscc": PEOPLE[number], "in_report": True, **fields}


def report(number: int, **fields: Any) -> dict[str, Any]:
    return {"report_no": f"R{number}", "uscc": PEOPLE[number], "agency_uscc": AGENCY, "grade": "AAA", **fields}


def consent(number: int, **fields: Any) -> dict[str, Any]:
    return {"consent_id": f"C{number}", "uscc": PEOPLE[number], "item": "信用报告", "recipient": "zjj",
            "given_on": day("2026-05-01"), **fields}  # fmt: skip


def entry(number: int, **fields: Any) -> dict[str, Any]:
    return {"list": LISTS[number % 3], "doc_no": f"E{number}", "uscc": PEOPLE[number], **fields}


def carried(house: House, on: date) -> dict[str, Any]:
    """A day's check, which must have carried over."""
    counts = check.run(house, on)
    assert counts["scope"]["full"] is None, counts["scope"]
    return counts


def all_agrees(house: House, on: date, counts: dict[str, Any]) -> None:
    """Judging all afterwards changes no row of any table, and counts the same."""
    whole = check.run(house, on, full=True)
    assert whole["scope"]["full"]
    assert whole["seq"] is None, (on, whole["changed"])
    assert whole["scope"]["unexpected"] == 0
    assert {name: counts[name] for name in ("advice", "filing", "findings")} == {
        name: whole[name] for name in ("advice", "filing", "findings")
    }


class History:
    """Days on which anything may happen: facts that come, change, go, come back, and dates that lie ahead."""

    def __init__(self, house: House, seed: int) -> None:
        self.rng = random.Random(seed)
        self.lake = begin(house)
        self.on = START
        self.known: dict[tuple[str, int], dict[str, Any]] = {}

    def near(self) -> date | None:
        """A day within the next weeks, or a year before one: something will happen on it by itself."""
        if self.rng.random() < 0.2:
            return None
        ahead = self.on + timedelta(days=self.rng.randrange(-3, 25))
        return self.rng.choice([ahead, ahead - timedelta(days=365)])

    def live(self) -> None:
        """A day or some pass, and some facts change."""
        self.on += timedelta(days=self.rng.choice([1, 1, 2, 6]))
        self.lake.fresh(self.on)
        for _ in range(self.rng.choice([0, 1, 2, 4])):
            self._happen()

    def _happen(self) -> None:
        number = self.rng.randrange(len(PEOPLE))
        made: dict[str, Callable[[], dict[str, Any]]] = {
            "credit_record": lambda: record(
                number, identified_on=self.near(), rectified_confirmed_on=self.near(),
                **self.rng.choice([{}, {"repaired_on": self.near()}, {"expires_on": self.near()},
                                   {"withdrawn_on": self.near()}]),
            ),
            "credit_report": lambda: report(
                number, issue_date=self.near(), valid_to=self.near(),
                agency_uscc=self.rng.choice([AGENCY, AGENCY, UNFILED]),
                handed_in_by=self.rng.choice([None, None, self.rng.choice(PEOPLE)]),
            ),
            "consent": lambda: consent(
                number, given_on=self.near(),
                **self.rng.choice([{}, {"withdrawn_on": self.near()}, {"expires_on": self.near()}]),
            ),
            "list_entry": lambda: entry(
                number, listed_on=self.near(), removed_on=self.near(), expires_on=self.near(),
                **self.rng.choice([{}, {}, {"uscc": None, "subject_name": f"示例{number}"}]),
            ),
            "matter": lambda: matter(
                number, opened_on=self.near(), decided_on=self.near(), test_date=self.near(),
                state=self.rng.choice(["待办", "待办", "办结"]), type=self.rng.choice(TYPES),
            ),
            "applicant": lambda: {
                "matter_id": f"M{number}", "applicant_no": self.rng.choice("12"), "uscc": self.rng.choice(PEOPLE),
                "name": f"示例{self.rng.randrange(9)}",
            },
            "subject": lambda: subject(
                number, kind=self.rng.choice(["企业", "个体工商户", None]), revoked_on=self.near(),
                **self.rng.choice([{}, {"state": "注销", "deregistered_on": self.near()}]),
            ),
            "agency": lambda: {"uscc": self.rng.choice([AGENCY, UNFILED]), "filed_on": self.near(),
                               "cancelled_on": self.near()},
        }  # fmt: skip
        table = self.rng.choice(list(made))
        before = self.known.get((table, number))
        if before and self.rng.random() < 0.3:
            self.lake.put(table, self.on, [before], gone=True)
        else:
            self.known[table, number] = row = made[table]()
            self.lake.put(table, self.on, [row])


def tell(house: House, seed: int, days: int) -> None:
    history = History(house, seed)
    check.run(house, START)
    fewer = 0
    for _ in range(days):
        history.live()
        counts = check.run(house, history.on)
        assert counts["scope"]["full"] in (None, carry.COMPARED), counts["scope"]
        fewer += counts["scope"]["full"] is None and counts["scope"]["applicants"] < sum(counts["advice"].values())
        all_agrees(house, history.on, counts)
    assert fewer >= days // 2


def test_a_random_history(house: House) -> None:
    tell(house, 1, 2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 22))
def test_random_histories(house: House, seed: int) -> None:
    tell(house, seed, 12)


@pytest.mark.services
def test_what_passes_with_the_day_alone(house: House) -> None:
    """No new fact at all, and each of these changes an answer on its own day."""
    lake = begin(house)
    turns = START + timedelta(days=3)
    lake.put("credit_record", START, [record(0, identified_on=date(2025, 5, 22))])  # the year's window ends
    lake.put("credit_report", START, [
        report(1, issue_date=START), report(2, issue_date=START, valid_to=START + timedelta(days=2)),
        report(4, issue_date=date(2025, 5, 22)),
    ])  # fmt: skip
    lake.put("consent", START, [consent(1, given_on=turns), consent(4)])
    lake.put("list_entry", START, [entry(3, expires_on=START + timedelta(days=2)), entry(4, listed_on=turns)])
    lake.put("matter", START, [matter(6, decided_on=turns), matter(7, opened_on=turns)])
    check.run(house, START)
    told = {row["matter_id"]: row["reasons"] for row in lake.rows("advice", START)}
    assert set(told) == {"M0", "M1", "M2", "M3", "M4", "M5", "M6"}
    lake.fresh(turns)
    counts = carried(house, turns)
    now = {row["matter_id"]: row["reasons"] for row in lake.rows("advice", turns)}
    assert {name for name in told | now if told.get(name) != now.get(name)} == {"M0", "M1", "M3", "M4", "M6", "M7"}
    assert "RECORD_UNRECTIFIED_OUT_OF_WINDOW" in now["M0"]
    assert {"REPORT_EXPIRED", "LIST_DISHONEST_DEBTOR"} <= set(now["M4"])
    assert counts["scope"]["subjects"] == 0
    all_agrees(house, turns, counts)

    idle = START + timedelta(days=15)
    lake.fresh(idle - timedelta(days=1))
    check.run(house, idle - timedelta(days=1))
    lake.fresh(idle)
    again = carried(house, idle)
    assert (again["seq"], again["scope"]["applicants"], again["scope"]["subjects"]) == (None, 0, 0)
    assert again["changed"]["advice"] == {"new": 0, "changed": 0, "gone": 0, "restored": 0}
    all_agrees(house, idle, again)


def test_all_are_judged_where_the_ground_moves(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = begin(house, 2)
    run_id = check.run(house, START)["check_id"]
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin*", "trial"))
    file = include / "districts" / "370112.yml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("leading: as_written", "leading: guarded"), "utf-8")

    def why(on: date, at: House = house) -> str | None:
        district = check.load_district(at)
        rules = policy.load(at.include_dir / "policy" / district.policy, district)
        ages = freshness.ages(at, on, district.sources)
        stands_on = {**carry.ground(at.engine()), "rulebook": rulebook.keep(at, district)}
        return carry.base(at, district, rules, ages, on, linking.read_point(at), stands_on).why

    def happened_on(on: date) -> None:
        with house.ledger.begin() as session:
            run = session.get_one(CheckRun, run_id)
            run.as_of, scope = on, {**run.counts["scope"], "verified_on": on.isoformat()}
            run.counts = {**run.counts, "scope": scope}

    assert why(START) is None
    assert why(START + timedelta(days=1)) is None
    lake.fresh(START + timedelta(days=7))
    assert why(START + timedelta(days=7)) == carry.COMPARED
    assert why(START - timedelta(days=1)) == "a day of the past"
    assert why(START + timedelta(days=32)) == f"the last check is of {START}"
    assert why(START, replace(house, include=include)) == "rulebook, code or engine are others"
    with monkeypatch.context() as patched:
        patched.setattr(carry, "_code", lambda: "another")
        assert why(START) == "rulebook, code or engine are others"
    assert why(START + timedelta(days=25)) == "other sources are stale"
    file.write_text(text + "\nresolve_names: [applicant]\n", "utf-8")
    with house.ledger.begin() as session:
        session.get_one(CheckRun, run_id).rulebook, mine = (
            rulebook.keep(replace(house, include=include), check.load_district(replace(house, include=include))),
            session.get_one(CheckRun, run_id).rulebook,
        )
    assert why(START, replace(house, include=include)) == "names are resolved"
    with house.ledger.begin() as session:
        session.get_one(CheckRun, run_id).rulebook = mine
    for last, on, turn in (
        (date(2026, 6, 28), date(2026, 6, 29), None),
        (date(2026, 6, 29), date(2026, 6, 30), "2026-06-30"),
        (date(2026, 6, 30), date(2026, 7, 1), "2026-07-01"),
        (date(2026, 12, 30), date(2027, 1, 2), "2027-01-01"),
    ):
        happened_on(last)
        lake.fresh(on)
        assert why(on) == (f"the policy's values change on {turn}" if turn else None)
    happened_on(START)
    with house.ledger.begin() as session:
        session.add(Commit(kind="check", name="370112", as_of=START, opened_at=house.clock()))
    assert why(START) == "a check was broken off"
    with house.ledger.begin() as session:
        session.query(Commit).filter(Commit.closed_at.is_(None)).delete()
    lake.put("list_entry", START, [entry(0)])
    assert why(START) is None
    house.lake.table("subject").delete(f"uscc == '{PEOPLE[0]}'")
    assert why(START) == "rewritten since: subject"


def missed(house: House, monkeypatch: pytest.MonkeyPatch) -> date:
    """Plays a week in which carrying over misses a new list entry; the day whose full check is to find it."""
    lake = begin(house, 2)
    check.run(house, START)
    whole, nobody = carry.touched, START + timedelta(days=1)

    def blind(*arguments: Any) -> Only:
        only = whole(*arguments)
        none = {name: rows.filter(False) for name, rows in vars(only).items()}
        return Only(**none)

    with monkeypatch.context() as patched:
        patched.setattr(carry, "touched", blind)
        lake.fresh(nobody)
        lake.put("list_entry", nobody, [entry(0)])
        assert carried(house, nobody)["seq"] is None
    week = START + timedelta(days=7)
    lake.fresh(week)
    return week


def test_the_weeks_comparison_finds_what_was_carried_over_wrongly(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    week = missed(house, monkeypatch)
    counts = check.run(house, week)
    assert counts["scope"]["full"] == carry.COMPARED
    assert counts["scope"]["unexpected"] == 2  # the finding, and the advice
    assert FactLake(house).rows("advice", week)[0]["decision"] == "RESTRICT"
    # It stays on the day's record, whatever is checked later that day.
    assert check.run(house, week)["scope"]["unexpected"] == 2
    with house.ledger.begin() as session:
        newest = session.query(CheckRun).order_by(CheckRun.id.desc()).first()
        assert newest is not None
        assert newest.counts["scope"]["verified_on"] == week.isoformat()


def test_the_day_a_number_of_years_on(house: House) -> None:
    """29 February has no anniversary: 28 February is the last day."""
    connection = engine.connect()
    rows = ibis.memtable({"d": [date(2024, 2, 29), date(2024, 3, 1), None]}, schema={"d": "date"})
    for since, until, hits in (
        (date(2025, 2, 27), date(2025, 2, 28), 1),
        (date(2025, 2, 28), date(2025, 3, 1), 2),
        (date(2025, 3, 1), date(2025, 3, 2), 1),
        (date(2025, 3, 2), date(2025, 3, 9), 0),
    ):
        passed = rows.filter(carry._passed(rows, ["d"], [1], since, until))
        assert connection.to_pyarrow(passed.count()).as_py() == hits
