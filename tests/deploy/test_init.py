"""`chengxin init`, which the compose file's `init` runs at every start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import inspect
from typer.testing import CliRunner

from chengxin.cli import app
from chengxin.settings import House
from chengxin.tables import TABLES


def test_it_makes_everything_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CHENGXIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHENGXIN_DISTRICT", "370112")
    monkeypatch.setenv("CHENGXIN_VAR", str(tmp_path / "var"))
    for _ in range(2):
        assert CliRunner().invoke(app, ["init"], catch_exceptions=False).exit_code == 0
    house = House.from_environment()
    assert {name for _, name in house.lake.catalog.list_tables("chengxin")} == set(TABLES)
    assert {"harvest", "act", "message"} <= set(inspect(house.ledger.engine).get_table_names())
