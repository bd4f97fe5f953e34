"""The pages that plugins mount: nothing of them is there before somebody asks, and what is broken says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import Header, HTTPException
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from chengxin.dagtools import pages
from chengxin.dagtools.homes import homes
from chengxin.dagtools.pages import ASGIApp, MadeWhenAsked
from chengxin.errors import ConfigError, ConnectionNotFoundError
from chengxin.web.auditor.app import app

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


FIRST, SECOND = "370112", "990101"


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of two districts, each with accounts of its own."""
    include = tmp_path / "include"
    for name in ("sources", "districts", "policy", "mail"):
        shutil.copytree(ROOT / "include" / name, include / name)
    shutil.copytree(ROOT / "tests/districts/include", include, dirs_exist_ok=True)
    file = include / f"districts/{SECOND}.yml"
    accounts = "accounts: {jia: {name: 样例承办员, role: officer, department: office}}\n"
    file.write_text(file.read_text("utf-8") + accounts, "utf-8")
    monkeypatch.setenv("CHENGXIN_DISTRICT", f"{FIRST},{SECOND}")
    monkeypatch.setenv("CHENGXIN_INCLUDE", str(include))
    monkeypatch.setenv("CHENGXIN_VAR", str(tmp_path / "var"))
    return include


def test_several_districts_have_pages_of_their_own_under_their_names(several: Path) -> None:
    assert [page["url_prefix"] for page in pages.auditor_pages()] == ["/credit/370112", "/credit/990101"]
    assert [page["url_prefix"] for page in pages.answering_page()] == ["/answers/370112", "/answers/990101"]
    views = pages.auditor_views()
    assert [view["name"] for view in views] == ["诚信·济南市历城区", "诚信·示例市甲区"]
    assert [view["href"] for view in views] == ["/credit/370112/today", "/credit/990101/today"]
    assert len({view["url_route"] for view in views}) == len({page["name"] for page in pages.auditor_pages()}) == 2
    (several / f"districts/{SECOND}.yml").unlink()
    assert pages.auditor_views()[1]["name"] == "诚信·990101"


def test_one_district_has_them_where_they_always_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHENGXIN_DISTRICT", FIRST)
    assert [page["url_prefix"] for page in (*pages.auditor_pages(), *pages.answering_page())] == ["/credit", "/answers"]
    (view,) = pages.auditor_views()
    assert view == {"name": "诚信", "href": "/credit/today", "destination": "nav", "url_route": "credit"}


def test_an_account_opens_its_own_districts_pages_only(several: Path) -> None:
    def login(x_login: str = Header("")) -> str:
        if not x_login:
            raise HTTPException(401)
        return x_login

    outer = Starlette(
        routes=[Mount(home.path("/credit"), app=app(home.house(), login, login_url="/login")) for home in homes()]
    )
    with TestClient(outer, follow_redirects=False) as asking:
        found = {
            (name, code): {
                asking.get(f"/credit/{code}{path}", headers={"X-Login": name}).status_code
                for path in ("/matters", "/subjects", "/mails", "/api/v1/days", "/policy")
            }
            for name in ("czj", "auditor", "jia", "nobody")
            for code in (FIRST, SECOND)
        }
        assert asking.get("/credit/today", headers={"X-Login": "auditor"}).status_code == 404
    for (name, code), statuses in found.items():
        own = {FIRST: ("czj", "auditor"), SECOND: ("jia",)}[code]
        assert (403 in statuses and 200 not in statuses) is (name not in own), (name, code, statuses)
        if name in own:
            assert 200 in statuses, (name, code, statuses)
