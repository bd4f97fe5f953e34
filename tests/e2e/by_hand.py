"""The day without Airflow: the stages called one after another, on embedded defaults (SQLite, a folder).

What any other way to run a day is compared with.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from chengxin import check, connections, districts, harvest, warn
from chengxin.sandbox.services import Sandbox
from chengxin.settings import House
from chengxin.summary import Summary, summarise

from .days import AS_OF, DISTRICT, ROOT

WORKBOOK = "credit_agencies"


@dataclass
class ByHand:
    """A day that was played by hand; the sandbox is gone."""

    house: House
    summary: Summary
    mails: list[EmailMessage]


def play(folder: Path, *, subjects: int, seed: int, sources: Sequence[str] | None = None, **settings: Any) -> ByHand:
    """Harvests, checks and warns, in a world of its own.

    Args:
        folder: for the house (`var`) and the sandbox.
        subjects: of the sandbox, as `seed`.
        seed: of the sandbox.
        sources: what to harvest; None: all of the district.
        settings: more of the house, e.g. `ledger_url`.
    """
    key = json.dumps({"conn_type": "generic", "password": secrets.token_urlsafe(32)})
    with Sandbox(folder / "sandbox", seed=seed, subjects=subjects, day=AS_OF) as sandbox:
        known = {**sandbox.environment(), "AIRFLOW_CONN_CHENGXIN_LINK_KEY": key}
        house = House(
            root=ROOT,
            var=folder / "var",
            district=DISTRICT,
            mode="sandbox",
            connections=lambda name: connections.from_environment(name, known),
            answers_url="http://127.0.0.1:8080/answers",
            threads=2,
            **settings,
        )
        for source in sources or districts.load(house.include_dir / f"districts/{DISTRICT}.yml").sources:
            harvest.run(house, source, AS_OF)
        check.run(house, AS_OF)
        for department in warn.plan(house, AS_OF):
            warn.send(house, AS_OF, department)
        warn.report(house, AS_OF)
        return ByHand(house, summarise(house, AS_OF, {}), sandbox.messages())


def canonical(house: House, table: str) -> list[str]:
    """A table's rows in one order, without the numbers of commits and harvests, and without a finding's hash, which
    covers one.

    And without the hash and size of the one raw file that is a workbook: it holds the moment at which the sandbox wrote
    it. So is the hash of that harvest's sum.
    """
    aside = {"seq", "evidence_seq", "harvest_id"} | ({"row_hash"} if table == "finding" else set())
    hashes = {"raw_sha256": "source", "evidence_sha256": "evidence_source"}
    if table == "harvest_sum":
        hashes |= dict.fromkeys(("raw_digest", "raw_bytes", "row_hash"), "source")
    return sorted(
        repr(
            sorted(
                (name, value)
                for name, value in row.items()
                if name not in aside and row.get(hashes.get(name, "")) != WORKBOOK
            )
        )
        for row in house.lake.rows(table)
    )


def letters(mails: list[EmailMessage], *, links: bool = False) -> list[tuple[str, str, str]]:
    """To whom, what about, what it says, of every mail to a department, sorted.

    The operators' report names heads and seconds, which no two days share; the address of the answering page is each
    Airflow's own.

    Args:
        mails: as they were caught.
        links: whether links to the answering page stay in.
    """
    operators = set(districts.load(ROOT / f"include/districts/{DISTRICT}.yml").mail.operators)
    found = []
    for mail in mails:
        if mail["Delivered-To"] not in operators:
            parts = [part for part in mail.walk() if part.get_content_maintype() == "text" and not part.is_attachment()]
            text = "\n".join(part.get_content() for part in parts)
            link = re.compile(r"http://127\.0\.0\.1:\d+/answers/[\w-]+")
            found.append((str(mail["Delivered-To"]), str(mail["Subject"]), text if links else link.sub("…", text)))
    return sorted(found)
