"""Rejected rows: browsed by cause, masked, gone once they are mended. And the alarms of published harvests."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chengxin import bounds, rejects
from chengxin.settings import House
from chengxin.source_cli import rejected as command
from chengxin.summary import summarise
from tests.dropped import CODES, MONDAY, TUESDAY, Source, entry, head

REPORTS = (
    head("reports", "年报", "annual_report")
    + """columns:
  code: {to: uscc, required: true}
  year: {to: report_year, required: true}
  at: {to: submitted_at, required: true}
  assets: {to: total_assets, unit: 元}
  sales: {to: revenue, unit: 元}
key: [uscc, report_year]
bounds: {rows: {min: 0}, shrink: {max: 1}}
keep: 1y
owner: data-engineering
"""
)


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    return Source(house, tmp_path / "place")


def test_by_cause_with_counts_and_masked_rows(source: Source) -> None:
    wrong = CODES[7][:-1] + ("A" if CODES[7][-1] != "A" else "B")
    rows = [
        entry(1),
        *(entry(n, code=wrong, no=f"错{n}号") for n in range(2, 5)),
        entry(6, since="下周一"),
        entry(7, code="9.137E+17"),
    ]
    source.run(MONDAY, rows)
    found = rejects.browse(source.house, MONDAY)
    assert [(cause.rule, cause.column, cause.count) for cause in found] == [
        ("code.valid", "code", 3),
        ("code.valid", "code", 1),
        ("date.readable", "since", 1),
    ]
    assert "BAD_CHECK" in found[0].reason
    assert len(rejects.browse(source.house, MONDAY, rows=2)[0].rows) == 2
    assert {row.value for row in found[0].rows} == {f"{wrong[:4]}**********{wrong[-4:]}"}
    assert found[1].rows[0].value == "9.137E+17"
    assert found[2].rows[0].value == "下周一"
    assert found[2].rows[0].row == 4
    only = rejects.browse(source.house, MONDAY, rule="date.readable", source="entries")
    assert [cause.count for cause in only] == [1]
    assert rejects.browse(source.house, MONDAY, source="matters_in") == []


def test_a_mended_row_returns_by_itself(source: Source) -> None:
    source.run(MONDAY, [entry(1), entry(2, since="下周一"), entry(3, since="下周二")])
    outcome = source.run(TUESDAY, [entry(1), entry(2), entry(3, since="下周二")])
    assert (outcome["published"], outcome["unchanged"], outcome["rejected"]) == (1, 1, 1)
    today = rejects.browse(source.house, TUESDAY)
    assert [(cause.count, cause.since) for cause in today] == [(1, MONDAY)], "still broken since Monday"
    assert rejects.browse(source.house, MONDAY)[0].count == 2, "Monday reads as it was"


def test_the_command_prints_counts_and_no_whole_code(
    source: Source, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = CODES[7][:-1] + ("A" if CODES[7][-1] != "A" else "B")
    source.run(MONDAY, [entry(1), entry(2, code=wrong)])
    monkeypatch.setattr("chengxin.settings.House.from_environment", lambda **_: source.house)
    command(source="entries", as_of=None, rows=5, rule=None)
    said = capsys.readouterr().out
    assert "1 rejected rows" in said
    assert "BAD_CHECK" in said
    assert wrong not in said


def test_no_row_from_a_full_source_is_an_alarm(source: Source) -> None:
    text = (source.include / "sources/entries.yml").read_text("utf-8")
    source.contract("entries", text.replace("{min: 1, max: 1000}", "{min: 0}").replace("{max: 0.5}", "{max: 1}"))
    source.run(MONDAY, [entry(1)])
    outcome = source.run(TUESDAY, [])
    assert outcome["state"] == "published"
    assert source.detail(outcome)["alarms"] == {"empty": True}


def test_citizens_numbers_and_too_many_rows_are_alarms(source: Source) -> None:
    text = (source.include / "sources/entries.yml").read_text("utf-8")
    source.contract("entries", text.replace("max: 1000", "max: 2"))
    outcome = source.run(MONDAY, [entry(1), entry(2), entry(3), entry(4, code="11010519491231002X")])
    assert source.detail(outcome)["alarms"] == {"over": [4, 2], "personal_ids": 1}


def report(number: int, year: int, assets: Any, sales: Any = "100") -> dict[str, Any]:
    at = f"{year + 1}-03-01 10:00:00"
    return {"code": CODES[number], "year": year, "at": at, "assets": assets, "sales": sales}


def test_a_ten_thousandfold_jump_of_money_is_an_alarm(source: Source) -> None:
    source.contract("reports", REPORTS)
    last = [report(n, 2024, "5000000") for n in range(4)]
    outcome = source.run(MONDAY, last, "reports")
    assert source.detail(outcome)["alarms"] == {}
    # Two come in 万元, one has grown tenfold, one has no figure; last year's are in the lake and in the batch.
    now = [report(0, 2025, "520"), report(1, 2025, "480"), report(2, 2025, "50000000"), report(3, 2025, None)]
    outcome = source.run(TUESDAY, [*last, *now], "reports")
    assert outcome["state"] == "published"
    assert source.detail(outcome)["alarms"] == {"jumps": {"total_assets": 2}}


def test_the_jump_is_found_against_the_lake_alone(source: Source) -> None:
    source.contract("reports", REPORTS.replace("mode: full", "mode: incremental"))
    source.run(MONDAY, [report(1, 2024, "300")], "reports")
    outcome = source.run(TUESDAY, [report(1, 2025, "3100000", "110")], "reports")
    assert source.detail(outcome)["alarms"] == {"jumps": {"total_assets": 1}}


def test_words_that_no_lookup_has_and_new_columns_are_alarms(source: Source) -> None:
    text = (source.include / "sources/entries.yml").read_text("utf-8")
    text = text.replace("why: reason", 'why: {to: reason, lookup: {"1": 未报年报, 未履行公示义务: 未公示}}')
    text = text.replace(
        "who: {to: subject_name, required: true}", "who: {to: subject_name, lookup: {甲: 乙, 长期: null}}"
    )
    source.contract(
        "entries", text.replace("until: {to: removed_on, as: date}", "until: {to: removed_on, lookup: {长期: null}}")
    )
    whys = ["1", "未报年报", "未履行公示义务", None, "弄虚作假", "弄虚作假", "证号370199 19900101 1230"]
    rows = [entry(n, why=why, until="长期" if n else "2026-07-01") for n, why in enumerate(whys)]
    rows += [entry(n, why="1") for n in range(7, 30)]
    outcome = source.run(MONDAY, [{**row, "brand_new": 1, "370199199001011230": 2} for row in rows])
    detail = source.detail(outcome)
    # A row that was rejected is told of as such. Thirty names are no words of a list.
    assert (outcome["published"], outcome["rejected"], detail["personal_ids"]) == (29, 1, 1)
    assert detail["alarms"] == {
        "personal_ids": 1,
        "words": {"who": [29, []], "why": [2, ["弄虚作假"]]},
        "drift": {"new": ["*" * 18, "brand_new"]},
    }
    assert set(source.reasons(MONDAY).values()) == {"未报年报", "未公示", "弄虚作假", None}
    # The district's own file, for its mails.
    summary = summarise(replace(source.house, include=None), MONDAY, {})
    assert summary.alarms == {"entries": bounds.told(detail["alarms"])}
    screen = io.StringIO()
    summary.print(Console(file=screen, width=200))
    assert "entries: why: 2 rows with words that no lookup has: 弄虚作假" in screen.getvalue()
    assert "entries: new columns: ******************, brand_new" in screen.getvalue()
    # The file has the shape that others read.
    assert set(summary.as_dict()) == {"as_of", "sources", "advice", "mails", "seconds"}


ALARMS = {
    "empty": True, "over": [1200, 1000], "personal_ids": 3, "jumps": {"total_assets": 2}, "superseded": 3,
    "waiting": [2, 1],
    "words": {"why": [7, ["弄虚作假", "其他"]], "who": [40, []]}, "drift": {"new": ["brand_new"]},
}  # fmt: skip


def test_alarms_are_said_in_the_operators_report_and_in_the_summary() -> None:
    from chengxin.warn.reporting import _alarms

    said = _alarms(ALARMS)
    assert said[1] == "今日1,200条记录，超过合同上限1,000条"
    assert said[4:] == [
        "3条记录与后到的记录主键相同而内容不同，只采用了最后一条，请核对合同的key",
        "1条拒收记录的主键和名称均无法辨认，2条今日未见的原有记录因此暂不按移出处理，请来源单位更正",
        "栏目why有7条的词不在对照表中，已原样保留：弄虚作假、其他",
        "栏目who有40条的词不在对照表中，已原样保留，种类过多，可能错列",
        "来源的列有变动（新增），照常入库，请核对合同：brand_new",
    ]
    assert len(bounds.told(ALARMS)) == len(said)
    assert bounds.told({}) == _alarms({}) == []
