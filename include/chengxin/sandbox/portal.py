"""A sharing platform (政务数据共享平台) as districts meet it: paged JSON behind a signature.

`GET <path>?page=1&size=1000` answers `{"code": "200", "msg": "成功", "total": n, "data": [...]}`. A request carries
`X-App-Id`, `X-Timestamp` (epoch milliseconds), `X-Nonce` (32 hex characters) and `X-Signature`, the lower-case hex of
HMAC-SHA256 over the lines METHOD, path, query (keys sorted, `k=v` percent-encoded by RFC 3986, joined by `&`),
timestamp, nonce, hex SHA-256 of the body. More than five minutes off or a nonce used before: 401.

Faults are switched on at `/admin/faults`: what real platforms do when they are ill. Runs as a process of its own:
`python -m chengxin.sandbox.portal <folder> <day>`, with the secret in `SANDBOX_PORTAL_SECRET`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from chengxin.sandbox import pages
from chengxin.sandbox.child import serve

APP_ID = "licheng-credit"
SKEW = 300.0
"""Seconds that a timestamp may be off."""
LARGEST_PAGE = 10_000
_KINDS = {
    "server_error",
    "busy",
    "timeout",
    "truncated",
    "half_json",
    "captcha",
    "signature",
    "empty",
    "redirect",
    "code",
}


@dataclass
class Fault:
    """An illness of one path (`*`: of all).

    Kinds: `server_error` (500), `busy` (429 with Retry-After 1), `timeout` (no answer for `seconds`), `truncated` (half
    of the page's records, the total as before), `half_json` (the answer breaks off), `captcha` (200 and an HTML page),
    `signature` (401 to everybody), `empty` (no records, total 0), `redirect` (302 to another host), `code` (200, but
    the envelope says 500).
    """

    kind: str
    times: int | None = None
    """How many answers; None: until switched off."""
    seconds: float = 120.0


@dataclass
class Gate:
    """Knows the signature, and which nonces were used."""

    secret: bytes
    clock: Callable[[], float] = time.time
    nonces: dict[str, float] = field(default_factory=dict)

    def refusal(self, request: Request, body: bytes) -> str | None:
        """Why a request is refused; None: it is not."""
        headers = request.headers
        stamp, nonce = headers.get("X-Timestamp", ""), headers.get("X-Nonce", "")
        if headers.get("X-App-Id") != APP_ID:
            return "应用标识不存在"
        now = self.clock()
        if not stamp.isdigit() or abs(int(stamp) / 1000 - now) > SKEW:
            return "时间戳超出允许范围"
        if not re.fullmatch(r"[0-9a-f]{32}", nonce):
            return "随机数格式错误"
        if not hmac.compare_digest(self.signature(request, stamp, nonce, body), headers.get("X-Signature", "")):
            return "签名错误"
        if nonce in self.nonces:
            return "请求重复"
        if len(self.nonces) > 100_000:
            self.nonces = {key: seen for key, seen in self.nonces.items() if now - seen < 2 * SKEW}
        self.nonces[nonce] = now
        return None

    def signature(self, request: Request, stamp: str, nonce: str, body: bytes) -> str:
        """The signature that the request should carry."""
        query = "&".join(
            f"{quote(key, safe='')}={quote(value, safe='')}"
            for key, value in sorted(request.query_params.multi_items())
        )
        path = request.scope.get("raw_path") or quote(request.url.path).encode()
        lines = [request.method, path.decode().split("?")[0], query, stamp, nonce, hashlib.sha256(body).hexdigest()]
        return hmac.new(self.secret, "\n".join(lines).encode(), hashlib.sha256).hexdigest()


class Portal:
    """The application: records of a day, the gate, the faults.

    Args:
        folder: below it lies one folder a day, made by `pages.write`.
        day: the day to begin with.
        secret: key of the signature.
    """

    def __init__(self, folder: Path, day: str, secret: str) -> None:
        self.folder = folder
        self.gate = Gate(secret.encode())
        self.faults: dict[str, Fault] = {}
        self.requests: Counter[str] = Counter()
        self.records = pages.open_all(folder / day)
        self.app = Starlette(
            routes=[
                Route("/admin/faults", self.set_fault, methods=["POST"]),
                Route("/admin/faults", self.clear_faults, methods=["DELETE"]),
                Route("/admin/day", self.set_day, methods=["POST"]),
                Route("/admin/status", self.status),
                Route("/{path:path}", self.answer),
            ]
        )

    async def answer(self, request: Request) -> Response:
        """One page of one source."""
        path = request.url.path
        self.requests[path] += 1
        fault = self._fault(path)
        refusal = self.gate.refusal(request, await request.body())
        if refusal or (fault and fault.kind == "signature"):
            return _envelope(401, "401", refusal or "签名错误")
        records = self.records.get(path)
        if records is None:
            return _envelope(404, "404", "接口不存在")
        try:
            number, size = (
                int(request.query_params.get(name, default)) for name, default in (("page", "1"), ("size", "100"))
            )
        except ValueError:
            return _envelope(400, "400", "分页参数错误")
        if number < 1 or not 1 <= size <= LARGEST_PAGE:
            return _envelope(400, "400", f"分页参数错误：size 不超过 {LARGEST_PAGE}")
        if fault is not None:
            return await _ill(fault, records, number, size)
        return _page(records.total, records.page(number, size))

    async def set_fault(self, request: Request) -> Response:
        """`{"path": "*", "kind": "server_error", "times": 2, "seconds": 5}`: times and seconds may be left out."""
        wish = await request.json()
        path = wish.pop("path", "*")
        if wish.get("kind") not in _KINDS:
            return JSONResponse({"error": f"one of {', '.join(sorted(_KINDS))}"}, 400)
        self.faults[path] = Fault(**wish)
        return JSONResponse({"path": path, **wish})

    async def clear_faults(self, request: Request) -> Response:
        """Health restored."""
        self.faults.clear()
        return JSONResponse({})

    async def set_day(self, request: Request) -> Response:
        """`{"day": "2026-06-15"}`: the records of that day from now on."""
        day = (await request.json())["day"]
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", day) or not (self.folder / day).is_dir():
            return JSONResponse({"error": "no such day"}, 404)
        self.records = await asyncio.to_thread(pages.open_all, self.folder / day)
        return JSONResponse({"day": day})

    async def status(self, request: Request) -> Response:
        """How many records there are, and how often each path was asked for."""
        return JSONResponse(
            {"records": {path: r.total for path, r in self.records.items()}, "requests": dict(self.requests)}
        )

    def _fault(self, path: str) -> Fault | None:
        fault = self.faults.get(path) or self.faults.get("*")
        if fault is None or fault.times is None:
            return fault
        if fault.times <= 0:
            return None
        fault.times -= 1
        return fault


async def _ill(fault: Fault, records: pages.Records, number: int, size: int) -> Response:
    if fault.kind == "server_error":
        return PlainTextResponse("Internal Server Error", 500)
    if fault.kind == "busy":
        return JSONResponse({"code": "429", "msg": "调用过于频繁"}, 429, {"Retry-After": "1"})
    if fault.kind == "timeout":
        await asyncio.sleep(fault.seconds)
        return PlainTextResponse("Gateway Timeout", 504)
    if fault.kind == "captcha":
        return HTMLResponse("<!doctype html><title>安全验证</title><p>请拖动滑块完成验证</p>")
    if fault.kind == "redirect":
        return RedirectResponse("http://login.example/", 302)
    if fault.kind == "empty":
        return _page(0, b"")
    if fault.kind == "code":
        return _envelope(200, "500", "接口维护中")
    whole = records.page(number, size)
    if fault.kind == "truncated":
        # Half of the records are lost, while the total still counts all of them.
        return _page(records.total, records.page(2 * number - 1, size // 2))
    return Response(whole[: len(whole) // 2], media_type="application/json")


def _page(total: int, records: bytes) -> Response:
    return Response(pages.envelope(total, records), media_type="application/json")


def _envelope(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "msg": message}, status)


def main() -> None:
    """Serves on any free loopback port, says which on standard output, and ends with its parent."""
    portal = Portal(Path(sys.argv[1]), sys.argv[2], os.environ["SANDBOX_PORTAL_SECRET"])
    asyncio.run(serve(portal.app))


if __name__ == "__main__":
    main()
