"""What a harvest has fetched so far: raw files in order, and the cursor that says where the fetch goes on.

A raw file is put into the archive first; then its row and the new cursor are written in one transaction of the ledger.
So a kill at any instant costs at most the one page, batch or file that was under way. Disks are waited for once, at the
end, not for every page; after a power cut before it, what was fetched is looked through, and fetched again where bytes
are missing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from datetime import date
from typing import Any, Protocol

from sqlalchemy import bindparam, delete, insert, select, update

from chengxin import archive
from chengxin.ledger.models import Harvest, HarvestPart, RawObject
from chengxin.readers.raw import AtHand
from chengxin.settings import House

logger = logging.getLogger(__name__)

Cursor = dict[str, Any]
STRETCH = 1_000_000
"""Raw files of one part at most: their places in a harvest's order."""

_KEEP = insert(RawObject.__table__)  # type: ignore[arg-type]


class Onlooker(Protocol):
    """Who wants to know of each raw object of a harvest as soon as it is kept."""

    def kept(self, raw: RawObject, at_hand: AtHand | None = None) -> None:
        """This one is the next; its bytes too, where they are at hand."""

    def restarted(self) -> None:
        """Those so far do not count: the fetch begins anew."""


class Intake:
    """The intake of one harvest.

    Args:
        house: where archive and ledger are.
        source: the contract's name.
        harvest_id: the harvest, as the ledger numbers it.
        part: the part of a harvest that is fetched in parts: its place among them, and its name. Each part has a cursor
            and a stretch of the harvest's order of its own. None: the harvest is fetched in one piece.
        onlooker: is told of what is kept, beginning with what an earlier, cut-off fetch kept.

    Attributes:
        cursor: where the fetch stands; empty at the beginning. What it holds is the connector's affair, but never a
            secret and never a person's data.
    """

    def __init__(
        self,
        house: House,
        source: str,
        harvest_id: int,
        part: tuple[int, str] | None = None,
        onlooker: Onlooker | None = None,
    ) -> None:
        self._house, self._source, self._harvest_id = house, source, harvest_id
        self._onlooker = onlooker
        self._first = part[0] * STRETCH if part else 0
        self._own = RawObject.harvest_id == harvest_id
        holder: Any = Harvest
        of_holder = Harvest.id == harvest_id
        if part:
            self._own &= RawObject.ordinal.between(self._first, self._first + STRETCH - 1)
            holder = HarvestPart
            of_holder = (HarvestPart.harvest_id == harvest_id) & (HarvestPart.part == part[1])
        self._move = update(holder.__table__).where(of_holder).values(cursor=bindparam("_cursor"))
        with house.ledger.begin() as session:
            held = session.get_one(holder, (harvest_id, part[1]) if part else harvest_id)
            kept = list(session.scalars(select(RawObject).where(self._own).order_by(RawObject.ordinal)))
            session.expunge_all()
            self.cursor: Cursor = dict(held.cursor)
        self._kept = [one.sha256 for one in kept]
        self._last_size = kept[-1].size if kept else -1
        if not self.complete and not all(archive.is_whole(house, source, sha256) for sha256 in self._kept):
            logger.warning("%s: raw files of the cut-off fetch are damaged; fetching it from the start", source)
            self.restart()
        elif onlooker:
            for one in kept:
                onlooker.kept(one)

    @property
    def complete(self) -> bool:
        """Whether the source was walked to its end: the connector says so in the cursor, as `complete`."""
        return bool(self.cursor.get("complete"))

    def repeats(self, data: bytes) -> bool:
        """Whether these are the very bytes that were kept last."""
        return len(data) == self._last_size and hashlib.sha256(data).hexdigest() == self._kept[-1]

    def keep(self, data: bytes, locator: str, cursor: Cursor, listed: slice | None = None) -> None:
        """Keeps one page or batch and moves the cursor past it.

        Args:
            data: the bytes as they came.
            locator: where they came from, for people: page, range. Never a secret, never a person.
            cursor: where the fetch goes on after them.
            listed: see `AtHand`.
        """
        sha256 = archive.put(self._house, self._source, data, durable=False)
        self.take(sha256, len(data), locator, cursor, AtHand(data, listed))

    def kept(self, place: int) -> bytes:
        """The bytes of a raw object that is part of the harvest: 0 is its first, -1 its last.

        Raises:
            ArchiveError: they are not in the archive, or damaged.
        """
        return archive.get(self._house, self._source, self._kept[place])

    def put(self, data: bytes, cursor: Cursor) -> str:
        """Archives bytes whose turn has not come yet, and notes it in the cursor, as `ahead`.

        Returns:
            SHA-256 in hex, for `take` and `ahead`.
        """
        sha256 = archive.put(self._house, self._source, data, durable=False)
        self.advance({**cursor, "ahead": sha256})
        return sha256

    def ahead(self) -> bytes | None:
        """The bytes that wait for their turn; None: there are none, or a power cut took them."""
        sha256 = self.cursor.get("ahead")
        if sha256 is None or not archive.is_whole(self._house, self._source, sha256):
            return None
        return archive.get(self._house, self._source, sha256)

    def archive(self, data: Iterable[bytes]) -> tuple[str, int]:
        """Archives a stream of bytes, not yet part of the harvest.

        Returns:
            SHA-256 in hex, and the number of bytes.
        """
        return archive.put_stream(self._house, self._source, data)

    def take(self, sha256: str, size: int, locator: str, cursor: Cursor, at_hand: AtHand | None = None) -> None:
        """Makes archived bytes part of the harvest and moves the cursor past them."""
        complete = bool(cursor.get("complete"))
        if complete:
            archive.sync(self._house, self._source, [*self._kept, sha256])
        row = {
            "harvest_id": self._harvest_id,
            "ordinal": self._first + len(self._kept),
            "sha256": sha256,
            "size": size,
            "locator": locator,
            "fetched_at": self._house.clock(),
        }
        ledger = self._house.ledger
        with ledger.begin() if complete else ledger.begin_lightly() as session:
            # Past the mapper, by statements made once: this is done for every page.
            connection = session.connection()
            connection.execute(_KEEP, row)
            connection.execute(self._move, {"_cursor": cursor})
        self.cursor, self._last_size = cursor, size
        self._kept.append(sha256)
        if self._onlooker:
            self._onlooker.kept(RawObject(**row), at_hand)

    @property
    def count(self) -> int:
        """How many raw objects it has kept."""
        return len(self._kept)

    def has(self, sha256: str) -> bool:
        """Whether these very bytes are part of the harvest already."""
        return sha256 in self._kept

    def seen_before(self, as_of: date) -> dict[str, Any]:
        """What the harvests of earlier days noted as `seen` in their cursors, if they were published under the contract
        of this one: another contract may read the same files otherwise."""
        with self._house.ledger.begin() as session:
            own = session.get_one(Harvest, self._harvest_id)
            query = (
                select(Harvest.cursor)
                .where(
                    Harvest.source == self._source,
                    Harvest.state == "published",
                    Harvest.as_of < as_of,
                    Harvest.contract_sha256 == own.contract_sha256,
                )
                .order_by(Harvest.id)
            )
            return {name: look for cursor in session.scalars(query) for name, look in cursor.get("seen", {}).items()}

    def advance(self, cursor: Cursor) -> None:
        """Moves the cursor on without a raw object: there was nothing new in that place."""
        complete = bool(cursor.get("complete"))
        if complete:
            archive.sync(self._house, self._source, self._kept)
        ledger = self._house.ledger
        with ledger.begin() if complete else ledger.begin_lightly() as session:
            session.execute(self._move, {"_cursor": cursor})
        self.cursor = cursor

    def restart(self) -> None:
        """Forgets what was fetched: the source has changed under our hands, so its parts do not fit together."""
        with self._house.ledger.begin() as session:
            session.execute(delete(RawObject).where(self._own))
            session.execute(self._move, {"_cursor": {}})
        self.cursor, self._kept, self._last_size = {}, [], -1
        if self._onlooker:
            self._onlooker.restarted()
