"""Random cases with the nasty values in them: nulls, missing keys, the day before, of and after, 29 February."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from .reference import KINDS, TABLE, anniversary

CODE = "91370112XXXX00019N"
OTHER = "91370112XXXX00027H"
COOPERATIVE = "93370112XXXX02014F"
INVALID = "91370112XXXX000190"
VALID = {CODE, OTHER, COOPERATIVE}
TEST_DAYS = ["2020-12-31", "2021-01-01", "2021-01-02", "2024-02-28", "2024-02-29", "2024-03-01", "2025-02-28",
             "2025-03-01", "2025-10-15", "2026-03-10", "2028-02-29"]  # fmt: skip
TYPES = [*KINDS, "建设工程招投标", "国有产权转让", "国有资产产权转让"]
LISTS = [*TABLE, "严重违法企业名单", "严重违法失信企业名单", "重点关注名单"]
ABSENT = object()
SUBJECTS = ["企业"] * 6 + ["农民专业合作社", "个体工商户", None, "机关", ABSENT]


def matter_case(rng: random.Random, number: int) -> dict[str, Any]:
    as_of = rng.choice(TEST_DAYS)
    t = date.fromisoformat(as_of)
    code = rng.choice([CODE] * 12 + [COOPERATIVE] * 2 + [None, INVALID])
    kind = rng.choice([*TYPES, "政府采购", "资金扶持", "国有资产产权交易"] * 6 + [None, "户外广告设置"])
    facts: dict[str, Any] = {
        "subject": _object(rng, uscc=code, kind=rng.choice(SUBJECTS)),
        "matter": _object(
            rng,
            type=kind,
            procurement_form=rng.choice(["政府集中采购"] * 4 + ["分散采购", None, ABSENT]),
            fund_kind=rng.choice(["产业扶持资金", "社会福利扶贫资金", "产业扶持资金", None, ABSENT]),
            land_method=rng.choice(["招标", "拍卖", "挂牌", None, ABSENT]),
            is_construction=rng.choice([True, False, None, ABSENT]),
        ),
        "reports": [_report(rng, t, code) for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 3]))] + _usable(rng, t, code),
        "records": [_record(rng, t, code) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))],
        "lists": [_entry(rng, t, code) for _ in range(rng.choice([0, 0, 0, 1, 2, 3]))],
    }
    return {"id": f"M{number}", "kind": "matter", "as_of": as_of, "facts": facts}


def _object(rng: random.Random, **values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not ABSENT}


def _near(rng: random.Random, t: date) -> str:
    """A day on or about the test date, a year from it, or anywhere."""
    base = rng.choice([t, t, t - timedelta(days=365), t - timedelta(days=366), t - timedelta(days=rng.randrange(900)),
                       anniversary(t),
                       date(2024, 2, 29), date(2023, 2, 28)])  # fmt: skip
    return (base + timedelta(days=rng.choice([-1, 0, 0, 1]))).isoformat()


def _maybe(rng: random.Random, value: Any, nothing: float = 0.3) -> Any:
    roll = rng.random()
    return value if roll >= nothing else (None if roll >= nothing / 3 else ABSENT)


def _whose(rng: random.Random, code: str | None, none: bool = True) -> Any:
    own = code if code in VALID else CODE
    return rng.choice([own] * 8 + [OTHER] + ([None, ABSENT] if none else []))


def _report(rng: random.Random, t: date, code: str | None) -> dict[str, Any]:
    good = rng.random() < 0.4
    return _object(
        rng,
        report_no=f"R-{rng.randrange(999)}",
        subject_uscc=_whose(rng, code),
        agency_filed=True if good else rng.choice([True, True, True, False, None, ABSENT]),
        consent_active=True if good else rng.choice([True, True, True, False, None, ABSENT]),
        issue_date=_maybe(rng, _near(rng, t), 0.1),
        valid_to=_maybe(rng, _near(rng, t), 0.4),
        grade=rng.choice(["AAA", "AA", "A", "B", None, ABSENT]),
        score=rng.choice([99, None]),
    )


def _usable(rng: random.Random, t: date, code: str | None) -> list[dict[str, Any]]:
    """A usable report beside the others, in most cases: findings of milder kinds show only then."""
    report = {
        "subject_uscc": code,
        "agency_filed": True,
        "consent_active": True,
        "issue_date": (t - timedelta(days=rng.randrange(3))).isoformat(),
        "valid_to": (t + timedelta(days=rng.randrange(2))).isoformat(),
        "grade": rng.choice(["AAA", "AA", "A", None]),
    }
    return [report] if rng.random() < 0.7 else []


def _record(rng: random.Random, t: date, code: str | None) -> dict[str, Any]:
    return _object(
        rng,
        kind="行政处罚",
        subject_uscc=_whose(rng, code),
        identified_on=_maybe(rng, _near(rng, t), 0.15),
        rectified_confirmed_on=_maybe(rng, _near(rng, t), 0.6),
        rectified_self_claimed=rng.choice([True, False]),
        repaired_on=_maybe(rng, _near(rng, t), 0.8),
        in_report=rng.choice([True, True, True, False, None, ABSENT]),
        severity=rng.choice(["轻微", "一般", "严重", None]),
    )


def _entry(rng: random.Random, t: date, code: str | None) -> dict[str, Any]:
    return _object(
        rng,
        list=rng.choice(LISTS),
        subject_uscc=_whose(rng, code),
        subject_name=rng.choice(["某某有限公司", None]),
        listed_on=_maybe(rng, _near(rng, t), 0.2),
        removed_on=_maybe(rng, _near(rng, t), 0.8),
        expires_on=_maybe(rng, _near(rng, t), 0.5),
    )


def annual_case(rng: random.Random, number: int) -> dict[str, Any]:
    year = rng.choice([2019, 2023, 2024, 2025])
    edges = [
        date(year, 12, 31),
        date(year + 1, 1, 1),
        date(year + 1, 6, 30),
        date(year + 1, 7, 1),
        date(year + 1, 3, 3),
    ]
    as_of = rng.choice(edges) + timedelta(days=rng.choice([-1, 0, 0, 1, 40]))

    def stamp() -> str:
        base = rng.choice([date(year + 1, 6, 30), date(year + 1, 7, 1), date(year + 1, 5, 6), as_of])
        clock = rng.choice(["00:00:00", "15:59:59", "16:00:00", "23:59:59", "16:30:00", "00:30:00"])
        return f"{base}T{clock}{rng.choice(['Z', '+08:00', '', '+00:00', '-05:00', '+09:00'])}"

    facts = _object(
        rng,
        uscc=CODE,
        kind=rng.choice(["企业", "农民专业合作社", "个体工商户"]),
        established=_maybe(
            rng, rng.choice([date(2018, 5, 1), date(year, 12, 31), date(year + 1, 1, 1)]).isoformat(), 0.1
        ),
        report_year=year,
        as_of=as_of.isoformat(),
        submitted_at=_maybe(rng, stamp(), 0.5),
        correction_at=_maybe(rng, stamp(), 0.7),
        state=rng.choice(["存续"] * 5 + ["歇业", "迁出", "吊销", "注销", "注销", None]),
        deregistered_on=_maybe(rng, (as_of + timedelta(days=rng.choice([-1, 0, 1]))).isoformat(), 0.4),
    )
    if facts.get("state") != "注销":
        facts.pop("deregistered_on", None)
    return {"id": f"A{number}", "kind": "annual_report", "facts": facts}


def sharing_case(rng: random.Random, number: int) -> dict[str, Any]:
    consent = None
    if rng.random() < 0.7:
        consent = _object(
            rng,
            matter_id=rng.choice(["M-1", "M-2", None, ABSENT]),
            withdrawn_on=rng.choice([None, None, ABSENT, "2026-01-01"]),
            recipient=rng.choice([ABSENT, "B局", "C局"]),
        )
    facts = _object(
        rng,
        item=rng.choice(["信用报告", "行政许可信息", "联系电话"]),
        from_org="A局",
        to_org="B局",
        consent=consent,
        public=rng.choice([True, False, None, ABSENT]),
        use_matter_id=rng.choice(["M-1", "M-1", "M-2", None, ABSENT]),
    )
    return {"id": f"S{number}", "kind": "sharing", "facts": facts}
