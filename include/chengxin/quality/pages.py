"""The data docs made self-contained: opened on a desk without internet they look the same, and they tell nobody.

Great Expectations writes pages that fetch style sheets, scripts and pictures from a dozen hosts. Whoever runs those
would learn who reads the district's data docs and when, and could change what the pages do. So everything that is
fetched from outside is taken out, with the scripts that need it; a small style sheet and plain lists of links stand in;
and a content security policy keeps a browser from fetching anything that a later version might add.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

POLICY = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'"

_OUTSIDE = r"""["']?\s*(?:https?:)?//"""
_SCRIPT = re.compile(r"(?is)<script\b.*?</script\s*>")
_LINK = re.compile(rf"(?is)<link\b[^>]*?\bhref\s*=\s*{_OUTSIDE}[^>]*>")
_EMBEDDED = re.compile(
    rf"(?is)<(img|iframe|embed|source|object|form)\b[^>]*?\b(?:src|data|action)\s*=\s*{_OUTSIDE}[^>]*>"
)
_URL = re.compile(rf"(?is)url\(\s*{_OUTSIDE}[^)]*\)")
_IMPORT = re.compile(rf"(?is)@import\s+(?:url\(\s*)?{_OUTSIDE}[^;]*;")
_HEAD = re.compile(r"(?i)<head[^>]*>")
_TABLE_OF_LINKS = re.compile(r'(?is)<table\s+id="section-1-content-block-2-(\d)-body-table".*?</table\s*>')

_KINDS = {"1": "validations", "2": "expectations"}
_STYLE = """
body { font: 15px/1.5 "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; margin: 1.5em auto; max-width: 70em; }
table { border-collapse: collapse; margin: .5em 0; } td, th { border: 1px solid #bbb; padding: .3em .6em; }
a { color: #06c; } ul { padding-left: 1.2em; } .btn { border: 1px solid #bbb; padding: .1em .5em; }
.fa-check-circle::before { content: "✓"; color: #17793b; } .fa-times::before { content: "✗"; color: #b3261e; }
.fa-exclamation-triangle::before { content: "!"; color: #8a5a00; } .modal, .cooltip span { display: none; }
"""


def close(run: Path) -> None:
    """Makes every page under a folder of data docs self-contained.

    Args:
        run: the folder, with its `index.html`.
    """
    for page in sorted(run.rglob("*.html")):
        text = _own(page.read_text("utf-8"))
        if page.parent == run:
            text = _TABLE_OF_LINKS.sub(
                lambda table: _links(run, ("validations", "expectations")[table[1] != "1"]), text
            )
        page.write_text(text, "utf-8")
    for sheet in sorted(run.rglob("*.css")):
        if not sheet.is_symlink():
            sheet.write_text(_IMPORT.sub("", _URL.sub("none", sheet.read_text("utf-8"))), "utf-8")


def _own(text: str) -> str:
    for outside in (_SCRIPT, _LINK, _EMBEDDED, _IMPORT):
        text = outside.sub("", text)
    text = _URL.sub("none", text)
    head = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<style>{_STYLE}</style>'
    return _HEAD.sub(lambda tag: f"{tag[0]}\n{head}", text, count=1)


def _links(run: Path, kind: str) -> str:
    """The list that a script would have drawn: pages of one kind, the newest first."""
    pages = sorted((run / kind).rglob("*.html"), key=lambda page: page.parent.name, reverse=True)
    items = []
    for page in pages:
        address = html.escape(page.relative_to(run).as_posix(), quote=True)
        words = page.stem if kind == "expectations" else f"{page.stem} · {page.parent.name}"
        items.append(f'<li><a href="{address}">{html.escape(words)}</a></li>')
    return f"<ul>{''.join(items)}</ul>"
