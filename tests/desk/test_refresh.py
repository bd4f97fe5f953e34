"""The desk follows the lake commit by commit, ends where reading everything at once ends, and forgets with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from chengxin import identity, upkeep
from chengxin.desk import facts, ids, read, tables
from chengxin.desk.refresh import key, rebuild, refresh
from chengxin.desk.store import make_tables
from chengxin.ledger.models import CheckRun, Commit
from chengxin.settings import House
from chengxin.tables import REJECTED, TABLES
from tests.conftest import NOW, ROOT
from tests.desk.story import AGENCY, FIRM, MONDAY, NAMES, SECRET, dump, subjects
from tests.factlake import FactLake, codes

EVERYTHING = read.Scope.everything()
LETTERS = st.characters(codec="gb18030", categories=("Lo", "Lu", "Ll", "Nd", "Zs", "Ps", "Pe", "Po")).filter(
    lambda letter: len(letter.upper()) == 1
)


def rows(house: House) -> dict[str, list[tuple[Any, ...]]]:
    with house.desk.read() as connection:
        return dump(connection)


def anew(house: House, url: str = "") -> dict[str, list[tuple[Any, ...]]]:
    """What another desk of the same house holds, made at once."""
    other = replace(house, desk_url=url or f"sqlite:///{house.var / 'another.db'}")
    refresh(other)
    return rows(other)


class TestFollowing:
    """Commit by commit, or at once."""

    def test_both_ways_end_alike(self, played: House) -> None:
        found = rows(played)
        assert all(found[table.name] for table in tables.metadata.sorted_tables if table is not tables.state)
        assert found == anew(played)

    def test_on_postgresql_too(self, played: House, postgres: str) -> None:
        house = replace(played, desk_url=postgres.format("postgres"))
        assert refresh(house)["anew"]
        found = rows(house)
        assert {name: len(part) for name, part in found.items()} == {n: len(p) for n, p in rows(played).items()}
        with house.desk.read() as connection, played.desk.read() as other:
            for asked in (connection, other):
                (firm,) = read.find_subject(asked, FIRM)
                assert read.find_subject(asked, NAMES[FIRM][:4])[0].uscc == FIRM
            there, here = (read.subject(one, EVERYTHING, firm.ref, MONDAY) for one in (connection, other))
            assert there
            assert here
            assert there.subject == here.subject
            assert {*map(str, there.events.rows)} == {*map(str, here.events.rows)}
            assert {*map(str, there.advice)} == {*map(str, here.advice)}
        # Made anew under its readers, and once more by the commit.
        assert rebuild(house)["anew"]
        assert rows(house) == found
        house.desk.close()

    def test_nothing_new_is_nothing_done(self, played: House) -> None:
        before = rows(played)
        assert refresh(played) == {"seq": refresh(played)["seq"], "anew": False, "rows": {}}
        assert rows(played) == before

    def test_refs_outlive_the_desk(self, played: House) -> None:
        with played.desk.read() as connection:
            (firm,) = read.find_subject(connection, FIRM)
        rebuild(played)
        with played.desk.read() as connection:
            found = read.subject_of(connection, firm.ref)
            assert found == firm
        assert firm.ref == ids.ref(key(played), "subject", FIRM)
        assert firm.subject_id == ids.number(firm.ref)


class TestOpenCommits:
    """What is not closed does not count yet."""

    def test_a_harvest_counts_once_it_is_closed(self, house: House) -> None:
        lake = FactLake(house)
        lake.put("subject", MONDAY, subjects())
        opened = lake.put("subject", MONDAY, subjects(name="示例改名有限公司")[:1])
        later = lake.put("agency", MONDAY, [{"uscc": FIRM, "name": "示例征信"}])
        reopen(house, opened)
        assert refresh(house)["seq"] == later
        assert name_of(house) == NAMES[FIRM]
        with house.desk.read() as connection:
            assert read.state(connection).waiting == (opened,)
        assert refresh(house)["rows"] == {}
        with house.ledger.begin() as session:
            session.get_one(Commit, opened).closed_at = NOW
        assert refresh(house)["rows"]["desk_subject"] == 1
        assert name_of(house) == "示例改名有限公司"
        assert rows(house) == anew(house)

    def test_a_killed_check_counts_once_a_later_one_has_ended(self, house: House) -> None:
        lake = FactLake(house)
        killed = lake.put("subject", MONDAY, subjects())
        lake.put("agency", MONDAY, [{"uscc": AGENCY, "name": "示例征信"}])
        reopen(house, killed)
        with house.ledger.begin() as session:
            commit = session.get_one(Commit, killed)
            commit.kind, commit.name = "check", house.district
        refresh(house)
        assert {row[1] for row in rows(house)["desk_event"]} == {"agency"}
        # What it wrote was found by the next one, which had nothing to add and made no commit.
        run = {"read_seq": killed, "policy": "p", "policy_version": "0" * 64, "engine": "e", "finished_at": NOW}
        with house.ledger.begin() as session:
            session.add(CheckRun(district=house.district, as_of=MONDAY, started_at=NOW, **run))
        refresh(house)
        assert name_of(house) == NAMES[FIRM]
        with house.desk.read() as connection:
            assert read.state(connection).waiting == ()
        assert rows(house) == anew(house)


class TestSafety:
    """Killed, twice at once, of an older make, under readers."""

    def test_two_at_once(self, house: House) -> None:
        FactLake(house).put("subject", MONDAY, subjects())
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: refresh(replace(house)), range(4)))
        assert sorted(bool(one["rows"]) for one in done) == [False, False, False, True]
        assert rows(house) == anew(house)

    def test_killed_on_the_way_it_is_as_it_was(self, house: House) -> None:
        lake = FactLake(house)
        lake.put("subject", MONDAY, subjects())
        refresh(house)
        before = rows(house)
        many = [{"uscc": code, "name": f"示例{n}号公司"} for n, code in enumerate(codes(*range(100, 6100)))]
        lake.put("subject", MONDAY, many)
        worker = multiprocessing.get_context("spawn").Process(target=killed_at_work, args=(house.var,))
        worker.start()
        worker.join(120)
        assert worker.exitcode == -signal.SIGKILL
        assert rows(house) == before
        assert refresh(house)["rows"]["desk_subject"] == 6000
        assert rows(house) == anew(house)

    def test_readers_see_one_state_and_do_not_wait(self, house: House) -> None:
        lake = FactLake(house)
        lake.put("subject", MONDAY, subjects())
        refresh(house)
        with house.desk.read() as connection:
            assert read.find_subject(connection, FIRM)
            lake.put("subject", MONDAY, subjects(name="示例改名有限公司")[:1])
            refresh(house)
            (seen,) = read.find_subject(connection, FIRM)
            assert seen.name == NAMES[FIRM]
        assert name_of(house) == "示例改名有限公司"
        # A writer at work, and one who reads.
        with house.desk.write() as writing:
            make_tables(writing)
            assert name_of(house) == "示例改名有限公司"

    def test_made_anew_under_a_reader_nothing_is_left_behind(self, house: House) -> None:
        lake = FactLake(house)
        lake.put("subject", MONDAY, subjects(name="示例旧名旧名有限公司")[:1])
        refresh(house)
        reading, done = threading.Event(), threading.Event()

        def reader() -> None:
            with house.desk.read() as connection:
                assert read.find_subject(connection, FIRM)
                reading.set()
                done.wait(0.5)
                assert read.find_subject(connection, FIRM)[0].name == "示例旧名旧名有限公司"

        with ThreadPoolExecutor() as pool:
            looking = pool.submit(reader)
            assert reading.wait(30)
            lake.put("subject", MONDAY, subjects()[:1])
            # The lake forgets the old name; so must the desk, although somebody is looking.
            for file in house.lake.files("subject")[:1]:
                upkeep.rewrite(house, house.engine(), "subject", [file], lambda rows: rows.filter(rows.seq > 1))
            rebuild(house)
            looking.result()
        assert name_of(house) == NAMES[FIRM]
        content = b"".join(file.read_bytes() for file in house.var.glob("desk.db*"))
        assert NAMES[FIRM].encode() in content
        assert "示例旧名旧名".encode() not in content

    def test_a_desk_of_another_make_is_made_anew(self, house: House) -> None:
        FactLake(house).put("subject", MONDAY, subjects())
        refresh(house)
        with house.desk.write() as connection:
            connection.execute(tables.state.update().values(tables="of another version"))
        house.desk.close()
        assert refresh(house)["anew"]
        assert name_of(house) == NAMES[FIRM]

    def test_other_sources_other_desk(self, house: House) -> None:
        FactLake(house).put("subject", MONDAY, subjects())
        refresh(house)
        include = house.var / "include"
        include.mkdir()
        for part in ("sources", "policy", "mail"):
            (include / part).symlink_to(ROOT / "include" / part)
        (include / "districts").mkdir()
        text = (ROOT / "include/districts/370112.yml").read_text("utf-8")
        (include / "districts/370112.yml").write_text(text.replace("  - subject_registry\n", ""), "utf-8")
        assert refresh(replace(house, include=include))["anew"]
        assert rows(house)["desk_subject"] == []


class TestWhatIsNotThere:
    """四（三）: nothing private, by name or by value."""

    def test_no_private_column(self) -> None:
        private = {column.name for table in TABLES.values() for column in table.columns if column.private}
        assert private >= {"grade", "address", "revenue"}
        columns = {column.name for table in tables.metadata.sorted_tables for column in table.c}
        assert not private & columns
        for name in facts.EVENTS:
            hidden = {column.name for column in TABLES[name].columns if column.private}
            assert not hidden & set(facts.fields(name))
        assert REJECTED.name not in facts.EVENTS

    def test_no_private_value_on_disk(self, played: House) -> None:
        content = b"".join(file.read_bytes() for file in sorted(played.var.glob("desk.db*")))
        assert NAMES[FIRM].encode() in content
        for secret in (SECRET, "AAA+"):
            assert secret.encode() not in content
            # It is in the lake: the story tells it.
            assert any(secret in str(row) for name in TABLES for row in played.lake.rows(name))


class TestIds:
    """DuckDB and Python make the same of a code and of a name."""

    def test_refs_and_numbers(self, played: House) -> None:
        with played.desk.read() as connection:
            for found in connection.execute(select(tables.subject)):
                assert found.ref == ids.ref(key(played), "subject", found.uscc)
                assert found.subject_id == ids.number(found.ref)
            for found in connection.execute(select(tables.matter)):
                assert found.ref == ids.ref(key(played), "matter", found.matter_id)
            made = ids.key_id("subject", "subject_registry", FIRM)
            assert connection.scalars(select(tables.event.c.subject_id).where(tables.event.c.key_id == made)).all()

    def test_the_key_is_for_its_owner_only(self, played: House) -> None:
        assert (played.var / "desk.key").stat().st_mode & 0o077 == 0
        assert len(key(played)) == 32

    @settings(max_examples=200, deadline=None)
    @given(st.text(alphabet=st.one_of(LETTERS, st.sampled_from("（）〔〕【】 \u3000\u200bａＡ①")), max_size=8))
    def test_name_keys(self, name: str) -> None:
        import pandas as pd

        known = identity.name_key(pd.Series([name], dtype=object))[0]
        assert ids.name_key(name) == ("" if pd.isna(known) else known)


def reopen(house: House, seq: int) -> None:
    with house.ledger.begin() as session:
        session.get_one(Commit, seq).closed_at = None


def name_of(house: House) -> str | None:
    with house.desk.read() as connection:
        (found,) = read.find_subject(connection, FIRM)
        return found.name


def killed_at_work(var: Path) -> None:
    """A refresh that is killed as soon as its rows are on their way to the disk."""
    house = House(root=ROOT, var=var, district="370112", clock=lambda: NOW)
    log = var / "desk.db-wal"

    def watch() -> None:
        size = log.stat().st_size if log.exists() else 0
        while not log.exists() or log.stat().st_size <= size:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)

    with house.desk.writer.connect() as connection:
        # Few pages in memory: they go to the log before the transaction ends.
        connection.exec_driver_sql("PRAGMA cache_size=20")
    threading.Thread(target=watch, daemon=True).start()
    refresh(house)


def test_lake_tables_are_all_known() -> None:
    """A new fact table has to be told here too, or left out in writing."""
    left_out = {"rejected", "finding", "advice", "harvest_sum"}
    assert set(facts.EVENTS) | left_out == set(TABLES)
