"""The API against its own description: schemathesis makes requests up, and every answer must be one it promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chengxin.settings import House
from chengxin.web import AUDITOR_PATH
from tests.web.auditor.conftest import LOGIN_HEADER, Site, site_of, with_keys

LOGINS = ("auditor", "czj", "bank")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The pages of a house in which nothing has happened yet."""
    from tests.conftest import NOW, ROOT

    var = tmp_path_factory.mktemp("fuzz") / "var"
    house = House(root=ROOT, var=var, district="370112", clock=lambda: NOW, mode="sandbox")
    site = site_of(replace(house, connections=with_keys))
    # The gate counts requests, and a fuzzer is not a person.
    pages = next(route.app for route in site.client.app.routes if getattr(route, "path", "") == AUDITOR_PATH)
    pages.state.office.gate._per_minute = 10**9
    return site


@pytest.fixture(scope="module")
def described(machine: Site) -> Any:
    """The API by its description."""
    auditor = {LOGIN_HEADER: "auditor"}
    return schemathesis.openapi.from_asgi(f"{AUDITOR_PATH}/api/v1/openapi.json", machine.client.app, headers=auditor)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_answer_is_one_that_the_description_promises(described: Any, data: st.DataObject) -> None:
    """Refusals are checked too: a department and a bank ask for the same things."""
    # Not schemathesis's own pytest plugin: it asks for a private name that pytest 9.2 no longer has.
    for operation in described.get_all_operations():
        case = data.draw(operation.ok().as_strategy())
        for login in LOGINS:
            answer = case.call(headers={LOGIN_HEADER: login})
            if "%0A" in str(answer.request.url).split("?")[0]:
                # A mount's pattern ends at a line break: such a path never reaches the API.
                assert answer.status_code == 404
                continue
            if answer.status_code == 403 and login != "auditor":
                assert answer.json() == {"error": "not yours to see"}
            else:
                case.validate_response(answer)


def test_the_description_holds_every_route(described: Any) -> None:
    assert sum(1 for _ in described.get_all_operations()) > 9
