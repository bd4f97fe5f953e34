"""The HTTP connector over real sockets, with every fault that a sharing platform has shown."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import logging
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from requests import Request as ClientRequest

from chengxin import archive, connectors
from chengxin.connectors import http_api
from chengxin.connectors.http_auth import HmacSha256
from chengxin.connectors.http_client import MAX_WAIT, Answer, backoff, retry_after, visible_words
from chengxin.connectors.intake import Intake
from chengxin.contracts import Contract, HttpRead
from chengxin.errors import ChengxinError, SourceContentError, SourceRefusedError, SourceUnreachableError
from chengxin.settings import House

from .tools import AS_OF, Killed, Reply, Request, Source, contract, cursor, new_harvest, over, raw_objects, records

PATH = "/api/v1/sczt/jbxx"


def of(page_size: int = 10, **more: Any) -> Contract:
    return contract(
        {
            "connector": "http_api",
            "connection": "sharing_portal",
            "path": PATH,
            "paging": {"page_size": page_size},
            "timeout": 5,
            **more,
        }
    )


def run(house: House, source: Source, harvest_id: int | None = None, **more: Any) -> tuple[int, list[float]]:
    """Fetches; returns the harvest and the pauses made."""
    one = of(**more)
    pauses: list[float] = []
    house = over(house, source.connection)
    harvest_id = new_harvest(house) if harvest_id is None else harvest_id
    assert isinstance(one.read, HttpRead)
    http_api.fetch(house, one, one.read, AS_OF, Intake(house, one.name, harvest_id), sleep=pauses.append)
    return harvest_id, pauses


def test_all_pages_arrive_byte_by_byte_and_in_order(house: House, source: Source) -> None:
    source.records = records(25)
    harvest_id, _ = run(house, source)
    objects = raw_objects(house, harvest_id)
    assert [one.locator for one in objects] == [f"{PATH} page {number} of 10" for number in (1, 2, 3)]
    bodies = [archive.get(house, "subject_registry", one.sha256) for one in objects]
    assert [record for body in bodies for record in json.loads(body)["data"]["records"]] == source.records
    assert [one.size for one in objects] == [len(body) for body in bodies]
    assert cursor(house, harvest_id) == {"page": 3, "received": 25, "total": 25, "complete": True}


@pytest.mark.parametrize("count", [0, 1, 10, 20])
def test_no_page_is_asked_for_beyond_the_last(house: House, source: Source, count: int) -> None:
    source.records = records(count)
    harvest_id, _ = run(house, source)
    pages = max(1, count // 10)
    assert len(source.requests) == pages
    assert len(raw_objects(house, harvest_id)) == pages


def test_without_a_total_a_short_page_is_the_last(house: House, source: Source) -> None:
    source.records = records(20)
    run(house, source, envelope={"total": None})
    assert source.pages == [1, 2, 3]


def test_params_take_the_day(house: House, source: Source) -> None:
    run(house, source, params={"rq": "{as_of}", "qx": "历城"})
    assert source.requests[0].query["rq"] == "2026-06-15"
    assert source.requests[0].query["qx"] == "历城"


def test_a_finished_harvest_asks_nothing(house: House, source: Source) -> None:
    source.records = records(3)
    house = over(house, source.connection)
    harvest_id = new_harvest(house)
    connectors.fetch(house, of(), AS_OF, harvest_id)
    connectors.fetch(house, of(), AS_OF, harvest_id)
    assert len(source.requests) == 1


@pytest.mark.parametrize("kept", [0, 1, 3, 4])
def test_a_kill_costs_at_most_one_page(
    house: House, source: Source, kill_after: Callable[[int], None], kept: int
) -> None:
    source.records = records(45)
    undisturbed, _ = run(house, source)
    source.requests.clear()
    harvest_id = new_harvest(house)
    kill_after(kept)
    with pytest.raises(Killed):
        run(house, source, harvest_id)
    run(house, source, harvest_id)
    assert sorted(source.pages) == sorted([1, 2, 3, 4, 5, kept + 1])
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
        run(house, source, harvest_id)
    archive.path(house, "subject_registry", raw_objects(house, harvest_id)[1].sha256).write_bytes(b"")
    run(house, source, harvest_id)
    assert source.pages == [1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert len(raw_objects(house, harvest_id)) == 5
    assert all(archive.is_whole(house, "subject_registry", one.sha256) for one in raw_objects(house, harvest_id))


# Signature ---------------------------------------------------------------------------------------------------------


def server_side_signature(request: Request, secret: str) -> str:
    """The scheme once more, written from its description and not from our code."""
    query = "&".join(f"{quote(k, safe='-._~')}={quote(v, safe='-._~')}" for k, v in sorted(request.query.items()))
    lines = [
        request.method,
        request.path,
        query,
        request.headers["X-Timestamp"],
        request.headers["X-Nonce"],
        hashlib.sha256(b"").hexdigest(),
    ]
    return hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def test_each_request_is_signed_with_a_nonce_of_its_own(house: House, source: Source) -> None:
    source.records = records(25)
    run(house, source, auth="hmac_sha256", params={"名称": "a b&c=d/é~", "empty": ""})
    for request in source.requests:
        assert request.headers["X-App-Id"] == "app"
        assert request.headers["X-Signature"] == server_side_signature(request, "s3cret-s3cret")
    assert len({request.headers["X-Nonce"] for request in source.requests}) == 3


def test_the_signature_of_a_known_request() -> None:
    auth = HmacSha256("app", "secret", epoch=lambda: 1750000000.123, nonce=lambda: "0" * 32)
    prepared = ClientRequest("GET", "http://127.0.0.1:1/a/b?size=10&page=1", auth=auth).prepare()
    message = "\n".join(["GET", "/a/b", "page=1&size=10", "1750000000123", "0" * 32, hashlib.sha256(b"").hexdigest()])
    assert prepared.headers["X-Timestamp"] == "1750000000123"
    assert prepared.headers["X-Signature"] == hmac.new(b"secret", message.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("auth", "header"),
    [("bearer", "Bearer s3cret-s3cret"), ("basic", "Basic YXBwOnMzY3JldC1zM2NyZXQ="), ("none", None)],
)
def test_other_ways_to_prove_who_asks(house: House, source: Source, auth: str, header: str | None) -> None:
    run(house, source, auth=auth)
    assert source.requests[0].headers.get("Authorization") == header


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("in_envelope", [False, True])
def test_a_wrong_signature_is_refused_by_name(house: House, source: Source, status: int, in_envelope: bool) -> None:
    body = {"code": str(status), "msg": "签名不正确 s3cret-s3cret 4f1c9d0c4f1c9d0c4f1c9d0c4f1c9d0c"}
    source.fail(Reply(200 if in_envelope else status, body))
    with pytest.raises(SourceRefusedError) as caught:
        run(house, source, auth="hmac_sha256")
    text = str(caught.value)
    assert "connection 'sharing_portal' is refused" in text
    assert "签名不正确" in text
    assert f"{PATH}" in text
    assert "4f1c9d0c4f1c9d0c" not in text
    assert len(source.requests) == 1


def test_a_clock_that_is_off_is_named(house: House, source: Source) -> None:
    headers = {"Date": "Mon, 01 Jan 2035 00:00:00 GMT"}
    source.fail(Reply(401, {"code": "401", "msg": "时间戳过期"}, headers, own_date=False))
    with pytest.raises(SourceRefusedError, match=r"set the clock: this machine is .* behind"):
        run(house, source, auth="hmac_sha256")


def test_no_secret_in_an_error_or_a_log(house: House, source: Source, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source.fail(*[Reply(500, b"s3cret-s3cret")] * 9)
    with pytest.raises(ChengxinError) as caught:
        run(house, source, auth="hmac_sha256")
    signature = source.requests[0].headers["X-Signature"]
    for text in (str(caught.value), *(record.getMessage() for record in caplog.records)):
        assert "s3cret-s3cret" not in text
        assert signature not in text


# What may pass, and what will not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Reply(500),
        Reply(502),
        Reply(503),
        Reply(504),
        Reply(429),
        Reply(200, {"code": "500", "msg": "系统繁忙"}),
        Reply(200, {"code": 429, "msg": "请求过于频繁"}),
        Reply(200, b'{"code": "200", "data": {"total": 3, "records"', cut=12),
        Reply(200, b"not gzip", {"Content-Encoding": "gzip"}),
    ],
    ids=lambda reply: f"{reply.status}-{reply.cut or ''}",
)
def test_what_may_pass_is_tried_again(house: House, source: Source, fault: Reply) -> None:
    source.records = records(3)
    source.fail(fault, fault)
    harvest_id, pauses = run(house, source)
    assert len(source.requests) == 3
    assert len(raw_objects(house, harvest_id)) == 1
    assert 0.5 <= pauses[0] <= 1 <= pauses[1] <= 2


def test_time_outs_are_tried_again_and_then_named(house: House, source: Source) -> None:
    source.fail(*[Reply(hang=5)] * 3)
    with pytest.raises(SourceUnreachableError, match="no answer in time; 2 of 2 tries"):
        run(house, source, timeout=0.1, tries=2)


def test_five_hundreds_without_end_are_named(house: House, source: Source) -> None:
    source.fail(*[Reply(500)] * 9)
    with pytest.raises(SourceUnreachableError, match="HTTP 500; 4 of 4 tries") as caught:
        run(house, source)
    assert "sharing_portal" in str(caught.value)


def test_nobody_listens(house: House, source: Source) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        source.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(SourceUnreachableError, match="Connection refused"):
            run(house, source, tries=2)


def test_retry_after_is_obeyed(house: House, source: Source) -> None:
    source.fail(Reply(429, headers={"Retry-After": "7"}))
    _, pauses = run(house, source)
    assert pauses == [7.0]


def test_a_long_retry_after_ends_the_run(house: House, source: Source) -> None:
    source.fail(Reply(503, headers={"Retry-After": "3600"}))
    with pytest.raises(SourceUnreachableError, match="come back in 3600 seconds"):
        run(house, source)
    assert len(source.requests) == 1


def test_retry_after_as_a_date() -> None:
    headers = {"Date": "Mon, 15 Jun 2026 00:00:00 GMT", "Retry-After": "Mon, 15 Jun 2026 00:00:30 GMT"}
    assert retry_after(Answer(503, headers, b"")) == 30.0  # type: ignore[arg-type]
    assert retry_after(Answer(503, {"Retry-After": "soon"}, b"")) == 0.0  # type: ignore[arg-type]


def test_back_off_grows_and_never_exceeds_half_a_minute() -> None:
    assert all(2.0 ** (n - 1) / 2 <= backoff(n) <= 2.0 ** (n - 1) for n in range(1, 6))
    assert max(backoff(n) for n in range(1, 40)) <= 30 < MAX_WAIT


@pytest.mark.parametrize("status", [400, 404, 405, 410, 451])
def test_other_refusals_are_not_tried_again(house: House, source: Source, status: int) -> None:
    source.fail(Reply(status, b"<html><body>no such resource</body></html>"))
    with pytest.raises(SourceRefusedError, match=f"HTTP {status}: “no such resource”"):
        run(house, source)
    assert len(source.requests) == 1


def test_an_unknown_code_is_repeated_with_its_message(house: House, source: Source) -> None:
    source.fail(Reply(200, {"code": "A0217", "msg": "资源未授权"}))
    with pytest.raises(SourceRefusedError, match="code A0217: “资源未授权”"):
        run(house, source)


# What is no data ---------------------------------------------------------------------------------------------------

CAPTCHA = "<html><head><title>安全验证</title><script>var t='abc'</script></head><body>请完成滑块验证</body></html>"


def test_a_captcha_with_status_200_is_no_data(house: House, source: Source) -> None:
    headers = {"Content-Type": "text/html; charset=utf-8", "Set-Cookie": "sid=0123456789"}
    source.fail(Reply(200, CAPTCHA.encode(), headers))
    with pytest.raises(SourceContentError, match=r"text/html, .*“安全验证 请完成滑块验证”") as caught:
        run(house, source)
    assert "sid" not in str(caught.value)
    assert "var t" not in str(caught.value)


def test_a_browser_challenge_is_not_got_round(house: House, source: Source) -> None:
    headers = {"Content-Type": "text/html", "Set-Cookie": "__jsluid_s=0123456789"}
    source.fail(Reply(521, b"<script>document.cookie='x'</script>", headers))
    with pytest.raises(SourceContentError, match="browser challenge") as caught:
        run(house, source)
    assert "jsluid" not in str(caught.value)
    assert len(source.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"code": "200"', b'"200"', b"\xff\xfe", '{"code": "成功'.encode("gb18030"), b"[" * 100_000, b"{}x"],
)
def test_no_json_object_is_no_data(house: House, source: Source, body: bytes) -> None:
    source.fail(Reply(200, body))
    with pytest.raises(SourceContentError, match="no JSON object"):
        run(house, source)


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
        run(house, source)
    assert why in caught.value.why


def test_a_total_in_quotes_and_null_records_are_read(house: House, source: Source) -> None:
    source.fail(Reply(200, {"code": 200, "data": {"total": "0", "records": None}}))
    harvest_id, _ = run(house, source)
    assert cursor(house, harvest_id)["received"] == 0


def test_gzip_is_unpacked(house: House, source: Source) -> None:
    body = json.dumps({"code": "200", "data": {"total": 1, "records": records(1)}}).encode()
    source.fail(Reply(200, gzip.compress(body), {"Content-Encoding": "gzip"}))
    harvest_id, _ = run(house, source)
    assert archive.get(house, "subject_registry", raw_objects(house, harvest_id)[0].sha256) == body


# Pages that do not add up ------------------------------------------------------------------------------------------


def truncated(count: int, total: int) -> Reply:
    return Reply(200, {"code": "200", "data": {"total": total, "records": records(count)}})


def test_a_truncated_page_is_named_and_asked_for_again_by_the_next_run(house: House, source: Source) -> None:
    source.records = records(25)
    source.fail(Reply(200, {"code": "200", "data": {"total": 25, "records": records(4)}}), page=2)
    harvest_id = new_harvest(house)
    with pytest.raises(
        SourceContentError, match="truncated: 4 records on a page of 10, with 11 still to come"
    ) as caught:
        run(house, source, harvest_id)
    assert "page 2" in caught.value.where
    assert len(raw_objects(house, harvest_id)) == 1
    run(house, source, harvest_id)
    assert source.pages == [1, 2, 2, 3]
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
        run(house, source)


def test_a_source_that_does_not_turn_its_page(house: House, source: Source) -> None:
    source.records = records(30)
    first = source.page(Request("GET", PATH, {"page": "1", "size": "10"}, {}))
    source.answers = lambda _: Reply(200, first)
    with pytest.raises(SourceContentError, match="page 2 is page 1 once more"):
        run(house, source)


def test_a_total_that_changes_starts_the_walk_over(
    house: House, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.records = records(25)

    def grows(request: Request) -> None:
        if request.query["page"] == "3" and len(source.records) == 25:
            source.records = records(26)

    source.answers = grows
    harvest_id, _ = run(house, source)
    assert source.pages == [1, 2, 3, 1, 2, 3]
    assert cursor(house, harvest_id)["received"] == 26
    assert len(raw_objects(house, harvest_id)) == 3
    assert "the total went from 25 to 26" in caplog.text


def test_a_total_that_never_stands_still_is_named(house: House, source: Source) -> None:
    def grows(request: Request) -> None:
        source.records = records(25 + len(source.requests))

    source.answers = grows
    harvest_id = new_harvest(house)
    with pytest.raises(SourceContentError, match="twice in a row"):
        run(house, source, harvest_id)
    assert raw_objects(house, harvest_id) == []
    assert cursor(house, harvest_id) == {}


# Redirects ---------------------------------------------------------------------------------------------------------


def test_a_redirect_on_the_same_origin_is_followed_and_signed_anew(house: House, source: Source) -> None:
    source.records = records(3)
    source.answers = lambda request: (
        Reply(302, headers={"Location": f"/moved?page=1&size={request.query['size']}"})
        if request.path == PATH
        else None
    )
    run(house, source, auth="hmac_sha256")
    first, second = source.requests
    assert second.path == "/moved"
    assert second.headers["X-Signature"] == server_side_signature(second, "s3cret-s3cret")
    assert second.headers["X-Nonce"] != first.headers["X-Nonce"]


@pytest.mark.parametrize("target", ["http://example.invalid/x", "https://127.0.0.1/x", "//example.invalid/x"])
def test_a_redirect_to_another_host_is_refused(house: House, source: Source, target: str) -> None:
    source.fail(Reply(302, headers={"Location": target}))
    with pytest.raises(SourceRefusedError, match="to another host"):
        run(house, source)
    assert len(source.requests) == 1


def test_redirects_without_end_are_refused(house: House, source: Source) -> None:
    source.answers = lambda request: Reply(302, headers={"Location": PATH + "?page=1"})
    with pytest.raises(SourceRefusedError, match="redirects in a row"):
        run(house, source)


def test_visible_words_leave_out_tokens_and_codes() -> None:
    page = "<style>p{}</style><p>请求&nbsp;token=abcdefghijklmnop 91370112XXXX000001</p><script>x</script>"
    assert visible_words(page.encode()) == "“请求 … …”"
    assert visible_words(b"<script>never closed") == "nothing to read"
