"""Every kind of mail in a browser, at the width of a desktop and of a phone.

`CHENGXIN_PICTURES=folder make test-services` keeps the pictures, for somebody to look at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from ..browser import DESKTOP, PHONE, chromium, looked_at
from .conftest import body
from .gallery import gallery

pytestmark = pytest.mark.services

KINDS = (
    "unit", "head", "regulator", "changes", "last day", "overdue", "summary", "cleared", "stale", "advice", "one case",
    "changed advice", "supervision", "report", "report of a bad day", "watch",
)  # fmt: skip


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EmailMessage]:
    return gallery(tmp_path_factory.mktemp("gallery") / "var")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def test_every_kind_is_there(mails: dict[str, EmailMessage]) -> None:
    assert set(mails) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_is_fit_to_be_seen(mails: dict[str, EmailMessage], browser: Browser, kind: str) -> None:
    html = body(mails[kind], "html")
    for width in (DESKTOP, PHONE):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.set_content(html)
        _kept(page, f"{kind}-{width}")
        # A mail is a part of the reader's page, which has the landmarks.
        faults = looked_at(page, ignored={"region": "mail", "landmark-one-main": "mail"})
        page.close()
        assert faults == [], (kind, width)


def test_the_look_finds_what_is_wrong(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": PHONE, "height": 800})
    page.set_content(
        "<html><body><h1>x</h1><p style='color:#999;background:#fff;width:600px'>pale</p>"
        "<table><tr><th scope='nonsense'>a</th></tr><tr><td>b</td></tr></table><button></button></body></html>"
    )
    found = "\n".join(looked_at(page))
    page.close()
    for fault in ("color-contrast", "html-has-lang", "button-name", "scope-attr-valid", "scrolls"):
        assert fault in found, (fault, found)


def test_without_its_style_a_mail_still_fits_a_phone(mails: dict[str, EmailMessage], browser: Browser) -> None:
    """Some readers drop the style element: nothing may be lost to the right."""
    page = browser.new_page(viewport={"width": PHONE, "height": 800})
    for kind, mail in mails.items():
        page.set_content(body(mail, "html"))
        page.evaluate("document.querySelectorAll('style').forEach(each => each.remove())")
        wide = page.evaluate("document.documentElement.scrollWidth")
        # Tables of numbers may be wider then, most of all the operators' of eight columns; readers shrink them.
        assert wide <= PHONE * (1.5 if kind.startswith("report") else 1.35), (kind, wide)
    page.close()


def _kept(page: Page, name: str) -> None:
    folder = os.environ.get("CHENGXIN_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name.replace(' ', '-')}.png", full_page=True)
