"""Delimited text in every encoding and every state of disrepair."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chengxin.errors import ChengxinError, ConfigError, DriftError, SourceContentError
from chengxin.readers import MAX_ROWS, decode, delimited
from chengxin.settings import House

from .tools import batches, file, rows

TEXT = "统一代码,名称\r\n91370112XXXX000001,虚构企业\r\n91370112XXXX000002,㐂镕䶮𠮷\r\n"
ROWS = [
    {"统一代码": "91370112XXXX000001", "名称": "虚构企业"},
    {"统一代码": "91370112XXXX000002", "名称": "㐂镕䶮𠮷"},
]


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gb18030", TEXT.encode("gb18030")),
        ("gb18030", "\ufeff".encode("gb18030") + TEXT.encode("gb18030")),
        ("utf-8", TEXT.encode()),
        ("utf-8", codecs.BOM_UTF8 + TEXT.encode()),
        ("utf-8-sig", TEXT.encode()),
        ("utf-8-sig", codecs.BOM_UTF8 + TEXT.encode()),
        ("utf-16", TEXT.encode("utf-16")),
    ],
)
def test_every_encoding(house: House, encoding: str, data: bytes) -> None:
    assert rows(house, file("csv", encoding=encoding), data) == ROWS


@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\r"])
def test_quotes_breaks_and_blank_lines(house: House, breaks: str) -> None:
    text = f'"a",b{breaks}{breaks}"x{breaks}y","say ""hi"", you"{breaks}{breaks}1,2'
    assert rows(house, file("csv"), text.encode()) == [
        {"a": f"x{breaks}y", "b": 'say "hi", you'},
        {"a": "1", "b": "2"},
    ]


def test_a_delimiter_of_its_own(house: House) -> None:
    assert rows(house, file("csv", delimiter="|"), b"a|b\n1,5|2\n") == [{"a": "1,5", "b": "2"}]


def test_values_stay_text(house: House) -> None:
    text = "a,b,c,d\n9.137E+17,00123,true,2025-01-02\n,NULL, x ,\n"
    assert rows(house, file("csv"), text.encode()) == [
        {"a": "9.137E+17", "b": "00123", "c": "true", "d": "2025-01-02"},
        {"a": "", "b": "NULL", "c": " x ", "d": ""},
    ]


def test_rows_of_another_length_are_delivered_in_their_place(house: House) -> None:
    text = 'a,b\n1\n2,3\n4,5,6\n\n"7\n8","9","0"\n10,11\n12'
    assert rows(house, file("csv"), text.encode()) == [
        {"a": "1", "b": None, "_problem": "1 fields under 2 headings"},
        {"a": "2", "b": "3"},
        {"a": "4", "b": "5", "_problem": "3 fields under 2 headings"},
        {"a": "7\n8", "b": "9", "_problem": "3 fields under 2 headings"},
        {"a": "10", "b": "11"},
        {"a": "12", "b": None, "_problem": "1 fields under 2 headings"},
    ]


def test_only_rows_of_another_length(house: House) -> None:
    assert [row["_problem"] for row in rows(house, file("csv"), b"a,b\n1\n2\n")] == ["1 fields under 2 headings"] * 2


def test_many_rows_come_in_batches_and_in_order(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 1 << 16)
    lines = [f"{n},虚构{n}" if n % 997 else f"{n}" for n in range(120_000)]
    found = rows(house, file("csv", encoding="gb18030"), ("a,b\n" + "\n".join(lines)).encode("gb18030"))
    assert [row["a"] for row in found] == [str(n) for n in range(120_000)]
    assert {int(row["a"]) for row in found if "_problem" in row} == set(range(0, 120_000, 997))


def test_a_batch_is_never_too_long(house: House) -> None:
    text = "a\n" + "\n".join(map(str, range(MAX_ROWS * 2 + 1)))
    assert [batch.num_rows for batch in batches(house, file("csv"), text.encode())] == [MAX_ROWS, MAX_ROWS, 1]


def test_headings_alone_are_an_empty_batch_that_shows_them(house: House) -> None:
    for text in ("a,b", "a,b\n", "a,b\r\n\r\n"):
        (batch,) = batches(house, file("csv"), text.encode())
        assert batch.num_rows == 0
        assert batch.schema.names[:2] == ["a", "b"]


def test_headings_are_tidied(house: House) -> None:
    assert rows(house, file("csv"), b'\n" a ","b\nc",d\n1,2,3\n') == [{"a": "1", "b c": "2", "d": "3"}]


def test_a_column_without_a_heading_must_be_empty(house: House) -> None:
    assert rows(house, file("csv"), b"a,,b,\n1,,2,\n3,x,4,\n") == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4", "_problem": "a value under no heading (column 2)"},
    ]


def test_headings_once_more_are_no_record(house: House) -> None:
    found = rows(house, file("csv"), b"a,b\n1,2\na,b\na,3\n")
    assert [row.get("_problem") for row in found] == [None, "the headings once more", None]


def test_the_same_heading_twice_is_drift(house: House) -> None:
    with pytest.raises(DriftError, match="the same heading twice: a"):
        rows(house, file("csv"), b"a,b,a\n1,2,3\n")
    # No line of headings, and a made-up citizen's number that stands twice in the first record.
    with pytest.raises(DriftError, match=r"twice: \*{18}") as caught:
        rows(house, file("csv"), b"370199199001011230,b,370199199001011230\n1,2,3\n")
    assert "19900101" not in str(caught.value)


def test_a_heading_of_ours_is_drift(house: House) -> None:
    with pytest.raises(DriftError, match="raw_row"):
        rows(house, file("csv"), b"a,raw_row\n1,2\n")


@pytest.mark.parametrize("data", [b"", b"\n\n", codecs.BOM_UTF8, b'"a'])
def test_no_headings(house: House, data: bytes) -> None:
    with pytest.raises(SourceContentError, match="no headings"):
        rows(house, file("csv"), data)


def test_nuls_are_shown_and_the_row_is_marked(house: House) -> None:
    assert rows(house, file("csv"), b"a,b\n1,x\0y\n2,z\n") == [
        {"a": "1", "b": "x␀y", "_problem": "a NUL in b"},
        {"a": "2", "b": "z"},
    ]
    assert rows(house, file("csv"), "a,b\n1,x\0y\n2,␀\n".encode())[1] == {"a": "2", "b": "␀"}


@pytest.mark.parametrize("tail", [',"虚构\n2,b\n3,c\n', '\n"x,y\n3,c\n', ',"'])
def test_an_open_quote_is_refused(house: House, tail: str) -> None:
    with pytest.raises(SourceContentError, match="never closed"):
        rows(house, file("csv"), f"a,b\n0,z\n1{tail}\n".encode())


STRAY = [f"{n},虚构{n},未报年报,2026-01-05,第{n}号" for n in range(30)]


@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ((5, "未报", '"未报'), (20, "年报,", '年报",')),
        ((5, "未报", '"未报'), (6, "年报,", '年报",')),
        ((0, "未报", '"未报'), (29, "年报,", '年报",')),
        # The other one stands elsewhere: the row has another number of fields besides.
        ((5, "未报", '"未报'), (20, "2026-01-05,", '2026-01-05",')),
        ((5, "虚", '"虚'), (20, "年报,", '年报",')),
        # A quote of the next company's own ends it.
        ((5, "未报", '"未报'), (20, "未报年报", '"未报年报"')),
    ],
)
def test_rows_swallowed_between_two_stray_quotes_are_let_go_and_none_is_wrong_about_another(
    house: House, breaks: str, opens: tuple[int, str, str], closes: tuple[int, str, str]
) -> None:
    lines = list(STRAY)
    for n, old, new in (opens, closes):
        lines[n] = lines[n].replace(old, new)
    first, last = opens[0], closes[0]
    found = rows(house, file("csv"), breaks.join(["code,who,why,since,no", *lines, ""]).encode())
    assert len(found) == 30
    for n, row in enumerate(found):
        swallowed = first <= n <= last
        assert row.get("_problem") == (
            f"a stray quote made one row of {last - first + 1} lines" if swallowed else None
        ), n
        assert (row["code"].strip('"'), row["no"]) == (str(n), f"第{n}号")


def test_a_value_of_several_lines_is_no_swallowed_row(house: House) -> None:
    address = "第一行, 三楼\n第二行, 某室, 转交\r\n\n第三行"
    table = [["a", "b", "c", "d"], ["1", address, "2", "3"], ["x\ny", "1,5", address, ","], ["4", "5", "6", "7"]]
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(table)
    found = rows(house, file("csv"), buffer.getvalue().encode())
    assert [list(row.values()) for row in found] == table[1:]
    assert rows(house, file("csv"), b'a\n"x\ny"\n"1,2\n3,4"\n') == [{"a": "x\ny"}, {"a": "1,2\n3,4"}]


def test_a_quote_that_swallows_rows_without_end_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MOST_ASIDE", 100)
    for text in ('1,"2\n' + "3,4\n" * 200 + '5,6"\n', "1\n" * 200):
        with pytest.raises(SourceContentError) as caught:
            rows(house, file("csv"), f"a,b\n{text}".encode())
        assert "100 rows" in str(caught.value.why)


def test_a_quote_inside_a_word_is_none(house: House) -> None:
    assert rows(house, file("csv"), b'a,b\n5" pipe,x\n') == [{"a": '5" pipe', "b": "x"}]


def test_a_row_without_end_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 1 << 16)
    with pytest.raises(SourceContentError, match="a row of more than"):
        rows(house, file("csv"), b"a,b\n1," + b"x" * (1 << 18) + b"\n2,3\n")


# Encodings that are not what the contract says ---------------------------------------------------------------------


def test_the_place_of_a_bad_byte(house: House) -> None:
    data = "a,b\n1,2\n3,虚".encode() + b"\xff\n"
    with pytest.raises(SourceContentError, match="bytes that are not utf-8") as caught:
        rows(house, file("csv"), data)
    assert caught.value.where == f"subject_registry: 名单 20260615, byte {data.index(0xFF)}, line 3"
    assert caught.value.why.startswith("ff 0a")


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("bad", [0, 100, 5000, 9998])
def test_the_place_does_not_depend_on_how_the_bytes_come(chunk: int, bad: int) -> None:
    data = bytearray("虚构,\n".encode("gb18030") * 1667)
    bad -= bad % 6
    data[bad : bad + 2] = b"\xff\xff"
    pieces = (bytes(data[start : start + chunk]) for start in range(0, len(data), chunk))
    with pytest.raises(SourceContentError) as caught:
        list(decode.decoded(pieces, "gb18030", "x"))
    assert caught.value.where == f"x, byte {bad:,}, line {bad // 6 + 1:,}"


def test_a_file_cut_off_within_a_character(house: House) -> None:
    data = "名称\n虚构".encode("gb18030")[:-1]
    with pytest.raises(SourceContentError, match="cut off within a character") as caught:
        rows(house, file("csv", encoding="gb18030"), data)
    assert f"byte {len(data) - 1}" in caught.value.where


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gb18030", TEXT.encode()),
        ("gb18030", codecs.BOM_UTF8 + TEXT.encode()),
        ("gb18030", b"code,name\n1," + "虚构企业".encode() + b"\n"),
        ("utf-8", TEXT.encode("utf-16")),
        ("utf-8", TEXT.encode("gb18030")),
    ],
)
def test_another_encoding_is_named_and_never_read_as_noise(house: House, encoding: str, data: bytes) -> None:
    with pytest.raises(SourceContentError):
        rows(house, file("csv", encoding=encoding), data)


def test_an_unknown_encoding_is_configuration(house: House) -> None:
    with pytest.raises(ConfigError, match="unknown encoding"):
        rows(house, file("csv", encoding="gb99"), b"a\n")


# Whatever comes ----------------------------------------------------------------------------------------------------

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=8).filter(
    # Such a value may look like two rows between stray quotes.
    lambda cell: not ("," in cell and set("\r\n") & set(cell))
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=12).map(lambda t: (width, t))
)
FAST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@FAST
@given(table=TABLES, encoding=st.sampled_from(["utf-8", "gb18030"]))
def test_what_a_careful_writer_writes_is_read_back(
    house: House, table: tuple[int, list[list[str]]], encoding: str
) -> None:
    width, content = table
    headings = [f"列{n}" for n in range(width)]
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([headings, *content])
    found = rows(house, file("csv", encoding=encoding), buffer.getvalue().encode(encoding))
    assert [[row[heading] for heading in headings] for row in found] == content


@FAST
@given(
    data=st.binary(max_size=300)
    | st.text(max_size=200).map(str.encode)
    | st.text(alphabet='a,"\n\r\0虚').map(str.encode)
)
@example(data=b'a\n"\n')
@example(data=b"\x00")
def test_noise_ends_in_rows_or_in_an_error_of_ours(house: House, data: bytes) -> None:
    with contextlib.suppress(ChengxinError):
        assert len(rows(house, file("csv"), data)) <= len(data)
