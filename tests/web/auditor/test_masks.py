"""Codes: the department in full, an auditor after stating a purpose, an operator never."""

from __future__ import annotations

import pytest

from tests.web.auditor.played import FIRST, Played

PLACES = {
    "matter": lambda played: f"/matters/{played.matters['M1']}",
    "advice": lambda played: f"/advice/{played.advice['M1/1'].advice_id}",
    "subject": lambda played: f"/subjects/{played.subjects[FIRST]}",
}


@pytest.mark.parametrize("place", PLACES)
def test_codes_are_masked_until_a_purpose_is_stated(played: Played, place: str) -> None:
    site, path = played.site, PLACES[place](played)
    assert FIRST in site.as_("zjj").get(path).text
    auditor, operator = site.as_("auditor"), site.as_("admin").get(path)
    masked = auditor.get(path).text
    assert FIRST not in masked
    assert f"{FIRST[:4]}**********{FIRST[-4:]}" in masked
    auditor.purpose()
    assert FIRST in auditor.get(path).text
    # Operators see runs; whom they are about they see masked, or (one subject's page) not at all.
    assert operator.status_code == (403 if place == "subject" else 200)
    assert FIRST not in operator.text
