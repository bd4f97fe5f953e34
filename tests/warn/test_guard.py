"""What the lists rest on: old sources, stopped batches and a missing check withhold them, and the mail says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from chengxin.settings import House
from chengxin.warn import planning
from chengxin.warn.planning import compose

from .conftest import DAY, Catcher, Scene, body, go, subjects


@pytest.mark.parametrize("source", ["subject_registry", "annual_reports"])
def test_old_sources_withhold_the_list(office: House, scene: Scene, catcher: Catcher, source: str) -> None:
    scene.ready(DAY - timedelta(days=4))
    scene.harvested(DAY, only=tuple({"subject_registry", "annual_reports", "matters"} - {source}))
    scene.checked(DAY)
    scene.filings(DAY, subjects(3))
    arrived = go(office, DAY, catcher)
    assert {str(mail["Subject"]) for mail in arrived.values()} == {
        "【数据异常】2025年度年报公示距6月30日还有15天：本期未报送名单暂缓"
    }
    mail = arrived["wangsheren/countdown"]
    assert "已4天未更新" in body(mail)
    assert list(mail.iter_attachments()) == []
    assert len(arrived) == len(planning.addressable(planning.district_of(office)))
    assert compose(office, DAY).signals.lists_withheld


def test_a_stopped_batch_withholds_the_list(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready(DAY - timedelta(days=1))
    scene.checked(DAY)
    scene.harvested(DAY, only=("annual_reports",), state="stopped", cause="bound")
    scene.filings(DAY, subjects(3))
    assert "本批数量异常" in body(go(office, DAY, catcher)["wangsheren/countdown"])


def test_no_check_withholds_the_list(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.harvested(DAY)
    scene.filings(DAY, subjects(3))
    assert "当日核查尚未完成" in body(go(office, DAY, catcher)["wangsheren/countdown"])


def test_the_list_follows_once_the_data_is_back(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.filings(DAY, subjects(3))
    assert "wangsheren/countdown" in go(office, DAY, catcher)
    assert go(office, DAY, catcher) == {}
    scene.ready()
    again = go(office, DAY, catcher)
    assert "尚有3户" in str(again["wangsheren/countdown"]["Subject"])
    scene.harvested(DAY, state="stopped", cause="bound")  # and it goes again: what was told stays told
    assert go(office, DAY, catcher) == {}


def test_between_stages_nothing_is_said_about_it(office: House, scene: Scene, catcher: Catcher) -> None:
    day = DAY + timedelta(days=1)
    scene.filings(day, subjects(3))
    assert go(office, day, catcher) == {}


def test_the_mail_says_how_old_each_source_is(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.harvested(DAY - timedelta(days=1))
    scene.harvested(DAY, only=("subject_registry",))
    scene.checked(DAY)
    scene.filings(DAY, subjects(1))
    text = body(go(office, DAY, catcher)["wangsheren/countdown"])
    assert "数据截至：6月14日（1天前）：年度报告基本信息；6月15日（当日）：市场主体登记信息。" in text
