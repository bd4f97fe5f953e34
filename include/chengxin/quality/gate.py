"""Great Expectations over the prepared status columns: verdicts, data docs, and proof that its counts are ours.

Rows arrive in windows of a bounded size, whatever the size of the harvest. The context under `great_expectations/` is
only read; several harvests may run at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from chengxin.errors import ChengxinError
from chengxin.quality import pages
from chengxin.quality.judge import Judged
from chengxin.quality.suites import RUN_VARIABLE

WINDOW = 500_000
"""Rows in one validation. A validation costs 0.4 s, and 0.2 s more for a million rows of eighteen rules."""

Small: TypeAlias = npt.NDArray[np.int8]

_environment = threading.Lock()


class GateError(ChengxinError):
    """Great Expectations counts otherwise than we do: a defect of ours, never of the source."""

    cause = "gate"


class Gate:
    """The gate of one harvest.

    Args:
        root: the project, with its `great_expectations/`.
        run: folder of this harvest's results and data docs; made anew.
    """

    def __init__(self, root: Path, run: Path) -> None:
        self.root = root
        self.run = run
        self._windows: dict[str, list[Mapping[str, Small]]] = {}
        self._rows: dict[str, int] = {}
        self._context: Any = None
        shutil.rmtree(run, ignore_errors=True)

    def open(self) -> None:
        """Makes what does not depend on the rows, while nothing waits for it."""
        with _writing_to(self.run):
            if self._context is None:
                self._context = _context(self.root / "great_expectations")

    def add(self, judged: Judged) -> None:
        """Takes a chunk's status columns; validates when a window is full."""
        name = judged.facts.table.name
        # A status is the number of a field, and no table has a hundred: one byte does.
        small = {rule: status.astype(np.int8) for rule, status in judged.status.items()}
        self._windows.setdefault(name, []).append(small)
        self._rows[name] = self._rows.get(name, 0) + len(judged.facts)
        if self._rows[name] >= WINDOW:
            self._validate(name)

    def close(self) -> Path | None:
        """Validates what is left.

        Returns:
            The start page of the data docs; None if there was nothing to validate.
        """
        for name in list(self._windows):
            self._validate(name)
        index = self.run / "index.html"
        if not index.is_file():
            return None
        pages.close(self.run)
        _share_static(self.run)
        return index

    def _validate(self, name: str) -> None:
        import pandas as pd

        parts = self._windows.pop(name, [])
        rows = self._rows.pop(name, 0)
        if not rows:
            return
        frame = pd.DataFrame({rule: np.concatenate([part[rule] for part in parts]) for rule in parts[0]}, copy=False)
        ours = {rule: int(np.count_nonzero(frame[rule].to_numpy())) for rule in frame.columns}
        self.open()
        with _writing_to(self.run):
            result = self._context.checkpoints.get(name).run(batch_parameters={"dataframe": frame})
        theirs: dict[str, int] = {}
        for validation in result.run_results.values():
            for outcome in validation.results:
                if outcome.exception_info.get("raised_exception"):
                    raise GateError(f"{name}: {outcome.expectation_config.kwargs['column']} could not be judged")
                theirs[outcome.expectation_config.kwargs["column"]] = int(outcome.result["unexpected_count"])
        if theirs != ours:
            differing = sorted(rule for rule in {*ours, *theirs} if ours.get(rule) != theirs.get(rule))
            raise GateError(
                f"{name}: Great Expectations and the harvest count differently",
                where=", ".join(f"{rule}: {theirs.get(rule)} and {ours.get(rule)}" for rule in differing),
                why="the committed suites do not belong to the rules" if set(ours) != set(theirs) else "",
                remedy="python -m chengxin.quality.suites",
            )


def _context(folder: Path) -> Any:
    # Before the import: it decides then whether to report usage.
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    # At `info` it tells of every expectation that it reads: hundreds of lines in each task's log.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    # It imports PySpark wherever that is installed, without a switch (0.3 s, 20 MB), and we hand it pandas alone.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    import great_expectations as gx

    return gx.get_context(mode="file", context_root_dir=folder)


@contextmanager
def _writing_to(run: Path) -> Iterator[None]:
    """The variable that the context's stores resolve, when it is made and at each use: one harvest at a time in one
    process, since it is the process's environment."""
    run.mkdir(parents=True, exist_ok=True)
    with _environment:
        before = os.environ.get(RUN_VARIABLE)
        os.environ[RUN_VARIABLE] = str(run)
        try:
            yield
        finally:
            if before is None:
                del os.environ[RUN_VARIABLE]
            else:
                os.environ[RUN_VARIABLE] = before


def _share_static(run: Path) -> None:
    """Keeps the docs' fonts and pictures (4 MB, the same each time) once for all harvests, beside their folders."""
    own, shared = run / "static", run.parent.parent / "static"
    if own.is_symlink() or not own.is_dir():
        return
    with suppress(OSError):  # another harvest was first
        if not shared.exists():
            own.rename(shared)
    shutil.rmtree(own, ignore_errors=True)
    own.symlink_to(Path("..") / ".." / "static", target_is_directory=True)
