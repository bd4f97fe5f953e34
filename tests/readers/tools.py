"""From bytes to rows: puts them into the archive and reads them back through a contract."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from chengxin import archive, readers
from chengxin.contracts import Contract
from chengxin.ledger.models import RawObject
from chengxin.settings import House
from tests.connectors.tools import contract as made


def contract(read: dict[str, Any], columns: dict[str, str] | None = None) -> Contract:
    return made(read, **({"columns": columns} if columns else {}))


def file(format_: str, **more: Any) -> Contract:
    return contract({"connector": "files", "connection": "file_drop", "pattern": "*", "format": format_, **more})


def batches(house: House, one: Contract, data: bytes) -> list[pa.RecordBatch]:
    sha256 = archive.put(house, one.name, data)
    raw = RawObject(sha256=sha256, locator="名单 20260615", ordinal=0, size=len(data))
    return list(readers.batches(house, one, raw))


def rows(house: House, one: Contract, data: bytes) -> list[dict[str, Any]]:
    """All rows without our columns, except `_problem` where there is one; checks what holds for every batch."""
    found: list[dict[str, Any]] = []
    for batch in batches(house, one, data):
        assert batch.num_rows <= readers.MAX_ROWS
        assert tuple(batch.schema.names[-3:]) == readers.OWN_COLUMNS
        assert {str(field.type) for field in batch.schema if field.name != "raw_row"} == {"string"}
        assert batch.schema.field("raw_row").type == pa.int32()
        assert set(batch.column("raw_sha256").to_pylist()) <= {archive.put(house, one.name, data)}
        for row in batch.to_pylist():
            assert row.pop("raw_row") == len(found)
            del row["raw_sha256"]
            if row["_problem"] is None:
                del row["_problem"]
            found.append(row)
    return found
