"""Records that all look alike: read by the places of their quotation marks, the same as value by value."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chengxin.readers import json_text, regular
from chengxin.readers.rows import from_records

FAST = settings(max_examples=150, deadline=None)
LIST = msgspec.json.Decoder(msgspec.Raw)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["", "\\N", '"', '\\"', "},{", '","b":"', "null", "a/b", "济南\n示例", "\\\\", ":", "[{", "}]"]
)
NUMBERS = st.sampled_from(["0", "-1", "9.137E+17", "1.10", "-0.50", "1e400", "123456789012345678901234567890", "-0"])
VALUES = st.one_of(
    TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False)),
    NUMBERS,
    st.sampled_from(["null", "true", "false"]),
    # What is not read here.
    st.sampled_from(["[]", "{}", "[1,2]", '{"a":1}', '["x"]', '"\\u4e2d"', '"\\/"', " 1", "1 ", '  "x"']),
)
KEYS = st.lists(st.text("abUN济_ ", min_size=1, max_size=20), min_size=1, max_size=6, unique=True)
STYLES = st.sampled_from([(":", ",", ","), (": ", ", ", ", "), (":", ", ", ","), (" :", ",", ",\n")])


@st.composite
def lists(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A list of records, mostly alike, and headings that may be expected."""
    keys, (colon, comma, between) = draw(KEYS), draw(STYLES)
    records = []
    for _ in range(draw(st.integers(1, 6))):
        own = draw(st.sampled_from([keys] * 8 + [keys[::-1], keys[1:], [*keys, keys[0]]]))
        pairs = [f"{json.dumps(key, ensure_ascii=False)}{colon}{draw(VALUES)}" for key in own]
        records.append("{" + comma.join(pairs) + "}")
    return "[" + between.join(records) + "]", draw(st.permutations([*keys, "missing"]))


def columns(text: bytes, headings: list[str]) -> dict[str, Any] | None:
    found = regular.columns(LIST.decode(text), headings)
    return None if found is None else {heading: column.to_pylist() for heading, column in found.items()}


@FAST
@given(lists())
@example(('[{"a":"1"},{},{"a":"2"}]', ["a"]))
@example(('[{"a":1},{},{"a":2}]', ["a"]))
@example(('[{"a":"x","a":"y"}]', ["a"]))
@example(('[{"a":-0}]', ["a"]))
def test_what_it_reads_is_what_is_read_value_by_value(case: tuple[str, list[str]]) -> None:
    text, headings = case
    found = columns(text.encode(), headings)
    if found is None:
        return
    expected = from_records(msgspec.json.Decoder(float_hook=str).decode(text), "0" * 64, "here")
    assert expected.column("_problem").null_count == expected.num_rows
    assert found == {name: expected.column(name).to_pylist() for name in headings if name in expected.schema.names}
    assert set(expected.schema.names) - {"_problem", "raw_row", "raw_sha256"} == set(found)


@FAST
@given(lists(), st.integers(0), st.sampled_from([bytes([byte]) for byte in b'",:{}[]\\ n0\xff\n']))
def test_bytes_that_were_tampered_with(case: tuple[str, list[str]], place: int, byte: bytes) -> None:
    text, headings = case[0].encode(), case[1]
    place %= len(text)
    for changed in (text[:place] + byte + text[place + 1 :], text[:place] + byte + text[place:], text[:place]):
        try:
            listed = LIST.decode(changed)
        except msgspec.DecodeError:
            continue
        found = regular.columns(listed, headings)
        if found is not None:
            records = msgspec.json.Decoder(float_hook=str).decode(changed)
            assert {name: column.to_pylist() for name, column in found.items()} == {
                name: from_records(records, "0" * 64, "here").column(name).to_pylist() for name in found
            }


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["dense", "spaced"])
@pytest.mark.parametrize("count", [1, 2, 300])
def test_pages_as_they_come_are_read_here(separators: tuple[str, str], count: int) -> None:
    records = [
        {
            "PRIPID": f"{number:024}",
            "ENTNAME": f"虚构“示例”公司{number}",
            "REMARK": "\\N" if number % 50 == 7 else '"x"\\' if number % 50 == 8 else "",
            "REVDATE": None if number % 3 else "2026-06-15",
            "REGCAP": number if number % 2 else str(number),
            "OK": bool(number % 2),
        }
        for number in range(count)
    ]
    text = json.dumps(records, ensure_ascii=False, separators=separators).encode()
    found = columns(text, [*records[0], "OTHER"])
    assert found is not None
    assert found == {heading: [json_value(record[heading]) for record in records] for heading in records[0]}


def json_value(value: Any) -> str | None:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else None if value is None else str(value)


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"[1]",
        b"null",
        b"[{}]",
        b'[{"":1}]',
        b'["a"]',
        b'[{"a":{"b":1}}]',
        b'[{"a":[1]}]',
        b'[{"a":1},{"b":1}]',
        b'[{"a":1,"b":2},{"b":1,"a":2}]',
        b'[{"a\\n":1}]',
        b'[{"a":"\\u0000"}]',
        b'[{"a":"\xff"}]',
        b'[{"a":"\\\\N\xff"}]',
        b'[{"other":"x"}]',
    ],
)
def test_what_looks_otherwise_is_left_to_others(text: bytes) -> None:
    assert columns(text, ["a", "b", "a\n", ""]) is None


def test_a_page_is_the_same_either_way() -> None:
    headings = ("a", "b", "c")
    for records in ('[{"a":"x","b":1.50},{"a":null,"b":"\\\\N"}]', '[{"b":true,"a":"济南"}]'):
        data = f'{{"code":"200","data":{{"rows":{records}}},"more":[{{"a":1}}]}}'.encode()
        listed = json_text._listed(("data", "rows"), data)
        assert listed is not None
        here = json_text._regular(listed, headings, "0" * 64)
        there = json_text._expected(("data", "rows"), headings, data, "0" * 64, listed)
        assert isinstance(here, pa.RecordBatch)
        assert here.equals(there)
        first = data.index(records.encode())
        place = slice(first, first + len(records.encode()))
        assert json_text._listed(("data", "rows"), data, place) == listed
        known = json_text.page(lambda data=data: data, "0" * 64, "data.rows", headings, "here", place=place)
        assert pa.Table.from_batches(known).equals(pa.Table.from_batches([here]))
