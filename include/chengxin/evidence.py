"""Why an advice or a finding says what it says: back to the source record, file hash and row.

`explain` gathers what is needed to judge a conclusion without trusting this system: the facts, the rule and its
clause, the parameters and their dates, what the other reading says, the source's own record, and how to compute it
again (point in the ledger, snapshots, policy version).

Who sees what follows 四（三）: the department that holds the matter sees everything; anybody else, operators included,
sees codes masked and nothing that is private. A report that its subject has not consented to pass on is named without
content. Auditors see everything; but a repaired record is shown to nobody, and spoken of only to who asks for its
finding by id.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import ibis
import pyarrow.compute as pc
from sqlalchemy import select

from chengxin import conclusions, contracts, engine, identity, policy, readers
from chengxin.check import load_district
from chengxin.engine import Connection
from chengxin.errors import ChengxinError
from chengxin.ledger.models import CheckRun, Harvest, RawObject
from chengxin.policy import Policy
from chengxin.policy.loader import rules_of
from chengxin.settings import House
from chengxin.tables import TABLES

OPERATOR = "operator"
AUDITOR = "auditor"
HIDDEN = "***"
"""Stands for a value that the viewer may not see."""
SHORTEST = 4
"""Characters of an id that are enough to look for."""

_CODES = {"uscc", "agency_uscc", "handed_in_by"}
_IS_CODE = re.compile("[0-9A-Z]{18}")
_NO_CONSENT = "REPORT_NO_CONSENT"
_REPAIRED = "RECORD_REPAIRED"
_REASONS = ("reasons", "as_written_reasons", "guarded_reasons")


class UnknownIdError(ChengxinError):
    """No advice or finding has this id, or several begin with it."""

    cause = "unknown id"


@dataclass(frozen=True)
class Evidence:
    """The fact that a finding rests on, and where it came from."""

    table: str
    source: str
    key: str
    seq: int
    fields: Mapping[str, Any]
    """The fact as the lake keeps it."""
    raw_sha256: str | None
    raw_row: int | None
    raw: Mapping[str, str | None]
    """The source's own record: heading → text, mapped headings only."""
    raw_missing: str | None
    """Why the source's record cannot be shown; null: it is."""


@dataclass(frozen=True)
class Reason:
    """One finding, explained."""

    finding_id: str
    reading: str
    rule: str
    title: str | None
    """What the rule is called; null: the policy has changed since, and no longer has it."""
    clause: str
    effect: str | None
    reasons: Mapping[str, str]
    """Reason → its words."""
    flags: tuple[str, ...]
    until: date | None
    do: str | None
    """What the department should do."""
    parameters: Mapping[str, Any]
    """Parameter id → its value, from when it holds, and where that is written."""
    evidence: Evidence | None
    """Null: it rests on the absence of something."""


@dataclass(frozen=True)
class Explanation:
    """One advice with the findings asked for, and how to compute it again. `str()` is the text for a terminal."""

    viewer: str
    asked: str
    """The id that was asked for, in full."""
    advice: Mapping[str, Any]
    stands: bool
    """False: a later check has withdrawn it (the matter was closed, the applicant left it)."""
    observed_on: date
    """The day of the check that said so; unchanged since."""
    clauses: Mapping[str, str]
    """Clause cited → what it is about."""
    matter: Mapping[str, Any]
    applicant: Mapping[str, Any]
    subject: Mapping[str, Any]
    code_from_name: bool
    """The applicant's source gave no code: it was found by a name that one subject alone bears."""
    findings: tuple[Reason, ...]
    check: Mapping[str, Any]
    """`as_of, read_seq, snapshots, policy, policy_version, engine, sources` of the check."""
    same_policy: bool
    """The policy files of today are those of the check."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values: dates and instants as ISO text."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """Everything as JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, indent=2, default=_text)

    def __str__(self) -> str:
        from chengxin.evidence_text import render

        return render(self)


def explain(house: House, id_prefix: str, viewer: str = OPERATOR) -> Explanation:
    """Explains an advice, or one of its findings.

    Args:
        house: where everything is.
        id_prefix: an advice or finding id, or its first characters.
        viewer: code of a department, `auditor`, or `operator`.

    Raises:
        UnknownIdError: nothing has this id; the message names the nearest ones.
    """
    connection = house.engine()
    finding, advice_id, full = _find(house, connection, id_prefix.strip().lower())
    observed, stands = _last_said(house, connection, "advice", advice_id)
    check = _check_of(house, observed["seq"], observed["observed_on"])
    found = _findings_of(house, connection, advice_id, observed, only=finding)
    rules = policy.load(house.include_dir / "policy" / load_district(house).policy, load_district(house))
    open_to = _Eyes(viewer in (AUDITOR, observed["department"]), auditor=viewer == AUDITOR)
    matter = _fact(house, connection, "matter", check, matter_id=observed["matter_id"])
    applicant = _fact(
        house, connection, "applicant", check, matter_id=observed["matter_id"], applicant_no=observed["applicant_no"]
    )
    subject = _fact(house, connection, "subject", check, uscc=observed["uscc"]) if observed["uscc"] else {}
    content = {column.name: observed[column.name] for column in TABLES["advice"].columns}
    content |= {name: [code for code in content[name] or () if code != _REPAIRED] for name in _REASONS}
    return Explanation(
        viewer=viewer,
        asked=full,
        advice=open_to.fields("advice", content),
        stands=stands,
        observed_on=observed["observed_on"],
        clauses={name: rules.document.clauses.get(name, "") for name in observed["cites"] or ()},
        matter=open_to.fields("matter", matter),
        applicant=open_to.fields("applicant", applicant),
        subject=open_to.fields("subject", subject),
        code_from_name=bool(applicant) and applicant.get("uscc") is None and observed["uscc"] is not None,
        findings=tuple(_reason(house, connection, rules, row, open_to) for row in found),
        check=check,
        same_policy=rules.version == observed["policy_version"],
    )


@dataclass(frozen=True)
class _Eyes:
    """What a viewer may see."""

    all: bool
    auditor: bool = False

    def fields(self, table: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """The content of a fact or conclusion; empty fields are left out."""
        columns = {column.name: column for column in TABLES[table].columns}
        return {
            name: self.value(name, value, private=columns[name].private)
            for name, value in row.items()
            if name in columns and name != "name_key" and value is not None
        }

    def part(self, part: str) -> str:
        """A part of a natural key: some sources' keys hold the code."""
        return part if self.all or not _IS_CODE.fullmatch(part) else identity.mask(part)

    def value(self, field: str, value: Any, *, private: bool) -> Any:
        if self.all or value is None:
            return value
        if field in _CODES:
            return identity.mask(str(value))
        return HIDDEN if private else value


def _find(house: House, connection: Connection, prefix: str) -> tuple[str | None, str, str]:
    """The finding asked for (null: all of the advice), the advice, and the full id."""
    ids = [_ids(house, connection, name) for name in ("advice", "finding")]
    known = ibis.union(*ids, distinct=True)
    hits = (
        [] if len(prefix) < SHORTEST else connection.to_pyarrow(known.filter(known.id.startswith(prefix))).to_pylist()
    )
    if len(hits) == 1:
        hit = hits[0]
        return (hit["id"] if hit["table"] == "finding" else None), hit["advice_id"], hit["id"]
    if hits:
        raise UnknownIdError(
            f"{len(hits)} ids begin with {prefix!r}",
            where="chengxin explain",
            why=", ".join(sorted(hit["id"] for hit in hits)[:8]),
            remedy="give more of the id",
        )
    distance = known.id[: max(len(prefix), SHORTEST)].levenshtein(ibis.literal(prefix))
    near = connection.to_pyarrow(known.mutate(far=distance).order_by(["far", "id"]).limit(3))["id"].to_pylist()
    raise UnknownIdError(
        f"no advice and no finding begins with {prefix!r}",
        where="chengxin explain",
        why=f"the nearest: {', '.join(near)}" if near else "there are none yet",
        remedy=f"give at least {SHORTEST} characters of an id of a mail or work list"
        if near
        else f"run `{house.command} check` first",
    )


def _ids(house: House, connection: Connection, name: str) -> ibis.Table:
    rows = _of_district(house, engine.observations(connection, house.lake, name)).filter(~ibis._.removed)
    return rows.select(table=ibis.literal(name), id=rows[f"{name}_id"], advice_id=rows.advice_id).distinct()


def _of_district(house: House, rows: ibis.Table) -> ibis.Table:
    return rows.filter(
        rows.source == conclusions.SOURCE, rows.natural_key.startswith(house.district + conclusions.SEPARATOR)
    )


def _last_said(house: House, connection: Connection, name: str, row_id: str) -> tuple[dict[str, Any], bool]:
    """What was last said, and whether it still stands."""
    rows = _of_district(house, engine.observations(connection, house.lake, name))
    rows = rows.filter(rows[f"{name}_id"] == row_id).order_by([ibis.desc("observed_on"), ibis.desc("seq")])
    history = connection.to_pyarrow(rows).to_pylist()
    return next(row for row in history if not row["removed"]), not history[0]["removed"]


def _findings_of(
    house: House, connection: Connection, advice_id: str, advice: Mapping[str, Any], *, only: str | None
) -> list[dict[str, Any]]:
    """The findings that stood when the advice was last said, or the one that was asked for."""
    if only is not None:
        return [_last_said(house, connection, "finding", only)[0]]
    rows = engine.newest(connection, house.lake, "finding", date.max, sources=[conclusions.SOURCE])
    later = _of_district(house, rows).filter(rows.advice_id == advice_id, ~rows.removed)
    found = connection.to_pyarrow(later).to_pylist()
    if not found:
        # A withdrawn advice: its findings went with it, and are those that stood on its last day.
        then = engine.as_of(
            connection, house.lake, "finding", advice["observed_on"], seq=advice["seq"], source=conclusions.SOURCE
        )
        found = connection.to_pyarrow(_of_district(house, then).filter(then.advice_id == advice_id)).to_pylist()
    found = [row for row in found if _REPAIRED not in (row["reasons"] or ())]
    return sorted(found, key=lambda row: (row["rule"], row["reading"], row["evidence_key"] or "", row["finding_id"]))


def _check_of(house: House, seq: int, day: date) -> dict[str, Any]:
    """The check that wrote a row."""
    with house.ledger.begin() as session:
        run = session.scalar(select(CheckRun).where(CheckRun.seq == seq))
        if run is None:
            # It was killed before it could sign its work; the next check of the day read the same facts.
            run = session.scalar(
                select(CheckRun)
                .where(CheckRun.district == house.district, CheckRun.as_of >= day)
                .order_by(CheckRun.as_of, CheckRun.id)
            )
        if run is None:
            return {"as_of": day, "read_seq": seq}
        names = ("as_of", "read_seq", "snapshots", "policy", "policy_version", "engine", "sources", "started_at")
        return {"id": run.id, **{name: getattr(run, name) for name in names}}


def _fact(house: House, connection: Connection, name: str, check: Mapping[str, Any], **key: str) -> dict[str, Any]:
    """A fact as the check read it; empty where it is no longer kept."""
    rows = engine.as_of(connection, house.lake, name, check["as_of"], seq=check["read_seq"])
    for column, value in key.items():
        rows = rows.filter(rows[column] == value)
    hits = connection.to_pyarrow(rows.order_by([ibis.desc("observed_on"), "source"]).limit(1)).to_pylist()
    return hits[0] if hits else {}


def _reason(house: House, connection: Connection, rules: Policy, row: Mapping[str, Any], open_to: _Eyes) -> Reason:
    rule = rules_of(rules).get(row["rule"], (None, None))[1]
    titles = {about.rule: about.title for about in rules.lists.lists.values()}
    titles |= {about.rule: about.title for about in rules.lists.easings.values()}
    titles |= {name: about.title for name, about in rules.stale.rules.items()}
    return Reason(
        finding_id=row["finding_id"],
        reading=row["reading"],
        rule=row["rule"],
        title=rule.title if rule else titles.get(row["rule"]),
        clause=row["clause"],
        effect=row["effect"],
        reasons={name: rules.words.reasons.get(name, "") for name in row["reasons"] or ()},
        flags=tuple(row["flags"] or ()),
        until=row["until"],
        do=rule.do if rule else None,
        parameters=json.loads(row["parameters"] or "{}"),
        evidence=_evidence(house, connection, row, open_to) if row["evidence_table"] else None,
    )


def _evidence(house: House, connection: Connection, row: Mapping[str, Any], open_to: _Eyes) -> Evidence:
    name, source = row["evidence_table"], row["evidence_source"]
    repaired = _REPAIRED in (row["reasons"] or ())
    seen = engine.observations(connection, house.lake, name)
    seen = seen.filter(
        seen.source == source, seen.natural_key == row["evidence_key"], seen.seq == row["evidence_seq"], ~seen.removed
    )
    facts = connection.to_pyarrow(seen.limit(1)).to_pylist()
    raw: Mapping[str, str | None] = {}
    missing: str | None = "repaired: no longer shown"
    fields = {} if repaired else open_to.fields(name, facts[0]) if facts else {}
    # Handed in for the matter itself it was shown to the department by the applicant.
    withheld = _NO_CONSENT in (row["reasons"] or ()) and not open_to.auditor and not fields.get("matter_id")
    if withheld:
        fields, missing = {}, "no consent: not shown"
    elif not repaired:
        raw, missing = _raw(house, source, row["evidence_sha256"], row["evidence_row"], open_to)
    return Evidence(
        table=name,
        source=source,
        key=" / ".join(open_to.part(part) for part in row["evidence_key"].split(conclusions.SEPARATOR)),
        seq=row["evidence_seq"],
        fields=fields,
        raw_sha256=row["evidence_sha256"],
        raw_row=row["evidence_row"],
        raw=raw,
        raw_missing=missing,
    )


def _raw(
    house: House, source: str, sha256: str | None, place: int | None, open_to: _Eyes
) -> tuple[dict[str, str | None], str | None]:
    """The source's record as it was sent, mapped headings only, or why it cannot be shown."""
    if sha256 is None or place is None:
        return {}, "the fact names no raw file"
    with house.ledger.begin() as session:
        raw_object = session.scalar(
            select(RawObject)
            .join(Harvest, Harvest.id == RawObject.harvest_id)
            .where(RawObject.sha256 == sha256, Harvest.source == source)
            .order_by(RawObject.id.desc())
        )
        if raw_object is None:
            return {}, "the ledger knows no such raw file of this source"
        session.expunge(raw_object)
    try:
        contract = contracts.load(house.include_dir / "sources" / f"{source}.yml")
        for batch in readers.batches(house, contract, raw_object):
            hits = batch.filter(pc.equal(batch["raw_row"], place)).to_pylist()
            if hits:
                fields = {column.name: column for column in TABLES[contract.table].columns}
                return {
                    heading: open_to.value(column.to, hits[0][heading], private=fields[column.to].private)
                    for heading, column in contract.columns.items()
                    if heading in hits[0]
                }, None
    except ChengxinError as error:
        return {}, error.what
    return {}, f"the raw file has no row {place}"


def _text(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
