"""The auditor's pages, mounted as Airflow mounts them, with a login that tests choose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from httpx import Response

from chengxin.connections import Connection
from chengxin.errors import ConnectionNotFoundError
from chengxin.settings import House
from chengxin.web import AUDITOR_PATH
from chengxin.web.auditor.app import app
from chengxin.web.auditor.office import Office

if TYPE_CHECKING:
    from tests.web.auditor.played import Played

LOGIN = "/login-page"
LOGIN_HEADER = "x-test-login"


def identify(request: Request) -> str:
    """Stands for Airflow's login: a header names the account."""
    name = request.headers.get(LOGIN_HEADER)
    if not name:
        raise HTTPException(401)
    return name


@dataclass
class Site:
    """The pages of a house, for somebody or nobody who has logged in."""

    client: TestClient
    login: str | None = None

    def as_(self, login: str | None) -> Site:
        """The same pages for another account, without anybody's cookies."""
        return Site(TestClient(self.client.app, follow_redirects=False), login)

    def get(self, path: str, **more: Any) -> Response:
        """A page below `AUDITOR_PATH`."""
        return self.client.get(AUDITOR_PATH + path, headers=self._headers(more.pop("headers", {})), **more)

    def post(
        self, path: str, fields: dict[str, str] | None = None, *, form_page: str = "/today", **more: Any
    ) -> Response:
        """Sends a form, with the token that a page of ours carries."""
        token = self.form_token(form_page)
        fields = {"form_token": token, **(fields or {})}
        return self.client.post(
            AUDITOR_PATH + path, data=fields, headers=self._headers(more.pop("headers", {})), **more
        )

    def form_token(self, form_page: str) -> str:
        """The token of the forms on a page."""
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.get(form_page).text)
        assert found, f"{form_page} has no form"
        return found.group(1)

    @property
    def office(self) -> Office:
        """What its pages share."""
        app: Any = self.client.app
        pages = next(route.app for route in app.routes if getattr(route, "path", "") == AUDITOR_PATH)
        found: Office = pages.state.office
        return found

    def purpose(self, words: str = "年度审计") -> None:
        """States a purpose."""
        assert self.post("/purpose", {"usual": words, "back": "/today"}, form_page="/purpose").status_code == 303

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {**({LOGIN_HEADER: self.login} if self.login else {}), **more}


def site_of(house: House) -> Site:
    """The pages of a house."""
    outer = FastAPI()
    outer.mount(AUDITOR_PATH, app(house, identify, login_url=LOGIN))
    return Site(TestClient(outer, follow_redirects=False))


def with_keys(name: str) -> Connection:
    """The connections of a house that has nothing but signing keys."""
    if name != "chengxin_link_key":
        raise ConnectionNotFoundError(name, where="test")
    return Connection(name, "generic", password="k" * 40)


@pytest.fixture
def site(house: House) -> Site:
    """The pages of an empty house."""
    from dataclasses import replace

    return site_of(replace(house, connections=with_keys))


@pytest.fixture(scope="session")
def played_once(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The house of two days, to be copied."""
    from tests.web.auditor import played

    return played.play(tmp_path_factory.mktemp("played") / "var")


@pytest.fixture
def played(played_once: Played, tmp_path: Path) -> Played:
    """The house of two days with a ledger of its own."""
    return played_once.copy(tmp_path)
