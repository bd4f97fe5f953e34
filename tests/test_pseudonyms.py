"""What stands for a code in the ledger cannot be had from the code: neither of what was erased nor of who looked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import String, Text, inspect, select, text, update

from chengxin import backup, engine, erasure, forgetting, pseudonyms, replay, retention
from chengxin.clock import beijing_date
from chengxin.errors import ConfigError
from chengxin.ledger import access
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.erased import Erased
from chengxin.pseudonyms import Pseudonyms, of_house, plain
from chengxin.settings import House
from tests.dropped import CODES, MONDAY, TUESDAY, Source, entry
from tests.factlake import FactLake

GONE = CODES[1]


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    return Source(house, tmp_path / "source")


def kept(house: House) -> set[str]:
    """Every text of the ledger."""
    found: set[str] = set()
    with house.ledger.engine.connect() as connection:
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            for column in inspector.get_columns(table):
                if isinstance(column["type"], String | Text):
                    found |= {
                        str(said) for (said,) in connection.execute(text(f'SELECT "{column["name"]}" FROM "{table}"'))
                    }
    return found


def test_no_plain_hash_of_an_erased_code_is_left(source: Source) -> None:
    house = source.house
    key = f"经营异常名录\x1f第{1}号"
    source.run(MONDAY, [entry(n) for n in range(4)])
    access.record(house, "zjj", "zjj", "subject", [access.subject_hash(house, GONE)], "M1", "/credit/subject")
    done = erasure.subject(house, GONE, "officer", "申请第1号")
    hashes = [plain(said) for said in (GONE, f"entries\x1f{key}", entry(1)["who"])]
    everything = "\n".join(kept(house))
    assert [one for one in hashes if one in everything] == []
    assert done["subject"] == of_house(house).of(GONE) in everything
    with house.ledger.begin() as session:
        assert {row.key_sha256 for row in session.scalars(select(Erased))} == {of_house(house).of(f"entries\x1f{key}")}
        assert set(session.scalars(select(Act.subject).where(Act.kind.startswith("erasure")))) == {done["subject"]}
    again = source.run(TUESDAY, [entry(n) for n in range(4)])
    assert source.detail(again)["ignored"] == {"erased": 1}


def test_plain_hashes_of_older_versions_are_keyed_and_still_keep_out(source: Source) -> None:
    house = source.house
    source.run(MONDAY, [entry(n) for n in range(4)])
    erasure.subject(house, GONE, "officer", "申请第1号")
    key = "entries\x1f经营异常名录\x1f第1号"
    with house.ledger.begin() as session:
        # As a version before wrote them.
        session.execute(update(Erased).values(key_sha256=plain(key), subject_sha256=plain(GONE)))
    again = source.run(TUESDAY, [entry(n) for n in range(4)] + [entry(1, no="第99号")])
    assert source.detail(again)["ignored"] == {"erased": 2}, "by its key, and by its subject"
    names = of_house(house)
    with house.ledger.begin() as session:
        (row,) = session.scalars(select(Erased))
        assert (row.key_sha256, row.subject_sha256) == (names.of(key), names.of(GONE))


def test_looks_of_older_versions_are_found_and_erased_with_the_others(house: House) -> None:
    FactLake(house).put("subject", MONDAY, [{"uscc": GONE, "name": "测试甲公司"}])
    for stands in access.subject_hashes(house, GONE):
        access.record(house, "zjj", "zjj", "subject", [stands], "为旧东家", "/credit/subject")
    with house.ledger.begin() as session:
        assert len(access.looks(session, subject_hashes=access.subject_hashes(house, GONE))) == 2
    assert erasure.subject(house, GONE, "officer", "申请第1号")["bodies"] == 2
    with house.ledger.begin() as session:
        assert not [body for body in session.scalars(select(ActBody.content)) if "旧东家" in body]


def test_a_replay_knows_what_was_erased_by_its_dates(house: House) -> None:
    lake = FactLake(house)
    lake.put("credit_record", MONDAY, [{"record_no": "W1", "uscc": GONE, "repaired_on": MONDAY}])
    retention.run(house, TUESDAY)
    with house.ledger.begin() as session:
        (row,) = pseudonyms.erased_rows(session, of_house(house))
        assert row.document_sha256 == of_house(house).of(f"{GONE}\x1fW1")
        assert row.subject_sha256 == of_house(house).of(GONE)
    with pytest.raises(replay.NoCheckError):
        replay.run(house, beijing_date(house.clock()))


def test_without_its_key_nothing_is_published(source: Source) -> None:
    house = source.house
    source.run(MONDAY, [entry(n) for n in range(4)])
    erasure.subject(house, GONE, "officer", "申请第1号")
    file = house.var / pseudonyms.KEY_FILE
    right = file.read_text("ascii")
    file.unlink()
    with pytest.raises(ConfigError, match="by another key"):
        source.run(TUESDAY, [entry(n) for n in range(4)])
    assert source.last().state == "failed"
    file.write_text(right, "ascii")
    again = source.run(TUESDAY, [entry(n) for n in range(4)])
    assert source.detail(again)["ignored"] == {"erased": 1}


def test_the_key_is_made_once_for_its_owner_alone_and_put_away(house: House) -> None:
    names = of_house(house)
    file = house.var / pseudonyms.KEY_FILE
    assert file.stat().st_mode & 0o077 == 0
    assert of_house(house).key == names.key
    assert of_house(replace(house, var=house.var / "another")).key != names.key
    assert pseudonyms.KEY_FILE in backup.KEPT
    assert names.key.hex() not in repr(names)


def test_duckdb_says_what_python_says() -> None:
    names, other = Pseudonyms(b"k" * 32), Pseudonyms(b"other" * 20)
    texts = [GONE, "经营异常名录\x1f第1号", "", "'quoted'"]
    connection = engine.connect()
    for one in (names, other):
        one.teach(connection)
        query = f"SELECT {pseudonyms.FUNCTION}(?)"
        assert [connection.con.execute(query, [said]).fetchone() for said in texts] == [
            (one.of(said),) for said in texts
        ]
        assert connection.con.execute(f"SELECT {pseudonyms.FUNCTION}(NULL)").fetchone() == (None,)
    assert len(names.of(GONE)) == 64
    assert names.of(GONE)[:8] == names.prefix != other.prefix
    assert names.of_hash(plain(GONE)) == names.of(GONE) != other.of(GONE)
    assert forgetting.pseudonym.__name__ == "pseudonym"
