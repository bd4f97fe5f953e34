"""Small samples of every source, as their bytes arrive: the fixtures that contracts are tested on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa

from chengxin.sandbox import drop, frontdb, pages
from chengxin.sandbox.shapes import SOURCES
from chengxin.sandbox.world import World

DAY = date(2026, 6, 15)
ROWS = 24
_NAMES = {
    "subject_registry": "page.json", "credit_records": "page.json", "blacklists": "page.json", "matters": "page.json",
    "annual_reports": "rows.jsonl", "abnormal_list": "rows.jsonl", "credit_agencies": "zxjgba.xlsx",
    "credit_reports": "xybg.json", "dishonest_debtors": "sxbzxr.zip", "consents": "sqtys.csv",
}  # fmt: skip


def write(folder: Path) -> list[Path]:
    """Writes one sample a source to `<folder>/<source>/…`: its first rows in a small world, dirty ones included."""
    world = World(1, 200, DAY)
    files = []
    for name, file_name in _NAMES.items():
        file = folder / name / file_name
        file.parent.mkdir(parents=True, exist_ok=True)
        source, table = SOURCES[name], world.source(name).slice(0, ROWS)
        if source.transport == "files":
            drop.write(file.parent, source.place, DAY, table).rename(file)
        elif source.transport == "database":
            numbers = pa.array(range(1, table.num_rows + 1))
            pages.json_lines(table.add_column(0, frontdb.ROW_NUMBER[source.place], numbers), file)
        else:
            lines = file.with_suffix(".lines")
            pages.json_lines(table, lines)
            records = pages.Records.open(lines)
            file.write_bytes(pages.envelope(records.total, records.page(1, ROWS)))
            lines.unlink()
        files.append(file)
    return files
