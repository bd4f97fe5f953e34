"""One SMTP conversation, and what it means for the message: the answer decides, not the absence of an exception.

The point of no return is the message's bytes. A line that breaks before the server asked for them has delivered
nothing, so trying again is safe. A line that breaks after they were sent and before the answer may have delivered: the
outcome is unknown, and stays so until a person settles it.

The connection's settings are those of Airflow's SMTP connections: host, port, login, password; `extra` with
`disable_ssl` (no TLS from the first byte), `disable_tls` (no STARTTLS), `timeout` in seconds, `ssl_context` (`default`
or `none`: no certificate check).
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from dataclasses import dataclass
from typing import Literal

from chengxin.connections import Connection
from chengxin.errors import ChengxinError, ConfigError

Outcome = Literal["sent", "refused", "unknown", "planned"]
_TIMEOUT = 60.0
_MOST_WORDS = 300
_OUR_FAULT = (530, 534, 535, 538)
"""Answers that ask for a login or TLS (RFC 4954): the connection's settings are wrong, not the message."""


@dataclass(frozen=True)
class Answer:
    """What became of one message."""

    outcome: Outcome
    """`planned`: certainly not accepted, may be tried again."""
    words: str
    """The server's, or the error's."""


class MailServerError(ChengxinError):
    """The mail server does not answer, or does not let us in: no message is at fault."""

    cause = "mail_server"


class DeferredError(MailServerError):
    """Messages were not accepted for now and wait: send again later.

    `counts` holds what became of the others.
    """

    def __init__(self, counts: dict[str, int], connection: str, why: str) -> None:
        self.counts = counts
        super().__init__(
            f"{counts['planned']} messages wait: the mail server did not take them",
            where=f"connection {connection!r}",
            why=why,
            remedy="nothing is lost: send again (a task does so by itself); check the mail server if it goes on",
        )


class Line:
    """A connection to the mail server, opened on first use and again after it broke.

    Args:
        connection: host, login, TLS.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client: smtplib.SMTP | None = None

    def __enter__(self) -> Line:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        # In the middle of a conversation a polite farewell would only wait for an answer that cannot come.
        if error is None:
            self.close()
        else:
            self._drop()

    def open(self) -> smtplib.SMTP:
        """The open line.

        Raises:
            MailServerError: nobody answers, or the login fails.
        """
        if self._client is None:
            self._client = self._connect()
        return self._client

    @property
    def is_open(self) -> bool:
        """Whether the line was open when it was used last."""
        return self._client is not None

    def close(self) -> None:
        """Hangs up; a server that is gone already is no error."""
        if self._client is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                self._client.quit()
            self._client.close()
            self._client = None

    def send(self, sender: str, recipient: str, content: bytes) -> Answer:
        """Hands one message over.

        Args:
            sender: envelope sender.
            recipient: the one envelope recipient.
            content: the message, seven bits, lines ending in CRLF.

        Returns:
            What the server's answer means. A line that broke while it lay idle is opened again, once.
        """
        for last in (False, True):
            used = self._client is not None
            try:
                client = self.open()
            except MailServerError as error:
                return Answer("planned", error.why)
            try:
                refusal = self._announce(client, sender, recipient, content)
            except (OSError, smtplib.SMTPException) as error:
                self._drop()
                if used and not last:
                    continue
                return Answer("planned", _error(error))
            if refusal and self._client is None and used and not last:
                # 421: this server takes so many messages over one line, and hung up politely.
                continue
            return refusal or self._transmit(client, content)
        raise AssertionError("the second round always answers")

    def _announce(self, client: smtplib.SMTP, sender: str, recipient: str, content: bytes) -> Answer | None:
        """Everything before the message's bytes; an answer where the server wants none of it."""
        size = [f"size={len(content)}"] if client.has_extn("size") else []
        for step in (
            lambda: client.mail(sender, size),
            lambda: client.rcpt(recipient),
            lambda: client.docmd("DATA"),
        ):
            code, words = step()
            if code >= 400:
                answer = self._judged(code, words)
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    client.rset()
                return answer
        return None

    def _transmit(self, client: smtplib.SMTP, content: bytes) -> Answer:
        """The message's bytes and the answer to them: past the point of no return."""
        try:
            client.send(_dotted(content))
            code, words = client.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            return Answer("unknown", _error(error))
        return self._judged(code, words)

    def _judged(self, code: int, words: bytes) -> Answer:
        said = f"{code} {words.decode('utf-8', 'replace')}"[:_MOST_WORDS]
        if code == 421:
            self._drop()
        if code < 400:
            return Answer("sent", said)
        return Answer("planned" if code < 500 or code in _OUR_FAULT else "refused", said)

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connect(self) -> smtplib.SMTP:
        settings = self._connection
        encrypted = not _switched_on(settings, "disable_ssl")
        upgrade = not encrypted and not _switched_on(settings, "disable_tls")
        timeout = float(settings.extra.get("timeout") or _TIMEOUT)
        host, port = settings.host or "localhost", settings.port or (465 if encrypted else 25)
        try:
            client = (
                smtplib.SMTP_SSL(host, port, timeout=timeout, context=_context(settings))
                if encrypted
                else smtplib.SMTP(host, port, timeout=timeout)
            )
        except (OSError, smtplib.SMTPException) as error:
            raise self._failed(error) from error
        try:
            client.ehlo_or_helo_if_needed()
            if upgrade:
                client.starttls(context=_context(settings))
                client.ehlo()
            if settings.login and settings.password:
                client.login(settings.login, settings.password)
        except (OSError, smtplib.SMTPException) as error:
            client.close()
            raise self._failed(error) from error
        return client

    def _failed(self, error: Exception) -> MailServerError:
        return MailServerError(
            "the mail server cannot be used",
            where=f"connection {self._connection.conn_id!r}",
            why=_error(error),
            remedy="check host, port, login and TLS switches of the connection; messages stay planned and are retried",
        )


def _switched_on(connection: Connection, name: str) -> bool:
    # Airflow's URI notation gives text where JSON gives a boolean.
    return str(connection.extra.get(name, "")).lower() in ("true", "1")


def _context(connection: Connection) -> ssl.SSLContext:
    kind = connection.extra.get("ssl_context") or "default"
    if kind not in ("default", "none"):
        raise ConfigError(
            f"unknown ssl_context {kind!r}",
            where=f"connection {connection.conn_id!r}",
            remedy="one of default, none",
        )
    context = ssl.create_default_context()
    if kind == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _dotted(content: bytes) -> bytes:
    """The message as DATA wants it (RFC 5321 4.5.2): leading dots doubled, a line with one dot at the end."""
    # Nearly no mail has such a line: its text is base64.
    stuffed = re.sub(rb"(?m)^\.", b"..", content) if b"\n." in content or content[:1] == b"." else content
    return stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")


def _error(error: Exception) -> str:
    # An authentication error repeats what the server said; it never holds the password.
    return f"{type(error).__name__}: {error}"[:_MOST_WORDS]
