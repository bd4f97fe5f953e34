"""Debian's Chromium, and what every page and mail must stand in it: axe-core's rules, and no scrolling to the side.

Service tests only. `looked_at` is the one check; what a page says is its own test's affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

DESKTOP, PHONE = 1000, 400
"""Widths in CSS pixels."""
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a network of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def looked_at(page: Page, *, ignored: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with a page at its present width: axe-core's findings, and whether it scrolls to the side.

    Args:
        page: as it is shown now.
        ignored: rules of axe-core that do not hold here → why.
    """
    options: dict[str, Any] = {"runOnly": {"type": "tag", "values": _TAGS}, "resultTypes": ["violations"]}
    if ignored:
        options["rules"] = {rule: {"enabled": False} for rule in ignored}
    found = Axe().run(page, options=options).response["violations"]
    faults = [f"{each['id']}: {each['help']} ({node['html'][:120]})" for each in found for node in each["nodes"]]
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return faults + ([f"scrolls {wide} px to the side"] if wide > 0 else [])
