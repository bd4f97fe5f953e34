"""Matters: who sees which, what an officer may record, and that nothing of another department shows."""

from __future__ import annotations

import io
import re
import zipfile
from html import unescape

import pytest
from sqlalchemy import select

from chengxin.ledger import access
from chengxin.ledger.access import Access
from chengxin.ledger.acts import Act, ActBody
from chengxin.web.auditor.outcomes import SETTLED, WEIGHED
from tests.web.auditor.conftest import Site
from tests.web.auditor.played import FIRST, NAMES, SECOND, THIRD, TITLE, Played


def links(site: Site, path: str) -> set[str]:
    """The matters that a page leads to."""
    return set(re.findall(r"/credit/matters/([0-9a-f]{24})\"", site.get(path).text))


class TestList:
    """The filter, the counts, and whose matters are listed."""

    def test_each_sees_its_own(self, played: Played) -> None:
        every = {played.matters["M1"], played.matters["M2"]}
        site = played.site
        assert links(site.as_("auditor"), "/matters") == every
        assert links(site.as_("admin"), "/matters") == every
        assert links(site.as_("zjj"), "/matters") == {played.matters["M1"]}
        assert links(site.as_("czj"), "/matters") == {played.matters["M2"]}
        # A department that is asked for in the address is none of an officer's choice.
        assert links(site.as_("czj"), "/matters?department=zjj") == {played.matters["M2"]}

    def test_closed_ones_and_all(self, played: Played) -> None:
        auditor = played.site.as_("auditor")
        assert links(auditor, "/matters?state=closed") == {played.matters["M3"]}
        assert links(auditor, "/matters?state=all") == set(played.matters.values())

    def test_the_counts_lead_to_their_rows(self, played: Played) -> None:
        auditor = played.site.as_("auditor")
        counts = dict(
            re.findall(
                r'<a href="/credit(/matters\?decision=\w+)">(\d+)</a>',
                auditor.get("/matters").text.replace("&amp;", "&"),
            )
        )
        assert counts == {"/matters?decision=RESTRICT": "1", "/matters?decision=NEED_REPORT": "2"}
        assert links(auditor, "/matters?decision=RESTRICT") == {played.matters["M1"]}
        assert links(auditor, "/matters?decision=EXCLUDE") == set()
        assert links(auditor, "/matters?type=政府采购") == {played.matters["M2"]}

    def test_what_is_asked_goes_to_the_address_but_never_text(self, played: Played) -> None:
        zjj = played.site.as_("zjj")
        answer = zjj.post("/matters", {"decision": "RESTRICT", "state": "all"}, form_page="/matters")
        assert (answer.status_code, answer.headers["location"]) == (303, "/credit/matters?decision=RESTRICT&state=all")
        answer = zjj.post("/matters", {"text": "小学"}, form_page="/matters")
        assert answer.status_code == 200
        assert played.matters["M1"] in answer.text
        assert played.matters["M1"] not in zjj.post("/matters", {"text": "桌椅"}, form_page="/matters").text

    @pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 30])
    def test_a_page_that_cannot_be_is_refused_or_the_first(self, played: Played, page: str) -> None:
        zjj = played.site.as_("zjj")
        assert zjj.get(f"/matters?page={page}").status_code == 422
        answer = zjj.post("/matters", {"text": "小学", "page": page}, form_page="/matters")
        assert played.matters["M1"] in answer.text

    def test_markup_is_text(self, played: Played) -> None:
        page = played.site.as_("auditor").get("/matters").text
        assert "<script" not in page
        assert TITLE in unescape(page)


class TestMatter:
    """One matter."""

    def test_another_department_and_a_made_up_ref_get_the_same_answer(self, played: Played) -> None:
        czj = played.site.as_("czj")
        foreign, made_up = czj.get(f"/matters/{played.matters['M1']}"), czj.get(f"/matters/{'0' * 24}")
        assert foreign.status_code == made_up.status_code == 404
        assert re.sub("[0-9a-f]{24}", "", foreign.text) == re.sub("[0-9a-f]{24}", "", made_up.text)
        for tampered in ("x", "%27--", played.matters["M1"][:-1], played.matters["M1"].upper()):
            assert czj.get(f"/matters/{tampered}").status_code == 404

    def test_a_repair_is_not_spoken_of(self, played: Played) -> None:
        assert "RECORD_REPAIRED" in played.advice["M1/2"].reasons
        for login in ("auditor", "zjj"):
            page = played.site.as_(login).get(f"/matters/{played.matters['M1']}").text
            assert NAMES[SECOND] in unescape(page)
            assert "修复" not in page

    def test_looks_are_on_record(self, played: Played) -> None:
        site, path = played.site, f"/matters/{played.matters['M1']}"
        site.as_("zjj").get(path)
        auditor = site.as_("auditor")
        auditor.get(path)
        auditor.purpose("案件、信访办理")
        auditor.get(path)
        site.as_("czj").get(path)
        with played.house.ledger.read() as session:
            seen = access.looks(session, what="matter")[::-1]
        # An act for each applicant that the page names.
        whom = [access.subject_hash(played.house, code) for code in (FIRST, SECOND)]
        assert [look.subject_sha256 for look in seen] == whom * 3
        assert {look.route for look in seen} == {f"/credit{path}"}
        assert [(look.account, look.outcome, look.purpose) for look in seen[::2]] == [
            ("zjj", "shown", "办理本单位事项"),
            ("auditor", "masked", ""),
            ("auditor", "shown", "案件、信访办理"),
        ]

    def test_english_has_no_chinese_but_names_and_rules(self, played: Played) -> None:
        page = played.site.as_("auditor").get(f"/matters/{played.matters['M2']}?lang=en").text
        assert "report needed" in page
        assert "the subject has not consented" in page
        for label in ("事项类型", "请办", "承办单位", "理由", "第1"):
            assert label not in page


class TestDecision:
    """The officer decides."""

    def test_it_is_recorded_and_auditors_see_it(self, played: Played) -> None:
        zjj, advice = played.site.as_("zjj"), played.advice["M1/1"]
        path = f"/matters/{played.matters['M1']}"
        fields = {
            "advice_id": advice.advice_id, "advised": "RESTRICT", "decision": "RESTRICT", "weighed": "necessary",
            "words": "对照<u>名单</u>",
        }  # fmt: skip
        answer = zjj.post(f"{path}/decision", fields, form_page=path)
        assert answer.headers["location"] == f"/credit{path}?page=1#a-{advice.advice_id}"
        auditor = played.site.as_("auditor")
        page = auditor.get(path).text
        assert WEIGHED["necessary"] in page
        assert "样例承办员乙" in page
        assert "对照" not in page
        auditor.purpose()
        assert "对照&lt;u&gt;名单" in auditor.get(path).text
        assert "对照&lt;u&gt;名单" in auditor.get(f"/advice/{advice.advice_id}").text
        with played.house.ledger.read() as session:
            kinds = session.scalars(select(Act.kind).where(Act.subject == advice.advice_id)).all()
        assert kinds == ["decision.made"]

    def test_against_the_advice_needs_a_reason(self, played: Played) -> None:
        zjj, advice_id = played.site.as_("zjj"), played.advice["M1/1"].advice_id
        path = f"/matters/{played.matters['M1']}"
        fields = {"advice_id": advice_id, "advised": "RESTRICT", "decision": "PASS", "weighed": "reference"}
        answer = zjj.post(f"{path}/decision", {**fields, "words": "看过了"}, form_page=path)
        assert answer.status_code == 422
        assert "没有登记" in answer.text
        # What was typed is still there, and nothing was recorded.
        assert "看过了</textarea>" in answer.text
        assert re.search(r'value="PASS" required checked', answer.text)
        assert "与意见不一致</span>" not in zjj.get(path).text
        assert zjj.post(f"{path}/decision", {**fields, "reason": "整改已核实"}, form_page=path).status_code == 303
        assert "与意见不一致</span>" in zjj.get(path).text
        assert "后来另有决定" not in zjj.get(path).text
        fields["decision"] = "RESTRICT"
        assert zjj.post(f"{path}/decision", fields, form_page=path).status_code == 303
        assert re.search("<strong>限制</strong>.*<strong>无异常</strong>.*后来另有决定", zjj.get(path).text, re.S)

    def test_advice_that_has_changed_is_not_decided_on(self, played: Played) -> None:
        zjj = played.site.as_("zjj")
        path = f"/matters/{played.matters['M1']}"
        fields = {
            "advice_id": played.advice["M1/1"].advice_id, "advised": "NEED_REPORT", "decision": "NEED_REPORT",
            "weighed": "necessary",
        }  # fmt: skip
        answer = zjj.post(f"{path}/decision", fields, form_page=path)
        assert answer.status_code == 422
        assert "有变化" in answer.text

    @pytest.mark.parametrize("login", ["czj", "auditor", "admin", "bank"])
    def test_nobody_else_decides(self, played: Played, login: str) -> None:
        site = played.site.as_(login)
        form_page = "/look-up" if login == "bank" else "/matters"
        path = f"/matters/{played.matters['M1']}"
        advice_id = played.advice["M1/1"].advice_id
        for form, more in (
            ("decision", {"advised": "RESTRICT", "decision": "RESTRICT", "weighed": "necessary"}),
            ("objection", {"grounds": "不对"}),
            ("settlement", {"objection": "1", "outcome": "upheld", "reason": "对"}),
        ):
            answer = site.post(f"{path}/{form}", {"advice_id": advice_id, **more}, form_page=form_page)
            assert answer.status_code == (404 if login == "czj" else 403), form
        with played.house.ledger.read() as session:
            assert not session.scalars(select(Act).where(Act.subject == advice_id)).all()

    def test_advice_of_another_matter_is_none_of_this_one(self, played: Played) -> None:
        zjj = played.site.as_("zjj")
        path = f"/matters/{played.matters['M1']}"
        fields = {"advised": "NEED_REPORT", "decision": "NEED_REPORT", "weighed": "necessary"}
        for advice_id in (played.advice["M2/1"].advice_id, played.advice["M3/1"].advice_id, "", "0" * 20, "'; --"):
            answer = zjj.post(f"{path}/decision", {"advice_id": advice_id, **fields}, form_page=path)
            assert answer.status_code == 404, advice_id

    @pytest.mark.parametrize(("name", "value"), [("decision", "REVIEW"), ("weighed", "x"), ("words", "字" * 1001)])
    def test_what_no_form_of_ours_sends_is_refused(self, played: Played, name: str, value: str) -> None:
        zjj = played.site.as_("zjj")
        path = f"/matters/{played.matters['M1']}"
        fields = {
            "advice_id": played.advice["M1/1"].advice_id, "advised": "RESTRICT", "decision": "RESTRICT",
            "weighed": "necessary", name: value,
        }  # fmt: skip
        assert zjj.post(f"{path}/decision", fields, form_page=path).status_code == 422


class TestObjection:
    """A subject objects; until it is settled the advice is disputed."""

    def test_from_receipt_to_settlement(self, played: Played) -> None:
        zjj, advice_id = played.site.as_("zjj"), played.advice["M1/1"].advice_id
        path = f"/matters/{played.matters['M1']}"
        auditor = played.site.as_("auditor")
        assert links(auditor, "/matters?disputed=yes") == set()
        fields = {"advice_id": advice_id, "grounds": "名单<em>有误</em>", "received_on": "2026-06-12"}
        assert zjj.post(f"{path}/objection", fields, form_page=path).status_code == 303
        assert links(auditor, "/matters?disputed=yes") == {played.matters["M1"]}
        for shown in ("/matters", path, f"/subjects/{played.subjects[FIRST]}"):
            assert auditor.get(shown).text.count("有异议，处理中</span>") == 1, shown
        for login, number in (("auditor", 1), ("zjj", 1), ("czj", 0)):
            assert played.site.as_(login).get("/today").text.count("1项异议尚未了结") == number, login
        page = zjj.get(path).text
        assert "名单&lt;em&gt;有误" in page
        assert "名单&lt;em&gt;有误" not in auditor.get(path).text
        # While it is open, a decision needs a reason.
        decided = {"advice_id": advice_id, "advised": "RESTRICT", "decision": "RESTRICT", "weighed": "necessary"}
        assert zjj.post(f"{path}/decision", decided, form_page=path).status_code == 422
        found = re.search(r'name="objection" value="(\d+)"', page)
        assert found
        settled = {"advice_id": advice_id, "objection": found.group(1), "outcome": "partly"}
        assert zjj.post(f"{path}/settlement", settled, form_page=path).status_code == 422
        settled["reason"] = "来源已更正"
        assert zjj.post(f"{path}/settlement", settled, form_page=path).status_code == 303
        assert SETTLED["partly"] in zjj.get(path).text
        assert links(auditor, "/matters?disputed=yes") == set()
        # Settled once is settled.
        again = zjj.post(f"{path}/settlement", settled, form_page=path)
        assert again.status_code == 422
        assert "已经了结" in again.text

    @pytest.mark.parametrize("received_on", ["2026-06-17", "昨天", "2026-02-30"])
    def test_a_day_that_cannot_be(self, played: Played, received_on: str) -> None:
        zjj = played.site.as_("zjj")
        path = f"/matters/{played.matters['M1']}"
        fields = {"advice_id": played.advice["M1/1"].advice_id, "grounds": "不对", "received_on": received_on}
        assert zjj.post(f"{path}/objection", fields, form_page=path).status_code == 422


class TestBundle:
    """The evidence bundle by button."""

    def test_an_auditor_with_a_purpose_takes_it_on_record(self, played: Played) -> None:
        auditor, path = played.site.as_("auditor"), f"/matters/{played.matters['M1']}/bundle"
        refused = auditor.post(path, form_page="/matters")
        assert (refused.status_code, refused.headers["location"].partition("?")[0]) == (303, "/credit/purpose")
        auditor.purpose("投诉、异议核查")
        answer = auditor.post(path, form_page="/matters")
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
            names = set(found.namelist())
            text = found.read("advice.jsonl").decode()
        assert {"verify.py", "manifest.json", f"explanations/{played.advice['M1/1'].advice_id}.txt"} <= names
        assert FIRST in text
        assert THIRD not in text
        with played.house.ledger.read() as session:
            (body,) = session.scalars(
                select(ActBody.content).join(Act, Act.seq == ActBody.seq).where(Act.kind == "export")
            )
            assert session.scalar(select(Access.account).where(Access.what == "bundle")) == "auditor"
        assert "投诉、异议核查" in body

    @pytest.mark.parametrize("login", ["zjj", "admin"])
    def test_nobody_else_does(self, played: Played, login: str) -> None:
        answer = played.site.as_(login).post(f"/matters/{played.matters['M1']}/bundle", form_page="/matters")
        assert answer.status_code == 403
