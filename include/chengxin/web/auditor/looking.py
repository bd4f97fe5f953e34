"""Puts each look at a subject on record (四（三）): who, whom, from which page, why, and whether it was masked."""

from __future__ import annotations

from typing import Literal

from fastapi import Request

from chengxin import pseudonyms
from chengxin.ledger import access
from chengxin.web.auditor.office import office
from chengxin.web.auditor.place import base
from chengxin.web.auditor.visitor import Visitor, visitor

HANDLING = "办理本单位事项"
"""Why an officer looks: there is no other ground on which one may."""


def look(
    request: Request,
    what: str,
    *codes: str | None,
    route: str | None = None,
    outcome: Literal["shown", "masked", "limited"] | None = None,
) -> int:
    """Records that the page which serves a request shows some subjects: an act for each.

    Args:
        request: the request.
        what: `subject`, `advice`, `matter`, `search`, …
        codes: the subjects' codes; one whose code is not known is left out, and where none is left the act names none.
        route: the page; null: its pattern, which never holds an id.
        outcome: null: `masked` for those who see no codes, else `shown`.

    Returns:
        The last act's number.
    """
    who = visitor(request)
    shown = who.role == "officer" or who.unmasked
    names = pseudonyms.of_house(office(request).house)
    return access.record(
        office(request).house,
        who.login,
        who.department,
        what,
        [names.of(code) for code in dict.fromkeys(codes) if code],
        purpose(who),
        base(request) + (route or request.scope["route"].path),
        outcome or ("shown" if shown else "masked"),
    )


def purpose(who: Visitor) -> str:
    """Why somebody looks: an auditor's stated purpose, an officer's business; empty: none was stated."""
    if who.role == "officer":
        return HANDLING
    return who.purpose.words if who.purpose else ""
