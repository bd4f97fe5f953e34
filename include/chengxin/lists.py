"""Lists inside source records: JSON text → one row per item, many records at once."""
# ruff: noqa: S608 - the only names in the SQL are a contract's headings, quoted

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from chengxin.arrays import Bools


def parse(connection: Any, text: pa.Array, headings: tuple[str, ...]) -> tuple[pa.Table, Bools, set[str]]:
    """Takes JSON lists of objects apart. A single object counts as a list of one; null as an empty list.

    Args:
        connection: a DuckDB connection.
        text: a list per record.
        headings: the keys wanted of each item.

    Returns:
        The items (`_parent`: row in `text`, `_position`: from 1, a text column per heading), the records whose text is
        no such list, and every key met.
    """
    connection.register("_texts", pa.table({"_parent": np.arange(len(text)), "list": text}))
    try:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE _lists AS SELECT _parent, CASE json_type(j) WHEN 'ARRAY' THEN "
            "CAST(j AS JSON[]) WHEN 'OBJECT' THEN [j] END AS items, j IS NULL OR json_type(j) NOT IN ('ARRAY', "
            "'OBJECT', 'NULL') AS broken FROM (SELECT _parent, CASE WHEN json_valid(list) THEN CAST(list AS JSON) END "
            "AS j FROM _texts WHERE list IS NOT NULL)"
        )
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE _items AS SELECT _parent, unnest(items) AS item, "
            "generate_subscripts(items, 1) AS _position FROM _lists WHERE len(items) > 0"
        )
        broken = connection.sql(
            "SELECT _parent FROM _lists WHERE broken UNION SELECT _parent FROM _items WHERE json_type(item) <> 'OBJECT'"
        ).to_arrow_table()
        keys = connection.sql(
            "SELECT DISTINCT unnest(json_keys(item)) FROM _items WHERE json_type(item) = 'OBJECT'"
        ).fetchall()
        chosen = "".join(f", item ->> {_path(heading)} AS {_name(heading)}" for heading in headings)
        items = connection.sql(
            f"SELECT _parent, CAST(_position AS BIGINT) AS _position{chosen} FROM _items "
            "WHERE json_type(item) = 'OBJECT' ORDER BY _parent, _position"
        ).to_arrow_table()
    finally:
        connection.unregister("_texts")
    wrong = np.zeros(len(text), bool)
    wrong[broken["_parent"].to_numpy()] = True
    return items, wrong, {str(key) for (key,) in keys}


def _path(heading: str) -> str:
    escaped = heading.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''")
    return f"'$.\"{escaped}\"'"


def _name(heading: str) -> str:
    return '"' + heading.replace('"', '""') + '"'
