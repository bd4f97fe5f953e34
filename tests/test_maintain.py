"""What the weekly look after ledger and lake finds."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from chengxin import maintain
from chengxin.ledger import acts
from chengxin.ledger.acts import Act, Deed
from chengxin.settings import House


def act(house: House, number: int) -> None:
    with house.ledger.begin() as session:
        acts.append(session, house.clock(), "warn", [Deed("message.sent", f"subject {number}", "0" * 64)])


def test_a_whole_chain(house: House) -> None:
    assert maintain.verify_chain(house)["acts"] == 0
    for number in range(3):
        act(house, number)
    verified = maintain.verify_chain(house)
    assert verified["acts"] == 3
    with house.ledger.begin() as session:
        assert verified["head"] == acts.head(session).hash


def test_a_changed_act_is_found(house: House) -> None:
    for number in range(3):
        act(house, number)
    with house.ledger.begin() as session:
        session.execute(update(Act).where(Act.seq == 2).values(actor="somebody else"))
    with pytest.raises(maintain.ChainBrokenError, match="act 2 does not fit"):
        maintain.verify_chain(house)


def test_stray_files_are_counted(house: House) -> None:
    assert maintain.orphans(house) == {}
    house.lake.data_file("consent", 7).write_bytes(b"left by a crash")
    assert maintain.orphans(house) == {"consent": 1}
