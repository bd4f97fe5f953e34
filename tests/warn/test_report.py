"""The operators' one mail: what is wrong, grouped by cause, the sums, and the ledger's head."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from chengxin import check, warn
from chengxin.ledger import acts
from chengxin.ledger.messages import Message
from chengxin.ledger.models import CheckRun
from chengxin.settings import House
from tests.test_carry import START, begin, missed

from .conftest import DAY, Catcher, Scene, body


def test_a_quiet_day(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.harvested(DAY, harvested=1200, published=10, unchanged=1180, rejected=6, ignored=4, removed=2)
    scene.checked(DAY, advice={"PASS": 118, "NEED_REPORT": 5})
    assert warn.report(office, DAY)["sent"] == 1
    (mail,) = catcher.mails()
    assert [address.addr_spec for address in mail["To"].addresses] == ["chengxin-ops@licheng.example"]
    assert str(mail["Subject"]) == "【诚信运行·正常】2026-06-15 11/11个来源正常，邮件已发0封"
    text = body(mail)
    assert "市场主体登记信息：已入库，采集 1,200，入库 10，未变 1,180，拒收 6，忽略 4，移出 2" in text
    assert "无异常 118，需补报告 5" in text
    assert "需要处理" not in text


def test_the_head_of_the_ledger_is_in_it(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    warn.plan(office, DAY)
    warn.send(office, DAY, "zjj")
    with office.ledger.begin() as session:
        head = acts.head(session)
    warn.report(office, DAY)
    text = body(catcher.mails()[-1])
    assert f"第{head.seq}条，摘要 {head.hash}" in text
    assert "已发 1封" in text


def test_failures_of_one_cause_stand_together(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    down = {"state": "failed", "cause": "unreachable", "message": "no answer from the portal\n  where: page 3"}
    scene.harvested(DAY, only=("subject_registry", "credit_records", "blacklists", "matters"), **down)
    scene.harvested(DAY, only=("consents",), state="stopped", cause="bound", message="shrank by 40 %")
    warn.report(office, DAY)
    (mail,) = catcher.mails()
    text = body(mail)
    assert "需处理" in str(mail["Subject"])
    assert text.count("来源不可达（4个来源：") == 1
    assert "超出正常范围（1个来源：信用信息查询使用授权书）：shrank by 40 %" in text
    assert "where: page 3" not in text


def test_refused_unknown_and_waiting_mails_are_named(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    units = ["czj", "gzw", "zjj"]
    scene.advice(DAY, [{"matter_id": f"M{n}", "department": unit} for n, unit in enumerate(units)])
    warn.plan(office, DAY)
    catcher.script = ["refuse", "drop_after", "greylist", "accept"]
    for unit in units[:2]:
        warn.send(office, DAY, unit)
    with pytest.raises(warn.DeferredError):
        warn.send(office, DAY, "zjj")
    warn.report(office, DAY, {"harvest__matters": "failed"})
    text = body(catcher.mails()[-1])
    assert "邮件被拒1封（区财政局）：550 no such mailbox" in text
    assert "邮件结果不明1封（区国资局），不会自动重发" in text
    assert "邮件1封未发出，待下次重试" in text
    assert "harvest__matters：failed" in text
    assert warn.summary(office, DAY) == {"planned": 4, "sent": 1, "refused": 1, "unknown": 1}


def test_an_unchanged_day_is_reported_once(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    assert warn.report(office, DAY)["sent"] == 1
    scene.harvested(DAY, unchanged=1200)  # harvested again, nothing new
    assert warn.report(office, DAY)["sent"] == 0
    scene.harvested(DAY, only=("matters",), state="failed", cause="refused", message="wrong signature")
    assert warn.report(office, DAY)["sent"] == 1
    assert len(catcher.accepted) == 2


def test_old_sources_and_withheld_lists_are_an_alarm(office: House, scene: Scene, catcher: Catcher) -> None:
    warn.report(office, DAY)
    text = body(catcher.mails()[0])
    assert "数据过旧" in text
    assert "年报未报送名单已暂缓发送" in text
    assert "当日尚无核查结果" in text


def test_a_source_that_answers_and_says_nothing_is_named(office: House, scene: Scene, catcher: Catcher) -> None:
    """Changes are believed to be none for ten days; `credit_report_pdfs` says nothing of its own."""
    for day, quiet in ((DAY - timedelta(days=11), False), (DAY, True)):
        scene.harvested(day, only=("credit_report_pdfs", "credit_agencies"), quiet=quiet)
    scene.harvested(DAY, only=("credit_agencies",))
    warn.report(office, DAY)
    text = body(catcher.mails()[0])
    assert "来源有应答而无新内容，已超过约定时间，请向来源单位核实是否停更：第三方信用报告（PDF）11天" in text


def test_feedback_that_a_publisher_did_not_get_is_named(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    for names, outcome in ((("abnormal_list", "annual_reports"), "refused"), (("consents",), "written")):
        scene.harvested(DAY, only=names, detail={"feedback": outcome})
    scene.harvested(DAY, only=("credit_reports",), detail={"feedback": 2})
    warn.report(office, DAY)
    text = body(catcher.mails()[0])
    assert "处理结果未能回写来源单位，来源拒绝（2个来源：" in text
    assert text.count("未能回写") == 1


def test_what_was_asked_on_another_day_is_named_in_production(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.harvested(DAY, only=("matters",), detail={"asked_on": "2026-06-16"})
    warn.report(office, DAY)
    warn.report(replace(office, mode="production"), DAY)
    sandbox, production = (body(mail) for mail in catcher.mails())
    assert "以2026-06-16的数据补采（来源只能提供当时的数据）：待办行政管理事项" in production
    assert "补采" not in sandbox


def test_rehearsal_plans_it_only(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    quiet = replace(office, mode="rehearsal")
    assert warn.plan(quiet, DAY) == ["zjj"]
    assert warn.report(quiet, DAY) == {"sent": 0, "refused": 0, "unknown": 0, "planned": 1}
    assert catcher.tried == 0
    with quiet.ledger.begin() as session:
        subject = session.scalar(select(Message.subject).where(Message.kind == "report"))
    assert "正常" in str(subject)  # what waits in a rehearsal waits on purpose


def test_operators_never_get_a_departments_mail_nor_the_other_way(
    office: House, scene: Scene, catcher: Catcher
) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    warn.report(office, DAY)
    for unit in warn.plan(office, DAY):
        warn.send(office, DAY, unit)
    boxes = [mail["To"].addresses[0].username for mail in catcher.mails()]
    assert boxes == ["chengxin-ops", "zjj"]


def test_a_full_check_that_differs_from_what_was_carried_over_is_an_alarm(
    office: House, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    week = missed(office, monkeypatch)
    check.run(office, week)
    warn.report(office, week)
    # A later check of the day carries over rightly: the day's alarm stays, under the number of that check.
    check.run(office, week)
    warn.report(office, week)
    with office.ledger.read() as session:
        numbers = list(session.scalars(select(CheckRun.id).where(CheckRun.as_of == week).order_by(CheckRun.id)))
    for mail, number in zip(catcher.mails(), numbers, strict=True):
        assert "需处理" in str(mail["Subject"])
        said = f"每周全量核查与增量结果不一致：2行，已按全量更正；请将核查编号{number}报告维护方"
        assert said in body(mail)
        assert said in body(mail, "html")


@pytest.mark.long
def test_a_full_check_that_agrees_is_none(office: House, catcher: Catcher) -> None:
    lake = begin(office, 2)
    check.run(office, START)
    week = START + timedelta(days=7)
    lake.fresh(week)
    assert check.run(office, week)["scope"]["unexpected"] == 0
    warn.report(office, week)
    assert "全量核查" not in body(catcher.mails()[-1])
