"""The answering page in a browser, in every state, at the width of a desktop and of a phone; and a desk that uses it.

`CHENGXIN_PICTURES=folder make test-services` keeps the pictures, for somebody to look at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from chengxin.settings import House
from chengxin.web import answers as pages

from ..browser import DESKTOP, PHONE, chromium, looked_at
from .test_answers import Site
from .test_answers import office as office
from .test_answers import site as site

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def _seen(page: Page, name: str) -> None:
    for width in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 800})
        folder = os.environ.get("CHENGXIN_PICTURES")
        if folder:
            page.screenshot(path=Path(folder) / f"answers-{name}-{width}.png", full_page=True)
        assert looked_at(page) == [], (name, width)


def test_every_state_is_fit_to_be_seen(site: Site, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(site.url(site.token()))
    _seen(page, "open")
    page.get_by_label("说明（可不填").fill("已电话通知，两户本周报送")
    page.get_by_role("button", name="已知悉").click()
    assert "答复：已知悉，正在办理（已电话通知，两户本周报送）" in page.inner_text("ul.given")
    _seen(page, "answered")
    # The browser itself keeps a snooze within its bounds; what gets past it is refused in words.
    page.get_by_label("原因（必填）").fill("停产检修")
    assert page.get_by_label("暂缓到哪天").get_attribute("max") == "2026-06-30"
    page.evaluate("document.getElementById('until').removeAttribute('max')")
    page.get_by_label("暂缓到哪天").fill("2026-07-15")
    page.get_by_role("button", name="暂缓提醒").click()
    assert page.get_by_role("alert").inner_text() == "暂缓的截止日期须不早于今天，且不晚于6月30日。"
    _seen(page, "fault")
    page.goto(site.url("x"))
    _seen(page, "refused")
    for _ in range(pages.PER_MINUTE + 5):
        page.request.get(site.url("x"))
    page.goto(site.url(site.token()))
    assert "一分钟后再试" in page.inner_text("main")
    _seen(page, "busy")
    page.close()
    assert [each.what for each in site.given()] == ["acknowledged"]


def test_by_keyboard_alone(office: House, browser: Browser) -> None:
    with Site(office) as site:
        page = browser.new_page()
        page.goto(site.url(site.token()))
        page.keyboard.press("Tab")
        page.keyboard.type("已转村居")
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        page.wait_for_selector("ul.given")
        page.close()
        assert [(each.what, each.reason) for each in site.given()] == [("acknowledged", "已转村居")]
