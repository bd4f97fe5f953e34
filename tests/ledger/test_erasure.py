"""A lawful request takes decisions', objections' and looks' words too, on both databases; codes and hashes stay."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import String, Text, delete, inspect, select, text, update

from chengxin import erasure, maintain
from chengxin.ledger import Ledger, access, acts, answers, decisions, objections, outbox, standing
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.answers import Answer
from chengxin.ledger.decisions import Decision
from chengxin.ledger.messages import Message
from chengxin.ledger.objections import Objection
from chengxin.settings import House
from tests.conftest import NOW
from tests.factlake import FactLake, codes, day
from tests.ledger.test_agreement import draft, life
from tests.ledger.test_decisions import NEW
from tests.test_erasure import holding
from tests.warn.conftest import Scene

MONDAY = day("2026-06-15")
GONE, STAYS = codes(1, 2)
NAME = "示例消失有限公司"
HINT = "那家做钢材的，老板姓样"
"""Words that name nobody, and are about the subject all the same."""


@pytest.fixture
def town(house: House, ledger: Ledger) -> House:
    """Two applicants, both decided, objected to and looked at; one of them in a mail."""
    town = replace(house, ledger_url=ledger.url)
    lake = FactLake(town)
    people = {GONE: NAME, STAYS: "示例留下有限公司"}
    lake.put("subject", MONDAY, [{"uscc": code, "name": name} for code, name in people.items()])
    advice = [
        {"matter_id": f"M{code[-1]}", "advice_id": f"{code[-1]:0>16}", "uscc": code, "name": people[code]}
        for code in people
    ]
    Scene(town).advice(MONDAY, advice)
    for row in lake.rows("advice", MONDAY):
        words, number = HINT if row["uscc"] == GONE else "另一家", row["advice_id"]
        with town.ledger.begin() as session:
            decisions.add(session, NOW, replace(NEW, advice_id=number, words=words, reason=words))
            made = Objection(
                received_on=MONDAY, district="370112", advice_id=number, matter_id="M1", department="zjj",
                received_by="zjj",
            )  # fmt: skip
            objections.add(session, NOW, "officer/zjj", made, words)
            objections.settle(session, NOW, "officer/zjj", made, "rejected", words)
        whom = [access.subject_hash(town, row["uscc"])]
        access.record(town, "auditor", None, "subject", whom, words, "/credit/subject")
        access.record(town, "zjj", "zjj", "matter", [], f"为{row['name']}", "/credit/matter")
    with town.ledger.begin() as session:
        outbox.put(session, NOW, [draft("1" * 64, content=f"{NAME}须补报告".encode())])
        answers.give(session, NOW, session.scalars(select(Message)).one(), "snoozed", reason=HINT + NAME, until=MONDAY)
    return town


def stored(ledger: Ledger, *needles: str) -> list[str]:
    """Tables and columns that hold any of the texts."""
    found = []
    with ledger.engine.connect() as connection:
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            for column in inspector.get_columns(table):
                if isinstance(column["type"], String | Text):
                    for needle in needles:
                        rows = connection.execute(
                            text(f'SELECT count(*) FROM "{table}" WHERE "{column["name"]}" LIKE :like'),
                            {"like": f"%{needle}%"},
                        )
                        found += [f"{table}.{column['name']}"] if rows.scalar_one() else []
    return sorted(set(found))


def test_words_go_and_the_record_stands(town: House) -> None:
    assert stored(town.ledger, HINT, NAME) == ["act_body.content"]
    assert maintain.ledger_faults(town) == []
    with town.ledger.begin() as session:
        before = dict(session.execute(select(Act.seq, Act.hash)).tuples().all())
        others = [body for body in session.scalars(select(ActBody.content)) if "另一家" in body]
    done = erasure.subject(town, GONE, "officer", "申请第1号")
    # Decision, objection and settlement on its advice, the looks at it and for it, the desk's answer.
    assert (done["bodies"], done["messages"]) == (6, 1)
    assert stored(town.ledger, HINT, NAME, GONE) == []
    assert holding(town.var, HINT, NAME, GONE) == []
    assert maintain.ledger_faults(town) == []
    with town.ledger.begin() as session:
        after = dict(session.execute(select(Act.seq, Act.hash)).tuples().all())
        assert before.items() <= after.items()
        assert [body for body in session.scalars(select(ActBody.content)) if "另一家" in body] == others
        decided = session.scalars(select(Decision)).all()
        assert len(decided) == 2
        looks = access.looks(session, subject_hashes=access.subject_hashes(town, GONE))
        state = standing.of(session, [row.advice_id for row in decided])
    assert [each.decision.words for each in state.values() if each.decision and each.decision.erased] == [""]
    assert [(look.account, look.purpose) for look in looks] == [("auditor", "")]
    # What is left of an erased decision still cannot be made another officer's.
    with town.ledger.begin() as session:
        erased = session.scalars(
            select(Decision).outerjoin(ActBody, ActBody.seq == Decision.act).where(ActBody.seq.is_(None))
        ).one()
        erased.account = "czj"
    assert maintain.ledger_faults(town) == [f"decision {erased.id} is not what act {erased.act} says"]


def test_the_weekly_look_finds_what_was_done_to_the_ledger(house: House, ledger: Ledger) -> None:
    town = replace(house, ledger_url=ledger.url)
    life(ledger)
    with town.ledger.begin() as session:
        seq = session.scalars(select(Act.seq).where(Act.kind == "decision.made").order_by(Act.seq)).all()[0]
        content = json.loads(session.scalars(select(ActBody.content).where(ActBody.seq == seq)).one())
        session.execute(
            update(ActBody).where(ActBody.seq == seq).values(content=acts.canonical({**content, "decision": "EXCLUDE"}))
        )
        session.execute(update(Message).where(Message.id == 3).values(state="sent"))
        session.execute(delete(Answer).where(Answer.id == 1))
        session.execute(update(Act).where(Act.seq == 1).values(at=NOW - timedelta(days=1)))
    faults = maintain.ledger_faults(town)
    assert f"act {seq} was body changed" in faults
    assert "message 3 says that it is sent, the acts say message.refused" in faults
    assert any(fault.startswith("the answer of act") for fault in faults)
    assert any("decision" in fault and f"act {seq}" in fault for fault in faults)
    with pytest.raises(maintain.ChainBrokenError, match="act 1 was changed"):
        maintain.verify_chain(town)
