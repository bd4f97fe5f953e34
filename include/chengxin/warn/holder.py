"""Who sends: a name for this process that tells, later, whether it still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from uuid import uuid4


def name() -> str:
    """A name for one sender: host, its boot, process, the process's start, and a number of its own."""
    return "/".join([socket.gethostname(), _boot(), str(os.getpid()), _started(os.getpid()) or "", uuid4().hex[:12]])


def lives(holder: str) -> bool | None:
    """Whether a sender still lives; None where it cannot be seen from here (another host, no `/proc`)."""
    parts = holder.split("/")
    if len(parts) != 5 or not parts[1] or not parts[3]:
        return None
    host, boot, process, started, _ = parts
    if host != socket.gethostname() or boot != _boot():
        return None
    return _started(int(process)) == started


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""


def _started(process: int) -> str | None:
    """When a process started, in ticks since boot: a number that is used again belongs to another process."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    # A zombie has ended, only its parent has not noticed yet.
    return None if state in "ZX" else rest[18]
