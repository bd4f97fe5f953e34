"""A new source, as `chengxin new-source` writes it, works as it stands: contract, sample and test."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chengxin import contracts, scaffold
from chengxin.errors import ConfigError
from chengxin.settings import House
from tests.conftest import ROOT
from tests.dropped import MONDAY


@pytest.mark.parametrize("connector", scaffold.CONNECTORS)
def test_it_works_with_every_connector(tmp_path: Path, house: House, connector: str) -> None:
    scaffold.write(tmp_path, "new_list", "list_entry", connector)
    found = scaffold.rehearse(house, tmp_path / "include/sources/new_list.yml", tmp_path / "tests/fixtures", MONDAY)
    assert found.counts["published"] == scaffold.ROWS
    assert found.detail["drift"] == {"new": [], "missing": [], "retyped": []}
    assert not found.detail["warnings"]


@pytest.mark.parametrize("table", contracts.FACT_TABLES)
def test_it_works_for_every_fact_table(tmp_path: Path, house: House, table: str) -> None:
    scaffold.write(tmp_path, "new_one", table, "files")
    found = scaffold.rehearse(house, tmp_path / "include/sources/new_one.yml", tmp_path / "tests/fixtures", MONDAY)
    assert (found.counts["published"], found.detail["rejected"]) == (scaffold.ROWS, {})


@pytest.mark.services
def test_the_test_that_it_writes_passes_and_is_clean(tmp_path: Path) -> None:
    scaffold.write(tmp_path, "new_list", "list_entry", "files")
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests/conftest.py")
    (tmp_path / "tests/__init__.py").touch()
    (tmp_path / "great_expectations").symlink_to(ROOT / "great_expectations")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/sources"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout
    ruff = Path(sys.executable).with_name("ruff")
    # There, chengxin is no first party: the order of imports is judged otherwise than in the project.
    for judge in (["check", "--ignore", "I001"], ["format", "--check"]):
        style = [ruff, *judge, "--config", ROOT / "pyproject.toml", tmp_path / "tests/sources"]
        ran = subprocess.run(style, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("name", "table", "connector", "said"),
    [
        ("New List", "list_entry", "files", "no name for a contract"),
        ("a", "lists", "files", "no fact table 'lists'"),
        ("a", "subject", "ftp", "no connector 'ftp'"),
    ],
)
def test_bad_wishes_write_nothing(tmp_path: Path, name: str, table: str, connector: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        scaffold.write(tmp_path, name, table, connector)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    files = scaffold.write(tmp_path, "a", "subject", "files")
    files[0].unlink()
    with pytest.raises(ConfigError, match="such a file already"):
        scaffold.write(tmp_path, "a", "subject", "files")
    assert not files[0].exists()
