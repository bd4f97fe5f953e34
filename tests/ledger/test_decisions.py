"""Decisions, objections and looks in the ledger: read back, in the chain, and still there without their words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from chengxin.clock import BEIJING
from chengxin.errors import ConfigError
from chengxin.ledger import Ledger, access, acts, decisions, objections
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.decisions import New
from chengxin.ledger.objections import Objection

NOW = datetime(2026, 6, 15, 9, 30, tzinfo=BEIJING)
NEW = New(
    district="370112", advice_id="a1", matter_id="M1", department="zjj", account="zjj", signature="officer/zjj",
    name="样例承办员乙", decision="PASS", weighed="reference", words="作为资格审查的参考", advised="REVIEW",
    against=False, disputed=False, policy_version="v1", reason="",
)  # fmt: skip


@pytest.fixture
def session(ledger: Ledger) -> Iterator[Session]:
    with ledger.begin() as opened:
        yield opened


def test_of_several_decisions_the_newest_counts_and_none_is_lost(session: Session) -> None:
    first = decisions.add(session, NOW, NEW)
    again = replace(NEW, decision="EXCLUDE", weighed="necessary", against=True, advised="PASS", reason="现场核实不符")
    later = decisions.add(session, NOW + timedelta(hours=1), again)
    other = decisions.add(session, NOW, replace(NEW, advice_id="a2"))
    found = decisions.decisions_of(session, ["a1", "a2", "a3", "a1"])
    assert found == {"a1": (first, later), "a2": (other,)}
    assert (later.decision, later.weighed, later.against, later.reason) == (
        "EXCLUDE",
        "necessary",
        True,
        "现场核实不符",
    )
    assert (first.name, first.words, first.at) == ("样例承办员乙", "作为资格审查的参考", NOW)
    kinds = session.execute(select(Act.kind, Act.actor, Act.subject).order_by(Act.seq)).tuples().all()
    assert kinds[1] == ("decision.made", "officer/zjj", "a1")
    assert acts.verify(session).broken_at is None


def test_thousands_of_ids_are_asked_at_once(session: Session) -> None:
    decisions.add(session, NOW, NEW)
    assert list(decisions.decisions_of(session, (f"a{number}" for number in range(40_000)))) == ["a1"]


def test_erased_words_leave_the_codes(session: Session) -> None:
    decisions.add(session, NOW, replace(NEW, reason="某某公司"))
    session.execute(delete(ActBody))
    ((made,),) = decisions.decisions_of(session, ["a1"]).values()
    assert (made.decision, made.words, made.reason, made.name, made.erased) == ("PASS", "", "", "", True)


def test_a_month_counts_each_applicant_once_by_its_last_decision(session: Session) -> None:
    last_of_june = datetime(2026, 6, 30, 23, 59, 59, tzinfo=BEIJING)
    decisions.add(session, NOW, NEW)
    decisions.add(session, last_of_june, replace(NEW, weighed="scored"))
    decisions.add(session, last_of_june + timedelta(seconds=1), replace(NEW, weighed="necessary"))
    decisions.add(session, NOW, replace(NEW, advice_id="a2", department="czj", weighed="not_weighed", reason="x"))
    decisions.add(session, NOW, replace(NEW, advice_id="a3", district="990101"))
    june = decisions.counts(session, "370112", date(2026, 6, 1), date(2026, 6, 30))
    assert june == {"zjj": {"scored": 1}, "czj": {"not_weighed": 1}}
    assert decisions.counts(session, "370112", date(2026, 7, 1), date(2026, 7, 31)) == {"zjj": {"necessary": 1}}
    assert decisions.counts(session, "370112", date(2026, 5, 1), date(2026, 5, 31)) == {}


def _objection(advice: str = "a1", department: str = "zjj") -> Objection:
    return Objection(
        received_on=date(2026, 6, 14), district="370112", advice_id=advice, matter_id="M1", department=department,
        received_by="zjj",
    )  # fmt: skip


def test_an_objection_is_open_until_it_is_settled(session: Session) -> None:
    made = objections.add(session, NOW, "officer/zjj", _objection(), "处罚已撤销")
    objections.add(session, NOW, "officer/czj", _objection("a2", "czj"), "名称相同而已")
    assert made.is_open
    assert made.grounds == "处罚已撤销"
    assert objections.disputed(session, ["a1", "a2", "a3"]) == {"a1", "a2"}
    assert [one.advice_id for one in objections.waiting(session, "370112", "zjj")] == ["a1"]
    row = session.get_one(Objection, made.id)
    settled = objections.settle(session, NOW, "officer/zjj", row, "upheld", "来源已更正")
    assert (settled.outcome, settled.settled_by, settled.reason, settled.is_open) == (
        "upheld",
        "zjj",
        "来源已更正",
        False,
    )
    assert objections.objections_of(session, ["a1"]) == {"a1": (settled,)}
    assert objections.disputed(session, ["a1"]) == set()
    assert [one.advice_id for one in objections.waiting(session, "370112")] == ["a2"]
    assert [each.kind for each in session.scalars(select(Act).where(Act.subject == "a1").order_by(Act.seq))] == [
        "objection.made", "objection.settled",
    ]  # fmt: skip
    session.execute(delete(ActBody))
    ((bare,),) = objections.objections_of(session, ["a1"]).values()
    assert (bare.outcome, bare.grounds, bare.reason) == ("upheld", "", "")


def test_objections_and_their_settlement_need_words(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match=r"objection\.made needs a reason"), ledger.begin() as session:
        objections.add(session, NOW, "officer/zjj", _objection(), " ")
    with ledger.begin() as session:
        made = objections.add(session, NOW, "officer/zjj", _objection(), "不实")
    with ledger.begin() as session:
        row = session.get_one(Objection, made.id)
        with pytest.raises(ConfigError, match=r"objection\.settled needs a reason"):
            objections.settle(session, NOW, "officer/zjj", row, "rejected", "")
    with ledger.begin() as session:
        assert objections.disputed(session, ["a1"]) == {"a1"}


def test_looks_are_acts_and_can_be_asked_for(session: Session) -> None:
    whom, other = "1" * 64, "2" * 64
    first = access.looked(session, NOW, "auditor", None, "subject", [whom], "投诉第7号", "/credit/subject")
    access.looked(session, NOW, "zjj", "zjj", "advice", [other], "", "/credit/matter", "masked")
    last = access.looked(session, NOW + timedelta(hours=1), "zjj", "zjj", "subject", [whom], "M1", "/credit/subject")
    assert [look.act for look in access.looks(session, subject_hashes=[whom])] == [last, first]
    (look,) = access.looks(session, account="auditor")
    assert (look.purpose, look.department, look.outcome, look.route) == ("投诉第7号", "", "shown", "/credit/subject")
    assert [look.act for look in access.looks(session, before=last, limit=1)] == [first + 1]
    assert [look.act for look in access.looks(session, since=NOW + timedelta(minutes=1))] == [last]
    assert [look.outcome for look in access.looks(session, what="advice")] == ["masked"]
    assert access.number(session, "zjj", "subject", NOW, ["shown"]) == 1
    assert access.number(session, "zjj", "subject", NOW + timedelta(hours=1), ["shown"]) == 0
    act = session.get_one(Act, first)
    assert (act.kind, act.actor, act.subject) == ("access.subject", "account/auditor", whom)
    assert acts.verify(session).broken_at is None
    session.execute(delete(ActBody))
    assert {look.purpose for look in access.looks(session)} == {""}


def test_one_look_at_several_subjects_is_an_act_for_each_and_at_none_one_act(session: Session) -> None:
    both = ["1" * 64, "2" * 64]
    last = access.looked(session, NOW, "zjj", "zjj", "search", both, "M1", "/credit/subjects")
    assert [(look.act, look.subject_sha256) for look in access.looks(session)] == [
        (last, both[1]),
        (last - 1, both[0]),
    ]
    alone = access.looked(session, NOW, "zjj", "zjj", "mail", [], "M1", "/credit/mails")
    assert [(look.act, look.subject_sha256) for look in access.looks(session, what="mail")] == [(alone, "")]
    assert session.get_one(Act, alone).subject == ""
    assert acts.verify(session).broken_at is None
