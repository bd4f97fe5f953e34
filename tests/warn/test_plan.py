"""What is planned on a day, for whom, and what it says; and what a second plan adds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import select

from chengxin import warn
from chengxin.clock import BEIJING
from chengxin.errors import ChengxinError
from chengxin.ledger import outbox
from chengxin.ledger.messages import Message
from chengxin.settings import House
from chengxin.warn import planning
from chengxin.warn.planning import compose

from .conftest import DAY, Catcher, Scene, body, code, workbook_of

WANGSHEREN, HUASHAN, ELSEWHERE = "370112009001", "370112007002", "370199001001"


def _subjects(count: int, start: int = 1, **more: Any) -> list[dict[str, Any]]:
    return [{"uscc": code(n), "name": f"历城样例{n:03d}有限公司"} | more for n in range(start, start + count)]


def _day(house: House, day: date) -> House:
    return house.at(lambda: datetime(day.year, day.month, day.day, 8, tzinfo=BEIJING))


def _go(house: House, day: date, catcher: Catcher) -> dict[str, EmailMessage]:
    """Plans and sends a day; what arrived, by recipient and kind."""
    before = len(catcher.accepted)
    there = _day(house, day)
    for unit in warn.plan(there, day):
        warn.send(there, day, unit)
    arrived = {}
    for mail in catcher.mails()[before:]:
        kind = "advice" if "信用核查" in str(mail["Subject"]) else "countdown"
        arrived[f"{mail['To'].addresses[0].username}/{kind}"] = mail
    assert len(arrived) == len(catcher.accepted) - before
    return arrived


class TestCountdown:
    """The annual-report countdown."""

    def test_each_desk_gets_its_own(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(
            DAY,
            [
                *_subjects(3, industry="E"),
                *_subjects(2, 11, area_code=HUASHAN, kind="个体工商户", industry="A"),
                *_subjects(1, 21, area_code="370171003001", kind="农民专业合作社", industry="A"),
                *_subjects(1, 31, area_code=ELSEWHERE, industry="P"),
                *_subjects(4, 41, status="ON_TIME"),
                *_subjects(1, 51, status="REVIEW"),
            ],
        )
        arrived = _go(office, DAY, catcher)
        subjects = {box.removesuffix("/countdown"): str(mail["Subject"]) for box, mail in arrived.items()}
        head = "【年报公示预警】距6月30日还有15天："
        assert subjects == {
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

    def test_an_unknown_area_goes_to_the_default_desk_and_is_signalled(self, office: House, scene: Scene) -> None:
        scene.ready()
        scene.filings(DAY, [*_subjects(2, area_code=ELSEWHERE), *_subjects(1, 11, area_code=None)])
        planned = compose(office, DAY)
        assert {draft.department for draft in planned.drafts} == {"scjg"}
        assert planned.signals.unrouted_subjects == 3

    def test_planning_again_adds_nothing(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, _subjects(3))
        assert len(_go(office, DAY, catcher)) == 4
        assert _go(office, DAY, catcher) == {}
        scene.filings(DAY, _subjects(2, 21))  # later the same day: the stage was told
        assert _go(office, DAY, catcher) == {}
        assert warn.summary(office, DAY) == {"planned": 4, "sent": 4, "refused": 0, "unknown": 0}

    def test_days_between_stages_are_quiet(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, _subjects(3))
        _go(office, DAY, catcher)
        for ahead in (1, 7):
            day = DAY + timedelta(days=ahead)
            scene.ready(day)
            assert _go(office, day, catcher) == {}, day

    def test_what_changed_since_the_last_mail(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, _subjects(10))
        first = _go(office, DAY, catcher)["wangsheren/countdown"]
        assert "上次提醒" not in body(first)
        day = date(2026, 6, 23)
        scene.ready(day)
        scene.filings(
            day,
            [*_subjects(4, status="ON_TIME"), *_subjects(1, 5, status="NOT_DUE"), *_subjects(2, 21)],
        )
        second = _go(office, day, catcher)["wangsheren/countdown"]
        assert "与6月15日的上次提醒相比：已报送4户，新增2户，因注销、迁移等移出1户。" in body(second)
        assert "尚有7户" in str(second["Subject"])
        assert second["References"] == first["References"]
        assert second["Message-ID"] != first["Message-ID"]

    def test_who_filed_is_not_among_those_who_left(self, office: House, scene: Scene, catcher: Catcher) -> None:
        """Late, corrected too late, or deregistered after filing: each has filed; the deregistered without has not."""
        day = date(2026, 7, 7)
        scene.ready(date(2026, 7, 1))
        scene.filings(date(2026, 7, 1), _subjects(8, status="OVERDUE"))
        _go(office, date(2026, 7, 1), catcher)
        scene.ready(day)
        scene.filings(
            day,
            [
                *_subjects(1, status="LATE"),
                *_subjects(2, 2, status="CORRECTION_TOO_LATE"),
                *_subjects(3, 4, status="NOT_DUE"),
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
        text = body(_go(office, day, catcher)["wangsheren/countdown"])
        assert "与7月1日的上次提醒相比：已报送4户，因注销、迁移等移出2户。" in text

    def test_a_missed_day_sends_the_latest_stage_only(self, office: House, scene: Scene, catcher: Catcher) -> None:
        day = date(2026, 6, 24)  # the stages of 15 and 23 June were missed
        scene.ready(day)
        scene.filings(day, _subjects(3))
        arrived = _go(office, day, catcher)
        assert "距6月30日还有6天" in str(arrived["wangsheren/countdown"]["Subject"])
        with office.ledger.begin() as session:
            assert set(session.scalars(select(Message.stage))) == {"T-7"}

    def test_waiting_mail_is_brought_up_to_date(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, _subjects(3))
        warn.plan(office, DAY)
        day = DAY + timedelta(days=1)
        scene.ready(day)
        scene.filings(day, _subjects(1, status="ON_TIME"))
        arrived = _go(office, day, catcher)
        assert "距6月30日还有14天：王舍人街道尚有2户" in str(arrived["wangsheren/countdown"]["Subject"])
        assert len(arrived) == 4

    def test_the_tighter_stage_where_two_meet(self, office: House, scene: Scene, catcher: Catcher) -> None:
        day = date(2025, 6, 27)  # T-3, and T-1 of a Sunday
        scene.ready(day)
        scene.filings(day, _subjects(1, report_year=2024))
        arrived = _go(office, day, catcher)
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
    def test_around_the_deadline(
        self, office: House, scene: Scene, catcher: Catcher, day: date, starts: str, says: str
    ) -> None:
        scene.ready(day)
        scene.filings(day, _subjects(3, status="OVERDUE" if day.month == 7 else "DUE"))
        mail = _go(office, day, catcher)["wangsheren/countdown"]
        assert str(mail["Subject"]).startswith(starts)
        assert says in body(mail)

    def test_after_the_deadline_the_supervisor_gets_numbers_and_no_names(
        self, office: House, scene: Scene, catcher: Catcher
    ) -> None:
        day = date(2026, 7, 1)
        scene.ready(day)
        scene.filings(day, [*_subjects(3, status="OVERDUE"), *_subjects(2, 11, area_code=HUASHAN, status="OVERDUE")])
        mail = _go(office, day, catcher)["fgj/countdown"]
        assert "全区5户未报" in str(mail["Subject"])
        assert list(mail.iter_attachments()) == []
        assert "华山街道：企业 2，" in body(mail)
        assert "历城样例" not in body(mail) + body(mail, "html")

    def test_streets_stand_in_the_order_of_their_codes(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(
            DAY, [*_subjects(1, area_code=HUASHAN), *_subjects(5, 11), *_subjects(3, 21, area_code="370112001001")]
        )
        text = body(_go(office, DAY, catcher)["scjg/countdown"])
        assert text.index("山大路街道") < text.index("华山街道") < text.index("王舍人街道")
        assert "不作排名" in text
        assert "率" not in text

    def test_everything_filed_is_told_once(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, _subjects(3))
        _go(office, DAY, catcher)
        day = date(2026, 6, 23)
        scene.ready(day)
        scene.filings(day, _subjects(3, status="ON_TIME"))
        arrived = _go(office, day, catcher)
        assert str(arrived["wangsheren/countdown"]["Subject"]) == "【年报公示】王舍人街道2025年度年报应报主体已全部报送"
        later = date(2026, 6, 26)
        scene.ready(later)
        assert _go(office, later, catcher) == {}

    def test_the_work_list(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, _subjects(4))
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
        mail = _go(office, DAY, catcher)["wangsheren/countdown"]
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

    def test_no_full_code_leaves_the_house(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, _subjects(3))
        scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
        _go(office, DAY, catcher)
        for mail in catcher.mails():
            cells = [str(cell) for row in workbook_of(mail).iter_rows(values_only=True) for cell in row]
            everything = str(mail["Subject"]) + body(mail) + body(mail, "html") + "".join(cells)
            assert not any(code(n) in everything for n in range(5))

    def test_a_cut_list_says_so(self, office: House, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        scene.ready()
        scene.filings(DAY, _subjects(5))
        from chengxin.warn.words import district_of

        district = district_of(office)
        small = district.model_copy(update={"mail": district.mail.model_copy(update={"work_list_rows": 2})})
        draft = next(draft for draft in compose(office, DAY, small).drafts if draft.department == "wangsheren")
        from email import message_from_bytes, policy

        mail = message_from_bytes(draft.content, policy=policy.default)
        assert "附件列出先办的2户" in body(mail)  # type: ignore[arg-type]
        assert workbook_of(mail).max_row == 2 + 1 + 2  # type: ignore[arg-type]


class TestGround:
    """What the lists rest on."""

    @pytest.mark.parametrize("source", ["subject_registry", "annual_reports"])
    def test_old_sources_withhold_the_list(self, office: House, scene: Scene, catcher: Catcher, source: str) -> None:
        scene.ready(DAY - timedelta(days=4))
        scene.harvested(DAY, only=tuple({"subject_registry", "annual_reports", "matters"} - {source}))
        scene.checked(DAY)
        scene.filings(DAY, _subjects(3))
        arrived = _go(office, DAY, catcher)
        assert {str(mail["Subject"]) for mail in arrived.values()} == {
            "【数据异常】2025年度年报公示距6月30日还有15天：本期未报送名单暂缓"
        }
        mail = arrived["wangsheren/countdown"]
        assert "已4天未更新" in body(mail)
        assert list(mail.iter_attachments()) == []
        assert len(arrived) == len(planning.addressable(planning.district_of(office)))
        assert compose(office, DAY).signals.lists_withheld

    def test_a_stopped_batch_withholds_the_list(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready(DAY - timedelta(days=1))
        scene.checked(DAY)
        scene.harvested(DAY, only=("annual_reports",), state="stopped", cause="bound")
        scene.filings(DAY, _subjects(3))
        assert "本批数量异常" in body(_go(office, DAY, catcher)["wangsheren/countdown"])

    def test_no_check_withholds_the_list(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.harvested(DAY)
        scene.filings(DAY, _subjects(3))
        assert "当日核查尚未完成" in body(_go(office, DAY, catcher)["wangsheren/countdown"])

    def test_the_list_follows_once_the_data_is_back(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.filings(DAY, _subjects(3))
        assert "wangsheren/countdown" in _go(office, DAY, catcher)
        assert _go(office, DAY, catcher) == {}
        scene.ready()
        again = _go(office, DAY, catcher)
        assert "尚有3户" in str(again["wangsheren/countdown"]["Subject"])
        scene.harvested(DAY, state="stopped", cause="bound")  # and it goes again: what was told stays told
        assert _go(office, DAY, catcher) == {}

    def test_between_stages_nothing_is_said_about_it(self, office: House, scene: Scene, catcher: Catcher) -> None:
        day = DAY + timedelta(days=1)
        scene.filings(day, _subjects(3))
        assert _go(office, day, catcher) == {}

    def test_the_mail_says_how_old_each_source_is(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.harvested(DAY - timedelta(days=1))
        scene.harvested(DAY, only=("subject_registry",))
        scene.checked(DAY)
        scene.filings(DAY, _subjects(1))
        text = body(_go(office, DAY, catcher)["wangsheren/countdown"])
        assert "数据截至：6月14日（1天前）：年度报告基本信息；6月15日（当日）：市场主体登记信息。" in text


class TestAdvice:
    """Advice that changed."""

    def test_only_changes_are_told(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.advice(
            DAY,
            [{"matter_id": f"LC-2026-000{n}"} for n in (1, 2)]
            + [{"matter_id": "LC-2026-0003", "decision": "PASS", "reasons": []}],
        )
        first = _go(office, DAY, catcher)["zjj/advice"]
        assert str(first["Subject"]) == "【信用核查】2件待办事项缺少有效信用报告（区住建局）"
        assert "LC-2026-0003" not in body(first)
        assert _go(office, DAY, catcher) == {}
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
        second = _go(office, day, catcher)["zjj/advice"]
        text = body(second)
        assert "【加重（1条）】" in text
        assert "不列入（至 2029-01-05）" in text
        assert "（原意见：需补报告）" in text
        assert "【新增（1条）】" in text
        assert "LC-2026-0002" not in text
        assert second["References"] == first["References"]

    def test_cleared_is_told_once(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "LC-2026-0001"}])
        _go(office, DAY, catcher)
        day = DAY + timedelta(days=1)
        scene.ready(day)
        scene.advice(day, [{"matter_id": "LC-2026-0001", "decision": "PASS", "reasons": []}])
        mail = _go(office, day, catcher)["zjj/advice"]
        assert "另有1条原有问题已解除" in body(mail)
        assert [row[0] for row in workbook_of(mail).iter_rows(values_only=True)][-1] == "减轻或解除"
        assert _go(office, day + timedelta(days=1), catcher) == {}

    def test_there_and_back_again_is_news_each_time(self, office: House, scene: Scene, catcher: Catcher) -> None:
        for ahead, decision in enumerate(["NEED_REPORT", "RESTRICT", "NEED_REPORT", "RESTRICT"]):
            day = DAY + timedelta(days=ahead)
            scene.ready(day)
            scene.advice(day, [{"matter_id": "LC-2026-0001", "decision": decision, "reasons": ["LIST_ABNORMAL"]}])
            assert list(_go(office, day, catcher)) == ["zjj/advice"], ahead
        assert _go(office, day, catcher) == {}

    def test_running_an_earlier_day_again_sends_nothing(self, office: House, scene: Scene, catcher: Catcher) -> None:
        for ahead, decision in enumerate(["NEED_REPORT", "RESTRICT"]):
            scene.ready(DAY + timedelta(days=ahead))
            scene.advice(DAY + timedelta(days=ahead), [{"matter_id": "LC-2026-0001", "decision": decision}])
            _go(office, DAY + timedelta(days=ahead), catcher)
        assert _go(office, DAY, catcher) == {}

    def test_another_record_under_the_same_outcome_is_news(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "M1", "decision": "EXCLUDE", "reasons": ["RECORD_UNRECTIFIED"]}])
        record = {
            "advice_id": "M1/1",
            "matter_id": "M1",
            "evidence_table": "credit_record",
            "evidence_source": "credit_records",
        }
        scene.findings(DAY, [{**record, "finding_id": "F1", "evidence_key": "A", "evidence_seq": 1}])
        assert len(_go(office, DAY, catcher)) == 1
        day = DAY + timedelta(days=1)
        scene.ready(day)
        scene.findings(day, [{**record, "finding_id": "F1", "evidence_key": "A", "evidence_seq": 7}])
        assert _go(office, day, catcher) == {}  # the same record, observed again
        scene.findings(day, [{**record, "finding_id": "F2", "evidence_key": "B", "evidence_seq": 8}])
        assert list(_go(office, day, catcher)) == ["zjj/advice"]

    def test_a_source_growing_older_is_no_news(self, office: House, scene: Scene, catcher: Catcher) -> None:
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
            arrived = _go(office, day, catcher)
            assert len(arrived) == (1 if ahead == 0 else 0)
        assert "失信被执行人名单（4天前）" in body(catcher.mails()[0])

    def test_both_readings_where_they_differ(self, office: House, scene: Scene, catcher: Catcher) -> None:
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
        text = body(_go(office, DAY, catcher)["zjj/advice"])
        assert text.count("现行法规口径：") == 1
        assert "现行法规口径：人工考量（认定单位已确认整改合格）" in text

    def test_one_restriction_has_a_subject_of_its_own(self, office: House, scene: Scene, catcher: Catcher) -> None:
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
        mail = _go(office, DAY, catcher)["czj/advice"]
        assert str(mail["Subject"]) == (
            "【信用核查·限制】政府采购事项LC-2026-0031：有未整改的失信记录，自认定之日起未满一年，请人工复核"
        )

    def test_an_unknown_department_goes_to_the_default_desk(
        self, office: House, scene: Scene, catcher: Catcher
    ) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "M1", "department": "nobody"}, {"matter_id": "M2", "department": None}])
        assert compose(office, DAY).signals.unrouted_advice == 2
        assert list(_go(office, DAY, catcher)) == ["scjg/advice"]

    def test_a_refused_mail_counts_as_not_said(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "M1"}])
        catcher.script = ["refuse", "accept"]
        assert _go(office, DAY, catcher) == {}
        day = DAY + timedelta(days=1)
        scene.ready(day)
        scene.advice(day, [{"matter_id": "M2"}])
        assert "2件" in str(_go(office, day, catcher)["zjj/advice"]["Subject"])

    def test_a_matter_decided_is_counted_and_no_reason_for_a_mail(
        self, office: House, scene: Scene, catcher: Catcher
    ) -> None:
        scene.ready()
        scene.advice(DAY, [{"matter_id": "M1"}, {"matter_id": "M2"}])
        _go(office, DAY, catcher)
        day = DAY + timedelta(days=1)
        scene.ready(day)
        scene.advice(day, [{"matter_id": "M1", "removed": True}])
        assert _go(office, day, catcher) == {}
        scene.advice(day, [{"matter_id": "M3"}])
        assert "此前提示过的1条，因事项已办结或者撤回" in body(_go(office, day, catcher)["zjj/advice"])


def test_plans_at_the_same_time_do_not_tell_twice(office: House, scene: Scene) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    slow = compose(office, DAY)
    assert warn.plan(office, DAY) == ["zjj"]
    with pytest.raises(ChengxinError, match="another plan"), office.ledger.begin() as session:
        outbox.put(session, office.clock(), slow.drafts, expected=slow.mark)


def test_a_dry_run_writes_files_and_nothing_else(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, _subjects(2))
    scene.advice(DAY, [{"matter_id": "M1"}])
    folder = office.var / "mails"
    files = warn.dry_run(replace(office, mode="rehearsal"), DAY, folder)
    assert {file.name for file in files} == {
        f"{unit}-{kind}.eml"
        for unit, kind in [
            ("scjg", "countdown-unit"), ("scjg", "countdown-head"), ("wangsheren", "countdown-unit"),
            ("wangsheren", "countdown-head"), ("zjj", "advice-unit"),
        ]
    }  # fmt: skip
    assert all(file.read_bytes().startswith(b"From: ") for file in files)
    with office.ledger.begin() as session:
        assert session.scalars(select(Message)).all() == []
    assert catcher.tried == 0


def test_an_empty_lake_plans_nothing(office: House, scene: Scene) -> None:
    scene.ready()
    assert warn.plan(office, DAY) == []
    assert warn.summary(office, DAY) == {"planned": 0, "sent": 0, "refused": 0, "unknown": 0}
