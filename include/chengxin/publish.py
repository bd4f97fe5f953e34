"""From staging to the lake: duplicates, changes, tombstones, and one commit per table.

What spans chunks is done here, set-based, in DuckDB over the staged files and the lake's own. A harvest is compared
with what the lake says of its source on its day; only what is new or changed is written, and for full sources a
tombstone for each key that is gone. A key whose row was rejected today is still at the source: it is not gone.
If the key is what could not be read, see `chengxin.doubts`.

A day harvested late must not change how a later harvested day reads. For a full source, whatever a late harvest writes
for a key is therefore followed by an observation on the next harvested day that restores what that day said. For an
incremental source what comes late holds on, until the first later day that said something of the key itself: that is
read again from the archive (`chengxin.late`).
"""
# ruff: noqa: S608 - every name in the SQL comes from our own tables and contracts

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from chengxin import engine, late, suppression
from chengxin.contracts import Contract
from chengxin.doubts import Doubts
from chengxin.lake import Lake, arrow_schema, arrow_type
from chengxin.staging import quoted
from chengxin.tables import TABLES

REJECTED = "rejected"
_RECORD = "array_to_string(string_split({}, chr(31))[4:], chr(31))"
"""SQL of the key of the record that a rejected row stands for."""


@dataclass(frozen=True)
class Change:
    """What a harvest does to one table, in fact rows."""

    known: int
    """Keys that the lake knew on that day."""
    new: int
    changed: int
    unchanged: int
    removed: int
    restored: int
    waiting: int = 0
    """Keys that are missing, and may be those of rejected rows: not removed."""

    @property
    def rows(self) -> int:
        """Rows to write."""
        return self.new + self.changed + self.removed + self.restored


class Publication:
    """One harvest's staged rows against the lake.

    Args:
        connection: the engine; its temporary tables are this publication's.
        lake: the lake.
        contract: the source's contract.
        as_of: the day the harvest speaks for.
        staged: folder of `chengxin.staging`.
        later: the next day after `as_of` of which this source has a published harvest.
        erased: what was erased and must not come back (`chengxin.suppression`); None: nothing was.
    """

    def __init__(
        self,
        connection: engine.Connection,
        lake: Lake,
        contract: Contract,
        as_of: date,
        staged: Path,
        later: date | None = None,
        erased: pa.Table | None = None,
    ) -> None:
        self.connection, self.lake, self.contract = connection, lake, contract
        self.as_of, self.staged = as_of, staged
        self.later = later if contract.mode == "full" else None
        self.tables = (*contract.tables, REJECTED)
        self._sql("SET preserve_insertion_order = false")
        self._filled: dict[str, bool] = {}
        self.any_erased = erased is not None and erased.num_rows > 0
        if self.any_erased:
            self._make("erased", erased)
        for name in self.tables:
            self._staged(name, "accepted")
            self._staged(name, "held")
        self.doubts = Doubts(contract, staged, self._sql, self._lake_today)
        self.retold = sorted((staged / late.FOLDER).glob("*_*"))
        for name in contract.tables if self.retold else ():
            for kind in ("accepted", "held"):
                self._retold(name, kind)

    def duplicates(self) -> dict[str, int]:
        """Finds records of one key: the last one counts.

        Returns:
            Records ignored: `duplicate` (equal to the one that counts), `superseded` (differing from it) and `erased`
            (erased before, and left aside).
        """
        main = self.contract.table
        lists = ", _lists" if self.contract.children else ""
        self._sql(
            f"CREATE TEMP TABLE lost AS WITH twice AS (SELECT natural_key, max(_row) AS winner FROM {main}_accepted "
            f"GROUP BY natural_key HAVING count(*) > 1), own AS (SELECT _row, _record, natural_key, row_hash{lists} "
            f"FROM {main}_accepted SEMI JOIN twice USING (natural_key)) "
            "SELECT a._record, CASE WHEN a.row_hash = b.row_hash"
            + (" AND a._lists = b._lists" if lists else "")
            + " THEN 'duplicate' ELSE 'superseded' END AS reason FROM own a JOIN twice USING (natural_key) "
            "JOIN own b ON b._row = twice.winner WHERE a._row <> twice.winner"
        )
        if self.any_erased:
            self._sql(
                f"INSERT INTO lost SELECT _record, 'erased' FROM {main}_accepted ANTI JOIN lost USING (_record) "
                f"WHERE {self._erased(main)}"
            )
        self._sql(f"CREATE TEMP VIEW {main}_kept AS SELECT * FROM {main}_accepted ANTI JOIN lost USING (_record)")
        for name in self.contract.tables[1:]:
            self._sql(
                f"CREATE TEMP TABLE {name}_winner AS SELECT max(_row) AS _row FROM {name}_accepted "
                "ANTI JOIN lost USING (_record) "
                + (f"WHERE NOT ({self._erased(name)}) " if self.any_erased else "")
                + "GROUP BY natural_key"
            )
            self._sql(
                f"CREATE TEMP VIEW {name}_kept AS SELECT * FROM {name}_accepted SEMI JOIN {name}_winner USING (_row)"
            )
        # The same broken row again and again is one observation each; a fixed one is gone and so tombstoned.
        self._sql(
            f"CREATE TEMP VIEW {REJECTED}_kept AS SELECT * EXCLUDE (_digest, _key), concat_ws(chr(31), fact_table, "
            "_digest, row_number() OVER (PARTITION BY fact_table, _digest ORDER BY _row), _key) AS natural_key "
            f"FROM {REJECTED}_accepted"
        )
        found = self._sql("SELECT reason, count(*) FROM lost GROUP BY reason ORDER BY reason")
        return {str(reason): int(count) for reason, count in found}

    def compare(self, waited: bool = False) -> dict[str, Change]:
        """Compares every table with the lake; `duplicates` comes first.

        Args:
            waited: the source's last harvest left keys that were missing as they were.

        Returns:
            Table → what would be written.
        """
        if not self.doubts.nameless:
            return {name: self._compare(name) for name in self.tables}
        # Which broken rows are news has to be known first.
        found = {REJECTED: self._compare(REJECTED)}
        self.doubts.weigh(waited)
        return {name: found.get(name) or self._compare(name) for name in self.tables}

    def records(self) -> tuple[int, int]:
        """Source records of which any fact is new or changed, and records of which none is."""
        touched = " UNION ".join(f"SELECT _record FROM {name}_change" for name in self.contract.tables)
        published, unchanged = self._sql(
            f"WITH touched AS MATERIALIZED (SELECT DISTINCT _record FROM ({touched})) SELECT "
            "(SELECT count(*) FROM touched), "
            f"(SELECT count(*) FROM {self.contract.table}_kept ANTI JOIN touched USING (_record))"
        )[0]
        return int(published), int(unchanged)

    def jumps(self) -> dict[str, int]:
        """Money that differs from last year's report by about ten thousand: a source that changed from yuan to 万元.

        Returns:
            Money column of `annual_report` → new or changed rows that are 3,000 to 30,000 times as much, or as little,
            as the same subject's report for the year before. Columns without any are left out.
        """
        name = "annual_report"
        if name not in self.contract.tables:
            return {}
        money = [column.name for column in TABLES[name].columns if column.type == "money"]
        wanted = ", ".join(["uscc", "report_year", *money])
        self._lake_view(f"{name}_years", name, self.as_of, wanted)
        ratio = "abs(CAST(new.{0} AS DOUBLE) / nullif(CAST(old.{0} AS DOUBLE), 0))"
        jumped = [
            f"count(*) FILTER ({ratio.format(column)} BETWEEN 3e3 AND 3e4 OR 1 / {ratio.format(column)} "
            f"BETWEEN 3e3 AND 3e4)"
            for column in money
        ]
        # Both years often come in one batch; what it says goes before what the lake knew.
        found = self._sql(
            f"WITH known AS (SELECT {wanted} FROM {name}_kept UNION ALL SELECT {wanted} FROM {name}_years "
            f"ANTI JOIN {name}_kept USING (uscc, report_year)), new AS (SELECT {wanted} FROM {name}_kept "
            f"SEMI JOIN {name}_change USING (_row)) SELECT {', '.join(jumped)} FROM new JOIN known old "
            "ON new.uscc = old.uscc AND new.report_year = old.report_year + 1"
        )[0]
        return {column: int(count) for column, count in zip(money, found, strict=True) if count}

    def write(self, name: str, seq: int, file: Path) -> int:
        """Writes a table's new, changed, removed and restored rows as one Parquet file.

        Returns:
            The number of rows.
        """
        content = ", ".join(f'"{column.name}"' for column in TABLES[name].columns)
        nothing = ", ".join(f'NULL AS "{column.name}"' for column in TABLES[name].columns)
        meta = f"CAST({seq} AS BIGINT) AS seq, '{self.contract.name}' AS source"
        gone = "NULL AS raw_sha256, NULL AS raw_row, '' AS row_hash, true AS removed"
        today, later = f"DATE '{self.as_of}' AS observed_on", f"DATE '{self.later}' AS observed_on"
        raw = "raw_sha256, raw_row, row_hash, false AS removed"
        parts = [
            f"SELECT {content}, natural_key, {today}, {meta}, {raw} FROM {name}_kept "
            f"SEMI JOIN {name}_change USING (_row)",
            f"SELECT {nothing}, natural_key, {today}, {meta}, {gone} FROM {name}_gone",
        ]
        if self.later:
            parts += [
                f"SELECT {content}, natural_key, {later}, {meta}, {raw} FROM {name}_before SEMI JOIN {name}_restore "
                "USING (natural_key)",
                f"SELECT {nothing}, natural_key, {later}, {meta}, {gone} FROM {name}_restore ANTI JOIN {name}_before "
                "USING (natural_key)",
            ]
        if self.retold:
            parts += [
                f"SELECT {content}, natural_key, _day AS observed_on, {meta}, {raw} FROM {name}_again",
                f"SELECT {nothing}, natural_key, _day AS observed_on, {meta}, {gone} FROM {name}_over",
            ]
        # Two threads: memory must not grow with the number of records, nor with the machine's cores.
        return engine.copy_query(self.connection, " UNION ALL ".join(parts), name, file, threads=2)

    def _compare(self, name: str) -> Change:
        self._lake_view(f"{name}_current", name, self.as_of, "natural_key, row_hash")
        self._sql(
            f"CREATE TEMP TABLE {name}_change AS SELECT kept._row, kept._record, kept.natural_key, "
            f"current.natural_key IS NULL AS is_new FROM {name}_kept kept LEFT JOIN {name}_current current "
            "USING (natural_key) WHERE current.row_hash IS DISTINCT FROM kept.row_hash"
        )
        self._sql(f"CREATE TEMP TABLE {name}_gone AS {self._gone(name)}")
        waiting = self.doubts.wait(name, self._inherited(name)) if self.doubts.nameless and name != REJECTED else 0
        restored = self._restore(name) if self.later else self._tell_again(name) if self.retold else 0
        # All in one statement: each has a price of its own, however small the table.
        known, kept, removed, new, changed = self._sql(
            f"SELECT (SELECT count(*) FROM {name}_current), (SELECT count(*) FROM {name}_kept), "
            f"(SELECT count(*) FROM {name}_gone), count(*) FILTER (is_new), count(*) FILTER (NOT is_new) "
            f"FROM {name}_change"
        )[0]
        return Change(
            known=known,
            new=new,
            changed=changed,
            unchanged=kept - new - changed,
            removed=removed,
            restored=restored,
            waiting=waiting,
        )

    def _gone(self, name: str) -> str:
        """SQL of the keys that the lake knows and the source no longer has."""
        vanished = (
            f"SELECT natural_key FROM {name}_current ANTI JOIN {name}_kept USING (natural_key) "
            f"ANTI JOIN {name}_held USING (natural_key)"
        )
        if name in self.doubts.keyless:
            vanished = f"SELECT natural_key FROM ({vanished}) ANTI JOIN ({self.doubts.named(name)}) USING (natural_key)"
        if self.contract.mode == "full":
            return vanished
        main = self.contract.table
        if name == REJECTED:
            # An incremental source does not repeat a mended record as broken: its acceptance says that it is mended.
            record = _RECORD.format("natural_key")
            return (
                f"SELECT natural_key FROM {name}_current WHERE split_part(natural_key, chr(31), 1) = '{main}' "
                f"AND {record} IN (SELECT natural_key FROM {main}_kept)"
            )
        pairs = self._inherited(name)
        if not pairs:
            return f"SELECT natural_key FROM {name}_current WHERE false"
        # An incremental source repeats a changed record with its whole list: what is not in it any more is gone.
        self._lake_view(f"{name}_items", name, self.as_of, "*")
        same = " AND ".join(f'items."{field}" = parent."{source}"' for field, source in sorted(pairs))
        return (
            f"SELECT natural_key FROM ({vanished}) SEMI JOIN (SELECT items.natural_key FROM {name}_items items "
            f"SEMI JOIN {main}_kept parent ON {same}) USING (natural_key)"
        )

    def _inherited(self, name: str) -> set[tuple[str, str]]:
        """Field of a list's item ← field of its record."""
        return {
            pair for child in self.contract.children.values() if child.table == name for pair in child.inherit.items()
        }

    def _tell_again(self, name: str) -> int:
        """Finds what the first later day to speak of a key said, for the keys that this harvest changes."""
        main = self.contract.table
        touched = f"SELECT natural_key FROM {name}_change UNION SELECT natural_key FROM {name}_gone"
        if name == REJECTED:
            # A later day that accepted the record: it was no longer broken then.
            due = (
                f"SELECT broken.natural_key, min(said._day) AS _day FROM {name}_change broken JOIN {main}_later said "
                f"ON said.natural_key = {_RECORD.format('broken.natural_key')} GROUP BY ALL"
            )
        elif pairs := self._inherited(name):
            # A record that a later day repeated came with its whole list, which holds the item or does not.
            same = " AND ".join(f'item."{field}" = said."{source}"' for field, source in sorted(pairs))
            due = (
                f"SELECT item.natural_key, min(said._day) AS _day FROM (SELECT * FROM {name}_kept SEMI JOIN "
                f"{name}_change USING (_row) UNION ALL BY NAME SELECT * FROM {name}_items SEMI JOIN {name}_gone USING "
                f"(natural_key)) item JOIN {main}_later said ON {same} GROUP BY ALL"
            )
        else:
            due = (
                f"SELECT natural_key, min(_day) AS _day FROM {name}_later SEMI JOIN ({touched}) "
                "USING (natural_key) GROUP BY ALL"
            )
        seen = engine.observations(self.connection, self.lake, name)
        seen = seen.filter(seen.source == self.contract.name, seen.observed_on > ibis.literal(self.as_of))
        self._table_of(f"{name}_written", seen.select("natural_key", "observed_on"), name)
        self._sql(
            f"CREATE TEMP TABLE {name}_due AS SELECT * FROM ({due}) due WHERE NOT EXISTS (SELECT 1 FROM {name}_written "
            "written WHERE written.natural_key = due.natural_key AND written.observed_on <= due._day)"
        )
        if name == REJECTED:
            self._sql(f"CREATE TEMP TABLE {name}_again AS SELECT *, NULL::DATE AS _day FROM {name}_kept WHERE false")
            self._sql(f"CREATE TEMP TABLE {name}_over AS SELECT * FROM {name}_due")
        else:
            erased = f"WHERE NOT ({self._erased(name)})" if self.any_erased else ""
            self._sql(
                f"CREATE TEMP TABLE {name}_again AS SELECT * FROM {name}_later SEMI JOIN {name}_due "
                f"USING (natural_key, _day) {erased} "
                "QUALIFY row_number() OVER (PARTITION BY natural_key ORDER BY _number DESC, _row DESC) = 1"
            )
            self._sql(
                f"CREATE TEMP TABLE {name}_over AS SELECT * FROM {name}_due ANTI JOIN {name}_later "
                f"USING (natural_key, _day) ANTI JOIN {name}_later_held USING (natural_key, _day)"
            )
        return self._number(f"SELECT (SELECT count(*) FROM {name}_again) + (SELECT count(*) FROM {name}_over)")

    def _restore(self, name: str) -> int:
        """Finds the keys whose reading on the later day this harvest would change."""
        assert self.later is not None
        self._lake_view(f"{name}_before", name, self.later, "*")
        seen = engine.observations(self.connection, self.lake, name)
        seen = seen.filter(
            seen.source == self.contract.name,
            seen.observed_on > ibis.literal(self.as_of),
            seen.observed_on <= ibis.literal(self.later),
        )
        self._table_of(f"{name}_seen", seen.select("natural_key"), name)
        self._sql(
            f"CREATE TEMP TABLE {name}_restore AS SELECT natural_key FROM (SELECT natural_key FROM {name}_change UNION "
            f"SELECT natural_key FROM {name}_gone SEMI JOIN {name}_before USING (natural_key)) "
            f"ANTI JOIN {name}_seen USING (natural_key)"
        )
        return self._number(f"SELECT count(*) FROM {name}_restore")

    def _lake_today(self, view: str, name: str, columns: str) -> None:
        self._lake_view(view, name, self.as_of, columns)

    def _erased(self, name: str) -> str:
        return suppression.condition(name, [column.name for column in TABLES[name].columns], self.contract.name)

    def _lake_view(self, view: str, name: str, day: date, columns: str) -> None:
        """This source's state of a table on a day, as a temporary table."""
        wanted = [] if columns == "*" else columns.split(", ")
        # Wording what is read takes longer than reading it, where there is nothing.
        if not self._known(name):
            nothing = arrow_schema(TABLES[name]).empty_table()
            self._make(view, nothing.select(wanted) if wanted else nothing)
            return
        rows = engine.as_of(self.connection, self.lake, name, day, source=self.contract.name)
        self._table_of(view, rows.select(*wanted) if wanted else rows, name)

    def _table_of(self, view: str, rows: ibis.Table, name: str) -> None:
        if self._known(name):
            self._sql(f"CREATE TEMP TABLE {view} AS {self.connection.compile(rows)}")
        else:
            self._make(view, arrow_schema(TABLES[name]).empty_table().select(rows.columns))

    def _known(self, name: str) -> bool:
        """Whether the lake has anything of a table."""
        if name not in self._filled:
            self._filled[name] = bool(self.lake.files(name))
        return self._filled[name]

    def _staged(self, name: str, kind: str) -> None:
        files = sorted(self.staged.glob(f"{name}-{kind}-*.parquet"))
        if files:
            listed = ", ".join(f"'{quoted(file)}'" for file in files)
            self._sql(f"CREATE TEMP VIEW {name}_{kind} AS SELECT * FROM read_parquet([{listed}])")
            return
        self._make(f"{name}_{kind}", _empty(name, kind))

    def _retold(self, name: str, kind: str) -> None:
        """What later harvests brought: as staged, with `_number` (their order) and `_day`."""
        parts = []
        for folder in self.retold:
            if files := sorted(folder.glob(f"{name}-{kind}-*.parquet")):
                number, _, day = folder.name.partition("_")
                listed = ", ".join(f"'{quoted(file)}'" for file in files)
                parts.append(f"SELECT *, {int(number)} AS _number, DATE '{day}' AS _day FROM read_parquet([{listed}])")
        nothing = f"SELECT *, 0 AS _number, NULL::DATE AS _day FROM {name}_{kind} WHERE false"
        view = f"{name}_later" if kind == "accepted" else f"{name}_later_held"
        self._sql(f"CREATE TEMP VIEW {view} AS {' UNION ALL BY NAME '.join(parts or [nothing])}")

    def _make(self, name: str, rows: pa.Table) -> None:
        self.connection.con.register("_made", rows)
        self._sql(f"CREATE TEMP TABLE {name} AS SELECT * FROM _made")
        self.connection.con.unregister("_made")

    def _sql(self, query: str) -> list[tuple[Any, ...]]:
        # Fetched to the end: DuckDB lets a connection do nothing else while a result waits.
        return list(self.connection.con.execute(query).fetchall())

    def _number(self, query: str) -> int:
        return int(self._sql(query)[0][0])


def _empty(name: str, kind: str) -> pa.Table:
    """What staging would hold, without a row."""
    if kind == "held":
        return pa.table({"natural_key": pa.array([], pa.string())})
    own = ("_digest", "_key") if name == REJECTED else ("natural_key", "_lists")
    fields = [pa.field(column.name, arrow_type(column)) for column in TABLES[name].columns]
    fields += [pa.field(text, pa.string()) for text in (*own, "raw_sha256", "row_hash")]
    fields += [pa.field("_row", pa.int64()), pa.field("_record", pa.int64()), pa.field("raw_row", pa.int32())]
    return pa.schema(fields).empty_table()
