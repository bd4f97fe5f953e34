"""Cases as relations: what the compiled policy reads. Flattening only; nothing here judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from chengxin import identity
from chengxin.policy.casefiles import Given, as_bool, as_date, as_int, as_text, items
from chengxin.policy.facts import Facts

APPLICANTS = {
    "applicant_id": "string", "test_date": "date", "type": "string", "procurement_form": "string",
    "fund_kind": "string", "land_method": "string", "is_construction": "boolean", "field": "string", "uscc": "string",
    "subject_kind": "string",
}  # fmt: skip
REPORTS = {
    "applicant_id": "string", "evidence_id": "string", "source": "string", "uscc": "string", "agency_filed": "boolean",
    "consent_active": "boolean", "issue_date": "date", "valid_to": "date", "scale": "string", "grade": "string",
    "position": "int64",
}  # fmt: skip
RECORDS = {
    "applicant_id": "string", "evidence_id": "string", "source": "string", "uscc": "string", "identified_on": "date",
    "rectified_confirmed_on": "date", "repaired_on": "date", "in_report": "boolean",
}  # fmt: skip
ENTRIES = {
    "applicant_id": "string", "evidence_id": "string", "source": "string", "list": "string", "uscc": "string",
    "listed_on": "date", "removed_on": "date", "expires_on": "date",
}  # fmt: skip
ANNUAL = {
    "case": "string", "state": "string", "established": "date", "deregistered_on": "date", "revoked_on": "date",
    "report_year": "int32", "as_of": "date", "submitted_at": "date", "correction_at": "date",
}  # fmt: skip
USES = {
    "case": "string", "as_of": "date", "item": "string", "public": "boolean", "recipient": "string",
    "use_matter_id": "string", "consent_live": "boolean", "consent_matter_id": "string", "consent_recipient": "string",
}  # fmt: skip
REQUESTS = {
    "case": "string", "as_of": "date", "identity_proven": "boolean", "own": "boolean", "public": "boolean",
    "consent_live": "boolean",
}  # fmt: skip

_READ: Mapping[str, Callable[[Any], Any]] = {
    "string": as_text,
    "date": as_date,
    "boolean": as_bool,
    "int32": as_int,
    "int64": as_int,
}


_WITHDRAWN = ("withdrawn", "revoked", "expired", "已撤回", "撤回", "已失效")


class _Coded(NamedTuple):
    """A raw code, to be normalised with all the others."""

    raw: Any


def matters(cases: Mapping[str, Given]) -> Facts:
    """The facts of matter cases, by case key, each fact table as a source of its own name."""
    applicants: list[dict[str, Any]] = []
    reports: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for key, case in cases.items():
        facts = case.facts
        subject, matter = _mapping(facts.get("subject")), facts.get("matter")
        matter = {"type": matter} if isinstance(matter, str) else _mapping(matter)
        applicants.append(
            {
                **_row(APPLICANTS, matter),
                "applicant_id": key,
                "test_date": case.as_of,
                "type": matter.get("type") if isinstance(matter.get("type"), str) else None,
                "uscc": _Coded(subject.get("uscc")),
                "subject_kind": as_text(subject.get("kind")),
            }
        )
        given = (
            (REPORTS, "reports", "credit_report", reports),
            (RECORDS, "records", "credit_record", records),
            (ENTRIES, "lists", "list_entry", entries),
        )
        for schema, name, source, rows in given:
            for place, item in enumerate(items(facts.get(name))):
                rows.append(
                    {
                        **_row(schema, item),
                        "applicant_id": key,
                        "evidence_id": f"{key}/{name}/{place}",
                        "source": source,
                        "uscc": _Coded(item.get("subject_uscc")),
                        **({"position": place} if name == "reports" else {}),
                    }
                )
    _normalise([applicants, reports, records, entries])
    for report in reports:
        report["agency_filed"] = bool(report["agency_filed"])
        report["consent_active"] = bool(report["consent_active"])
    return Facts(
        relation(applicants, APPLICANTS),
        relation(reports, REPORTS),
        relation(records, RECORDS),
        relation(entries, ENTRIES),
    )


def annual(cases: Mapping[str, Given]) -> ir.Table:
    """The subjects of annual-report cases."""
    rows = []
    for key, case in cases.items():
        row = {**_row(ANNUAL, case.facts), "case": key, "as_of": case.as_of}
        year = row["report_year"]
        row["report_year"] = year if year is not None and 1 <= year < 9999 else None
        rows.append(row)
    return relation(rows, ANNUAL)


def sharing(cases: Mapping[str, Given]) -> ir.Table:
    """The uses of sharing cases. Of several consents the one that fits is read, else a live one, else none."""
    rows = []
    for key, case in cases.items():
        facts = case.facts
        use = as_text(facts.get("use_matter_id"))
        recipient = as_text(facts.get("to_org"))
        consent = _consent(facts.get("consent"), case.as_of, use, recipient)
        rows.append(
            {
                "case": key,
                "as_of": case.as_of,
                "item": as_text(facts.get("item")),
                "public": as_bool(facts.get("public")),
                "recipient": recipient,
                "use_matter_id": use,
                **consent,
            }
        )
    return relation(rows, USES)


def access(cases: Mapping[str, Given]) -> ir.Table:
    """The requests of access cases."""
    return relation(
        [{**_row(REQUESTS, case.facts), "case": key, "as_of": case.as_of} for key, case in cases.items()], REQUESTS
    )


def codes(cases: Mapping[str, Given]) -> pd.DataFrame:
    """`normalized, valid, reason` of identity cases, by case key."""
    raw = [_raw_text(case.facts.get("raw")) for case in cases.values()]
    checked = identity.check(pd.Series(raw, dtype="string"))
    return checked.set_axis(list(cases), axis="index")


def relation(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, str]) -> ir.Table:
    """Rows as a constant relation."""
    columns = {name: [row.get(name) for row in rows] for name in schema}
    return ibis.memtable(pa.table(columns, schema=ibis.schema(dict(schema)).to_pyarrow()))


def _row(schema: Mapping[str, str], item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _READ[kind](item.get(name)) for name, kind in schema.items()}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _normalise(tables: Sequence[list[dict[str, Any]]]) -> None:
    rows = [row for table in tables for row in table]
    raw = [_raw_text(row["uscc"].raw) for row in rows]
    checked = identity.check(pd.Series(raw, dtype="string"))
    normalized = [value if isinstance(value, str) else None for value in checked["normalized"].tolist()]
    for row, code in zip(rows, normalized, strict=True):
        row["uscc"] = code


def _raw_text(value: Any) -> str | None:
    return None if value is None or isinstance(value, bool | dict | list) else str(value)


def _consent(value: Any, day: date | None, use: str | None, recipient: str | None) -> dict[str, Any]:
    consents = [_one_consent(item, day) for item in items(value)]
    if not consents and value and not isinstance(value, list | dict):
        consents = [_one_consent({}, day)]

    def fits(consent: Mapping[str, Any]) -> tuple[bool, bool, bool]:
        same = use is not None and consent["consent_matter_id"] == use
        right = recipient is None or consent["consent_recipient"] in (None, recipient)
        return consent["consent_live"], same and right, same

    return max(consents, key=fits, default=dict.fromkeys(("consent_live", "consent_matter_id", "consent_recipient")))


def _one_consent(item: Mapping[str, Any], day: date | None) -> dict[str, Any]:
    live = not any(as_bool(item.get(name)) is False for name in ("active", "live", "consent_active", "valid"))
    live = live and str(item.get("status") or item.get("state")) not in _WITHDRAWN
    for name in ("withdrawn", "withdrawn_on", "withdrawn_at", "revoked", "revoked_on", "revoked_at"):
        value = item.get(name)
        if value is not None and as_bool(value) is not False:
            # What is not known to lie in the future has happened.
            withdrawn = as_date(value)
            live = live and withdrawn is not None and day is not None and withdrawn > day
    given = as_date(item.get("given_on"))
    live = live and (given is None or day is None or given <= day)
    expires = as_date(item.get("expires_on") or item.get("valid_to"))
    live = live and (expires is None or day is None or day <= expires)
    recipient = next((item[name] for name in ("recipient", "to_org", "to") if item.get(name)), None)
    return {
        "consent_live": live,
        "consent_matter_id": as_text(item.get("matter_id")),
        "consent_recipient": as_text(recipient),
    }
