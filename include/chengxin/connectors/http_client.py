"""One polite HTTP client for one source: it retries what may pass, refuses what will not, and tells the two apart.

| what comes | what it means | what is done |
|---|---|---|
| no connection, time-out, connection cut, 500, 502, 503, 504, 429 | may pass | tried again, later each time |
| 201 to 299 | no page | `SourceContentError` |
| 401, 403, 404, any other 4xx | the source says no | `SourceRefusedError` |
| 521 | a browser challenge: the page is not for programs | `ChallengeError`; not tried again for a while |
| a redirect to the same origin | moved | followed, signed anew |
| a redirect elsewhere | our signature is not for others | `SourceRefusedError` |

`Retry-After` is obeyed. No secret and no cookie gets into an error or a log: of what the source says, only the first
visible words are repeated, and every run of fifteen letters or digits in them (tokens, signatures, codes of persons)
is left out, and our own secret whatever its length.
"""

from __future__ import annotations

import html
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from random import SystemRandom

import requests
import urllib3
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict

from chengxin.connections import Connection
from chengxin.connectors.http_links import PORTS, base_url, is_loopback, joined, origin
from chengxin.errors import (
    ChallengeError,
    ChengxinError,
    SourceContentError,
    SourceRefusedError,
    SourceUnreachableError,
)
from chengxin.readers.decode import readable

logger = logging.getLogger(__name__)

MAX_BODY = 256 << 20
"""No page of records is larger (bytes, unpacked)."""
MAX_WAIT = 300.0
"""Seconds that `Retry-After` may ask for; more, and the next run is the better try."""
SLOWEST = 60.0
"""Seconds that an answer may take from the first byte to the last, at least; else ten times the contract's time-out."""
MAX_REDIRECTS = 3
MAY_PASS = frozenset({408, 425, 429, *range(500, 600)} - {521})
"""Statuses that another try may change: 521 is a browser challenge, which stays while one asks."""
_PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.InvalidHeader,
    # Of a body: requests gives them other names only where it reads the body itself.
    urllib3.exceptions.HTTPError,
)
_jitter = SystemRandom()


@dataclass(frozen=True)
class Answer:
    """What the source sent."""

    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes
    secret: str = field(default="", repr=False)
    """What we asked with: never to be repeated, however short."""

    @property
    def content_type(self) -> str:
        """Media type without parameters, e.g. `text/html`."""
        found = re.match(r"[\w.+-]{1,40}/[\w.+-]{1,60}", self.headers.get("Content-Type", "").strip(), re.ASCII)
        return found[0].lower() if found else "no content type"

    def words(self, text: str | None = None, limit: int = 120) -> str:
        """Its first visible words, or those of a text in it; without what may be a secret or name a person."""
        return visible_words(self.body if text is None else text.encode("utf-8", "replace"), limit, self.secret)


class BusyError(Exception):
    """Raised by a judge: the answer means "later", whatever its status says."""


class BadRequestError(SourceRefusedError):
    """The source does not know, or no longer knows, what we ask for; who asks is not the question."""


class _Session(requests.Session):
    def get_redirect_target(self, _answer: requests.Response) -> None:
        """None: else requests reads a redirect's whole body, however long, and stumbles over what is no URL."""
        return


class Client:
    """Requests to one source.

    Args:
        connection: host (or a whole URL), port, schema; `extra.verify` may name a CA bundle.
        auth: how requests prove who asks.
        timeout: seconds to connect, and between bytes.
        tries: how often a request is made in all.
        rate: requests a second, at most; None: no limit. Tries and redirects count too.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        connection: Connection,
        auth: AuthBase,
        *,
        timeout: float,
        tries: int,
        rate: float | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._conn_id, self._auth, self._timeout, self._tries, self._sleep = (
            connection.conn_id,
            auth,
            timeout,
            tries,
            sleep,
        )
        self._secret = connection.password
        self.base = base_url(connection)
        self._apart, self._next_at = (1 / rate if rate else 0.0), 0.0
        self._session = _Session()
        self._session.verify = connection.extra.get("verify", True)
        self._session.headers.update({"Accept": "application/json", "User-Agent": "chengxin"})
        # A proxy of the environment must not see what goes to this machine itself.
        self._session.trust_env = not is_loopback(self.base)

    def close(self) -> None:
        """Gives the sockets back."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str], judge: Callable[[Answer], None]) -> Answer:
        """One answer with status 200.

        Args:
            path: below the connection's URL; or a whole URL of the same origin (`same_origin`).
            params: the query.
            judge: looks at an answer; raises `BusyError` for one that should be asked for again, or any error of ours.

        Raises:
            SourceUnreachableError: still nothing after all tries.
            SourceRefusedError: the source says no.
            SourceContentError: what arrived is no data.
        """
        url = path if "://" in path else f"{self.base}{path}"
        # A URL that the source made may hold a secret in its query.
        where = f"GET {url.partition('?')[0]} (connection {self._conn_id})"
        for attempt in range(1, self._tries + 1):
            wait = 0.0
            try:
                answer = self._follow(url, params, where)
                if answer.status == 200:
                    judge(answer)
                    return answer
                if answer.status not in MAY_PASS:
                    raise self._refusal(answer, where)
                reason, wait = f"HTTP {answer.status}", retry_after(answer)
            except BusyError as busy:
                reason = str(busy)
            except (requests.exceptions.SSLError, urllib3.exceptions.SSLError):
                raise SourceUnreachableError(
                    "no trusted TLS connection",
                    where=where,
                    remedy="give the CA bundle as `verify` in the connection's extra, or mend the certificate",
                ) from None
            except _PASSING as error:
                reason = _reason(error)
            if wait > MAX_WAIT:
                reason = f"{reason}, and it asks to come back in {wait:.0f} seconds"
                break
            if attempt < self._tries:
                pause = max(wait, backoff(attempt))
                logger.warning("%s: %s (try %d of %d); again in %.1f s", where, reason, attempt, self._tries, pause)
                self._sleep(pause)
        raise SourceUnreachableError(
            "the source does not answer" if attempt == self._tries else "the source asks for a long wait",
            where=where,
            why=f"{reason}; {attempt} of {self._tries} tries",
            remedy="ask its operator, or check host and port of the connection; the next run tries again",
        )

    def same_origin(self, link: str, path: str, where: str) -> str:
        """A link that the source gave, as a whole URL.

        Args:
            link: the link, whole or relative.
            path: what was asked for when it came, as for `get`.
            where: for the error.

        Raises:
            SourceRefusedError: it leads to another host, port or scheme.
        """
        target = joined(path if "://" in path else f"{self.base}{path}", link)
        if origin(target) != origin(self.base):
            raise self._elsewhere(self.base, target, where, "its next page lies at")
        return target

    def _follow(self, url: str, params: Mapping[str, str], where: str) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._send(url, params)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            location = answer.headers.get("Location", "").strip()
            if not location:
                raise SourceRefusedError(
                    "a redirect to nowhere",
                    where=where,
                    why=f"HTTP {answer.status} without a Location",
                    remedy="ask its operator",
                )
            target = joined(url, location)
            if origin(target) != origin(url):
                raise self._elsewhere(url, target, where, f"HTTP {answer.status} to")
            # The target brings its own query.
            url, params = target, {}
        raise SourceRefusedError(f"more than {MAX_REDIRECTS} redirects in a row", where=where)

    def _elsewhere(self, url: str, target: str, where: str, how: str) -> SourceRefusedError:
        """The source leads to another origin, which is not ours to follow: a signature is for one alone."""
        scheme, host, _ = origin(url)
        its_scheme, its_host, its_port = origin(target)
        what = "the source sends us to another host"
        remedy = "ask its operator; if it has moved, change host, port or schema of the connection"
        if its_host == host and its_scheme == scheme:
            what = "the source sends us to another port of its host"
        elif its_host == host and its_scheme == "https":
            what = "the source wants https, and the connection says http"
            remedy = f"set schema https and port {its_port} in connection {self._conn_id!r}"
        elif its_host == host and its_scheme == "http":
            what = "the source sends us from https to plain http"
            remedy = "ask its operator: what goes over http can be read and changed on its way; do not follow it"
        where_to = f"{its_scheme}://{its_host}" + ("" if its_port == PORTS.get(its_scheme) else f":{its_port}")
        where_to = where_to if its_host else "what is no URL"
        return SourceRefusedError(what, where=where, why=f"{how} {where_to}", remedy=remedy)

    def _send(self, url: str, params: Mapping[str, str]) -> Answer:
        self._keep_apart()
        where = f"GET {url.partition('?')[0]} (connection {self._conn_id})"
        try:
            return self._answer(url, params, where)
        except _PASSING:
            raise
        # Never its text: it may repeat a header, or a proxy's password.
        except (requests.RequestException, ValueError) as error:
            raise SourceUnreachableError(
                "the request cannot be made",
                where=where,
                why=type(error).__name__,
                remedy="check host, port and extra of the connection, and the proxy of the environment",
            ) from None

    def _answer(self, url: str, params: Mapping[str, str], where: str) -> Answer:
        deadline = time.monotonic() + max(SLOWEST, 10 * self._timeout)
        with self._session.get(
            url, params=params, auth=self._auth, timeout=self._timeout, stream=True, allow_redirects=False
        ) as response:
            body = bytearray()
            # Each as soon as it is there: to wait for a whole MiB is to wait for ever, where it comes byte by byte.
            while chunk := response.raw.read1(1 << 20, decode_content=True):
                body += chunk
                if len(body) > MAX_BODY:
                    raise SourceContentError(
                        f"a page of more than {MAX_BODY >> 20} MiB",
                        where=where,
                        remedy="ask for smaller pages (`page_size` of the contract)",
                    )
                # The time-out watches only the gaps between bytes: a trickle would keep us for ever.
                if time.monotonic() > deadline:
                    raise requests.Timeout("a trickle")
            return Answer(response.status_code, response.headers, bytes(body), self._secret)

    def _keep_apart(self) -> None:
        """Waits until the rate allows the next request."""
        if not self._apart:
            return
        wait = self._next_at - time.monotonic()
        if wait > 0:
            self._sleep(wait)
        self._next_at = time.monotonic() + self._apart

    def _refusal(self, answer: Answer, where: str) -> ChengxinError:
        why = f"HTTP {answer.status}: {answer.words()}"
        if answer.status == 521:
            return ChallengeError(
                "a browser challenge instead of data",
                where=where,
                why=f"HTTP 521, {answer.content_type}: {answer.words()}",
                remedy="it may be lifted: the next run goes on from the last page. If it stays, the page is not for "
                "programs: agree on an interface with the publisher, and do not get round it",
            )
        if 200 < answer.status < 300:
            return SourceContentError(
                "an answer without a page",
                where=where,
                why=why,
                remedy="the next run asks again; ask the source's operator what this status means here",
            )
        if answer.status in (401, 403):
            return refused(self._conn_id, where, why, answer)
        return BadRequestError(
            "the source refuses the request",
            where=where,
            why=why,
            remedy="check `path` and `params` of the contract against the interface's description",
        )


def refused(conn_id: str, where: str, why: str, answer: Answer) -> SourceRefusedError:
    """The source does not accept who asks: wrong login, secret or signature, a clock that is off, a missing grant."""
    remedy = f"check login and password of connection {conn_id!r}, and that they are granted this resource"
    skew = _skew(answer)
    if abs(skew) > 240:
        remedy = f"set the clock: this machine is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the source"
    return SourceRefusedError(f"connection {conn_id!r} is refused", where=where, why=why, remedy=remedy)


def backoff(attempt: int) -> float:
    """Seconds before the next try: 1, 2, 4 … 30, less up to a half by chance, so that clients do not march in step."""
    return min(30.0, 2.0 ** (attempt - 1)) * _jitter.uniform(0.5, 1.0)


def retry_after(answer: Answer) -> float:
    """Seconds that `Retry-After` asks for, in either of its notations; 0 without one."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - (_sent_at(answer) or time.time()))
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0.0


def visible_words(body: bytes, limit: int = 120, secret: str = "") -> str:
    """The first words that a person would see of a page, safe to repeat: without the secret, whatever its length."""
    text = readable(body[:65536])
    if secret:
        text = text.replace(secret, "…")
    text = re.sub(r"(?is)<(script|style)\b.*?(</\1\s*>|\Z)", " ", text)
    text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    text = "".join(character if character.isprintable() else " " for character in text)
    text = re.sub(r"[0-9A-Za-z+/=_-]{15,}", "…", " ".join(text.split()))
    return f"“{text[:limit]}{'…' if len(text) > limit else ''}”" if text else "nothing to read"


def _sent_at(answer: Answer) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, OverflowError, TypeError, IndexError):
        return None


def _skew(answer: Answer) -> float:
    """Seconds that the source's clock is ahead of ours, as far as its answer tells."""
    sent_at = _sent_at(answer)
    return 0.0 if sent_at is None else sent_at - time.time()


def _reason(error: BaseException) -> str:
    """The root of a failed request in words; never its text, which may repeat a proxy's password."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ContentDecodingError | urllib3.exceptions.DecodeError):
        return "an answer that cannot be unpacked"
    seen: list[BaseException] = []
    pending: list[BaseException] = [error]
    while pending:
        one = pending.pop()
        if one in seen:
            continue
        seen.append(one)
        if isinstance(one, OSError) and one.strerror and not isinstance(one, requests.RequestException):
            return one.strerror
        linked = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        pending += [link for link in linked if isinstance(link, BaseException)]
    return "the connection broke off"
