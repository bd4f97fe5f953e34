"""The trial on real public data: every row of every file has one outcome, and every trap that is stated is found."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chengxin import trial, trial_traps
from chengxin.settings import House
from tests.conftest import NOW, ROOT

DATA = Path(os.environ.get("CHENGXIN_TRIAL_DATA") or ROOT.parent / "shared" / "data")

pytestmark = [
    pytest.mark.skipif(
        not (DATA / "enterprise_licheng.csv.gz").is_file(),
        reason="the public data is not here: it may not be shipped; set CHENGXIN_TRIAL_DATA to its folder",
    ),
    pytest.mark.services,
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """The summary, what was printed, and the run folder."""
    house = House(root=ROOT, var=tmp_path_factory.mktemp("trial"), district="370112", clock=lambda: NOW)
    said = Console(file=io.StringIO(), width=200)
    summary = trial.run(replace(house, mode="rehearsal"), DATA, said)
    return summary, said.file.getvalue(), house.var  # type: ignore[attr-defined]


def test_every_row_of_every_file_has_one_outcome(ran: tuple[dict[str, Any], str, Path]) -> None:
    summary, _, _ = ran
    lines = [line for part in ("register", "tenders", "traps") for line in summary[part]["lines"]]
    assert {line["file"] for line in lines} == {file.name.removesuffix(".gz") for file in DATA.glob("*.csv.gz")}
    for line in lines:
        outcomes = sum(line["counts"][name] for name in ("published", "unchanged", "rejected", "ignored"))
        assert line["rows"] == line["counts"]["harvested"] == outcomes > 0


def test_every_stated_trap_is_found_and_counted(ran: tuple[dict[str, Any], str, Path]) -> None:
    summary, said, _ = ran
    found = summary["traps"]["found"]
    assert len(found) == len(trial_traps.TRAPS)
    assert {(one["source"], one["what"]): one["found"] for one in found if one["stated"] is not None} == {
        (trap.source, trap.what): trap.stated for trap in trial_traps.TRAPS if trap.stated is not None
    }
    assert all(one["found"] > 0 for one in found)
    assert all(trap.what in said for trap in trial_traps.TRAPS)


def test_no_name_and_no_code_is_printed_or_kept(ran: tuple[dict[str, Any], str, Path]) -> None:
    summary, said, var = ran
    kept = (var / "trial/summary.json").read_text("utf-8")
    assert json.loads(kept)["traps"]["found"] == summary["traps"]["found"]
    for text in (said, kept):
        assert "公司" not in text
        assert "91370" not in text
