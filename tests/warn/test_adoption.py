"""The operators hear when a check in production was judged by a policy that nobody adopted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from chengxin import warn
from chengxin.ledger import acts
from chengxin.ledger.messages import Message
from chengxin.settings import House

from .conftest import DAY, Catcher, Scene, body

VERSION = "0123456789abcdef"
"""Of the policy that the scene's checks were judged by."""


def test_a_policy_that_nobody_adopted(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    real = replace(office, mode="production")
    warn.report(real, DAY)
    assert f"政策文件未经采纳登记（版本 {VERSION[:12]}）" in body(catcher.mails()[-1])
    with office.ledger.begin() as session:
        acts.record(session, office.clock(), "operator/operator", "policy.adopted", VERSION, reason="会议纪要第5号")
    warn.report(real, DAY)
    assert len(catcher.mails()) == 2
    assert "未经采纳登记" not in body(catcher.mails()[-1])


@pytest.mark.parametrize(("others", "command"), [(False, "chengxin"), (True, "chengxin --district 370112")])
def test_commands_are_named_for_the_district(
    office: House, scene: Scene, catcher: Catcher, others: bool, command: str
) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    real = replace(office, mode="production", among_others=others)
    warn.plan(real, DAY)
    with real.ledger.begin() as session:
        session.execute(update(Message).values(state="unknown"))
    warn.report(real, DAY)
    said = body(catcher.mails()[-1])
    assert f"：{command} policy adopt" in said
    assert f"查实后用{command} outbox settle" in said


def test_a_sandbox_plays_with_drafts(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    warn.report(office, DAY)
    assert "未经采纳登记" not in body(catcher.mails()[-1])
