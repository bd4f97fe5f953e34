"""One advice explained: the page says what `chengxin explain` says, and shows nobody more than that."""

from __future__ import annotations

import io
import re
from html import unescape

import pdfplumber
import pytest
from sqlalchemy import select

from chengxin import evidence
from chengxin.ledger import access
from chengxin.ledger.access import Access
from chengxin.warn import words
from tests.web.auditor.conftest import Site
from tests.web.auditor.played import FIRST, NAMES, SECOND, TUESDAY, Played


def text(site: Site, path: str) -> str:
    """What a page says, without its markup; white space is one blank."""
    answer = site.get(path)
    assert answer.status_code == 200, answer.status_code
    return " ".join(unescape(re.sub("<[^>]+>", " ", answer.text)).split())


class TestSaysWhatExplainSays:
    """Both ways to an explanation agree."""

    @pytest.mark.parametrize("key", ["M1/1", "M1/2", "M2/1", "M3/1"])
    def test_every_part_of_it(self, played: Played, key: str) -> None:
        said = played.advice[key]
        department = said.department or ""
        told = evidence.explain(played.house, said.advice_id, department)
        page = text(played.site.as_(department), f"/advice/{said.advice_id}")
        known = words.load(played.house, words.district_of(played.house))

        assert known.effect(told.advice["decision"]) in page
        assert ("已被此后的核查撤回" in page) is not told.stands
        assert str(told.advice["policy_version"]) in page
        assert f"chengxin replay --as-of {told.check['as_of']}" in page
        assert f"事实截至第{told.check['read_seq']}次提交" in page
        for clause, about in told.clauses.items():
            assert f"{clause} {about}" in page
        rules = re.findall(r"规则 ([a-z_]+\.[a-z_]+)", page)
        assert rules == [reason.rule for reason in told.findings]
        for reason in told.findings:
            assert reason.finding_id in page
            assert reason.title
            assert reason.title in page
            for code, meaning in reason.reasons.items():
                assert code == "RECORD_REPAIRED" or meaning in page
            for name, value in reason.parameters.items():
                assert name in page
                assert str(value["value"]).partition(" = ")[0] in page
                assert value.get("from") is None or value["from"] in page
                assert value.get("reference") is None or value["reference"] in page
            if reason.evidence is not None:
                assert f"{reason.evidence.raw_sha256} ，第{reason.evidence.raw_row}行" in page
                assert reason.evidence.key in page
                assert f"第{reason.evidence.seq}次提交" in page
                for field in set(reason.evidence.fields) - {"uscc", "name_key", "grade", "score"}:
                    assert str(reason.evidence.fields[field]) in page

    def test_the_list_entry_is_there_at_all(self, played: Played) -> None:
        told = evidence.explain(played.house, played.advice["M1/1"].advice_id, "zjj")
        assert [reason.rule for reason in told.findings] == ["list.black", "report.missing"]


def test_a_report_is_shown_by_consent_alone(played: Played) -> None:
    consented = text(played.site.as_("zjj"), f"/advice/{played.advice['M1/2'].advice_id}")
    assert "R-SECOND" in consented
    assert "报告日期 2024-01-01" in consented
    path = f"/advice/{played.advice['M2/1'].advice_id}"
    for login in ("czj", "auditor", "admin"):
        page = text(played.site.as_(login), path)
        assert "主体没有同意向承办单位提供这份报告" in page
        assert "报告日期" not in page
    czj = played.site.as_("czj")
    shown = czj.post(f"{path}/source", form_page=path).text
    assert "内容不展示" in shown
    assert "AAA" not in shown
    told = evidence.explain(played.house, played.advice["M2/1"].advice_id, "czj")
    assert "AAA" not in told.to_json()
    auditor = played.site.as_("auditor")
    auditor.purpose()
    assert "报告日期 2026-01-01" in text(auditor, path)
    assert "AAA" in evidence.explain(played.house, played.advice["M2/1"].advice_id, evidence.AUDITOR).to_json()


def test_history_tells_each_day(played: Played) -> None:
    page = text(played.site.as_("zjj"), f"/advice/{played.advice['M1/1'].advice_id}")
    history = page.partition("这条意见的经过")[2]
    assert re.search("2026-06-16 限制 .*2026-06-15 需补报告", history)
    closed = text(played.site.as_("zjj"), f"/advice/{played.advice['M3/1'].advice_id}").partition("这条意见的经过")[2]
    assert re.search("2026-06-16 撤回 .*2026-06-15 需补报告", closed)


def test_a_repair_is_not_spoken_of(played: Played) -> None:
    said = played.advice["M1/2"]
    assert "RECORD_REPAIRED" in said.reasons
    for login in ("zjj", "auditor"):
        site = played.site.as_(login)
        if login == "auditor":
            site.purpose()
        page = text(site, f"/advice/{said.advice_id}")
        assert "report.not_current" in page
        assert not re.search("修复|record.repaired|罚〔2026〕7号|示例执法局", page)


class TestWhoSees:
    """Scope and masks."""

    def test_another_department_and_a_made_up_id_get_the_same_answer(self, played: Played) -> None:
        czj = played.site.as_("czj")
        foreign = czj.get(f"/advice/{played.advice['M1/1'].advice_id}")
        made_up = czj.get(f"/advice/{'0' * 20}")
        assert foreign.status_code == made_up.status_code == 404
        assert re.sub("[0-9a-f]{20,}", "", foreign.text) == re.sub("[0-9a-f]{20,}", "", made_up.text)
        for action in ("source", "file-page"):
            path = f"/advice/{played.advice['M1/1'].advice_id}/{action}"
            assert czj.post(path, form_page="/matters").status_code == 404
        assert czj.get(f"/advice/{played.advice['M1/1'].advice_id[:8]}").status_code == 404

    def test_looks_are_on_record_by_subject(self, played: Played) -> None:
        auditor = played.site.as_("auditor")
        path = f"/advice/{played.advice['M1/1'].advice_id}"
        auditor.get(path)
        auditor.purpose("年度审计")
        auditor.get(path)
        auditor.post(f"{path}/source", form_page=path)
        with played.house.ledger.read() as session:
            seen = access.looks(session, subject_hashes=access.subject_hashes(played.house, FIRST))
            second = access.subject_hash(played.house, SECOND)
            others = session.scalars(select(Access).where(Access.subject_sha256 == second)).all()
        assert [(look.what, look.outcome, look.purpose) for look in seen[::-1]][-1] == ("source", "shown", "年度审计")
        assert ("advice", "masked", "") in {(look.what, look.outcome, look.purpose) for look in seen}
        assert {look.route for look in seen} == {"/credit/advice/{advice_id}", "/credit/advice/{advice_id}/source"}
        assert not others

    def test_markup_is_text(self, played: Played) -> None:
        zjj = played.site.as_("zjj")
        for key in ("M1/1", "M1/2"):
            page = zjj.get(f"/advice/{played.advice[key].advice_id}").text
            assert not re.search("<(script|i|b)>", page)
        assert NAMES[SECOND] in unescape(page)


class TestSourceRecord:
    """The source's own record, on demand."""

    def test_the_department_sees_it(self, played: Played) -> None:
        zjj, path = played.site.as_("zjj"), f"/advice/{played.advice['M1/1'].advice_id}"
        page = zjj.post(f"{path}/source", form_page=path)
        assert page.status_code == 200
        assert re.search(rf'mono">xydm</th><td[^>]*>统一社会信用代码</td><td[^>]*>{FIRST}</td>', page.text)
        assert "列〔2026〕1号" in page.text
        assert "D0" not in page.text
        assert "&lt;i&gt;虚假" in page.text

    def test_an_auditor_states_a_purpose_first(self, played: Played) -> None:
        auditor, path = played.site.as_("auditor"), f"/advice/{played.advice['M1/1'].advice_id}"
        refused = auditor.post(f"{path}/source", form_page=path)
        assert (refused.status_code, refused.headers["location"]) == (303, f"/credit/purpose?back={path}")
        auditor.purpose()
        assert FIRST in auditor.post(f"{path}/source", form_page=path).text
        assert played.site.as_("admin").post(f"{path}/source", form_page=path).status_code == 403

    def test_a_raw_file_that_is_gone_is_named(self, played: Played) -> None:
        said = played.advice["M1/1"]
        told = evidence.explain(played.house, said.advice_id, "zjj").findings[0].evidence
        assert told is not None
        kept = next(path for path in played.house.raw_dir.rglob("*") if (told.raw_sha256 or "?") in path.name)
        content = kept.read_bytes()
        kept.unlink()
        try:
            path = f"/advice/{said.advice_id}"
            page = played.site.as_("zjj").post(f"{path}/source", form_page=path).text
        finally:
            kept.write_bytes(content)
        assert "哈希仍在" in page
        assert told.raw_sha256
        assert told.raw_sha256 in page


def test_the_page_for_the_file(played: Played) -> None:
    path = f"/advice/{played.advice['M1/1'].advice_id}"
    for login, sees in (("zjj", True), ("auditor", False)):
        site = played.site.as_(login)
        answer = site.post(f"{path}/file-page", form_page=path)
        assert answer.headers["content-type"] == "application/pdf"
        assert played.advice["M1/1"].advice_id in answer.headers["content-disposition"]
        with pdfplumber.open(io.BytesIO(answer.content)) as document:
            (page,) = document.pages
            said = "".join((page.extract_text() or "").split())
        assert (FIRST in said) is sees
        assert "限制" in said
    with played.house.ledger.read() as session:
        looks = [(look.account, look.outcome) for look in access.looks(session, what="advice.pdf")]
    assert looks[::-1] == [("zjj", "shown"), ("auditor", "masked")]


def test_a_check_of_the_day_is_named(played: Played) -> None:
    page = played.site.as_("auditor").get(f"/advice/{played.advice['M2/1'].advice_id}").text
    assert f"/credit/runs/{TUESDAY.replace(day=15)}" in page
