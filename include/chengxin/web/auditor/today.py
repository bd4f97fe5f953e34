"""Today: what the day stands at, in one screen."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from chengxin.web.auditor import render
from chengxin.web.auditor.office import office

router = APIRouter()


@router.get("/")
def entrance(request: Request) -> Response:
    """The app's own address: on to today, or to the look-up."""
    to = "look-up" if request.state.visitor.role == "partner" else "today"
    return RedirectResponse(f"{request.scope.get('root_path', '')}/{to}", 303)


@router.get("/today")
def today(request: Request) -> Response:
    """The day's page."""
    return render.page(request, "today.html.j2", {"day": office(request).today()})
