"""The district file: the real one loads, routes are dated, mistakes are refused with their key."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from chengxin import accounts, contracts, districts, yamlfile
from chengxin.accounts import NotPermittedError
from chengxin.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
LICHENG = ROOT / "include/districts/370112.yml"
DAY = date(2026, 6, 15)


def _with(tmp_path: Path, **changes: Any) -> Path:
    content = yamlfile.read(LICHENG) | changes
    path = tmp_path / "370112.yml"
    from ruamel.yaml import YAML

    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    return path


def test_licheng_names_every_body_of_the_notice() -> None:
    district = districts.load(LICHENG)
    assert len(district.departments) == 31
    assert sum(unit.kind == "街道办" for unit in district.departments.values()) == 17
    assert {district.departments[code].name for code in district.supervisors} == {"区发改局", "区金融事业发展中心"}
    assert district.departments[district.regulator].name == "区市场监管局"
    assert set(district.sources) <= {path.stem for path in (ROOT / "include/sources").glob("*.yml")}


def test_departments_of_the_matters_contract_are_known() -> None:
    contract = contracts.load(ROOT / "include/sources/matters.yml")
    column = next(column for column in contract.columns.values() if column.to == "department")
    assert set(column.lookup.values()) <= set(districts.load(LICHENG).departments)


def test_the_branch_of_the_peoples_bank_stays_empty() -> None:
    branch = districts.load(LICHENG).pboc_branch
    assert branch.name == ""
    assert "焦作" in branch.note


def test_every_mailbox_is_an_example() -> None:
    district = districts.load(LICHENG)
    boxes = [unit.mailbox for unit in district.departments.values()]
    assert len(set(boxes)) == len(boxes)
    assert all(box.endswith("@licheng.example") for box in (*boxes, district.mail.sender, *district.mail.operators))


def test_addresses_are_routed_by_their_longest_area() -> None:
    district = districts.load(LICHENG)
    assert district.route("370112009005", DAY) == "wangsheren"
    assert district.route("370171003", DAY) == "lingang"
    assert district.route("370112005", DAY) is None
    assert district.route(None, DAY) is None
    assert district.route("370112009", date(2020, 12, 31)) is None


def test_an_area_changes_hands_on_a_day(tmp_path: Path) -> None:
    path = _with(
        tmp_path,
        areas=[
            {"area": "370112009", "to": "wangsheren", "valid_to": date(2026, 6, 14)},
            {"area": "370112009", "to": "baoshan", "valid_from": date(2026, 6, 15)},
            {"area": "370112", "to": "scjg"},
        ],
    )
    district = districts.load(path)
    assert [district.route("370112009", day) for day in (date(2026, 6, 14), DAY)] == ["wangsheren", "baoshan"]
    assert district.route("370112777", DAY) == "scjg"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"default_desk": "nowhere"}, "no such department: nowhere"),
        ({"escalation": [{"stage": "T-3", "copy": "nowhere"}]}, "no such department: nowhere"),
        ({"escalation": [{"stage": "T-4", "copy": "head"}]}, "escalation.0.stage"),
        ({"areas": [{"area": "37011", "to": "scjg"}]}, "areas.0.area"),
        ({"areas": [{"area": "370112", "to": "scjg"}, {"area": "370112", "to": "fgj"}]}, "two routes of area 370112"),
        (
            {
                "mail": {
                    "sender": "a@licheng.example",
                    "sender_name": "甲",
                    "operators": ["zjj@licheng.example"],
                }
            },
            "operators' mailbox is a department's",
        ),
        (
            {"accounts": {"x": {"name": "甲", "role": "officer", "department": "nowhere"}}},
            "no such department: nowhere",
        ),
        ({"accounts": {"x": {"name": "甲", "role": "officer"}}}, "account x: an officer belongs to a department"),
        ({"accounts": {"x": {"name": "甲", "role": "officer", "department": "nsyh"}}}, "that is no bank"),
        ({"accounts": {"x": {"name": "甲", "role": "auditor", "department": "czj"}}}, "belongs to no department"),
        ({"accounts": {"x": {"name": "甲", "role": "partner", "department": "czj"}}}, "a partner is a bank"),
        ({"accounts": {"czj": {"name": "甲", "role": "partner"}}}, "cannot be called as a department is"),
        ({"accounts": {"Ä": {"name": "甲", "role": "auditor"}}}, "accounts"),
        ({"lookup": {"hours": {"begin": 18, "end": 8}}}, "end before they begin"),
        ({"lookup": {"per_minute": 0}}, "lookup.per_minute"),
        ({"code": "370113"}, "calls itself"),
        ({"colour": "red"}, "colour: unknown key"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        districts.load(_with(tmp_path, **changes))


def test_accounts_say_who_may_do_what() -> None:
    district = districts.load(LICHENG)
    roles = {login: account.role for login, account in district.accounts.items()}
    assert roles["auditor"] == "auditor"
    assert {roles[login] for login in ("czj", "zjj")} == {"officer"}
    bank, partner = accounts.of(district, "bank"), accounts.of(district, "partner")
    assert district.departments[bank.recipient].kind == "金融机构"
    assert partner.recipient == "partner"
    assert accounts.officer(district, "zjj").signature == "officer/zjj"
    for login in ("auditor", "bank", "nobody", ""):
        with pytest.raises(NotPermittedError):
            accounts.officer(district, login)


def test_look_ups_are_answered_in_beijing_hours() -> None:
    hours = districts.Hours(begin=8, end=18)
    half_past = {hour: datetime(2026, 6, 15, hour, 30, tzinfo=UTC) for hour in (0, 9, 10, 23)}
    assert {hour: hours.hold(instant) for hour, instant in half_past.items()} == {
        0: True,
        9: True,
        10: False,
        23: False,
    }


def test_recipients_of_consents_are_departments_or_accounts() -> None:
    district = districts.load(LICHENG)
    contract = contracts.load(ROOT / "include/sources/consents.yml")
    column = next(column for column in contract.columns.values() if column.to == "recipient")
    assert column.lookup is not None
    assert set(column.lookup.values()) <= {*district.departments, *district.accounts}
