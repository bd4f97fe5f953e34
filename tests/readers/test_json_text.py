"""JSON pages, database batches and documents."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chengxin.contracts import Contract
from chengxin.errors import ChengxinError, DriftError, SourceContentError
from chengxin.readers import MAX_ROWS, json_text
from chengxin.settings import House

from .tools import batches, contract, file, rows

HTTP = contract({"connector": "http_api", "connection": "portal", "path": "/x"})
DATABASE = contract({"connector": "database", "connection": "front_db", "table": "t"})
FAST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def page(records: str) -> bytes:
    return f'{{"code":"200","msg":"成功","data":{{"total":1,"records":{records}}}}}'.encode()


def wrapped(one: Contract, records: str) -> bytes:
    """The records as this kind of source sends them."""
    if one is DATABASE:
        return "\n".join(json.dumps(record, ensure_ascii=False) for record in json.loads(records)).encode()
    return page(records) if one is HTTP else records.encode()


KINDS = pytest.mark.parametrize("one", [HTTP, DATABASE, file("json")], ids=["page", "lines", "document"])


def test_numbers_keep_the_digits_they_were_written_with(house: House) -> None:
    text = '[{"a":9.137E+17,"b":913701121234567890,"c":123456789012345678901234567890,"d":1.10,"e":-0.5,"f":1e400}]'
    expected = {
        "a": "9.137E+17",
        "b": "913701121234567890",
        "c": "123456789012345678901234567890",
        "d": "1.10",
        "e": "-0.5",
        "f": "1e400",
    }
    assert rows(house, HTTP, page(text)) == [expected]
    assert rows(house, file("json"), text.encode()) == [expected]


@KINDS
def test_words_nulls_and_what_is_missing(house: House, one: Contract) -> None:
    records = '[{"a":"虚构","b":true,"c":null},{"b":false,"d":""},{"a":7}]'
    assert rows(house, one, wrapped(one, records)) == [
        {"a": "虚构", "b": "true", "c": None, "d": None},
        {"a": None, "b": "false", "c": None, "d": ""},
        {"a": "7", "b": None, "c": None, "d": None},
    ]


@KINDS
def test_nested_lists_arrive_as_json_text(house: House, one: Contract) -> None:
    records = '[{"id":"1","sqr":[{"xh":1,"mc":"虚构","x":null}]},{"id":"2","sqr":[]},{"id":"3","sqr":null}]'
    found = rows(house, one, wrapped(one, records))
    parsed = [json.loads(row["sqr"]) if row["sqr"] else None for row in found]
    assert [[child["mc"] for child in children or []] for children in parsed] == [["虚构"], [], []]
    assert str(parsed[0][0]["xh"]) == "1"
    assert parsed[2] is None


@KINDS
def test_what_is_no_object_is_a_row_with_a_problem(house: House, one: Contract) -> None:
    found = rows(house, one, wrapped(one, '[{"a":"1"},["x"],null,"text",5,{}]'))
    assert [row.get("_problem") for row in found] == [
        None,
        "no object but a list",
        "no object but null",
        "no object but a bare value",
        "no object but a bare value",
        None,
    ]


@KINDS
def test_nuls_are_shown_and_the_row_is_marked(house: House, one: Contract) -> None:
    assert rows(house, one, wrapped(one, '[{"a":"x\\u0000y"},{"a":"z"}]')) == [
        {"a": "x␀y", "_problem": "a NUL in a"},
        {"a": "z"},
    ]


@KINDS
def test_what_only_looks_like_a_nul_is_none(house: House, one: Contract) -> None:
    found = rows(house, one, wrapped(one, '[{"a":"x\\u0000y"},{"a":"␀"},{"a":"\\\\u0000"}]'))
    assert [row["a"] for row in found] == ["x␀y", "␀", "\\u0000"]
    assert [row.get("_problem") for row in found] == ["a NUL in a", None, None]


def test_half_a_character_is_a_problem_of_its_own_row_alone(house: House) -> None:
    document = (
        '[{"a":"为何?"},{"a":"坏\\ud83d字"},{"a":null},{"a":"?"},{"a":["\\udc00","?"]},{"a":"😀"},{"a":["?"]},{"a":7}]'
    )
    found = rows(house, file("json"), document.encode())
    assert [row["a"] for row in found] == ["为何?", "坏?字", None, "?", '["?","?"]', "😀", '["?"]', "7"]
    assert [n for n, row in enumerate(found) if "_problem" in row] == [1, 4]
    assert found[1]["_problem"] == "half a character in a"


def test_half_a_character_in_a_key_is_refused(house: House) -> None:
    with pytest.raises(SourceContentError, match="heading"):
        rows(house, file("json"), b'[{"a\\ud83d":"1"}]')


def test_a_key_twice_in_a_record_is_a_problem_of_that_record(house: House) -> None:
    records = (
        '[{"name":"甲","code":"1"},{"name":"乙","name":"丙","code":"2"},{"name":"丁","code":"3","l":[{"x":1,"x":2}]},'
        '{"name":"\\"name\\":1"}]'
    )
    for one in (HTTP, file("json")):
        found = rows(house, one, wrapped(one, records))
        assert [row.get("_problem") for row in found] == [None, "a key twice", "a key twice", None]
        assert [row["name"] for row in found] == ["甲", "丙", "丁", '"name":1']


@pytest.mark.parametrize("first", ["[]", '[{"code":"1"}]', '[{"code":"1","l":[]}]', "null"])
def test_two_lists_under_one_key_are_refused(house: House, first: str) -> None:
    for one in (HTTP, file("json", records="data.records")):
        document = f'{{"data":{{"total":2,"records":{first},"records":[{{"code":"2"}}]}}}}'
        with pytest.raises(SourceContentError) as caught:
            rows(house, one, document.encode())
        assert "twice" in str(caught.value) or "no list" in str(caught.value)


@KINDS
def test_no_records_no_batches(house: House, one: Contract) -> None:
    assert batches(house, one, wrapped(one, "[]")) == []


@KINDS
def test_a_heading_of_ours_is_drift(house: House, one: Contract) -> None:
    with pytest.raises(DriftError, match="_problem"):
        rows(house, one, wrapped(one, '[{"_problem":"1"}]'))


def test_a_page_longer_than_a_batch_is_cut(house: House) -> None:
    records = json.dumps([{"a": n} for n in range(MAX_ROWS + 1)])
    assert [batch.num_rows for batch in batches(house, HTTP, page(records))] == [MAX_ROWS, 1]
    assert [row["a"] for row in rows(house, HTTP, page(records))][-1] == str(MAX_ROWS)


def test_null_records_of_a_page_are_none(house: House) -> None:
    assert rows(house, HTTP, b'{"code":"200","data":{"records":null}}') == []


def test_a_page_without_its_list_is_named(house: House) -> None:
    with pytest.raises(SourceContentError, match=r"no list at 'data\.records'"):
        rows(house, HTTP, b'{"code":"200","data":{}}')


@pytest.mark.parametrize("data", [b"{", b"", b'{"a":"\xff"}', b"[" * 100_000, b"\xef\xbb\xbf{}", b"nul"])
def test_no_json_is_named(house: House, data: bytes) -> None:
    with pytest.raises(SourceContentError, match=r"no JSON|no list"):
        rows(house, HTTP, data)
    if data:
        with pytest.raises(SourceContentError, match="no JSON"):
            rows(house, DATABASE, b'{"a":1}\n' + data)


# Documents ---------------------------------------------------------------------------------------------------------


def test_a_list_at_a_dotted_path_among_other_things(house: House) -> None:
    document = (
        '{"head":{"data":[1,{"reports":0}],"n":1e5},"data":{"x":[[]],"reports":[{"a":"1"},{"a":"2"}],"y":"]"},"t":"}"}'
    )
    assert rows(house, file("json", records="data.reports"), document.encode()) == [{"a": "1"}, {"a": "2"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_documents_in_every_encoding(house: House, encoding: str) -> None:
    one = file("json", encoding=encoding)
    assert rows(house, one, '[{"名称":"虚构𠮷"}]'.encode(encoding)) == [{"名称": "虚构𠮷"}]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "the document is cut off"),
        ("[", "the document is cut off"),
        ('[{"a":1}', "the document is cut off"),
        ('[{"a":1},', "the document is cut off"),
        ('[{"a":1', "delimiter"),
        ('[{"a":1}]x', "behind the end"),
        ('[{"a":1} {"a":2}]', "neither a comma"),
        ('{"a":1}', "no list where the records should be"),
        ("captcha", "no list where"),
        ("[captcha]", "Expecting value"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_a_document_that_is_none_or_cut_off(house: House, document: str, why: str) -> None:
    with pytest.raises(SourceContentError) as caught:
        rows(house, file("json"), document.encode())
    assert why in caught.value.why
    assert "character" in caught.value.where


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ('{"data":{"x":1}}', "no key 'reports'"),
        ("{}", "no key 'data'"),
        ('{"data":[]}', "no object where 'reports'"),
        ('{"data":{"reports":[]}', "cut off"),
        ('{"data":{"reports":[]},"x":', "cut off"),
        ('{"data" {}}', "no colon"),
    ],
)
def test_a_path_that_leads_nowhere(house: House, document: str, why: str) -> None:
    with pytest.raises(SourceContentError) as caught:
        rows(house, file("json", records="data.reports"), document.encode())
    assert why in caught.value.why


def test_the_place_of_an_error_far_behind(house: House) -> None:
    document = '[{"a":"虚构"},\n' * 1 + '{"a":"x"},\n' * 200_000 + "oops]"
    with pytest.raises(SourceContentError) as caught:
        rows(house, file("json"), document.encode())
    assert f"character {document.index('oops') + 1:,}" in caught.value.where


def test_a_value_without_end_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_RECORD", 1 << 16)
    document = '[{"a":"' + "x" * (1 << 20)
    with pytest.raises(SourceContentError, match="million characters"):
        rows(house, file("json"), document.encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@FAST
@given(records=st.lists(JSON, max_size=8), around=JSON, window=st.integers(1, 9), indent=st.none() | st.integers(0, 2))
def test_the_window_may_be_as_narrow_as_it_likes(
    records: list[Any], around: Any, window: int, indent: int | None
) -> None:
    text = json.dumps({"x": around, "data": {"x": around, "list": records}, "y": around}, indent=indent)

    def chunks() -> Iterator[str]:
        return (text[start : start + window] for start in range(0, len(text), window))

    found = list(json_text._Reader(chunks(), "x").elements(["data", "list"]))
    assert found == json.loads(json.dumps(records), parse_int=str)


@FAST
@given(
    records=st.lists(
        st.dictionaries(
            st.sampled_from(["code", "name"]), JSON | st.floats(allow_nan=False, allow_infinity=False), max_size=2
        )
        | st.fixed_dictionaries({"code": st.text(max_size=3), "name": st.sampled_from(["虚构", "x\0y", None, True])}),
        max_size=6,
    ),
    stray=st.none() | st.just({"other": 1}) | st.just(7),
)
def test_expected_headings_make_a_page_faster_and_no_different(house: House, records: list[Any], stray: Any) -> None:
    records = [*records, stray] if stray else records
    text = json.dumps(records)
    elsewhere = contract({"connector": "http_api", "connection": "portal", "path": "/x"}, columns={"other": "uscc"})
    assert rows(house, HTTP, page(text)) == rows(house, elsewhere, page(text))


def test_a_heading_that_no_record_has_is_not_there(house: House) -> None:
    (batch,) = batches(house, HTTP, page('[{"name":"a"},{"name":null},{}]'))
    assert batch.schema.names[:-3] == ["name"]


@FAST
@given(data=st.binary(max_size=200) | st.text(alphabet='{}[]:,"a1 \\\n', max_size=60).map(str.encode))
def test_noise_ends_in_rows_or_in_an_error_of_ours(house: House, data: bytes) -> None:
    for one in (HTTP, DATABASE, file("json"), file("json", records="a.b")):
        with contextlib.suppress(ChengxinError):
            assert len(rows(house, one, data)) <= len(data)
