"""The annual-report countdown: who is told, what it says, what changed since, and the days around the deadline."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from sqlalchemy import select

from chengxin import warn
from chengxin.clock import BEIJING
from chengxin.ledger.messages import Message
from chengxin.settings import House
from chengxin.warn.planning import compose
from chengxin.warn.words import district_of

from .conftest import DAY, Catcher, Scene, body, code, go, subjects, workbook_of

HUASHAN, ELSEWHERE = "370112007002", "370199001001"


def test_each_desk_gets_its_own(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(
        DAY,
        [
            *subjects(3, industry="E"),
            *subjects(2, 11, area_code=HUASHAN, kind="个体工商户", industry="A"),
            *subjects(1, 21, area_code="370171003001", kind="农民专业合作社", industry="A"),
            *subjects(1, 31, area_code=ELSEWHERE, industry="P"),
            *subjects(4, 41, status="ON_TIME"),
            *subjects(1, 51, status="REVIEW"),
        ],
    )
    arrived = go(office, DAY, catcher)
    titles = {box.removesuffix("/countdown"): str(mail["Subject"]) for box, mail in arrived.items()}
    head = "【年报公示预警】距6月30日还有15天："
    assert titles == {
        "wangsheren": f"{head}王舍人街道尚有3户未报送2025年度年报",
        "wangsheren.head": f"{head}王舍人街道尚有3户未报送2025年度年报",
        "huashan": f"{head}华山街道尚有2户未报送2025年度年报",
        "huashan.head": f"{head}华山街道尚有2户未报送2025年度年报",
        "lingang": f"{head}临港开发区尚有1户未报送2025年度年报",
        "lingang.head": f"{head}临港开发区尚有1户未报送2025年度年报",
        "zjj": f"{head}区住建局主管行业尚有3户未报送2025年度年报",
        "zjj.head": f"{head}区住建局主管行业尚有3户未报送2025年度年报",
        "nyj": f"{head}区农业农村局主管行业尚有3户未报送2025年度年报",
        "nyj.head": f"{head}区农业农村局主管行业尚有3户未报送2025年度年报",
        "scjg": f"{head}全区尚有7户未报送2025年度年报",
        "scjg.head": f"{head}全区尚有7户未报送2025年度年报",
    }


def test_an_unknown_area_goes_to_the_default_desk_and_is_signalled(office: House, scene: Scene) -> None:
    scene.ready()
    scene.filings(DAY, [*subjects(2, area_code=ELSEWHERE), *subjects(1, 11, area_code=None)])
    planned = compose(office, DAY)
    assert {draft.department for draft in planned.drafts} == {"scjg"}
    assert planned.signals.unrouted_subjects == 3


def test_planning_again_adds_nothing(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(3))
    assert len(go(office, DAY, catcher)) == 4
    assert go(office, DAY, catcher) == {}
    scene.filings(DAY, subjects(2, 21))  # later the same day: the stage was told
    assert go(office, DAY, catcher) == {}
    assert warn.summary(office, DAY) == {"planned": 4, "sent": 4, "refused": 0, "unknown": 0}


def test_days_between_stages_are_quiet(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(3))
    go(office, DAY, catcher)
    for ahead in (1, 7):
        day = DAY + timedelta(days=ahead)
        scene.ready(day)
        assert go(office, day, catcher) == {}, day


def test_what_changed_since_the_last_mail(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(10))
    first = go(office, DAY, catcher)["wangsheren/countdown"]
    assert "上次提醒" not in body(first)
    day = date(2026, 6, 23)
    scene.ready(day)
    scene.filings(
        day,
        [*subjects(4, status="ON_TIME"), *subjects(1, 5, status="NOT_DUE"), *subjects(2, 21)],
    )
    second = go(office, day, catcher)["wangsheren/countdown"]
    assert "与6月15日的上次提醒相比：已报送4户，新增2户，因注销、迁移等移出1户。" in body(second)
    assert "尚有7户" in str(second["Subject"])
    assert second["References"] == first["References"]
    assert second["Message-ID"] != first["Message-ID"]


def test_who_filed_is_not_among_those_who_left(office: House, scene: Scene, catcher: Catcher) -> None:
    """Late, corrected too late, or deregistered after filing: each has filed; the deregistered without has not."""
    day = date(2026, 7, 7)
    scene.ready(date(2026, 7, 1))
    scene.filings(date(2026, 7, 1), subjects(8, status="OVERDUE"))
    go(office, date(2026, 7, 1), catcher)
    scene.ready(day)
    scene.filings(
        day,
        [
            *subjects(1, status="LATE"),
            *subjects(2, 2, status="CORRECTION_TOO_LATE"),
            *subjects(3, 4, status="NOT_DUE"),
        ],
    )
    scene.facts(
        "annual_report", day,
        [
            {"uscc": code(4), "report_year": 2025, "submitted_at": datetime(2026, 7, 2, tzinfo=BEIJING)},
            {"uscc": code(5), "report_year": 2024, "submitted_at": datetime(2025, 5, 1, tzinfo=BEIJING)},
            {"uscc": code(6), "report_year": 2025, "submitted_at": datetime(2026, 7, 8, tzinfo=BEIJING)},
        ],
        "uscc", "report_year",
    )  # fmt: skip
    text = body(go(office, day, catcher)["wangsheren/countdown"])
    assert "与7月1日的上次提醒相比：已报送4户，因注销、迁移等移出2户。" in text


def test_a_missed_day_sends_the_latest_stage_only(office: House, scene: Scene, catcher: Catcher) -> None:
    day = date(2026, 6, 24)  # the stages of 15 and 23 June were missed
    scene.ready(day)
    scene.filings(day, subjects(3))
    arrived = go(office, day, catcher)
    assert "距6月30日还有6天" in str(arrived["wangsheren/countdown"]["Subject"])
    with office.ledger.begin() as session:
        assert set(session.scalars(select(Message.stage))) == {"T-7"}


def test_waiting_mail_is_brought_up_to_date(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(3))
    warn.plan(office, DAY)
    day = DAY + timedelta(days=1)
    scene.ready(day)
    scene.filings(day, subjects(1, status="ON_TIME"))
    arrived = go(office, day, catcher)
    assert "距6月30日还有14天：王舍人街道尚有2户" in str(arrived["wangsheren/countdown"]["Subject"])
    assert len(arrived) == 4


def test_the_tighter_stage_where_two_meet(office: House, scene: Scene, catcher: Catcher) -> None:
    day = date(2025, 6, 27)  # T-3, and T-1 of a Sunday
    scene.ready(day)
    scene.filings(day, subjects(1, report_year=2024))
    arrived = go(office, day, catcher)
    assert str(arrived["wangsheren/countdown"]["Subject"]).startswith("【年报公示预警·最后3天】距6月30日还有3天")
    with office.ledger.begin() as session:
        assert set(session.scalars(select(Message.stage))) == {"T-1"}


@pytest.mark.parametrize(
    ("day", "starts", "says"),
    [
        (date(2026, 6, 29), "【年报公示预警·最后1天】距6月30日还有1天：", "请在6月30日24时前"),
        (date(2026, 6, 30), "【今日24时截止】2025年度年报公示：王舍人街道尚有3户", "24时截止"),
        (
            date(2026, 7, 1),
            "【逾期提醒】2025年度年报公示已截止：王舍人街道3户未报，预计7月14日前列入经营异常名录",
            "个体工商户被标记为经营异常状态",
        ),
        (
            date(2026, 7, 30),
            "【逾期提醒】2025年度年报公示已截止：王舍人街道3户未报，请尽快督促补报",
            "应于7月14日前",
        ),
    ],
)
def test_around_the_deadline(office: House, scene: Scene, catcher: Catcher, day: date, starts: str, says: str) -> None:
    scene.ready(day)
    scene.filings(day, subjects(3, status="OVERDUE" if day.month == 7 else "DUE"))
    mail = go(office, day, catcher)["wangsheren/countdown"]
    assert str(mail["Subject"]).startswith(starts)
    assert says in body(mail)


def test_after_the_deadline_the_supervisor_gets_numbers_and_no_names(
    office: House, scene: Scene, catcher: Catcher
) -> None:
    day = date(2026, 7, 1)
    scene.ready(day)
    scene.filings(day, [*subjects(3, status="OVERDUE"), *subjects(2, 11, area_code=HUASHAN, status="OVERDUE")])
    mail = go(office, day, catcher)["fgj/countdown"]
    assert "全区5户未报" in str(mail["Subject"])
    assert list(mail.iter_attachments()) == []
    assert "华山街道：企业 2，" in body(mail)
    assert "历城样例" not in body(mail) + body(mail, "html")


def test_streets_stand_in_the_order_of_their_codes(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, [*subjects(1, area_code=HUASHAN), *subjects(5, 11), *subjects(3, 21, area_code="370112001001")])
    text = body(go(office, DAY, catcher)["scjg/countdown"])
    assert text.index("山大路街道") < text.index("华山街道") < text.index("王舍人街道")
    assert "不作排名" in text
    assert "率" not in text


def test_everything_filed_is_told_once(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(3))
    go(office, DAY, catcher)
    day = date(2026, 6, 23)
    scene.ready(day)
    scene.filings(day, subjects(3, status="ON_TIME"))
    arrived = go(office, day, catcher)
    assert str(arrived["wangsheren/countdown"]["Subject"]) == "【年报公示】王舍人街道2025年度年报应报主体已全部报送"
    later = date(2026, 6, 26)
    scene.ready(later)
    assert go(office, later, catcher) == {}


def test_the_work_list(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(4))
    scene.facts(
        "annual_report", DAY,
        [
            {"uscc": code(2), "report_year": 2024, "submitted_at": datetime(2025, 5, 1, tzinfo=BEIJING)},
            {"uscc": code(3), "report_year": 2022, "submitted_at": datetime(2023, 5, 1, tzinfo=BEIJING)},
        ],
        "uscc", "report_year",
    )  # fmt: skip
    scene.facts(
        "matter", DAY, [{"matter_id": "M1", "state": "待办"}, {"matter_id": "M2", "state": "办结"}], "matter_id"
    )
    scene.facts(
        "applicant", DAY,
        [{"matter_id": m, "applicant_no": "1", "uscc": u} for m, u in (("M1", code(4)), ("M2", code(1)))],
        "matter_id", "applicant_no",
    )  # fmt: skip
    mail = go(office, DAY, catcher)["wangsheren/countdown"]
    rows = list(workbook_of(mail).iter_rows(values_only=True))
    heads = rows.index(next(row for row in rows if row[0] == "主体名称"))
    table = [dict(zip(rows[heads], row, strict=True)) for row in rows[heads + 1 :]]
    assert [row["主体名称"] for row in table] == [f"历城样例{n:03d}有限公司" for n in (4, 1, 3, 2)]
    assert table[0]["在办事项"] == "1"
    assert [row["上次报送年度"] for row in table] == ["无记录", "无记录", "2022年度", "2024年度"]
    assert {row["属地"] for row in table} == {"王舍人街道办事处"}
    assert {row["行业门类"] for row in table} == {"批发和零售业"}
    shown = {row["统一社会信用代码（脱敏）"] for row in table}
    assert shown == {f"{code(n)[:4]}**********{code(n)[-4:]}" for n in range(1, 5)}
    assert "先办这些" in body(mail)


def test_no_full_code_leaves_the_house(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(3))
    scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
    go(office, DAY, catcher)
    for mail in catcher.mails():
        cells = [str(cell) for row in workbook_of(mail).iter_rows(values_only=True) for cell in row]
        everything = str(mail["Subject"]) + body(mail) + body(mail, "html") + "".join(cells)
        assert not any(code(n) in everything for n in range(5))


def test_a_cut_list_says_so(office: House, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.ready()
    scene.filings(DAY, subjects(5))
    district = district_of(office)
    small = district.model_copy(update={"mail": district.mail.model_copy(update={"work_list_rows": 2})})
    draft = next(draft for draft in compose(office, DAY, small).drafts if draft.department == "wangsheren")
    mail = message_from_bytes(draft.content, policy=policy.default)
    assert "附件列出先办的2户" in body(mail)  # type: ignore[arg-type]
    assert workbook_of(mail).max_row == 2 + 1 + 2  # type: ignore[arg-type]
