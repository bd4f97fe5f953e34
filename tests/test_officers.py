"""A named officer of the matter's department decides; objections are received and settled; nobody else may."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from chengxin import check, objections, officers
from chengxin.accounts import NotPermittedError
from chengxin.errors import ConfigError
from chengxin.ledger import standing
from chengxin.ledger.acts import Act
from chengxin.ledger.decisions import WEIGHED
from chengxin.ledger.standing import Standing
from chengxin.objections import NoSuchObjectionError
from chengxin.officers import NoSuchAdviceError, WithdrawnError
from chengxin.settings import House
from tests.conftest import NOW, ROOT
from tests.factlake import FactLake, codes, day

MONDAY = day("2026-06-15")
TUESDAY = MONDAY + timedelta(days=1)
LISTED, PLAIN = codes(1, 2)


class Town:
    """A house with two matters of 区住建局 and one of 区财政局, checked."""

    def __init__(self, house: House) -> None:
        self.house, self.lake = house, FactLake(house)
        self.lake.fresh(MONDAY)
        about = {"state": "待办", "opened_on": day("2026-06-01"), "type": "评先评优"}
        self.matters: list[dict[str, Any]] = [
            {"matter_id": "M1", "department": "zjj", **about},
            {"matter_id": "M2", "department": "zjj", **about},
            {"matter_id": "M3", "department": "czj", **about},
        ]
        self.lake.put("matter", MONDAY, self.matters)
        self.lake.put("applicant", MONDAY, [
            {"matter_id": "M1", "applicant_no": "1", "uscc": LISTED, "name": "示例甲有限公司"},
            {"matter_id": "M2", "applicant_no": "1", "uscc": PLAIN, "name": "示例乙有限公司"},
            {"matter_id": "M3", "applicant_no": "1", "uscc": PLAIN, "name": "示例乙有限公司"},
        ])  # fmt: skip
        self.lake.put("list_entry", MONDAY, [{"list": "失信被执行人", "doc_no": "D1", "uscc": LISTED}])
        check.run(house, MONDAY)

    def advice(self, matter: str) -> dict[str, Any]:
        return next(row for row in self.lake.rows("advice", TUESDAY) if row["matter_id"] == matter)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return Town(House(ROOT, tmp_path_factory.mktemp("officers") / "var", "370112", clock=lambda: NOW))


def standing_of(house: House, advice_ids: list[str]) -> Mapping[str, Standing]:
    with house.ledger.read() as session:
        return standing.of(session, advice_ids)


def test_a_decision_with_the_advice_needs_no_reason(town: Town) -> None:
    advice = town.advice("M1")
    assert advice["decision"] == "EXCLUDE"
    made = officers.decide(
        town.house, "zjj", advice["advice_id"], "EXCLUDE", "necessary", words="失信被执行人", advised="EXCLUDE"
    )
    assert (made.matter_id, made.department, made.name) == ("M1", "zjj", "样例承办员乙")
    assert (made.advised, made.against, made.disputed, made.at) == ("EXCLUDE", False, False, NOW)
    state = standing_of(town.house, [advice["advice_id"], "unknown"])
    assert state[advice["advice_id"]].decision == made
    assert state["unknown"] == Standing()
    with town.house.ledger.begin() as session:
        act = session.scalar(select(Act).where(Act.seq == made.act))
    assert act is not None
    assert (act.kind, act.actor, act.subject) == ("decision.made", "officer/zjj", advice["advice_id"])


def test_against_the_advice_or_without_weighing_it_needs_one(town: Town) -> None:
    number = town.advice("M1")["advice_id"]
    before = standing_of(town.house, [number])[number].decisions
    with pytest.raises(ConfigError, match="the advice says EXCLUDE"):
        officers.decide(town.house, "zjj", number, "PASS", "reference", "  ")
    with pytest.raises(ConfigError, match="the notice asks that credit be weighed"):
        officers.decide(town.house, "zjj", number, "EXCLUDE", "not_weighed")
    assert standing_of(town.house, [number])[number].decisions == before
    made = officers.decide(town.house, "zjj", number, "PASS", "reference", "法院已出具履行完毕证明")
    assert made.against
    assert standing_of(town.house, [number])[number].decisions == (*before, made)


@pytest.mark.parametrize("advised", officers.OPEN_ENDED)
def test_advice_that_asks_for_a_person_leaves_every_choice(advised: str) -> None:
    assert not any(officers.goes_against(advised, outcome) for outcome in ("PASS", "EXCLUDE"))
    assert officers.goes_against("PRIORITY", "PASS")


def test_nobody_else_decides_and_a_foreign_id_looks_like_none(town: Town) -> None:
    number = town.advice("M3")["advice_id"]
    for login in ("auditor", "operator", "bank", "nobody", "desk/zjj"):
        with pytest.raises(NotPermittedError):
            officers.decide(town.house, login, number, "PASS", "reference", "x")
        with pytest.raises(NotPermittedError):
            objections.make(town.house, login, number, "x")
        with pytest.raises(NotPermittedError):
            objections.settle(town.house, login, 1, "upheld", "x")
    told = []
    for wrong in (number, "0" * 16, number[:8], "", f"{number}\x1f", "' OR 1=1"):
        with pytest.raises(NoSuchAdviceError) as error:
            officers.decide(town.house, "zjj", wrong, "PASS", "reference", "x")
        told.append(str(error.value))
        with pytest.raises(NoSuchAdviceError):
            objections.make(town.house, "zjj", wrong, "x")
    assert len(set(told)) == 1
    assert standing_of(town.house, [number])[number].decisions == ()


def test_unknown_codes_and_endless_words_are_refused(town: Town) -> None:
    number = town.advice("M2")["advice_id"]
    for wrong in ({"decision": "REVIEW"}, {"weighed": "much"}, {"words": "长" * 1001}, {"reason": "长" * 1001}):
        asked: dict[str, Any] = {"decision": "NEED_REPORT", "weighed": WEIGHED[0], "reason": "", **wrong}
        words = asked.pop("words", "")
        with pytest.raises(ConfigError):
            officers.decide(
                town.house, "zjj", number, asked["decision"], asked["weighed"], asked["reason"], words=words
            )
    assert officers.said(" a\x00b\nc ", "words") == "a b\nc"


def test_an_objection_disputes_the_advice_until_it_is_settled(town: Town) -> None:
    advice = town.advice("M2")
    number = advice["advice_id"]
    made = objections.make(town.house, "zjj", number, "报告已交，未登记", MONDAY - timedelta(days=1))
    assert standing_of(town.house, [number])[number].disputed
    with pytest.raises(ConfigError, match="objection to the advice is not settled"):
        officers.decide(town.house, "zjj", number, advice["decision"], "necessary")
    decided = officers.decide(town.house, "zjj", number, advice["decision"], "necessary", "事项时限将满")
    assert decided.disputed
    with pytest.raises(NoSuchObjectionError):
        objections.settle(town.house, "czj", made.id, "rejected", "另一单位")
    with pytest.raises(ConfigError, match="unknown outcome"):
        objections.settle(town.house, "zjj", made.id, "perhaps", "x")  # type: ignore[arg-type]
    settled = objections.settle(town.house, "zjj", made.id, "partly", "已补登报告")
    assert (settled.outcome, settled.settled_by) == ("partly", "zjj")
    state = standing_of(town.house, [number])[number]
    assert not state.disputed
    assert state.objections == (settled,)
    with pytest.raises(NoSuchObjectionError):
        objections.settle(town.house, "zjj", made.id, "upheld", "再来一次")
    with pytest.raises(ConfigError, match="a day to come"):
        objections.make(town.house, "zjj", number, "x", TUESDAY)


def test_withdrawn_or_changed_advice_is_not_decided_but_may_be_objected_to(town: Town) -> None:
    house = town.house
    first, second = town.advice("M1")["advice_id"], town.advice("M2")
    with pytest.raises(WithdrawnError, match="says NEED_REPORT now, the page said PASS"):
        officers.decide(house, "zjj", second["advice_id"], "PASS", "reference", "x", advised="PASS")
    # The check of the next day withdraws it; last in this file, whose tests share the town.
    town.lake.fresh(TUESDAY)
    town.lake.put("matter", TUESDAY, [{**town.matters[0], "state": "办结", "decided_on": TUESDAY}])
    check.run(house, TUESDAY)
    with pytest.raises(WithdrawnError, match="was withdrawn"):
        officers.decide(house, "zjj", first, "EXCLUDE", "necessary")
    assert objections.make(house, "zjj", first, "已履行").is_open
