"""The check's benchmark compares like with like: the peer written in pandas gives the same tables, cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from chengxin import engine
from tests.conftest import ROOT


@pytest.mark.long
def test_pandas_says_the_same_and_a_difference_would_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import check_sides

    lake, ours, theirs = tmp_path / "lake", tmp_path / "ours", tmp_path / "pandas"
    check_sides.prepare(str(lake), 4000, 1000)()
    count, _ = check_sides.ours(str(lake), str(ours))()
    assert check_sides.pandas(str(lake), str(theirs))()[0] == count > 3500
    connection = engine.connect()
    rules = connection.read_parquet(ours / "finding.parquet").rule.nunique().execute()
    assert rules >= 33  # nearly every rule of the policy is met, or there would be little to compare
    assert check_sides.differences(ours, theirs) == {}

    advice = connection.read_parquet(theirs / "advice.parquet")
    milder = (advice.advice_id == advice.advice_id.min()).ifelse("NONE", advice.guarded)
    connection.to_parquet(advice.mutate(guarded=milder), theirs / "other.parquet")
    (theirs / "other.parquet").replace(theirs / "advice.parquet")
    assert check_sides.differences(ours, theirs) == {"advice": {"guarded": 1}}


def test_what_the_engine_by_the_row_does_once_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import check as bench
    from contest import Run

    spent = {"once": 6.0, "each": 3.0, "evaluate": 2.0, "cpu_once": 8.0, "cpu_each": 4.0}
    run = bench.of_all(Run(9.5, 12.5, 300, 1000, spent), 10_000)
    assert (run.seconds, run.cpu, run.records) == (36.0, 48.0, 10_000)
    assert bench.evaluation(Run(9.5, 12.5, 300, 1000, spent), 10_000) == 20.0
