"""A small lake, written directly: facts as their harvests would have left them, without the harvests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from chengxin import archive, engine, identity
from chengxin.lake import arrow_schema
from chengxin.ledger.models import Commit, Harvest, RawObject
from chengxin.settings import House
from chengxin.tables import TABLES

KEYS = {
    "subject": ("uscc",),
    "annual_report": ("uscc", "report_year"),
    "credit_report": ("report_no",),
    "credit_record": ("record_no", "uscc"),
    "list_entry": ("list", "doc_no"),
    "matter": ("matter_id",),
    "applicant": ("matter_id", "applicant_no"),
    "consent": ("consent_id",),
    "agency": ("uscc",),
    "rejected": ("fact_table", "rule", "value"),
}
SOURCES = {
    "subject": "subject_registry",
    "annual_report": "annual_reports",
    "credit_report": "credit_reports",
    "credit_record": "credit_records",
    "list_entry": "blacklists",
    "matter": "matters",
    "applicant": "matters",
    "consent": "consents",
    "agency": "credit_agencies",
    "rejected": "subject_registry",
}
ALL_SOURCES = (*dict.fromkeys(SOURCES.values()), "abnormal_list", "dishonest_debtors", "credit_report_pdfs")


def day(text: str) -> date:
    """A date."""
    return date.fromisoformat(text)


def archived(house: House, source: str, data: bytes, on: date, at: datetime) -> str:
    """Puts a raw file into the archive and the ledger, as a harvest of a day would have; its hash."""
    sha256 = archive.put(house, source, data)
    with house.ledger.begin() as session:
        harvest = Harvest(source=source, as_of=on, state="published", contract_sha256="0" * 64, started_at=at)
        session.add(harvest)
        session.flush()
        session.add(
            RawObject(harvest_id=harvest.id, ordinal=0, sha256=sha256, size=len(data), locator="page 1", fetched_at=at)
        )
    return sha256


def codes(*numbers: int, kind: str = "91") -> list[str]:
    """Made-up codes of the district."""
    return identity.complete([f"{kind}370112XXXX{number:05}" for number in numbers])


class FactLake:
    """Writes facts into a house's lake, one harvest a call."""

    def __init__(self, house: House) -> None:
        self.house = house

    def put(
        self,
        table: str,
        on: date,
        rows: Iterable[Mapping[str, Any]],
        source: str | None = None,
        *,
        gone: bool = False,
        raw: tuple[str, int] | None = None,
    ) -> int:
        """Publishes rows as seen on a day; `gone`: as tombstones; `raw`: their file and first row. Returns the seq."""
        source = source or SOURCES[table]
        content = TABLES[table].columns
        with self.house.ledger.begin() as session:
            commit = Commit(kind="harvest", name=source, as_of=on, opened_at=self.house.clock())
            session.add(commit)
            session.flush()
        made = [{column.name: row.get(column.name) for column in content} for row in rows]
        for row in made:
            if "name_key" in row and row["name_key"] is None:
                name = row.get("name") or row.get("subject_name")
                key = identity.name_key(pd.Series([name], dtype=object))[0]
                row["name_key"] = None if pd.isna(key) else key
        for number, row in enumerate(made):
            row |= {
                "natural_key": "\x1f".join(str(row[name] or "") for name in KEYS[table]),
                "observed_on": on,
                "seq": commit.seq,
                "source": source,
                "raw_sha256": raw[0] if raw else f"{commit.seq:064x}",
                "raw_row": raw[1] + number if raw else number,
                "row_hash": "",
                "removed": gone,
            }
        written = pa.Table.from_pylist(made, schema=arrow_schema(TABLES[table]))
        file = self.house.lake.data_file(table, commit.seq)
        pq.write_table(written, file)
        self.house.lake.commit(table, [file], commit.seq)
        with self.house.ledger.begin() as session:
            session.get_one(Commit, commit.seq).closed_at = self.house.clock()
        self.harvested(source, on)
        return commit.seq

    def harvested(self, source: str, on: date) -> None:
        """Says that a source was harvested for a day."""
        with self.house.ledger.begin() as session:
            now: datetime = self.house.clock()
            session.add(Harvest(source=source, as_of=on, state="published", contract_sha256="0" * 64, started_at=now))

    def fresh(self, on: date, *sources: str) -> None:
        """Says that every source (or these) was harvested for a day, whatever it brought."""
        for source in sources or ALL_SOURCES:
            self.harvested(source, on)

    def rows(self, table: str, on: date) -> list[dict[str, Any]]:
        """A table's state on a day, in canonical order."""
        connection = self.house.engine()
        view = engine.as_of(connection, self.house.lake, table, on)
        return sorted(connection.to_pyarrow(view).to_pylist(), key=lambda row: str(row["natural_key"]))
