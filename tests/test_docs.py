"""Generated documents are fresh."""

from __future__ import annotations

from pathlib import Path

from chengxin import contracts, docs

ROOT = Path(__file__).resolve().parents[1]


def test_data_is_fresh() -> None:
    good, bad = contracts.load_all(ROOT / "include/sources")
    assert not bad
    assert (ROOT / "docs/DATA.md").read_text("utf-8") == docs.data(good), "run `make docs`"
