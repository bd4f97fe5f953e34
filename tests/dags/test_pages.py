"""The pages that plugins mount: nothing of them is there before somebody asks, and what is broken says so."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from chengxin.dagtools.pages import ASGIApp, MadeWhenAsked
from chengxin.errors import ConfigError, ConnectionNotFoundError

ROOT = Path(__file__).resolve().parents[2]


def client(make: MadeWhenAsked) -> TestClient:
    return TestClient(Starlette(routes=[Mount("/page", app=make)]))


def test_reading_the_plugins_makes_no_page() -> None:
    # In a process of its own: here everything is imported already.
    script = (
        "import sys, runpy\n"
        "import airflow.plugins_manager\n"
        "before = set(sys.modules)\n"
        f"for name in ('answers', 'auditor'): runpy.run_path('{ROOT}/plugins/' + name + '.py')\n"
        "print(*(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "chengxin" in loaded
    assert not loaded & {"fastapi", "pandas", "pyarrow", "jinja2", "duckdb", "ibis"}


def test_a_page_is_made_once_and_at_the_first_request() -> None:
    made: list[int] = []

    def make() -> ASGIApp:
        made.append(1)
        return PlainTextResponse("here")

    with client(MadeWhenAsked("page", make)) as asking, ThreadPoolExecutor(4) as many:
        assert made == []
        answers = list(many.map(lambda _: asking.get("/page/").text, range(8)))
    assert answers == ["here"] * 8
    assert made == [1]


def test_what_cannot_be_made_says_so_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    faults = [ConfigError("no district", where="x.yml"), ConnectionNotFoundError("no keys", where="connections")]

    def make() -> ASGIApp:
        if faults:
            raise faults.pop(0)
        return PlainTextResponse("mended")

    with client(MadeWhenAsked("page", make)) as asking, caplog.at_level("INFO"):
        assert [asking.get("/page/").status_code for _ in range(3)] == [503, 404, 200]
    assert "no district" in caplog.text
    assert "no keys" in caplog.text
