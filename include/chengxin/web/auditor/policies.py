"""Policy: clauses with their rules, dated values with references, the versions that checks judged by, their diff."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Literal

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy import func, select

from chengxin import rulebook
from chengxin.ledger.models import CheckRun
from chengxin.policy import Policy, docs
from chengxin.policy.docs import Said
from chengxin.rulebook import RulebookError
from chengxin.web.auditor import render, rulings
from chengxin.web.auditor.office import Office, office
from chengxin.web.auditor.visitor import visitor

router = APIRouter()


@dataclass(frozen=True)
class Version:
    """One rulebook that checks judged by."""

    rulebook: str
    policy_version: str
    first: date
    last: date
    checks: int


@dataclass(frozen=True)
class Line:
    """One line of a diff."""

    mark: Literal["+", "-", " ", "@"]
    text: str


@router.get("/policy")
def policy(request: Request) -> Response:
    """The document as its files say now."""
    who, here = visitor(request), office(request)
    who.must_be("auditor", "operator", "officer")
    found = here.policy
    rows = docs.rows(found)
    context = {
        "policy": found,
        "rules": {clause: [row for row in rows if row.clause == clause] for clause in found.document.clauses},
        "versions": _versions(here),
        "spoken": _speaker(found, who.language),
    }
    return render.page(request, "policy.html.j2", context)


@router.get("/policy/diff")
def diff(request: Request, old: str, new: str) -> Response:
    """What changed between two rulebooks, file by file."""
    visitor(request).must_be("auditor", "operator", "officer")
    here = office(request)
    known = {version.rulebook for version in _versions(here)}
    if not {old, new} <= known:
        raise HTTPException(404)
    try:
        before, after = (rulebook.load(here.house, each) for each in (old, new))
    except RulebookError:
        raise HTTPException(404) from None
    context = {"old": old, "new": new, "files": list(_changes(before, after))}
    return render.page(request, "policy_diff.html.j2", context)


def _speaker(policy: Policy, language: str) -> Callable[[Said], str]:
    """Turns what a rule says into the reader's language."""
    if language == "en":
        return lambda said: docs.english(said).replace("`", "")
    return partial(rulings.chinese, policy)


def _versions(here: Office) -> list[Version]:
    with here.house.ledger.read() as session:
        rows = session.execute(
            select(
                CheckRun.rulebook,
                func.max(CheckRun.policy_version),
                func.min(CheckRun.as_of),
                func.max(CheckRun.as_of),
                func.count(),
            )
            .where(CheckRun.district == here.district.code, CheckRun.rulebook.is_not(None))
            .group_by(CheckRun.rulebook)
            .order_by(func.min(CheckRun.id).desc())
        )
        return [Version(str(row[0]), row[1], row[2], row[3], row[4]) for row in rows]


def _changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[tuple[str, list[Line]]]:
    for name in sorted({*before, *after}):
        old, new = before.get(name, b""), after.get(name, b"")
        if old != new:
            lines = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=2)
            yield name, [_line(line) for line in lines if not line.startswith(("---", "+++"))]


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines()


def _line(line: str) -> Line:
    marks: dict[str, Literal["+", "-", "@"]] = {"+": "+", "-": "-", "@": "@"}
    mark = marks.get(line[:1])
    return Line(mark, line if mark == "@" else line[1:]) if mark else Line(" ", line[1:])
