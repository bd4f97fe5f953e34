"""Mails to the operators: one message per mailbox, through the outbox like every other mail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from chengxin.districts import District
from chengxin.ledger import outbox
from chengxin.ledger.outbox import Draft, Scope
from chengxin.settings import House
from chengxin.warn import modes
from chengxin.warn.modes import OPERATORS
from chengxin.warn.render import Envelope, Text, message
from chengxin.warn.sending import deliver


def drafts(
    house: House,
    district: District,
    as_of: date,
    kind: str,
    fingerprint: str,
    text: Text,
    detail: Mapping[str, Any] | None = None,
) -> list[Draft]:
    """A mail to the operators on a day, not committed yet.

    Args:
        house: the house.
        district: whose operators.
        as_of: the day.
        kind: `report`, `watch` or `approval`.
        fingerprint: of what an operator would act on.
        text: what it says.
        detail: what it was made from.
    """
    matter = f"{kind}/{as_of.isoformat()}"
    made = []
    for box in district.mail.operators:
        key = outbox.key_of(
            recipient=box, kind=kind, matter=f"{district.code}/{matter}", stage="", fingerprint=fingerprint
        )
        envelope = Envelope(
            sender=district.mail.sender,
            sender_name=district.mail.sender_name,
            recipient=box,
            recipient_name="运维",
            key=key,
            thread=f"{district.code}/{kind}",
        )
        made.append(
            Draft(
                key=key,
                mode=modes.permit(house, as_of).mode,
                district=district.code,
                department=OPERATORS,
                recipient=box,
                role="operator",
                kind=kind,
                matter=matter,
                stage="",
                fingerprint=fingerprint,
                as_of=as_of,
                subject=text.subject,
                header_id=envelope.header_id,
                thread=envelope.thread_id,
                content=message(envelope, text, house.clock()),
                detail=dict(detail or {}),
            )
        )
    return made


def tell(house: House, district: District, as_of: date, made: list[Draft]) -> dict[str, int]:
    """Commits mails to the operators, and sends them with whatever else waits for them.

    Returns:
        How many were `sent`, `refused`, left `unknown`, and are still `planned`.

    Raises:
        DeferredError: the mail server did not take them for now.
    """
    may = modes.permit(house, as_of)
    with house.ledger.begin() as session:
        outbox.put(session, house.clock(), made)
    return deliver(house, district, may, Scope(district.code, may.mode, as_of, may.since, OPERATORS))
