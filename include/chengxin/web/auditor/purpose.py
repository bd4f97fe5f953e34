"""The purpose: an auditor says why before codes and names are shown (四（三）), and it goes on record."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from chengxin.ledger import acts
from chengxin.web.auditor import render
from chengxin.web.auditor.guard import form, state_purpose
from chengxin.web.auditor.office import office
from chengxin.web.auditor.place import onward
from chengxin.web.auditor.visitor import visitor

LONGEST = 100
"""Characters of a purpose."""
USUAL = ("年度审计", "投诉、异议核查", "案件、信访办理", "抽查核查意见")

router = APIRouter()


@router.get("/purpose")
def ask(request: Request, back: str = "/today") -> Response:
    """The form."""
    visitor(request).must_be("auditor")
    return _form(request, back)


@router.post("/purpose")
async def state(request: Request) -> Response:
    """Takes the purpose, puts it on record, and goes back to the page that was left for it."""
    who, here = visitor(request), office(request)
    who.must_be("auditor")
    fields = await form(request)
    back = str(fields.get("back", "/today"))
    words = " ".join(str(fields.get(name, "")).strip() for name in ("usual", "words")).strip()
    if not words or len(words) > LONGEST or not words.isprintable():
        return _form(request, back, fault=True)
    with here.house.ledger.begin() as session:
        made = acts.record(session, here.now, who.login, "access.purpose", who.login, {"purpose": words})
    answer = onward(request, _own(back))
    state_purpose(request, answer, who.login, made.seq, words)
    return answer


def _form(request: Request, back: str, *, fault: bool = False) -> Response:
    context = {"back": _own(back), "usual": USUAL, "longest": LONGEST, "fault": fault}
    return render.page(request, "purpose.html.j2", context, 422 if fault else 200)


def _own(back: str) -> str:
    """A path of these pages; nobody is sent anywhere else."""
    plain = back.startswith("/") and not back.startswith("//") and "\\" not in back and back.isprintable()
    return back if plain else "/today"
