"""What an answer does to the next mails: it holds while the facts stay as they are, and no longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import select

from chengxin import warn
from chengxin.ledger import acts, answers
from chengxin.ledger.acts import Act
from chengxin.ledger.answers import What
from chengxin.ledger.messages import Message
from chengxin.settings import House
from chengxin.warn.planning import compose

from .conftest import ANSWERS, DAY, Catcher, Scene, body, sent, subjects

T7, T3, T0, OVER = date(2026, 6, 23), date(2026, 6, 26), date(2026, 6, 30), date(2026, 7, 1)


def _go(house: House, day: date, catcher: Catcher) -> dict[str, EmailMessage]:
    return {str(mail["To"].addresses[0].username): mail for mail in sent(house, day, catcher)}


def _answer(house: House, department: str, what: What, **more: Any) -> None:
    with house.ledger.begin() as session:
        message = session.scalars(
            select(Message).where(Message.department == department, Message.role == "unit").order_by(Message.id.desc())
        ).first()
        assert message is not None
        assert answers.give(session, house.clock(), message, what, **more)


class TestLinks:
    """Who gets a link, and who does not."""

    def test_every_departments_mail_has_its_own(self, answerable: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, subjects(2))
        scene.advice(DAY, [{"matter_id": "M1"}])
        mails = _go(answerable, DAY, catcher)
        found = set()
        for mail in mails.values():
            (line,) = [line for line in body(mail).splitlines() if line.startswith(ANSWERS)]
            assert body(mail, "html").count(line) == 1
            found.add(line)
        assert len(found) == len(mails) > 3

    def test_none_without_a_page(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready()
        scene.filings(DAY, subjects(1))
        assert all("答复" not in body(mail) for mail in _go(office, DAY, catcher).values())

    def test_missing_keys_cost_the_links_and_not_the_mails(self, office: House, scene: Scene, catcher: Catcher) -> None:
        from chengxin.connections import Connection
        from chengxin.errors import ConnectionNotFoundError

        def connections(conn_id: str) -> Connection:
            if conn_id == "smtp_default":
                return catcher.connection(conn_id)
            raise ConnectionNotFoundError("no such connection")

        there = replace(office, connections=connections, answers_url=ANSWERS)
        scene.ready()
        scene.filings(DAY, subjects(1))
        assert _go(there, DAY, catcher)
        warn.report(there, DAY)
        assert "邮件未附答复链接" in body(catcher.mails()[-1])

    def test_same_message_same_bytes(self, answerable: House, scene: Scene) -> None:
        scene.ready()
        scene.filings(DAY, subjects(2))
        first, second = (compose(answerable, DAY).drafts for _ in range(2))
        assert [draft.content for draft in first] == [draft.content for draft in second]


class TestCountdown:
    """Answers to the annual-report countdown."""

    @pytest.mark.parametrize("what", ["acknowledged", "handled"])
    def test_answered_and_unchanged_is_not_sent_again(
        self, office: House, scene: Scene, catcher: Catcher, what: What
    ) -> None:
        scene.ready(T7)
        scene.filings(T7, subjects(2))
        assert {"wangsheren", "scjg"} <= set(_go(office, T7, catcher))
        _answer(office, "wangsheren", what)
        scene.ready(T3)
        again = _go(office, T3, catcher)
        assert "wangsheren" not in again
        # An answer of the desk does not silence the copy to its head, nor other desks.
        assert {"wangsheren.head", "scjg"} <= set(again)

    def test_a_changed_list_is_sent_with_the_answer_in_it(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready(T7)
        scene.filings(T7, subjects(3))
        _go(office, T7, catcher)
        _answer(office, "wangsheren", "acknowledged", reason="已电话通知")
        scene.ready(T3)
        scene.filings(T3, subjects(1, status="ON_TIME"))
        text = body(_go(office, T3, catcher)["wangsheren"])
        assert "贵单位6月15日答复：已知悉，正在办理（已电话通知）。" in text

    def test_a_snooze_ends(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready(T7)
        scene.filings(T7, subjects(2))
        _go(office, T7, catcher)
        _answer(office, "wangsheren", "snoozed", reason="集中培训后统一报送", until=T3)
        scene.ready(T3)
        assert "wangsheren" not in _go(office, T3, catcher)
        scene.ready(T0)
        assert "wangsheren" in _go(office, T0, catcher)

    def test_no_answer_holds_beyond_the_deadline(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready(T7)
        scene.filings(T7, subjects(2))
        _go(office, T7, catcher)
        _answer(office, "wangsheren", "acknowledged")
        scene.ready(OVER)
        assert "逾期" in str(_go(office, OVER, catcher)["wangsheren"]["Subject"])


class TestAdvice:
    """Answers to changed advice."""

    def test_put_off_is_told_again_when_the_time_is_over(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready(DAY)
        scene.advice(DAY, [{"matter_id": "M1"}])
        _go(office, DAY, catcher)
        until = DAY + timedelta(days=2)
        _answer(office, "zjj", "snoozed", reason="等补正材料", until=until)
        scene.ready(until)
        assert not _go(office, until, catcher)
        later = until + timedelta(days=1)
        scene.ready(later)
        text = body(_go(office, later, catcher)["zjj"])
        assert "暂缓到期，再次提醒（1条）" in text
        assert "等补正材料" in text
        assert not _go(office, later, catcher)
        scene.ready(later + timedelta(days=1))
        assert not _go(office, later + timedelta(days=1), catcher)

    def test_given_back_goes_to_the_default_desk_and_to_the_operators(
        self, office: House, scene: Scene, catcher: Catcher
    ) -> None:
        scene.ready(DAY)
        scene.advice(DAY, [{"matter_id": "M1"}, {"matter_id": "M2"}])
        _go(office, DAY, catcher)
        _answer(office, "zjj", "wrong_desk", reason="应归区交通局")
        warn.report(office, DAY)
        assert "区住建局称不属于本单位" in body(catcher.mails()[-1])
        assert "：应归区交通局，请核对分派" in body(catcher.mails()[-1])
        after = DAY + timedelta(days=1)
        scene.ready(after)
        mails = _go(office, after, catcher)
        assert set(mails) == {"scjg"}
        assert "M1" in body(mails["scjg"])
        # What changed is news to the department that holds the matter.
        third = after + timedelta(days=1)
        scene.ready(third)
        scene.advice(third, [{"matter_id": "M1", "decision": "EXCLUDE", "reasons": ["ON_BLACKLIST"]}])
        text = body(_go(office, third, catcher)["zjj"])
        assert "M1" in text
        assert "不再列示" not in text

    def test_judged_at_another_day_says_so(self, office: House, scene: Scene, catcher: Catcher) -> None:
        scene.ready(DAY)
        scene.advice(
            DAY,
            [
                {"matter_id": "M1", "test_date": date(2026, 5, 30), "until": date(2026, 6, 2)},
                {"matter_id": "M2", "test_date": DAY},
                {"matter_id": "M3", "test_date": None},
            ],
        )
        mail = _go(office, DAY, catcher)["zjj"]
        assert body(mail).count("判断") == body(mail, "html").count("判断") == 1
        assert "M1 · 按5月30日（截止日）判断" in body(mail)


def test_answers_are_acts(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready(DAY)
    scene.advice(DAY, [{"matter_id": "M1"}])
    _go(office, DAY, catcher)
    _answer(office, "zjj", "acknowledged", reason="收到")
    with office.ledger.begin() as session:
        act = session.scalars(select(Act).order_by(Act.seq.desc())).first()
        message = session.scalars(select(Message)).one()
        assert act is not None
        assert (act.actor, act.kind, act.subject) == ("desk/zjj", "message.acknowledged", message.key)
        assert acts.verify(session).broken_at is None
        # The button pressed twice is one answer.
        assert not answers.give(session, office.clock(), message, "acknowledged", reason="收到")


def test_what_fits_no_route_reaches_the_operators(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(2, area_code="370199001001"))
    scene.advice(DAY, [{"matter_id": "M1", "department": "nobody"}])
    _go(office, DAY, catcher)
    warn.report(office, DAY)
    text = body(catcher.mails()[-1])
    assert "未报送主体2户地址区划未识别，已转区市场监管局" in text
    assert "1条核查意见的承办单位不在名录，已转区市场监管局" in text
