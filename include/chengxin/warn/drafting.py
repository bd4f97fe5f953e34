"""One day's messages, how each is made: link, text, bytes, key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from chengxin.districts import District
from chengxin.ledger import outbox
from chengxin.ledger.outbox import Draft, Item, Scope
from chengxin.settings import House
from chengxin.warn.answered import Answers
from chengxin.warn.guard import Ground
from chengxin.warn.links import Links
from chengxin.warn.modes import Permit
from chengxin.warn.render import Attachment, Envelope, Reply, Templates, Text, message
from chengxin.warn.words import Words


@dataclass(frozen=True)
class Day:
    """Everything that the messages of one day are made from."""

    house: House
    district: District
    may: Permit
    as_of: date
    words: Words
    templates: Templates
    ground: Ground
    seq: int
    scope: Scope
    answers: Answers
    links: Links | None
    disputed: frozenset[str] = frozenset()
    """Ids of advice to which an objection is open."""


def draft(
    day: Day,
    *,
    code: str,
    recipient: str,
    role: str,
    kind: str,
    matter: str,
    stage: str,
    fingerprint: str,
    write: Callable[[Reply], Text],
    attached: Attachment | None,
    detail: Mapping[str, Any],
    items: Sequence[Item] = (),
    last: int | None = None,
) -> Draft:
    """A message, finished.

    Args:
        day: what it is made from.
        code: the department.
        recipient: mailbox.
        role: `unit`, `head` or `summary`.
        kind: `countdown`, `stale`, `advice` or `supervision`.
        matter: what it is about.
        stage: of the countdown; empty otherwise.
        fingerprint: of the facts that make it this message.
        write: makes its text, given how it can be answered.
        attached: the work list.
        detail: what the next plan wants to know of it.
        items: what it tells.
        last: id of the message before it, whose answer it shows.
    """
    district = day.district
    # A copy to a head or a summary is another message than the unit's own, even to the same box.
    key = outbox.key_of(
        recipient=recipient,
        kind=kind if role == "unit" else f"{kind}/{role}",
        matter=f"{district.code}/{matter}",
        stage=stage,
        fingerprint=fingerprint,
    )
    url = day.links.url(day.may.mode, key, code, day.as_of) if day.links else ""
    text = write(Reply(url, day.answers.line(last)))
    envelope = Envelope(
        sender=district.mail.sender,
        sender_name=district.mail.sender_name,
        recipient=recipient,
        recipient_name=district.departments[code].name,
        key=key,
        thread=f"{district.code}/{matter}",
    )
    return Draft(
        key=key,
        mode=day.may.mode,
        district=district.code,
        department=code,
        recipient=recipient,
        role=role,
        kind=kind,
        matter=matter,
        stage=stage,
        fingerprint=fingerprint,
        as_of=day.as_of,
        subject=text.subject,
        header_id=envelope.header_id,
        thread=envelope.thread_id,
        content=message(envelope, text, day.house.clock(), attached),
        items=items,
        detail=detail,
    )


def digest(parts: Any) -> str:
    """A fingerprint: the hash of canonical JSON."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
