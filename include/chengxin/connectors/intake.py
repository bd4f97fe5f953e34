"""What a harvest has fetched so far: raw files in order, and the cursor that says where the fetch goes on.

A raw file is put into the archive first; then its row and the new cursor are written in one transaction of the ledger.
So a kill at any instant costs at most the one page, batch or file that was under way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, select, update

from chengxin import archive
from chengxin.ledger.models import Harvest, RawObject
from chengxin.settings import House

Cursor = dict[str, Any]


class Intake:
    """The intake of one harvest.

    Args:
        house: where archive and ledger are.
        source: the contract's name.
        harvest_id: the harvest, as the ledger numbers it.

    Attributes:
        cursor: where the fetch stands; empty at the beginning. What it holds is the connector's affair, but never a
            secret and never a person's data.
    """

    def __init__(self, house: House, source: str, harvest_id: int) -> None:
        self._house, self._source, self._harvest_id = house, source, harvest_id
        with house.ledger.begin() as session:
            harvest = session.get_one(Harvest, harvest_id)
            newest = session.scalar(
                select(RawObject).where(RawObject.harvest_id == harvest_id).order_by(RawObject.ordinal.desc()).limit(1)
            )
            self.cursor: Cursor = dict(harvest.cursor)
        self._next = newest.ordinal + 1 if newest else 0
        self._newest = (newest.sha256, newest.size) if newest else ("", -1)

    @property
    def complete(self) -> bool:
        """Whether the source was walked to its end: the connector says so in the cursor, as `complete`."""
        return bool(self.cursor.get("complete"))

    def repeats(self, data: bytes) -> bool:
        """Whether these are the very bytes that were kept last."""
        sha256, size = self._newest
        return len(data) == size and hashlib.sha256(data).hexdigest() == sha256

    def keep(self, data: bytes, locator: str, cursor: Cursor) -> None:
        """Keeps one page or batch and moves the cursor past it.

        Args:
            data: the bytes as they came.
            locator: where they came from, for people: page, range. Never a secret, never a person.
            cursor: where the fetch goes on after them.
        """
        self.take(archive.put(self._house, self._source, data), len(data), locator, cursor)

    def archive(self, data: Iterable[bytes]) -> tuple[str, int]:
        """Archives a stream of bytes, not yet part of the harvest.

        Returns:
            SHA-256 in hex, and the number of bytes.
        """
        return archive.put_stream(self._house, self._source, data)

    def take(self, sha256: str, size: int, locator: str, cursor: Cursor) -> None:
        """Makes archived bytes part of the harvest and moves the cursor past them."""
        with self._house.ledger.begin() as session:
            session.add(
                RawObject(
                    harvest_id=self._harvest_id,
                    ordinal=self._next,
                    sha256=sha256,
                    size=size,
                    locator=locator,
                    fetched_at=self._house.clock(),
                )
            )
            session.execute(update(Harvest).where(Harvest.id == self._harvest_id).values(cursor=cursor))
        self.cursor, self._newest = cursor, (sha256, size)
        self._next += 1

    def restart(self) -> None:
        """Forgets what was fetched: the source has changed under our hands, so its parts do not fit together."""
        with self._house.ledger.begin() as session:
            session.execute(delete(RawObject).where(RawObject.harvest_id == self._harvest_id))
            session.execute(update(Harvest).where(Harvest.id == self._harvest_id).values(cursor={}))
        self.cursor, self._next, self._newest = {}, 0, ("", -1)
