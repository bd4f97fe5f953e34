"""A ledger as a year leaves it: commits, harvests with their raw files, checks, messages, acts: for `pages.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from pages_lake import CHECK, DISTRICT, ROOT, SOURCES, seq
from sqlalchemy import insert
from sqlalchemy.orm import Session

from chengxin import contracts, districts, policy, rulebook
from chengxin.clock import BEIJING
from chengxin.ledger import acts
from chengxin.ledger.acts import Deed
from chengxin.ledger.messages import Message, MessageBody, MessageItem
from chengxin.ledger.models import CheckRun, Commit, Harvest, RawObject
from chengxin.settings import House

REGISTRY_PAGE = 2000
MESSAGES_A_DAY = 60
BODY = 6000
"""Bytes of a stored message."""


def write(place: House, subjects: int, days: int, last: date) -> dict[str, int]:
    """Writes the ledger.

    Args:
        place: the house.
        subjects: market subjects: how many pages the registry has.
        days: days that it has seen.
        last: the last of them.

    Returns:
        Table → rows.
    """
    district = districts.load(ROOT / "include" / "districts" / f"{DISTRICT}.yml")
    rules = policy.load(ROOT / "include" / "policy" / district.policy, district)
    book = rulebook.keep(place, district)
    good, _ = contracts.load_all(ROOT / "include" / "sources")
    kinds = {name: contract.table for name, contract in good.items()}
    counts: dict[str, int] = {}
    for begin in range(0, days, 30):
        part = range(begin, min(begin + 30, days))
        with place.ledger.begin() as session:
            for model, rows in (
                (Commit, list(_commits(part, days, last))),
                (Harvest, list(_harvests(part, days, last, kinds, subjects))),
                (RawObject, list(_raw(part, days, last, subjects))),
                (CheckRun, list(_checks(part, days, last, rules.id, rules.version, book))),
            ):
                session.execute(insert(model), rows)
                counts[model.__tablename__] = counts.get(model.__tablename__, 0) + len(rows)
            sent = _messages(session, part, days, last, sorted(district.departments))
            counts["message"] = counts.get("message", 0) + sent
    return counts


def _day(n: int, days: int, last: date) -> date:
    return last - timedelta(days=days - 1 - n)


def _at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), BEIJING)


def _number(n: int, place: int) -> int:
    return n * len(SOURCES) + place + 1


def _commits(part: range, days: int, last: date) -> Iterator[dict[str, Any]]:
    for n in part:
        day = _day(n, days, last)
        for place, source in enumerate(SOURCES):
            at = _at(day, 2, place)
            yield {
                "seq": seq(n, place), "kind": "harvest", "name": source, "as_of": day, "opened_at": at,
                "closed_at": at + timedelta(seconds=30), "snapshots": {},
            }  # fmt: skip
        for turn, hour in enumerate((6, 12, 17)):
            at = _at(day, hour, 30)
            yield {
                "seq": seq(n, CHECK + turn), "kind": "check", "name": DISTRICT, "as_of": day, "opened_at": at,
                "closed_at": at + timedelta(seconds=20), "snapshots": {},
            }  # fmt: skip


def _harvests(part: range, days: int, last: date, kinds: dict[str, str], subjects: int) -> Iterator[dict[str, Any]]:
    for n in part:
        day = _day(n, days, last)
        for place, source in enumerate(SOURCES):
            rows = subjects if place == 0 else 4 * subjects // 5 if place == 1 else 500 + 40 * place
            at = _at(day, 2, place)
            yield {
                "id": _number(n, place), "source": source, "as_of": day, "state": "published",
                "contract_sha256": hashlib.sha256(source.encode()).hexdigest(), "started_at": at,
                "finished_at": at + timedelta(seconds=40), "seq": seq(n, place), "cursor": {}, "harvested": rows,
                "published": 40 + place, "unchanged": rows - 60 - place, "rejected": 12, "ignored": 8, "removed": 3,
                "detail": {
                    "rejected": {"code.valid:BAD_CHECK": 9, "date.readable": 3}, "ignored": {"duplicate": 8},
                    "warnings": {"field.wanted": 4}, "facts": {kinds[source]: {"known": rows, "new": 40 + place}},
                    "drift": {}, "filled": {"uscc": 0.99, "name": 1.0},
                },
                "cause": None, "message": None,
            }  # fmt: skip


def _raw(part: range, days: int, last: date, subjects: int) -> Iterator[dict[str, Any]]:
    for n in part:
        day = _day(n, days, last)
        for place, source in enumerate(SOURCES):
            for page in range(-(-subjects // REGISTRY_PAGE) if place == 0 else 1):
                yield {
                    "harvest_id": _number(n, place), "ordinal": page,
                    # As `pages_lake` names the file on its rows.
                    "sha256": hashlib.sha256(f"{source}/{n}/{page}".encode()).hexdigest(), "size": 480_000,
                    "locator": f"page {page + 1}", "fetched_at": _at(day, 2, place),
                }  # fmt: skip


def _checks(part: range, days: int, last: date, policy_id: str, version: str, book: str) -> Iterator[dict[str, Any]]:
    for n in part:
        day = _day(n, days, last)
        for turn, hour in enumerate((6, 12, 17)):
            at = _at(day, hour, 30)
            yield {
                "district": DISTRICT, "as_of": day, "seq": seq(n, CHECK + turn), "read_seq": seq(n, len(SOURCES) - 1),
                "snapshots": {}, "policy": policy_id, "policy_version": version, "rulebook": book,
                "engine": "duckdb 2", "started_at": at, "finished_at": at + timedelta(seconds=20),
                "counts": {
                    "advice": {"PASS": 900, "NEED_REPORT": 400, "RESTRICT": 150, "EXCLUDE": 60, "REVIEW": 80},
                    "filing": {"DUE": 50_000, "ON_TIME": 180_000}, "findings": {"report.missing": 400},
                    "changed": {"advice": {"new": 200, "changed": 60, "gone": 180, "restored": 0}},
                },
                "sources": {
                    source: {"observed_on": day.isoformat(), "age_days": 0, "state": "fresh"} for source in SOURCES
                },
            }  # fmt: skip


def _messages(session: Session, part: range, days: int, last: date, departments: list[str]) -> int:
    number = 0
    for n in part:
        day = _day(n, days, last)
        at = _at(day, 8)
        made, bodies, items = [], [], []
        for turn in range(MESSAGES_A_DAY):
            own = n * MESSAGES_A_DAY + turn + 1
            department = departments[turn % len(departments)]
            body = _mail(own, department, day)
            digest = hashlib.sha256(body).hexdigest()
            made.append(
                {
                    "id": own, "key": hashlib.sha256(f"message {own}".encode()).hexdigest(), "mode": "sandbox",
                    "district": DISTRICT, "department": department, "recipient": f"{department}@licheng.example",
                    "role": "unit", "kind": "advice" if turn % 3 else "countdown",
                    "matter": "advice" if turn % 3 else f"annual_report/{last.year - 1}",
                    "stage": "" if turn % 3 else "T-15", "fingerprint": digest, "as_of": day,
                    "subject": f"核查意见：{turn % 7 + 1}件事项有变化", "header_id": f"<{own}@licheng.example>",
                    "thread": f"<{department}@licheng.example>", "body_sha256": digest, "size": len(body),
                    "state": "sent", "attempts": 1, "last_error": None, "claimed_by": None, "planned_at": at,
                    "claimed_at": at, "settled_at": at + timedelta(seconds=turn), "detail": {"rows": 12},
                }
            )  # fmt: skip
            bodies.append({"message_id": own, "content": body})
            items += [
                {
                    "message_id": own, "item": hashlib.sha256(f"{own}/{item}".encode()).hexdigest()[:20],
                    "fingerprint": digest, "outcome": "RESTRICT",
                }
                for item in range(5)
            ]  # fmt: skip
        session.execute(insert(Message), made)
        session.execute(insert(MessageBody), bodies)
        session.execute(insert(MessageItem), items)
        for kind in ("message.planned", "message.sent"):
            acts.append(session, at, "warn", [Deed(kind, row["key"], row["body_sha256"]) for row in made])
        number += len(made)
    return number


def _mail(number: int, department: str, day: date) -> bytes:
    head = (
        f"From: credit-office@licheng.example\r\nTo: {department}@licheng.example\r\n"
        f"Subject: =?utf-8?b?5qC45p+l5oSP6KeB?=\r\n"
        f"Date: {_at(day, 8):%a, %d %b %Y %H:%M:%S +0800}\r\nMessage-ID: <{number}@licheng.example>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    line = f"第{number}号：请核对本期事项的核查意见。\r\n"
    return (head + line * (BODY // len(line.encode()))).encode()
