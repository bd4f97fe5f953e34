"""From raw objects to judged rows on disk, begun while the source is still being fetched.

Fetching waits for the source and for disks, judging for the processor: side by side they take little longer than the
longer of them. What is judged are the bytes that the archive keeps in either case: read from there, or just put there
and still at hand. Nothing that is staged counts before the fetch has come to its end, and only if it was made of
exactly the raw objects that the ledger then holds; else it is thrown away and staged anew from the ledger's.
"""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from chengxin.contracts import Contract
from chengxin.ledger.models import RawObject
from chengxin.settings import House

if TYPE_CHECKING:
    from chengxin.readers.raw import AtHand
    from chengxin.staging import Tally

CHUNK = 25_000
"""Source records normalised at a time: what bounds memory."""
BYTES, CELLS = 32 << 20, 4_000_000
"""What such a chunk may take in bytes, and in rows times headings: a few long, or many odd, records fill one."""
AT_HAND = 16 << 20
"""Bytes just archived that wait in memory to be judged, at most; the rest is read from the archive."""


class Judging:
    """One harvest's records between the archive and the lake: engine, gate and staging.

    Args:
        house: where archive, staging and data docs are.
        contract: the source's contract.
        harvest_id: the harvest.
        as_of: the day it speaks for.

    Attributes:
        engine: what judged; publishing goes on with it.
        docs: folder of the data docs, below `house.var`.
        folder: folder of the staging.
    """

    def __init__(self, house: House, contract: Contract, harvest_id: int, as_of: date) -> None:
        from chengxin.quality import rules
        from chengxin.quality.gate import Gate
        from chengxin.staging import Staging

        self._house, self._contract = house, contract
        self.docs = Path("data_docs") / contract.name / str(harvest_id)
        self.folder = house.staging_dir / str(harvest_id)
        self.rules = rules.load(rules.path(house.root))
        self.gate = Gate(house.root, house.var / self.docs)
        self.engine = house.engine()
        self.engine.raw_sql("SET preserve_insertion_order = true")
        self.staging = Staging(contract, as_of, self.rules, self.gate, self.folder, self.engine.con)
        self.tally = self.staging.tally

    def stage(self, raw: Iterable[RawObject], at_hand: Callable[[RawObject], AtHand | None] = lambda _: None) -> None:
        """Stages the records of raw objects, to the last.

        Args:
            raw: the raw objects, in order.
            at_hand: the bytes of one; None: the archive has them.

        Raises:
            ChengxinError: as `readers.batches`.
        """
        read = ahead(chunks(self._house, self._contract, raw, self.tally, at_hand))
        for prepared in ahead(map(self.staging.prepare, read)):
            self.staging.take(prepared)
        self.staging.close()

    def end(self) -> None:
        """Gives back engine and staging."""
        self.staging.drop()
        self.engine.disconnect()
        shutil.rmtree(self.folder, ignore_errors=True)


class Early:
    """Judges what a fetch brings while it goes on: a context manager, which throws away what nobody asked for.

    Args:
        house, contract, as_of: as `Judging`.
    """

    def __init__(self, house: House, contract: Contract, as_of: date) -> None:
        self._house, self._contract, self._as_of = house, contract, as_of
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def begin(self, harvest_id: int) -> None:
        """Begins to judge a harvest. From here on the fetch tells of every raw object, in order."""
        self._harvest_id = harvest_id
        self._told: list[str] = []
        # Each of the counts has one thread that writes it.
        self._at_hand: dict[int, AtHand] = {}
        self._given = self._used = 0
        self._arriving: queue.SimpleQueue[RawObject | None] = queue.SimpleQueue()
        self._dropped = threading.Event()
        self._judging: Judging | None = None
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._judge, name="judging", daemon=True)
        self._thread.start()

    def kept(self, raw: RawObject, at_hand: AtHand | None = None) -> None:
        """The fetch has one more raw object in the archive."""
        self._told.append(raw.sha256)
        if at_hand is not None and self._given - self._used + len(at_hand.data) <= AT_HAND:
            self._given += len(at_hand.data)
            self._at_hand[raw.ordinal] = at_hand
        self._arriving.put(raw)

    def restarted(self) -> None:
        """The fetch begins anew: what it brought does not count."""
        self._drop()
        self.begin(self._harvest_id)

    def result(self, raw: Iterable[RawObject]) -> Judging | None:
        """What has been judged, once the fetch has come to its end.

        Args:
            raw: the harvest's raw objects, as the ledger holds them.

        Returns:
            The judging, for the caller to end; None: nothing was judged, or not these raw objects.

        Raises:
            ChengxinError: as `Judging.stage`.
        """
        if self._thread is None:
            return None
        if self._told != [one.sha256 for one in raw]:
            self._drop()
            return None
        self._arriving.put(None)
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        judging, self._thread = self._judging, None
        return judging

    def _drop(self) -> None:
        if self._thread is None:
            return
        self._dropped.set()
        self._arriving.put(None)
        self._thread.join()
        self._thread = None
        if self._judging is not None:
            self._judging.end()

    def _judge(self) -> None:
        try:
            self._judging = Judging(self._house, self._contract, self._harvest_id, self._as_of)
            self._judging.gate.open()
            self._judging.stage(self._arrivals(), self._bytes_of)
        # The fetch goes on to its end whatever becomes of the judging: what it brings is the evidence.
        except Exception as error:  # noqa: BLE001 - raised by `result`
            self._failed = error

    def _bytes_of(self, raw: RawObject) -> AtHand | None:
        at_hand = self._at_hand.pop(raw.ordinal, None)
        self._used += len(at_hand.data) if at_hand else 0
        return at_hand

    def _arrivals(self) -> Iterator[RawObject]:
        while (raw := self._arriving.get()) is not None and not self._dropped.is_set():
            yield raw


def chunks(
    house: House,
    contract: Contract,
    raw: Iterable[RawObject],
    tally: Tally,
    at_hand: Callable[[RawObject], AtHand | None] = lambda _: None,
) -> Iterator[Any]:
    """The records of raw objects in chunks of at most `CHUNK` records, `BYTES` and `CELLS` (or of one part of what a
    reader brings): small pages are put together, for the sake of speed."""
    import pyarrow as pa

    from chengxin import readers

    waiting: list[pa.Table] = []
    rows = size = 0
    names: set[str] = set()
    for raw_object in raw:
        batches = readers.batches(house, contract, raw_object, at_hand(raw_object))
        while True:
            with tally.timed("read"):
                batch = next(batches, None)
            if batch is None:
                break
            # Far quicker than its `nbytes`, which is asked for every page.
            taken, count = batch.get_total_buffer_size(), max(batch.num_rows, 1)
            step = min(CHUNK, max(1, count * BYTES // max(taken, 1)))
            for start in range(0, count, step):
                part = pa.Table.from_batches([batch.slice(start, step)])
                share = taken * part.num_rows // count
                rows, size = rows + part.num_rows, size + share
                names.update(batch.schema.names)
                if waiting and (rows > CHUNK or size > BYTES or rows * len(names) > CELLS):
                    yield pa.concat_tables(waiting, promote_options="permissive")
                    waiting, rows, size, names = [], part.num_rows, share, set(batch.schema.names)
                waiting.append(part)
    if waiting:
        yield pa.concat_tables(waiting, promote_options="permissive")


def ahead(made: Iterator[Any]) -> Iterator[Any]:
    """The same things, the next one being made while one is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as maker:
        coming = maker.submit(next, made, None)
        while (one := coming.result()) is not None:
            coming = maker.submit(next, made, None)
            yield one
