"""XML: records out of a stream, and documents made to harm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chengxin.errors import DriftError, SourceContentError
from chengxin.readers import xml_text
from chengxin.settings import House

from .tools import contract, file, rows

XML = file("xml", records="data.row")


def read(house: House, text: str | bytes, encoding: str = "utf-8", records: str = "data.row") -> list[dict[str, Any]]:
    data = text if isinstance(text, bytes) else text.encode(encoding)
    return rows(house, file("xml", records=records, encoding=encoding), data)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_elements_and_attributes_in_every_encoding(house: House, encoding: str) -> None:
    text = f'''<?xml version="1.0" encoding="{encoding}" standalone="yes"?>
    <!-- 名单 --><data date="20260615"><row id="1"><名称>虚构 &lt;企业&gt; &#x3402;</名称><b/><c> 1 </c></row>
    <row id="2"><名称><![CDATA[<b>㐂镕䶮𠮷</b>]]></名称></row></data>'''
    assert read(house, text, encoding) == [
        {"id": "1", "名称": "虚构 <企业> 㐂", "b": None, "c": "1"},
        {"id": "2", "名称": "<b>㐂镕䶮𠮷</b>", "b": None, "c": None},
    ]


def test_name_spaces_are_left_out(house: House) -> None:
    text = '<d:data xmlns:d="urn:x" xmlns="urn:y"><d:row d:id="1"><d:a>2</d:a></d:row></d:data>'
    assert read(house, text) == [{"id": "1", "a": "2"}]


def test_what_is_nested_arrives_as_json(house: House) -> None:
    text = """<data><row><sqr><xm><n>1</n></xm><xm><n>2</n></xm></sqr><one><n>3</n><m>4</m></one><t>a</t><t>b</t>
    <p><q><r>1</r></q></p></row></data>"""
    (row,) = read(house, text)
    assert {name: json.loads(value) for name, value in row.items()} == {
        "sqr": [{"n": "1"}, {"n": "2"}],
        "one": {"n": "3", "m": "4"},
        "t": ["a", "b"],
        "p": [{"r": "1"}],
    }


def test_only_elements_at_the_path_are_records(house: House) -> None:
    text = "<data><head><row><a>0</a></row></head><list><row><a>1</a></row></list><row><a>2</a></row></data>"
    assert read(house, text, records="data.list.row") == [{"a": "1"}]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("<data>{0}<Row><code>2</code><name>b</name></Row></data>", "data.Row"),
        ("<data><item><code>2</code><name>b</name></item>{0}</data>", "data.item"),
        ("<data>{0}<more><row><code>2</code><name>b</name><x/></row></more></data>", "data.more.row"),
        ('<data>{0}<old code="2" name="b"/></data>', "data.old"),
        # No record at the path at all: the contract's own headings tell.
        ("<data><Row><统一代码>2</统一代码><名称>b</名称></Row></data>", "data.Row"),
    ],
)
def test_records_of_another_name_or_place_are_not_left_out_silently(house: House, text: str, path: str) -> None:
    one = contract(
        {"connector": "files", "connection": "file_drop", "pattern": "*", "format": "xml", "records": "data.row"},
        columns={"统一代码": "uscc", "名称": "name"},
    )
    with pytest.raises(SourceContentError, match="look like records") as caught:
        rows(house, one, text.format("<row><code>1</code><name>a</name></row>").encode())
    assert repr(path) in str(caught.value)


def test_what_stands_beside_the_records_may_say_how_many_there_are(house: House) -> None:
    assert read(house, '<data code="0" name="x"><row><code>1</code><name>a</name></row></data>')
    text = """<data code="0" name="名单"><total>1</total><page><size>10</size><no>1</no><name/></page>
    <row><code>1</code><name>a</name><since>x</since></row></data>"""
    assert read(house, text) == [{"code": "1", "name": "a", "since": "x"}]


def test_no_records_are_none_and_another_document_is_an_error(house: House) -> None:
    assert read(house, "<data></data>") == []
    with pytest.raises(SourceContentError, match="no element 'data'"):
        read(house, "<html><body>captcha</body></html>")


def test_many_records_in_batches(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_text, "ROWS", 10)
    text = "<data>" + "".join(f"<row><a>{n}</a></row>" for n in range(10_025)) + "</data>"
    assert [row["a"] for row in read(house, text)] == [str(n) for n in range(10_025)]


LAUGHS = (
    '<!DOCTYPE data [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{n} "{"&a;" * 9}">' for n in range(9))
    + "]><data>&a8;</data>"
)
FOREIGN = '<!DOCTYPE data [<!ENTITY x SYSTEM "file:///etc/hostname">]><data><row><a>&x;</a></row></data>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "a document type"),
        (FOREIGN, "a document type"),
        ("<!DOCTYPE data SYSTEM 'http://a.invalid/x.dtd'><data/>", "a document type"),
        ("<data><row><a>1</a></row>", "no well-formed XML"),
        ("<data><row><a>1</b></row></data>", "no well-formed XML"),
        ("<data><row><a>\0</a></row></data>", "no well-formed XML"),
        ("<data><row><a>&nope;</a></row></data>", "no well-formed XML"),
        ("", "no element"),
        ("a,b\n1,2\n", "no well-formed XML"),
        ("<a>" * 200, "too large"),
        ("名称".encode("gb18030"), "bytes that are not utf-8"),
    ],
)
def test_a_harmful_or_broken_document_is_a_named_error(house: House, text: str | bytes, words: str) -> None:
    with pytest.raises(SourceContentError, match=words):
        read(house, text)


@pytest.mark.parametrize(
    "text",
    [
        "<data><row><a>{}</a></row></data>",
        "<data><row a='{}'/></data>",
        "<data><row>{}",
        "<data><{}",
        "<data><!--{}-->",
    ],
    ids=["value", "attribute", "text", "tag", "comment"],
)
def test_nothing_is_held_without_end(house: House, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(xml_text, "MAX_RECORD", 1 << 20)
    with pytest.raises(SourceContentError, match="too large"):
        read(house, text.format("x" * (3 << 20)))


def test_errors_never_quote_the_document(house: House) -> None:
    with pytest.raises(SourceContentError) as caught:
        read(house, "<data><row><name>虚构</name><geheim>1</wrong></row></data>")
    assert "geheim" not in str(caught.value)
    assert "line 1" in caught.value.why


def test_a_heading_of_ours_is_drift(house: House) -> None:
    with pytest.raises(DriftError, match="a heading that is ours"):
        read(house, "<data><row><raw_row>1</raw_row></row></data>")
