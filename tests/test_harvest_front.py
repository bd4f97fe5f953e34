"""An incremental front database through the whole harvest: from mark to mark, feedback, no gap after a stop."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from chengxin import harvest
from chengxin.connections import Connection
from chengxin.errors import BoundError
from chengxin.settings import House
from tests.dropped import CODES, ENTRIES, Source

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 6, 15) + timedelta(n) for n in range(3))
READ = (
    "read: {connector: database, connection: front_db, table: mingdan, batch: 3, "
    "watermark: {heading: batch, overlap: 1h}, feedback: {table: fankui}}"
)


class Front:
    """A publisher's database, and the house that reads it."""

    def __init__(self, source: Source, path: Path) -> None:
        self.path = path
        text = "\n".join(READ if line.startswith("read:") else line for line in ENTRIES.splitlines())
        source.contract("entries", text.replace("mode: full", "mode: incremental"))
        connection = Connection("front_db", "sqlite", host=str(path))
        self.source = source
        source.house = replace(source.house, connections=lambda _: connection)
        self.sql("CREATE TABLE mingdan (code, who, since, until, why, no TEXT PRIMARY KEY, batch)")
        self.sql("CREATE TABLE fankui (harvest_id, received, rejected, reason, state)")

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.path) as database:
            return database.execute(query, values).fetchall()

    def put(self, number: int, why: str, at: str, since: str = "2026-01-05") -> None:
        row = (CODES[number], f"测试{number}公司", since, "", why, f"第{number}号", f"2026-06-{at}")
        self.sql("INSERT OR REPLACE INTO mingdan VALUES (?, ?, ?, ?, ?, ?, ?)", *row)

    def run(self, day: date) -> dict[str, Any]:
        return harvest.run(self.source.house, "entries", day)


@pytest.fixture
def front(house: House, tmp_path: Path) -> Front:
    return Front(Source(house, tmp_path), tmp_path / "front.db")


def test_from_mark_to_mark_and_no_gap_after_a_stop(front: Front) -> None:
    for number in range(7):
        front.put(number, "周日", f"14 10:0{number}:00")
    front.put(9, "周日", "14 11:59:00", since="昨天")
    assert front.run(MONDAY)["harvested"] == 8

    front.put(0, "周一", "15 10:00:00")
    front.sql("UPDATE mingdan SET who = ''")
    with pytest.raises(BoundError):
        front.run(TUESDAY)
    for number in range(10):
        front.sql("UPDATE mingdan SET who = ? WHERE no = ?", f"测试{number}公司", f"第{number}号")
    front.put(9, "修好", "16 09:00:00")

    wednesday = front.run(WEDNESDAY)
    # Of the overlap: none but the broken record is within the hour before Monday's mark.
    assert (wednesday["harvested"], wednesday["published"], wednesday["unchanged"]) == (2, 2, 0)
    assert front.source.reasons(WEDNESDAY) == {f"第{n}号": "周日" for n in range(1, 7)} | {
        "第0号": "周一",
        "第9号": "修好",
    }
    assert front.source.state(WEDNESDAY, "rejected") == {}
    # Cleared and run again it asks for the same, and changes nothing.
    again = front.run(WEDNESDAY)
    assert (again["harvested"], again["published"], again["seq"]) == (2, 0, None)

    told = front.sql("SELECT received, rejected, reason, state FROM fankui ORDER BY harvest_id")
    assert told[0] == (8, 1, "日期无法识别 1条", "published")
    assert told[1][3] == "stopped"
    assert told[1][2].startswith("整批未采用，沿用上一批：超出约定的范围：可用记录0条，少于约定的1条。请核对")
    assert "必填字段为空" in told[1][2]
    assert told[2:] == [(2, 0, "", "published")] * 2
