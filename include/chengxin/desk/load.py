"""Writes many rows into the desk at once: by the driver's own means, since an insert a row would take minutes."""

# ruff: noqa: S608 - every name in the SQL comes from our own tables

from __future__ import annotations

import io
from typing import Any

import pyarrow.csv as pa_csv
from sqlalchemy import Connection, MetaData, Table, text

from chengxin.desk.fill import Part
from chengxin.engine import DuckDB

BATCH = 20_000
"""Rows that are in memory at a time."""


def replace(connection: Connection, lake: DuckDB, part: Part, *, full: bool) -> int:
    """Makes a part of the desk anew.

    Args:
        connection: the desk's, in a transaction.
        lake: the engine that the part's SQL is for.
        part: what is made anew.
        full: the desk is empty: nothing is deleted.

    Returns:
        The number of rows written.
    """
    if not full:
        _delete(connection, lake, part)
    return insert(connection, lake, part.target, part.rows)


def insert(connection: Connection, lake: DuckDB, target: Table, rows: str) -> int:
    """Appends the rows of an SQL of the engine, and returns their number."""
    rows, names = _plain(lake, rows)
    quoted = ", ".join(f'"{name}"' for name in names)
    if connection.dialect.name == "sqlite":
        holes = ", ".join("?" * len(names))
        return _sqlite(connection, lake, rows, f'INSERT INTO "{target.name}" ({quoted}) VALUES ({holes})')
    return _postgres(connection, lake, rows, f'COPY "{target.name}" ({quoted}) FROM STDIN (FORMAT csv)')


def _delete(connection: Connection, lake: DuckDB, part: Part) -> None:
    if part.condition is not None:
        connection.execute(part.target.delete().where(part.condition))
        return
    kind = part.target.c[part.column].type.compile(connection.dialect)
    # A condition on thousands of values is no statement; a table of them is.
    connection.execute(text("DROP TABLE IF EXISTS desk_made_anew"))
    connection.execute(text(f"CREATE TEMPORARY TABLE desk_made_anew (made {kind})"))
    insert(
        connection,
        lake,
        Table("desk_made_anew", MetaData()),
        f"SELECT {part.column} AS made FROM ({part.keys}) WHERE {part.column} IS NOT NULL",
    )
    connection.execute(
        text(f'DELETE FROM "{part.target.name}" WHERE {part.column} IN (SELECT made FROM desk_made_anew)')
    )
    connection.execute(text("DROP TABLE desk_made_anew"))


def _plain(lake: DuckDB, rows: str) -> tuple[str, list[str]]:
    """The rows in types that every driver takes: days as ISO text, amounts as doubles."""
    columns = lake.con.execute(f"DESCRIBE {rows}").fetchall()
    casts = {"DATE": "VARCHAR", "DECIMAL": "DOUBLE", "HUGEINT": "BIGINT"}
    listed = ", ".join(
        f'CAST("{name}" AS {casts[kind.split("(")[0]]}) AS "{name}"' if kind.split("(")[0] in casts else f'"{name}"'
        for name, kind, *_ in columns
    )
    return f"SELECT {listed} FROM ({rows})", [name for name, *_ in columns]


def _sqlite(connection: Connection, lake: DuckDB, rows: str, statement: str) -> int:
    driver: Any = connection.connection.driver_connection
    found, number = lake.con.execute(rows), 0
    while batch := found.fetchmany(BATCH):
        driver.executemany(statement, batch)
        number += len(batch)
    return number


def _postgres(connection: Connection, lake: DuckDB, rows: str, statement: str) -> int:
    driver: Any = connection.connection.driver_connection
    number = 0
    with driver.cursor() as cursor:
        for batch in lake.con.sql(rows).to_arrow_reader(BATCH):
            text_ = io.BytesIO()
            pa_csv.write_csv(batch, text_, pa_csv.WriteOptions(include_header=False))
            text_.seek(0)
            cursor.copy_expert(statement, text_)
            number += batch.num_rows
    return number
