"""The other ways to page: a word to ask on with, and links; and a rate that the source may ask for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from chengxin import connectors
from chengxin.connectors import http_words
from chengxin.errors import SourceContentError, SourceRefusedError, SourceUnreachableError
from chengxin.reads import HttpRead
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

CURSOR: dict[str, Any] = {
    "style": "cursor", "cursor": "from", "next": "data.next", "size": "limit", "page_size": 10,
}  # fmt: skip
LINK: dict[str, Any] = {"style": "link", "next": "links.next", "size": "limit", "page_size": 10}
HEADER: dict[str, Any] = {"style": "link", "size": None}


def serves(source: Source, *, stale: tuple[str, ...] = (), total: bool = True, last: Any = None) -> None:
    """The source hands its records out behind words; a word in `stale` is refused once."""
    refused = list(stale)

    def answer(request: Request) -> Reply:
        word = request.query.get("from", "w0")
        if word in refused:
            refused.remove(word)
            return Reply(400, {"code": "400", "msg": "游标已失效"})
        start = int(word[1:])
        following = start + 10
        more = following < len(source.records)
        body: dict[str, Any] = {
            "code": "200",
            "data": {"records": source.records[start:following], "next": f"w{following}" if more else last},
            "links": {"next": f"{request.path}?from=w{following}" if more else last},
        }
        if total:
            body["data"]["total"] = len(source.records)
        headers = {"Link": f'<?from=w{following}>; rel="next", <?from=w0>; rel="first"'} if more else {}
        return Reply(200, body, headers)

    source.answers = answer


def words(source: Source) -> list[str]:
    return [request.query.get("from", "") for request in source.requests]


@pytest.mark.parametrize("paging", [CURSOR, LINK, HEADER], ids=["cursor", "link", "header"])
@pytest.mark.parametrize("last", [None, "", False])
def test_pages_by_words_and_links(house: House, source: Source, paging: dict[str, Any], last: Any) -> None:
    source.records = records(25)
    serves(source, last=last)
    harvest_id, _ = fetch_http(house, source, paging=paging)
    assert words(source) == ["", "w10", "w20"]
    assert {request.path for request in source.requests} == {PATH}
    assert cursor(house, harvest_id)["received"] == 25
    assert len(raw_objects(house, harvest_id)) == 3


def test_sizes_are_asked_for_where_the_source_knows_them(house: House, source: Source) -> None:
    source.records = records(15)
    serves(source)
    fetch_http(house, source, paging=CURSOR, params={"qx": "历城"})
    assert [request.query["limit"] for request in source.requests] == ["10", "10"]
    assert {request.query["qx"] for request in source.requests} == {"历城"}
    source.requests.clear()
    fetch_http(house, source, paging=HEADER)
    assert "limit" not in source.requests[0].query


def test_numbers_may_begin_with_zero(house: House, source: Source) -> None:
    source.records = records(20)
    source.answers = lambda request: Reply(
        200, source.page(Request("GET", PATH, {**request.query, "page": str(int(request.query["page"]) + 1)}, {}))
    )
    fetch_http(house, source, paging={"first": 0, "page_size": 10})
    assert source.pages == [0, 1, 0]


@pytest.mark.parametrize("paging", [CURSOR, LINK], ids=["cursor", "link"])
@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_kill_costs_at_most_one_page(
    house: House, source: Source, kill_after: Callable[[int], None], paging: dict[str, Any], kept: int
) -> None:
    source.records = records(25)
    serves(source)
    harvest_id = new_harvest(house)
    kill_after(kept)
    with pytest.raises(Killed):
        fetch_http(house, source, harvest_id, paging=paging)
    fetch_http(house, source, harvest_id, paging=paging)
    every = ["", "w10", "w20"]
    assert words(source) == [*every[: kept + 1], *every[kept:]]
    assert len(raw_objects(house, harvest_id)) == 3


def test_a_word_that_expired_meanwhile_costs_a_walk_from_the_start(
    house: House, source: Source, kill_after: Callable[[int], None]
) -> None:
    source.records = records(25)
    serves(source, stale=("w20",))
    harvest_id = new_harvest(house)
    kill_after(2)
    source_answers, source.answers = source.answers, lambda request: source_answers(request)
    serves(source)
    with pytest.raises(Killed):
        fetch_http(house, source, harvest_id, paging=CURSOR)
    serves(source, stale=("w20",))
    fetch_http(house, source, harvest_id, paging=CURSOR)
    assert words(source) == ["", "w10", "w20", "w20", "", "w10", "w20"]
    assert cursor(house, harvest_id)["received"] == 25


def test_a_word_that_is_refused_within_one_walk_is_an_error(house: House, source: Source) -> None:
    source.records = records(25)
    serves(source, stale=("w10",))
    with pytest.raises(SourceRefusedError, match="refuses the request"):
        fetch_http(house, source, paging=CURSOR)


def test_a_total_that_is_not_reached_is_a_truncated_list(house: House, source: Source) -> None:
    source.records = records(25)
    serves(source)
    truly = source.answers

    def answer(request: Request) -> Reply | None:
        reply = truly(request)
        if reply and isinstance(reply.body, dict):
            reply.body["data"]["total"] = 31
        return reply

    source.answers = answer
    with pytest.raises(SourceContentError, match="truncated: 25 records received, but the total is 31"):
        fetch_http(house, source, paging=CURSOR)


def test_without_a_total_the_missing_word_ends_it(house: House, source: Source) -> None:
    source.records = records(20)
    serves(source, total=False)
    harvest_id, _ = fetch_http(house, source, paging=CURSOR, envelope={"total": None})
    assert cursor(house, harvest_id)["received"] == 20


def test_an_empty_page_is_the_last_whatever_it_says(house: House, source: Source) -> None:
    source.answers = lambda _: Reply(200, {"code": "200", "data": {"total": 0, "records": [], "next": "w0"}})
    fetch_http(house, source, paging=CURSOR)
    assert len(source.requests) == 1


def test_a_source_that_does_not_move_on(house: House, source: Source) -> None:
    count = iter(range(100))
    source.answers = lambda _: Reply(
        200, {"code": "200", "n": next(count), "data": {"total": 20, "records": records(10), "next": "w10"}}
    )
    with pytest.raises(SourceContentError, match="does not move on"):
        fetch_http(house, source, paging=CURSOR)


def circle(source: Source, words: list[str], total: int | None = None) -> None:
    """Each page's word is the one after its own; the last leads back to the first."""
    count = iter(range(10_000))

    def answer(request: Request) -> Reply:
        following = words[(words.index(request.query.get("from", words[-1])) + 1) % len(words)]
        number = next(count)
        data = {"records": [{"code": f"{number}-{n}", "name": "x"} for n in range(10)], "next": following}
        body = {"code": "200", "n": number, "data": data | ({} if total is None else {"total": total})}
        return Reply(200, {**body, "links": {"next": f"{request.path}?from={following}"}})

    source.answers = answer


@pytest.mark.parametrize("paging", [CURSOR, LINK], ids=["cursor", "link"])
@pytest.mark.parametrize("length", [2, 7])
def test_words_that_lead_round_in_a_circle(house: House, source: Source, paging: dict[str, Any], length: int) -> None:
    circle(source, [f"w{n}" for n in range(length)])
    with pytest.raises(SourceContentError, match="does not move on"):
        fetch_http(house, source, paging=paging, envelope={"total": None})
    assert len(source.requests) == length + 1


def test_a_circle_that_a_kill_cuts_into(house: House, source: Source, kill_after: Callable[[int], None]) -> None:
    circle(source, ["a", "b", "c", "d"])
    harvest_id = new_harvest(house)
    kill_after(3)
    with pytest.raises(Killed):
        fetch_http(house, source, harvest_id, paging=CURSOR, envelope={"total": None})
    with pytest.raises(SourceContentError, match="does not move on"):
        fetch_http(house, source, harvest_id, paging=CURSOR, envelope={"total": None})
    # The page that was lost, and the one whose word was met before the kill.
    assert words(source) == ["", "a", "b", "c", "c", "d"]


def test_a_circle_longer_than_the_cursor_remembers(
    house: House, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_words, "MET", 3)
    circle(source, [f"w{n}" for n in range(9)])
    harvest_id = new_harvest(house)
    with pytest.raises(SourceContentError, match="does not move on"):
        fetch_http(house, source, harvest_id, paging=CURSOR, envelope={"total": None})
    assert len(source.requests) == 10
    assert len(cursor(house, harvest_id)["met"]) == 3


def test_more_records_than_the_total_end_a_walk_at_once(house: House, source: Source) -> None:
    circle(source, [f"w{n}" for n in range(99)], total=25)
    with pytest.raises(SourceContentError, match="30 records received, but the total is 25"):
        fetch_http(house, source, paging=CURSOR)
    assert len(source.requests) == 3


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("http://example.invalid/x?from=w10", "to another host"),
        ("//example.invalid/x", "to another host"),
        ("https://127.0.0.1/x", "wants https"),
        ("http://[::1/x", "to another host"),
        ("http://127.0.0.1:port/x", "to another host"),
        ("file:///etc/passwd", "to another host"),
    ],
)
def test_a_link_elsewhere_is_refused(house: House, source: Source, target: str, what: str) -> None:
    source.answers = lambda _: Reply(
        200, {"code": "200", "data": {"total": 20, "records": records(10)}, "links": {"next": target}}
    )
    with pytest.raises(SourceRefusedError, match=what):
        fetch_http(house, source, paging=LINK)
    assert len(source.requests) == 1


def test_a_password_in_a_link_is_neither_used_nor_repeated(
    house: House, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    port = source.url.rpartition(":")[2]
    source.answers = lambda request: (
        Reply(503)
        if "from" in request.query
        else Reply(
            200,
            {
                "code": "200",
                "data": {"total": 20, "records": records(10)},
                "links": {"next": f"http://user:s3cret-s3cret@127.0.0.1:{port}{PATH}?from=w10&token=s3cret-s3cret#x"},
            },
        )
    )
    with pytest.raises(SourceUnreachableError) as caught:
        fetch_http(house, source, paging=LINK, tries=2)
    assert [request.headers.get("Authorization") for request in source.requests] == [None] * 3
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("chengxin")]
    assert ours
    assert not any("s3cret" in text for text in (*ours, str(caught.value)))


def test_a_link_is_signed_like_any_request(house: House, source: Source) -> None:
    source.records = records(15)
    serves(source)
    fetch_http(house, source, paging=LINK, auth="hmac_sha256")
    first, second = source.requests
    assert first.headers["X-Nonce"] != second.headers["X-Nonce"]


def test_a_rate_is_kept_over_pages_and_tries(house: House, source: Source) -> None:
    source.records = records(40)
    source.fail(Reply(503), page=2)
    _, pauses = fetch_http(house, source, rate=0.5)
    # Four pages, a second try and another look at the first page: the pauses of the rate, and the one of the back-off.
    assert len(pauses) == 6
    assert sum(1.5 < pause <= 2 for pause in pauses) >= 5


def test_a_rate_keeps_requests_apart_in_truth(house: House, source: Source) -> None:
    source.records = records(50)
    house = over(house, source.connection)
    started = time.monotonic()
    connectors.fetch(house, http_contract(rate=20), AS_OF, new_harvest(house))
    assert time.monotonic() - started >= 4 / 20


@pytest.mark.parametrize(
    ("paging", "why"),
    [
        ({"style": "cursor"}, "needs next"),
        ({"style": "page", "next": "data.next"}, "style cursor or link"),
        ({"style": "page", "size": None}, "needs the name of the size"),
    ],
)
def test_paging_that_does_not_fit_its_style(paging: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        HttpRead.model_validate({"connector": "http_api", "connection": "c", "path": "/", "paging": paging})
