"""A plan as a whole: two at the same time, a dry run, an empty lake."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from chengxin import warn
from chengxin.errors import ChengxinError
from chengxin.ledger import outbox
from chengxin.ledger.messages import Message
from chengxin.settings import House
from chengxin.warn.planning import compose

from .conftest import DAY, Catcher, Scene, subjects


def test_plans_at_the_same_time_do_not_tell_twice(office: House, scene: Scene) -> None:
    scene.ready()
    scene.advice(DAY, [{"matter_id": "M1"}])
    slow = compose(office, DAY)
    assert warn.plan(office, DAY) == ["zjj"]
    with pytest.raises(ChengxinError, match="another plan"), office.ledger.begin() as session:
        outbox.put(session, office.clock(), slow.drafts, expected=slow.mark)


def test_a_dry_run_writes_files_and_nothing_else(office: House, scene: Scene, catcher: Catcher) -> None:
    scene.ready()
    scene.filings(DAY, subjects(2))
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
