"""Mails: the exact message as it was sent, its states, its answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from chengxin.ledger import answers
from chengxin.ledger.acts import Act
from chengxin.ledger.messages import Message, MessageBody
from chengxin.warn.answered import spelt
from chengxin.web.auditor import looking, render
from chengxin.web.auditor.guard import form
from chengxin.web.auditor.office import Office, office
from chengxin.web.auditor.visitor import Visitor, visitor

ROWS = 50

FRAME_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
"""A mail is shown as it was sent, and can do nothing."""

router = APIRouter()


@router.get("/mails")
def mails(
    request: Request,
    day: date | None = None,
    department: str = "",
    kind: str = "",
    state: str = "",
    before: int | None = None,
) -> Response:
    """The messages, the newest first; a department sees its own."""
    who, here = visitor(request), office(request)
    who.must_be("auditor", "operator", "officer")
    filters = {Message.as_of: day, Message.department: department, Message.kind: kind, Message.state: state}
    wanted = here.messages(who)
    for column, value in filters.items():
        if value:
            wanted = wanted.where(column == value)
    if before is not None:
        wanted = wanted.where(Message.id < before)
    with here.house.ledger.read() as session:
        found = list(session.scalars(wanted.order_by(Message.id.desc()).limit(ROWS + 1)))
    context = {
        "messages": found[:ROWS],
        "older": found[ROWS - 1].id if len(found) > ROWS else None,
        "chosen": {"day": day.isoformat() if day else "", "department": department, "kind": kind, "state": state},
        "kinds": ("countdown", "stale", "advice", "report", "watch", "supervision"),
        "states": tuple(here.words.mail.message_states),
        "words": here.words,
        "departments": {code: unit.name for code, unit in here.district.departments.items()},
    }
    return render.page(request, "mails.html.j2", context)


@router.get("/mails/{number}")
def mail(request: Request, number: int) -> Response:
    """One message: who it went to, what became of it, and for those who may, its text."""
    who, here = visitor(request), office(request)
    who.must_be("auditor", "operator", "officer")
    with here.house.ledger.read() as session:
        message = _message(session, here, who, number)
        deeds = list(session.scalars(select(Act).where(Act.subject == message.key).order_by(Act.seq)))
        given = answers.of_message(session, message.id)
        kept = session.get(MessageBody, message.id)
        content = _parsed(kept.content) if kept and _may_read(who, message) else None
    context = {
        "message": message,
        "unit": here.district.departments.get(message.department),
        "deeds": deeds,
        "given": [(each, spelt(each)) for each in given],
        "words": here.words,
        "kept": kept is not None,
        "content": content,
        "sender": _sender(kept.content) if kept and content else "",
        "attachments": [part.get_filename() for part in content.iter_attachments()] if content else [],
    }
    if content is not None:
        looking.look(request, "mail", outcome="shown")
    return render.page(request, "mail.html.j2", context)


@router.get("/mails/{number}/text")
def text(request: Request, number: int) -> Response:
    """The message's HTML part, for the frame of its page."""
    content = _readable(request, number)
    part = content.get_body(("html",)) or content.get_body(("plain",))
    body = part.get_content() if part else ""
    if part is None or part.get_content_subtype() != "html":
        return Response(body, media_type="text/plain; charset=utf-8", headers={"Content-Security-Policy": FRAME_POLICY})
    return Response(body, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": FRAME_POLICY})


@router.post("/mails/{number}/attachments/{place}")
async def attachment(request: Request, number: int, place: int) -> Response:
    """One attachment as it was sent."""
    await form(request)
    content = _readable(request, number)
    parts: Sequence[EmailMessage] = list(content.iter_attachments())
    if not 0 <= place < len(parts):
        raise HTTPException(404)
    looking.look(request, "mail.attachment", outcome="shown")
    return Response(
        parts[place].get_payload(decode=True),
        media_type=parts[place].get_content_type(),
        headers={"Content-Disposition": f'attachment; filename="mail-{number}-{place}{_suffix(parts[place])}"'},
    )


def _message(session: Session, here: Office, who: Visitor, number: int) -> Message:
    found = session.scalar(here.messages(who).where(Message.id == number))
    if found is None:
        raise HTTPException(404)
    return found


def _may_read(who: Visitor, message: Message) -> bool:
    """A message to a department names enterprises in full: its own officers read it, and auditors with a purpose."""
    own = who.role == "officer" and bool(message.department) and message.department == who.department
    return own or who.unmasked or (who.role == "operator" and message.role == "operator")


def _readable(request: Request, number: int) -> EmailMessage:
    who, here = visitor(request), office(request)
    who.must_be("auditor", "operator", "officer")
    with here.house.ledger.read() as session:
        message = _message(session, here, who, number)
        kept = session.get(MessageBody, message.id)
        if kept is None or not _may_read(who, message):
            raise HTTPException(404)
        return _parsed(kept.content)


def _parsed(content: bytes) -> EmailMessage:
    parsed = message_from_bytes(content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def _sender(content: bytes) -> str:
    # Read the old way: the new header parser leaves a space between two encoded words of a name (RFC 2047, 6.2).
    return str(make_header(decode_header(str(message_from_bytes(content)["From"]))))


def _suffix(part: EmailMessage) -> str:
    found = re.search(r"\.[a-z0-9]{1,5}$", (part.get_filename() or "").lower())
    return found.group() if found else ""
