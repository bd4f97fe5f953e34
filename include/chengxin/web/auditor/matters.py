"""Matters: the list with its filter and counts, and one matter with its applicants, advice and decisions.

A title may hold a name, so text is sought by POST and never stands in an address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from chengxin.clock import beijing_date
from chengxin.desk import read
from chengxin.desk.read import Filter, MatterView, Paging
from chengxin.districts import BANK
from chengxin.ledger import decisions
from chengxin.web.auditor import looking, outcomes, render
from chengxin.web.auditor.guard import form
from chengxin.web.auditor.office import office
from chengxin.web.auditor.outcomes import OUTCOMES, Speech
from chengxin.web.auditor.place import onward
from chengxin.web.auditor.visitor import visitor

ROWS = 30
APPLICANTS = 20
"""Of one page: each may carry three forms."""
OPEN = "open"
STATES = {OPEN: "待办", "closed": "办结"}
LONGEST_TEXT = 60
LAST_PAGE = 100_000

router = APIRouter()

PageNumber = Annotated[int, Query(ge=1, le=LAST_PAGE)]


@dataclass(frozen=True)
class Asked:
    """What of the list is asked for. Empty: whichever."""

    department: str = ""
    type: str = ""
    decision: str = ""
    state: str = ""
    """`closed`, `all`; empty: open ones."""
    disputed: str = ""
    """`yes`: with an objection that is not settled."""
    text: str = ""
    """In the title, or the beginning of the number."""
    page: int = 1

    @property
    def query(self) -> str:
        """The address' query; never the text."""
        names = ("department", "type", "decision", "state", "disputed")
        said = {name: getattr(self, name) for name in names if getattr(self, name)}
        return "?" + urlencode(said) if said else ""

    def but(self, **changes: Any) -> Asked:
        """The same with something else, from the first page."""
        return replace(self, **{"page": 1, **changes})


@dataclass(frozen=True)
class Fault:
    """A form that was not taken, for the page that shows it again."""

    advice_id: str
    form: str
    """`decision`, `objection` or `settlement`."""
    words: str
    typed: dict[str, str]


@router.get("/matters")
def matters(
    request: Request,
    department: str = "",
    type: str = "",
    decision: str = "",
    state: str = "",
    disputed: str = "",
    page: PageNumber = 1,
) -> Response:
    """The list."""
    return _list(request, Asked(department, type, decision, state, disputed, "", page))


@router.post("/matters")
async def sought(request: Request) -> Response:
    """The filter: what may stand in an address goes there, text is answered at once."""
    fields = await form(request)
    said = {name: str(fields.get(name, "")) for name in ("department", "type", "decision", "state", "disputed")}
    page = str(fields.get("page", "1"))
    asked = Asked(
        **said,
        text=" ".join(str(fields.get("text", "")).split())[:LONGEST_TEXT],
        page=min(max(int(page), 1), LAST_PAGE) if page.isdecimal() and len(page) < 7 else 1,
    )
    if asked.text:
        return await run_in_threadpool(_list, request, asked)
    return onward(request, f"/matters{asked.query}")


@router.get("/matters/{ref}")
def matter(request: Request, ref: str, page: PageNumber = 1) -> Response:
    """One matter."""
    return shown(request, ref, page)


def shown(request: Request, ref: str, page: int = 1, fault: Fault | None = None) -> Response:
    """One matter's page.

    Args:
        request: the request.
        ref: the matter's.
        page: of its applicants.
        fault: a form that was not taken.

    Raises:
        HTTPException: 404, there is none, or it is another department's.
    """
    who, here = visitor(request), office(request)
    who.must_be("auditor", "operator", "officer")
    with here.desk.read() as connection:
        paging = Paging(APPLICANTS, (page - 1) * APPLICANTS)
        view = read.matter(connection, here.scope(who), ref, here.today(), paging)
    if view is None:
        raise HTTPException(404)
    codes = [row.advice.uscc for row in view.applicants.rows if row.advice]
    looking.look(request, "matter", *codes, route=f"/matters/{ref}")
    own = who.role == "officer"
    context = {
        "view": view,
        "matter": view.matter,
        "people": here.standing(_advice_ids(view)),
        "speech": Speech(here.words, here.policy),
        "units": {code: unit.name for code, unit in here.district.departments.items()},
        "source": here.titles.get(view.matter.source or "", view.matter.source),
        "code": lambda uscc: render.masked(uscc, who, view.matter.department),
        "open_words": own or who.unmasked,
        "own": own,
        "page": page,
        "pages": _pages(view.applicants.total, APPLICANTS),
        "fault": fault,
        "decidable": decisions.OUTCOMES,
        "weighed": outcomes.WEIGHED,
        "settled": outcomes.SETTLED,
        "problems": outcomes.PROBLEMS,
        "readings": outcomes.READINGS,
        "accounts": {login: account.name for login, account in here.district.accounts.items()},
        "received": beijing_date(here.now),
    }
    return render.page(
        request, "matter.html.j2", context, 422 if fault else 200, at=f"/matters/{ref}" if fault else None
    )


def _list(request: Request, asked: Asked) -> Response:
    who, here = visitor(request), office(request)
    who.must_be("auditor", "operator", "officer")
    disputed = {one.matter_id for one in here.objections(who)}
    which = Filter(
        department=(asked.department or None) if who.sees_all else None,
        type=asked.type or None,
        decision=asked.decision or None,
        state=STATES.get(asked.state or OPEN),
        text=asked.text,
        among=sorted(disputed) if asked.disputed else None,
    )
    with here.desk.read() as connection:
        found = read.matters(connection, here.scope(who), which, Paging(ROWS, (asked.page - 1) * ROWS))
    district, policy = here.district, here.policy
    units = {code: unit.name for code, unit in district.departments.items()}
    context = {
        "found": found.page,
        "counts": [(code, found.decisions[code]) for code in OUTCOMES if code in found.decisions],
        "asked": asked,
        "disputed": disputed,
        "speech": Speech(here.words, policy),
        "units": units,
        "holders": {code: units[code] for code, unit in district.departments.items() if unit.kind != BANK},
        "kinds": [each.kind for each in policy.matters.values()],
        "outcomes": OUTCOMES,
        "pages": _pages(found.page.total, ROWS),
    }
    return render.page(request, "matters.html.j2", context)


def _advice_ids(view: MatterView) -> list[str]:
    return [row.advice.advice_id for row in view.applicants.rows if row.advice]


def _pages(total: int, size: int) -> int:
    return max(1, -(-total // size))
