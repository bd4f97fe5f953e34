"""What became of each row of a dropped file, written back beside it as `<name>.feedback.csv`, where the contract asks
for it.

One line for each rejected row: its number among the file's records (from 1, headings and blank lines not counted; in a
ZIP archive through all members in the order of their names), the heading, the reason, what to do about it
(`feedback_words`), and the rule. Never a value: the sender has them, and a drop is read by more people than a desk.
Headings alone mean that every row was accepted; a first line without a number says why nothing at all was.

The lines are kept while the rows are judged and delivered at the end, also when the harvest was stopped, or a file
could not be read. A drop that takes no file does not fail a harvest: it is noted, and stands in the operators' daily
mail.
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

from chengxin.connectors import feedback_words
from chengxin.connectors.files import FEEDBACK
from chengxin.connectors.places import opened
from chengxin.contracts import Contract
from chengxin.errors import ChengxinError
from chengxin.ledger.models import Harvest, RawObject
from chengxin.reads import FilesRead
from chengxin.settings import House

logger = logging.getLogger(__name__)

HEADINGS = ("行号", "栏目", "原因", "处理办法", "规则编号")
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
        writer.writerows(_line(*row) for row in rows)
        (folder / f"{one.ordinal}.csv").write_text(text.getvalue(), "utf-8-sig", newline="")


def deliver(house: House, contract: Contract, harvest_id: int) -> None:
    """Puts what was kept beside the files; never raises for the drop's sake, but notes it in the harvest's `detail`."""
    folder = _folder(house, contract, harvest_id)
    read = contract.read
    assert isinstance(read, FilesRead)
    with house.ledger.begin() as session:
        query = select(RawObject.ordinal, RawObject.locator).where(RawObject.harvest_id == harvest_id)
        names = {one.ordinal: one.locator for one in session.execute(query)}
        harvest = session.get_one(Harvest, harvest_id)
        whole = feedback_words.whole(harvest.state, harvest.cause, harvest.message)
        cause = harvest.cause
    outcome: Any = 0
    try:
        if whole or folder.is_dir():
            with opened(house.connections(read.connection)) as place:
                for ordinal, name in sorted(names.items()):
                    if text := _text(folder / f"{ordinal}.csv", whole, cause):
                        place.write(name + FEEDBACK, text.encode("utf-8-sig"))
                        outcome += 1
    # Whatever it is: the harvest has ended, and its end stands.
    except Exception as error:  # noqa: BLE001
        said = error if isinstance(error, ChengxinError) else type(error).__name__
        logger.warning("%s: the feedback of harvest %d was not written: %s", contract.name, harvest_id, said)
        outcome = getattr(error, "cause", "error")
    shutil.rmtree(folder, ignore_errors=True)
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        harvest.detail = {**harvest.detail, "feedback": outcome}


def _text(kept: Path, whole: tuple[str, str] | None, cause: str | None) -> str:
    """A file's feedback: its lines, after the line about all of it."""
    text = kept.read_bytes().decode("utf-8-sig") if kept.is_file() else ""
    if whole is None:
        return text
    head = io.StringIO()
    csv.writer(head).writerows([HEADINGS, [None, None, *whole, cause]])
    return head.getvalue() + text.partition("\n")[2]


def _line(number: int, heading: str | None, rule: str, reason: str | None) -> list[str]:
    return [_inert(cell) for cell in (number, heading, *feedback_words.row(rule, reason), rule)]


def _folder(house: House, contract: Contract, harvest_id: int) -> Path:
    return house.var / "feedback" / contract.name / str(harvest_id)


def _inert(cell: Any) -> str:
    """A cell that no spreadsheet program takes for a formula: headings are the sender's."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_ACTIVE) else text
