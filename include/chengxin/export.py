"""The evidence bundle: everything said and done in a period, about a matter or a subject, to be checked elsewhere.

A ZIP of plain files: advice and findings as they stood and changed, the facts behind them, what each check read and
its rulebook, the exact messages, the chain of acts that covers them, explanations to be read by people, and a verifier
that needs nothing but Python. Equal content gives equal bytes: no clock, no random name, nothing packed.

It holds what 四（三） keeps from others: it is for auditors and courts, and each export is an act.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import ibis
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chengxin import conclusions, engine, evidence, rulebook
from chengxin.clock import BEIJING, utc
from chengxin.engine import Connection
from chengxin.erasure import in_bytes, parts
from chengxin.errors import ConfigError
from chengxin.ledger import acts
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.decisions import Decision, batches
from chengxin.ledger.messages import Message, MessageBody, MessageItem
from chengxin.ledger.models import CheckRun
from chengxin.ledger.objections import Objection
from chengxin.settings import House

README = """证据包 / Evidence bundle

advice.jsonl, findings.jsonl, filing_status.jsonl  结论及其每次变化 / conclusions, as they stood and changed
facts.jsonl            结论所依据的事实、原始文件哈希和行号 / facts behind them, raw file hash and row
erased.jsonl           依据已依法删除，仅留编号 / facts erased since: identifiers only
checks.jsonl           每次核查读到哪里、用哪版政策 / what each check read, and by which rules
rulebooks/             当时的政策、区域、合同文件 / the policy, district and contract files of the time
messages/, messages.jsonl  邮件原文及投递状态 / the exact messages and what became of them
decisions.jsonl, objections.jsonl  承办人员的决定、主体的异议 / what officers decided, what subjects objected
acts.jsonl             台账哈希链中的一段 / the part of the ledger's chain that covers them
explanations/          逐件说明 / explanations to be read
manifest.json          每个文件的哈希 / the hash of every file

核验 / to verify:  python verify.py
"""


@dataclass(frozen=True)
class Scope:
    """What a bundle is about."""

    start: date
    end: date
    matter: str | None = None
    subject: str | None = None

    def __post_init__(self) -> None:
        """Refuses a scope that cannot be.

        Raises:
            ConfigError: the period ends before it begins, or both a matter and a subject are given.
        """
        if self.end < self.start:
            raise ConfigError("the period ends before it begins", where="export", remedy="give --from before --to")
        if self.matter and self.subject:
            raise ConfigError("a matter and a subject at once", where="export", remedy="export one after the other")


def bundle(house: House, scope: Scope) -> bytes:
    """The bytes of the ZIP. Writes nothing."""
    connection = house.engine()
    advice = _conclusions(house, connection, "advice", scope)
    ids = sorted({row["advice_id"] for row in advice})
    findings = _conclusions(house, connection, "finding", scope, advice_ids=ids)
    known, erased = _facts(house, connection, findings)
    files: dict[str, bytes] = {
        "README.txt": README.encode(),
        "verify.py": (Path(__file__).parent / "bundle_verifier.py").read_bytes(),
        "advice.jsonl": _lines(advice),
        "findings.jsonl": _lines(findings),
        "facts.jsonl": _lines(known),
        "erased.jsonl": _lines(erased),
    }
    if not scope.matter:
        files["filing_status.jsonl"] = _lines(_conclusions(house, connection, "filing_status", scope))
    with house.ledger.begin() as session:
        checks = _checks(session, house.district, scope, {row["seq"] for row in (*advice, *findings)})
        messages = _messages(session, house.district, scope, ids)
        files["checks.jsonl"] = _lines(checks)
        files["messages.jsonl"] = _lines(message for message, _ in messages)
        people = _by_people(session, scope, ids)
        files |= {f"{name}.jsonl": _lines(rows) for name, rows in people.items()}
        seqs = [row[name] for rows in people.values() for row in rows for name in _ACTS if row.get(name)]
        files["acts.jsonl"] = _lines(_acts(session, [message["key"] for message, _ in messages], seqs))
    files |= {f"messages/{message['key']}.eml": content for message, content in messages if content is not None}
    for name in sorted({run["rulebook"] for run in checks if run["rulebook"]}):
        files |= {f"rulebooks/{name}/{path}": content for path, content in rulebook.load(house, name).items()}
    if scope.matter or scope.subject:
        for row in {row["advice_id"]: row for row in advice}.values():
            explained = evidence.explain(house, row["advice_id"], evidence.AUDITOR)
            files[f"explanations/{row['advice_id']}.txt"] = f"{explained}\n".encode()
            files[f"explanations/{row['advice_id']}.json"] = f"{explained.to_json()}\n".encode()
    return rulebook.packed({**files, "manifest.json": manifest(house, scope, files)})


def taken(house: House, scope: Scope, actor: str, reason: str = "") -> bytes:
    """The bytes of the ZIP, on record: who takes it out, and why.

    Args:
        house: where everything is.
        scope: what it is about.
        actor: who takes it out.
        reason: why.
    """
    content = bundle(house, scope)
    sha256 = hashlib.sha256(content).hexdigest()
    about = {"from": scope.start, "to": scope.end, "matter": scope.matter, "sha256": sha256}
    with house.ledger.begin() as session:
        acts.record(session, house.clock(), actor, "export", sha256, about, reason=reason)
    return content


def write(house: House, scope: Scope, target: Path, actor: str, reason: str = "") -> str:
    """Writes the bundle to a file, on record. Arguments as of `taken`; returns the ZIP's SHA-256."""
    content = taken(house, scope, actor, reason)
    target.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _conclusions(
    house: House, connection: Connection, name: str, scope: Scope, advice_ids: list[str] | None = None
) -> list[dict[str, Any]]:
    """What stood at the start, and every observation of the period."""
    rows = engine.observations(connection, house.lake, name)
    rows = rows.filter(
        rows.source == conclusions.SOURCE, rows.natural_key.startswith(house.district + conclusions.SEPARATOR)
    )
    if advice_ids is not None:
        rows = rows.filter(rows.advice_id.isin(advice_ids))
    else:
        if scope.matter:
            rows = rows.filter(rows.matter_id == scope.matter)
        if scope.subject:
            # Tombstones carry no code.
            mine = rows.filter(rows.uscc == scope.subject).select("natural_key").distinct()
            rows = rows.semi_join(mine, "natural_key")
    start, end = ibis.literal(scope.start), ibis.literal(scope.end)
    order = ibis.row_number().over(group_by="natural_key", order_by=[ibis.desc("observed_on"), ibis.desc("seq")])
    before = rows.filter(rows.observed_on < start).mutate(_age=order)
    stood = before.filter(before._age == 0, ~before.removed).drop("_age")
    rows = stood.union(rows.filter(rows.observed_on.between(start, end)))
    rows = rows.drop("natural_key", "source", "raw_sha256", "raw_row")
    rows = rows.order_by([*_KEYS[name], "observed_on", "seq"])
    return list(connection.to_pyarrow(rows).to_pylist())


_KEYS = {"advice": ["advice_id"], "finding": ["finding_id"], "filing_status": ["uscc", "report_year"]}


def _facts(
    house: House, connection: Connection, findings: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The facts that findings rest on; and, by number alone, those that were erased."""
    fields = ("table", "source", "key", "seq")
    wanted = {tuple(row[f"evidence_{name}"] for name in fields) for row in findings if row["evidence_key"]}
    found: list[dict[str, Any]] = []
    for table in sorted({key[0] for key in wanted}):
        mine = sorted(key for key in wanted if key[0] == table)
        keys = ibis.memtable(
            {
                "source": [key[1] for key in mine],
                "natural_key": [key[2] for key in mine],
                "seq": [key[3] for key in mine],
            },
            schema={"source": "string", "natural_key": "string", "seq": "int64"},
        )
        rows = engine.observations(connection, house.lake, table)
        rows = rows.filter(~rows.removed).semi_join(keys, ["source", "natural_key", "seq"])
        rows = rows.order_by(["source", "natural_key", "seq"])
        found += [{"table": table, **row} for row in connection.to_pyarrow(rows).to_pylist()]
    kept = {(row["table"], row["source"], row["natural_key"], row["seq"]) for row in found}
    gone = [dict(zip(("table", "source", "natural_key", "seq"), key, strict=True)) for key in sorted(wanted - kept)]
    return found, gone


def _checks(session: Session, district: str, scope: Scope, seqs: set[int]) -> list[dict[str, Any]]:
    """The checks of the period, and those before it whose conclusions still stood."""
    runs = session.scalars(
        select(CheckRun)
        .where(
            CheckRun.district == district,
            CheckRun.as_of.between(scope.start, scope.end) | CheckRun.seq.in_(sorted(seqs)),
        )
        .order_by(CheckRun.id)
    )
    names = ("id", "as_of", "seq", "read_seq", "policy", "policy_version", "rulebook", "engine", "counts", "sources")
    return [{name: getattr(run, name) for name in names} for run in runs]


def _messages(
    session: Session, district: str, scope: Scope, advice_ids: list[str]
) -> list[tuple[dict[str, Any], bytes | None]]:
    """The messages of the period in scope, with their bytes (null: erased)."""
    query = select(Message).where(Message.district == district, Message.as_of.between(scope.start, scope.end))
    told = set(
        session.scalars(select(MessageItem.message_id).where(MessageItem.item.in_(advice_ids)).distinct())
        if scope.matter or scope.subject
        else ()
    )
    found = []
    for message in session.scalars(query.order_by(Message.as_of, Message.key, Message.mode)):
        content = session.scalar(select(MessageBody.content).where(MessageBody.message_id == message.id))
        if (scope.matter or scope.subject) and message.id not in told and not _names(content, scope.subject):
            continue
        names = (
            "key", "mode", "department", "recipient", "role", "kind", "matter", "stage", "as_of", "subject",
            "header_id", "body_sha256", "size", "state", "attempts",
        )  # fmt: skip
        about = {name: getattr(message, name) for name in names}
        for name in ("planned_at", "settled_at"):
            about[name] = _instant(getattr(message, name))
        found.append(({**about, "erased": content is None}, content))
    return found


def _names(content: bytes | None, code: str | None) -> bool:
    """Whether a message tells of a subject: a countdown's work list has no ids."""
    return bool(content and code and any(any(in_bytes(part, [code])) for part in parts(content)))


_ACTS = ("act", "settled_act")
"""Columns of decisions and objections that name acts."""


def _by_people(session: Session, scope: Scope, advice_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Decisions and objections of the period on the advice in scope, each with what its acts say (null: erased)."""
    begin = datetime.combine(scope.start, time(), BEIJING)
    end = datetime.combine(scope.end + timedelta(days=1), time(), BEIJING)
    found: dict[str, list[dict[str, Any]]] = {}
    tables: dict[str, Any] = {"decisions": Decision, "objections": Objection}
    for name, table in tables.items():
        rows = [
            row
            for ids in batches(advice_ids)
            for row in session.scalars(select(table).where(table.advice_id.in_(ids), table.at >= begin, table.at < end))
        ]
        columns = [column.name for column in table.__table__.columns if column.name not in ("id", "district")]
        found[name] = [
            {column: _plain(getattr(row, column)) for column in columns}
            | {f"{column}_says": _said(session, getattr(row, column)) for column in columns if column in _ACTS}
            for row in sorted(rows, key=lambda row: row.act)
        ]
    return found


def _said(session: Session, seq: int | None) -> str | None:
    return session.scalar(select(ActBody.content).where(ActBody.seq == seq))


def _plain(value: Any) -> Any:
    return _instant(value) if isinstance(value, datetime) else value


def _acts(session: Session, keys: list[str], seqs: list[int]) -> list[dict[str, Any]]:
    """The part of the chain from the first act on these messages, or of these numbers, to the last: unbroken, whatever
    else it holds."""
    ends = [*session.execute(select(func.min(Act.seq), func.max(Act.seq)).where(Act.subject.in_(keys))).one(), *seqs]
    known = [seq for seq in ends if seq is not None]
    if not known:
        return []
    first, last = min(known), max(known)
    chain = session.scalars(select(Act).where(Act.seq.between(first, last)).order_by(Act.seq))
    names = ("seq", "actor", "kind", "subject", "payload_sha256", "prev", "hash")
    return [{**{name: getattr(act, name) for name in names}, "at": _instant(act.at)} for act in chain]


def manifest(house: House, scope: Scope, files: Mapping[str, bytes]) -> bytes:
    """What a bundle of some files is about, and the hash and size of each."""
    content = {
        "format": 1,
        "district": house.district,
        "from": scope.start.isoformat(),
        "to": scope.end.isoformat(),
        "matter": scope.matter,
        "subject": scope.subject,
        "files": [
            {"path": path, "sha256": hashlib.sha256(files[path]).hexdigest(), "size": len(files[path])}
            for path in sorted(files)
        ],
    }
    return f"{json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)}\n".encode()


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(f"{acts.canonical(row)}\n" for row in rows).encode()


def _instant(at: datetime | None) -> str | None:
    return utc(at).isoformat(timespec="microseconds") if at else None
