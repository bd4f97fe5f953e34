"""The look-up of banks and partners: page and address for machines, one refusal, on record, limited."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from httpx import Response

from chengxin.ledger import access
from tests.factlake import codes
from tests.web.auditor.conftest import Site
from tests.web.auditor.played import FIRST, NAMES, THIRD, Played

(UNKNOWN,) = codes(77)


def asked(site: Site, code: str, **fields: str) -> Response:
    """What the form answers."""
    return site.post("/look-up", {"uscc": code, "usual": "信贷审查", **fields}, form_page="/look-up")


def by_machine(site: Site, body: Any, **headers: str) -> Response:
    """What a machine is answered."""
    sent = {"x-test-login": site.login or "", "authorization": "Bearer t", "content-type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return site.client.post("/credit/api/v1/look-up", content=content, headers={**sent, **headers})


def test_with_consent_the_public_status_is_told(played: Played) -> None:
    answer = asked(played.site.as_("bank"), FIRST)
    assert answer.status_code == 200
    assert NAMES[FIRST] in answer.text
    assert FIRST in answer.text
    assert "存续" in answer.text
    # A list that is not public by law is not told.
    assert "黑名单" not in answer.text


@pytest.mark.parametrize("code", [THIRD, UNKNOWN, "x", "", "<b>", "9" * 64])
def test_one_refusal_whether_or_not_there_is_such_a_subject(played: Played, code: str) -> None:
    page = asked(played.site.as_("bank"), code)
    assert page.status_code == 403
    refusal = re.findall(r'role="status">([^<]+)<', page.text)
    assert refusal == ["不能答复：没有该主体对贵单位、就这一用途的有效同意，或者没有这个主体。"]
    machine = by_machine(played.site.as_("bank"), {"uscc": code, "purpose": "信贷审查"})
    assert (machine.status_code, machine.text) == (403, '{"outcome":"refused"}')


def test_refusals_are_the_same_bytes(played: Played) -> None:
    bank = played.site.as_("bank")
    token = bank.form_token("/look-up")
    pages = {
        bank.client.post(
            "/credit/look-up",
            data={"form_token": token, "uscc": code, "usual": "信贷审查"},
            headers={"x-test-login": "bank"},
        ).content
        for code in (THIRD, UNKNOWN, "x")
    }
    assert len(pages) == 1


def test_a_consent_is_for_whom_it_names(played: Played) -> None:
    assert asked(played.site.as_("partner"), FIRST).status_code == 403


def test_the_machine_is_told_the_same(played: Played) -> None:
    answer = by_machine(played.site.as_("bank"), {"uscc": FIRST, "purpose": "信贷审查"})
    assert answer.status_code == 200
    told = answer.json()
    assert told["outcome"] == "shown"
    assert (told["uscc"], told["name"], told["state"]) == (FIRST, NAMES[FIRST], "存续")
    assert told["lists"] == []
    assert told["annual_report"] == {"year": 2025, "status": "not_filed"}
    assert told["credit_report"] is False


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", {"uscc": FIRST}, {"uscc": FIRST, "purpose": " "}, {"uscc": FIRST, "purpose": "x", "on": "2020"},
     {"uscc": "9" * 65, "purpose": "x"}, {"uscc": FIRST, "purpose": "x" * 129}],
)  # fmt: skip
def test_what_is_malformed_is_no_question(played: Played, body: Any) -> None:
    answer = by_machine(played.site.as_("bank"), body)
    assert (answer.status_code, answer.json()) == (422, {"error": "malformed request"})
    with played.house.ledger.read() as session:
        assert access.looks(session, what="lookup") == []


def test_a_form_without_a_purpose_is_shown_again(played: Played) -> None:
    answer = asked(played.site.as_("bank"), FIRST, usual="")
    assert answer.status_code == 422
    assert "请填写用途" in answer.text
    assert NAMES[FIRST] not in answer.text


@pytest.mark.parametrize("login", ["auditor", "admin", "czj", None])
def test_nobody_but_partners(played: Played, login: str | None) -> None:
    site = played.site.as_(login)
    refused = 303 if login is None else 403
    assert site.get("/look-up").status_code == refused
    answer = by_machine(site, {"uscc": FIRST, "purpose": "信贷审查"})
    assert answer.status_code == (401 if login is None else 403)
    assert "outcome" not in answer.text


def test_a_cookie_alone_is_no_machine(played: Played) -> None:
    bank = played.site.as_("bank")
    answer = by_machine(bank, {"uscc": FIRST, "purpose": "信贷审查"}, authorization="")
    assert answer.status_code == 403
    too_long = by_machine(bank, b"x" * 70_000)
    assert too_long.status_code == 413


def test_each_call_is_on_record_and_limited(played: Played) -> None:
    bank = played.site.as_("bank")
    asked(bank, FIRST)
    statuses = [by_machine(bank, {"uscc": THIRD, "purpose": "P-1"}).status_code for _ in range(11)]
    assert statuses.count(429) == 2
    assert asked(bank, FIRST).status_code == 429
    with played.house.ledger.read() as session:
        looks = access.looks(session, account="bank")[::-1]
    assert (looks[0].outcome, looks[0].purpose, looks[0].route) == ("shown", "信贷审查", "/credit/look-up")
    assert looks[0].subject_sha256 == access.subject_hash(played.house, FIRST)
    assert (looks[1].outcome, looks[1].purpose, looks[1].route) == ("refused", "P-1", "/credit/api/v1/look-up")
    assert [look.outcome for look in looks[-3:]] == ["limited"] * 3


def test_the_description_of_the_api_holds_it(played: Played) -> None:
    described = played.site.as_("auditor").get("/api/v1/openapi.json").json()
    operation = described["paths"]["/api/v1/look-up"]["post"]
    assert set(operation["responses"]) >= {"200", "401", "403", "422", "429"}
    assert operation["requestBody"]["content"]["application/json"]["schema"]["required"] == ["uscc", "purpose"]
