"""What was erased does not come back with the next harvest: the list of hashes that publishing leaves aside."""

from __future__ import annotations

import pyarrow as pa
from sqlalchemy import select

from chengxin.ledger.erased import Erased
from chengxin.settings import House

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("table_name", "key_sha256", "subject_sha256", "document_sha256", "reason")]
)


def erased(house: House) -> pa.Table:
    """The ledger's list of what was erased, in `SCHEMA`."""
    columns = [getattr(Erased, name) for name in SCHEMA.names]
    with house.ledger.begin() as session:
        rows = session.execute(select(*columns)).all()
    return pa.Table.from_pylist([row._asdict() for row in rows], schema=SCHEMA)


def condition(table: str, columns: list[str], source: str) -> str:
    """SQL that holds for a row that was erased: its key, its document, or its subject by a lawful request.

    Args:
        table: the fact table.
        columns: its content columns.
        source: the source whose harvest brings the row.
    """
    tests = [
        f"sha256('{source}' || chr(31) || natural_key) IN (SELECT key_sha256 FROM erased WHERE table_name = '{table}')"  # noqa: S608
    ]
    if "uscc" in columns:
        tests.append("sha256(uscc) IN (SELECT subject_sha256 FROM erased WHERE reason = 'request')")
    if table == "credit_record":
        tests.append("sha256(uscc || chr(31) || record_no) IN (SELECT document_sha256 FROM erased)")
    return " OR ".join(f"coalesce({test}, false)" for test in tests)
