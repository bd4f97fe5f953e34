"""The record: acts in the order of the chain, and who looked at whom, for auditors."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from chengxin.ledger import acts as chain
from chengxin.ledger.acts import Act, ActBody
from chengxin.web.auditor import render
from chengxin.web.auditor.office import office
from chengxin.web.auditor.visitor import visitor

ROWS = 50

router = APIRouter()


@router.get("/acts")
def acts(request: Request, kind: str = "", actor: str = "", before: int | None = None) -> Response:
    """The acts, the newest first, with the words of those whose body is kept."""
    visitor(request).must_be("auditor")
    here = office(request)
    wanted = select(Act, ActBody.content).outerjoin(ActBody, ActBody.seq == Act.seq)
    if kind:
        wanted = wanted.where(Act.kind.startswith(kind, autoescape=True))
    if actor:
        wanted = wanted.where(Act.actor.contains(actor, autoescape=True))
    if before is not None:
        wanted = wanted.where(Act.seq < before)
    with here.house.ledger.read() as session:
        found = [(act, body) for act, body in session.execute(wanted.order_by(Act.seq.desc()).limit(ROWS + 1))]
        head = chain.head(session)
    context = {
        "found": found[:ROWS],
        "older": found[ROWS - 1][0].seq if len(found) > ROWS else None,
        "head": head,
        "kind": kind,
        "actor": actor,
        "kinds": ("message.", "access.", "decision.", "objection.", "policy.", "replay", "erasure"),
    }
    return render.page(request, "acts.html.j2", context)
