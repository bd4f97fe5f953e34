"""The guard: nobody without login or account, no form from elsewhere, headers on everything."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import select

from chengxin import yamlfile
from chengxin.ledger.acts import Act
from chengxin.settings import House
from chengxin.warn.words import district_of, load
from chengxin.web import AUDITOR_PATH
from chengxin.web.auditor.app import app
from chengxin.web.auditor.guard import form_token
from chengxin.web.auditor.office import PER_MINUTE, Office
from chengxin.web.auditor.words import CODES, FOLDER, codes, english
from chengxin.web.gate import Gate
from tests.web.auditor.conftest import LOGIN, Site, identify


def _routes(house: House) -> list[tuple[str, str]]:
    found = [
        (method, route.path)
        for route in app(house, identify, login_url=LOGIN).routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    ]
    assert len(found) > 3
    return found


def test_no_route_without_login(site: Site, house: House) -> None:
    for method, path in _routes(house):
        answer = site.client.request(method, AUDITOR_PATH + path, headers={"content-length": "0"})
        if path.startswith("/api/"):
            assert answer.status_code == 401, (method, path)
        else:
            assert answer.status_code == 303, (method, path)
            assert answer.headers["location"].startswith(f"{LOGIN}?next=/credit"), (method, path)


def test_no_route_for_a_name_that_the_district_does_not_know(site: Site, house: House) -> None:
    stranger = site.as_("stranger")
    for method, path in _routes(house):
        answer = stranger.client.request(
            method, AUDITOR_PATH + path, headers={"x-test-login": "stranger", "content-length": "0"}
        )
        assert answer.status_code == 403, (method, path)


def test_no_form_from_elsewhere(site: Site, house: House) -> None:
    auditor = site.as_("auditor")
    posts = [path for method, path in _routes(house) if method == "POST"]
    assert posts
    for path in posts:
        headers = {"x-test-login": "auditor"}
        without = auditor.client.post(AUDITOR_PATH + path, data={"usual": "年度审计"}, headers=headers)
        assert without.status_code == 403, path
        foreign = auditor.client.post(
            AUDITOR_PATH + path,
            data={"form_token": auditor.form_token("/purpose")},
            headers={**headers, "sec-fetch-site": "cross-site"},
        )
        assert foreign.status_code == 403, path


def test_a_form_of_somebody_else_or_of_long_ago_is_none(site: Site, house: House) -> None:
    auditor = site.as_("auditor")
    here = Office(house, LOGIN)
    here._root = b"k" * 40
    day = house.clock().date()
    for token, status in (
        (form_token(here, "czj", day), 403),
        (form_token(here, "auditor", day - timedelta(days=2)), 403),
        (form_token(here, "auditor", day - timedelta(days=1)), 303),
    ):
        fields = {"form_token": token, "usual": "年度审计"}
        answer = auditor.client.post(f"{AUDITOR_PATH}/purpose", data=fields, headers={"x-test-login": "auditor"})
        assert answer.status_code == status


def test_headers_stand_on_everything(site: Site) -> None:
    auditor = site.as_("auditor")
    for answer in (
        auditor.get("/today"),
        auditor.get("/nowhere"),
        auditor.get("/static/pages.css"),
        site.get("/today"),
    ):
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_too_much_is_too_much(site: Site) -> None:
    auditor = site.as_("auditor")
    answer = auditor.client.post(f"{AUDITOR_PATH}/purpose", content=b"x" * 70_000, headers={"x-test-login": "auditor"})
    assert answer.status_code == 413
    # Time stands still: what a slow machine takes for so many requests refills nothing.
    site.office.gate = Gate(PER_MINUTE, clock=lambda: 0.0)
    statuses = [auditor.get("/purpose").status_code for _ in range(PER_MINUTE + 2)]
    assert statuses == [200] * PER_MINUTE + [429] * 2


@pytest.mark.parametrize(
    "back", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "javascript:1"]
)
def test_a_purpose_leads_back_to_our_own_pages_only(site: Site, back: str) -> None:
    answer = site.as_("auditor").post("/purpose", {"usual": "年度审计", "back": back}, form_page="/purpose")
    assert answer.headers["location"] == "/credit/today"


def test_a_purpose_goes_on_record_and_is_shown(site: Site, house: House) -> None:
    auditor = site.as_("auditor")
    assert "代码已遮盖" in auditor.get("/today").text
    auditor.purpose("投诉、异议核查")
    assert "查看目的：投诉、异议核查" in auditor.get("/today").text
    with house.ledger.begin() as session:
        assert [(act.actor, act.kind) for act in session.scalars(select(Act))] == [("auditor", "access.purpose")]
    # The cookie is the auditor's: with another login it is nothing.
    auditor.login = "czj"
    assert "查看目的" not in auditor.get("/today").text


def test_a_partner_sees_the_look_up_alone(site: Site, house: House) -> None:
    bank = site.as_("bank")
    for method, path in _routes(house):
        if method == "GET" and path != "/" and not path.startswith(("/look-up", "/api/v1/look-up")):
            assert bank.get(path).status_code == 403, path


def test_english(site: Site) -> None:
    auditor = site.as_("auditor")
    page = auditor.get("/today?lang=en")
    assert '<html lang="en">' in page.text
    assert "Matters" in page.text
    # The choice stays.
    assert "Matters" in auditor.get("/today").text
    assert "事项" in auditor.get("/today?lang=zh").text


def _said() -> set[str]:
    found: set[str] = set()
    for file in (FOLDER.parent / "templates").glob("*.j2"):
        found |= set(re.findall(r"""\bt\(\s*["']([^"']+)["']""", file.read_text("utf-8")))
    return {words for words in found if re.search("[\u4e00-\u9fff]", words)}


def test_every_word_of_every_template_has_its_english() -> None:
    said = _said()
    assert len(said) > 10
    groups = {key.split(" ")[0] for key in codes()}
    assert sorted(words for words in said if words.endswith(" ") and words.strip() not in groups) == []
    assert sorted(words for words in said - set(english()) if not words.endswith(" ")) == []


def test_what_the_policy_and_the_mails_call_things_has_its_english(house: House) -> None:
    words = load(house, district_of(house))
    called = {*words.effects.values(), *words.mail.source_states.values(), *words.mail.causes.values()}
    assert sorted(called - set(english())) == []
    assert {f"邮件状态 {state}" for state in words.mail.message_states} <= set(codes())
    assert {f"采集状态 {state}" for state in words.mail.harvest_states} <= set(codes())


def test_no_word_stands_twice() -> None:
    seen: dict[str, str] = {}
    for file in sorted(FOLDER.glob("*.yml")):
        for word in yamlfile.read(file) if file.name != CODES else ():
            assert word not in seen, f"{word}: {seen[word]} and {file.name}"
            seen[word] = file.name
