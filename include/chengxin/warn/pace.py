"""Not faster than the mail server allows: one message per interval, for all senders that share a run folder.

The rate is kept in a file under its lock, since the senders of a day are tasks in processes of their own. Waiting
comes before a message is claimed, so that a sender killed while it waits leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path


class Pace:
    """Spaces messages evenly.

    Args:
        path: the file that the senders share; made on first use.
        per_minute: most messages a minute; None: no limit.
    """

    def __init__(self, path: Path, per_minute: int | None) -> None:
        self._path = path
        self._interval = 60 / per_minute if per_minute else 0.0

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self._interval)

    def wait(self) -> None:
        """Returns when the next message may go."""
        if not self._interval:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+") as file:
            # Held while waiting: the next sender queues up behind.
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            last = _number(file.read())
            # A clock set back must not hold the mails until it has caught up.
            time.sleep(max(0.0, min(self._interval, last + self._interval - time.time())))
            file.seek(0)
            file.truncate()
            file.write(repr(time.time()))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
