"""A policy is adopted by a person, with its difference and a reason, on record; production says when one was not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chengxin import check, maintain, policy, rulebook
from chengxin.accounts import NotPermittedError
from chengxin.cli import app
from chengxin.errors import ConfigError
from chengxin.ledger import acts
from chengxin.ledger.acts import Act
from chengxin.policy import adoption
from chengxin.settings import House
from tests.conftest import ROOT
from tests.factlake import FactLake, codes, day

MONDAY = day("2026-06-15")
IN_FORCE = ROOT / "include/policy/licheng-2020-2"
WHY = "信用办〔2026〕5号会议纪要"


@pytest.fixture
def draft(house: House, tmp_path: Path) -> Path:
    """A draft that gives another reason for one list, and facts on which it tells."""
    lake = FactLake(house)
    lake.fresh(MONDAY)
    about = {"state": "待办", "opened_on": MONDAY, "type": "评先评优", "department": "zjj"}
    lake.put("matter", MONDAY, [{"matter_id": "M1", **about}])
    lake.put("applicant", MONDAY, [{"matter_id": "M1", "applicant_no": "1", "uscc": codes(1)[0], "name": "示例"}])
    lake.put("list_entry", MONDAY, [{"list": "黑名单", "doc_no": "D1", "uscc": codes(1)[0]}])
    folder = tmp_path / "drafts" / "licheng-2026"
    shutil.copytree(IN_FORCE, folder)
    lists = folder / "lists.yml"
    lists.write_text(lists.read_text("utf-8").replace("LIST_BLACK\n", "LIST_SERIOUS\n"), "utf-8")
    return folder


def test_an_adoption_is_an_act_with_what_it_changes(house: House, draft: Path) -> None:
    with pytest.raises(ConfigError, match="an adoption needs a reason"):
        adoption.compare(house, draft, MONDAY, "  ")
    difference = adoption.compare(house, draft, MONDAY, WHY)
    with pytest.raises(ConfigError, match=r"policy\.adopted needs a reason"):
        adoption.adopt(house, difference, draft, "operator/operator", "")
    made = adoption.adopt(house, difference, draft, "operator/operator", WHY)
    district = check.load_district(house)
    assert made.version == policy.load(draft, district).version
    assert made.said["before"] == policy.load(IN_FORCE, district).version
    assert made.said["findings"] == {"list.black": {"gained": 0, "lost": 0, "changed": 1}}
    assert (made.said["reason"], made.said["folder"], made.actor) == (WHY, "licheng-2026", "operator/operator")
    kept = rulebook.load(house, made.said["rulebook"])
    assert any(name.endswith("licheng-2026/lists.yml") and b"LIST_SERIOUS" in kept[name] for name in kept)
    with house.ledger.begin() as session:
        act = session.get_one(Act, made.act)
        assert adoption.history(session) == [made]
        assert adoption.of(session, "0" * 64) is None
    assert (act.kind, act.subject) == ("policy.adopted", made.version)
    assert maintain.ledger_faults(house) == []
    # Another draft than the one that was looked at.
    lists = draft / "lists.yml"
    lists.write_text(lists.read_text("utf-8").replace("LIST_SERIOUS\n", "LIST_TAX\n", 1), "utf-8")
    with pytest.raises(ConfigError, match="changed since it was compared"):
        adoption.adopt(house, difference, draft, "operator/operator", WHY)
    with house.ledger.begin() as session:
        assert adoption.history(session) == [made]


def test_production_tells_of_a_version_that_nobody_adopted(house: House) -> None:
    version = policy.load(IN_FORCE, check.load_district(house)).version
    real = replace(house, mode="production")
    with house.ledger.begin() as session:
        assert adoption.missing(house, session, version) is None
        assert version[:12] in str(adoption.missing(real, session, version))
    with house.ledger.begin() as session:
        acts.record(session, house.clock(), "operator/operator", adoption.KIND, version, reason=WHY)
    with house.ledger.begin() as session:
        assert adoption.missing(real, session, version) is None
        assert adoption.missing(real, session, "0" * 64) is not None


def test_by_hand(
    house: House, draft: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHENGXIN_VAR", str(house.var))
    monkeypatch.setenv("CHENGXIN_DISTRICT", house.district)
    command = ["policy", "adopt", str(draft), "--as-of", str(MONDAY), "--reason", WHY, "--yes"]
    logins = check.load_district(house).accounts.items()
    operator = next(login for login, account in logins if account.role == "operator")
    for login, status in (("auditor", 1), ("nobody", 1), (operator, 0)):
        with pytest.raises(SystemExit) as ended:
            app([*command, "--as", login])
        assert ended.value.code == status
    out = capsys.readouterr().out
    assert "rule list.black: 1 changed" in out
    assert "the district still follows licheng-2020-2: change `policy` in its file to licheng-2026" in out
    with house.ledger.begin() as session:
        (made,) = adoption.history(session)
    assert made.actor == f"operator/{operator}"
    assert f"adopted {made.version}" in out


@pytest.mark.parametrize("login", ["auditor", "bank", "nobody"])
def test_who_adopts_nothing(house: House, login: str) -> None:
    with pytest.raises(NotPermittedError):
        adoption.signature(check.load_district(house), login)
