"""Harvests end to end, over the files connector: a folder, a contract, a lake and a ledger of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chengxin import harvest, harvest_ledger, judging
from chengxin.errors import BoundError, DriftError, SourceUnreachableError
from chengxin.ledger.models import Commit
from chengxin.settings import House
from tests.conftest import NOW
from tests.dropped import CODES, ENTRIES, MATTERS, MONDAY, SUNDAY, TUESDAY, WEDNESDAY, Source, entry, matter, who


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    return Source(house, tmp_path)


def adds_up(outcome: dict[str, Any]) -> bool:
    parts = ("published", "unchanged", "rejected", "ignored")
    return bool(outcome["harvested"] == sum(outcome[name] for name in parts))


DIRTY: dict[str, tuple[dict[str, Any], str]] = {
    "personal id": ({"code": "110101199003070038"}, "code.valid:IS_PERSONAL_ID"),
    "excel": ({"code": "9.137E+17"}, "code.valid:EXCEL_MANGLED"),
    "old number": ({"code": "370112200012345"}, "code.valid:IS_REGNO_15"),
    "check": ({"code": "91370112XXXX00019M"}, "code.valid:BAD_CHECK"),
    "no name": ({"who": "  "}, "field.required"),
    "no key": ({"no": "暂无"}, "field.required"),
    "date": ({"since": "2026-02-30"}, "date.readable"),
    "encoding": ({"who": "测试\ufffd公司"}, "text.clean"),
    "long": ({"why": "长" * 5000}, "text.clean"),
    "list": ({"who": ["甲公司", "乙公司"]}, "text.clean"),
    "id in text": ({"why": "法定代表人110101199003070038"}, "text.personal_id"),
    "header": (
        {"code": "code", "who": "who", "since": "since", "until": "until", "why": "why", "no": "no"},
        "record.heading",
    ),
}


def test_every_kind_of_dirty_row_ends_in_one_count(source: Source) -> None:
    rows = [entry(n) for n in range(20)]
    rows += [entry(20 + n, **changes) for n, (changes, _) in enumerate(DIRTY.values())]
    rows[3]["code"] = f" {CODES[3].lower()}　"
    rows += [entry(0), entry(1, why="另一原因"), entry(35, why="自然人"), entry(36, code=None), entry(37, since="暂无")]
    outcome = source.run(MONDAY, rows)
    detail = source.detail(outcome)
    assert adds_up(outcome)
    assert outcome["harvested"] == len(rows)
    assert outcome["rejected"] == len(DIRTY)
    assert detail["rejected"] == {rule: sum(r == rule for _, r in DIRTY.values()) for _, rule in DIRTY.values()}
    assert detail["ignored"] == {"exclude:why=自然人": 1, "duplicate": 1, "superseded": 1}
    assert detail["alarms"] == {"personal_ids": 2, "superseded": 1}
    assert outcome["published"] == 22
    assert detail["personal_ids"] == 2
    assert detail["warnings"] == {"code.normal_form": 1, "list_entry.code_given": 1, "list_entry.listed_given": 1}
    assert source.reasons(MONDAY)["第1号"] == "另一原因"
    assert source.state(MONDAY)["经营异常名录\x1f第2号"]["name_key"] == "测试2公司"


def test_rejected_rows_are_kept_with_rule_and_value_and_hide_persons(source: Source) -> None:
    source.run(MONDAY, [entry(n) for n in range(10)] + [entry(20 + n, **c) for n, (c, _) in enumerate(DIRTY.values())])
    rows = source.house.lake.rows("rejected")
    assert len(rows) == len(DIRTY)
    assert "19900307" not in json.dumps(source.house.lake.rows("list_entry") + rows, default=str)
    by_value = {row["value"]: row for row in rows}
    assert by_value["9.137E+17"]["column"] == "code"
    assert by_value["2026-02-30"]["rules"] == ["date.readable"]
    assert by_value["******************"]["rule"] == "code.valid"
    assert by_value["法定代表人******************"]["rule"] == "text.personal_id"
    assert {row["fact_table"] for row in rows} == {"list_entry"}


def test_a_mended_row_comes_back_and_leaves_the_rejected(source: Source) -> None:
    good = [entry(n) for n in range(5)]
    source.run(MONDAY, [*good, entry(9, since="昨天")])
    assert len(source.state(MONDAY, "rejected")) == 1
    source.run(TUESDAY, [*good, entry(9, since="昨天")])
    assert len(source.house.lake.rows("rejected")) == 1
    mended = source.run(WEDNESDAY, [*good, entry(9)])
    assert (mended["published"], mended["unchanged"], mended["removed"]) == (1, 5, 0)
    assert source.state(WEDNESDAY, "rejected") == {}
    assert len(source.state(TUESDAY, "rejected")) == 1


def test_a_row_that_breaks_is_not_taken_for_gone(source: Source) -> None:
    source.run(MONDAY, [entry(n) for n in range(5)])
    outcome = source.run(TUESDAY, [entry(0, since="昨天"), *(entry(n) for n in range(1, 5))])
    assert (outcome["rejected"], outcome["unchanged"], outcome["removed"]) == (1, 4, 0)
    assert len(source.state(TUESDAY)) == 5


def test_a_row_whose_key_breaks_is_not_taken_for_gone(source: Source) -> None:
    source.run(MONDAY, [entry(n) for n in range(5)])
    broken = {key: value for key, value in entry(0).items() if key != "no"}
    outcome = source.run(TUESDAY, [broken, *(entry(n) for n in range(1, 4))])
    assert (outcome["rejected"], outcome["unchanged"], outcome["removed"]) == (1, 3, 1), "the fifth is gone, in truth"
    assert len(source.state(TUESDAY)) == 4
    outcome = source.run(WEDNESDAY, [entry(n) for n in range(1, 4)])
    assert outcome["removed"] == 1, "with the broken row goes what it stood for"


def test_running_again_adds_nothing(source: Source) -> None:
    first = source.run(MONDAY, [entry(n) for n in range(5)])
    before = source.house.lake.snapshot_id("list_entry")
    again = harvest.run(source.house, "entries", MONDAY)
    assert again["harvest_id"] != first["harvest_id"]
    assert (again["published"], again["unchanged"], again["seq"]) == (0, 5, None)
    assert source.house.lake.snapshot_id("list_entry") == before
    published_again = harvest.publish(source.house, first["harvest_id"])
    assert published_again == first


def test_three_days_new_changed_gone(source: Source) -> None:
    source.run(MONDAY, [entry(0), entry(1), entry(2), entry(3)])
    outcome = source.run(TUESDAY, [entry(0), entry(1, why="补报"), entry(3), entry(4)])
    assert (outcome["published"], outcome["unchanged"], outcome["removed"]) == (2, 2, 1)
    facts = source.detail(outcome)["facts"]["list_entry"]
    assert facts == {"known": 4, "new": 1, "changed": 1, "unchanged": 2, "removed": 1, "restored": 0}
    source.run(WEDNESDAY, [entry(0), entry(1, why="补报"), entry(2), entry(3), entry(4)])
    assert source.reasons(MONDAY) == dict.fromkeys(("第0号", "第1号", "第2号", "第3号"), "未报年报")
    assert set(source.reasons(TUESDAY)) == {"第0号", "第1号", "第3号", "第4号"}
    assert set(source.reasons(WEDNESDAY)) == {"第0号", "第1号", "第2号", "第3号", "第4号"}


def test_a_list_that_shrinks_too_much_publishes_nothing(source: Source) -> None:
    source.run(MONDAY, [entry(n) for n in range(10)])
    with pytest.raises(BoundError, match="6 of 10 known rows of list_entry would vanish"):
        source.run(TUESDAY, [entry(n, why="新") for n in range(4)])
    stopped = source.last()
    assert (stopped.state, stopped.cause, stopped.seq) == ("stopped", "bound", None)
    assert source.reasons(TUESDAY) == {f"第{n}号": "未报年报" for n in range(10)}
    with source.house.ledger.begin() as session:
        assert session.query(Commit).filter(Commit.closed_at.is_(None)).count() == 0
    mended = source.run(TUESDAY, [entry(n, why="新") for n in range(9)])
    assert mended["harvest_id"] != stopped.id
    assert (mended["published"], mended["removed"]) == (9, 1)


def test_bounds_of_the_batch(source: Source) -> None:
    with pytest.raises(BoundError, match="0 usable records"):
        source.run(MONDAY, [])
    with pytest.raises(BoundError, match=r"uscc is filled in 10.0%"):
        source.run(MONDAY, [entry(0), *(entry(n, code="") for n in range(1, 10))])
    source.contract("entries", ENTRIES.replace("max: 1000", "max: 3"))
    outcome = source.run(MONDAY, [entry(n) for n in range(5)])
    assert source.detail(outcome)["bounds"] == ["5 records, at most 3 were expected"]


def test_drift_stops_or_warns_as_the_contract_says(source: Source) -> None:
    outcome = source.run(MONDAY, [entry(n, brand_new="x") for n in range(3)])
    assert source.detail(outcome)["drift"] == {"new": ["brand_new"], "missing": [], "retyped": []}
    rows = [{name: value for name, value in entry(n).items() if name != "until"} for n in range(3)]
    with pytest.raises(DriftError, match="missing column: until") as caught:
        source.run(TUESDAY, [{**row, "untill": "x", CODES[1]: 1, "370199199001011230": 2} for row in rows])
    # What came, where, what was expected, and what is nearest; no code and no number of a person.
    assert caught.value.where == f"entries (entries_{TUESDAY:%Y%m%d}.json row 1)"
    came = "came: ******************, ******************, batch, code, no, since, untill, who, why"
    expected = "expected: code, no, since, until, who, why; untill may be until"
    assert caught.value.why.endswith(f"; {came}; {expected}")
    assert (source.last().state, source.last().cause) == ("stopped", "drift")
    with pytest.raises(DriftError, match="since: 30 of 30 values cannot be read"):
        source.run(TUESDAY, [entry(n, since="待定") for n in range(30)])
    with pytest.raises(DriftError, match="another `header_row`, or a first record") as caught:
        source.run(TUESDAY, [{"甲公司": "1", "张三": 2}])
    assert "甲公司" not in str(caught.value)
    assert "came: 2 headings that are none of the contract's" in str(caught.value)
    assert "张三" not in str(source.last().detail)


def test_a_day_harvested_late_changes_no_later_day(source: Source) -> None:
    source.run(MONDAY, [entry(0), entry(1), entry(2), entry(3)])
    source.run(WEDNESDAY, [entry(0), entry(1, why="周三"), entry(3), entry(4)])
    wednesday = source.reasons(WEDNESDAY)
    source.run(TUESDAY, [entry(0, why="周二"), entry(1, why="周二"), entry(2), entry(5)])
    assert source.reasons(WEDNESDAY) == wednesday
    tuesday = {"第0号": "周二", "第1号": "周二", "第2号": "未报年报", "第5号": "未报年报"}
    assert source.reasons(TUESDAY) == tuesday
    source.run(SUNDAY, [entry(7)])
    assert source.reasons(MONDAY) == dict.fromkeys(("第0号", "第1号", "第2号", "第3号"), "未报年报")
    assert source.reasons(TUESDAY) == tuesday
    assert source.reasons(WEDNESDAY) == wednesday
    corrected = [entry(0, why="更正"), entry(1), entry(2), entry(3)]
    source.run(MONDAY, corrected)
    assert source.reasons(MONDAY)["第0号"] == "更正"
    assert source.reasons(TUESDAY) == tuesday


def test_an_incremental_source_tells_changes_only(source: Source) -> None:
    source.contract("matters_in", MATTERS.replace("MODE", "incremental"))
    source.run(MONDAY, [matter(1, who(1), who(2)), matter(2, who(1)), matter(3, dept="")], "matters_in")
    assert len(source.state(MONDAY, "rejected")) == 1
    outcome = source.run(WEDNESDAY, [matter(1, who(1)), matter(3)], "matters_in")
    assert (outcome["published"], outcome["unchanged"], outcome["removed"]) == (1, 1, 1)
    assert set(source.state(WEDNESDAY, "matter")) == {"M1", "M2", "M3"}
    assert set(source.state(WEDNESDAY, "applicant")) == {"M1\x1f1", "M2\x1f1"}
    assert source.state(WEDNESDAY, "rejected") == {}
    source.run(TUESDAY, [matter(9, who(1))], "matters_in")
    assert "M9" in source.state(WEDNESDAY, "matter")


def test_a_failed_fetch_is_marked_and_gone_on_with(source: Source) -> None:
    with pytest.raises(SourceUnreachableError):
        harvest.run(source.house, "entries", MONDAY)
    failed = source.last()
    assert (failed.state, failed.cause) == ("failed", "unreachable")
    outcome = source.run(MONDAY, [entry(0)])
    assert (outcome["harvest_id"], outcome["state"]) == (failed.id, "published")
    with pytest.raises(SourceUnreachableError):
        harvest.run(source.house, "entries", TUESDAY)
    source.house = source.house.at(lambda: NOW + timedelta(days=1))
    assert source.run(TUESDAY, [entry(0)])["harvest_id"] == outcome["harvest_id"] + 2


def test_data_docs_are_built_and_hold_no_value(source: Source) -> None:
    outcome = source.run(MONDAY, [entry(0), entry(1), entry(2, code="110101199003070038")])
    index = source.house.var / source.detail(outcome)["data_docs"]
    assert index.is_file()
    pages = [page.read_text("utf-8") for page in index.parent.rglob("*") if page.suffix in (".html", ".json")]
    assert any("统一社会信用代码不合法" in page for page in pages)
    assert not any("110101199003070038" in page or "测试0公司" in page for page in pages)


def test_chunks_bound_memory_and_change_nothing(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [entry(n % 30, no=f"第{n}号", why="甲" * (n % 7)) for n in range(100)] + [entry(3, no="第3号", why="后")]
    whole = source.run(MONDAY, rows)
    state = source.state(MONDAY)
    other = Source(replace(source.house, var=source.house.var / "other"), source.drop / "other")
    monkeypatch.setattr(judging, "CHUNK", 7)
    small = other.run(MONDAY, rows)
    counts = harvest_ledger.COUNTS
    assert [whole[name] for name in counts] == [small[name] for name in counts]
    assert {key: row["row_hash"] for key, row in state.items()} == {
        key: row["row_hash"] for key, row in other.state(MONDAY).items()
    }


def test_sources_publish_to_one_table_at_once(source: Source) -> None:
    import threading

    names = [f"entries{letter}" for letter in "abcd"]
    for number, name in enumerate(names):
        text = ENTRIES.replace("name: entries", f"name: {name}").replace("entries_{", name + "_{")
        source.contract(name, text)
        source.deliver(MONDAY, [entry(n, why=f"{number}") for n in range(20)], name)
    errors: list[BaseException] = []

    def one(name: str) -> None:
        try:
            harvest.run(replace(source.house), name, MONDAY)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(source.house.lake.rows("list_entry")) == 80
