"""How a request proves who asks: nothing, basic, bearer, or the signature of a sharing platform.

The signature scheme `hmac_sha256` adds four headers to a request:

| header | value |
|---|---|
| `X-App-Id` | the connection's login |
| `X-Timestamp` | milliseconds since 1970-01-01T00:00:00Z |
| `X-Nonce` | 32 hex characters, never used twice |
| `X-Signature` | lower-case hex of HMAC-SHA256 over the message below, keyed with the connection's password (UTF-8) |

The message is six lines joined by a line feed, without one at the end:

1. the method in capitals,
2. the path as it is sent (percent-encoded), `/` if there is none,
3. the query: `key=value` pairs sorted by key, then value, each side percent-encoded by RFC 3986 (everything but
   `A-Z a-z 0-9 - . _ ~`), joined by `&`; empty if there is none,
4. the timestamp, as in the header,
5. the nonce, as in the header,
6. lower-case hex of the SHA-256 of the body (of no bytes, if there is no body).

The other side refuses a timestamp more than five minutes off and a nonce it has seen, so each try is signed anew.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Literal
from urllib.parse import parse_qsl, quote, urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth

from chengxin.connections import Connection
from chengxin.errors import ConfigError

Scheme = Literal["none", "hmac_sha256", "bearer", "basic"]


class HmacSha256(AuthBase):
    """Signs a request as this module describes.

    Args:
        app_id: who asks.
        secret: the shared secret.
        epoch: seconds since 1970, for the timestamp. The machine's own time by default: the other side compares it
            with its own, whatever day a harvest speaks for.
        nonce: 32 hex characters, fresh each time.
    """

    def __init__(
        self,
        app_id: str,
        secret: str,
        epoch: Callable[[], float] = time.time,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._app_id, self._secret, self._epoch, self._nonce = app_id, secret.encode(), epoch, nonce

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request with its four headers."""
        timestamp, nonce = str(int(self._epoch() * 1000)), self._nonce()
        message = "\n".join([*_signed_parts(request), timestamp, nonce, _body_sha256(request)])
        request.headers["X-App-Id"] = self._app_id
        request.headers["X-Timestamp"] = timestamp
        request.headers["X-Nonce"] = nonce
        request.headers["X-Signature"] = hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()
        return request


class Bearer(AuthBase):
    """Sends a token in the `Authorization` header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request with its header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Nothing(AuthBase):
    """Sends nothing. Without an explicit choice requests would look for a password in `~/.netrc`."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request as it is."""
        return request


def authentication(scheme: Scheme, connection: Connection) -> AuthBase:
    """How requests over this connection prove who asks.

    Raises:
        ConfigError: the connection lacks what the scheme needs.
    """
    if scheme == "none":
        return Nothing()
    if scheme != "basic":
        # Found by the HTTP library, it would be repeated in the error's text.
        sent = connection.password if scheme == "bearer" else connection.login
        what = "password (the token)" if scheme == "bearer" else "login"
        if not (sent.isascii() and sent.isprintable() and sent == sent.strip()):
            raise ConfigError(
                f"connection {connection.conn_id!r} cannot serve auth {scheme!r}",
                where=f"connection {connection.conn_id}",
                why=f"its {what} holds a blank, a line break or another character that cannot stand in a header",
                remedy="set it anew, without the line break that came along when it was copied",
            )
    if scheme == "bearer":
        _need(scheme, connection, "password (the token)", connection.password)
        return Bearer(connection.password)
    _need(scheme, connection, "login and password", connection.login and connection.password)
    if scheme == "basic":
        # Encoded here: requests would encode text as Latin-1 and fail on anything else.
        return HTTPBasicAuth(connection.login.encode(), connection.password.encode())
    return HmacSha256(connection.login, connection.password)


def _need(scheme: Scheme, connection: Connection, what: str, value: str) -> None:
    if not value:
        raise ConfigError(
            f"connection {connection.conn_id!r} cannot serve auth {scheme!r}",
            where=f"connection {connection.conn_id}",
            why=f"{what} missing",
            remedy=f"give the connection its {what}",
        )


def _signed_parts(request: PreparedRequest) -> tuple[str, str, str]:
    url = urlsplit(request.url or "")
    pairs = sorted(parse_qsl(url.query, keep_blank_values=True))
    query = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in pairs)
    return (request.method or "GET").upper(), url.path or "/", query


def _body_sha256(request: PreparedRequest) -> str:
    body = request.body or b""
    return hashlib.sha256(body.encode() if isinstance(body, str) else bytes(body)).hexdigest()
