"""Text to typed values, and a contract applied to a chunk."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chengxin import identity, lists, normalise, persons, values
from chengxin.arrays import TEXT
from chengxin.clock import BEIJING
from chengxin.contracts import Contract

CODE = identity.complete(["91370112XXXX00001"])[0]
FIFTEENTH = date(2026, 6, 15)


def text(*words: str | None) -> pa.Array:
    return pa.array(words, TEXT)


def read(reader: Any, *words: str | None) -> list[tuple[Any, int]]:
    typed, problems = reader(text(*words))
    assert len(typed) == len(problems) == len(words)
    return list(zip(typed.to_pylist(), problems.tolist(), strict=True))


@pytest.mark.parametrize(
    "word",
    [
        "2026-06-15", "20260615", "2026/6/15", "2026.06.15", "2026年6月15日", "2026-06-15 00:00:00", "2026-06-15 8:05",
        "2026-06-15T23:59:59+08:00", "2026-06-14T16:00:00Z", "2026-06-15T08:00:00.123", "20260615080000", "46188",
        "46188.5", "1781452800000", "1781452800", "２０２６－０６－１５", "2026-06-14 24:00:00",
    ],
)  # fmt: skip
def test_shapes_of_one_beijing_date(word: str) -> None:
    assert read(values.dates, word) == [(FIFTEENTH, values.OK)]


@pytest.mark.parametrize(
    "word",
    ["2099-12-31", "9999-09-09", "99990909", "1900-01-01", "1899-12-31 00:00:00", "0000-00-00", "9999年9月9日", None],
)
def test_sentinels_mean_nothing(word: str | None) -> None:
    assert read(values.dates, word) == [(None, values.OK)]
    assert read(values.timestamps, word) == [(None, values.OK)]


@pytest.mark.parametrize(
    "word",
    [
        "2026-02-29", "2026-13-01", "20261301", "20260230", "昨天", "2026", "15/06/2026", "2026-06-15 25:00",
        "0202-01-01",
    ],
)  # fmt: skip
def test_what_is_no_day_is_unreadable(word: str) -> None:
    assert read(values.dates, word) == [(None, values.UNREADABLE)]
    assert read(values.timestamps, word) == [(None, values.UNREADABLE)]


def test_every_day_of_three_centuries_is_read_back() -> None:
    """Summer time of 1986 to 1991 and the older offsets of Shanghai move no date."""
    days = [date(1850, 1, 1) + timedelta(n) for n in range(0, 127_000)]
    days = [
        day for day in days if day not in (date(1900, 1, 1), date(1899, 12, 31), date(1899, 12, 30), date(2099, 12, 31))
    ]
    for shape in ("%Y-%m-%d", "%Y%m%d"):
        typed, problems = values.dates(pa.array([day.strftime(shape) for day in days], TEXT))
        assert typed.to_pylist() == days
        assert not problems.any()


@given(st.integers(0, 3_300_000_000))
def test_instants_without_a_zone_are_beijing_time(seconds: int) -> None:
    moment = datetime(1992, 1, 1, tzinfo=BEIJING) + timedelta(seconds=seconds)
    utc, moment = moment.astimezone(UTC), moment.replace(tzinfo=None)
    for word in (moment.isoformat(" "), f"{moment:%Y/%m/%d %H:%M:%S}", utc.isoformat(), f"{utc:%Y-%m-%dT%H:%M:%SZ}"):
        assert read(values.timestamps, word) == [(utc, values.OK)]


@given(st.text(max_size=24))
def test_any_text_is_read_or_refused(word: str) -> None:
    for reader in (values.dates, values.timestamps, values.integers, values.numbers, values.booleans, values.codes):
        ((typed, problem),) = read(reader, word)
        assert typed is None or problem in (values.OK, values.NORMALISED)
    values.clean(text(word))
    persons.hide(text(word))


@pytest.mark.parametrize(
    ("word", "unit", "yuan"),
    [
        ("48.754824", "万元", "487548.24"), ("48.754824", "元", "48.75"), ("0.005", "元", "0.01"),
        ("-0.005", "元", "-0.01"),
        ("1,234.5", "万元", "12345000.00"), ("500万元", "元", "5000000.00"), ("300元", "万元", "300.00"),
        ("人民币12万元", "元", "120000.00"), ("1.5E3", "万元", "15000000.00"), ("０．５", "万元", "5000.00"),
        ("100(万)", "元", "1000000.00"), ("1,000(万元人民币)", "元", "10000000.00"),
        ("50万人民币元", "元", "500000.00"),
        ("88（万元）", "元", "880000.00"), ("5(元)", "万元", "5.00"),
        ("0.1234567891", "万元", "1234.57"), ("+7", "元", "7.00"), ("99999999999999", "万元", "999999999999990000.00"),
    ],
)  # fmt: skip
def test_money_becomes_yuan(word: str, unit: str, yuan: str) -> None:
    typed, problems = values.money(text(word, None), unit)
    assert typed.type == pa.decimal128(20, 2)
    assert typed.to_pylist() == [Decimal(yuan), None]
    assert not problems.any()


@pytest.mark.parametrize(
    "word",
    [
        "万元",
        "100万美元",
        "320(万美元)",
        "9(万欧元)",
        "(9)",
        "9)",
        "9()",
        "万人民币",
        "1234567890123456789",
        "一百",
        "1e20",
        "1.000,50",
        "12,34",
        "1,234.5,6",
        "1.2.3",
        "nan",
        "inf",
    ],
)
def test_money_that_is_none(word: str) -> None:
    typed, problems = values.money(text(word, "5"), "元")
    assert typed.to_pylist() == [None, Decimal("5.00")]
    assert problems.tolist() == [values.UNREADABLE, values.OK]


def test_numbers_words_and_codes() -> None:
    bad = values.UNREADABLE
    assert read(values.integers, "7", "7.0", "1,000", "x", "99999999999", None, "1.5") == [
        (7, 0), (7, 0), (1000, 0), (None, bad), (None, bad), (None, 0), (None, bad),
    ]  # fmt: skip
    assert read(values.numbers, "1.5", "nan", "1e5") == [(1.5, 0), (None, bad), (1e5, 0)]
    assert read(values.booleans, "是", "０", "TRUE", "也许", None) == [
        (True, 0), (False, 0), (True, 0), (None, values.UNKNOWN_WORD), (None, 0),
    ]  # fmt: skip
    mangled = values.CODE + identity.REASONS.index("EXCEL_MANGLED")
    assert read(values.codes, f" {CODE.lower()} ", "9.1E+17", None) == [
        (CODE, values.NORMALISED),
        (None, mangled),
        (None, 0),
    ]


def test_words_of_a_lookup() -> None:
    words = text("1", "甲", "丙", None, "2")
    found, problems = values.look_up(words, {"1": "甲", "2": None}, strict=False)
    assert (found.to_pylist(), problems.tolist()) == (["甲", "甲", "丙", None, None], [0, 0, values.PASSED, 0, 0])
    found, problems = values.look_up(words, {"1": "甲", "2": None}, strict=True)
    unknown = values.UNKNOWN_WORD
    assert (found.to_pylist(), problems.tolist()) == (["甲", None, None, None, None], [0, unknown, unknown, 0, 0])


def test_texts_hide_persons_and_refuse_wrong_encodings() -> None:
    long = "长" * (values.TEXT_LIMIT + 1)
    found = read(values.texts, "甲公司", "\ufffd", long, "身份证110101199003070038", "1234567890123456789", None)
    assert [problem for _, problem in found] == [0, values.GARBLED, values.TOO_LONG, values.PERSONAL_ID, 0, 0]
    assert found[3][0] is None
    errors = read(values.texts, "#N/A", "第#REF!号", "#VALUE!", "#NAME?", "#DIV/0!", "1#楼", "C#", "N/A", "#")
    assert [problem for _, problem in errors] == [values.GARBLED] * 5 + [0] * 4
    assert [value for value, _ in errors] == [None] * 5 + ["1#楼", "C#", "N/A", "#"]
    assert persons.hide(text("张 13812345678", "110101199003070038", CODE)).to_pylist() == [
        "张 ***********",
        "*" * 18,
        CODE,
    ]


def test_a_list_or_an_object_is_no_text() -> None:
    words = [
        '["甲公司"]',
        "[]",
        '{"name": "甲公司"}',
        '{"base64":"0Om5uQ=="}',
        "[甲公司]",
        "[2020]15号",
        "{甲}",
        "甲[1]",
        None,
    ]
    assert [problem for _, problem in read(values.texts, *words)] == [values.NESTED] * 4 + [values.OK] * 5
    sliced = text("[1]", "甲", "[1", "[1]").slice(1)
    assert values.texts(sliced)[1].tolist() == [values.OK, values.OK, values.NESTED]
    assert values.texts(text("[" * 5000))[1].tolist() == [values.TOO_LONG]


def test_a_zone_of_whole_hours() -> None:
    noon = datetime(2026, 6, 30, 4, tzinfo=UTC)
    words = ("2026-06-30 12:00:00+08", "2026-06-30T12:00+08", "2026-06-30 12:00:00.5 +08", "2026-06-29 22:00:00-06")
    assert [at and at.replace(microsecond=0) for at, _ in read(values.timestamps, *words)] == [noon] * 4
    bad = ("2026-06-30+08", "2026-06-30-08", "2026-06-30 12:00:00+08+0800")
    assert read(values.timestamps, *bad) == [(None, values.UNREADABLE)] * 3


def test_clean_trims_and_knows_null_words() -> None:
    cleaned = values.clean(pa.array(["\u3000a\x00b\n ", "暂无", "\\N", "", None, "c"], pa.string()), ["暂无", "\\N"])
    assert cleaned.to_pylist() == ["a b", None, None, None, None, "c"]
    assert values.clean(text("x", "暂无", "y").slice(1, 2), ["暂无"]).to_pylist() == [None, "y"]


def contract(**changes: Any) -> Contract:
    given: dict[str, Any] = {
        "name": "demo", "title": "t", "publisher": "p", "legal_basis": "l", "table": "matter", "mode": "full",
        "schedule": "0 2 * * *", "max_age": "2d", "keep": "1y", "owner": "o",
        "bounds": {"rows": {"min": 0}, "shrink": {"max": 1}},
        "read": {"connector": "files", "connection": "c", "pattern": "x.json", "format": "json"},
        "columns": {"no": {"to": "matter_id", "required": True},
                    "kind": {"to": "type", "lookup": {"a": "招投标", "b": None}},
                    "build": {"to": "is_construction", "lookup": {"Y": True}, "as": "boolean"}, "day": "test_date"},
        "constants": {"state": "待办", "opened_on": FIFTEENTH}, "combine": {"title": "{no}/{part}"},
        "children": {"who": {"table": "applicant", "inherit": {"matter_id": "matter_id"},
                             "key": ["matter_id", "applicant_no"],
                             "columns": {"n": "applicant_no", "code": "uscc", "name": "name"}}},
        "key": ["matter_id"], "nulls": ["无"],
    }  # fmt: skip
    return Contract.model_validate({**given, **changes})


def records(*rows: dict[str, str | None]) -> pa.Table:
    names = sorted({name for row in rows for name in row})
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    meta = {"raw_row": pa.array(range(len(rows)), pa.int32()), "raw_sha256": pa.array(["f" * 64] * len(rows))}
    return pa.table({**columns, **meta})


def test_a_contract_fills_the_table() -> None:
    chunk = normalise.chunk(
        records(
            {"no": "M1", "kind": "a", "build": "Y", "day": "20260615", "part": "1"},
            {"no": "M2", "kind": "b", "build": "0", "day": "x"},
            {"no": "no", "kind": "kind", "build": "build", "day": "day"},
        ),
        first=100,
    )
    facts = normalise.facts(contract(), chunk)
    rows = pa.table(dict(facts.columns)).to_pylist()
    assert rows[0]["type"] == "招投标"
    assert (rows[0]["title"], rows[1]["title"]) == ("M1/1", None)
    assert [row["is_construction"] for row in rows] == [True, False, None]
    assert rows[1]["type"] is None
    assert {row["state"] for row in rows} == {"待办"}
    assert rows[0]["test_date"] == rows[2]["opened_on"] == FIFTEENTH
    assert facts.problem("test_date").tolist() == [0, values.UNREADABLE, values.UNREADABLE]
    assert facts.record.tolist() == [100, 101, 102]
    assert facts.heading_row.tolist() == [False, False, True]
    assert facts.columns["department"].null_count == 3


def test_exclusions_name_their_reason_once() -> None:
    chunk = normalise.chunk(records({"no": "1", "x": "自然人"}, {"no": "2", "x": " "}, {"no": "3", "x": "法人"}))
    reasons = normalise.excluded(contract(exclude={"x": ("自然人", "")}), chunk)
    assert {reason: rows.tolist() for reason, rows in reasons.items()} == {
        "exclude:x=自然人": [True, False, False],
        "exclude:x=": [False, True, False],
    }
    kept = normalise.select(chunk, np.array([False, True, True]))
    assert kept.record.tolist() == [1, 2]


def test_lists_are_taken_apart_and_broken_ones_named() -> None:
    connection = duckdb.connect()
    words = text('[{"n":1,"name":"甲"},{"n":"2","x":[1]}]', None, "[]", '{"n":3.50}', "[1,", '["a"]', '"a"', "null")
    items, broken, keys = lists.parse(connection, words, ("n", "name"))
    assert items.to_pylist() == [
        {"_parent": 0, "_position": 1, "n": "1", "name": "甲"},
        {"_parent": 0, "_position": 2, "n": "2", "name": None},
        {"_parent": 3, "_position": 1, "n": "3.5", "name": None},
    ]
    assert broken.tolist() == [False, False, False, False, True, True, True, False]
    assert keys == {"n", "name", "x"}


def test_children_inherit_and_applicants_without_a_code_say_why() -> None:
    connection = duckdb.connect()
    made = contract()
    listed = f'[{{"n":1,"code":"{CODE}","name":" （测试）公司 "}},{{"n":2,"code":"12"}},{{"n":3}}]'
    chunk = normalise.chunk(records({"no": "M1"}, {"no": "M2", "who": listed}))
    parents = normalise.facts(made, chunk)
    items, _, _ = lists.parse(connection, normalise.column(chunk.records, "who"), ("n", "code", "name"))
    facts = normalise.child_facts(made, made.children["who"], parents, items)
    rows = pa.table(dict(facts.columns)).to_pylist()
    assert {row["matter_id"] for row in rows} == {"M2"}
    assert [(row["applicant_no"], row["uscc"], row["uscc_problem"]) for row in rows] == [
        ("1", CODE, None),
        ("2", None, "BAD_LENGTH"),
        ("3", None, "EMPTY"),
    ]
    assert (rows[0]["name"], rows[0]["name_key"]) == ("（测试）公司", "(测试)公司")
    assert facts.record.tolist() == [1, 1, 1]
    assert facts.raw_row.to_pylist() == [1, 1, 1]
