"""Rejected rows of which the key cannot be read, and the rows of the lake that they may stand for.

A key whose row was rejected is still at the source, so it is not gone. If the key is what could not be read, a row of
that name which agrees with what was read is taken to be the one. If the name is not there either, any row that agrees
may be the one. Which, cannot be known, and a row taken for gone in error lets an excluded enterprise in: so while the
broken row is there, none of them is taken for gone, and the operators hear of it. A broken row that stood beside them
before, on a day when none was missing, is none of them.
"""
# ruff: noqa: S608 - every name in the SQL comes from our own tables and contracts

from __future__ import annotations

from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from chengxin.contracts import Contract
from chengxin.staging import quoted
from chengxin.tables import REJECTED


class Doubts:
    """What one harvest's broken rows leave in doubt.

    Args:
        contract: the source's contract.
        staged: folder of `chengxin.staging`.
        sql: runs a statement, and gives its rows.
        lake_view: makes a temporary table of what the lake says of the source on the harvest's day: its name, the
            fact table, columns.
    """

    def __init__(
        self,
        contract: Contract,
        staged: Path,
        sql: Callable[[str], list[tuple[Any, ...]]],
        lake_view: Callable[[str, str, str], None],
    ) -> None:
        self._main, self._sql, self._lake_view = contract.table, sql, lake_view
        self.keyless = {name for name in contract.tables if self._staged(staged, name, "keyless")}
        self.nameless = {name for name in contract.tables if self._staged(staged, name, "nameless")}

    def named(self, name: str) -> str:
        """SQL of the keys that a row of a name, of unreadable key, may stand for: of its name, and of what was read."""
        named, *parts = self._columns(f"{name}_keyless")
        self._lake_view(f"{name}_named", name, ", ".join(("natural_key", named, *parts)))
        same = " AND ".join([f'known."{named}" = broken."{named}"', *(_agrees(part) for part in parts)])
        return f"SELECT known.natural_key FROM {name}_named known JOIN {name}_keyless broken ON {same}"

    def weigh(self, waited: bool) -> None:
        """Finds the rows without key and name that may stand for a row of the lake; the rejected rows that the lake
        knows are `rejected_current`.

        Args:
            waited: the source's last harvest left keys that were missing as they were.
        """
        for name in self.nameless:
            parts = [f'"{part}"' for part in self._columns(f"{name}_nameless") if part not in ("_key", "_digest")]
            news = (
                f"SELECT _digest FROM (SELECT _digest, count(*) AS n FROM {name}_nameless GROUP BY ALL) now LEFT JOIN "
                "(SELECT split_part(natural_key, chr(31), 2) AS _digest, count(*) AS n FROM "
                f"{REJECTED.name}_current WHERE split_part(natural_key, chr(31), 1) = '{name}' GROUP BY ALL) known "
                "USING (_digest) WHERE now.n > coalesce(known.n, 0)"
            )
            self._lake_view(f"{name}_told", name, "natural_key")
            self._sql(
                f"CREATE TEMP TABLE {name}_uncertain AS SELECT DISTINCT {', '.join(parts)} FROM {name}_nameless "
                f"ANTI JOIN {name}_told ON natural_key = _key WHERE {waited} OR _digest IN ({news})"
            )

    def wait(self, name: str, pairs: Set[tuple[str, str]]) -> int:
        """Takes from `<name>_gone` the keys that a row without key and name may stand for, and those of the items of
        such a record.

        Args:
            name: the fact table; the contract's own comes first.
            pairs: field of a list's item, field of its record that it inherits.

        Returns:
            How many keys wait.
        """
        reasons = []
        if name in self.nameless:
            agrees = " AND ".join(_agrees(part) for part in self._columns(f"{name}_uncertain"))
            reasons.append(f"EXISTS (SELECT 1 FROM {name}_uncertain broken WHERE {agrees})")
        if name != self._main and pairs:
            same = " AND ".join(f'known."{field}" = parent."{source}"' for field, source in sorted(pairs))
            reasons.append(f"EXISTS (SELECT 1 FROM {self._main}_waiting parent WHERE {same})")
        self._lake_view(f"{name}_parts", name, "*")
        self._sql(
            f"CREATE TEMP TABLE {name}_waiting AS SELECT * FROM {name}_parts known SEMI JOIN {name}_gone "
            f"USING (natural_key) WHERE {' OR '.join(reasons) or 'false'}"
        )
        self._sql(f"DELETE FROM {name}_gone WHERE natural_key IN (SELECT natural_key FROM {name}_waiting)")
        return int(self._sql(f"SELECT count(*) FROM {name}_waiting")[0][0])

    def _columns(self, view: str) -> list[str]:
        return [str(row[0]) for row in self._sql(f"DESCRIBE {view}")]

    def _staged(self, folder: Path, name: str, kind: str) -> bool:
        files = sorted(folder.glob(f"{name}-{kind}-*.parquet"))
        listed = ", ".join(f"'{quoted(file)}'" for file in files)
        if files:
            self._sql(f"CREATE TEMP VIEW {name}_{kind} AS SELECT * FROM read_parquet([{listed}])")
        return bool(files)


def _agrees(part: str) -> str:
    return f'(broken."{part}" IS NULL OR broken."{part}" = known."{part}")'
