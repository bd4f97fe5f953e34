"""What was erased does not come back with the next harvest: the list of pseudonyms that publishing leaves aside."""
# ruff: noqa: S608 - every name in the SQL comes from our own tables and contracts

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from sqlalchemy import select

from chengxin import documents, pseudonyms
from chengxin.ledger.erased import Erased
from chengxin.pseudonyms import FUNCTION
from chengxin.settings import House

if TYPE_CHECKING:
    from chengxin.engine import Connection

SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("table_name", "key_sha256", "subject_sha256", "document_sha256", "reason")]
)


def erased(house: House, connection: Connection) -> pa.Table:
    """The ledger's list of what was erased, in `SCHEMA`.

    Args:
        house: whose ledger.
        connection: of DuckDB; is taught what `condition` needs where there is anything.

    Raises:
        ConfigError: the house's key is not the one that the list was made with.
    """
    with house.ledger.begin() as session:
        if session.scalar(select(Erased.id).limit(1)) is None:
            return SCHEMA.empty_table()
        names = pseudonyms.of_house(house)
        rows = [{name: getattr(row, name) for name in SCHEMA.names} for row in pseudonyms.erased_rows(session, names)]
    names.teach(connection)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def condition(table: str, columns: list[str], source: str) -> str:
    """SQL that holds for a row that was erased: its key, its document, or its subject by a lawful request.

    Args:
        table: the fact table.
        columns: its content columns.
        source: the source whose harvest brings the row.
    """
    tests = [
        f"{FUNCTION}('{source}' || chr(31) || natural_key) IN "
        f"(SELECT key_sha256 FROM erased WHERE table_name = '{table}')"
    ]
    if "uscc" in columns:
        tests.append(f"{FUNCTION}(uscc) IN (SELECT subject_sha256 FROM erased WHERE reason = 'request')")
    if table == "credit_record":
        # As it came too: so older versions noted it.
        tests += [
            f"{FUNCTION}(uscc || chr(31) || {number}) IN (SELECT document_sha256 FROM erased)"
            for number in (documents.alike_sql("record_no"), "record_no")
        ]
    return " OR ".join(f"coalesce({test}, false)" for test in tests)
