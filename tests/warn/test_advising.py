"""Advice that changed: what is news, what is none, and how it is told."""

from __future__ import annotations

from datetime import date, timedelta
from email.message import EmailMessage

from sqlalchemy import select

from chengxin.ledger import objections
from chengxin.ledger.objections import Objection
from chengxin.settings import House
from chengxin.warn.planning import compose

from .conftest import DAY, Catcher, Scene, body, go, workbook_of


def test_only_changes_are_told(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(
        DAY,
        [{"matter_id": f"LC-2026-000{n}"} for n in (1, 2)]
        + [{"matter_id": "LC-2026-0003", "decision": "PASS", "reasons": []}],
    )
    first = go(office, DAY, catcher)["zjj/advice"]
    assert str(first["Subject"]) == "【信用核查】2件待办事项缺少有效信用报告（区住建局）"
    assert "LC-2026-0003" not in body(first)
    assert go(office, DAY, catcher) == {}
    day = DAY + timedelta(days=1)
    scene.ready(day)
    scene.advice(
        day,
        [
            {
                "matter_id": "LC-2026-0001",
                "decision": "EXCLUDE",
                "reasons": ["LIST_SERIOUS"],
                "until": date(2029, 1, 5),
            },
            {"matter_id": "LC-2026-0004", "decision": "REVIEW", "reasons": ["RECORD_UNRECTIFIED"]},
        ],
    )
    second = go(office, day, catcher)["zjj/advice"]
    text = body(second)
    assert "【加重（1条）】" in text
    assert "不列入（至 2029-01-05）" in text
    assert "（原意见：需补报告）" in text
    assert "【新增（1条）】" in text
    assert "LC-2026-0002" not in text
    assert second["References"] == first["References"]


def test_cleared_is_told_once(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
    go(office, DAY, catcher)
    day = DAY + timedelta(days=1)
    scene.ready(day)
    scene.advice(day, [{"matter_id": "LC-2026-0001", "decision": "PASS", "reasons": []}])
    mail = go(office, day, catcher)["zjj/advice"]
    assert "另有1条原有问题已解除" in body(mail)
    assert [row[0] for row in workbook_of(mail).iter_rows(values_only=True)][-1] == "减轻或解除"
    assert go(office, day + timedelta(days=1), catcher) == {}


def test_there_and_back_again_is_news_each_time(office: House, scene: Scene, catcher: Catcher) -> None:
    for ahead, decision in enumerate(["NEED_REPORT", "RESTRICT", "NEED_REPORT", "RESTRICT"]):
        day = DAY + timedelta(days=ahead)
        scene.ready(day)
        scene.advice(day, [{"matter_id": "LC-2026-0001", "decision": decision, "reasons": ["LIST_ABNORMAL"]}])
        assert list(go(office, day, catcher)) == ["zjj/advice"], ahead
    assert go(office, day, catcher) == {}


def test_running_an_earlier_day_again_sends_nothing(office: House, scene: Scene, catcher: Catcher) -> None:
    for ahead, decision in enumerate(["NEED_REPORT", "RESTRICT"]):
        scene.ready(DAY + timedelta(days=ahead))
        scene.advice(DAY + timedelta(days=ahead), [{"matter_id": "LC-2026-0001", "decision": decision}])
        go(office, DAY + timedelta(days=ahead), catcher)
    assert go(office, DAY, catcher) == {}


def test_another_record_under_the_same_outcome_is_news(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1", "decision": "EXCLUDE", "reasons": ["RECORD_UNRECTIFIED"]}])
    record = {
        "advice_id": "M1/1",
        "matter_id": "M1",
        "evidence_table": "credit_record",
        "evidence_source": "credit_records",
    }
    scene.findings(DAY, [{**record, "finding_id": "F1", "evidence_key": "A", "evidence_seq": 1}])
    assert len(go(office, DAY, catcher)) == 1
    day = DAY + timedelta(days=1)
    scene.ready(day)
    scene.findings(day, [{**record, "finding_id": "F1", "evidence_key": "A", "evidence_seq": 7}])
    assert go(office, day, catcher) == {}  # the same record, observed again
    scene.findings(day, [{**record, "finding_id": "F2", "evidence_key": "B", "evidence_seq": 8}])
    assert list(go(office, day, catcher)) == ["zjj/advice"]


def test_a_source_growing_older_is_no_news(office: House, scene: Scene, catcher: Catcher) -> None:
    for ahead in range(2):
        day = DAY + timedelta(days=ahead)
        scene.ready(day)
        scene.advice(
            day,
            [
                {
                    "matter_id": "M1",
                    "decision": "CANNOT_TELL",
                    "reasons": ["SOURCE_STALE"],
                    "stale_sources": [f"dishonest_debtors:{4 + ahead}"],
                    "policy_version": f"v{ahead}",
                }
            ],
        )
        arrived = go(office, day, catcher)
        assert len(arrived) == (1 if ahead == 0 else 0)
    assert "失信被执行人名单（4天前）" in body(catcher.mails()[0])


def test_both_readings_where_they_differ(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(
        DAY,
        [
            {
                "matter_id": "M1",
                "decision": "EXCLUDE",
                "reasons": ["RECORD_IN_FILE"],
                "guarded": "REVIEW",
                "guarded_reasons": ["RECORD_RECTIFIED"],
            },
            {"matter_id": "M2"},
        ],
    )
    text = body(go(office, DAY, catcher)["zjj/advice"])
    assert text.count("现行法规口径：") == 1
    assert "现行法规口径：人工考量（认定单位已确认整改合格）" in text


def test_one_restriction_has_a_subject_of_its_own(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(
        DAY,
        [
            {
                "matter_id": "LC-2026-0031",
                "matter_type": "政府采购",
                "department": "czj",
                "decision": "RESTRICT",
                "reasons": ["RECORD_UNRECTIFIED_IN_WINDOW"],
                "until": date(2027, 3, 10),
            }
        ],
    )
    mail = go(office, DAY, catcher)["czj/advice"]
    assert str(mail["Subject"]) == (
        "【信用核查·限制】政府采购事项LC-2026-0031：有未整改的失信记录，自认定之日起未满一年，请人工复核"
    )


def test_an_unknown_department_goes_to_the_default_desk(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1", "department": "nobody"}, {"matter_id": "M2", "department": None}])
    assert compose(office, DAY).signals.unrouted_advice == 2
    assert list(go(office, DAY, catcher)) == ["scjg/advice"]


def test_a_refused_mail_counts_as_not_said(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    catcher.script = ["refuse", "accept"]
    assert go(office, DAY, catcher) == {}
    day = DAY + timedelta(days=1)
    scene.ready(day)
    scene.advice(day, [{"matter_id": "M2"}])
    assert "2件" in str(go(office, day, catcher)["zjj/advice"]["Subject"])


def test_a_matter_decided_is_counted_and_no_reason_for_a_mail(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}, {"matter_id": "M2"}])
    go(office, DAY, catcher)
    day = DAY + timedelta(days=1)
    scene.ready(day)
    scene.advice(day, [{"matter_id": "M1", "removed": True}])
    assert go(office, day, catcher) == {}
    scene.advice(day, [{"matter_id": "M3"}])
    assert "此前提示过的1条，因事项已办结或者撤回" in body(go(office, day, catcher)["zjj/advice"])


def _object(house: House, matter: str, *, settled: bool = False) -> None:
    """An objection to the advice of a matter's first applicant; or the settling of the one there is."""
    with house.ledger.begin() as session:
        if settled:
            row = session.scalars(select(Objection).where(Objection.advice_id == f"{matter}/1")).one()
            objections.settle(session, house.clock(), "officer/zjj", row, "rejected", "核实无误")
            return
        row = Objection(
            received_on=DAY, district=house.district, advice_id=f"{matter}/1", matter_id=matter, department="zjj",
            received_by="zjj",
        )  # fmt: skip
        objections.add(session, house.clock(), "officer/zjj", row, "不是我们公司")


def _marks(mail: EmailMessage) -> dict[str, str]:
    """Matter → what the work list says of objections."""
    rows = [row for row in workbook_of(mail).iter_rows(values_only=True) if row[1] is not None]
    heads = rows[0]
    return {row[heads.index("事项编号")]: row[heads.index("异议")] or "" for row in rows[1:]}


def test_disputed_advice_is_marked(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": f"LC-2026-000{n}"} for n in (1, 2, 3)])
    _object(office, "LC-2026-0002")
    _object(office, "LC-2026-0003")
    _object(office, "LC-2026-0003", settled=True)
    mail = go(office, DAY, catcher)["zjj/advice"]
    assert _marks(mail) == {"LC-2026-0001": "", "LC-2026-0002": "有异议，处理中", "LC-2026-0003": ""}
    for kind in ("plain", "html"):
        items = body(mail, kind).split("LC-2026-000")[1:]
        assert [item[0] for item in items if "有异议，处理中" in item.partition("其中")[0]] == ["2"], kind
        assert "其中1条有异议，处理中：了结前作出决定的，须写明理由" in body(mail, kind)


def test_an_objection_alone_sends_no_mail(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "LC-2026-0001"}, {"matter_id": "LC-2026-0002"}])
    assert "异议" not in body(go(office, DAY, catcher)["zjj/advice"])
    for ahead, settled in enumerate((False, True)):
        _object(office, "LC-2026-0001", settled=settled)
        assert go(office, DAY, catcher) == {}
        day = DAY + timedelta(days=1 + ahead)
        scene.ready(day)
        assert go(office, day, catcher) == {}


def test_disputed_advice_that_changes_is_told_with_its_mark(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
    go(office, DAY, catcher)
    _object(office, "LC-2026-0001")
    day = DAY + timedelta(days=1)
    scene.ready(day)
    scene.advice(day, [{"matter_id": "LC-2026-0001", "decision": "EXCLUDE", "reasons": ["LIST_SERIOUS"]}])
    assert _marks(go(office, day, catcher)["zjj/advice"]) == {"LC-2026-0001": "有异议，处理中"}
