"""A province's check on both engines, two cores, 8 GiB: about an hour, and 30 GB of disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.long


def test_a_province_completes_on_both_engines(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/province.py"), "--folder", str(tmp_path), "--no-record"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(ran.stdout)
    verdict = json.loads(ran.stdout.strip().splitlines()[-1])
    assert verdict["equal"]
    assert max(verdict[engine]["peak"] for engine in ("duckdb", "spark")) <= 8 * 1024
