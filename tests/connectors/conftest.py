"""Fixtures: a kill in mid-fetch, and a small HTTP source on a real socket whose every answer can be set."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chengxin.connectors.intake import Intake

from .tools import Killed, Reply, Request, Source


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """After `count` raw objects have been kept, the next one ends the process, its bytes archived or not."""

    def arm(count: int) -> None:
        take = Intake.take
        left = [count]

        def dying(self: Intake, *arguments: Any) -> None:
            if not left[0]:
                monkeypatch.setattr(Intake, "take", take)
                raise Killed
            left[0] -= 1
            take(self, *arguments)

        monkeypatch.setattr(Intake, "take", dying)

    return arm


@pytest.fixture
def source() -> Iterator[Source]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
            request = Request("GET", parts.path, query, dict(self.headers))
            served.requests.append(request)
            reply = served.answers(request) or Reply(body=served.page(request))
            if reply.hang:
                served.released.wait(reply.hang)
            body = reply.body
            if isinstance(body, dict):
                body = json.dumps(body, ensure_ascii=False).encode()
                reply.headers.setdefault("Content-Type", "application/json;charset=utf-8")
            if reply.own_date:
                self.send_response(reply.status)
            else:
                self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if reply.cut is None else body[: reply.cut])
            self.close_connection = reply.cut is not None

        def log_message(self, *_arguments: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_arguments: Any) -> None:
            """A client that hangs up is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Source(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield served
    served.released.set()
    server.shutdown()
    server.server_close()
    thread.join()
