"""What later days have said, staged again: for an incremental source whose day is harvested late.

A record that a later day repeated without a change left no row in the lake. When an earlier day then comes late and
says otherwise of that record, the later day must still read as it did. What it said lies in the raw archive: it is read
again here, and `chengxin.publish` writes of it what the late day would hide.

Of the later harvests only those are read that speak of a record that the late one speaks of, and for each record no
further than the first day that does. What a harvest spoke of is noted when it is first read again, as keyed
fingerprints of natural keys under `<var>/staging/said`: so a backfill of many days reads each harvest once, and those
again that share records, instead of every later harvest for every day. The notes can be deleted at any time.

Items of a list belong to whichever record has the values that they inherited. Where these are not the record's whole
key, records of several keys may speak of one item, and the notes hold these values too. Where they are no part of the
item's own key either (or none are inherited), an item may wander from record to record, so every later harvest is read.

(A full source needs none of this: what its later day said is its whole state, which the lake can tell.)
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from chengxin import __version__, judging
from chengxin.contracts import Contract
from chengxin.desk.refresh import key
from chengxin.errors import ArchiveError
from chengxin.ledger.models import Harvest, RawObject
from chengxin.quality.gate import Gate
from chengxin.quality.judge import Judged
from chengxin.quality.rules import Rules
from chengxin.settings import House
from chengxin.staging import Staging, quoted
from chengxin.tables import REJECTED

logger = logging.getLogger(__name__)

FOLDER = "later"
NOTES = "said"
"""In `<var>/staging`: source → harvest → what it spoke of."""
Keys: TypeAlias = npt.NDArray[np.uint64]
"""Fingerprints of natural keys and of inherited values, sorted, each once."""


class _Judged(Gate):
    """The gate of rows that were judged before: their verdicts are counted nowhere a second time."""

    def __init__(self) -> None:
        """Nothing to prepare."""

    def add(self, judged: Judged) -> None:
        """Takes the rows as they are."""


def stage(house: House, contract: Contract, as_of: date, rules: Rules, folder: Path, connection: Any) -> None:
    """Stages what published harvests of later days brought, as far as it can matter.

    Each goes to a folder of its own, `<folder>/later/<number>_<day>`, numbered by day, then harvest. A harvest whose
    raw files are no longer kept is left aside.

    Args:
        house: ledger and archive.
        contract: the source's contract.
        as_of: the day that comes late.
        rules: the rules of all tables.
        folder: where the late harvest itself is staged, to its end.
        connection: DuckDB, with insertion order kept.
    """
    with house.ledger.begin() as session:
        query = select(Harvest.as_of, Harvest.id).where(
            Harvest.source == contract.name, Harvest.state == "published", Harvest.as_of > as_of
        )
        told = session.execute(query.order_by(Harvest.as_of, Harvest.id)).all()
    if not told:
        return
    notes = _Notes(house, contract, connection)
    wanted = notes.of(folder, own=True)
    for day, harvests in groupby(enumerate(told), key=lambda one: one[1].as_of):
        if notes.suffice and not len(wanted):
            return
        accepted = [np.empty(0, np.uint64)]
        for number, (_, harvest_id) in harvests:
            known = notes.read(harvest_id)
            if notes.suffice and known is not None and not _shared(known, wanted):
                continue
            own = folder / FOLDER / f"{number:06d}_{day}"
            if _staged(house, contract, day, harvest_id, rules, own, connection):
                known = notes.of(own)
                notes.write(harvest_id, known)
                accepted.append(notes.of(own, held=False))
                if notes.suffice and not _shared(known, wanted):
                    shutil.rmtree(own)
        wanted = np.setdiff1d(wanted, np.concatenate(accepted))


def _staged(
    house: House,
    contract: Contract,
    day: date,
    harvest_id: int,
    rules: Rules,
    own: Path,
    connection: Any,
) -> bool:
    """Stages one harvest again; whether its raw files are still kept."""
    with house.ledger.begin() as session:
        of = select(RawObject).where(RawObject.harvest_id == harvest_id).order_by(RawObject.ordinal)
        raw = list(session.scalars(of))
        session.expunge_all()
    staging = Staging(contract, day, rules, _Judged(), own, connection)
    try:
        for records in judging.chunks(house, contract, raw, staging.tally):
            staging.take(staging.prepare(records))
    except ArchiveError as error:
        logger.warning("%s: what was said for %s is not kept any more (%s)", contract.name, day, error.what)
        staging.close()
        shutil.rmtree(own)
        return False
    staging.close()
    return True


class _Notes:
    """What harvests of one source spoke of.

    Args:
        house: where notes lie; its key makes the fingerprints, so that nobody can try codes against them.
        contract: the source's contract. Under another one keys are others, and so are notes.
        connection: DuckDB.
    """

    def __init__(self, house: House, contract: Contract, connection: Any) -> None:
        self.contract, self.connection = contract, connection
        self.salt = hashlib.sha256(b"said" + key(house)).hexdigest()
        self.links = self._links()
        made_by = hashlib.sha256(f"{contract.sha256} {__version__} {self.links} {self.salt}".encode()).hexdigest()[:12]
        self.folder = house.staging_dir / NOTES / contract.name / made_by

    @property
    def suffice(self) -> bool:
        """Whether they tell every harvest that can matter."""
        return all(
            pairs and {field for field, _ in pairs} <= {*child.key}
            for child in self.contract.children.values()
            if (pairs := self.links.get(child.table)) is not None
        )

    def _links(self) -> dict[str, list[tuple[str, str]]]:
        """Table of a list → field of its items ← field of its record, of those that do not inherit the whole key."""
        found: dict[str, set[tuple[str, str]]] = {}
        for child in self.contract.children.values():
            found.setdefault(child.table, set()).update(child.inherit.items())
        whole = {*self.contract.key}
        return {table: sorted(pairs) for table, pairs in found.items() if not whole <= {source for _, source in pairs}}

    def of(self, folder: Path, *, held: bool = True, own: bool = False) -> Keys:
        """Fingerprints of what is staged in a folder.

        Args:
            folder: of a staging.
            held: with what was not accepted.
            own: with every rejected row's key, in whatever table.
        """
        main = self.contract.table
        parts = [self._files(folder, f"{main}-accepted", "natural_key")]
        parts += [self._files(folder, f"{main}-held", "natural_key")] if held else []
        parts += [self._files(folder, f"{REJECTED.name}-accepted", "_key")] if own else []
        # Of accepted records alone: what is in a list counts where its record does.
        for table, pairs in self.links.items():
            values = "".join(f""" || chr(31) || CAST("{source}" AS VARCHAR)""" for _, source in pairs)
            parts.append(self._files(folder, f"{main}-accepted", f"chr(30) || '{table}'{values}"))
        told = " UNION ALL ".join(filter(None, parts))
        if not told:
            return np.empty(0, np.uint64)
        fingerprint = f"CAST('0x' || left(sha256('{self.salt}' || name), 16) AS UBIGINT)"
        # An item without one of the values belongs to no record: it is null here, and equal to nothing in publishing.
        query = f"SELECT DISTINCT {fingerprint} AS name FROM ({told}) WHERE name IS NOT NULL ORDER BY 1"  # noqa: S608 - names are ours
        return np.asarray(self.connection.execute(query).fetchnumpy()["name"], np.uint64)

    def read(self, harvest_id: int) -> Keys | None:
        """What a harvest spoke of; None: it has not been read again yet."""
        try:
            return np.asarray(pq.read_table(self._file(harvest_id))["name"], np.uint64)
        except FileNotFoundError:
            return None

    def write(self, harvest_id: int, keys: Keys) -> None:
        """Notes what a harvest spoke of."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._file(harvest_id).with_suffix(".new")
        pq.write_table(pa.table({"name": keys}), unfinished)
        unfinished.rename(self._file(harvest_id))

    def _file(self, harvest_id: int) -> Path:
        # An erasure deletes every file of staging with this ending, since what is there can be made again.
        return self.folder / f"{harvest_id}.parquet"

    def _files(self, folder: Path, kind: str, column: str) -> str:
        files: Sequence[Path] = sorted(folder.glob(f"{kind}-*.parquet"))
        listed = ", ".join(f"'{quoted(file)}'" for file in files)
        return f"SELECT {column} AS name FROM read_parquet([{listed}])" if files else ""  # noqa: S608 - names are ours


def _shared(one: Keys, other: Keys) -> bool:
    return bool(np.intersect1d(one, other, assume_unique=True).size)
