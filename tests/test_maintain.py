"""What the weekly look after ledger and lake finds."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from chengxin import maintain, upkeep
from chengxin.ledger import acts, outbox
from chengxin.ledger.acts import Act, Deed
from chengxin.ledger.messages import Message, MessageBody
from chengxin.ledger.models import Commit
from chengxin.ledger.outbox import Draft
from chengxin.settings import House
from tests.factlake import FactLake, codes


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
    with pytest.raises(maintain.ChainBrokenError, match="act 2 was changed"):
        maintain.verify_chain(house)


def draft(key: str, **fields: Any) -> Draft:
    about = {
        "key": key, "mode": "sandbox", "district": "370112", "department": "zjj", "recipient": "zjj@licheng.example",
        "role": "unit", "kind": "advice", "matter": "advice", "stage": "", "fingerprint": "0" * 64,
        "as_of": date(2026, 6, 15), "subject": "核查意见", "header_id": key, "thread": key, "content": b"said",
    }  # fmt: skip
    return Draft(**{**about, **fields})


def test_messages_are_compared_with_the_acts(house: House) -> None:
    with house.ledger.begin() as session:
        outbox.put(session, house.clock(), [draft("a"), draft("b"), draft("c")])
    assert maintain.ledger_faults(house) == []
    with house.ledger.begin() as session:
        session.execute(delete(MessageBody).where(MessageBody.message_id == 1))
    assert maintain.ledger_faults(house) == []  # bytes may be erased; their hash stays
    with house.ledger.begin() as session:
        session.execute(update(MessageBody).where(MessageBody.message_id == 2).values(content=b"said otherwise"))
        session.execute(delete(MessageBody).where(MessageBody.message_id == 3))
        session.execute(update(Message).where(Message.id == 3).values(key="d"))
    faults = maintain.ledger_faults(house)
    assert [fault.split(":")[0] for fault in faults] == [
        "message 3 was inserted or changed",
        "message with key c was removed",
        "the bytes of message 2 were changed",
    ]


def test_a_cut_tail_shows_by_the_head_in_an_operators_mail(house: House) -> None:
    for number in range(3):
        act(house, number)
    with house.ledger.begin() as session:
        head = acts.head(session)
        report = draft("r", role="operator", kind="report", detail={"head": head.hash, "acts": head.seq})
        outbox.put(session, house.clock(), [report])
    assert maintain.verify_chain(house)["acts"] == 4
    with house.ledger.begin() as session:
        session.execute(delete(Act).where(Act.seq >= 3))
    assert "act 3 was removed" in maintain.ledger_faults(house)


class TestTidy:
    """Many small files become one, snapshots end, strays go; what is at work is spared; no row is lost."""

    @pytest.fixture
    def lake(self, house: House) -> FactLake:
        lake = FactLake(house)
        for number, code in enumerate(codes(*range(1, 11))):
            lake.put("subject", date(2026, 6, 1 + number), [{"uscc": code, "name": f"示例{number}有限公司"}])
        return lake

    def test_files_are_merged_and_swept(self, house: House, lake: FactLake) -> None:
        before = lake.rows("subject", date(2026, 6, 15))
        for old in house.lake.files("subject"):
            os.utime(old, (0, 0))
        # However old they are: who planned before may still be about to open them.
        assert upkeep.tidy(house)["subject"] == {"merged": 9, "expired": 10, "removed": 0}
        assert upkeep.sweep(house, "subject", grace=timedelta(0)) == 10
        (file,) = house.lake.files("subject")
        assert [path.name for path in Path(file).parent.iterdir()] == [Path(file).name]
        assert lake.rows("subject", date(2026, 6, 15)) == before
        assert len(lake.rows("subject", date(2026, 6, 3))) == 3
        # The next harvest goes on as if nothing had been.
        lake.put("subject", date(2026, 6, 15), [{"uscc": codes(99)[0], "name": "示例后来有限公司"}])
        assert len(lake.rows("subject", date(2026, 6, 15))) == 11

    def test_a_commit_that_was_in_is_not_taken_in_again(self, house: House, lake: FactLake) -> None:
        seq = lake.put("subject", date(2026, 6, 15), [{"uscc": codes(99)[0], "name": "示例后来有限公司"}])
        with house.ledger.begin() as session:
            session.get_one(Commit, seq).closed_at = None  # killed before it could sign
        upkeep.tidy(house)
        upkeep.sweep(house, "subject", grace=timedelta(0))
        snapshot = house.lake.snapshot_id("subject")
        file = house.lake.data_file("subject", seq)
        file.write_bytes(Path(house.lake.files("subject")[0]).read_bytes())
        assert house.lake.commit("subject", [file], seq) == snapshot
        assert len(house.lake.rows("subject")) == 11
        # Its file is an orphan of an open commit, and spared until the ledger closes it.
        assert upkeep.sweep(house, "subject", grace=timedelta(0)) == 0
        with house.ledger.begin() as session:
            session.get_one(Commit, seq).closed_at = house.clock()
        assert upkeep.sweep(house, "subject", grace=timedelta(0)) == 1
        upkeep.expire(house, "subject")
        assert len(house.lake.rows("subject")) == 11

    def test_a_commit_that_closes_while_files_are_swept_keeps_its_file(
        self, house: House, lake: FactLake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with house.ledger.begin() as session:
            commit = Commit(kind="harvest", name="subjects", as_of=date(2026, 6, 15), opened_at=house.clock())
            session.add(commit)
            session.flush()
            seq = commit.seq
        file = house.lake.data_file("subject", seq)
        file.write_bytes(Path(house.lake.files("subject")[0]).read_bytes())
        looked = upkeep._named_files

        def then_it_closes(table: Any) -> Any:
            named = looked(table)
            house.lake.commit("subject", [file], seq)
            with house.ledger.begin() as session:
                session.get_one(Commit, seq).closed_at = house.clock()
            return named

        monkeypatch.setattr(upkeep, "_named_files", then_it_closes)
        upkeep.sweep(house, "subject", grace=timedelta(0))
        assert file.exists()


def test_stray_files_are_counted(house: House) -> None:
    assert maintain.orphans(house) == {}
    house.lake.data_file("consent", 7).write_bytes(b"left by a crash")
    assert maintain.orphans(house) == {"consent": 1}
