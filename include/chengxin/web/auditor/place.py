"""Where the pages are mounted: each district may have a mount of its own, so no address of theirs is written out."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import RedirectResponse


def base(request: Request) -> str:
    """What stands before every address of these pages, e.g. `/credit`; empty: they are mounted nowhere."""
    found: str = request.scope.get("root_path", "")
    return found


def inner(request: Request) -> str:
    """The path asked for, as these pages name it: `/today`."""
    path: str = request.scope["path"]
    return path.removeprefix(base(request))


def onward(request: Request, path: str) -> RedirectResponse:
    """Sends a browser on to another of these pages, by GET.

    Args:
        request: the request.
        path: within the mount, with its query: `/matters?page=2`.
    """
    return RedirectResponse(base(request) + path, 303)
