"""A source fetched in parts: the same as in one piece, each part by itself, nobody waits for a slow one."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from chengxin import engine, harvest, harvest_ledger, parts
from chengxin.connections import Connection
from chengxin.errors import ConfigError, HarvestError, SourceContentError, SourceUnreachableError
from chengxin.ledger.models import Harvest, HarvestPart, RawObject
from chengxin.sandbox.codes import credit_codes
from chengxin.settings import House

from .tools import AS_OF, PATH, Killed, Reply, Request, Source, contract, over

AREAS = ("370112001", "370112002", "370112003")
SIZES = {"370112001": 25, "370112002": 7, "370112003": 10}
READ = {
    "connector": "http_api",
    "connection": "sharing_portal",
    "path": PATH,
    "paging": {"page_size": 10},
    "timeout": 5,
    "tries": 1,
}
PARTS = {"values": list(AREAS), "at_once": 2}


def people() -> list[dict[str, Any]]:
    """Records of three areas, mixed; two with a broken code, one of them twice."""
    import numpy as np

    codes = credit_codes(np.full(42, b"91370112"), np.arange(42)).to_pylist()
    areas = [area for area, size in SIZES.items() for _ in range(size)]
    listed = [
        {"code": code, "name": f"虚构企业{number}", "area": area, "state": "1"}
        for number, (code, area) in enumerate(zip(codes, areas, strict=True))
    ]
    listed[3]["code"], listed[30]["code"] = "9.137E+17", ""
    return sorted(listed, key=lambda record: record["name"])


def write(root: Path, cut: bool, **more: Any) -> None:
    """A house's contract, in parts or in one piece."""
    wanted: dict[str, Any] = {
        **contract(READ, "subjects_in").model_dump(mode="json", exclude_unset=True),
        "max_age": "2d",
        "keep": "5y",
        "columns": {"code": {"to": "uscc", "required": True}, "name": "name", "area": "area_code", "state": "state"},
    }
    if cut:
        wanted["read"] = {**READ, "params": {"area": "{partition}"}}
        wanted["partitions"] = {**PARTS, **more}
    folder = root / "include" / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "subjects_in.yml").write_text(yaml.safe_dump(wanted, allow_unicode=True), "utf-8")


def by_area(source: Source) -> Callable[[Request], Reply | None]:
    """Answers as an API does that knows the parameter `area`."""

    def answer(request: Request) -> Reply | None:
        area = request.query.get("area")
        chosen = [record for record in source.records if area in (None, record["area"])]
        return Reply(body=replace(source, records=chosen).page(request))

    return answer


@pytest.fixture
def cut(house: House, source: Source, tmp_path: Path) -> House:
    """A house whose one source is cut into parts."""
    write(tmp_path, cut=True)
    source.records = people()
    source.answers = by_area(source)
    return replace(over(house, source.connection), include=tmp_path / "include")


def known(house: House) -> list[dict[str, Any]]:
    connection = house.engine()
    columns = ("uscc", "name", "area_code", "state", "row_hash", "natural_key")
    found = []
    for table, wanted in (("subject", columns), ("rejected", ("rule", "column", "value", "natural_key"))):
        rows = engine.as_of(connection, house.lake, table, AS_OF, source="subjects_in")
        found += sorted(rows.select(*wanted).to_pyarrow().to_pylist(), key=str)
    connection.disconnect()
    return found


def test_published_as_in_one_piece(cut: House, source: Source, tmp_path: Path) -> None:
    whole = replace(cut, var=tmp_path / "whole", include=tmp_path / "whole" / "include")
    write(tmp_path / "whole", cut=False)
    outcome, expected = harvest.run(cut, "subjects_in", AS_OF), harvest.run(whole, "subjects_in", AS_OF)
    counts = {name: outcome[name] for name in harvest_ledger.COUNTS}
    assert counts == {name: expected[name] for name in harvest_ledger.COUNTS}
    assert counts["harvested"] == counts["published"] + counts["rejected"] == 42
    assert counts["rejected"] == 2
    assert known(cut) == known(whole)
    assert harvest.run(cut, "subjects_in", AS_OF)["unchanged"] == 40


def test_the_sum_is_the_sum_over_the_parts(cut: House) -> None:
    harvest_id = harvest.fetch(cut, "subjects_in", AS_OF)
    with cut.ledger.begin() as session:
        received = {
            one.part: one.cursor["received"]
            for one in session.scalars(select(HarvestPart).where(HarvestPart.harvest_id == harvest_id))
        }
        assert received == SIZES
        of_harvest = select(RawObject.locator).where(RawObject.harvest_id == harvest_id).order_by(RawObject.ordinal)
        assert [locator.split(" ")[2] for locator in session.scalars(of_harvest)] == ["1", "2", "3", "1", "1"]
    assert harvest.publish(cut, harvest_id)["harvested"] == sum(SIZES.values())


def test_a_slow_part_keeps_nobody_waiting(cut: House, source: Source) -> None:
    asked, answers = threading.Event(), source.answers

    def slow(request: Request) -> Reply | None:
        reply = answers(request)
        if request.query.get("area") == AREAS[0] and reply is not None:
            asked.set()
            reply.hang = 4.0
        return reply

    source.answers = slow
    harvest_id = parts.open(cut, "subjects_in", AS_OF)
    ended: list[bool] = []
    waiting = threading.Thread(target=lambda: ended.append(parts.fetch(cut, harvest_id, AREAS[0])))
    waiting.start()
    assert asked.wait(4)
    # The others come to their end meanwhile; the harvest does not.
    assert [parts.fetch(cut, harvest_id, area) for area in AREAS[1:]] == [False, False]
    assert not ended
    with pytest.raises(HarvestError, match="not been fetched to its end"):
        harvest.publish(cut, harvest_id)
    source.answers = answers
    source.released.set()
    waiting.join(20)
    assert ended == [True]
    assert harvest.publish(cut, harvest_id)["harvested"] == 42


def test_each_part_goes_on_where_it_was_cut_off(cut: House, source: Source, kill_after: Callable[[int], None]) -> None:
    harvest_id = parts.open(cut, "subjects_in", AS_OF)
    parts.fetch(cut, harvest_id, AREAS[1])
    kill_after(2)
    with pytest.raises(Killed):
        parts.fetch(cut, harvest_id, AREAS[0])
    source.requests.clear()
    assert parts.open(cut, "subjects_in", AS_OF) == harvest_id
    assert [parts.fetch(cut, harvest_id, area) for area in AREAS] == [False, False, True]
    asked = [(request.query.get("area"), request.query["page"]) for request in source.requests]
    # A look at the page kept last, and at the first in the end; the part that had not begun, and the total of all. The
    # page that was lost was the last one: read ahead, it lay in the archive.
    assert asked == [(AREAS[0], "2"), (AREAS[0], "1"), (AREAS[2], "1"), (None, "1")]
    assert harvest.publish(cut, harvest_id)["harvested"] == 42


def test_a_part_that_fails_fails_alone(cut: House, source: Source) -> None:
    answers = source.answers
    source.answers = lambda request: Reply(503) if request.query.get("area") == AREAS[1] else answers(request)
    harvest_id = parts.open(cut, "subjects_in", AS_OF)
    assert not parts.fetch(cut, harvest_id, AREAS[0])
    with pytest.raises(SourceUnreachableError):
        parts.fetch(cut, harvest_id, AREAS[1])
    assert not parts.fetch(cut, harvest_id, AREAS[2])
    with cut.ledger.begin() as session:
        assert session.get_one(Harvest, harvest_id).state == "failed"
    source.answers = answers
    source.requests.clear()
    assert parts.open(cut, "subjects_in", AS_OF) == harvest_id
    assert parts.fetch(cut, harvest_id, AREAS[1])
    assert {request.query.get("area") for request in source.requests} == {AREAS[1], None}
    assert parts.fetch(cut, harvest_id, AREAS[1])
    assert harvest.publish(cut, harvest_id)["state"] == "published"


def test_a_record_in_no_part_is_missed(cut: House, source: Source, tmp_path: Path) -> None:
    source.records[5]["area"] = "370112009"
    with pytest.raises(SourceContentError, match="the parts have 41 records, the whole has 42"):
        harvest.run(cut, "subjects_in", AS_OF)
    write(tmp_path, cut=True, whole=False)
    assert harvest.run(cut, "subjects_in", AS_OF)["harvested"] == 41


def test_a_contract_that_changed_meanwhile(cut: House, tmp_path: Path) -> None:
    harvest_id = parts.open(cut, "subjects_in", AS_OF)
    write(tmp_path, cut=True, at_once=3)
    with pytest.raises(HarvestError, match="has changed"):
        parts.fetch(cut, harvest_id, AREAS[0])
    assert parts.open(cut, "subjects_in", AS_OF) != harvest_id


def test_a_source_in_one_piece_has_no_parts(cut: House, tmp_path: Path) -> None:
    write(tmp_path, cut=False)
    with pytest.raises(ConfigError, match="not cut into parts"):
        parts.open(cut, "subjects_in", AS_OF)


def test_files_and_tables_in_parts(house: House, tmp_path: Path) -> None:
    import sqlite3

    drop, front = tmp_path / "drop", tmp_path / "front.db"
    drop.mkdir()
    rows = people()
    for area in AREAS:
        lines = [f"{row['code']},{row['name']}" for row in rows if row["area"] == area]
        (drop / f"list_{area}_20260615.csv").write_text("\n".join(["code,name", *lines]) + "\n", "utf-8")
    with sqlite3.connect(front) as database:
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, code TEXT, name TEXT, area TEXT)")
        database.executemany(
            "INSERT INTO t (code, name, area) VALUES (?, ?, ?)",
            [(row["code"], row["name"], row["area"]) for row in rows],
        )
    there = {
        "drop": Connection("drop", "fs", extra={"path": str(drop)}),
        "front": Connection("front", "sqlite", host=str(front)),
    }
    kinds: dict[str, dict[str, Any]] = {
        "drop": {"connector": "files", "pattern": "list_{partition}_{as_of}.csv", "format": "csv"},
        "front": {"connector": "database", "table": "t", "where": "area = '{partition}'"},
    }
    house = replace(house, include=tmp_path / "include", connections=there.__getitem__)
    for connection, read in kinds.items():
        ignored = {"ignore": ["n", "area"]} if connection == "front" else {}
        wanted = contract({**read, "connection": connection}, f"{connection}_in", partitions=PARTS, **ignored)
        folder = house.include_dir / "sources"
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(
            {**wanted.model_dump(mode="json", exclude_unset=True), "max_age": "2d", "keep": "5y"}, allow_unicode=True
        )
        (folder / f"{wanted.name}.yml").write_text(text, "utf-8")
        harvest_id = harvest.fetch(house, wanted.name, AS_OF)
        with house.ledger.begin() as session:
            assert "fetched" in session.get_one(Harvest, harvest_id).detail
        assert harvest.publish(house, harvest_id)["harvested"] == 42


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partitions": None}, "go together"),
        ({"read": READ}, "go together"),
        ({"partitions": {"values": ["a"]}}, "at least 2"),
        ({"partitions": {"values": ["a", "a"]}}, "twice: a"),
        ({"partitions": {"values": ["a", "b' OR 1=1"]}}, "pattern"),
        (
            {"read": {**READ, "params": {"a": "{partition}"}, "watermark": {"heading": "name", "param": "s"}}},
            "watermark",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"read": {**READ, "params": {"area": "{partition}"}}, "partitions": PARTS}
    assert contract(**good).partitions
    with pytest.raises(ValueError, match=message):
        contract(**{**good, **change, "mode": "incremental" if message == "watermark" else "full"})


def test_what_is_in_one_piece_keeps_its_hash() -> None:
    one = contract(READ)
    told = one.model_dump_json(exclude={"partitions": True, "quiet": True, "read": {"encoding"}})
    assert one.sha256 == hashlib.sha256(told.encode()).hexdigest()
    assert one.sha256 != contract({**READ, "params": {"area": "{partition}"}}, partitions=PARTS).sha256
