"""Ways on from a page: a filter, a page of a list and a language outlive forms, purposes and errors."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlsplit

import pytest

from tests.web.auditor.conftest import Site
from tests.web.auditor.played import Played

WAYS = re.compile(r"""<a href="([^"#]*)"[^>]*(?:hreflang|rel=)""")


def _ways(page: str) -> list[str]:
    """Where the language switch and the pagers of a page lead, within the mount."""
    found = [unescape(way) for way in WAYS.findall(page)]
    assert all(way.startswith("/credit/") for way in found)
    return [way.removeprefix("/credit") for way in found]


def test_from_a_form_that_was_not_taken(played: Played) -> None:
    zjj, path = played.site.as_("zjj"), f"/matters/{played.matters['M1']}"
    fields = {"advice_id": played.advice["M1/1"].advice_id, "grounds": ""}
    answer = zjj.post(f"{path}/objection", fields, form_page=path)
    assert answer.status_code == 422
    assert _ways(answer.text) == [f"{path}?lang=en"]
    assert zjj.get(f"{path}?lang=en").status_code == 200


def test_from_the_source_s_own_record(played: Played) -> None:
    auditor, path = played.site.as_("auditor"), f"/advice/{played.advice['M1/1'].advice_id}"
    auditor.purpose()
    answer = auditor.post(f"{path}/source", form_page=path)
    assert answer.status_code == 200
    assert _ways(answer.text) == [f"{path}?lang=en"]


def test_from_an_error(site: Site) -> None:
    auditor = site.as_("auditor")
    answer = auditor.post("/matters/none/decision", form_page="/purpose")
    assert answer.status_code == 403
    assert _ways(answer.text) == ["/?lang=en"]
    wrong = auditor.get("/matters/none/decision")
    assert (wrong.status_code, "只接收表单" in wrong.text) == (405, True)


def test_a_purpose_leads_back_to_the_filtered_list(played: Played) -> None:
    auditor = played.site.as_("auditor")
    listed = "/matters?decision=RESTRICT&state=all"
    found = re.search(r'href="/credit(/purpose[?]back=[^"]*)"', auditor.get(listed).text)
    assert found
    form = auditor.get(unescape(found.group(1))).text
    back = re.search(r'name="back" value="([^"]*)"', form)
    assert back
    answer = auditor.post("/purpose", {"usual": "年度审计", "back": unescape(back.group(1))}, form_page="/purpose")
    assert answer.headers["location"] == f"/credit{listed}"


def test_a_list_leads_on_and_back_and_keeps_its_filter(site: Site) -> None:
    auditor = site.as_("auditor")
    for number in range(52):
        auditor.purpose(f"抽查 {number}")
    path = "/acts?kind=access.&actor=auditor"
    _, older = _ways(auditor.get(path).text)
    assert dict(part.split("=") for part in urlsplit(older).query.split("&")) == {
        "kind": "access.", "actor": "auditor", "before": "3",
    }  # fmt: skip
    second = auditor.get(older).text
    assert second.count("<tr>") == 1 + 2
    assert _ways(second)[1:] == [path]


@pytest.mark.parametrize(
    ("path", "cleared"),
    [
        ("/matters?decision=EXCLUDE&type=x", "/matters"),
        ("/mails?kind=watch", "/mails"),
        ("/acts?actor=nobody", "/acts"),
    ],
)
def test_a_filter_that_finds_nothing_can_be_cleared(site: Site, path: str, cleared: str) -> None:
    auditor = site.as_("auditor")
    assert f'<a href="/credit{cleared}">清除筛选</a>' in auditor.get(path).text
    if cleared != "/acts":
        assert "清除筛选" not in auditor.get(cleared).text
