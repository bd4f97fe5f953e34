"""The answering page over a real socket: only a button acts, and only with a token of ours."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
import requests
import uvicorn
from sqlalchemy import select

from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.ledger import answers, outbox
from chengxin.ledger.acts import Act
from chengxin.ledger.answers import Given
from chengxin.ledger.messages import Message
from chengxin.ledger.outbox import Draft
from chengxin.settings import House
from chengxin.warn.links import VALID_DAYS, Signer
from chengxin.web import answers as pages

DAY = date(2026, 6, 15)
KEY = "k" * 40


def _draft(number: int, **more: Any) -> Draft:
    base: dict[str, Any] = {
        "key": f"{number:064x}", "mode": "production", "district": "370112", "department": "zjj",
        "recipient": "zjj@licheng.example", "role": "unit", "kind": "countdown", "matter": "annual_report/2025",
        "stage": "T-15", "fingerprint": "f" * 64, "as_of": DAY, "subject": "【年报公示】尚有<3>户未报送",
        "header_id": "<a@b>", "thread": "<t@b>", "content": b"bytes", "detail": {"deadline": "2026-06-30"},
    }  # fmt: skip
    # The first half of a key names the message.
    return Draft(**{**base, "key": f"{number:032x}" + "0" * 32, **more})


@pytest.fixture
def office(house: House) -> House:
    """A house with three messages: of 区住建局, of another desk, and of a rehearsal."""
    there = replace(
        house, mode="production", connections=lambda name: Connection(name, "generic", password=f"{KEY} {'o' * 40}")
    )
    with there.ledger.begin() as session:
        outbox.put(
            session, there.clock(),
            [_draft(1), _draft(2, department="czj"), _draft(3, mode="rehearsal"), _draft(4, detail={})],
        )  # fmt: skip
    return there


class Site:
    """The page behind a real socket."""

    def __init__(self, house: House) -> None:
        self.house = house
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = uvicorn.Config(pages.standalone(house), port=self.port, log_level="error", access_log=False)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> Site:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    def url(self, token: str) -> str:
        return f"http://127.0.0.1:{self.port}/answers/{token}"

    def token(self, number: int = 1, department: str = "zjj", mode: str = "production", day: date = DAY) -> str:
        return Signer([KEY]).token(mode, f"{number:032x}" + "0" * 32, department, day)

    def post(self, token: str, **form: str) -> requests.Response:
        return requests.post(self.url(token), data=form, timeout=10)

    def given(self, number: int = 1) -> list[Given]:
        with self.house.ledger.begin() as session:
            key = f"{number:032x}" + "0" * 32
            return answers.of_message(session, session.scalars(select(Message.id).where(Message.key == key)).one())


@pytest.fixture
def site(office: House) -> Iterator[Site]:
    """The page, open."""
    with Site(office) as running:
        yield running


def test_opening_changes_nothing(site: Site) -> None:
    for call in (requests.get, requests.head):
        assert call(site.url(site.token()), timeout=10).status_code == 200
    with site.house.ledger.begin() as session:
        assert {act.kind for act in session.scalars(select(Act))} == {"message.planned"}
    page = requests.get(site.url(site.token()), timeout=10).text
    assert "尚有&lt;3&gt;户未报送" in page
    assert "区住建局" in page
    assert '<html lang="zh-CN">' in page


@pytest.mark.parametrize("what", ["acknowledged", "handled", "wrong_desk"])
def test_a_button_is_an_answer(site: Site, what: str) -> None:
    done = site.post(site.token(), what=what, reason="  已\n通知 <b> ")
    assert done.status_code == 200
    assert done.url == site.url(site.token())
    (given,) = site.given()
    assert (given.what, given.reason, given.until) == (what, "已 通知 <b>", None)
    assert "已 通知 <b>" in unescape(done.text)
    assert "<b>" not in done.text
    # Pressed twice, or the page sent again: one answer.
    site.post(site.token(), what=what, reason="已 通知 <b>")
    assert len(site.given()) == 1


def test_a_later_answer_counts(site: Site) -> None:
    site.post(site.token(), what="acknowledged")
    site.post(site.token(), what="handled")
    assert [given.what for given in site.given()] == ["acknowledged", "handled"]


def test_a_snooze_needs_a_reason_and_ends_by_the_deadline(site: Site) -> None:
    token = site.token()
    for form in (
        {"until": "2026-06-20"},
        {"until": "2026-06-20", "reason": " \n"},
        {"reason": "停产"},
        {"reason": "停产", "until": "soon"},
        {"reason": "停产", "until": "2026-07-01"},
        {"reason": "停产", "until": "2026-06-14"},
        {"reason": "长" * 201, "until": "2026-06-20"},
    ):
        refused = site.post(token, what="snoozed", **form)
        assert refused.status_code == 422, form
        assert 'role="alert"' in refused.text
    assert site.given() == []
    assert site.post(token, what="snoozed", reason="停产", until="2026-06-30").status_code == 200
    assert site.given()[0].until == date(2026, 6, 30)


def test_without_a_deadline_a_snooze_is_bounded_too(site: Site) -> None:
    last = DAY + timedelta(days=pages.LONGEST_SNOOZE)
    token = site.token(4)
    assert site.post(token, what="snoozed", reason="停产", until=str(last + timedelta(days=1))).status_code == 422
    assert site.post(token, what="snoozed", reason="停产", until=str(last)).status_code == 200


def test_refused_all_in_the_same_way(site: Site) -> None:
    """Tampered, foreign, expired, of a rehearsal, of nothing: one status, one text."""
    good = site.token()
    tokens = [
        good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
        good[1:],
        Signer(["x" * 40]).token("production", f"{1:032x}" + "0" * 32, "zjj", DAY),
        site.token(department="czj"),
        site.token(department="unknown"),
        site.token(99),
        site.token(3, mode="rehearsal"),
        site.token(mode="sandbox"),
        site.token(day=DAY - timedelta(days=VALID_DAYS + 1)),
        "x",
        "%00",
    ]
    bodies = set()
    for token in tokens:
        for answer in (requests.get(site.url(token), timeout=10), site.post(token, what="acknowledged")):
            assert answer.status_code == 404, token
            bodies.add(answer.text)
    bodies.add(requests.get(site.url(""), timeout=10).text)
    assert len(bodies) == 1
    assert site.given() == site.given(2) == []


def test_the_older_key_still_opens(site: Site) -> None:
    older = Signer(["o" * 40]).token("production", f"{1:032x}" + "0" * 32, "zjj", DAY)
    assert requests.get(site.url(older), timeout=10).status_code == 200


def test_forms_that_are_none(site: Site) -> None:
    url = site.url(site.token())
    assert site.post(site.token(), what="erase").status_code == 422
    assert site.post(site.token()).status_code == 422
    assert requests.post(url, data=b"what=acknowledged&x=" + b"y" * 9000, timeout=10).status_code == 404
    assert requests.post(url, data="what=acknowledged&reason=\xff".encode("latin-1"), timeout=10).status_code == 404
    assert requests.post(url, data="&".join("a=b" for _ in range(50)), timeout=10).status_code == 404
    assert requests.put(url, timeout=10).status_code == 405
    assert site.given() == []


def test_headers(site: Site) -> None:
    for token in (site.token(), "x"):
        headers = requests.get(site.url(token), timeout=10).headers
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    page = requests.get(site.url(site.token()), timeout=10).text
    # Nothing is fetched from anywhere, and nothing runs.
    assert not re.findall(r"<script|<link|<img|src=|https?://|javascript:", page)
    for path in ("/answers/docs", "/answers/openapi.json", "/openapi.json", "/docs"):
        assert requests.get(f"http://127.0.0.1:{site.port}{path}", timeout=10).status_code == 404


def test_too_many_requests_are_turned_away(site: Site) -> None:
    with requests.Session() as session:
        statuses = [session.get(site.url("x"), timeout=10).status_code for _ in range(pages.PER_MINUTE + 15)]
    assert statuses[: pages.PER_MINUTE] == [404] * pages.PER_MINUTE
    assert 429 in statuses[pages.PER_MINUTE :]


def test_a_sandbox_lives_in_the_days_it_plays(office: House) -> None:
    years_later = replace(office, mode="sandbox").at(lambda: office.clock() + timedelta(days=900))
    with years_later.ledger.begin() as session:
        outbox.put(session, office.clock(), [_draft(7, mode="sandbox")])
    with Site(years_later) as site:
        assert requests.get(site.url(site.token(7, mode="sandbox")), timeout=10).status_code == 200
        assert requests.get(site.url(site.token()), timeout=10).status_code == 404


def test_instants_are_beijing_time(site: Site) -> None:
    site.post(site.token(), what="handled")
    assert site.given()[0].at.tzinfo == BEIJING
