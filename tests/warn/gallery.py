"""One mail of every kind, made by the house from made-up subjects: what a browser test looks at."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sqlalchemy import select

from chengxin import warn
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.ledger import answers
from chengxin.ledger.messages import Message, MessageBody
from chengxin.sandbox.world import World
from chengxin.settings import House
from chengxin.warn.planning import compose

from .conftest import ANSWERS, LINK_KEY, Scene

ROOT = Path(__file__).resolve().parents[2]
FIRST, NEXT, LAST, AFTER, CLEARED = (date(2026, *day) for day in ((6, 15), (6, 23), (6, 30), (7, 1), (7, 7)))
_LONG = "济南样例市政园林绿化与城市基础设施维护工程（集团）历城分公司"
_SUMS = {
    "harvested": 1_234_567, "published": 1_023, "unchanged": 1_233_212, "rejected": 318, "ignored": 14, "removed": 2
}  # fmt: skip
_REASONS = {
    "EXCLUDE": ["LIST_BLACK"], "RESTRICT": ["RECORD_UNRECTIFIED_IN_WINDOW"], "NEED_REPORT": ["REPORT_MISSING"],
    "REVIEW": ["RECORD_UNRECTIFIED"], "PRIORITY": ["HIGH_GRADE"], "CANNOT_TELL": ["SOURCE_STALE"], "PASS": [],
}  # fmt: skip


def gallery(var: Path, subjects: int = 400) -> dict[str, EmailMessage]:
    """Every kind of mail, by a name that says which.

    Args:
        var: the run folder of its house, fresh.
        subjects: in the registry.
    """
    house = House(
        root=ROOT, var=var, district="370112", answers_url=ANSWERS,
        connections=lambda name: Connection(name, "generic", password=LINK_KEY),
    )  # fmt: skip
    scene = Scene(house)
    people = World(11, subjects, FIRST, season=2026, clean=True).frame("subjects").to_pylist()
    people = [{**each, "name": _LONG} if number == 3 else each for number, each in enumerate(people)]
    found: dict[str, EmailMessage] = {}

    scene.filings(FIRST, _filings(people))
    _matters(scene, people)
    withheld = compose(_on(house, FIRST), FIRST).drafts
    found["stale"] = _parsed(next(draft.content for draft in withheld if draft.kind == "stale"))

    scene.harvested(FIRST, **_SUMS)
    scene.checked(FIRST, advice={"PASS": 1118, "NEED_REPORT": 5, "RESTRICT": 2, "CANNOT_TELL": 1})
    first = _run(house, FIRST)
    found |= {
        "unit": first["wangsheren", "unit", "countdown"],
        "head": first["wangsheren", "head", "countdown"],
        "regulator": first["scjg", "unit", "countdown"],
        "advice": first["zjj", "unit", "advice"],
        "one case": first["czj", "unit", "advice"],
    }
    warn.report(_on(house, FIRST), FIRST)
    found["report"] = _mails(house, FIRST)["", "operator", "report"]

    with house.ledger.begin() as session:
        told = {
            (each.department, each.kind): each
            for each in session.scalars(select(Message).where(Message.role == "unit"))
        }
        answered = _on(house, date(2026, 6, 16)).clock()
        answers.give(session, answered, told["wangsheren", "countdown"], "acknowledged", reason="已电话通知各社区")
        answers.give(session, answered, told["zjj", "advice"], "snoozed", reason="评标推迟", until=date(2026, 6, 20))
    scene.filings(NEXT, _filings(people[: subjects // 3], status="ON_TIME"))
    scene.ready(NEXT)
    scene.advice(NEXT, [_advice("LC-2026-0611", people[9], "PASS"), _advice("LC-2026-0612", people[11], "RESTRICT")])
    second = _run(house, NEXT)
    found |= {"changes": second["wangsheren", "unit", "countdown"], "changed advice": second["zjj", "unit", "advice"]}

    scene.ready(LAST)
    found["last day"] = _run(house, LAST)["wangsheren", "unit", "countdown"]

    scene.filings(AFTER, _filings(people[subjects // 3 :], status="OVERDUE", expected_listing_by=date(2026, 7, 14)))
    scene.ready(AFTER)
    scene.facts(
        "credit_report", AFTER, [{"report_no": "R1", "agency_name": "样例征信服务（济南）有限公司"}], "report_no"
    )
    late = _run(house, AFTER)
    found |= {"overdue": late["wangsheren", "unit", "countdown"], "summary": late["fgj", "summary", "countdown"]}
    warn.supervise(_on(house, AFTER), AFTER)
    found["supervision"] = _mails(house, AFTER)["fgj", "unit", "supervision"]

    scene.harvested(AFTER, **_SUMS)
    down = {"state": "failed", "cause": "unreachable", "message": "no answer from the portal\n  where: page 3"}
    scene.harvested(AFTER, only=("subject_registry", "credit_records", "blacklists", "matters"), **down)
    scene.harvested(AFTER, only=("consents",), state="stopped", cause="bound", message="shrank by 40 %")
    warn.report(_on(house, AFTER), AFTER, {"harvest__matters.fetch": "failed"})
    found["report of a bad day"] = _mails(house, AFTER)["", "operator", "report"]

    warn.watch(_on(house, CLEARED), CLEARED)
    found["watch"] = _mails(house, CLEARED)["", "operator", "watch"]
    scene.filings(CLEARED, _filings(people, status="LATE"))
    scene.ready(CLEARED)
    found["cleared"] = _run(house, CLEARED)["wangsheren", "unit", "countdown"]
    return found


def _filings(people: Iterable[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    columns = ("uscc", "name", "kind", "area_code", "industry")
    return [{**{name: each[name] for name in columns}, **more} for each in people]


def _advice(matter: str, who: dict[str, Any], decision: str, **more: Any) -> dict[str, Any]:
    return {
        "matter_id": matter, "uscc": who["uscc"], "name": who["name"], "decision": decision,
        "reasons": _REASONS[decision], **more,
    }  # fmt: skip


def _matters(scene: Scene, people: list[dict[str, Any]]) -> None:
    """Tenders with applicants of every outcome, more than a screen shows, one of whom is due himself."""
    outcomes = ("EXCLUDE", "RESTRICT", "NEED_REPORT", "REVIEW", "CANNOT_TELL", "PRIORITY", "NEED_REPORT", "NEED_REPORT")
    pairs = [(f"LC-2026-06{number:02d}", outcome) for number, outcome in enumerate(outcomes, start=11)]
    title = "历城区某某路市政道路及雨污分流配套工程（二标段）施工总承包招标项目"
    scene.facts(
        "matter", FIRST,
        [
            {"matter_id": number, "state": "待办", "title": title, "type": "招投标", "field": "工程建设"}
            for number, _ in pairs
        ],
        "matter_id",
    )  # fmt: skip
    mine = [each for each in people if str(each["area_code"]).startswith("370112009")]
    scene.facts(
        "applicant", FIRST,
        [
            {"matter_id": number, "applicant_no": "1", "uscc": who["uscc"]}
            for (number, _), who in zip(pairs, mine, strict=False)
        ],
        "matter_id",
    )  # fmt: skip
    scene.advice(
        FIRST,
        [
            _advice(
                number, people[3 + place], outcome,
                until=date(2026, 12, 31) if outcome == "RESTRICT" else None,
                guarded="REVIEW" if outcome in ("EXCLUDE", "RESTRICT") else outcome,
                guarded_reasons=["RECORD_UNRECTIFIED"] if outcome in ("EXCLUDE", "RESTRICT") else _REASONS[outcome],
                stale_sources=["credit_records:4"] if outcome == "CANNOT_TELL" else [],
            )
            for place, (number, outcome) in enumerate(pairs)
        ]
        + [_advice("LC-2026-0701", people[3], "EXCLUDE", department="czj", matter_type="政府采购")],
    )  # fmt: skip
    scene.findings(
        FIRST,
        [
            {"finding_id": "F1", "advice_id": "LC-2026-0613/1", "reasons": ["AGENCY_NOT_FILED"],
             "rule": "report.agency_not_filed", "evidence_table": "credit_report", "evidence_key": "R1"},
        ],
    )  # fmt: skip


def _on(house: House, day: date) -> House:
    return house.at(lambda: datetime.combine(day, time(9, 30), BEIJING))


def _run(house: House, day: date) -> dict[tuple[str, str, str], EmailMessage]:
    warn.plan(_on(house, day), day)
    return _mails(house, day)


def _mails(house: House, day: date) -> dict[tuple[str, str, str], EmailMessage]:
    """The messages of a day by department, role and kind."""
    with house.ledger.begin() as session:
        rows = session.execute(
            select(Message.department, Message.role, Message.kind, MessageBody.content)
            .join(MessageBody, MessageBody.message_id == Message.id)
            .where(Message.as_of == day)
            .order_by(Message.id)
        ).all()
    return {(unit, role, kind): _parsed(content) for unit, role, kind, content in rows}


def _parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=policy.default)  # type: ignore[return-value]
