"""Pages that are not plain UTF-8: read where somebody says what they are, else named for what they look like."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chengxin import archive, harvest, readers
from chengxin.errors import ConfigError, SourceContentError, SourceRefusedError
from chengxin.settings import House

from .test_parts import known, people, write
from .tools import (
    AS_OF,
    Killed,
    Reply,
    Request,
    Source,
    cursor,
    fetch_http,
    http_contract,
    new_harvest,
    over,
    raw_objects,
    records,
)

GB = {"Content-Type": "application/json; charset=GBK"}
NONE = {"Content-Type": "application/json"}


def writes(source: Source, encoding: str, headers: dict[str, str], bom: bytes = b"") -> None:
    """The source serves its pages in an encoding, and declares what `headers` say."""

    def answer(request: Request) -> Reply:
        text = json.dumps({**source.page(request), "msg": "ok"}, ensure_ascii=False)
        return Reply(body=bom + text.encode(encoding), headers=dict(headers))

    source.answers = answer


def read(house: House, harvest_id: int, **more: Any) -> list[str]:
    """The names, as the readers find them in the archive."""
    one = http_contract(**more)
    found = [batch for raw in raw_objects(house, harvest_id) for batch in readers.batches(house, one, raw)]
    return [name for batch in found for name in batch.column("name").to_pylist()]


@pytest.mark.parametrize(
    ("encoding", "headers", "bom", "more"),
    [
        ("utf-8", NONE, codecs.BOM_UTF8, {}),
        ("utf-8", {"Content-Type": "application/json;charset=UTF-8"}, codecs.BOM_UTF8, {}),
        ("utf-8", GB, b"", {}),
        ("utf-8", GB, codecs.BOM_UTF8, {}),
        ("gb18030", GB, b"", {}),
        ("gb18030", {"Content-Type": 'application/json;charset="gb2312"'}, b"", {}),
        ("gb18030", NONE, b"", {"encoding": "gb18030"}),
        ("gb18030", {"Content-Type": "application/json; charset=utf-8"}, b"", {"encoding": "gbk"}),
        ("utf-16", NONE, b"", {"encoding": "utf-16"}),
    ],
    ids=["bom", "bom, declared", "lie", "lie, bom", "header", "gb2312", "contract", "contract over header", "utf-16"],
)
def test_pages_are_read_in_their_encoding(
    house: House, source: Source, encoding: str, headers: dict[str, str], bom: bytes, more: dict[str, Any]
) -> None:
    source.records = records(25)
    writes(source, encoding, headers, bom)
    harvest_id, _ = fetch_http(house, source, **more)
    assert source.pages == [1, 3, 2, 1]
    assert read(house, harvest_id, **more) == [record["name"] for record in source.records]
    # What is archived is what came.
    first = archive.get(house, "subject_registry", raw_objects(house, harvest_id)[0].sha256)
    assert first.startswith(bom)
    assert "虚构企业0".encode(encoding).removeprefix(codecs.BOM_UTF16_LE) in first


def test_what_an_answer_declared_stands_in_the_locator_alone_where_it_counts(house: House, source: Source) -> None:
    source.records = [*records(10), *[{"code": f"{n}", "name": "x"} for n in range(5)]]
    writes(source, "gb18030", GB)
    harvest_id, _ = fetch_http(house, source)
    assert [one.locator.partition("; ")[2] for one in raw_objects(house, harvest_id)] == ["charset=gb18030", ""]
    assert cursor(house, harvest_id)["charset"] == "gb18030"


def test_a_harvest_in_gb18030_publishes_what_one_in_utf8_does(house: House, source: Source, tmp_path: Path) -> None:
    write(tmp_path, cut=False)
    source.records = people()
    house = replace(over(house, source.connection), include=tmp_path / "include")
    plain, early, apart = (replace(house, var=tmp_path / name) for name in ("plain", "early", "apart"))
    harvest.run(plain, "subjects_in", AS_OF)
    writes(source, "gb18030", GB)
    assert harvest.run(early, "subjects_in", AS_OF)["harvested"] == 42
    harvest.publish(apart, harvest.fetch(apart, "subjects_in", AS_OF))
    assert known(plain) == known(early) == known(apart)


def test_a_cut_off_fetch_in_gb18030_goes_on(house: House, source: Source, kill_after: Callable[[int], None]) -> None:
    # The page kept last and the first one are looked at again: one is plain ASCII, which declares nothing.
    source.records = [*records(10), *[{"code": f"{n}", "name": "x"} for n in range(10)], *records(25)]
    writes(source, "gb18030", GB)
    harvest_id = new_harvest(house)
    kill_after(2)
    with pytest.raises(Killed):
        fetch_http(house, source, harvest_id)
    source.requests.clear()
    fetch_http(house, source, harvest_id)
    assert source.pages == [2, 3, 4, 1]
    assert read(house, harvest_id) == [record["name"] for record in source.records]


@pytest.mark.parametrize(
    ("body", "headers", "more", "why", "remedy"),
    [
        ("gb18030", NONE, {}, "reads as GB18030", "set `encoding: gb18030`"),
        ("gb18030", {"Content-Type": "application/json;charset=utf-8"}, {}, "reads as GB18030", "encoding: gb18030"),
        ("utf-16", NONE, {}, "its first bytes say UTF-16", "set `encoding: utf-16`"),
        ("utf-8", NONE, {"encoding": "gb18030"}, "its first bytes say so", "change `encoding` of the contract"),
        ("gb18030", NONE, {"encoding": "utf-8"}, "invalid", "correct `encoding` of the contract"),
        (
            b'{"code": "200", "data": {"total": 1, "records": [{"a": "\xff\xff"}]}}',
            NONE,
            {},
            "neither UTF-8 nor",
            "ask",
        ),
        (b'{"code": "200", "msg": "\xff", "data": {"total": 0, "records": []}}', NONE, {}, "neither UTF-8 nor", "ask"),
    ],
)
def test_what_nobody_declares_is_named_for_what_it_looks_like(
    house: House, source: Source, body: Any, headers: dict[str, str], more: dict[str, Any], why: str, remedy: str
) -> None:
    source.records = records(3)
    if isinstance(body, str):
        writes(source, body, headers)
    else:
        source.answers = lambda _: Reply(body=body, headers=dict(headers))
    harvest_id = new_harvest(house)
    with pytest.raises(SourceContentError) as caught:
        fetch_http(house, source, harvest_id, **more)
    assert why in caught.value.why
    assert remedy in caught.value.remedy
    assert "虚构" not in str(caught.value)
    assert raw_objects(house, harvest_id) == []


def test_a_page_in_another_encoding_later_on_stops_the_harvest(house: House, source: Source, tmp_path: Path) -> None:
    write(tmp_path, cut=False)
    source.records = people()
    house = replace(over(house, source.connection), include=tmp_path / "include")

    def answer(request: Request) -> Reply | None:
        if request.query["page"] != "3":
            return None
        return Reply(body=json.dumps(source.page(request), ensure_ascii=False).encode("gb18030"))

    source.answers = answer
    with pytest.raises(SourceContentError, match="reads as GB18030") as caught:
        harvest.run(house, "subjects_in", AS_OF)
    assert "page 3" in caught.value.where


def test_an_unknown_encoding_is_named(house: House, source: Source) -> None:
    with pytest.raises(ConfigError, match="unknown encoding 'gb1803'"):
        fetch_http(house, source, encoding="gb1803")


def test_a_page_for_people_is_repeated_in_its_own_words(house: House, source: Source) -> None:
    source.fail(Reply(400, "<p>请求参数有误</p>".encode("gbk"), {"Content-Type": "text/html"}))
    with pytest.raises(SourceRefusedError, match="“请求参数有误”"):
        fetch_http(house, source)
