"""deploy/relay.py, the door by which metrics leave: a process of its own between real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from chengxin.sandbox.local_airflow import LOOPBACK, free_port

from .composefile import ROOT


class Collector(BaseHTTPRequestHandler):
    """An OpenTelemetry server, which remembers what it was sent."""

    heard: ClassVar[list[tuple[str, bytes, str | None, str | None]]] = []

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        said = self.headers["Content-Type"], self.headers["Cookie"]
        self.heard.append((self.path, content, *said))
        self.send_response(307 if content == b"elsewhere" else 200)
        self.send_header("Location", f"http://{LOOPBACK}:1/")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[tuple[socket.socket, ThreadingHTTPServer]]:
    Collector.heard.clear()
    statsd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    statsd.bind((LOOPBACK, 0))
    statsd.settimeout(10)
    with ThreadingHTTPServer((LOOPBACK, 0), Collector) as otlp:
        threading.Thread(target=otlp.serve_forever, daemon=True).start()
        yield statsd, otlp
        otlp.shutdown()
    statsd.close()


class Relay:
    """A relay between free ports."""

    def __init__(self, **environment: str) -> None:
        self.ports = free_port(), free_port()
        listen = [f"{LOOPBACK}:{port}" for port in self.ports]
        # A proxy of the machine is no way for it either.
        given = {**os.environ, "http_proxy": f"http://{LOOPBACK}:1", "no_proxy": "", **environment}
        self.process = subprocess.Popen([sys.executable, str(ROOT / "deploy/relay.py"), *listen], env=given)
        deadline = time.monotonic() + 20
        while self.get("/health") != 200:
            assert time.monotonic() < deadline, "the relay does not answer"
            time.sleep(0.05)

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait(10)

    def get(self, path: str) -> int:
        return self._asked(path, None)

    def post(self, path: str, content: bytes) -> int:
        return self._asked(path, content)

    def _asked(self, path: str, content: bytes | None) -> int:
        headers = {"Content-Type": "application/x-protobuf", "Cookie": "kept=inside"} if content else {}
        request = urllib.request.Request(f"http://{LOOPBACK}:{self.ports[1]}{path}", content, headers)
        directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with directly.open(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)
        except OSError:
            return 0


def test_datagrams_and_posts_are_handed_on(servers: Any) -> None:
    statsd, otlp = servers
    outside = {
        "STATSD_SERVER": f"{LOOPBACK}:{statsd.getsockname()[1]}",
        "OTEL_SERVER": f"http://{LOOPBACK}:{otlp.server_port}",
    }
    with Relay(**outside) as relay, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside:
        inside.sendto(b"airflow.ti_failures:1|c", (LOOPBACK, relay.ports[0]))
        assert statsd.recv(65535) == b"airflow.ti_failures:1|c"
        assert relay.post("/v1/metrics", b"\x0a\x00") == 200
        # What is not the metrics' own stays inside.
        assert Collector.heard == [("/v1/metrics", b"\x0a\x00", "application/x-protobuf", None)]


def test_nothing_leads_it_elsewhere(servers: Any) -> None:
    _, otlp = servers
    with Relay(OTEL_SERVER=f"http://{LOOPBACK}:{otlp.server_port}", STATSD_SERVER=":8125") as relay:
        for path in ("/", "/v1/../admin", "http://elsewhere.example/v1/metrics", "@elsewhere.example/v1/metrics"):
            assert relay.post(path if path.startswith("/") else "/" + path, b"x") == 404, path
        assert Collector.heard == []
        assert relay.post("/v1/metrics", b"elsewhere") == 307, "told back, and not followed"
        assert len(Collector.heard) == 1


def test_it_outlives_servers_that_are_not_there(servers: Any) -> None:
    statsd, _ = servers
    port = statsd.getsockname()[1]
    with (
        Relay(OTEL_SERVER=f"http://{LOOPBACK}:1", STATSD_SERVER=f"{LOOPBACK}:{port}") as relay,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside,
    ):
        statsd.close()
        for _ in range(3):
            inside.sendto(b"lost:1|c", (LOOPBACK, relay.ports[0]))
            time.sleep(0.05)
        assert relay.post("/v1/metrics", b"x") == 502
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.bind((LOOPBACK, port))
            back.settimeout(0.2)
            heard, deadline = b"", time.monotonic() + 10
            while not heard:
                assert time.monotonic() < deadline, "it never came back"
                inside.sendto(b"found:1|c", (LOOPBACK, relay.ports[0]))
                try:
                    heard = back.recv(65535)
                except TimeoutError:
                    continue
            assert heard == b"found:1|c"
    with Relay(OTEL_SERVER="", STATSD_SERVER=":8125") as relay:
        assert relay.post("/v1/metrics", b"x") == 404
