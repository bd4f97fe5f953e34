"""The HTTP client over real sockets: signatures, what is tried again, what is refused, redirects."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import logging
import socket
from urllib.parse import quote

import pytest
from requests import Request as ClientRequest

from chengxin.connectors import http_client
from chengxin.connectors.http_auth import HmacSha256
from chengxin.connectors.http_client import MAX_WAIT, Answer, backoff, retry_after, visible_words
from chengxin.errors import ChengxinError, SourceContentError, SourceRefusedError, SourceUnreachableError
from chengxin.settings import House

from .tools import (
    PATH,
    Reply,
    Request,
    Source,
    fetch_http,
    raw_objects,
    records,
)

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
    fetch_http(house, source, auth="hmac_sha256", params={"名称": "a b&c=d/é~", "empty": ""})
    for request in source.requests:
        assert request.headers["X-App-Id"] == "app"
        assert request.headers["X-Signature"] == server_side_signature(request, "s3cret-s3cret")
    assert len({request.headers["X-Nonce"] for request in source.requests}) == len(source.requests) == 4


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
    fetch_http(house, source, auth=auth)
    assert source.requests[0].headers.get("Authorization") == header


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("in_envelope", [False, True])
def test_a_wrong_signature_is_refused_by_name(house: House, source: Source, status: int, in_envelope: bool) -> None:
    body = {"code": str(status), "msg": "签名不正确 s3cret-s3cret 4f1c9d0c4f1c9d0c4f1c9d0c4f1c9d0c"}
    source.fail(Reply(200 if in_envelope else status, body))
    with pytest.raises(SourceRefusedError) as caught:
        fetch_http(house, source, auth="hmac_sha256")
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
        fetch_http(house, source, auth="hmac_sha256")


def test_no_secret_in_an_error_or_a_log(house: House, source: Source, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source.fail(*[Reply(500, b"s3cret-s3cret")] * 9)
    with pytest.raises(ChengxinError) as caught:
        fetch_http(house, source, auth="hmac_sha256")
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
        Reply(408),
        Reply(520),
        Reply(524),
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
    harvest_id, pauses = fetch_http(house, source)
    assert len(source.requests) == 3
    assert len(raw_objects(house, harvest_id)) == 1
    assert 0.5 <= pauses[0] <= 1 <= pauses[1] <= 2


def test_time_outs_are_tried_again_and_then_named(house: House, source: Source) -> None:
    source.fail(*[Reply(hang=5)] * 3)
    with pytest.raises(SourceUnreachableError, match="no answer in time; 2 of 2 tries"):
        fetch_http(house, source, timeout=0.1, tries=2)


def test_five_hundreds_without_end_are_named(house: House, source: Source) -> None:
    source.fail(*[Reply(500)] * 9)
    with pytest.raises(SourceUnreachableError, match="HTTP 500; 4 of 4 tries") as caught:
        fetch_http(house, source)
    assert "sharing_portal" in str(caught.value)


def test_nobody_listens(house: House, source: Source) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        source.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(SourceUnreachableError, match="Connection refused"):
            fetch_http(house, source, tries=2)


def test_retry_after_is_obeyed(house: House, source: Source) -> None:
    source.fail(Reply(429, headers={"Retry-After": "7"}))
    _, pauses = fetch_http(house, source)
    assert pauses == [7.0]


def test_a_long_retry_after_ends_the_fetch_http(house: House, source: Source) -> None:
    source.fail(Reply(503, headers={"Retry-After": "3600"}))
    with pytest.raises(SourceUnreachableError, match="come back in 3600 seconds"):
        fetch_http(house, source)
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
        fetch_http(house, source)
    assert len(source.requests) == 1


def test_an_unknown_code_is_repeated_with_its_message(house: House, source: Source) -> None:
    source.fail(Reply(200, {"code": "A0217", "msg": "资源未授权"}))
    with pytest.raises(SourceRefusedError, match="code A0217: “资源未授权”"):
        fetch_http(house, source)


# Redirects ---------------------------------------------------------------------------------------------------------


def test_a_redirect_on_the_same_origin_is_followed_and_signed_anew(house: House, source: Source) -> None:
    source.records = records(3)
    source.answers = lambda request: (
        Reply(302, headers={"Location": f"/moved?page=1&size={request.query['size']}"})
        if request.path == PATH
        else None
    )
    fetch_http(house, source, auth="hmac_sha256")
    first, second = source.requests
    assert second.path == "/moved"
    assert second.headers["X-Signature"] == server_side_signature(second, "s3cret-s3cret")
    assert second.headers["X-Nonce"] != first.headers["X-Nonce"]


@pytest.mark.parametrize(
    ("target", "what", "remedy"),
    [
        ("http://example.invalid/x", "to another host", "ask its operator"),
        ("//example.invalid/x", "to another host", "ask its operator"),
        ("https://example.invalid/x", "to another host", "ask its operator"),
        ("http://127.0.0.1:1/x", "to another port", "ask its operator"),
        ("https://127.0.0.1/x?t=1", "wants https", "set schema https and port 443 in connection 'sharing_portal'"),
        ("https://127.0.0.1:8443/x", "wants https", "set schema https and port 8443 in connection 'sharing_portal'"),
        ("ftp://127.0.0.1/x", "to another host", "ask its operator"),
        ("http://127.0.0.1:99999/x", "to another host", "ask its operator"),
        ("http://[::1/x", "to another host", "ask its operator"),
    ],
)
def test_a_redirect_elsewhere_is_refused_for_what_it_is(
    house: House, source: Source, target: str, what: str, remedy: str
) -> None:
    source.fail(Reply(302, headers={"Location": target}))
    with pytest.raises(SourceRefusedError, match=what) as caught:
        fetch_http(house, source)
    assert remedy in caught.value.remedy
    assert "?t=1" not in str(caught.value)
    assert len(source.requests) == 1


@pytest.mark.parametrize("location", [{}, {"Location": ""}])
def test_a_redirect_to_nowhere_is_named(house: House, source: Source, location: dict[str, str]) -> None:
    source.fail(*[Reply(302, headers=location)] * 9)
    with pytest.raises(SourceRefusedError, match="a redirect to nowhere"):
        fetch_http(house, source)
    assert len(source.requests) == 1


def test_a_redirect_has_no_body_that_matters(house: House, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_BODY", 4 << 20)
    bomb = gzip.compress(bytes(64 << 20))
    source.fail(Reply(302, bomb, {"Location": PATH, "Content-Encoding": "gzip"}))
    with pytest.raises(SourceContentError, match="more than 4 MiB"):
        fetch_http(house, source)


def test_redirects_without_end_are_refused(house: House, source: Source) -> None:
    source.answers = lambda request: Reply(302, headers={"Location": PATH + "?page=1"})
    with pytest.raises(SourceRefusedError, match="redirects in a row"):
        fetch_http(house, source)


def test_visible_words_leave_out_tokens_and_codes() -> None:
    page = "<style>p{}</style><p>请求&nbsp;token=abcdefghijklmnop 91370112XXXX000001</p><script>x</script>"
    assert visible_words(page.encode()) == "“请求 … …”"
    assert visible_words(b"<script>never closed") == "nothing to read"
