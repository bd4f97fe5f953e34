"""Mounted anywhere, the pages stay within their mount: links, forms, redirects, cookies, and what is signed."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from chengxin.ledger import access
from chengxin.settings import House
from chengxin.web.auditor.app import app
from chengxin.web.auditor.office import Office
from tests.web.auditor.conftest import LOGIN, LOGIN_HEADER, identify, with_keys
from tests.web.auditor.played import Played

MOUNT = "/credit/370112"
START = ("/today", "/matters", "/subjects", "/runs", "/mails", "/sources", "/policy", "/acts", "/api", "/purpose")
ADDRESS = re.compile(r"""(?:href|action|src)="([^"#][^"]*)\"""")


def _client(house: House) -> TestClient:
    outer = FastAPI()
    outer.mount(MOUNT, app(house, identify, login_url=LOGIN))
    return TestClient(outer, follow_redirects=False)


@pytest.fixture(scope="module")
def client(played_once: Played) -> TestClient:
    return _client(played_once.house)


def test_no_address_leaves_the_mount(client: TestClient) -> None:
    waiting, seen = [MOUNT + path for path in START], set()
    while waiting and len(seen) < 80:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        answer = client.get(path, headers={LOGIN_HEADER: "auditor"})
        if answer.status_code != 200 or not answer.headers["content-type"].startswith("text/html"):
            continue
        for found in ADDRESS.findall(answer.text):
            address = urlsplit(found.replace("&amp;", "&"))
            if not address.path:
                continue
            assert address.path.startswith(f"{MOUNT}/"), f"{found} on {path}"
            waiting.append(address.path)
    kinds = {path.removeprefix(MOUNT).split("/")[1] for path in seen}
    assert {"advice", "matters", "subjects", "runs", "harvests", "sources", "static"} <= kinds


def test_redirects_stay_within_the_mount(client: TestClient, played_once: Played) -> None:
    auditor = {LOGIN_HEADER: "auditor"}
    assert client.get(f"{MOUNT}/today").headers["location"] == f"{LOGIN}?next={MOUNT}/today"
    assert client.post(f"{MOUNT}/matters").headers["location"] == f"{LOGIN}?next={MOUNT}/today"
    assert client.get(f"{MOUNT}/", headers=auditor).headers["location"] == f"{MOUNT}/today"
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', client.get(f"{MOUNT}/purpose", headers=auditor).text)
    assert token
    form = {"form_token": token.group(1), "decision": "RESTRICT", "usual": "年度审计", "back": "/acts"}
    for path, to in (
        ("/matters", "/matters?decision=RESTRICT"),
        (f"/matters/{played_once.matters['M1']}/bundle", f"/purpose?back=/matters/{played_once.matters['M1']}"),
        ("/purpose", "/acts"),
    ):
        answer = client.post(MOUNT + path, data=form, headers=auditor)
        assert (answer.status_code, answer.headers["location"]) == (303, MOUNT + to), path
    # The last answer brought the cookie of the purpose: it is no other district's to be sent.
    assert f"Path={MOUNT};" in answer.headers["set-cookie"]


def test_a_look_is_on_record_with_its_mount(played: Played) -> None:
    advice = played.advice["M1/1"].advice_id
    assert _client(played.house).get(f"{MOUNT}/advice/{advice}", headers={LOGIN_HEADER: "auditor"}).status_code == 200
    with played.house.ledger.read() as session:
        assert access.looks(session)[0].route == f"{MOUNT}/advice/{{advice_id}}"


def test_what_one_district_signed_is_nothing_to_another(house: House) -> None:
    keyed = replace(house, connections=with_keys)
    here, there = Office(keyed, LOGIN), Office(replace(keyed, district="370113"), LOGIN)
    assert here.secret("purpose") == Office(keyed, LOGIN).secret("purpose")
    assert len({here.secret("purpose"), here.secret("form"), there.secret("purpose"), there.secret("form")}) == 4
