"""The envelope of a page: one look at its bytes says what several do; what the contract does not expect is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from chengxin.connectors import envelope as envelopes
from chengxin.connectors.envelope import Page, read_page
from chengxin.connectors.http_client import Answer
from chengxin.errors import SourceContentError
from chengxin.reads import Envelope, Paging

FLAT = Envelope(total="total", records="data")
NESTED = Envelope()
CURSOR = Paging(style="cursor", next="data.next")
INSIDE = Envelope(code="data.records.code")


def answer(body: Any) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Answer(200, CaseInsensitiveDict({"Content-Type": "application/json"}), raw)


def said(body: Any, envelope: Envelope, paging: Paging | None) -> Page | str:
    try:
        return read_page(answer(body), envelope, "GET /x, page 1", paging)
    except SourceContentError as error:
        return str(error)


RECORDS = [{"a": "甲", "b": 1.50}, {"a": 'q"\\', "b": None}]
BODIES: list[Any] = [
    {"code": "200", "msg": "成功", "total": 2, "data": RECORDS},
    {"code": 200, "total": "2", "data": RECORDS, "more": {"data": []}},
    {"code": "200", "msg": None, "total": 2, "data": None},
    {"code": "200", "msg": "", "data": RECORDS},
    {"code": "200", "msg": "", "total": -1, "data": RECORDS},
    {"code": "200", "msg": "", "total": 2, "data": "RECORDS"},
    {"code": "200", "msg": "", "total": 2},
    {"code": "503", "msg": "忙", "data": []},
    {"code": "503"},
    {"msg": "?", "data": []},
    {"code": "200", "msg": "ok", "data": {"total": 2, "records": RECORDS, "next": "w2"}},
    {"code": "0", "msg": "ok", "data": {"total": 2, "records": [], "next": ""}},
    {"code": "0", "msg": "ok", "data": {"total": 2, "records": [], "next": False}},
    {"code": "0", "msg": "ok", "data": {"total": 2, "records": [], "next": 7}},
    {"code": "0", "msg": "ok", "data": []},
    {"code": "0", "msg": "ok", "data": {"records": {}}},
    [],
    b"<html>captcha</html>",
    b'{"code":"200","data":[{"a":1},',
    b'{"code":"200","code":"0","msg":"twice","total":1,"data":[1]}',
]


@pytest.mark.parametrize("envelope", [FLAT, NESTED, INSIDE], ids=["flat", "nested", "inside"])
@pytest.mark.parametrize("paging", [None, CURSOR], ids=["no word", "word"])
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_one_look_says_what_several_say(
    monkeypatch: pytest.MonkeyPatch, body: Any, envelope: Envelope, paging: Paging | None
) -> None:
    at_once = said(body, envelope, paging)
    monkeypatch.setattr(envelopes, "_at_once", lambda *_: None)
    assert at_once == said(body, envelope, paging)


def test_what_a_page_says() -> None:
    assert said(BODIES[0], FLAT, None) == Page("200", "成功", 2, 2)
    assert said(BODIES[10], NESTED, CURSOR) == Page("200", "ok", 2, 2, "w2")
    assert said(BODIES[7], FLAT, None) == Page("503", "忙", None, 0)


def test_most_pages_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("looked at again")

    monkeypatch.setattr(envelopes, "_one_by_one", never)
    assert said(BODIES[0], FLAT, None) == Page("200", "成功", 2, 2)


def test_marks_are_those_of_the_records() -> None:
    page = read_page(answer(BODIES[0]), FLAT, "here", None, "a")
    assert page == Page("200", "成功", 2, 2, None, ("甲", 'q"\\'))


def test_a_part_inside_another_takes_more_looks() -> None:
    assert envelopes._shape(INSIDE.model_copy(update={"records": "data"}), None) is None


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        (b'{"code":"200","total":2,"data":[{"a":"]"},{"b":[1]}]}', b'[{"a":"]"},{"b":[1]}]'),
        (b'{"code":"200","total":1,"data":[{"a":1}],"data":[{"a":2}]}', b'[{"a":2}]'),
        (b'{"code":"200","total":1,"data":[ {"a":1} ]}', None),
        (b'{"code":"200","total":0,"data":[]}', None),
        (b'\xef\xbb\xbf{"code":"200","total":1,"data":[{"a":1}]}', None),
    ],
)
def test_where_the_list_stands_in_the_bytes_of_a_page(body: bytes, listed: bytes | None) -> None:
    place = read_page(Answer(200, CaseInsensitiveDict({}), body), FLAT, "here").listed(body)
    assert (None if place is None else body[place]) == listed


def test_a_page_of_another_encoding_is_searched_anew() -> None:
    body = '{"code":"200","total":1,"data":[{"名称":"示例"}]}'.encode("gb18030")
    said = Answer(200, CaseInsensitiveDict({"Content-Type": "application/json; charset=gbk"}), body)
    assert read_page(said, FLAT, "here").listed(body) is None
