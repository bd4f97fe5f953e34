"""A whole list in several files, through the whole harvest: half of it takes nothing off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chengxin import freshness, harvest
from chengxin.errors import SourceUnreachableError
from chengxin.settings import House
from tests.dropped import ENTRIES, MONDAY, TUESDAY, Source, entry


@pytest.mark.parametrize("said", ["", ", parts: 2", ', manifest: "{as_of}.lst"'])
def test_a_missing_part_takes_nothing_off(house: House, tmp_path: Path, said: str) -> None:
    source = Source(house, tmp_path)
    pattern = '"entries_{as_of}_*.json"'
    source.contract(
        "entries", ENTRIES.replace('"entries_{as_of}.json", format: json', f"{pattern}, format: json{said}")
    )

    def put(name: str, *rows: dict[str, Any]) -> None:
        (source.drop / name).write_text(json.dumps(rows, ensure_ascii=False), "utf-8")

    for day in (MONDAY, TUESDAY):
        (source.drop / f"{day:%Y%m%d}.lst").write_text(f"entries_{day:%Y%m%d}_1.json\nentries_{day:%Y%m%d}_2.json\n")
        put(f"entries_{day:%Y%m%d}_1.json", entry(1), entry(2), entry(3))
    put(f"entries_{MONDAY:%Y%m%d}_2.json", entry(4))
    assert harvest.run(source.house, "entries", MONDAY)["published"] == 4
    with pytest.raises(SourceUnreachableError, match="not whole yet"):
        harvest.run(source.house, "entries", TUESDAY)
    assert set(source.reasons(TUESDAY)) == {"第1号", "第2号", "第3号", "第4号"}
    assert freshness.ages(source.house, TUESDAY, ["entries"])["entries"].observed_on == MONDAY
    put(f"entries_{TUESDAY:%Y%m%d}_2.json", entry(5))
    outcome = harvest.run(source.house, "entries", TUESDAY)
    assert (outcome["harvested"], outcome["published"], outcome["removed"]) == (4, 1, 1)
    assert set(source.reasons(TUESDAY)) == {"第1号", "第2号", "第3号", "第5号"}
