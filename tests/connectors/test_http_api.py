"""The HTTP connector over real sockets, with every fault that a sharing platform has shown."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from chengxin import archive, connectors
from chengxin.errors import ChallengeError, SourceContentError
from chengxin.settings import House

from .tools import (
    AS_OF,
    PATH,
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


def test_all_pages_arrive_byte_by_byte_and_in_order(house: House, source: Source) -> None:
    source.records = records(25)
    harvest_id, _ = fetch_http(house, source)
    objects = raw_objects(house, harvest_id)
    assert [one.locator for one in objects] == [f"{PATH} page {number} of 10" for number in (1, 2, 3)]
    bodies = [archive.get(house, "subject_registry", one.sha256) for one in objects]
    assert [record for body in bodies for record in json.loads(body)["data"]["records"]] == source.records
    assert [one.size for one in objects] == [len(body) for body in bodies]
    assert cursor(house, harvest_id) == {"page": 3, "received": 25, "total": 25, "complete": True}


@pytest.mark.parametrize("count", [0, 1, 10, 20])
def test_no_page_is_asked_for_beyond_the_last(house: House, source: Source, count: int) -> None:
    source.records = records(count)
    harvest_id, _ = fetch_http(house, source)
    # A walk of several pages ends with another look at the first.
    assert source.pages == ([1, 2, 1] if count == 20 else [1])
    assert len(raw_objects(house, harvest_id)) == max(1, count // 10)


def test_without_a_total_a_short_page_is_the_last(house: House, source: Source) -> None:
    source.records = records(20)
    fetch_http(house, source, envelope={"total": None})
    assert source.pages == [1, 2, 3, 1]


def test_params_take_the_day(house: House, source: Source) -> None:
    fetch_http(house, source, params={"rq": "{as_of}", "qx": "历城"})
    assert source.requests[0].query["rq"] == "2026-06-15"
    assert source.requests[0].query["qx"] == "历城"


def test_a_finished_harvest_asks_nothing(house: House, source: Source) -> None:
    source.records = records(3)
    house = over(house, source.connection)
    harvest_id = new_harvest(house)
    connectors.fetch(house, http_contract(), AS_OF, harvest_id)
    connectors.fetch(house, http_contract(), AS_OF, harvest_id)
    assert len(source.requests) == 1


@pytest.mark.parametrize(
    ("kept", "asked", "then"),
    [
        (0, [1], [1, 5, 2, 3, 4, 1]),
        (1, [1, 5, 2], [1, 2, 3, 4, 1]),
        (3, [1, 5, 2, 3, 4], [3, 4, 1]),
        (4, [1, 5, 2, 3, 4, 1], [4, 1]),
    ],
)
def test_a_kill_costs_at_most_one_page_and_a_look_at_the_one_before(
    house: House, source: Source, kill_after: Callable[[int], None], kept: int, asked: list[int], then: list[int]
) -> None:
    source.records = records(45)
    undisturbed, _ = fetch_http(house, source)
    assert source.pages == [1, 5, 2, 3, 4, 1]
    source.requests.clear()
    harvest_id = new_harvest(house)
    kill_after(kept)
    with pytest.raises(Killed):
        fetch_http(house, source, harvest_id)
    assert source.pages == asked
    fetch_http(house, source, harvest_id)
    assert source.pages == asked + then
    assert [one.sha256 for one in raw_objects(house, harvest_id)] == [
        one.sha256 for one in raw_objects(house, undisturbed)
    ]
    assert [one.ordinal for one in raw_objects(house, harvest_id)] == [0, 1, 2, 3, 4]


def test_a_power_cut_that_took_bytes_costs_a_fetch_from_the_start(
    house: House, source: Source, kill_after: Callable[[int], None]
) -> None:
    source.records = records(45)
    harvest_id = new_harvest(house)
    kill_after(3)
    with pytest.raises(Killed):
        fetch_http(house, source, harvest_id)
    archive.path(house, "subject_registry", raw_objects(house, harvest_id)[1].sha256).write_bytes(b"")
    fetch_http(house, source, harvest_id)
    assert source.pages == [1, 5, 2, 3, 4, 1, 5, 2, 3, 4, 1]
    assert len(raw_objects(house, harvest_id)) == 5
    assert all(archive.is_whole(house, "subject_registry", one.sha256) for one in raw_objects(house, harvest_id))


# What is no data ---------------------------------------------------------------------------------------------------

CAPTCHA = "<html><head><title>安全验证</title><script>var t='abc'</script></head><body>请完成滑块验证</body></html>"


def test_a_captcha_with_status_200_is_no_data(house: House, source: Source) -> None:
    headers = {"Content-Type": "text/html; charset=utf-8", "Set-Cookie": "sid=0123456789"}
    source.fail(Reply(200, CAPTCHA.encode(), headers))
    with pytest.raises(SourceContentError, match=r"text/html, .*“安全验证 请完成滑块验证”") as caught:
        fetch_http(house, source)
    assert "sid" not in str(caught.value)
    assert "var t" not in str(caught.value)


def test_a_browser_challenge_is_not_got_round(house: House, source: Source) -> None:
    headers = {"Content-Type": "text/html", "Set-Cookie": "__jsluid_s=0123456789"}
    source.fail(Reply(521, b"<script>document.cookie='x'</script>", headers))
    with pytest.raises(ChallengeError, match="browser challenge") as caught:
        fetch_http(house, source)
    assert "jsluid" not in str(caught.value)
    assert len(source.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"code": "200"', b'"200"', b"[" * 100_000, b"{}x", "<p>请完成滑块验证</p>".encode("gb18030")],
)
def test_no_json_object_is_no_data(house: House, source: Source, body: bytes) -> None:
    source.fail(Reply(200, body))
    with pytest.raises(SourceContentError, match="no JSON object"):
        fetch_http(house, source)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"msg": "x"}, "no 'code'"),
        ({"code": "200", "data": {}}, "no 'data.records'"),
        ({"code": "200", "data": {"records": {}, "total": 1}}, "is no list"),
        ({"code": "200", "data": {"records": []}}, "'data.total' is no number"),
        ({"code": "200", "data": {"records": [], "total": "many"}}, "'data.total' is no number"),
        ({"code": "200", "data": {"records": [], "total": -1}}, "'data.total' is no number"),
        ({"code": "200", "data": [1]}, "no 'data.records'"),
    ],
)
def test_another_envelope_is_named(house: House, source: Source, body: dict[str, Any], why: str) -> None:
    source.fail(Reply(200, body))
    with pytest.raises(SourceContentError) as caught:
        fetch_http(house, source)
    assert why in caught.value.why


def test_a_total_in_quotes_and_null_records_are_read(house: House, source: Source) -> None:
    source.fail(Reply(200, {"code": 200, "data": {"total": "0", "records": None}}))
    harvest_id, _ = fetch_http(house, source)
    assert cursor(house, harvest_id)["received"] == 0


def test_gzip_is_unpacked(house: House, source: Source) -> None:
    body = json.dumps({"code": "200", "data": {"total": 1, "records": records(1)}}).encode()
    source.fail(Reply(200, gzip.compress(body), {"Content-Encoding": "gzip"}))
    harvest_id, _ = fetch_http(house, source)
    assert archive.get(house, "subject_registry", raw_objects(house, harvest_id)[0].sha256) == body


# Pages that do not add up ------------------------------------------------------------------------------------------


def truncated(count: int, total: int) -> Reply:
    return Reply(200, {"code": "200", "data": {"total": total, "records": records(count)}})


def test_a_truncated_page_is_named_and_asked_for_again_by_the_next_fetch_http(house: House, source: Source) -> None:
    source.records = records(25)
    source.fail(Reply(200, {"code": "200", "data": {"total": 25, "records": records(4)}}), page=2)
    harvest_id = new_harvest(house)
    with pytest.raises(
        SourceContentError, match="truncated: 4 records on a page of 10, with 11 still to come"
    ) as caught:
        fetch_http(house, source, harvest_id)
    assert "page 2" in caught.value.where
    assert len(raw_objects(house, harvest_id)) == 1
    fetch_http(house, source, harvest_id)
    assert source.pages == [1, 3, 2, 1, 2, 1]
    assert cursor(house, harvest_id)["received"] == 25


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (truncated(0, 5), "truncated: 0 records"),
        (truncated(11, 11), "11 records on a page of 10"),
        (truncated(5, 4), "5 records received, but the total is 4"),
    ],
)
def test_counts_that_do_not_fit(house: House, source: Source, reply: Reply, what: str) -> None:
    source.fail(reply)
    with pytest.raises(SourceContentError, match=what):
        fetch_http(house, source)


def test_a_source_that_does_not_turn_its_page(house: House, source: Source) -> None:
    source.records = records(30)
    first = source.page(Request("GET", PATH, {"page": "1", "size": "10"}, {}))
    source.answers = lambda _: Reply(200, first)
    with pytest.raises(SourceContentError, match="page 3 is page 1 once more"):
        fetch_http(house, source)


def test_a_total_that_changes_starts_the_walk_over(
    house: House, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.records = records(25)

    def grows(request: Request) -> None:
        if request.query["page"] == "2" and len(source.records) == 25:
            source.records = records(26)

    source.answers = grows
    harvest_id, _ = fetch_http(house, source)
    assert source.pages == [1, 3, 2, 1, 3, 2, 1]
    assert cursor(house, harvest_id)["received"] == 26
    assert len(raw_objects(house, harvest_id)) == 3
    assert "the total went from 25 to 26" in caplog.text


def test_a_total_that_never_stands_still_is_named(house: House, source: Source) -> None:
    def grows(request: Request) -> None:
        source.records = records(25 + len(source.requests))

    source.answers = grows
    harvest_id = new_harvest(house)
    with pytest.raises(SourceContentError, match="twice in a row"):
        fetch_http(house, source, harvest_id)
    assert raw_objects(house, harvest_id) == []
    assert cursor(house, harvest_id) == {}
