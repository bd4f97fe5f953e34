"""The command line as people call it: exit status, messages without tracebacks, the stages by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from chengxin.sandbox.services import Sandbox
from tests.called import Call, caller

DAY = "2026-06-15"


@pytest.fixture(scope="module")
def connections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The connections to a small sandbox."""
    folder = tmp_path_factory.mktemp("sandbox")
    with Sandbox(folder, seed=3, subjects=60, day=date.fromisoformat(DAY)) as sandbox:
        yield sandbox.environment()


@pytest.fixture
def chengxin(
    connections: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Runs a command line in an environment with these connections and a house of its own."""
    settings = {"CHENGXIN_VAR": str(tmp_path / "var"), "CHENGXIN_DISTRICT": "370112", "CHENGXIN_MODE": "sandbox"}
    for name, value in (settings | connections).items():
        monkeypatch.setenv(name, value)

    return caller(capsys)


def test_the_stages_by_hand(chengxin: Call, tmp_path: Path) -> None:
    harvested = chengxin("harvest", "matters", "subject_registry", "--as-of", DAY)
    assert harvested.status == 0, harvested
    assert "matters: " in harvested.out
    assert "state published" in harvested.out

    checked = chengxin("check", "--as-of", DAY)
    assert checked.status == 0, checked
    assert "advice" in checked.out

    rehearsed = chengxin("warn", "--as-of", DAY, "--dry-run")
    assert rehearsed.status == 0, rehearsed
    assert list(tmp_path.glob(f"var/dry-run/{DAY}/*.eml"))

    replayed = chengxin("replay", "--as-of", DAY, "--reason", "抽查")
    assert replayed.status == 0, replayed
    assert "identical" in replayed.out

    exported = chengxin("export", "--from", DAY, "--to", DAY, "--out", str(tmp_path / "bundle.zip"))
    assert exported.status == 0, exported
    assert (tmp_path / "bundle.zip").stat().st_size > 10_000

    verified = chengxin("verify")
    assert verified.status == 0, verified
    assert "2 acts" in verified.out
    assert "as written" in verified.out
    cut = chengxin("verify", "--head", f"7:{'0' * 64}")
    assert cut.status == 1
    assert "act 7 was removed" in cut.out

    looked_after = chengxin("maintain", "--as-of", DAY)
    assert looked_after.status == 0, looked_after
    assert "acts 2" in looked_after.out

    listed = chengxin("sources")
    assert listed.status == 0, listed
    assert "credit_agencies" in listed.out


def test_one_source_that_fails_does_not_stop_the_others(chengxin: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_FRONT_DB", "sqlite:////nowhere/at/all.db")
    done = chengxin("harvest", "abnormal_list", "credit_agencies", "--as-of", DAY)
    assert done.status == 1
    assert "abnormal_list: " in done.out
    assert "credit_agencies: " in done.out
    assert "state published" in done.out


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CHENGXIN_MODE", "live", "unknown mode 'live'"),
        ("CHENGXIN_DISTRICT", "000000", "no such file"),
    ],
)
def test_configuration_errors(
    chengxin: Call, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    done = chengxin("check")
    assert done.status == 2
    assert message in done.err
    assert "where:" in done.err


def test_an_unknown_id(chengxin: Call) -> None:
    done = chengxin("explain", "ffffffffffff")
    assert done.status == 1
    assert done.err.startswith("error: ")


def test_help_is_quick_and_light() -> None:
    program = (
        "import sys, chengxin.cli; "
        "print([m for m in ('pandas','pyarrow','ibis','duckdb','great_expectations','airflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
