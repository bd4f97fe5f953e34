"""Finished mails: templates to text, text to the exact RFC 5322 bytes.

The same message always gives the same bytes (apart from its Date): boundaries and Message-ID come from its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from chengxin.clock import BEIJING

_XLSX = "vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Text:
    """What a mail says: subject, and the same content as HTML and as plain text."""

    subject: str
    html: str
    plain: str


@dataclass(frozen=True)
class Envelope:
    """Who writes to whom, and the identifiers that come from the message's key."""

    sender: str
    sender_name: str
    recipient: str
    recipient_name: str
    key: str
    thread: str
    """What the messages of one matter to one recipient have in common."""

    @property
    def header_id(self) -> str:
        """The Message-ID: the same for the same message, whatever run made it."""
        return f"<{self.key[:32]}@{self._domain}>"

    @property
    def thread_id(self) -> str:
        """The References: the same for every message of the thread."""
        digest = hashlib.sha256(f"{self.recipient}\n{self.thread}".encode()).hexdigest()
        return f"<thread.{digest[:24]}@{self._domain}>"

    @property
    def _domain(self) -> str:
        return self.sender.rpartition("@")[2]


@dataclass(frozen=True)
class Reply:
    """How a mail can be answered, and what was answered to the one before."""

    url: str = ""
    """Where; empty: not at all."""
    answered: str = ""
    """In words; empty: nothing was."""


NO_REPLY = Reply()


class Templates:
    """The templates of one folder.

    Args:
        folder: `include/mail`.
    """

    def __init__(self, folder: Path) -> None:
        # HTML escapes every value; the plain twins must show them as they are.
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(disabled_extensions=("txt.j2",), default=True),
            undefined=StrictUndefined,
        )

    def text(self, name: str, subject: str, context: Mapping[str, Any]) -> Text:
        """Both twins of one mail: `<name>.html.j2` and `<name>.txt.j2` over the same context."""
        values = {**context, "subject": one_line(subject)}
        return Text(
            subject=one_line(subject),
            html=self._environment.get_template(f"{name}.html.j2").render(values),
            plain=self._environment.get_template(f"{name}.txt.j2").render(values).strip() + "\n",
        )


def one_line(text: str) -> str:
    """A text fit for a header: no line ends, no control or direction characters."""
    kept = "".join(" " if character.isspace() else character for character in text)
    return " ".join("".join(c for c in kept if c.isprintable() or c == " ").split())


def message(envelope: Envelope, text: Text, at: datetime, attachment: Attachment | None = None) -> bytes:
    """The mail as it goes over the wire, lines ending in CRLF, seven bits.

    Args:
        envelope: from whom, to whom, under which ids.
        text: what it says.
        at: the Date.
        attachment: a workbook.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(display_name=envelope.sender_name, addr_spec=envelope.sender)
    mail["To"] = Address(display_name=one_line(envelope.recipient_name), addr_spec=envelope.recipient)
    mail["Subject"] = text.subject
    mail["Date"] = format_datetime(at.astimezone(BEIJING).replace(microsecond=0))
    mail["Message-ID"] = envelope.header_id
    mail["In-Reply-To"] = envelope.thread_id
    mail["References"] = envelope.thread_id
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["Content-Language"] = "zh-CN"
    mail.set_content(text.plain, charset="utf-8", cte="base64")
    mail.add_alternative(text.html, subtype="html", charset="utf-8", cte="base64")
    if attachment is not None:
        mail.add_attachment(attachment.content, maintype="application", subtype=_XLSX, filename=attachment.name)
    for number, part in enumerate(part for part in mail.walk() if part.is_multipart()):
        part.set_boundary(f"=_{envelope.key[:32]}_{number}")
    return mail.as_bytes()
