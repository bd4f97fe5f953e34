"""A page from a template: what stands around its content, numbers and dates as people write them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from chengxin import identity
from chengxin.clock import BEIJING, in_full
from chengxin.web.auditor.guard import LANGUAGE_COOKIE, form_token
from chengxin.web.auditor.office import office
from chengxin.web.auditor.place import base, inner
from chengxin.web.auditor.visitor import Visitor
from chengxin.web.auditor.words import translator

_HERE = Path(__file__).parent
_ERRORS = {
    403: ("无权查看", "这一页不对您的账号开放。需要时请联系本区运维人员，在区文件 accounts 中登记。"),
    404: ("没有找到", "没有这一页，或者它不对您开放。"),
    405: ("没有找到", "这个地址只接收表单，请从页面上的按钮进入。"),
    411: ("无法处理", "请求没有写明长度。"),
    413: ("内容过长", "提交的内容太长，请缩短后再试。"),
    422: ("填写有误", "提交的内容不完整或格式不对，请返回改正。"),
    429: ("请稍候", "查看过于频繁，请一分钟后再试。"),
    500: ("系统故障", "页面没有生成，运维日志里有原因。请稍后再试。"),
}

MENU: Sequence[tuple[str, str, frozenset[str]]] = (
    ("today", "今日", frozenset({"auditor", "operator", "officer"})),
    ("matters", "事项", frozenset({"auditor", "operator", "officer"})),
    ("subjects", "主体", frozenset({"auditor", "officer"})),
    ("runs", "运行", frozenset({"auditor", "operator"})),
    ("mails", "邮件", frozenset({"auditor", "operator", "officer"})),
    ("sources", "来源", frozenset({"auditor", "operator"})),
    ("policy", "政策", frozenset({"auditor", "operator", "officer"})),
    ("acts", "记录", frozenset({"auditor"})),
    ("look-up", "查询", frozenset({"partner"})),
)
"""Path, title, and whose menu shows it."""


def page(
    request: Request, template: str, context: Mapping[str, Any], status: int = 200, *, at: str | None = None
) -> Response:
    """A page for whoever asked.

    Args:
        request: the request; the guard has let it in.
        template: file below `templates/`.
        context: what the template shows. Besides: `t, language, visitor, district, base, here, back, query, command,
            menu, form_token, styled`.
        status: of the answer.
        at: the page's own path, where the request's is one that only takes forms; None: it is the request's.
    """
    found = office(request)
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    language = visitor.language if visitor else "zh"
    here = inner(request) if at is None else at
    query = {name: value for name, value in request.query_params.items() if name != "lang"} if at is None else {}
    body = (
        _templates()
        .get_template(template)
        .render(
            {
                "t": translator(language),
                "language": language,
                "visitor": visitor,
                "district": found.district,
                "base": base(request),
                "here": here,
                "query": query,
                "back": _address(here, query),
                "command": found.house.command,
                "menu": [(path, title) for path, title, roles in MENU if visitor and visitor.role in roles],
                "form_token": form_token(found, visitor.login, found.now.astimezone(BEIJING).date()) if visitor else "",
                "styled": _stamp(),
                **context,
            }
        )
    )
    answer = HTMLResponse(body, status)
    if request.query_params.get("lang") in ("zh", "en"):
        answer.set_cookie(LANGUAGE_COOKIE, language, max_age=31_536_000, httponly=True, samesite="lax")
    return answer


def error(request: Request, status: int) -> Response:
    """The page of an error: the same words whatever the reason."""
    title, words = _ERRORS.get(status, _ERRORS[500])
    at = None if request.method == "GET" else "/"
    return page(request, "error.html.j2", {"title": title, "words": words}, status, at=at)


def masked(code: str | None, visitor: Visitor, department: str | None = None) -> str:
    """A code as this visitor may see it.

    Args:
        code: a subject's code.
        visitor: who looks.
        department: whose matter it is shown with; its officers see it in full.
    """
    if not code:
        return ""
    own = visitor.role == "officer" and department is not None and department == visitor.department
    return code if own or visitor.unmasked else identity.mask(code)


@cache
def _templates() -> Environment:
    jinja = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(number=_number, day=_day, instant=_instant)
    jinja.globals["with_query"] = _with_query
    return jinja


def _number(value: int | float | None) -> str:
    return "—" if value is None else f"{value:,}"


@pass_context
def _day(context: Context, value: date | None) -> str:
    if value is None:
        return "—"
    return value.isoformat() if context["language"] == "en" else in_full(value)


def _instant(value: datetime | None) -> str:
    return "—" if value is None else f"{value.astimezone(BEIJING):%Y-%m-%d %H:%M}"


@pass_context
def _with_query(context: Context, **changes: Any) -> str:
    """This page's address with some values of its query changed; null takes one out."""
    return context["base"] + _address(context["here"], {**context["query"], **changes})


def _address(path: str, query: Mapping[str, Any]) -> str:
    kept = urlencode({name: value for name, value in query.items() if value not in (None, "")})
    return f"{path}?{kept}" if kept else path


@cache
def _stamp() -> str:
    """Changes with the style sheet, so that browsers fetch a new one."""
    return hashlib.sha256((_HERE / "static" / "pages.css").read_bytes()).hexdigest()[:10]
