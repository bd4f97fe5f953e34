"""A front database (前置库), filled the way a publisher's nightly job fills it: emptied, then all rows anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from sqlalchemy import BigInteger, Column, Integer, MetaData, Numeric, String, Table, create_engine
from sqlalchemy.types import TypeEngine

_CHUNK = 50_000
ROW_NUMBER = {"v_nb_jbxx": "XH", "dw_scjdgl_jyycml": "xh"}
"""Table → its column with the row's number, as these tables have it."""


def fill(url: str, tables: Mapping[str, pa.Table]) -> None:
    """Makes each table if it is missing and replaces its rows, all in one transaction.

    Args:
        url: SQLAlchemy URL (SQLite, PostgreSQL).
        tables: rows by table name; a row number column comes first.
    """
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            for name, rows in tables.items():
                table = _table(name, rows.schema)
                table.create(connection, checkfirst=True)
                connection.execute(table.delete())
                insert = table.insert()
                first = 1
                for batch in rows.to_batches(max_chunksize=_CHUNK):
                    values = batch.to_pylist()
                    for number, row in enumerate(values, first):
                        row[ROW_NUMBER[name]] = number
                    first += len(values)
                    if values:
                        connection.execute(insert, values)
    finally:
        engine.dispose()


def _table(name: str, schema: pa.Schema) -> Table:
    columns: list[Column[Any]] = [
        Column(ROW_NUMBER[name], BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    ]
    columns += [Column(field.name, _type(field.type)) for field in schema]
    return Table(name, MetaData(), *columns)


def _type(kind: pa.DataType) -> TypeEngine[Any]:
    if pa.types.is_integer(kind):
        return BigInteger()
    if pa.types.is_floating(kind):
        return Numeric(18, 6, asdecimal=False)
    return String(500)
