"""A bank asks: told with the consent of the subject, refused alike without, always on record, limited in rate."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chengxin import lookup, yamlfile
from chengxin.accounts import NotPermittedError
from chengxin.check import load_district
from chengxin.desk import refresh
from chengxin.errors import ConfigError
from chengxin.ledger import access, acts
from chengxin.ledger.access import subject_hash
from chengxin.lookup_facts import DeskFacts, Known, LakeFacts, desk_knows, live
from chengxin.settings import House
from chengxin.tables import CONSENT
from tests.conftest import NOW, ROOT
from tests.factlake import FactLake, codes, day

TODAY = day("2026-06-15")
GOOD, BAD, SILENT, OWNER, NOWHERE, AGENCY = codes(1, 2, 3, 4, 5, 6)
LOAN = "XD2026-0001"
CLOCK = [NOW]
REFUSED = '{"outcome":"refused"}'


def consent(number: int, uscc: str, **fields: Any) -> dict[str, Any]:
    return {
        "consent_id": f"SQ{number}", "uscc": uscc, "item": "信用报告", "matter_id": LOAN, "recipient": "nsyh",
        "given_on": day("2026-06-01"), **fields,
    }  # fmt: skip


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Four subjects, their facts, and consents of every kind."""
    house = House(ROOT, tmp_path_factory.mktemp("lookup") / "var", "370112", clock=lambda: CLOCK[0])
    lake = FactLake(house)
    lake.put("subject", TODAY, [
        {"uscc": GOOD, "name": "示例甲有限公司", "kind": "企业", "state": "存续", "established": day("2019-01-01")},
        {"uscc": BAD, "name": "示例乙有限公司", "kind": "企业", "state": "吊销"},
        {"uscc": SILENT, "name": "示例丙有限公司", "kind": "企业", "state": "存续"},
        {"uscc": OWNER, "name": "示例丁经营部", "kind": "个体工商户", "state": "存续"},
    ])  # fmt: skip
    lake.put("annual_report", TODAY, [
        {"uscc": GOOD, "report_year": 2025, "submitted_at": NOW - timedelta(days=30)},
        {"uscc": BAD, "report_year": 2024, "submitted_at": NOW - timedelta(days=400)},
        {"uscc": OWNER, "report_year": 2025, "submitted_at": NOW - timedelta(days=30), "is_public": False},
    ])  # fmt: skip
    lake.put("agency", TODAY, [{"uscc": AGENCY, "name": "样例征信", "filed_on": day("2020-01-01")}])
    lake.put("credit_report", TODAY, [
        {"report_no": "R1", "uscc": GOOD, "agency_uscc": AGENCY, "issue_date": day("2026-01-01"), "grade": "AAA"},
        {"report_no": "R2", "uscc": BAD, "agency_uscc": NOWHERE, "issue_date": day("2026-01-01"), "grade": "C"},
        {"report_no": "R3", "uscc": BAD, "agency_uscc": AGENCY, "issue_date": day("2025-06-14"), "grade": "C"},
    ])  # fmt: skip
    lake.put("list_entry", TODAY, [
        {"list": "失信被执行人", "doc_no": "D1", "uscc": BAD, "listed_on": day("2026-01-01"), "authority": "某法院"},
        {"list": "失信被执行人", "doc_no": "D2", "uscc": BAD, "expires_on": day("2025-01-01")},
        {"list": "经营异常名录", "doc_no": "D3", "uscc": BAD, "listed_on": day("2025-07-20"), "removed_on": TODAY},
        {"list": "黑名单", "doc_no": "D4", "uscc": BAD, "listed_on": day("2026-01-01")},
    ])  # fmt: skip
    lake.put("consent", TODAY, [
        consent(1, GOOD),
        consent(2, BAD, matter_id=None),
        consent(3, OWNER, expires_on=TODAY),
        consent(4, NOWHERE),
        consent(5, GOOD, matter_id="HT-7", recipient="partner"),
    ])  # fmt: skip
    # A key that was another subject's once, and a line that its list has dropped.
    lake.put("list_entry", TODAY, [{"list": "失信被执行人", "doc_no": "D5", "uscc": BAD}])
    lake.put("list_entry", TODAY, [{"list": "失信被执行人", "doc_no": "D5", "uscc": SILENT}])
    lake.put("list_entry", TODAY, [{"list": "失信被执行人", "doc_no": "D6", "uscc": BAD}])
    lake.put("list_entry", TODAY, [{"list": "失信被执行人", "doc_no": "D6", "uscc": BAD}], gone=True)
    refresh.refresh(house)
    return house


def test_the_desk_and_the_lake_know_the_same(bank: House) -> None:
    district = load_district(bank)
    assert desk_knows(bank, ["consents"])
    desk, lake = DeskFacts(bank.desk, 1), LakeFacts(bank, district, 1)
    for code in (GOOD, BAD, SILENT, NOWHERE, AGENCY, codes(77)[0]):
        assert desk.known(code, TODAY) == lake.known(code, TODAY)
    later = TODAY + timedelta(days=300)
    assert desk.known(GOOD, later) == lake.known(GOOD, later)
    assert [entry.list for entry in desk.known(SILENT, TODAY).entries] == ["失信被执行人"]
    assert [entry.list for entry in desk.known(BAD, TODAY).entries] == ["失信被执行人", "黑名单"]


def at(house: House, hour: float = 9, days: int = 0) -> House:
    """The house at another hour; each test on a day of its own, so that limits of one do not meet another."""
    CLOCK[0] = NOW.replace(hour=0) + timedelta(days=days, hours=hour)
    return house


def ask(house: House, uscc: str, purpose: str = LOAN, account: str = "bank") -> dict[str, Any]:
    return json.loads(lookup.answer(house, account, uscc, purpose, TODAY).to_json())


def test_with_consent_the_public_status_is_told_and_nothing_else(bank: House) -> None:
    house = at(bank)
    assert ask(house, GOOD) == {
        "outcome": "shown", "on": "2026-06-15", "uscc": GOOD, "name": "示例甲有限公司", "state": "存续",
        "established": "2019-01-01", "lists": [], "annual_report": {"year": 2025, "status": "filed"},
        "credit_report": True,
    }  # fmt: skip
    bad = ask(house, f" {BAD.lower()} ", "whatever the loan")
    assert bad["lists"] == [{"list": "失信被执行人", "since": "2026-01-01"}]
    assert (bad["state"], bad["annual_report"]["status"], bad["credit_report"]) == ("吊销", "not_filed", False)
    assert ask(house, OWNER)["annual_report"]["status"] == "not_public"
    unknown = ask(house, NOWHERE)
    assert (unknown["outcome"], unknown["state"], unknown["name"]) == ("shown", None, None)
    assert ask(house, GOOD, "HT-7", "partner")["credit_report"] is True
    told = "".join(json.dumps(ask(house, code), ensure_ascii=False) for code in (GOOD, BAD))
    assert not {"AAA", "R1", "黑名单", "某法院", "SQ1"} & set(told.split('"'))


def test_without_consent_every_answer_is_the_same_bytes(bank: House) -> None:
    house = at(bank, days=1)
    asked = [
        (SILENT, LOAN, "bank"), (NOWHERE, "another purpose", "bank"), (GOOD, "another purpose", "bank"),
        (codes(77)[0], LOAN, "bank"), ("no code", LOAN, "bank"), ("", LOAN, "bank"), (BAD, LOAN, "partner"),
        (GOOD, LOAN, "partner"), (GOOD[:-1] + "?", LOAN, "bank"),
    ]  # fmt: skip
    told = {lookup.answer(house, account, code, purpose, TODAY).to_json() for code, purpose, account in asked}
    assert told == {REFUSED}
    with house.ledger.begin() as session:
        looks = access.looks(session, since=house.clock(), limit=50)
        assert acts.verify(session).broken_at is None
    assert [look.outcome for look in looks] == ["refused"] * len(asked)
    assert looks[-1].subject_sha256 == subject_hash(house, SILENT)
    assert (looks[-1].account, looks[-1].department, looks[-1].purpose) == ("bank", "nsyh", LOAN)


CONSENTS: list[tuple[dict[str, Any], str]] = [
    ({}, "shown"),
    ({"given_on": TODAY}, "shown"),
    ({"given_on": TODAY + timedelta(days=1)}, "refused"),
    ({"given_on": None}, "refused"),
    ({"withdrawn_on": TODAY + timedelta(days=1)}, "shown"),
    ({"withdrawn_on": TODAY}, "refused"),
    ({"expires_on": TODAY}, "shown"),
    ({"expires_on": TODAY - timedelta(days=1)}, "refused"),
    ({"item": "财务信息"}, "refused"),
    ({"matter_id": "another"}, "refused"),
    ({"matter_id": None}, "shown"),
    ({"recipient": "czj"}, "refused"),
    ({"recipient": None}, "refused"),
]


def test_the_consent_must_be_live_for_this_purpose_and_recipient(house: House) -> None:
    lake, asked = FactLake(house), codes(*range(11, 11 + len(CONSENTS)))
    given = [consent(number, asked[number], **fields) for number, (fields, _) in enumerate(CONSENTS)]
    lake.put("consent", TODAY, given)
    refresh.refresh(house)
    bank = house.at(lambda: CLOCK[0])
    for number, (code, (fields, outcome)) in enumerate(zip(asked, CONSENTS, strict=True)):
        assert ask(at(bank, 9 + number / 10), code)["outcome"] == outcome, fields
        blank = dict.fromkeys(column.name for column in CONSENT.columns)
        assert live([{**blank, **given[number]}], TODAY) == DeskFacts(bank.desk, 1).known(code, TODAY).consents


def test_a_consent_withdrawn_a_moment_ago_is_none_though_the_desk_does_not_know_yet(house: House) -> None:
    lake = FactLake(house)
    lake.put("consent", TODAY, [consent(1, GOOD)])
    refresh.refresh(house)
    assert ask(house, GOOD)["outcome"] == "shown"
    lake.put("subject", TODAY, [{"uscc": GOOD, "name": "示例甲有限公司"}])
    assert desk_knows(house, ["consents"])
    lake.put("consent", TODAY, [consent(1, GOOD, withdrawn_on=TODAY)])
    assert not desk_knows(house, ["consents"])
    assert ask(house, GOOD)["outcome"] == "refused"


class _Nobody:
    """Facts of nobody: limits do not need a lake."""

    def known(self, uscc: str, on: Any) -> Known:
        return Known(None, None, None, None, (), False, False, False, ())


def test_calls_are_limited_by_minute_and_day_for_each_account(bank: House) -> None:
    def call(hour: float, account: str = "bank") -> str:
        return lookup.answer(at(bank, hour, 2), account, GOOD, LOAN, TODAY, facts=_Nobody()).outcome

    assert [call(9) for _ in range(12)] == ["refused"] * 10 + ["limited"] * 2
    assert call(9, "partner") == "refused"
    assert call(9 + 59 / 3600) == "limited"
    assert call(9 + 60 / 3600) == "refused"
    # 189 more fit into the day, ten a minute.
    outcomes = [call(10 + minute / 60) for minute in range(19) for _ in range(10)]
    assert (outcomes.count("refused"), outcomes.count("limited")) == (189, 1)
    assert call(17.9) == "limited"
    assert lookup.answer(at(bank, 8, 3), "bank", GOOD, LOAN, TODAY, facts=_Nobody()).outcome == "refused"


def test_nothing_is_answered_outside_of_the_hours(bank: House) -> None:
    for hour, outcome in ((7.99, "closed"), (8, "shown"), (17.99, "shown"), (18, "closed"), (23, "closed")):
        assert lookup.answer(at(bank, hour, 4), "bank", GOOD, LOAN, TODAY).outcome == outcome
    with bank.ledger.begin() as session:
        looks = access.looks(session, since=at(bank, 0, 4).clock(), what="lookup")
    assert [look.outcome for look in looks].count("closed") == 3


def test_only_partners_ask_and_only_with_a_purpose(bank: House) -> None:
    for account in ("zjj", "auditor", "operator", "nobody"):
        with pytest.raises(NotPermittedError):
            lookup.answer(bank, account, GOOD, LOAN, TODAY)
    for purpose in ("", "  ", "长" * 129):
        with pytest.raises(ConfigError):
            lookup.answer(bank, "bank", GOOD, purpose, TODAY)


def test_the_rules_are_the_policy_of_the_day(bank: House, tmp_path: Path) -> None:
    """A policy that shares nothing: the answer changes with the file, with no restart."""
    import shutil

    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin"))
    house = replace(at(bank, days=5), include=include)
    assert ask(house, GOOD)["outcome"] == "shown"
    path = include / "policy/licheng-2020-2/sharing.yml"
    content = yamlfile.read(path)
    content["rules"]["sharing.consent_given"]["decision"] = "BLOCK"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    assert ask(house, GOOD)["outcome"] == "refused"


def test_a_refusal_takes_as_long_whether_or_not_there_is_such_a_subject(bank: House) -> None:
    """By construction the work is the same; a way out that was left open would show as a multiple."""
    taken: dict[str, list[float]] = {SILENT: [], codes(78)[0]: [], "no code": []}
    for turn in range(30):
        for code in taken:
            house = at(bank, 8 + turn / 4, 6)
            assert desk_knows(house, ["consents"])
            begun = time.perf_counter()
            assert lookup.answer(house, "bank", code, LOAN, TODAY).outcome == "refused"
            taken[code].append(time.perf_counter() - begun)
    medians = [statistics.median(times[5:]) for times in taken.values()]
    assert max(medians) < 2 * min(medians)
