"""Takes metrics from the services inside and sends them on: the only way out for those that have none.

    python relay.py STATSD OTLP

STATSD and OTLP are the addresses to listen at, `0.0.0.0:8125` and `0.0.0.0:4318`. Where to, the environment says:

    STATSD_SERVER   host:port, by UDP; empty: datagrams are dropped
    OTEL_SERVER     http(s)://host:port, whose certificate is checked; empty: posts are refused

What comes in is bytes that are handed on, to these two servers and to no other: neither an address nor a path of a
request chooses where it goes. `GET /health` says that it works. Python's own library is all it needs.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGEST = 8 << 20
"""Bytes of a post: a thousand times what a minute's metrics take."""
PATHS = ("/v1/metrics", "/v1/traces", "/v1/logs")
"""What OpenTelemetry posts to."""
HANDED_ON = ("Content-Type", "Content-Encoding")


def address(text: str) -> tuple[str, int]:
    """`host:port`, taken apart."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def statsd(inside: socket.socket, server: str) -> None:
    """Hands datagrams on, for ever."""
    outside: socket.socket | None = None
    while True:
        datagram = inside.recv(65535)
        host, port = address(server)
        if not host:
            continue
        try:
            # Its name is asked for again after a failure: it may have moved.
            outside = outside or connected(host, port)
            outside.send(datagram)
        except OSError as error:
            # Nobody there: metrics are lost, and nothing else.
            sys.stderr.write(f"statsd: {error}\n")
            outside = None


def connected(host: str, port: int) -> socket.socket:
    """A socket for datagrams to a server."""
    (family, kind, protocol, _, where), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    made = socket.socket(family, kind, protocol)
    made.connect(where)
    return made


class _Nowhere(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere."""

    def redirect_request(self, *_args: object) -> None:
        """A redirect is the answer, and no address."""


DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Nowhere)


class Otlp(BaseHTTPRequestHandler):
    """Hands posts on, and the server's answer back."""

    server_version = "relay"
    timeout = 30

    def do_GET(self) -> None:
        """Says that the relay works."""
        self.answer(200 if self.path == "/health" else 404, b"")

    def do_POST(self) -> None:
        """Hands one post on."""
        outside = os.environ.get("OTEL_SERVER", "").rstrip("/")
        length = self.headers.get("Content-Length", "")
        if not outside or self.path not in PATHS or not length.isdigit() or int(length) > LARGEST:
            self.answer(404, b"")
            return
        headers = {name: self.headers[name] for name in HANDED_ON if name in self.headers}
        content = self.rfile.read(int(length))
        try:
            request = urllib.request.Request(outside + self.path, content, headers)  # noqa: S310  # set by operators
            with DIRECTLY.open(request, timeout=20) as said:
                self.answer(said.status, said.read(LARGEST))
        except urllib.error.HTTPError as error:
            with error:
                self.answer(error.code, b"")
        except OSError as error:
            sys.stderr.write(f"otlp: {error}\n")
            self.answer(502, b"")

    def answer(self, status: int, content: bytes) -> None:
        """Sends an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing of what went well."""


def main(statsd_at: str, otlp_at: str) -> None:
    """Listens at both addresses, for ever."""
    inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inside.bind(address(statsd_at))
    threading.Thread(target=statsd, args=(inside, os.environ.get("STATSD_SERVER", ":0")), daemon=True).start()
    ThreadingHTTPServer(address(otlp_at), Otlp).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
