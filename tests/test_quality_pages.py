"""Data docs fetch nothing from outside, and still lead from page to page."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chengxin.quality import pages
from chengxin.quality.gate import Gate
from tests import test_quality as quality
from tests.conftest import ROOT

FETCHED = re.compile(
    r"""(?is)<(?:link|script|img|iframe|embed|object|source|form|base)\b[^>]*?\b(?:href|src|data|action)\s*=\s*["']?\s*(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The docs that Great Expectations builds of a batch with one bad row."""
    run = tmp_path_factory.mktemp("docs") / "source" / "1"
    gate = Gate(ROOT, run)
    gate.add(quality.judged("subject", quality.SUBJECT, quality.SUBJECT | {"uscc": None}))
    index = gate.close()
    assert index == run / "index.html"
    return run


def test_no_page_fetches_anything_from_outside(built: Path) -> None:
    written = [*built.rglob("*.html"), *built.rglob("*.css"), *(built / "static").resolve().rglob("*.css")]
    assert len(written) >= 4
    for page in written:
        text = page.read_text("utf-8")
        assert FETCHED.search(text) is None, page
        assert re.search(r"(?i)(url\(|@import)[^;)]*//", text) is None, page
        assert "<script" not in text, page
        if page.suffix == ".html":
            assert text.count(pages.POLICY) == 1


def test_the_index_leads_to_every_page(built: Path) -> None:
    links = re.findall(r'href="([^"]+)"', (built / "index.html").read_text("utf-8"))
    local = {link for link in links if not urlsplit(link).scheme and link.endswith(".html")}
    others = {page.relative_to(built).as_posix() for page in built.rglob("*.html")} - {"index.html"}
    assert others <= local
    assert len(others) == 2


def test_doing_it_twice_changes_nothing_that_is_fetched(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text(
        "<html><head><script src='//cdn.invalid/a.js'></script><LINK rel=stylesheet href=https://cdn.invalid/b.css>"
        "<link rel='icon' href='./static/i.ico'></head><body style=\"background: url( 'http://cdn.invalid/c.png' )\">"
        "<img alt='' src='https://cdn.invalid/d.png'><p>文</p></body></html>",
        "utf-8",
    )
    pages.close(tmp_path)
    text = page.read_text("utf-8")
    assert "cdn.invalid" not in text
    assert "./static/i.ico" in text
    assert "文" in text
