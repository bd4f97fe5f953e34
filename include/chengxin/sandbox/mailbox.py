"""A mail catcher: takes every message over real SMTP, keeps it as a file, shows it on a small page.

An address whose local part is `nobody` is refused (550), so that refusals can be seen too. Runs as a process of its
own: `python -m chengxin.sandbox.mailbox <folder>`.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import sys
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from chengxin.sandbox.child import LOOPBACK, serve

_LARGEST = 64 * 1024 * 1024
_PARTS_ONLY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@dataclass(frozen=True)
class Caught:
    """A message and the file it lies in."""

    number: int
    message: EmailMessage
    raw: bytes


class Mailbox:
    """Messages in a folder, in the order they came: `000001.eml`, `000002.eml`, …"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, envelope: Envelope) -> None:
        """Keeps a message, with the envelope's addresses as a delivering server writes them on top."""
        recipients = "".join(f"Delivered-To: {address}\r\n" for address in envelope.rcpt_tos)
        head = f"Return-Path: <{envelope.mail_from or ''}>\r\n{recipients}".encode()
        content = envelope.original_content or b""
        number = max((int(file.stem) for file in self.folder.glob("*.eml")), default=0) + 1
        part = self.folder / f"{number:06d}.part"
        part.write_bytes(head + content)
        part.rename(part.with_suffix(".eml"))

    def all(self) -> list[Caught]:
        """Every message, oldest first."""
        return [self.get(int(file.stem)) for file in sorted(self.folder.glob("*.eml"))]

    def get(self, number: int) -> Caught:
        """One message.

        Raises:
            FileNotFoundError: there is none of that number.
        """
        raw = (self.folder / f"{number:06d}.eml").read_bytes()
        return Caught(number, email.message_from_bytes(raw, policy=email.policy.default), raw)


class Handler:
    """What the SMTP server asks."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuses `nobody@…`."""
        if address.lower().startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keeps the message."""
        self.mailbox.put(envelope)
        return "250 2.0.0 kept"


_HTML = Environment(autoescape=True)
_STYLE = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{{ title }}</title><style>
body { font: 15px/1.6 "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; margin: 2rem auto; max-width: 68rem;
  padding: 0 1rem; color: #1c2733 }
a { color: #0b57a4 } table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #d9dfe6; padding: .4rem .7rem; text-align: left; vertical-align: top }
th { white-space: nowrap; font-weight: 600 } td.n { color: #667 }
iframe { border: 1px solid #d9dfe6; height: 46rem; width: 100% }
pre { background: #f5f7f9; overflow: auto; padding: 1rem; white-space: pre-wrap }
</style>"""
_LIST = _HTML.from_string(
    _STYLE
    + """<h1>收件箱（{{ mails|length }}）</h1>
<table><tr><th>#</th><th>主题</th><th>收件人</th><th>附件</th><th>时间</th></tr>
{% for mail in mails %}<tr><td class="n">{{ mail.number }}</td>
<td><a href="/{{ mail.number }}">{{ mail.subject }}</a></td><td>{{ mail.to }}</td>
<td>{{ mail.files|join("，") }}</td><td class="n">{{ mail.date or "" }}</td></tr>{% endfor %}</table>
{% if not mails %}<p>还没有邮件。</p>{% endif %}"""
)
_ONE = _HTML.from_string(
    _STYLE
    + """<p><a href="/">← 收件箱</a></p><h1>{{ title }}</h1><table>
{% for name, value in headers %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}
{% if files %}<tr><th>附件</th><td>
{% for place, name in files %}<a href="/{{ number }}/files/{{ place }}">{{ name }}</a> {% endfor %}</td></tr>{% endif %}
<tr><th>原文</th><td><a href="/{{ number }}/raw">{{ number }}.eml</a></td></tr></table>
{% if html %}<h2>HTML</h2><iframe sandbox src="/{{ number }}/html" title="HTML"></iframe>{% endif %}
{% if plain %}<h2>纯文本</h2><pre>{{ plain }}</pre>{% endif %}"""
)


def pages(mailbox: Mailbox) -> Starlette:
    """The page: a list, one message with its HTML, text and attachments, the raw file."""

    async def index(request: Request) -> Response:
        mails = [
            {
                "number": caught.number,
                "subject": caught.message["Subject"] or "（无主题）",
                "to": caught.message["To"],
                "date": caught.message["Date"],
                "files": [part.get_filename() for part in caught.message.iter_attachments()],
            }
            for caught in reversed(mailbox.all())
        ]
        return HTMLResponse(_LIST.render(title="收件箱", mails=mails))

    async def one(request: Request) -> Response:
        caught = mailbox.get(request.path_params["number"])
        return HTMLResponse(
            _ONE.render(
                title=caught.message["Subject"] or "（无主题）",
                number=caught.number,
                headers=[(name, caught.message[name]) for name in ("From", "To", "Cc", "Date") if caught.message[name]],
                files=[(place, part.get_filename()) for place, part in enumerate(caught.message.iter_attachments())],
                html=_body(caught.message, "html"),
                plain=_body(caught.message, "plain"),
            )
        )

    async def html(request: Request) -> Response:
        text = _body(mailbox.get(request.path_params["number"]).message, "html") or ""
        return HTMLResponse(text, headers={"Content-Security-Policy": _PARTS_ONLY})

    async def raw(request: Request) -> Response:
        return Response(mailbox.get(request.path_params["number"]).raw, media_type="message/rfc822")

    async def file(request: Request) -> Response:
        parts = list(mailbox.get(request.path_params["number"]).message.iter_attachments())
        part = parts[request.path_params["place"]]
        headers = {"Content-Disposition": f'attachment; filename="{request.path_params["place"]}"'}
        return Response(part.get_payload(decode=True), media_type=part.get_content_type(), headers=headers)

    async def missing(request: Request, error: Exception) -> Response:
        return PlainTextResponse("没有这封邮件", 404)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/{number:int}", one),
            Route("/{number:int}/html", html),
            Route("/{number:int}/raw", raw),
            Route("/{number:int}/files/{place:int}", file),
        ],
        exception_handlers={FileNotFoundError: missing, IndexError: missing},
    )


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else None


async def run(folder: Path) -> None:
    """Serves SMTP and the page until the parent is gone."""
    mailbox = Mailbox(folder)

    def server() -> Any:
        return SMTP(Handler(mailbox), data_size_limit=_LARGEST, enable_SMTPUTF8=True, hostname="localhost")

    smtp = await asyncio.get_running_loop().create_server(server, LOOPBACK, 0)
    try:
        await serve(pages(mailbox), smtp=smtp.sockets[0].getsockname()[1])
    finally:
        smtp.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
