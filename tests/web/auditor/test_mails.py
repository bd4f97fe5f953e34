"""Mails: whose text is shown to whom, and what stands on record of it; data docs and nothing beside them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from sqlalchemy import delete, select

from chengxin.ledger import outbox
from chengxin.ledger.access import Access
from chengxin.ledger.messages import Message, MessageBody
from chengxin.ledger.models import Harvest
from chengxin.ledger.outbox import Draft
from chengxin.settings import House
from tests.web.auditor.conftest import Site, site_of, with_keys

DAY = date(2026, 6, 15)
SECRET = "济南<b>示例</b>建材有限公司"


def _mail() -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "历城区社会信用体系建设工作领导小组办公室 <credit-office@licheng.example>"
    mail["Subject"] = "【年报公示】尚有1户未报送"
    mail.set_content(SECRET)
    mail.add_alternative(f"<html><body><p>{SECRET}</p><script>alert(1)</script></body></html>", subtype="html")
    mail.add_attachment(b"rows", maintype="application", subtype="octet-stream", filename="名单 2026.xlsx")
    return mail.as_bytes()


def _draft(number: int, department: str, role: str = "unit") -> Draft:
    return Draft(
        key=f"{number:064x}", mode="sandbox", district="370112", department=department, recipient="a@licheng.example",
        role=role, kind="countdown", matter="annual_report/2025", stage="T-15", fingerprint="f" * 64, as_of=DAY,
        subject="【年报公示】尚有1户未报送", header_id="<a@b>", thread="<t@b>", content=_mail(), detail={},
    )  # fmt: skip


@pytest.fixture
def posted(house: House) -> House:
    """A house with a mail to each of two departments, and one to the operators."""
    there = replace(house, connections=with_keys, mode="sandbox")
    with there.ledger.begin() as session:
        outbox.put(session, there.clock(), [_draft(1, "czj"), _draft(2, "zjj"), _draft(3, "", role="operator")])
    return there


def _numbers(house: House) -> dict[str, int]:
    with house.ledger.read() as session:
        return {department: number for number, department in session.execute(select(Message.id, Message.department))}


def test_a_department_reads_its_own_mail_and_finds_no_other(posted: House) -> None:
    site, number = site_of(posted), _numbers(posted)
    czj = site.as_("czj")
    assert czj.get("/mails").text.count("/credit/mails/") == 1
    page = czj.get(f"/mails/{number['czj']}")
    assert "历城区社会信用体系建设工作领导小组办公室 <" in page.text.replace("&lt;", "<")
    assert "名单 2026.xlsx" in page.text
    for path in (f"/mails/{number['zjj']}", f"/mails/{number['']}", f"/mails/{number['zjj']}/text", "/mails/99"):
        assert czj.get(path).status_code == 404, path
    assert czj.post(f"/mails/{number['zjj']}/attachments/0", form_page=f"/mails/{number['czj']}").status_code == 404
    answer = czj.post(f"/mails/{number['czj']}/attachments/0", form_page=f"/mails/{number['czj']}")
    assert (answer.status_code, answer.content) == (200, b"rows")
    assert answer.headers["content-disposition"] == f'attachment; filename="mail-{number["czj"]}-0.xlsx"'
    assert czj.post(f"/mails/{number['czj']}/attachments/7", form_page=f"/mails/{number['czj']}").status_code == 404
    with posted.ledger.read() as session:
        looks = [(look.account, look.what) for look in session.scalars(select(Access).order_by(Access.act))]
    assert ("czj", "mail.attachment") in looks
    assert {account for account, _ in looks} == {"czj"}


def test_an_auditor_reads_after_a_purpose_and_an_operator_never(posted: House) -> None:
    site, number = site_of(posted), _numbers(posted)
    auditor, operator = site.as_("auditor"), site.as_("admin")
    for reader in (auditor, operator):
        assert SECRET not in reader.get(f"/mails/{number['czj']}").text
        assert reader.get(f"/mails/{number['czj']}/text").status_code == 404
    assert operator.get(f"/mails/{number['']}/text").status_code == 200
    auditor.purpose()
    text = auditor.get(f"/mails/{number['czj']}/text")
    assert SECRET in text.text
    # As it was sent, in a sandbox: what it holds cannot act.
    assert text.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    auditor.get(f"/mails/{number['czj']}")
    with posted.ledger.read() as session:
        (look,) = session.scalars(select(Access))
    assert (look.account, look.what, look.outcome) == ("auditor", "mail", "shown")


def test_a_deleted_text_is_said_to_be_deleted(posted: House) -> None:
    number = _numbers(posted)["czj"]
    with posted.ledger.begin() as session:
        session.execute(delete(MessageBody))
    czj = site_of(posted).as_("czj")
    assert "哈希仍在" in czj.get(f"/mails/{number}").text
    assert czj.get(f"/mails/{number}/text").status_code == 404


def test_data_docs_and_nothing_beside_them(posted: House) -> None:
    docs = posted.var / "data_docs" / "matters" / "1"
    docs.mkdir(parents=True)
    (docs / "index.html").write_text("<p>检验报告</p>", "utf-8")
    (posted.var / "secret.txt").write_text("kept out of sight", "utf-8")
    with posted.ledger.begin() as session:
        session.add(
            Harvest(
                source="matters", as_of=DAY, state="published", contract_sha256="c" * 64, started_at=posted.clock(),
                detail={"data_docs": "data_docs/matters/1/index.html"},
            )
        )  # fmt: skip
    site: Site = site_of(posted)
    auditor = site.as_("auditor")
    assert "检验报告" in auditor.get("/harvests/1/docs/index.html").text
    for path in ("../../../secret.txt", "..%2f..%2f..%2fsecret.txt", "%2e%2e/%2e%2e/%2e%2e/secret.txt", "nothing.html"):
        answer = auditor.get(f"/harvests/1/docs/{path}")
        assert answer.status_code == 404, path
        assert "kept out of sight" not in answer.text
    assert site.as_("czj").get("/harvests/1/docs/index.html").status_code == 403
