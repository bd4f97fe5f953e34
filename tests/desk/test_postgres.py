"""The desk in PostgreSQL, as in a deployment over many machines: readers, refreshes and erasures all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.exc import DBAPIError

from chengxin import upkeep
from chengxin.desk import read, tables
from chengxin.desk import refresh as refreshing
from chengxin.desk.refresh import DeskBusyError, compact, empty, rebuild, refresh
from chengxin.settings import House
from tests.desk.story import FIRM, MONDAY, NAMES, STEPS, dump, play, subjects
from tests.factlake import FactLake, codes

pytestmark = pytest.mark.services

OLD = "示例旧名旧名有限公司"


@pytest.fixture
def there(house: House, postgres: str) -> Iterator[House]:
    """A house whose desk is an empty database of a real server."""
    name = f"desk_{uuid4().hex}"
    with create_engine(postgres.format("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    house = replace(house, desk_url=postgres.format(name))
    yield house
    house.desk.close()


def firm(connection: Connection) -> str:
    (row,) = connection.execute(select(tables.subject.c.name).where(tables.subject.c.uscc == FIRM))
    return str(row.name)


def on_disk(house: House, needle: str) -> bool:
    """Whether a text stands in any file of the desk's database."""
    engine = create_engine(house.desk_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CHECKPOINT"))
        folder = Path(str(connection.execute(text("SHOW data_directory")).scalar_one()))
        number = connection.execute(text("SELECT oid FROM pg_database WHERE datname = current_database()")).scalar_one()
    engine.dispose()
    files = [file for file in (folder / "base" / str(number)).iterdir() if file.is_file()]
    assert len(files) > 100
    return any(needle.encode() in file.read_bytes() for file in files)


def test_step_by_step_it_ends_where_reading_everything_at_once_ends(there: House) -> None:
    for step in STEPS:
        play(there, step)
        assert refresh(there)["rows"]
    with there.desk.read() as connection:
        followed = dump(connection)
    rebuild(there)
    with there.desk.read() as connection:
        assert dump(connection) == followed


def test_readers_see_one_state_while_it_is_refreshed_and_made_anew(there: House) -> None:
    """Four readers ask twice within each connection; what they see belongs together, and never goes back."""
    many = codes(*range(100, 300))
    lake = FactLake(there)

    def tell(turn: int) -> None:
        # Every subject gets the turn's name, so one look tells whether all rows are of one state.
        lake.put("subject", MONDAY, [{"uscc": code, "name": f"示例第{turn}版公司"} for code in many])

    tell(0)
    refresh(there)
    done, looks = threading.Event(), []

    def look() -> None:
        seen = 0
        names = select(tables.subject.c.name).distinct()
        last = False
        while not last:
            # One look after all is done: the newest state is seen however the threads were scheduled.
            last = done.is_set()
            with there.desk.read() as connection:
                reach = read.state(connection).seq
                (first,) = connection.execute(names).scalars()
                (again,) = connection.execute(names).scalars()
            assert first == again == f"示例第{reach - 1}版公司"
            assert reach >= seen
            seen = reach
            looks.append(seen)
            time.sleep(0.01)

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(look) for _ in range(4)]
        try:
            for turn in range(1, 5):
                tell(turn)
                at_once = [pool.submit(refresh, replace(there)) for _ in range(2)]
                assert sorted(bool(each.result(60)["rows"]) for each in at_once) == [False, True]
                if turn == 3:
                    rebuild(there)
        finally:
            done.set()
        for reader in readers:
            reader.result(60)
    assert {1, 5} < set(looks)


def test_readers_cannot_write_and_do_not_wait(there: House) -> None:
    FactLake(there).put("subject", MONDAY, subjects())
    refresh(there)
    with there.desk.read() as connection, pytest.raises(DBAPIError, match="read-only transaction"):
        connection.execute(tables.subject.delete())
    with there.desk.write() as writing:
        writing.execute(tables.subject.delete())
        began = time.monotonic()
        with there.desk.read() as connection:
            assert firm(connection) == NAMES[FIRM]
        assert time.monotonic() - began < 1


def test_what_the_lake_forgot_is_in_no_file_once_nobody_sees_it(there: House) -> None:
    """A reader's state of before is kept for as long as he looks; the rewriting waits for that."""
    lake = FactLake(there)
    lake.put("subject", MONDAY, subjects(name=OLD)[:1])
    refresh(there)
    assert on_disk(there, OLD)
    lake.put("subject", MONDAY, subjects()[:1])
    for file in there.lake.files("subject")[:1]:
        upkeep.rewrite(there, there.engine(), "subject", [file], lambda rows: rows.filter(rows.seq > 1))
    with ThreadPoolExecutor() as pool, there.desk.read() as connection:
        # A state is what the first question sees; the table itself is asked only later.
        assert read.state(connection).seq == 1
        making = pool.submit(rebuild, there)
        with there.desk.read() as other:
            while firm(other) != NAMES[FIRM]:
                other.rollback()
                time.sleep(0.05)
        assert firm(connection) == OLD
        assert not making.done()
        connection.rollback()
        assert making.result(60)["anew"]
    assert not on_disk(there, OLD)
    assert on_disk(there, NAMES[FIRM])


def test_a_reader_who_stays_is_named(there: House, monkeypatch: pytest.MonkeyPatch) -> None:
    FactLake(there).put("subject", MONDAY, subjects())
    refresh(there)
    monkeypatch.setattr(refreshing, "PATIENCE", 0.5)
    with there.desk.read() as connection:
        assert firm(connection) == NAMES[FIRM]
        with pytest.raises(DeskBusyError, match="still holds"):
            rebuild(there)
    assert rebuild(there)["anew"]


def test_a_reader_who_came_later_holds_up_neither_it_nor_others(there: House) -> None:
    FactLake(there).put("subject", MONDAY, subjects())
    refresh(there)
    with ThreadPoolExecutor() as pool, there.desk.read() as early:
        assert firm(early) == NAMES[FIRM]
        making = pool.submit(compact, there)
        time.sleep(0.3)
        with there.desk.read() as later:
            assert firm(later) == NAMES[FIRM]
            early.rollback()
            # The table is waited for, for two seconds at a time; who comes meanwhile waits no longer.
            for _ in range(3):
                began = time.monotonic()
                with there.desk.read() as other:
                    assert firm(other) == NAMES[FIRM]
                assert time.monotonic() - began < 5
                time.sleep(0.5)
            assert not making.done()
        making.result(60)


def test_a_ledger_that_went_back_has_everything_read_anew(there: House) -> None:
    """After a restore: what the desk took in of commits that are no more is gone with them."""
    lake = FactLake(there)
    lake.put("subject", MONDAY, subjects())
    lake.put("subject", MONDAY, subjects(name=OLD)[:1])
    refresh(there)
    restored = replace(there, var=there.var.parent / "restored")
    (restored.var).mkdir()
    (restored.var / "desk.key").write_bytes((there.var / "desk.key").read_bytes())
    FactLake(restored).put("subject", MONDAY, subjects())
    assert refresh(restored)["anew"]
    with restored.desk.read() as connection:
        assert firm(connection) == NAMES[FIRM]
    empty(restored)
    with restored.desk.read() as connection:
        assert not any(dump(connection).values())
        assert read.state(connection).built_at is None
    assert refresh(restored)["anew"]
