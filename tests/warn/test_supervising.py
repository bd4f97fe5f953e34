"""The monthly report to the supervising bodies: numbers by unit, agencies, once per month."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

from chengxin import warn
from chengxin.clock import BEIJING
from chengxin.ledger import decisions
from chengxin.ledger.decisions import New
from chengxin.settings import House
from chengxin.warn import supervising
from chengxin.warn.words import district_of

from .conftest import Catcher, Scene, body

JULY = date(2026, 7, 2)


def _report(number: str, agency: str) -> dict[str, Any]:
    return {"report_no": number, "agency_name": agency, "natural_key": number}


def _month(scene: Scene) -> None:
    """Advice of May that still held in June, of June, and of July."""
    scene.advice(date(2026, 5, 20), [{"matter_id": "M1"}, {"matter_id": "M2", "decision": "PASS", "reasons": []}])
    scene.advice(date(2026, 6, 3), [{"matter_id": "M1", "decision": "PASS", "reasons": []}])
    scene.advice(
        date(2026, 6, 10),
        [
            {"matter_id": "M3", "advice_id": "M3/1", "department": "czj"},
            {"matter_id": "M3", "advice_id": "M3/2", "department": "czj", "decision": "PASS", "reasons": []},
        ],
    )
    scene.advice(date(2026, 7, 1), [{"matter_id": "M9", "department": "gzw"}])
    scene.facts(
        "credit_report", date(2026, 6, 1), [_report("R1", "样例征信甲"), _report("R2", "样例征信甲")], "report_no"
    )
    finding = {
        "reasons": ["AGENCY_NOT_FILED"], "rule": "report.agency_not_filed", "evidence_table": "credit_report",
    }  # fmt: skip
    scene.findings(
        date(2026, 6, 10),
        [
            {"finding_id": "F1", "advice_id": "M3/1", "evidence_key": "R1", **finding},
            {"finding_id": "F2", "advice_id": "M1/1", "evidence_key": "R2", **finding},
            {"finding_id": "F3", "advice_id": "M1/1", "evidence_key": "R2", **finding, "reading": "guarded"},
        ],
    )
    scene.checked(date(2026, 6, 10))
    scene.checked(date(2026, 6, 11))
    scene.checked(date(2026, 7, 1))


def test_the_numbers_of_a_month(office: House, scene: Scene) -> None:
    _month(scene)
    used = supervising.use(office, district_of(office), JULY)
    assert (used.month, used.runs) == ("2026-06", 2)
    assert used.units.astype(object).values.tolist() == [["zjj", 2, 2, 1, 0, 0], ["czj", 1, 2, 1, 0, 0]]
    (agency,) = used.agencies.to_dict("records")
    assert (agency["name"], agency["reports"], list(agency["departments"])) == ("样例征信甲", 2, ["czj", "zjj"])


def test_told_once_to_each_supervising_body(office: House, scene: Scene, catcher: Catcher) -> None:
    _month(scene)
    there = office.at(lambda: datetime(2026, 7, 2, 10, tzinfo=BEIJING))
    assert warn.supervise(there, JULY) == {"sent": 2, "refused": 0, "unknown": 0, "planned": 0}
    assert sorted(mail["To"].addresses[0].addr_spec for mail in catcher.mails()) == [
        "fgj@licheng.example",
        "jrj@licheng.example",
    ]
    mail = catcher.mails()[0]
    assert str(mail["Subject"]) == "【信用使用月报】2026年6月：事项3件、核查4户次、缺报告2户次"
    text = body(mail)
    assert "区住建局：事项 2，核查 2，缺报告 1，作为考量 未记录" in text
    assert "承办人员没有登记决定" in text
    assert "样例征信甲：2份，涉及 区财政局、区住建局" in text
    assert "M1" not in text
    assert "历城样例一建设有限公司" not in text
    # Later in the month, and with more known by then: the month was told.
    scene.advice(date(2026, 6, 30), [{"matter_id": "M8"}])
    assert warn.supervise(there, date(2026, 7, 20))["sent"] == 0
    assert len(catcher.accepted) == 2


def test_recorded_decisions_say_how_often_the_credit_was_weighed(office: House, scene: Scene, catcher: Catcher) -> None:
    _month(scene)
    made = New(
        district="370112", advice_id="M3/1", matter_id="M3", department="czj", account="czj", signature="officer/czj",
        name="样例承办员甲", decision="PASS", weighed="scored", words="", advised="PASS", against=False,
        disputed=False, policy_version="v1", reason="另有说明",
    )  # fmt: skip
    with office.ledger.begin() as session:
        decisions.add(session, datetime(2026, 6, 12, 10, tzinfo=BEIJING), made)
        again = replace(made, advice_id="M3/2", weighed="not_weighed")
        decisions.add(session, datetime(2026, 6, 30, 10, tzinfo=BEIJING), again)
        decisions.add(session, datetime(2026, 7, 1, 10, tzinfo=BEIJING), replace(made, advice_id="M1/1"))
    used = supervising.use(office, district_of(office), JULY)
    assert used.units[["department", "decided", "weighed"]].values.tolist() == [["zjj", 0, 0], ["czj", 2, 1]]
    there = office.at(lambda: datetime(2026, 7, 2, 10, tzinfo=BEIJING))
    assert warn.supervise(there, JULY)["sent"] == 2
    text = body(catcher.mails()[0])
    assert "区财政局：事项 1，核查 2，缺报告 1，作为考量 1/2" in text
    assert "区住建局：事项 2，核查 2，缺报告 1，作为考量 未记录" in text
    assert "合计：事项 3，核查 4，缺报告 2，作为考量 1/2" in text
    assert "另有说明" not in text


def test_an_empty_month_is_told_too(office: House, scene: Scene, catcher: Catcher) -> None:
    there = office.at(lambda: datetime(2026, 3, 2, 10, tzinfo=BEIJING))
    assert warn.supervise(there, date(2026, 3, 2))["sent"] == 2
    text = body(catcher.mails()[0])
    assert "2026年2月全区共核查0件" in text
    assert "本月没有。" in text
