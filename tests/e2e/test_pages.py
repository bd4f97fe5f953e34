"""What people open, in a real Airflow after a whole day: the answering page, and the auditor's pages in a browser.

`CHENGXIN_PICTURES=folder make test-services` keeps the pictures, for somebody to look at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page

from chengxin.ledger import answers
from chengxin.ledger.models import Harvest

from ..browser import DESKTOP, PHONE, chromium, looked_at
from .days import Played

pytestmark = pytest.mark.services

WIDE = 1180
CODE = re.compile(r"\b9[1-3]\d{6}[0-9A-Z]{10}\b")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def _in(browser: Browser, played: Played, login: str, at: str = "/credit/today") -> Page:
    """A browser in which an account has logged in by Airflow's own form, sent there by the page it wanted."""
    page = browser.new_context(viewport={"width": WIDE, "height": 900}).new_page()
    page.goto(played.day.airflow.url + at)
    page.wait_for_url("**/auth/login**")
    page.get_by_label("Username").fill(login)
    page.locator("input[type=password]").fill(played.day.airflow.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{at}")
    return page


def _seen(page: Page, name: str) -> None:
    for width in (WIDE, PHONE):
        page.set_viewport_size({"width": width, "height": 900})
        if folder := os.environ.get("CHENGXIN_PICTURES"):
            page.screenshot(path=Path(folder) / f"pages-{name}-{width}.png", full_page=True)
        assert looked_at(page) == [], (name, width)
    page.set_viewport_size({"width": WIDE, "height": 900})


def _go(page: Page, played: Played, path: str) -> int:
    answer = page.goto(f"{played.day.airflow.url}/credit{path}")
    assert answer is not None
    return answer.status


def _link(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return next((line for line in part.get_content().splitlines() if "/answers/" in line), "")


def test_every_departments_mail_can_be_answered(played: Played) -> None:
    links = [_link(mail) for mail in played.mails if "运行" not in str(mail["Subject"])]
    assert all(link.startswith(f"{played.day.airflow.url}/answers/") for link in links)
    assert len(set(links)) == len(links) == len(played.mails) - 1


def test_answered_without_a_login(played: Played) -> None:
    link = next(filter(None, map(_link, played.mails)))
    page = requests.get(link, timeout=30)
    assert page.status_code == 200
    # Airflow's own pages stay behind its login, and so do ours.
    assert requests.get(f"{played.day.airflow.url}/api/v2/dags", timeout=30).status_code == 401
    asked = requests.get(f"{played.day.airflow.url}/credit/today", timeout=30, allow_redirects=False)
    assert (asked.status_code, asked.headers["location"]) == (303, "/api/v2/auth/login?next=/credit/today")
    assert requests.get(f"{played.day.airflow.url}/credit/api/v1/days", timeout=30).status_code == 401
    assert "已办结" in page.text
    with played.day.house.ledger.begin() as session:
        assert answers.counting(session, "370112", "sandbox") == {}
    done = requests.post(link, data={"what": "handled"}, timeout=30)
    assert (done.status_code, done.url) == (200, link)
    with played.day.house.ledger.begin() as session:
        (given,) = answers.counting(session, "370112", "sandbox").values()
    assert given.what == "handled"
    assert requests.get(link[:-1] + "?", timeout=30).status_code == 404


def test_a_machine_asks_with_a_token_of_airflows(played: Played) -> None:
    airflow = played.day.airflow
    who = {"username": "auditor", "password": airflow.password}
    token = requests.post(f"{airflow.url}/auth/token", json=who, timeout=30).json()["access_token"]
    asked = {"Authorization": f"Bearer {token}"}
    (day,) = requests.get(f"{airflow.url}/credit/api/v1/days", headers=asked, timeout=30).json()["items"]
    assert day["as_of"] == "2026-06-15"
    # Another test may have harvested some sources once more: the newest harvest of each counts.
    with played.day.house.ledger.begin() as session:
        newest = {one.source: one.harvested for one in session.query(Harvest).order_by(Harvest.id)}
    assert set(newest) == set(played.summary.sources)
    assert day["sums"]["harvested"] == sum(newest.values())
    # Airflow itself tells a token that it cannot read from none at all.
    forged = requests.get(f"{airflow.url}/credit/api/v1/days", headers={"Authorization": "Bearer x"}, timeout=30)
    assert (forged.status_code, set(forged.json())) == (403, {"error"})


def test_the_auditor_goes_from_a_number_to_its_rows(played: Played, browser: Browser) -> None:
    page = _in(browser, played, "auditor")
    assert "2026年6月15日" in page.inner_text("h1")
    _seen(page, "today")
    # Today → a number → subjects, masked → one subject.
    page.get_by_role("link", name=re.compile(r"^[\d,]+$")).first.click()
    assert "未报送" in page.inner_text("h1")
    assert "*" in page.locator("tbody code").first.inner_text()
    _seen(page, "filings")
    page.locator("tbody a").first.click()
    _seen(page, "subject-masked")
    assert not CODE.search(page.inner_text("body"))
    for path, name, shown in (
        ("/runs", "runs", "2026-06-15"),
        ("/runs/2026-06-15", "run", "admin"),
        ("/sources", "sources", "年度报告基本信息"),
        ("/sources/annual_reports", "source", "退回的记录"),
        ("/mails", "mails", "年报倒计时"),
        ("/policy", "policy", "二（二）2"),
        ("/acts", "acts", "链首"),
        ("/matters", "matters", "政府采购"),
        ("/api", "api", "/api/v1/days"),
    ):
        assert _go(page, played, path) == 200, path
        assert shown in page.inner_text("main"), path
        _seen(page, name)
        assert not CODE.search(page.inner_text("body")), path


def test_every_link_of_the_auditors_pages_leads_somewhere(played: Played, browser: Browser) -> None:
    page = _in(browser, played, "auditor")
    base = f"{played.day.airflow.url}/credit"
    seen: dict[str, int] = {}
    waiting = [
        f"{base}/{path}" for path in ("today", "runs", "runs/2026-06-15", "sources", "mails", "matters", "policy")
    ]
    # One of each kind of address: ids and queries left out.
    while waiting:
        address = waiting.pop()
        kind = re.sub(r"\?.*|#.*", "", address)
        kind = re.sub(r"/(?=[^/]*\d)[^/]+", "/#", kind.removeprefix(base))
        if kind in seen or not address.startswith(base):
            continue
        answer = page.request.get(address)
        seen[kind] = answer.status
        if "html" in answer.headers["content-type"] and "/docs/" not in kind:
            waiting += [
                requests.compat.urljoin(address, link.replace("&amp;", "&"))
                for link in re.findall(r'href="([^"#][^"]*)"', answer.text())
            ]
    assert len(seen) > 15
    assert {kind: status for kind, status in seen.items() if status != 200} == {}


def test_a_stated_purpose_opens_codes_and_mails_and_is_on_record(played: Played, browser: Browser) -> None:
    page = _in(browser, played, "auditor", "/credit/mails")
    page.locator("tbody a").first.click()
    page.get_by_role("link", name="说明查看目的后显示").last.click()
    page.get_by_label("年度审计").check()
    _seen(page, "purpose")
    page.get_by_role("button", name="记录并继续").click()
    assert "查看目的：年度审计" in page.inner_text(".purpose")
    # The mail as it was sent, in a frame that can do nothing.
    frame = page.frame_locator("iframe.mail")
    assert frame.locator("body").inner_text().strip()
    _seen(page, "mail")
    _go(page, played, "/acts?kind=access.")
    assert "说明查看目的" in page.inner_text("main")
    assert "年度审计" in page.inner_text("main")


def test_a_department_sees_its_own(played: Played, browser: Browser) -> None:
    pages = {login: _in(browser, played, login) for login in ("czj", "zjj")}
    advices: dict[str, set[str]] = {}
    for login, page in pages.items():
        menu = page.locator("nav a").all_inner_texts()
        assert "事项" in menu
        assert not {"运行", "来源", "记录"} & set(menu)
        for path in ("/runs", "/runs/2026-06-15", "/sources", "/acts", "/purpose", "/api/v1/days"):
            assert _go(page, played, path) == 403, path
        assert _go(page, played, "/matters") == 200
        _seen(page, f"matters-{login}")
        matters = {link.get_attribute("href") for link in page.locator("tbody a[href*='/matters/']").all()}
        assert matters
        _go(page, played, f"/{next(iter(sorted(filter(None, matters)))).split('/credit/')[1]}")
        _seen(page, f"matter-{login}")
        advices[login] = matters
    assert not advices["czj"] & advices["zjj"]
    for login, other in (("czj", "zjj"), ("zjj", "czj")):
        for address in sorted(filter(None, advices[other])):
            assert _go(pages[login], played, f"/{address.split('/credit/')[1]}") == 404


def test_an_officer_decides_and_the_auditor_sees_it(played: Played, browser: Browser) -> None:
    page = _in(browser, played, "czj", "/credit/matters")
    page.locator("tbody a[href*='/matters/']").first.click()
    matter = page.url.split("/credit")[1].split("?")[0]

    def decide(reason: str) -> None:
        if not page.locator("details[open] form").count():
            page.get_by_text("登记决定", exact=True).first.click()
        form = page.locator("details[open] form").first
        advised = form.locator("input[name=advised]").get_attribute("value")
        against = "EXCLUDE" if advised != "EXCLUDE" else "PASS"
        form.locator(f"input[name=decision][value={against}]").check()
        form.locator("input[name=weighed][value=reference]").check()
        form.locator("textarea[name=reason]").fill(reason)
        form.get_by_role("button").click()

    decide("")
    assert "没有登记" in page.inner_text("main"), "going against the advice needs a reason"
    _seen(page, "decision-refused")
    decide("评审委员会复核后另有依据")
    assert "评审委员会复核后另有依据" in page.inner_text("main")
    assert "样例承办员甲" in page.inner_text("main")
    _seen(page, "decision-made")
    auditor = _in(browser, played, "auditor")
    auditor.goto(f"{played.day.airflow.url}/credit/purpose?back={matter}")
    auditor.get_by_label("抽查核查意见").check()
    auditor.get_by_role("button", name="记录并继续").click()
    assert "评审委员会复核后另有依据" in auditor.inner_text("main")
    assert not auditor.get_by_text("登记决定", exact=True).count()
    _go(auditor, played, "/acts?kind=decision.")
    assert "officer/czj" in auditor.inner_text("main")


def test_a_bank_looks_up_and_nothing_else(played: Played, browser: Browser) -> None:
    page = _in(browser, played, "bank", "/credit/look-up")
    assert page.locator("nav a").all_inner_texts() == ["查询"]
    _seen(page, "look-up")
    for path in ("/today", "/matters", "/subjects", "/policy", "/api"):
        assert _go(page, played, path) == 403, path


def test_by_keyboard_alone_and_in_english(played: Played, browser: Browser) -> None:
    page = _in(browser, played, "auditor")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = page.evaluate("document.querySelector('main').contains(document.activeElement)")
    assert inside, "the skip link leads past the menu"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.get_by_role("link", name="English").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("html[lang=en]")
    assert "Matters" in page.inner_text("nav")
    _seen(page, "today-english")


def test_in_airflows_own_navigation(played: Played, browser: Browser) -> None:
    page = _in(browser, played, "auditor", "/credit/today")
    page.goto(played.day.airflow.url)
    page.get_by_role("link", name="诚信").first.wait_for(timeout=60_000)
    page.goto(f"{played.day.airflow.url}/plugin/credit")
    frame = page.frame_locator("iframe")
    frame.locator("h1").wait_for(timeout=60_000)
    assert "今日" in frame.locator("h1").inner_text()
    frame.get_by_role("link", name="政策").click()
    frame.locator("#clauses").wait_for()
    if folder := os.environ.get("CHENGXIN_PICTURES"):
        page.set_viewport_size({"width": DESKTOP + 400, "height": 900})
        page.screenshot(path=Path(folder) / "pages-in-airflow.png")
