"""What became of each row of a dropped file, written back beside it as `<name>.feedback.csv`, where the contract asks
for it.

One line for each rejected row: its number among the file's records (from 1, headings and blank lines not counted; in a
ZIP archive through all members in the order of their names), the heading, the rule and the reason. Never a value: the
sender has them, and a drop is read by more people than a desk. Headings alone mean that every row was accepted.

The lines are kept while the rows are judged and delivered at the end, also when the harvest was stopped. A drop that
takes no file does not fail a harvest.
"""
# ruff: noqa: S608 - the only name in the SQL is a path of ours, quoted

from __future__ import annotations

import csv
import io
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from chengxin.connectors.files import FEEDBACK
from chengxin.connectors.places import opened
from chengxin.contracts import Contract
from chengxin.errors import ChengxinError
from chengxin.ledger.models import Harvest, RawObject
from chengxin.reads import FilesRead
from chengxin.settings import House

logger = logging.getLogger(__name__)

HEADINGS = ("行号", "栏目", "规则", "原因")
LONGEST = 100_000
"""Lines of one file at most."""
_ACTIVE = ("=", "+", "-", "@", "\t", "\r")


def wanted(contract: Contract) -> bool:
    """Whether the contract asks for it."""
    return isinstance(contract.read, FilesRead) and contract.read.feedback


def keep(house: House, contract: Contract, harvest_id: int, raw: Sequence[RawObject], staged: Path, con: Any) -> None:
    """Keeps the lines of every file until they are delivered.

    Args:
        house: whose run folder.
        contract: the source.
        harvest_id: the harvest.
        raw: its raw objects.
        staged: folder of `chengxin.staging`.
        con: the DuckDB connection.
    """
    folder = _folder(house, contract, harvest_id)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = sorted(str(file).replace("'", "''") for file in staged.glob("rejected-accepted-*.parquet"))
    for one in raw:
        rows = []
        if files:
            listed = ", ".join(f"'{file}'" for file in files)
            rows = con.execute(
                f'SELECT raw_row + 1, "column", rule, reason FROM read_parquet([{listed}]) WHERE raw_sha256 = ? '
                f"ORDER BY ALL LIMIT {LONGEST}",
                [one.sha256],
            ).fetchall()
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(HEADINGS)
        writer.writerows([[_inert(cell) for cell in row] for row in rows])
        (folder / f"{one.ordinal}.csv").write_text(text.getvalue(), "utf-8-sig", newline="")


def deliver(house: House, contract: Contract, harvest_id: int) -> None:
    """Puts what was kept beside the files; never raises for the drop's sake, but notes it in the harvest's `detail`."""
    folder = _folder(house, contract, harvest_id)
    read = contract.read
    if not isinstance(read, FilesRead) or not folder.is_dir():
        return
    with house.ledger.begin() as session:
        query = select(RawObject.ordinal, RawObject.locator).where(RawObject.harvest_id == harvest_id)
        names = {one.ordinal: one.locator for one in session.execute(query)}
    outcome: Any = 0
    try:
        with opened(house.connections(read.connection)) as place:
            for ordinal, name in sorted(names.items()):
                kept = folder / f"{ordinal}.csv"
                if kept.is_file():
                    place.write(name + FEEDBACK, kept.read_bytes())
                    outcome += 1
    except (ChengxinError, OSError) as error:
        logger.warning("%s: the feedback of harvest %d was not written: %s", contract.name, harvest_id, error)
        outcome = getattr(error, "cause", type(error).__name__)
    shutil.rmtree(folder, ignore_errors=True)
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        harvest.detail = {**harvest.detail, "feedback": outcome}


def _folder(house: House, contract: Contract, harvest_id: int) -> Path:
    return house.var / "feedback" / contract.name / str(harvest_id)


def _inert(cell: Any) -> str:
    """A cell that no spreadsheet program takes for a formula: headings are the sender's."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_ACTIVE) else text
