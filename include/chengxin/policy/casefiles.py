"""Case files: JSON as exchanged (`kind`, `as_of`, `facts`, `expected`), and the policy's own YAML cases.

Values of cases come from people: dates as text, numbers as text, keys left out. Everything here is lenient with values
and strict with the file: what is no list of cases is a `ConfigError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from chengxin import yamlfile
from chengxin.clock import BEIJING
from chengxin.errors import ConfigError
from chengxin.policy import model
from chengxin.policy.model import Case

DEFAULT_CODE = "91370112XXXX00019N"
"""The made-up subject of YAML cases that name none."""

READINGS = ("as_written", "guarded")


@dataclass(frozen=True)
class Given:
    """One case to run.

    Attributes:
        file: where it stands.
        expected: reading → key → value.
        rules: rule id → whether it is met (YAML cases).
        config: the file's own settings.
        stale: fact table → age in days of its source, where that is too old (YAML cases).
    """

    file: str
    id: str
    title: str
    kind: str
    as_of: date | None
    facts: Mapping[str, Any]
    expected: Mapping[str, Mapping[str, Any]]
    rules: Mapping[str, bool]
    config: Mapping[str, Any]
    stale: Mapping[str, int | None] = field(default_factory=dict)


def read(path: Path) -> list[Given]:
    """The cases of a file: `.yml` in the policy's form, anything else as JSON.

    Raises:
        ConfigError: no such file, not JSON, or no list of cases.
    """
    if path.suffix in (".yml", ".yaml"):
        content = yamlfile.read(path)
        if isinstance(content, dict) and "kind" in content:
            return [from_policy(case, path.name) for case in yamlfile.load(path, model.Matter).cases]
        return [from_policy(case, path.name) for case in yamlfile.load(path, model.Cases).cases]
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path)) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(
            "not JSON", where=str(path), why=str(error), remedy="write the cases as JSON or YAML"
        ) from None
    cases = content.get("cases") if isinstance(content, dict) else content
    config = content.get("config") if isinstance(content, dict) else None
    if not isinstance(cases, list):
        raise ConfigError(
            "no list of cases",
            where=str(path),
            why=f"`cases` is {type(cases).__name__}",
            remedy='write {"cases": [...]}',
        )
    for place, case in enumerate(cases):
        if not isinstance(case, dict) or not isinstance(case.get("facts"), dict):
            raise ConfigError(
                "a case without facts", where=f"{path}, cases[{place}]", remedy="each case is an object with `facts`"
            )
    return [_from_json(case, path.name, place, _mapping(config)) for place, case in enumerate(cases)]


def _from_json(case: Mapping[str, Any], file: str, place: int, config: Mapping[str, Any]) -> Given:
    facts = case["facts"]
    expected = _mapping(case.get("expected"))
    readings = {name: expected[name] for name in READINGS if isinstance(expected.get(name), dict)}
    return Given(
        file=file,
        id=str(case.get("id", place)),
        title=str(case.get("title", "")),
        kind=str(case.get("kind")),
        as_of=as_date(case["as_of"] if case.get("as_of") is not None else facts.get("as_of")),
        facts=facts,
        expected=readings or ({"as_written": expected} if expected else {}),
        rules={},
        config=config,
    )


def from_policy(case: Case, file: str) -> Given:
    """A YAML case with everything it leaves out.

    A matter case needs to say only what matters: the subject is an enterprise with a code of its own, one report is
    usable on the day, records are the subject's and stand in the report, list entries carry its code. What is written
    as null stays null.
    """
    facts = dict(case.facts)
    if case.kind == "matter":
        subject = facts.get("subject", {})
        facts["subject"] = {
            "uscc": DEFAULT_CODE,
            "kind": "企业",
            **(subject if isinstance(subject, dict) else {"kind": subject}),
        }
        code = facts["subject"]["uscc"]
        day = case.as_of.isoformat() if case.as_of else None
        usable = {
            "subject_uscc": code, "agency_filed": True, "consent_active": True,
            "issue_date": day, "valid_to": day, "grade": "A",
        }  # fmt: skip
        facts["reports"] = [{**usable, **report} for report in facts.get("reports", [{}])]
        facts["records"] = [{"subject_uscc": code, "in_report": True, **record} for record in facts.get("records", [])]
        facts["lists"] = [{"subject_uscc": code, **entry} for entry in facts.get("lists", [])]
    expected = {"as_written": dict(case.expected)}
    if case.guarded is not None:
        expected["guarded"] = dict(case.guarded)
    return Given(file, case.id, case.title, case.kind, case.as_of, facts, expected, case.rules, {}, case.stale)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; a lone object is a list of one; anything else is left out."""
    values: Iterable[Any] = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, dict)]


def as_text(value: Any) -> str | None:
    """Text without outer blanks; nothing left: null."""
    if value is None or isinstance(value, bool | dict | list):
        return None
    return str(value).strip() or None


def as_bool(value: Any) -> bool | None:
    """True or false, also as a word or number; anything else: null."""
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "是": True, "false": False, "0": False, "否": False}.get(
        str(value).strip().lower()
    )


def as_int(value: Any) -> int | None:
    """A whole number, also as text."""
    try:
        return None if isinstance(value, bool) else int(str(value).strip())
    except ValueError:
        return None


def as_date(value: Any) -> date | None:
    """A Beijing date from a date or an instant; an instant without a zone is Beijing time; unreadable: null."""
    if isinstance(value, datetime):
        return (value.astimezone(BEIJING) if value.tzinfo else value).date()
    if isinstance(value, date):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = re.sub(r"[年月/.](?=\d{1,2}(\D|$))", "-", str(value).strip()).replace("日", "")
    text = re.sub(r"^(\d{4})-(\d{1,2})-(\d{1,2})", lambda m: f"{m[1]}-{int(m[2]):02}-{int(m[3]):02}", text)
    zone: ZoneInfo | None = None
    named = re.search(r"\s*\[?\b(UTC|GMT|[A-Z][A-Za-z]+/[A-Za-z_]+)\]?$", text)
    if named:
        text = text[: named.start()]
        try:
            zone = ZoneInfo(named[1])
        except (KeyError, ValueError):
            return None
    midnight = re.match(r"^(\d{4}-\d{2}-\d{2})([T ])24:00", text)
    try:
        if midnight:
            text = f"{midnight[1]}{midnight[2]}00:00{text[midnight.end() :]}"
        instant = datetime.fromisoformat(text)
        if midnight:
            instant += timedelta(days=1)
        if instant.tzinfo is None and zone is not None:
            instant = instant.replace(tzinfo=zone)
        return (instant.astimezone(BEIJING) if instant.tzinfo else instant).date()
    except (ValueError, OverflowError):
        return None
