"""Groups of real processes: started, watched, ended with all their children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chengxin.sandbox.processes import RECORD, ProcessDiedError, ProcessGroup, end_leftovers, members

ENVIRONMENT = {"PATH": os.environ["PATH"]}
# Ignores SIGTERM, wipes its title, and has a child that its death orphans.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("up", "w").close()
time.sleep(600)
"""


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # A folder as people have them.
    return tmp_path / "a folder with spaces 诚信"


def test_everything_is_ended_children_too(folder: Path) -> None:
    with ProcessGroup(folder, grace=0.3) as group:
        session = group.start("stubborn", python(STUBBORN), ENVIRONMENT).pid
        wait_for(folder / "up")
        assert len(members([session], folder)) == 2
    assert members([session], folder) == []
    assert not (folder / RECORD).exists()


def test_ended_when_the_block_fails(folder: Path) -> None:
    group = ProcessGroup(folder, grace=0.3)

    def fail() -> None:
        with group:
            group.start("sleeper", python("import time; time.sleep(600)"), ENVIRONMENT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not group.children
    assert not (folder / RECORD).exists()


def test_a_death_is_told_with_the_end_of_the_log(folder: Path) -> None:
    with ProcessGroup(folder) as group:
        child = group.start("fragile", python("raise SystemExit('no such table')"), ENVIRONMENT)
        child.wait(20)
        with pytest.raises(ProcessDiedError, match=r"fragile has ended(.|\n)*no such table"):
            group.check()


def test_run_waits_for_success(folder: Path) -> None:
    with ProcessGroup(folder, grace=0.3) as group:
        group.run("good", python("open('made', 'w').close()"), ENVIRONMENT)
        assert (folder / "made").exists()
        group.check()
        with pytest.raises(ProcessDiedError, match="exit status 3"):
            group.run("bad", python("raise SystemExit(3)"), ENVIRONMENT)
        with pytest.raises(ProcessDiedError, match="not done after"):
            group.run("slow", python("import time; time.sleep(600)"), ENVIRONMENT, timeout=0.2)


STARTER = f"""
import sys, time
from pathlib import Path
from chengxin.sandbox.processes import ProcessGroup
group = ProcessGroup(Path(sys.argv[1]), grace=0.3).__enter__()
group.start("stubborn", [sys.executable, "-c", {STUBBORN!r}], {{}})
print(group._keeper.pid, flush=True)
time.sleep(600)
"""


def killed_starter(folder: Path, *, and_its_keeper: bool) -> list[int]:
    """Starts a group in another process and kills that; the sessions of the group."""
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(folder)], stdout=subprocess.PIPE)
    wait_for(folder / "up")
    sessions = json.loads((folder / RECORD).read_text())["sessions"]
    assert len(members(sessions, folder)) == 2
    assert starter.stdout
    keeper = int(starter.stdout.readline())
    if and_its_keeper:
        os.kill(keeper, signal.SIGKILL)
    starter.kill()
    starter.communicate()
    return list(sessions)


def test_a_killed_starter_takes_its_group_along(folder: Path) -> None:
    sessions = killed_starter(folder, and_its_keeper=False)
    deadline = time.monotonic() + 30
    while members(sessions, folder):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_leftovers_are_ended_by_the_next_run(folder: Path) -> None:
    sessions = killed_starter(folder, and_its_keeper=True)
    assert end_leftovers(folder, grace=0.2) == 2
    assert members(sessions, folder) == []
    assert end_leftovers(folder) == 0


def test_processes_of_others_are_left_alone(folder: Path, tmp_path: Path) -> None:
    """An id that was given out again proves nothing: the folder must be the same too."""
    folder.mkdir()
    other = subprocess.Popen(python("import time; time.sleep(600)"), cwd=tmp_path, start_new_session=True)
    try:
        (folder / RECORD).write_text(json.dumps({"sessions": [other.pid]}))
        assert end_leftovers(folder, grace=0.2) == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sessions": ["x"]}'])
def test_an_unreadable_record_is_no_trouble(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / RECORD).write_text(content)
    assert end_leftovers(folder) == 0
