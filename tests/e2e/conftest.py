"""One whole day in a real Airflow, played once and looked at by many tests.

Strategy: everything real: Airflow's scheduler and processes, sources over sockets, mails over SMTP; small enough for
a minute. Tests are handed to workers file by file, so the day is played once for each file that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from chengxin import demo
from chengxin.sandbox.processes import members

from .days import AS_OF, DISTRICT, ROOT, SEED, SUBJECTS, Played


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("a whole day")
    options = demo.Options(as_of=AS_OF, subjects=SUBJECTS, seed=SEED, district=DISTRICT, folder=folder)
    with (folder / "console.txt").open("w", encoding="utf-8") as screen:
        with demo.day(options, ROOT, Console(file=screen, width=120)) as day:
            sessions = [child.pid for child in day.airflow.group.children.values()]
            summary = day.run()
            yield Played(day, summary, day.sandbox.messages())
        assert members(sessions, day.airflow.home) == []
