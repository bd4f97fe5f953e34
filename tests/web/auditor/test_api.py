"""The API: what it gives, to whom, paged; that it holds what it promises is schemathesis's business (`test_fuzz`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from chengxin.ledger import acts
from chengxin.ledger.models import CheckRun, Harvest
from chengxin.settings import House
from tests.web.auditor.conftest import Site, site_of, with_keys

DAY = date(2026, 6, 15)


@pytest.fixture
def kept(house: House) -> House:
    """A house whose ledger knows three days of one source, and two acts."""
    there = replace(house, connections=with_keys, mode="sandbox")
    now = there.clock()
    with there.ledger.begin() as session:
        for back in range(3):
            day = DAY - timedelta(days=back)
            session.add(
                Harvest(
                    source="annual_reports", as_of=day, state="published", contract_sha256="c" * 64,
                    started_at=now, finished_at=now + timedelta(seconds=4), harvested=10, published=6, unchanged=1,
                    rejected=2, ignored=1, removed=0, detail={"rejected": {"field.required": 2}},
                )
            )  # fmt: skip
        session.add(
            CheckRun(
                district="370112", as_of=DAY, seq=None, read_seq=7, policy="p", policy_version="v" * 64,
                rulebook="b" * 64, engine="duckdb", started_at=now, finished_at=now, counts={"advice": {"PASS": 3}},
            )
        )  # fmt: skip
        acts.record(session, now, "auditor", "access.purpose", "auditor", {"purpose": "年度审计"})
        acts.record(session, now, "check", "replay", "x", {}, reason="why")
    return there


def test_days_are_paged_and_their_sums_hold(kept: House) -> None:
    auditor = site_of(kept).as_("auditor")
    first = auditor.get("/api/v1/days?limit=2").json()
    assert [day["as_of"] for day in first["items"]] == ["2026-06-15", "2026-06-14"]
    rest = auditor.get(f"/api/v1/days?limit=2&after={first['next']}").json()
    assert [day["as_of"] for day in rest["items"]] == ["2026-06-13"]
    assert rest["next"] is None
    sums = first["items"][0]["sums"]
    assert sums["harvested"] == sums["published"] + sums["unchanged"] + sums["rejected"] + sums["ignored"] == 10
    assert first["items"][0]["advice"] == {"PASS": 3}


def test_a_day_s_harvests_and_checks(kept: House) -> None:
    auditor = site_of(kept).as_("auditor")
    (harvest,) = auditor.get("/api/v1/days/2026-06-15/harvests").json()["items"]
    assert (harvest["source"], harvest["rejected"], harvest["detail"]["rejected"]) == (
        "annual_reports", 2, {"field.required": 2},
    )  # fmt: skip
    (check,) = auditor.get("/api/v1/days/2026-06-15/checks").json()["items"]
    assert (check["read_seq"], check["rulebook"]) == (7, "b" * 64)
    assert auditor.get(f"/api/v1/harvests/{harvest['id']}/files").json() == {"items": [], "next": None}
    assert auditor.get("/api/v1/harvests/999/files").status_code == 404


def test_acts_are_the_auditor_s_and_verify(kept: House) -> None:
    site = site_of(kept)
    newest, oldest = site.as_("auditor").get("/api/v1/acts").json()["items"]
    assert newest["prev"] == oldest["hash"]
    assert oldest["prev"] == acts.GENESIS
    assert "年度审计" not in str((newest, oldest))
    assert site.as_("czj").get("/api/v1/acts").status_code == 403
    assert site.as_("admin").get("/api/v1/acts").status_code == 403


@pytest.mark.parametrize("path", ["days", "days/2026-06-15/harvests", "days/2026-06-15/checks", "sources"])
def test_runs_are_not_a_department_s(kept: House, path: str) -> None:
    assert site_of(kept).as_("czj").get(f"/api/v1/{path}").status_code == 403


def test_its_description_stands_behind_the_login(kept: House) -> None:
    site = site_of(kept)
    assert site.get("/api/v1/openapi.json").status_code == 401
    described = site.as_("auditor").get("/api/v1/openapi.json").json()
    assert "/api/v1/days" in described["paths"]
    # Pages for people are no part of it.
    assert not [path for path in described["paths"] if not path.startswith("/api/")]
    assert "/api/v1/days" in site.as_("auditor").get("/api").text


def test_what_is_malformed_is_said_in_json(kept: House) -> None:
    auditor = site_of(kept).as_("auditor")
    for path in ("days?limit=0", "days?after=yesterday", "harvests/x/files", "messages?after=-1"):
        answer = auditor.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()) == (422, {"error": "malformed request"}), path


def test_the_pages_show_the_same(kept: House, site: Site) -> None:
    auditor = site_of(kept).as_("auditor")
    for path, shown in (
        ("/runs", "2026-06-13"),
        ("/runs/2026-06-15", "年度报告基本信息"),
        ("/harvests/1", "field.required"),
        ("/sources", "年度报告基本信息"),
        ("/sources/annual_reports", "2026-06-14"),
        ("/sources/annual_reports/rejected?rule=field.required", "没有退回的记录"),
        ("/policy", "二（二）2"),
        ("/acts", "说明查看目的"),
        ("/today", "2026年6月15日"),
    ):
        answer = auditor.get(path)
        assert answer.status_code == 200, path
        assert shown in answer.text, path
    for path in ("/runs/2020-01-01", "/harvests/99", "/harvests/1/docs/index.html", "/sources/nothing", "/mails/7"):
        assert auditor.get(path).status_code == 404, path
