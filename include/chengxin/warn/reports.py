"""Delivery reports (RFC 3464): what a mail server says, later, about one message of ours.

Only what is written counts: a `multipart/report` of delivery status that returns the Message-ID of the message and
names the recipient with an action. Nothing is read out of prose: servers that answer in sentences are for a person.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes, policy
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from chengxin.ledger.settling import ACTIONS, Reported
from chengxin.warn.render import one_line

_ID = re.compile(r"<[^<>\s]+@[^<>\s]+>")
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_HEADERS_ONLY = ("text/rfc822-headers", "message/rfc822-headers")
_MOST_WORDS = 300


def parse(raw: bytes) -> list[Reported]:
    """What a message reports, one entry per recipient it names; none: it is no delivery report that can be matched.

    Args:
        raw: the message as it came; a cut end is no error, as the report comes before what it returns.
    """
    # The older policy keeps headers as they are: the newer one stumbles over some of what servers write.
    mail = message_from_bytes(raw, policy=policy.compat32)
    if mail.get_content_type() != "multipart/report" or not mail.is_multipart():
        return []
    parts = list(mail.walk())
    status = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    about = _returned(mail, parts)
    if status is None or about is None:
        return []
    digest, arrived = hashlib.sha256(raw).hexdigest(), _arrived(status)
    return [
        Reported(about, recipients, action, code, words, digest, arrived)
        for recipients, action, code, words in map(_recipient, _blocks(status))
        if recipients and action in ACTIONS
    ]


def _returned(report: Message[str, str], parts: list[Any]) -> str | None:
    """The Message-ID of the message reported on: of what is returned, or of what the report says it answers."""
    for part in parts:
        if part.get_content_type() == "message/rfc822" and part.is_multipart():
            return _id(part.get_payload(0)["Message-ID"])
        if part.get_content_type() in _HEADERS_ONLY:
            return _id(_headers(part)["Message-ID"])
    return _id(report["In-Reply-To"])


def _headers(part: Message[str, str]) -> Message[str, str]:
    """Returned headers as a message; a `message/…` part has been read as one already."""
    if part.is_multipart():
        inner: Any = part.get_payload(0)
        return inner
    content = part.get_payload(decode=True)
    return message_from_bytes(content if isinstance(content, bytes) else b"", policy=policy.compat32)


def _id(value: Any) -> str | None:
    found = _ID.search(str(value or ""))
    return found.group() if found else None


def _arrived(status: Message[str, str]) -> datetime | None:
    payload = status.get_payload()
    for block in payload if isinstance(payload, list) else []:
        if isinstance(block, Message) and block["Arrival-Date"]:
            try:
                at = parsedate_to_datetime(str(block["Arrival-Date"]))
            except ValueError:
                return None
            # Without a zone, or of an unknown one, it says nothing about when.
            return at if at.tzinfo is not None else None
    return None


def _blocks(status: Message[str, str]) -> Iterator[Message[str, str]]:
    """The per-recipient groups of fields: all that name a recipient."""
    payload = status.get_payload()
    for block in payload if isinstance(payload, list) else []:
        if isinstance(block, Message) and (block["Final-Recipient"] or block["Original-Recipient"]):
            yield block


def _recipient(block: Message[str, str]) -> tuple[frozenset[str], str, str, str]:
    """Addresses, action, status code and the server's words of one recipient."""
    names = ("Original-Recipient", "Final-Recipient")
    addresses = frozenset(_address(str(block[name])) for name in names if block[name])
    action = re.split(r"[\s(;]", str(block["Action"] or "").strip().lower(), maxsplit=1)[0]
    code = _STATUS.search(str(block["Status"] or ""))
    words = str(block["Diagnostic-Code"] or "").partition(";")[2]
    return addresses, action, code.group() if code else "", one_line(words)[:_MOST_WORDS]


def _address(field: str) -> str:
    """The address of `rfc822; someone@example.org`, whatever its case."""
    kind, _, address = field.partition(";")
    return (address or kind).strip().strip("<>").strip().lower()
