"""The trial on real public data: the same code, on real input (`make trial DATA=…`).

(a) The enterprises of the district go through the registry harvest, with made-up filings, and their annual-report
    status is judged.
(b) Real tender notices become pending 建设工程招投标 matters. Their bidders, resolved by exact name where that is
    unique, are checked against a real bad-behaviour list and real grades, as of each notice's publication date.

(c) The traps that the data's description states are looked for in what the contracts made of the files, and counted.

Every row of every file is brought to one outcome, and the sums are held. What is printed and kept are numbers only:
no name and no code of a real enterprise leaves the run folder.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal

import ibis
from rich.console import Console
from rich.table import Table

from chengxin import check, connections, districts, engine, harvest, identity, trial_traps
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.errors import ConfigError, SumError
from chengxin.ledger.models import Harvest
from chengxin.settings import House

REGISTER_DAY = date(2026, 6, 15)
"""Fifteen days before the deadline: filings are still open."""
TENDER_DAY = date(2026, 8, 17)
"""The last publication date among the notices."""
FILES = {
    "trial_registry": "enterprise_shandong.csv",
    "trial_road_builders": "credit_rating_highway_national.csv",
    "trial_known_bidders": "tender_candidates_yichang.csv",
    "trial_tenders": "tender_candidates_yichang.csv",
    "trial_bidders": "tender_candidates_yichang.csv",
    "trial_bad_behaviour": "yichang_bad_behaviour.csv",
    "trial_grades": "yichang_credit_latest.csv",
}
COUNTS = ("harvested", "published", "unchanged", "rejected", "ignored")

# The platform that published the grades, as an agency: an assumption, and a made-up code.
AGENCY_BODY = "91420500XXXX06001"


@dataclass(frozen=True)
class Line:
    """One file through one contract: rows in the file, and what became of each."""

    file: str
    source: str
    rows: int
    counts: Mapping[str, int]
    ignored: Mapping[str, int]
    rejected: Mapping[str, int]


def run(house: House, data: Path, console: Console) -> dict[str, Any]:
    """Runs both parts and prints the reconciliation.

    Args:
        house: where to work: everything lies under `<var>/trial`, made anew.
        data: folder with the public files (`*.csv.gz`).
        console: where the tables are printed.

    Returns:
        The numbers that were printed; also written to `<var>/trial/summary.json`.

    Raises:
        ConfigError: the folder or one of its files is missing.
        SumError: a row of a file reached no outcome, or two; or a trap was counted otherwise than it is stated.
    """
    files = {"enterprise_licheng.csv", *FILES.values(), *trial_traps.OWN.values()}
    missing = [name for name in files if not (data / f"{name}.gz").is_file()]
    if missing:
        raise ConfigError(
            f"not in the data folder: {', '.join(sorted({f'{name}.gz' for name in missing}))}",
            where=str(data),
            remedy="make trial DATA=<folder with the public files>",
        )
    var = house.var / "trial"
    shutil.rmtree(var, ignore_errors=True)
    register = _register(replace(house, var=var / "register"), data)
    tenders = _tenders(replace(house, var=var / "tenders"), data)
    traps = _traps(replace(house, var=var / "traps"), replace(house, var=var / "tenders"), data)
    for part in (register, tenders, traps):
        _hold_sums(part["lines"])
    _print(console, register, tenders, traps)
    summary = {
        name: {**part, "lines": [vars(line) for line in part["lines"]]}
        for name, part in (("register", register), ("tenders", tenders))
    }
    summary["traps"] = {
        "lines": [vars(line) for line in traps["lines"]],
        "found": [vars(found) for found in traps["found"]],
    }
    (var / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=2, default=dict), "utf-8")
    _hold_traps(traps["found"])
    return summary


def _register(house: House, data: Path) -> dict[str, Any]:
    """Part (a): the district's enterprises through the sandbox's portal, as the registry would serve them."""
    from chengxin.sandbox.services import Sandbox

    file = data / "enterprise_licheng.csv.gz"
    with Sandbox(house.var / "sandbox", seed=1, day=REGISTER_DAY, registry=file) as sandbox:
        environment = sandbox.environment()
        house = replace(
            house,
            mode="rehearsal",
            clock=lambda: datetime.combine(REGISTER_DAY, time(8), BEIJING),
            connections=lambda conn_id: connections.from_environment(conn_id, environment),
        )
        lines = [
            _line(
                file.name.removesuffix(".gz"), _rows(file), harvest.run(house, "subject_registry", REGISTER_DAY), house
            )
        ]
        filings = harvest.run(house, "annual_reports", REGISTER_DAY)
        counts = check.run(house, REGISTER_DAY)
    return {"lines": lines, "filings": {name: filings[name] for name in COUNTS}, "filing": counts["filing"]}


def _tenders(house: House, data: Path) -> dict[str, Any]:
    """Part (b): notices, bidders, bad behaviour and grades, each by a contract of its own."""
    drop = house.var / "drop"
    drop.mkdir(parents=True)
    for name in set(FILES.values()):
        with gzip.open(data / f"{name}.gz") as packed, (drop / name).open("wb") as file:
            shutil.copyfileobj(packed, file)
    include = house.var / "include"
    shutil.copytree(house.include_dir / "policy", include / "policy")
    shutil.copytree(house.include_dir / "mail", include / "mail")
    shutil.copytree(house.include_dir / "trial", include, dirs_exist_ok=True)
    folder = Connection("trial_drop", "fs", extra={"path": str(drop)})
    house = replace(
        house,
        include=include,
        district=districts.load(include / "districts/420500.yml").code,
        mode="rehearsal",
        clock=lambda: datetime.combine(TENDER_DAY, time(8), BEIJING),
        connections=lambda _: folder,
    )
    lines = [
        _line(file, _rows(drop / file), harvest.run(house, source, TENDER_DAY), house) for source, file in FILES.items()
    ]
    _assume(house, drop)
    for source in ("trial_agencies", "trial_consents"):
        harvest.run(house, source, TENDER_DAY)
    counts = check.run(house, TENDER_DAY)
    return {"lines": lines, "advice": counts["advice"], "bidders": _bidders(house), "reasons": _reasons(house)}


def _traps(house: House, tenders: House, data: Path) -> dict[str, Any]:
    """Part (c): the files that no other part reads, and the traps of all of them."""
    house, runs = trial_traps.harvest_own(house, data, REGISTER_DAY)
    lines = [_line(file, _rows(data / f"{file}.gz"), runs[source], house) for source, file in trial_traps.OWN.items()]
    tenders = replace(tenders, include=tenders.var / "include")
    return {
        "lines": lines,
        "found": trial_traps.count(
            {
                **dict.fromkeys(trial_traps.OWN, (house, REGISTER_DAY)),
                **dict.fromkeys(FILES, (tenders, TENDER_DAY)),
            }
        ),
    }


def _assume(house: House, drop: Path) -> None:
    """Writes the trial's two assumptions as files, so that they come in the way every fact does."""
    agency = identity.complete([AGENCY_BODY])[0]
    _write(drop / "assumed_agencies.csv", ["uscc", "name", "filed_on"], [[agency, "试运行平台", "2020-01-01"]])
    connection = house.engine()
    subjects = engine.as_of(connection, house.lake, "subject", TENDER_DAY)
    codes = sorted(subjects.select("uscc").distinct().execute().uscc)
    _write(
        drop / "assumed_consents.csv",
        ["consent_id", "uscc", "item", "recipient", "given_on"],
        ([f"T{number}", code, "信用报告", "zjj", "2020-01-01"] for number, code in enumerate(codes)),
    )


def _bidders(house: House) -> dict[str, int]:
    """How each bidder came to its code."""
    connection = house.engine()
    applicants = engine.as_of(connection, house.lake, "applicant", TENDER_DAY)
    advice = engine.as_of(connection, house.lake, "advice", TENDER_DAY).select(
        "matter_id", "applicant_no", found=lambda rows: rows.uscc
    )
    joined = applicants.left_join(advice, ["matter_id", "applicant_no"])
    kind = ibis.cases(
        (joined.uscc.notnull(), "code given"),
        (joined.found.notnull(), "resolved by unique exact name"),
        else_="name only",
    )
    counts = joined.group_by(kind=kind).agg(n=joined.count()).execute()
    return {str(name): int(n) for name, n in sorted(zip(counts.kind, counts.n, strict=True))}


def _reasons(house: House) -> dict[str, int]:
    """Bidders by outcome and reasons."""
    connection = house.engine()
    advice = engine.as_of(connection, house.lake, "advice", TENDER_DAY)
    labelled = advice.select(label=advice.decision + " " + advice.reasons.join(", "))
    counts = labelled.group_by("label").agg(n=labelled.count()).order_by(ibis.desc("n")).execute()
    return {str(label).strip(): int(n) for label, n in zip(counts.label, counts.n, strict=True)}


def _line(file: str, rows: int, run: Mapping[str, Any], house: House) -> Line:
    with house.ledger.begin() as session:
        detail = session.get_one(Harvest, run["harvest_id"]).detail
    return Line(
        file=file,
        source=run["source"],
        rows=rows,
        counts={name: run[name] for name in COUNTS},
        ignored=detail.get("ignored", {}),
        rejected=detail.get("rejected", {}),
    )


def _rows(path: Path) -> int:
    """Records of a CSV file, packed or not: counted apart from the product's own readers."""
    opened = (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="")
    with opened as file:
        return sum(1 for _ in csv.reader(file)) - 1


def _write(path: Path, header: list[str], rows: Iterable[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _hold_sums(lines: Iterable[Line]) -> None:
    for line in lines:
        outcomes = sum(line.counts[name] for name in COUNTS[1:])
        if not line.rows == line.counts["harvested"] == outcomes:
            raise SumError(
                f"{line.rows} rows in the file, {line.counts['harvested']} harvested, {outcomes} with an outcome",
                where=f"{line.file} through the contract {line.source}",
                remedy="a defect of ours: see the harvest's row in the ledger",
            )


def _hold_traps(traps: Iterable[trial_traps.Found]) -> None:
    otherwise = [found for found in traps if found.stated not in (None, found.found)]
    if otherwise:
        raise SumError(
            f"{len(otherwise)} traps counted otherwise than the data's description states",
            where="; ".join(f"{one.source}, {one.what}: {one.found:,} for {one.stated:,}" for one in otherwise),
            remedy="another release of the data, or a defect of the contract: compare the rows with the description",
        )


def _print(console: Console, register: Mapping[str, Any], tenders: Mapping[str, Any], traps: Mapping[str, Any]) -> None:
    table = Table(title="Every row of every file", caption="rows = published + unchanged + rejected + ignored")
    for heading in ("file", "contract", "rows", *COUNTS[1:], "why not"):
        justify: Literal["left", "right"] = "left" if heading in ("file", "contract", "why not") else "right"
        # A narrow terminal must not cut names and reasons off.
        table.add_column(heading, justify=justify, overflow="fold")
    for line in (*register["lines"], *tenders["lines"], *traps["lines"]):
        why = "; ".join(f"{reason} {n:,}" for reason, n in {**line.rejected, **line.ignored}.items())
        counts = [f"{line.counts[name]:,}" for name in COUNTS[1:]]
        table.add_row(line.file, line.source, f"{line.rows:,}", *counts, why)
    console.print(table)
    for title, numbers in (
        (f"(a) annual reports of the district's enterprises, made-up filings, {REGISTER_DAY}", register["filing"]),
        ("(b) bidders", tenders["bidders"]),
        ("(b) advice to bidders, as of each notice's publication", tenders["advice"]),
        ("(b) … with reasons", tenders["reasons"]),
    ):
        console.print(f"\n[bold]{title}[/]")
        table = Table(show_header=False)
        for name, n in numbers.items():
            table.add_row(str(name), f"{n:,}")
        table.add_row("total", f"{sum(numbers.values()):,}", style="bold")
        console.print(table)
    console.print("\n[bold](c) the traps that the data's description states[/]")
    table = Table("contract", "trap", "stated", "found")
    for found in traps["found"]:
        stated = "—" if found.stated is None else f"{found.stated:,}"
        table.add_row(found.source, found.what, stated, f"{found.found:,}")
    console.print(table)
    console.print(
        "Assumptions of (b): the platform that published the grades counts as a filed agency, and a published grade "
        "may be read. The grades are of one day, so notices before it find no grade in force."
    )
