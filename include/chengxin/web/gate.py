"""How often one caller may ask: a token bucket each, in the memory of one process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable


class Gate:
    """Lets each caller through so many times a minute; remembers the newest few thousand callers.

    Args:
        per_minute: how often a caller gets through, on average; as many at once after a rest of a minute.
        clock: seconds that only ever grow.
    """

    MOST = 4096

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def opens(self, caller: str) -> bool:
        """Whether this caller, an address or an account, gets through now."""
        now = self._clock()
        with self._lock:
            left, then = self._left.pop(caller, (float(self._per_minute), now))
            left = min(self._per_minute, left + (now - then) * self._per_minute / 60)
            self._left[caller] = (left - 1 if left >= 1 else left, now)
            if len(self._left) > self.MOST:
                self._left.popitem(last=False)
            return left >= 1
