"""Every reader on bytes of any kind: property-based here, coverage-guided in `make test-long`."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import harness

ROOT = Path(__file__).parents[2]
SPLICES = (
    b"\0", b'"', b"<", b">", b"&", b"\xff\xfe", b"\xef\xbb\xbf", b"[", b"{", b"\\u0000", b"\\ud800", b"<!DOCTYPE a>",
    b"]]>", b"1e999", b"PK\x01\x02", b"\r", b"\n\n", "，".encode(), b"_problem", b"\x80", b"\x81\x30\x81\x30",
    b'<c r="ZZZZ9"/>', b'<row r="99999999999">', b't="s"><v>9</v>', b"stream", b"/Kids [2 0 R]", b"endobj",
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> bytes:
    """A sound file with some bytes cut out, doubled, changed, or with something put in."""
    data = bytearray(harness.seed(kind))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 40))
        match draw(st.integers(0, 3)):
            case 0:
                del data[at : at + length]
            case 1:
                data[at:at] = data[at : at + length]
            case 2:
                data[at : at + length] = draw(st.binary(min_size=1, max_size=8))
            case _:
                data[at:at] = draw(st.sampled_from(SPLICES))
    return bytes(data)


@pytest.mark.parametrize("kind", harness.READS)
def test_sound_files_are_read(kind: str) -> None:
    assert harness.check(kind, harness.seed(kind)) == {"csv": 4, "gb18030": 4, "json": 2, "xml": 2, "zip": 5}.get(
        kind, 2 if kind in ("xlsx", "page") else 1
    )


@pytest.mark.parametrize("kind", harness.READS)
def test_nothing_but_our_errors(kind: str) -> None:
    @settings(
        max_examples=50 if kind == "pdf" else 250,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(damaged(kind), st.binary(max_size=300)))
    def holds(data: bytes) -> None:
        harness.check(kind, data)

    holds()


@pytest.mark.parametrize("path", sorted(harness.FOUND.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once_stays_mended(path: Path) -> None:
    harness.check(path.parent.name, path.read_bytes())


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=2000))
def test_a_sheet_of_any_bytes_inside_a_sound_workbook(data: bytes) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(harness.seed("xlsx"))) as old, zipfile.ZipFile(sink, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith("sheet1.xml") else old.read(name))
    harness.check("xlsx", sink.getvalue())


@pytest.mark.long
@pytest.mark.parametrize("kind", harness.READS)
def test_coverage_guided(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="no wheel of the fuzzer for this platform or Python")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "seed").write_bytes(harness.seed(kind))
    limits = [
        "-max_total_time=60",
        "-max_len=20000",
        "-rss_limit_mb=3072",
        "-timeout=20",
        "-print_final_stats=1",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", kind, str(corpus), *limits],
        cwd=ROOT, capture_output=True, timeout=600, check=False, text=True, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    tried = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    assert tried
    print(f"{kind}: {int(tried[1]):,} inputs")
