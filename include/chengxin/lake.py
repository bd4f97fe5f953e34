"""The lake: Iceberg tables on a folder, append-only, named by `chengxin.tables`.

Bulk rows are written as Parquet by the engine (`COPY`) into the table's own data folder and then taken in with one
commit (`Lake.commit`). A crash between the two leaves a file that no snapshot names; `Lake.orphans` finds it. A crash
in the midst of the write leaves one without a data file's name (`whole`): only whole files have one. A commit carries
the `seq` of the ledger in its snapshot summary, so doing it twice adds nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import TableUpdate

from chengxin.tables import TABLES, Column, Table

NAMESPACE = "chengxin"
SEQ_PROPERTY = "chengxin.seq"
CARRIED_PROPERTY = "chengxin.carried"
"""Commits whose own snapshot was expired before the ledger closed them: see `chengxin.upkeep`."""
HALF = ".new"
"""Ends the name of a data file that is being written."""

_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "money": pa.decimal128(20, 2),
    "boolean": pa.bool_(),
    "strings": pa.list_(pa.string()),
}

_PROPERTIES = {
    # Manifest bounds would keep the first characters of codes and names after an erasure.
    "write.metadata.metrics.default": "none",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    # Several sources write one table (lists); PyIceberg retries a commit that lost the race.
    "commit.retry.num-retries": "20",
    "commit.retry.min-wait-ms": "20",
    "commit.retry.max-wait-ms": "1000",
}


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type of a column."""
    return _ARROW[column.type]


def arrow_schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table: content columns, then the observation's."""
    return pa.schema([pa.field(column.name, arrow_type(column)) for column in table.all_columns])


class Lake:
    """The Iceberg tables of one house.

    Args:
        warehouse: folder of the tables' data and metadata.
        catalog_uri: SQLAlchemy URL of the catalogue.
    """

    def __init__(self, warehouse: Path, catalog_uri: str) -> None:
        self.warehouse = warehouse
        self.catalog_uri = catalog_uri

    @cached_property
    def catalog(self) -> SqlCatalog:
        """The catalogue, made on first use."""
        self.warehouse.mkdir(parents=True, exist_ok=True)
        catalog = SqlCatalog("chengxin", uri=self.catalog_uri, warehouse=location(self.warehouse))
        with contextlib.suppress(NamespaceAlreadyExistsError):
            catalog.create_namespace(NAMESPACE)
        return catalog

    def table(self, name: str) -> IcebergTable:
        """The Iceberg table, at its newest snapshot; made on first use.

        Raises:
            KeyError: `chengxin.tables` has no table of that name.
        """
        identifier = (NAMESPACE, name)
        try:
            return self.catalog.load_table(identifier)
        except NoSuchTableError:
            try:
                return self.catalog.create_table(identifier, schema=arrow_schema(TABLES[name]), properties=_PROPERTIES)
            except TableAlreadyExistsError:
                return self.catalog.load_table(identifier)

    def files(self, name: str) -> list[str]:
        """Paths of the table's live Parquet files, sorted."""
        return sorted(local_path(task.file.file_path) for task in self.table(name).scan().plan_files())

    def snapshot_id(self, name: str) -> int | None:
        """Id of the newest snapshot; None for a table without any."""
        snapshot = self.table(name).current_snapshot()
        return snapshot.snapshot_id if snapshot else None

    def data_file(self, name: str, seq: int, part: int = 0) -> Path:
        """Where a commit's rows are to be written: `seq` and `part` name the file, so a retry overwrites its own."""
        folder = Path(local_path(self.table(name).location())) / "data"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{seq:012d}-{part:04d}.parquet"

    def commit(self, name: str, files: Sequence[Path], seq: int, properties: dict[str, str] | None = None) -> int:
        """Takes written Parquet files in, as one snapshot. Doing it again for the same `seq` adds nothing.

        Args:
            name: the table.
            files: Parquet files in the table's schema, inside its data folder.
            seq: the ledger's number of this commit.
            properties: more for the snapshot summary.

        Returns:
            The snapshot's id.
        """
        table = self.table(name)
        for snapshot in reversed(table.snapshots()):
            if seq in carried(snapshot):
                return snapshot.snapshot_id
        with _Transaction(table) as change:
            change.add_files(
                [location(file) for file in files],
                snapshot_properties={SEQ_PROPERTY: str(seq), **(properties or {})},
                # Asked above, of the snapshots; PyIceberg would read every manifest of the table.
                check_duplicate_files=False,
            )
        taken_in = table.current_snapshot()
        assert taken_in is not None
        return taken_in.snapshot_id

    def orphans(self, name: str) -> list[Path]:
        """Data files that no live snapshot names."""
        folder = Path(local_path(self.table(name).location())) / "data"
        live = set(self.files(name))
        return sorted(file for file in folder.glob("*.parquet") if str(file) not in live)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All observations as dictionaries: for tests and small tables only."""
        return self.table(name).scan().to_arrow().to_pylist()


class _Transaction(Transaction):
    """PyIceberg's, which copies all of a table's snapshots at each of its eighteen looks at them: with a week's
    commits in the table that was nine tenths of a commit.
    """

    _seen: tuple[TableMetadata, tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The table's metadata with what was staged so far."""
        if self._seen is None or self._seen[0] is not self._table.metadata or self._seen[1] is not self._updates:
            self._seen = (self._table.metadata, self._updates, super().table_metadata)
        return self._seen[2]


def carried(snapshot: Snapshot) -> set[int]:
    """The commits that a snapshot's summary says are in the table."""
    said = snapshot.summary.additional_properties if snapshot.summary else {}
    numbers = [said.get(SEQ_PROPERTY, ""), *said.get(CARRIED_PROPERTY, "").split(",")]
    return {int(number) for number in numbers if number}


@contextlib.contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Where to write a file of the lake: it gets its name when this context ends, and none if that fails."""
    half = file.with_name(file.name + HALF)
    try:
        yield half
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


def location(path: Path) -> str:
    """A path as the lake's metadata names it."""
    # PyIceberg takes the path of a file: location as it stands and undoes no percent-encoding.
    return f"file://{path}"


def local_path(location: str) -> str:
    """A path from the lake's metadata."""
    return location.removeprefix("file://")


def ensure(lake: Lake, names: Iterable[str] = tuple(TABLES)) -> None:
    """Makes the tables that do not exist yet."""
    for name in names:
        lake.table(name)
