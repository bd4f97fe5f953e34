"""Subjects: found by POST alone, shown in scope, silent on what was repaired, each look on record."""

from __future__ import annotations

import re
from html import unescape

import pytest

from chengxin.ledger import access
from chengxin.web.auditor.office import SEARCHES_PER_MINUTE
from tests.web.auditor.conftest import Site
from tests.web.auditor.played import FIRST, FOURTH, NAMES, SECOND, THIRD, Played


def found(site: Site, asked: str) -> set[str]:
    """The refs that a search leads to."""
    answer = site.post("/subjects", {"asked": asked}, form_page="/subjects")
    if answer.status_code == 303:
        return {answer.headers["location"].removeprefix("/credit/subjects/")}
    return set(re.findall(r"/credit/subjects/([0-9a-f]{24})", answer.text))


class TestSearch:
    """By code or by the beginning of a name."""

    def test_by_code_and_by_name(self, played: Played) -> None:
        zjj = played.site.as_("zjj")
        assert found(zjj, FIRST) == {played.subjects[FIRST]}
        assert found(zjj, f" {FIRST.lower()} ") == {played.subjects[FIRST]}
        assert found(zjj, "示例") == {played.subjects[code] for code in (FIRST, SECOND, THIRD)}
        assert found(zjj, "别家丁有限公司") == {played.subjects[FOURTH]}
        for nobody in ("", "示", "甲有限公司", "%", "_示例", FIRST[:-1]):
            assert found(zjj, nobody) == set(), nobody

    def test_results_are_masked_and_escaped(self, played: Played) -> None:
        page = played.site.as_("zjj").post("/subjects", {"asked": "示例<b>"}, form_page="/subjects")
        assert played.subjects[SECOND] in page.headers["location"]
        page = played.site.as_("auditor").post("/subjects", {"asked": "示例"}, form_page="/subjects")
        assert FIRST not in page.text
        assert "<b>" not in page.text
        assert NAMES[SECOND] in unescape(page.text)

    def test_is_limited_and_on_record(self, played: Played) -> None:
        zjj = played.site.as_("zjj")
        token = zjj.form_token("/subjects")
        headers = {"x-test-login": "zjj"}
        statuses = [
            zjj.client.post("/credit/subjects", data={"form_token": token, "asked": THIRD}, headers=headers).status_code
            for _ in range(SEARCHES_PER_MINUTE + 3)
        ]
        assert statuses.count(429) >= 2
        assert statuses[0] == 303
        with played.house.ledger.read() as session:
            looks = access.looks(session, what="search", account="zjj")
        assert {look.outcome for look in looks} == {"shown", "limited"}
        assert looks[-1].subject_sha256 == access.subject_hash(played.house, THIRD)

    def test_everybody_on_the_list_was_looked_at(self, played: Played) -> None:
        found(played.site.as_("zjj"), "示例")
        with played.house.ledger.read() as session:
            looks = access.looks(session, what="search")
        assert {look.subject_sha256 for look in looks} == {
            access.subject_hash(played.house, code) for code in (FIRST, SECOND, THIRD)
        }

    def test_operators_and_partners_do_not(self, played: Played) -> None:
        for login in ("admin", "bank"):
            site = played.site.as_(login)
            assert site.get("/subjects").status_code == 403
            assert site.get(f"/subjects/{played.subjects[FIRST]}").status_code == 403


class TestSubject:
    """One subject's page."""

    def test_what_was_known_when(self, played: Played) -> None:
        zjj, path = played.site.as_("zjj"), f"/subjects/{played.subjects[FIRST]}"
        page = zjj.get(path).text
        entry = page.partition("名单信息")[2].partition("</li>")[0]
        assert "列〔2026〕1号" in entry
        assert re.search(r"<code>[0-9a-f]{64}</code>，第1行", entry)
        assert re.search(r"<time>2026-06-16</time><strong>名单信息", page)
        # On Monday nobody knew.
        assert "列〔2026〕1号" not in zjj.get(f"{path}?on=2026-06-15").text
        assert "登记信息</strong>" in zjj.get(f"{path}?on=2026-06-15").text
        assert "登记信息</strong>" not in zjj.get(f"{path}?on=2026-06-14").text

    def test_advice_in_scope_alone(self, played: Played) -> None:
        site, path = played.site, f"/subjects/{played.subjects[FIRST]}"
        own = played.advice["M1/1"].advice_id
        assert own in site.as_("zjj").get(path).text
        assert own in site.as_("auditor").get(path).text
        page = site.as_("czj").get(path)
        assert page.status_code == 200
        assert own not in page.text
        assert "申请人登记" not in page.text
        # A list is public.
        assert "列〔2026〕1号" in page.text

    def test_codes_in_full_for_whom_it_concerns(self, played: Played) -> None:
        site, path = played.site, f"/subjects/{played.subjects[FIRST]}"
        assert FIRST in site.as_("zjj").get(path).text
        assert FIRST not in site.as_("czj").get(path).text
        auditor = site.as_("auditor")
        masked = auditor.get(path).text
        assert FIRST not in masked
        # Without a purpose no fact's content is shown either.
        assert "列〔2026〕1号" not in masked
        assert "黑名单" not in masked
        auditor.purpose()
        shown = auditor.get(path).text
        assert FIRST in shown
        assert "列〔2026〕1号" in shown

    def test_filings_for_whoever_may_see_them_by_name(self, played: Played) -> None:
        path = f"/subjects/{played.subjects[FOURTH]}"
        assert "未报送" in played.site.as_("auditor").get(path).text
        # 区住建局 is in charge of E and K, this subject is in C.
        page = played.site.as_("zjj").get(path).text
        assert "没有您可以查看的年报情况" in page
        assert "未报送" not in page

    @pytest.mark.parametrize("login", ["zjj", "czj", "auditor"])
    def test_a_repaired_record_leaves_no_trace(self, played: Played, login: str) -> None:
        site = played.site.as_(login)
        if login == "auditor":
            site.purpose()
        for on in ("", "?on=2026-06-15"):
            page = site.get(f"/subjects/{played.subjects[SECOND]}{on}").text
            assert not re.search("失信信息|修复|罚〔2026〕7号|示例执法局", page), on

    def test_looks_are_on_record(self, played: Played) -> None:
        auditor, path = played.site.as_("auditor"), f"/subjects/{played.subjects[THIRD]}"
        auditor.get(path)
        auditor.purpose("抽查核查意见")
        auditor.get(path)
        played.site.as_("czj").get(path)
        with played.house.ledger.read() as session:
            seen = access.looks(session, subject_hashes=access.subject_hashes(played.house, THIRD), what="subject")
        assert [(look.account, look.outcome, look.purpose, look.route) for look in seen[::-1]] == [
            ("auditor", "masked", "", "/credit/subjects/{ref}"),
            ("auditor", "shown", "抽查核查意见", "/credit/subjects/{ref}"),
            ("czj", "shown", "办理本单位事项", "/credit/subjects/{ref}"),
        ]

    def test_tampered_refs(self, played: Played) -> None:
        zjj = played.site.as_("zjj")
        for ref in ("0" * 24, FIRST, "x", "%00", played.subjects[FIRST][:-1]):
            assert zjj.get(f"/subjects/{ref}").status_code == 404, ref

    def test_no_address_holds_a_code_or_a_name(self, played: Played) -> None:
        site = played.site.as_("zjj")
        for path in ("/matters", f"/matters/{played.matters['M1']}", f"/subjects/{played.subjects[FIRST]}",
                     f"/advice/{played.advice['M1/1'].advice_id}"):  # fmt: skip
            for address in re.findall(r'(?:href|action)="([^"]*)"', site.get(path).text):
                assert not any(part in unescape(address) for part in (*NAMES, "示例", "有限公司")), address

    def test_english(self, played: Played) -> None:
        page = played.site.as_("czj").get(f"/subjects/{played.subjects[FIRST]}?lang=en").text
        for words in ("What was known when", "List entry", "Listed on", "enterprise"):
            assert words in page


def test_every_label_has_its_english() -> None:
    from chengxin import policy
    from chengxin.districts import load
    from chengxin.settings import House
    from chengxin.warn import words
    from chengxin.web.auditor import advice, deciding, facts, lookups, outcomes
    from chengxin.web.auditor.words import FOLDER, english
    from tests.conftest import ROOT

    known = english()
    document = policy.load(ROOT / "include" / "policy" / "licheng-2020-2")
    vocabulary = document.words
    labels = {
        *facts.TABLES.values(), *facts.FIELDS.values(), *outcomes.READINGS.values(), *outcomes.PROBLEMS.values(),
        *outcomes.WEIGHED.values(), *outcomes.SETTLED.values(), *deciding.UNFINISHED.values(), deciding.MOVED,
        deciding.GONE, *advice.MISSING.values(), advice.NOT_KEPT, advice.NOT_SHOWN, *lookups.USUAL,
        *vocabulary.reasons.values(), *vocabulary.effects.values(), *vocabulary.flags.values(),
    }  # fmt: skip
    district = load(ROOT / "include" / "districts" / "370112.yml")
    house = House(root=ROOT, var=ROOT / "var", district="370112")
    labels |= {outcome.do for outcome in words.load(house, district).mail.outcomes.values()} | set(document.matters)
    # Within attributes templates write t('…').
    for file in (FOLDER.parent / "templates").glob("*.j2"):
        labels |= set(re.findall(r"""\bt\('([^']*[\u4e00-\u9fff：，；、][^']*)'""", file.read_text("utf-8")))
    assert labels - set(known) == set()
