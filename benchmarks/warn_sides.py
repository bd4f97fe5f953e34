"""The contestants of `warn.py`, and the house they work in."""

from __future__ import annotations

import shutil
import smtplib
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

DAY = date(2026, 6, 15)
"""T-15: every department's head is copied too."""
SEED = 7
_INDUSTRIES = "ABCDEFGHIJKLMNOPQRST"

Work = Callable[[], tuple[int, dict[str, Any]]]


def house(folder: str, port: int = 0) -> Any:
    """The house of a folder, whose mail goes to that port."""
    from chengxin.clock import BEIJING
    from chengxin.connections import Connection
    from chengxin.settings import House

    extra = {"disable_ssl": True, "disable_tls": True, "timeout": 60}
    return House(
        root=Path(__file__).resolve().parents[1],
        var=Path(folder) / "var",
        include=Path(folder) / "include",
        district="370112",
        mode="sandbox",
        clock=lambda: datetime(2026, 6, 15, 8, tzinfo=BEIJING),
        connections=lambda name: Connection(name, "smtp", "127.0.0.1", port, extra=extra),
    )


def prepare(folder: str, departments: int, subjects: int, lines: int) -> Work:
    """Makes the house: a district file of that many departments, and what a check left for that many subjects due."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import ruamel.yaml

    from chengxin.lake import arrow_schema
    from chengxin.ledger.models import CheckRun, Commit, Harvest
    from chengxin.sandbox.codes import credit_codes
    from chengxin.tables import TABLES

    def run() -> tuple[int, dict[str, Any]]:
        there = house(folder)
        shutil.copytree(there.root / "include", there.include_dir, ignore=shutil.ignore_patterns("chengxin*", "trial"))
        path = there.include_dir / "districts/370112.yml"
        yaml = ruamel.yaml.YAML(typ="safe")
        district = yaml.load(path)
        units = {
            "scjg": {"name": "区市场监管局", "kind": "行政机关"},
            **{
                f"bm{letter.lower()}": {"name": f"行业主管{letter}局", "kind": "行政机关", "industries": [letter]}
                for letter in _INDUSTRIES
            },
        }
        streets = departments - len(units)
        units |= {f"jd{n:03d}": {"name": f"第{n:03d}街道办事处", "kind": "街道办"} for n in range(streets)}
        for code, unit in units.items():
            unit |= {"mailbox": f"{code}@licheng.example", "head": f"{code}.head@licheng.example"}
        district |= {
            "departments": units,
            "areas": [{"area": f"370112{n:03d}", "to": f"jd{n:03d}"} for n in range(streets)],
            "default_desk": "scjg",
            "regulator": "scjg",
            "supervisors": [],
            "accounts": {},
            "escalation": [{"stage": "T-15", "copy": "head"}],
        }
        district["mail"] |= {"connections": lines, "approval_threshold": None}
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(district, file)

        random = np.random.default_rng(SEED)
        moment = there.clock()

        def write(table: str, source: str, keys: Any, columns: dict[str, Any]) -> None:
            with there.ledger.begin() as session:
                commit = Commit(kind="check", name=source, as_of=DAY, opened_at=moment, closed_at=moment)
                session.add(commit)
                session.flush()
                seq = commit.seq
            n = len(keys)
            made = {
                "natural_key": keys, "observed_on": [DAY] * n, "seq": np.full(n, seq), "source": [source] * n,
                "removed": np.zeros(n, bool), "row_hash": [""] * n, **columns,
            }  # fmt: skip
            schema = pa.schema([each.with_nullable(True) for each in arrow_schema(TABLES[table])])
            arrays = [
                pa.array(made[each.name]).cast(each.type) if each.name in made else pa.nulls(n, each.type)
                for each in schema
            ]
            file = there.lake.data_file(table, seq)
            pq.write_table(pa.table(arrays, schema=schema), file)
            there.lake.commit(table, [file], seq)

        kinds = random.choice(3, subjects, p=[0.36, 0.015, 0.625])
        heads = np.array(["91", "93", "92"])[kinds]
        codes = pa.array(credit_codes(np.char.add(heads, "370112").astype("S8"), np.arange(subjects)))
        text = codes.to_pylist()
        names = [f"历城样例{n}{'有限公司' if n % 3 else '经营部'}" for n in range(subjects)]
        write("filing_status", "check", [f"{code}\x1f2025" for code in text], {
            "uscc": codes, "name": names, "report_year": np.full(subjects, 2025), "status": ["DUE"] * subjects,
            "warn": np.ones(subjects, bool),
            "kind": np.array(["企业", "农民专业合作社", "个体工商户"])[kinds].tolist(),
            "area_code": [f"370112{n:03d}" for n in random.integers(0, streets, subjects)],
            "industry": [_INDUSTRIES[n] for n in random.integers(0, len(_INDUSTRIES), subjects)],
            "clause": ["二（一）3"] * subjects, "rule": ["annual.due"] * subjects,
        })  # fmt: skip
        filed = np.flatnonzero(random.random(subjects) < 0.8)
        write("annual_report", "annual_reports", [f"{text[n]}\x1f2024" for n in filed], {
            "uscc": [text[n] for n in filed], "report_year": np.full(len(filed), 2024),
            "submitted_at": pa.array([datetime.fromisoformat("2025-05-01T10:00:00+08:00")] * len(filed)),
        })  # fmt: skip
        matters = max(1, subjects // 50)
        numbers = [f"LC-2026-{n:05d}" for n in range(matters)]
        write("matter", "matters", numbers, {"matter_id": numbers, "state": ["待办"] * matters})
        who = random.integers(0, subjects, matters)
        write("applicant", "matters", [f"{number}\x1f1" for number in numbers], {
            "matter_id": numbers, "applicant_no": ["1"] * matters, "uscc": [text[n] for n in who],
        })  # fmt: skip
        with there.ledger.begin() as session:
            for source in district["sources"]:
                session.add(Harvest(source=source, as_of=DAY, state="published", contract_sha256="0" * 64,
                                    started_at=moment, finished_at=moment))  # fmt: skip
            session.add(CheckRun(district="370112", as_of=DAY, read_seq=1, policy="licheng-2020-2", engine="duckdb",
                                 policy_version="0", started_at=moment, finished_at=moment))  # fmt: skip
        return subjects, {}

    return run


def plan(folder: str) -> Work:
    """Plans the day: counts, lists, rendering, workbooks, and the commit into the outbox."""
    from sqlalchemy import func, select

    from chengxin.ledger.messages import Message
    from chengxin.warn import planning

    there = house(folder)
    _ = there.ledger.engine, there.lake

    def run() -> tuple[int, dict[str, Any]]:
        units = planning.plan(there, DAY)
        with there.ledger.begin() as session:
            count, size = session.execute(select(func.count(), func.sum(Message.size))).one()
        return count, {"departments": len(units), "bytes": int(size)}

    return run


def ours(folder: str, port: int) -> Work:
    """Sends all that waits: claim, hand over, record, each message for itself."""
    from chengxin.warn import sending

    there = house(folder, port)
    _ = there.ledger.engine

    def run() -> tuple[int, dict[str, Any]]:
        counts = sending.send(there, DAY, None)
        return counts["sent"], counts

    return run


def each(folder: str, port: int) -> Work:
    """Sends department by department, as the tasks of `warn_departments` do, without their processes."""
    from chengxin.ledger import outbox
    from chengxin.ledger.outbox import Scope
    from chengxin.warn import sending

    there = house(folder, port)
    with there.ledger.begin() as session:
        units = outbox.departments(session, Scope("370112", "sandbox", DAY), ("planned",))

    def run() -> tuple[int, dict[str, Any]]:
        return sum(sending.send(there, DAY, unit)["sent"] for unit in units), {}

    return run


def bare(folder: str, port: int) -> Work:
    """A loop of `smtplib.SMTP.sendmail` over one line, with the same bytes, which lie in memory."""
    from sqlalchemy import select

    from chengxin.ledger.messages import Message, MessageBody

    with house(folder).ledger.begin() as session:
        rows = session.execute(
            select(Message.recipient, MessageBody.content).join(MessageBody, MessageBody.message_id == Message.id)
        ).all()
    messages = [(recipient, content) for recipient, content in rows]

    def run() -> tuple[int, dict[str, Any]]:
        with smtplib.SMTP("127.0.0.1", port) as client:
            for recipient, content in messages:
                client.sendmail("credit-office@licheng.example", [recipient], content)
        return len(messages), {}

    return run
