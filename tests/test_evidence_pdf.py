"""The page for the file: one page, its own font, every word of it readable, nothing that its viewer may not see."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date

import pdfplumber
import pytest

from chengxin import districts, evidence_pdf
from chengxin.evidence import Evidence, Explanation, Reason
from chengxin.settings import House
from chengxin.warn import words
from chengxin.warn.words import Words
from tests.factlake import codes

(CODE,) = codes(7)
NAME = "济南示例氿礴榕有限公司"  # letters beyond GB 2312
SHA = "ab" * 32


def reason(number: int) -> Reason:
    return Reason(
        finding_id=f"{number:020}",
        reading="both",
        rule="list.black",
        title="列入黑名单",
        clause="三",
        effect="RESTRICT",
        reasons={"LIST_BLACK": "列入黑名单"},
        flags=(),
        until=date(2027, 1, 1),
        do="请人工复核",
        parameters={"lists.severity": {"value": "黑名单 × 政府采购", "from": "2020-01-01", "reference": "三"}},
        evidence=Evidence(
            "list_entry", "blacklists", "D1", 7, {"list": "黑名单", "listed_on": date(2026, 1, 1)}, SHA, 3, {}, None
        ),
    )


def explanation(findings: int = 2) -> Explanation:
    advice = {
        "advice_id": "0" * 20, "matter_id": "M1", "applicant_no": "1", "uscc": CODE, "name": NAME,
        "leading": "as_written", "decision": "RESTRICT", "as_written": "RESTRICT",
        "as_written_until": date(2027, 1, 1), "as_written_reasons": ["LIST_BLACK"], "guarded": "REVIEW",
        "guarded_reasons": ["LIST_BLACK"], "policy": "p", "policy_version": "f" * 64,
    }  # fmt: skip
    return Explanation(
        viewer="zjj", asked="0" * 20, advice=advice, stands=True, observed_on=date(2026, 6, 15),
        clauses={"三": "名单管理"}, matter={"matter_id": "M1", "type": "政府采购"}, applicant={"name": NAME},
        subject={}, code_from_name=False, findings=tuple(reason(n) for n in range(findings)),
        check={"id": 4, "as_of": date(2026, 6, 15), "read_seq": 9, "policy": "p"}, same_policy=True,
    )  # fmt: skip


@pytest.fixture
def said(house: House) -> Words:
    return words.load(house, districts.load(house.include_dir / "districts" / "370112.yml"))


def text(content: bytes) -> str:
    with pdfplumber.open(io.BytesIO(content)) as document:
        (page,) = document.pages
        return "".join((page.extract_text() or "").split())


def test_everything_on_one_page_with_its_font(said: Words) -> None:
    content = evidence_pdf.render(explanation(), said, "chengxin")
    shown = text(content)
    for part in (
        CODE,
        NAME,
        "限制",
        "至2027-01-01",
        "条款三",
        SHA,
        "第3行",
        "chengxinreplay--as-of2026-06-15",
        "f" * 64,
    ):
        assert part in shown, part
    assert b"/FontFile2" in content
    assert evidence_pdf.render(explanation(), said, "chengxin") == content


def test_what_does_not_fit_is_counted(said: Words) -> None:
    shown = text(evidence_pdf.render(explanation(60), said, "chengxin --district 370112"))
    assert "条理由，一页不能尽列" in shown
    # Of several districts, the page names the one whose command line it shows.
    assert "chengxin--district370112explain" in shown
    assert "chengxin--district370112replay--as-of" in shown


def test_what_is_masked_stays_masked(said: Words) -> None:
    hidden = replace(explanation(), viewer="operator", advice={**explanation().advice, "uscc": "9137************07"})
    shown = text(evidence_pdf.render(hidden, said, "chengxin"))
    assert CODE not in shown
    assert "代码已遮蔽" in shown
