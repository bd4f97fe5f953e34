"""The morning watch: it sees what never ran, and needs nothing but the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from chengxin import warn
from chengxin.ledger.messages import Message
from chengxin.settings import House

from .conftest import DAY, Catcher, Scene, body


def test_a_day_that_ran_is_left_alone(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    warn.report(office, DAY)
    before = len(catcher.accepted)
    assert warn.watch(office, DAY) == {"faults": 0, "sent": 0}
    assert len(catcher.accepted) == before


def test_a_day_that_never_began_is_told_once(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.checked(DAY - timedelta(days=3))
    assert warn.watch(office, DAY) == {"faults": 2, "sent": 1}
    (mail,) = catcher.mails()
    assert [address.addr_spec for address in mail["To"].addresses] == ["chengxin-ops@licheng.example"]
    assert str(mail["Subject"]).startswith("【诚信运行·告警】2026-06-15 晨间巡查：核查未运行")
    assert "最近一次完成的是6月12日" in body(mail)
    assert "运行日报未生成" in body(mail)
    assert warn.watch(office, DAY)["sent"] == 0


@pytest.mark.parametrize(("others", "named"), [(False, "补跑 check_matters；"), (True, "补跑 check_matters__370112；")])
def test_the_check_is_named_as_airflow_has_it(office: House, catcher: Catcher, others: bool, named: str) -> None:
    warn.watch(replace(office, among_others=others), DAY)
    assert named in body(catcher.mails()[-1])


@pytest.mark.parametrize(("state", "word"), [("planned", "待发"), ("refused", "被拒"), ("unknown", "结果不明")])
def test_a_report_that_did_not_go_out(office: House, scene: Scene, catcher: Catcher, state: str, word: str) -> None:
    scene.ready()
    warn.report(office, DAY)
    with office.ledger.begin() as session:
        session.execute(update(Message).values(state=state))
    # What waited goes out with the alarm.
    assert warn.watch(office, DAY)["faults"] == 1
    assert f"运行日报未发出（{word}）" in body(catcher.mails()[-1])


def test_rehearsal_sends_nothing(office: House, scene: Scene, catcher: Catcher) -> None:
    there = replace(office, mode="rehearsal")
    scene.ready()
    warn.report(there, DAY)
    assert warn.watch(there, DAY) == {"faults": 0, "sent": 0}
    assert warn.watch(there, DAY + timedelta(days=1)) == {"faults": 2, "sent": 0}
    assert catcher.accepted == []


def test_departments_never_get_it(office: House, catcher: Catcher) -> None:
    warn.watch(office, DAY)
    assert {mail["To"].addresses[0].addr_spec for mail in catcher.mails()} == {"chengxin-ops@licheng.example"}
