"""Processes that are started together and ended together, whatever becomes of the one that started them.

Each child gets a session of its own and works in the group's folder. Children of children change their title and wipe
their environment (Airflow's do), some outlive their parent, but none leaves its session or its folder: by these two
they are found again. A keeper, one small process more, ends them when the starter is killed; should it be killed too,
the next run in the folder does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from chengxin.errors import ChengxinError

PROC = Path("/proc")
RECORD = "processes.json"


class ProcessDiedError(ChengxinError):
    """A process that should be running has ended."""

    cause = "process"


@dataclass
class ProcessGroup:
    """Processes of one folder.

    Args:
        folder: where they work, and where their logs (`<name>.log`) and the record of their sessions lie.
        grace: seconds between SIGTERM and SIGKILL.
    """

    folder: Path
    grace: float = 10.0
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ProcessGroup:
        self.folder.mkdir(parents=True, exist_ok=True)
        end_leftovers(self.folder, self.grace)
        # Its standard input is a pipe that closes when this process is gone, however it went.
        self._keeper = subprocess.Popen(  # noqa: S603  # this very module
            [sys.executable, "-m", __name__, str(self.folder.resolve()), str(self.grace)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Starts a process in a session of its own; its output goes to `<name>.log`."""
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(  # noqa: S603  # the commands are ours
                list(command),
                cwd=self.folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.children[name] = child
        self._record()
        return child

    def run(self, name: str, command: Sequence[str], environment: Mapping[str, str], timeout: float = 300) -> None:
        """Runs a process to its end.

        Raises:
            ProcessDiedError: it failed or took too long; the message holds the end of its log.
        """
        child = self.start(name, command, environment)
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._died(name, f"not done after {timeout:.0f} s") from None
        if status != 0:
            raise self._died(name, f"exit status {status}")
        del self.children[name]

    def check(self) -> None:
        """Are all of them running still?

        Raises:
            ProcessDiedError: one has ended.
        """
        for name, child in self.children.items():
            status = child.poll()
            if status is not None:
                raise self._died(name, f"exit status {status}")

    def end(self) -> None:
        """Ends every process of every session: SIGTERM, and after the grace SIGKILL. Returns when none is left.

        Raises:
            ProcessDiedError: a process is left that cannot be killed.
        """
        sessions = [child.pid for child in self.children.values()]
        children = list(self.children.values())
        try:
            left = _end(sessions, self.folder, self.grace, children)
        except KeyboardInterrupt:
            # A second Ctrl-C means: at once. It does not mean: leave them running.
            left = _end(sessions, self.folder, 0.2, children)
        if left:
            raise ProcessDiedError(
                "processes are left that cannot be ended",
                where=str(self.folder),
                why=f"process ids: {', '.join(map(str, left))}",
                remedy="end them by hand",
            )
        self.children.clear()
        (self.folder / RECORD).unlink(missing_ok=True)
        if self._keeper is not None:
            self._keeper.communicate()
            self._keeper = None

    def _record(self) -> None:
        sessions = [child.pid for child in self.children.values()]
        (self.folder / RECORD).write_text(json.dumps({"sessions": sessions}), "utf-8")

    def _died(self, name: str, why: str) -> ProcessDiedError:
        log = self.folder / f"{name}.log"
        lines = log.read_text("utf-8", errors="replace").splitlines()[-15:] if log.exists() else []
        return ProcessDiedError(
            f"{name} has ended",
            where=str(log),
            why="\n    ".join([why, *lines]),
            remedy="read the whole log; a second start often shows whether it was chance",
        )


def end_leftovers(folder: Path, grace: float = 10.0) -> int:
    """Ends what an earlier run in this folder left running.

    Only processes whose session the folder's record names *and* that work in this very folder: both together prove
    that they are ours, even after a reboot or when ids were given out again.

    Returns:
        How many processes were found.
    """
    record = folder / RECORD
    try:
        sessions = [int(session) for session in json.loads(record.read_text("utf-8"))["sessions"]]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    found = members(sessions, folder)
    left = _end(sessions, folder, grace, []) if found else []
    if left:
        raise ProcessDiedError(
            "an earlier run is still there and cannot be ended",
            where=str(folder),
            why=f"process ids: {', '.join(map(str, left))}",
            remedy="end them by hand",
        )
    record.unlink(missing_ok=True)
    return len(found)


def members(sessions: Sequence[int], folder: Path) -> list[int]:
    """Ids of the living processes of these sessions that work in this folder."""
    if not PROC.is_dir():
        # Without /proc (macOS) only the leaders can be told.
        return [pid for pid in sessions if _alive(pid)]
    wanted, place = set(sessions), os.path.realpath(folder)
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The command's name stands in brackets and may hold spaces: count from behind the last bracket.
            fields = (entry / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
            state, session = fields[0], int(fields[3])
            if session not in wanted or state == "Z":
                continue
            if os.readlink(entry / "cwd").removesuffix(" (deleted)") == place:  # noqa: PTH115  # a text is wanted
                found.append(int(entry.name))
    return found


def _end(sessions: Sequence[int], folder: Path, grace: float, children: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + patience
        _signal(members(sessions, folder), number)
        while time.monotonic() < deadline:
            for child in children:
                child.poll()
            left = members(sessions, folder)
            if not left:
                return []
            if number == signal.SIGKILL:
                # A dying parent may have forked once more.
                _signal(left, number)
            time.sleep(0.1)
    return members(sessions, folder)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _keep(folder: Path, grace: float) -> None:
    """Waits until the starter is gone, then ends what it left. After an orderly end nothing is left."""
    while sys.stdin.buffer.read(4096):
        pass
    end_leftovers(folder, grace)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), float(sys.argv[2]))
