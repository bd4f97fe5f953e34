"""Change, not copy: days that arrive in any order, corrected days, stale reloads, and what each day knew then."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from chengxin import check, engine, harvest, linking
from chengxin.errors import BoundError
from chengxin.settings import House
from tests.dropped import CODES, ENTRIES, MATTERS, Source, entry, head, matter, who
from tests.factlake import FactLake, codes, day

DAYS = [date(2026, 6, 15) + timedelta(n) for n in range(4)]


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    return Source(house, tmp_path)


class Told:
    """Deliveries of one source by day, and what each day should read like: told without the lake."""

    def __init__(self, source: Source, *, full: bool) -> None:
        self.source, self.full = source, full
        text = ENTRIES.replace("shrink: {max: 0.5}", "shrink: {max: 1}")
        if not full:
            text = text.replace("mode: full", "mode: incremental")
        source.contract("entries", text)
        self.deliveries: dict[date, dict[str, str]] = {}
        self.known: list[tuple[int, dict[date, dict[str, str]]]] = []

    def deliver(self, on: date, rows: dict[int, str]) -> None:
        outcome = self.source.run(on, [entry(n, why=why) for n, why in rows.items()])
        said = {f"第{n}号": why for n, why in rows.items()}
        # An incremental source that is harvested again for a day adds to what it said before.
        self.deliveries[on] = said if self.full else {**self.deliveries.get(on, {}), **said}
        if outcome["seq"] is not None:
            self.known.append((outcome["seq"], {one: self.expected(one) for one in DAYS}))

    def expected(self, on: date) -> dict[str, str]:
        days = sorted(one for one in self.deliveries if one <= on)
        if self.full:
            return self.deliveries[days[-1]] if days else {}
        state: dict[str, str] = {}
        for one in days:
            state |= self.deliveries[one]
        return state

    def read(self, on: date, seq: int | None = None) -> dict[str, str]:
        house = self.source.house
        rows = engine.as_of(house.engine(), house.lake, "list_entry", on, seq=seq).to_pyarrow().to_pylist()
        return {row["doc_no"]: row["reason"] for row in rows}


ORDERS = [("incremental", 0), *((mode, seed) for mode in ("full", "incremental") for seed in range(1, 9))]


@pytest.mark.parametrize(
    ("mode", "seed"), [pytest.param(*one, marks=pytest.mark.long if one[1] else pytest.mark.services) for one in ORDERS]
)
def test_days_in_any_order_read_as_they_were_told_and_as_they_were_known(source: Source, mode: str, seed: int) -> None:
    chance = random.Random(seed)
    story = Told(source, full=mode == "full")
    order = [*chance.sample(DAYS, len(DAYS)), *chance.choices(DAYS, k=2)]
    for on in order:
        story.deliver(on, {n: chance.choice("甲乙") for n in chance.sample(range(6), chance.randint(1, 6))})
        assert {one: story.read(one) for one in DAYS} == {one: story.expected(one) for one in DAYS}, (order, on)
    for seq, then in story.known:
        assert {one: story.read(one, seq) for one in DAYS} == then, (order, seq)


def test_a_late_day_does_not_undo_what_a_later_day_repeated(source: Source) -> None:
    """Monday and Wednesday say the same of a key, so Wednesday wrote nothing; Tuesday comes late and says otherwise."""
    story = Told(source, full=False)
    story.deliver(DAYS[0], {1: "甲", 2: "甲", 3: "甲"})
    story.deliver(DAYS[2], {1: "甲", 4: "丁"})
    story.deliver(DAYS[3], {2: "甲"})
    story.deliver(DAYS[1], {1: "乙", 2: "乙", 3: "乙", 5: "乙"})
    assert story.read(DAYS[1]) == {"第1号": "乙", "第2号": "乙", "第3号": "乙", "第5号": "乙"}
    assert story.read(DAYS[2]) == {"第1号": "甲", "第2号": "乙", "第3号": "乙", "第4号": "丁", "第5号": "乙"}
    assert story.read(DAYS[3])["第2号"] == "甲"
    rows = len(source.house.lake.rows("list_entry"))
    again = harvest.run(source.house, "entries", DAYS[1])
    assert (again["published"], again["seq"]) == (0, None)
    assert len(source.house.lake.rows("list_entry")) == rows


def test_a_late_list_inside_a_record_does_not_undo_a_later_one(source: Source) -> None:
    source.contract("matters_in", MATTERS.replace("MODE", "incremental"))
    source.run(DAYS[0], [matter(1, who(1), who(2)), matter(2, who(1))], "matters_in")
    source.run(DAYS[2], [matter(1, who(1), who(2))], "matters_in")
    source.run(DAYS[1], [matter(1, who(1), who(3)), matter(2, who(4))], "matters_in")
    assert set(source.state(DAYS[1], "applicant")) == {"M1\x1f1", "M1\x1f3", "M2\x1f4"}
    assert set(source.state(DAYS[2], "applicant")) == {"M1\x1f1", "M1\x1f2", "M2\x1f4"}


# A repaired record stays out -----------------------------------------------------------------------------------------

RECORDS = (
    head("NAME", "失信信息", "credit_record")
    + """columns:
  no: {to: record_no, required: true}
  code: uscc
  on: {to: identified_on, as: date}
  fixed: {to: repaired_on, as: date}
  void: {to: withdrawn_on, as: date}
constants: {kind: 行政处罚, in_report: true}
key: [record_no, uscc]
bounds: {rows: {min: 0}, shrink: {max: 1}}
keep: 1y
owner: data-engineering
"""
)
(SUBJECT,) = codes(7)


class Records:
    """Two sources of records about one applicant of one pending matter."""

    def __init__(self, source: Source) -> None:
        self.source = source
        for name in ("records_a", "records_b"):
            source.contract(name, RECORDS.replace("NAME", name))
        district = check.load_district(House(root=source.house.root, var=source.house.var, district="370112"))
        self.district = district.model_copy(update={"sources": ("records_a", "records_b", "matters")})
        lake = FactLake(source.house)
        pending = {"matter_id": "M1", "type": "政府采购", "department": "czj", "state": "待办"}
        lake.put("matter", DAYS[0], [{**pending, "opened_on": day("2026-06-01")}])
        lake.put("applicant", DAYS[0], [{"matter_id": "M1", "applicant_no": "1", "uscc": SUBJECT, "name": "示例"}])

    def deliver(self, on: date, *rows: dict[str, Any], name: str = "records_a") -> dict[str, Any]:
        return self.source.run(on, list(rows), name)

    def counts(self, on: date, point: linking.ReadPoint | None = None) -> list[date | None]:
        """The records that a check of a day is handed: when each was repaired, if it was."""
        house = self.source.house
        point = point or linking.read_point(house)
        linked = linking.link(house, house.engine(), self.district, on, point)
        return [row["repaired_on"] for row in linked.facts.records.to_pyarrow().to_pylist()]


def record(**changes: Any) -> dict[str, Any]:
    return {"no": "W1", "code": SUBJECT, "on": "2026-03-10", "fixed": "", "void": "", **changes}


@pytest.fixture
def records(source: Source) -> Records:
    return Records(source)


REPAIRED = record(fixed="2026-06-16")
REPAIR = date(2026, 6, 16)


def test_a_stale_reload_does_not_bring_a_repaired_record_back(records: Records) -> None:
    records.deliver(DAYS[0], record())
    records.deliver(DAYS[1], REPAIRED)
    stale = records.deliver(DAYS[2], record())
    # History is kept as it was told: the source did say so.
    assert (stale["published"], stale["removed"]) == (1, 0)
    assert [records.counts(on) for on in DAYS[:3]] == [[None], [REPAIR], [REPAIR]]
    records.deliver(DAYS[3])
    assert records.counts(DAYS[3]) == []
    records.deliver(DAYS[3] + timedelta(1), record())
    assert records.counts(DAYS[3] + timedelta(1)) == [REPAIR]


@pytest.mark.parametrize(
    ("told", "again"),
    [
        ("历罚字〔2025〕1号", "历罚字[2025]1号"),
        pytest.param("历罚字（2025）1号", "历罚字〔２０２５〕 1号", marks=pytest.mark.long),
        pytest.param("W1", "w 1", marks=pytest.mark.long),
    ],
)
def test_nor_does_one_that_writes_the_documents_number_otherwise(records: Records, told: str, again: str) -> None:
    records.deliver(DAYS[0], record(no=told))
    records.deliver(DAYS[1], record(no=told, fixed="2026-06-16"))
    records.deliver(DAYS[2], record(no=again))
    assert {row["record_no"] for row in records.source.state(DAYS[2], "credit_record").values()} == {again}
    assert [records.counts(on) for on in DAYS[:3]] == [[None], [REPAIR], [REPAIR]]
    # Another source tells of the same one, and of another.
    records.deliver(DAYS[2], record(no=again), record(no=f"{again}-2"), name="records_b")
    assert sorted(map(str, records.counts(DAYS[2]))) == [str(REPAIR), "None"]


def test_a_withdrawn_record_stays_out_too(records: Records) -> None:
    records.deliver(DAYS[0], record())
    records.deliver(DAYS[1], record(void="2026-06-16"))
    records.deliver(DAYS[2], record())
    assert [records.counts(on) for on in DAYS[:3]] == [[None], [], []]


@pytest.mark.parametrize(
    ("ended", "then"), [(REPAIRED, [REPAIR]), pytest.param(record(void="2026-06-16"), [], marks=pytest.mark.long)]
)
def test_what_one_source_told_holds_for_the_other(records: Records, ended: dict[str, Any], then: list[Any]) -> None:
    records.deliver(DAYS[0], record())
    records.deliver(DAYS[0], record(), name="records_b")
    records.deliver(DAYS[1], ended)
    # The one that told of it falls silent; the other still has its old copy, and comes with another one.
    records.deliver(DAYS[2])
    records.deliver(DAYS[2], record(on="2026-03-11"), name="records_b")
    assert [records.counts(on) for on in DAYS[:3]] == [[None], then, then]


def test_a_repair_that_is_told_late_is_known_from_its_day_on(records: Records) -> None:
    records.deliver(DAYS[0], record())
    records.deliver(DAYS[2], record())
    before = linking.read_point(records.source.house)
    assert records.counts(DAYS[2]) == [None]
    records.deliver(DAYS[1], REPAIRED)
    assert [records.counts(on) for on in DAYS[:3]] == [[None], [REPAIR], [REPAIR]]
    # As it was known then.
    assert [records.counts(on, before) for on in DAYS[:3]] == [[None], [None], [None]]


def test_another_document_about_the_same_subject_is_not_kept_out(records: Records) -> None:
    records.deliver(DAYS[0], REPAIRED, record(no="W2"))
    assert sorted(records.counts(DAYS[0]), key=str) == [REPAIR, None]


# A broken row may be any row -----------------------------------------------------------------------------------------


def test_a_row_without_key_and_name_holds_back_what_may_be_its_own(source: Source) -> None:
    monday, tuesday, wednesday, thursday = DAYS
    broken = {"code": "?", "since": "2026-01-05", "why": "?"}
    source.run(monday, [entry(n) for n in range(6)])
    outcome = source.run(tuesday, [broken, *(entry(n) for n in range(4))])
    assert (outcome["harvested"], outcome["unchanged"], outcome["rejected"], outcome["removed"]) == (5, 4, 1, 0)
    assert source.detail(outcome)["alarms"] == {"waiting": [2, 1]}
    assert len(source.state(tuesday)) == 6
    # It is there still, and so are both: also where the day is harvested once more, and when one more is missing.
    again = source.run(tuesday, [broken, *(entry(n) for n in range(4))])
    assert (again["removed"], source.detail(again)["alarms"]) == (0, {"waiting": [2, 1]})
    outcome = source.run(wednesday, [broken, *(entry(n) for n in range(3))])
    assert source.detail(outcome)["alarms"] == {"waiting": [3, 1]}
    assert len(source.state(wednesday)) == 6
    # Mended: it was one of them, and the others are gone.
    outcome = source.run(thursday, [entry(n) for n in (0, 1, 2, 4)])
    assert (outcome["removed"], source.detail(outcome)["alarms"]) == (2, {})
    assert set(source.reasons(thursday)) == {"第0号", "第1号", "第2号", "第4号"}
    # Each day reads as it did.
    assert [len(source.state(on)) for on in DAYS] == [6, 6, 6, 4]


def test_a_broken_row_that_stood_beside_the_others_is_none_of_them(source: Source) -> None:
    broken = {"code": "?", "why": "?"}
    source.run(DAYS[0], [entry(0), entry(1), entry(2), broken])
    outcome = source.run(DAYS[1], [entry(0), entry(1), broken])
    assert (outcome["removed"], source.detail(outcome)["alarms"]) == (1, {})
    outcome = source.run(DAYS[2], [entry(0), broken, broken])
    assert (outcome["removed"], source.detail(outcome)["alarms"]) == (0, {"waiting": [1, 2]})


@pytest.mark.services
def test_what_was_read_of_the_key_narrows_it_down_and_half_a_list_is_half_a_list(source: Source) -> None:
    source.contract("entries", ENTRIES.replace("key: [list, doc_no]", "key: [uscc, listed_on]"))
    source.run(DAYS[0], [entry(0), entry(1, since="2026-02-01"), entry(2), entry(3), entry(4)])
    outcome = source.run(DAYS[1], [entry(2), entry(3), entry(4), {"since": "2026-02-01", "no": "1", "code": "?"}])
    assert (outcome["removed"], source.detail(outcome)["alarms"]) == (1, {"waiting": [1, 1]})
    with pytest.raises(BoundError, match="3 of 4 known rows of list_entry would vanish"):
        source.run(DAYS[2], [entry(2), {"since": "?", "no": "1", "code": "?"}])


@pytest.mark.services
def test_a_row_that_was_torn_apart_may_be_any(source: Source) -> None:
    source.run(DAYS[0], [entry(0), entry(1), entry(2)])
    torn = entry(1, no="第1\x00号")
    outcome = source.run(DAYS[1], [entry(0), entry(1), torn])
    assert (outcome["removed"], source.detail(outcome)["alarms"]) == (0, {"waiting": [1, 1]})
    # Its key is that of a known row, so it is that one.
    outcome = source.run(DAYS[2], [entry(0), entry(2, who="测试\x00公司")])
    assert (outcome["removed"], source.detail(outcome)["alarms"]) == (1, {})


def test_what_hangs_on_a_record_waits_with_it(source: Source) -> None:
    source.run(DAYS[0], [matter(1, who(1), who(2)), matter(2, who(1))], "matters_in")
    outcome = source.run(DAYS[1], [matter(1, who(1)), matter(2, no="")], "matters_in")
    assert (outcome["removed"], source.detail(outcome)["alarms"]) == (1, {"waiting": [2, 1]})
    assert set(source.state(DAYS[1], "applicant")) == {"M1\x1f1", "M2\x1f1"}
    # An applicant of unreadable number and name may be any of its matter.
    outcome = source.run(DAYS[2], [matter(1, {"n": None, "name": None, "code": CODES[3]}), matter(2)], "matters_in")
    assert source.detail(outcome)["alarms"] == {"waiting": [1, 1]}
    assert set(source.state(DAYS[2], "applicant")) == {"M1\x1f1"}
