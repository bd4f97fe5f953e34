"""A server that breaks the protocol, drips, lies about lengths or repeats what it should not: each an error of ours."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chengxin.connections import Connection
from chengxin.connectors import http_client, http_walk
from chengxin.connectors.envelope import Page
from chengxin.connectors.http_auth import authentication
from chengxin.connectors.http_client import Answer, Client, retry_after
from chengxin.connectors.http_links import base_url
from chengxin.errors import (
    ChengxinError,
    ConfigError,
    MismatchError,
    SourceContentError,
    SourceRefusedError,
    SourceUnreachableError,
)
from chengxin.reads import HttpRead
from chengxin.settings import House

from .tools import AS_OF, PATH, Reply, Source, fetch_http, http_contract, records

PAGE = json.dumps({"code": "200", "data": {"total": 2, "records": records(2)}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def whole(body: bytes, *headers: bytes) -> bytes:
    return HEAD + b"".join(one + b"\r\n" for one in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Wire:
    """A server that sends bytes as they are: to each connection the next of `replies`, the last one for ever."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []
        self.drip = 0.0
        """Seconds between single bytes behind the headers."""
        self.keep = False
        """The connection stays open for more requests."""
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while not self._ended.is_set():
                connection, _ = self._server.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while connection.recv(65536):
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                head, _, body = reply.partition(b"\r\n\r\n")
                if not self.drip:
                    connection.sendall(reply)
                else:
                    connection.sendall(head + b"\r\n\r\n")
                    for one in body:
                        connection.sendall(bytes([one]))
                        if self._ended.wait(self.drip):
                            return
                if not self.keep:
                    return


@pytest.fixture
def wire() -> Iterator[Wire]:
    one = Wire()
    yield one
    one.close()


def over(wire: Wire) -> Source:
    return Source(f"http://127.0.0.1:{wire.port}")


def ask(source: Source, connection: Connection | None = None, **more: Any) -> Page:
    """The first page, without waiting between tries."""
    one = http_contract(**more)
    assert isinstance(one.read, HttpRead)
    connection = connection or source.connection
    auth = authentication(one.read.auth, connection)
    client = Client(connection, auth, timeout=one.read.timeout, tries=one.read.tries, sleep=lambda _: None)
    try:
        return http_walk.ask(client, one.read, PATH, {**http_walk.fixed_params(one.read, AS_OF), "page": "1"}, 1)[1]
    finally:
        client.close()


# The protocol ------------------------------------------------------------------------------------------------------

CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        CHUNKED + b"%x\r\n" % len(PAGE) + PAGE[:30],
        CHUNKED + b"%x\r\n" % len(PAGE) + PAGE + b"\r\n",
        CHUNKED + b"zz\r\n" + PAGE,
        HEAD + b"Content-Length: 100000\r\n\r\n" + PAGE,
        HEAD + b"Content-Length: 10\r\nContent-Length: 20\r\n\r\n" + PAGE,
        b"HTTP/9.9 twohundred\r\n\r\n",
        b"captcha",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"",
    ],
    ids=[
        "chunk cut off", "no last chunk", "chunk of no length", "longer than sent", "two lengths",
        "no status", "no protocol", "300 headers", "a long header", "nothing",
    ],
)  # fmt: skip
def test_a_broken_protocol_is_tried_again_and_named(wire: Wire, reply: bytes) -> None:
    wire.replies = [reply, whole(PAGE)]
    assert ask(over(wire)).records == 2
    wire.replies = [reply]
    with pytest.raises(ChengxinError) as caught:
        ask(over(wire), tries=2)
    assert isinstance(caught.value, SourceUnreachableError)
    assert "虚构企业" not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        HEAD + b"Content-Length: 110\r\n\r\n" + PAGE,
        HEAD + b"Content-Length: 20\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(PAGE),
        whole(gzip.compress(PAGE)[:-20], b"Content-Encoding: gzip"),
        whole(json.dumps({"code": "200", "data": {"records": records(2)}}, ensure_ascii=False).encode()[:-5]),
    ],
    ids=["shorter than sent", "shorter than packed", "packed, cut off", "cut off"],
)
def test_half_a_page_is_none_and_its_records_are_not_repeated(wire: Wire, reply: bytes) -> None:
    wire.replies = [reply]
    with pytest.raises(SourceContentError, match="no JSON object") as caught:
        ask(over(wire))
    assert "虚构" not in str(caught.value)
    assert "name" not in str(caught.value)


def test_a_body_without_a_length_ends_with_the_connection(wire: Wire) -> None:
    wire.replies = [HEAD + b"\r\n" + PAGE]
    assert ask(over(wire)).records == 2


@pytest.mark.parametrize(
    "reply",
    [
        whole(PAGE),
        whole(gzip.compress(PAGE), b"Content-Encoding: gzip"),
        CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE),
    ],
    ids=["plain", "gzip", "chunked"],
)
def test_a_connection_serves_many_requests(wire: Wire, reply: bytes) -> None:
    wire.keep = True
    wire.replies = [reply]
    connection = over(wire).connection
    client = Client(connection, authentication("none", connection), timeout=5, tries=1)
    assert {client.get("/x", {}, lambda _: None).body for _ in range(5)} == {PAGE}
    client.close()
    assert wire.connections == 1


def test_a_trickle_ends_at_its_deadline(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "SLOWEST", 0.5)
    wire.drip = 0.05
    wire.replies = [whole(PAGE * 100)]
    begun = time.monotonic()
    with pytest.raises(SourceUnreachableError, match="no answer in time"):
        ask(over(wire), timeout=0.1, tries=2)
    assert time.monotonic() - begun < 8


def test_a_bomb_is_stopped_at_the_largest_page(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MAX_BODY", 8 << 20)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(40)) + packer.flush()
    wire.replies = [whole(bomb, b"Content-Encoding: gzip")]
    with pytest.raises(SourceContentError, match="a page of more than 8 MiB"):
        ask(over(wire))


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_an_answer_without_a_page_is_no_refusal(source: Source, status: int) -> None:
    source.fail(Reply(status, b"" if status == 204 else b"{}"))
    with pytest.raises(SourceContentError, match=f"an answer without a page(.|\n)*HTTP {status}"):
        ask(source)
    assert len(source.requests) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7), ("0", 0), ("-5", 0), ("1.5", 0), ("²", 0), ("9" * 400, float("inf")), ("", 0), ("\t30 ", 30),
        ("Mon, 15 Jun 2026 00:00:30 GMT", 30), ("Mon, 15 Jun 1926 00:00:30 GMT", 0),
        ("Mon, 15 Jun 99999 00:00:30 GMT", 0), ("Mon, 15 Jun 2026 00:00:30 +9999999999", 0), ("Mon", 0), (",", 0),
    ],
)  # fmt: skip
def test_retry_after_is_read_whatever_it_says(value: str, seconds: float) -> None:
    headers: Any = {"Date": "Mon, 15 Jun 2026 00:00:00 GMT", "Retry-After": value}
    assert retry_after(Answer(503, headers, b"")) == seconds


def test_an_endless_retry_after_ends_the_fetch(source: Source) -> None:
    source.fail(Reply(429, headers={"Retry-After": "9" * 400}))
    with pytest.raises(SourceUnreachableError, match="asks for a long wait"):
        ask(source)


# What the envelope says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("total", ["2.0", 2.0, "2", " 2"])
def test_a_total_that_knows_no_whole_numbers(source: Source, total: Any) -> None:
    source.fail(Reply(body={"code": "200", "data": {"total": total, "records": records(2)}}))
    if total == " 2":
        with pytest.raises(SourceContentError, match=r"'data\.total' is no number"):
            ask(source)
    else:
        assert ask(source).total == 2


@pytest.mark.parametrize("total", [2.5, "2,000", -2, "-2", True, None, "1e3", "9" * 20, [2], "²"])
def test_a_total_that_is_none(source: Source, total: Any) -> None:
    source.fail(Reply(body={"code": "200", "data": {"total": total, "records": records(2)}}))
    with pytest.raises(SourceContentError) as caught:
        ask(source)
    assert "'data.total' is no number" in caught.value.why


CURSOR: dict[str, Any] = {"style": "cursor", "next": "data.next"}


@pytest.mark.parametrize("word", [True, 1.5, {"w": "x"}, ["w"]])
def test_a_next_word_that_is_none_does_not_end_the_list(source: Source, word: Any) -> None:
    source.fail(Reply(body={"code": "200", "data": {"records": records(2), "next": word}}))
    source.answers = lambda _: Reply(body={"code": "200", "data": {"records": records(2), "next": word}})
    with pytest.raises(SourceContentError) as caught:
        ask(source, paging=CURSOR, envelope={"total": None})
    assert "neither a word nor a URL" in caught.value.why


def test_a_next_word_that_no_request_holds(house: House, source: Source) -> None:
    source.answers = lambda _: Reply(body={"code": "200", "data": {"records": records(2), "next": "w" * 5000}})
    with pytest.raises(MismatchError, match="a word or URL of 5,000 characters"):
        fetch_http(house, source, paging=CURSOR, envelope={"total": None})


@pytest.mark.parametrize(
    "body",
    [
        b'{"code": "200", "data": {"total": 1, "records": [' + b"[" * 5000 + b"]" * 5000 + b"]}}",
        b'{"code": "200", "data": {"total": NaN, "records": []}}',
        b'{"code": "200", "data": {"total": 1, "records": [Infinity]}}',
        b'{"code": "\\ud800", "data": {"total": 0, "records": []}}',
        b'{"code": "500x", "msg": "\\ud800", "data": {"total": 0, "records": []}}',
        b'{"code": ' + b"1" * 6000 + b', "data": {"total": 0, "records": []}}',
        b'{"code": "200", "data": {"total": ' + b"1" * 6000 + b', "records": []}}',
        b'{"code": "200", "data": {"total": 1e999, "records": []}}',
        b'{"code": "200", "msg": "\x00", "data": {"total": 0, "records": []}}',
    ],
)
def test_json_at_its_worst_is_an_error_of_ours(source: Source, body: bytes) -> None:
    source.answers = lambda _: Reply(body=body)
    with pytest.raises((SourceContentError, SourceRefusedError)) as caught:
        ask(source)
    assert len(str(caught.value)) < 1000


# What is repeated, and what is not ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        Reply(401, {"msg": "wrong: pw7"}),
        Reply(400, b"<p>pw7</p>"),
        Reply(200, {"code": "401", "msg": "pw7"}),
        Reply(200, {"code": "pw7 pw7", "msg": "x"}),
        Reply(200, {"code": "503", "msg": "pw7"}),
        Reply(200, b"<p>pw7</p>"),
        Reply(200, b"[]", {"Content-Type": "text/pw7 pw7"}),
        Reply(521, b"<p>pw7</p>"),
    ],
)
def test_not_even_a_short_secret_is_repeated(source: Source, caplog: pytest.LogCaptureFixture, reply: Reply) -> None:
    caplog.set_level(logging.INFO)
    source.answers = lambda _: replace(reply)
    with pytest.raises(ChengxinError) as caught:
        ask(source, replace(source.connection, password="pw7"), auth="bearer", tries=2)
    assert "pw7" not in "".join([str(caught.value), *(record.getMessage() for record in caplog.records)]).replace(
        "text/pw7", ""
    )


def test_keys_that_are_codes_are_counted_and_not_repeated(source: Source) -> None:
    source.answers = lambda _: Reply(body={f"91370112MA{n:08}": n for n in range(1000)} | {"rows": []})
    with pytest.raises(SourceContentError) as caught:
        ask(source)
    assert caught.value.why == "no 'code'; there are rows and 1,000 more"


@pytest.mark.parametrize(
    ("auth", "what"), [("bearer", {"password": "t0ken\n"}), ("hmac_sha256", {"login": "app\r\nX: y"})]
)
def test_a_line_break_in_a_secret_is_named_and_not_repeated(auth: Any, what: dict[str, str]) -> None:
    connection = Connection("portal", "http", host="127.0.0.1", **{"login": "app", "password": "pw7", **what})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="line break") as caught:
        authentication(auth, connection)
    assert "t0ken" not in str(caught.value)
    assert "X: y" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["http://user:pw7@127.0.0.1:1", "ftp://user:pw7@x", "http://user:pw7@[::1", "::pw7"])
def test_a_proxy_that_is_none_is_named_and_its_password_not_repeated(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    connection = Connection("portal", "http", host="share.example.invalid")
    client = Client(connection, authentication("none", connection), timeout=2, tries=1)
    with pytest.raises(SourceUnreachableError) as caught:
        client.get("/x", {}, lambda _: None)
    assert "pw7" not in str(caught.value)


@pytest.mark.parametrize("host", ["http://h:port", "http://[::1", "ftp://h", "", "http://"])
def test_a_connection_that_is_no_url_is_named(host: str) -> None:
    with pytest.raises(ConfigError, match="gives no URL"):
        base_url(Connection("portal", "http", host=host))


def test_a_defect_of_ours_is_not_taken_for_the_source(source: Source) -> None:
    connection = source.connection
    client = Client(connection, authentication("none", connection), timeout=2, tries=1)
    source.answers = lambda _: Reply(body={})

    def broken(_: Answer) -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        client.get("/x", {}, broken)
