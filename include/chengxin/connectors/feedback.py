"""What became of a publisher's rows, written back into its front database, where its contract names a table for it.

One row a harvest, replaced when the harvest is told of again. The table is the publisher's: nothing is created, and of
the columns below it must have the first four; the others are filled where it has them. `feedback.columns` of the
contract gives its own names for them.

| column | holds |
|---|---|
| `harvest_id` | number of the harvest |
| `received` | records received |
| `rejected` | records that broke an error rule; with a stopped harvest nothing at all was taken over |
| `reason` | rules broken with their counts, or why the harvest was stopped and what to do; empty if all is well |
| `source`, `as_of` | name of the contract, the day that the harvest speaks for |
| `state` | `published`, `stopped`, `failed` |
| `published`, `unchanged`, `ignored` | records, as in the ledger |
| `written_at` | the instant of writing, Beijing time |

Counts and rules only, in Chinese (`feedback_words`): a value of a record, or a person, is never written back. A front
database that refuses the row does not fail a harvest: what is in the lake is right. It is noted in the harvest's
`detail`, as `feedback`, and stands in the operators' daily mail.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection, column, inspect, table
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from chengxin.connectors import feedback_words, files_feedback
from chengxin.connectors.database_url import failure, open_engine
from chengxin.contracts import Contract
from chengxin.errors import ChengxinError, DriftError
from chengxin.ledger.models import Harvest
from chengxin.reads import DatabaseRead, Feedback
from chengxin.settings import House

logger = logging.getLogger(__name__)

NEEDED = ("harvest_id", "received", "rejected", "reason")
LONGEST = 500
"""Characters of a reason."""


def tell(house: House, contract: Contract, harvest_id: int) -> None:
    """Writes a harvest's row (or its files' lines: `files_feedback`), if its contract asks for it; never raises for
    the source's sake."""
    read = contract.read
    if files_feedback.wanted(contract):
        files_feedback.deliver(house, contract, harvest_id)
    if not isinstance(read, DatabaseRead) or read.feedback is None:
        return
    try:
        with house.ledger.begin() as session:
            values = _values(house, session.get_one(Harvest, harvest_id))
        _write(house, read, read.feedback, values)
        outcome = "written"
    # Whatever it is: the harvest has ended, and its end stands.
    except Exception as error:  # noqa: BLE001
        said = error if isinstance(error, ChengxinError) else type(error).__name__
        logger.warning("%s: the feedback of harvest %d was not written: %s", contract.name, harvest_id, said)
        outcome = getattr(error, "cause", "error")
    with house.ledger.begin() as session:
        harvest = session.get_one(Harvest, harvest_id)
        harvest.detail = {**harvest.detail, "feedback": outcome}


def _values(house: House, harvest: Harvest) -> dict[str, Any]:
    rules = dict(harvest.detail.get("rejected", {}))
    rules |= harvest.detail.get("rejected_items", {})
    whole = feedback_words.whole(harvest.state, harvest.cause, harvest.message)
    reasons = ["。".join(whole)] if whole else []
    reasons += [feedback_words.counted(rules.items(), house.root)] if rules else []
    return {
        "harvest_id": harvest.id,
        "received": harvest.harvested,
        "rejected": harvest.rejected,
        "reason": "。".join(reasons)[:LONGEST],
        "source": harvest.source,
        "as_of": harvest.as_of.isoformat(),
        "state": harvest.state,
        "published": harvest.published,
        "unchanged": harvest.unchanged,
        "ignored": harvest.ignored,
        "written_at": house.clock().strftime("%Y-%m-%d %H:%M:%S"),
    }


def _write(house: House, read: DatabaseRead, how: Feedback, values: dict[str, Any]) -> None:
    connection = house.connections(how.connection or read.connection)
    where = f"{how.table} (connection {connection.conn_id})"
    engine = open_engine(connection, where, writable=True)
    try:
        with engine.begin() as session:
            theirs = _columns(session, how, where)
            schema, _, name = how.table.rpartition(".")
            # Columns without a type: the database turns our words and numbers into its own.
            target = table(name, *(column(one) for one in theirs.values()), schema=schema or None)
            session.execute(target.delete().where(target.c[theirs["harvest_id"]] == values["harvest_id"]))
            session.execute(target.insert().values({theirs[ours]: values[ours] for ours in theirs}))
    except SQLAlchemyError as error:
        raise failure(error, connection, where) from None
    finally:
        engine.dispose()


def _columns(session: Connection, how: Feedback, where: str) -> dict[str, str]:
    """Our name → the table's, of those columns that the table has.

    Raises:
        DriftError: no such table, or it lacks a column that is needed.
    """
    schema, _, name = how.table.rpartition(".")
    try:
        there = {str(one["name"]) for one in inspect(session).get_columns(name, schema or None)}
    except NoSuchTableError:
        there = set()
    ours = (*NEEDED, "source", "as_of", "state", "published", "unchanged", "ignored", "written_at")
    names = {str(one): name for one, name in how.columns.items()}
    theirs = {one: names.get(one, one) for one in ours}
    missing = [theirs[one] for one in (*NEEDED, *how.columns) if theirs.get(one) not in there]
    if missing:
        raise DriftError(
            f"no column {', '.join(str(one) for one in missing)} to write feedback to" if there else "no such table",
            where=where,
            why=f"the table has {', '.join(sorted(there))}" if there else "",
            remedy="ask the publisher for the table that `read.feedback` of the contract names, or leave feedback out",
        )
    return {one: name for one, name in theirs.items() if name in there}
