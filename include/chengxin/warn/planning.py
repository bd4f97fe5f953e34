"""Plans a day's messages: renders each exactly as it would go out, and commits it with its key.

Planning again finds every key in place and adds nothing; a fact that changed makes a new key. Two mails per
department: its annual-report countdown at the stages of the calendar, and the advice that changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from chengxin import calendar
from chengxin.districts import District
from chengxin.ledger import outbox
from chengxin.ledger.messages import Message
from chengxin.ledger.models import Commit
from chengxin.ledger.outbox import ConcurrentPlanError, Draft, Item, Scope
from chengxin.settings import House
from chengxin.warn import advising, countdown
from chengxin.warn.countdown import Occasion
from chengxin.warn.due import Desk, Since, addressable, due
from chengxin.warn.guard import Ground, ground
from chengxin.warn.modes import Permit, permit
from chengxin.warn.news import changed
from chengxin.warn.render import Attachment, Envelope, Templates, Text, message
from chengxin.warn.words import Words, district_of
from chengxin.warn.words import load as load_words

_TRIES = 3


@dataclass
class Signals:
    """What planning noticed that operators should know."""

    unrouted_subjects: int = 0
    """Subjects due whose address fits no area route."""
    unrouted_advice: int = 0
    """Changed advice whose matter names no department of this district."""
    lists_withheld: bool = False
    """No list went out because its sources are too old or stopped."""


@dataclass
class Planned:
    """The messages of one day before they are committed."""

    drafts: list[Draft] = field(default_factory=list)
    signals: Signals = field(default_factory=Signals)
    mark: int = 0


def plan(house: House, as_of: date) -> list[str]:
    """Plans the messages of a day and commits them.

    Args:
        house: the house.
        as_of: the Beijing date that the messages speak for.

    Returns:
        Codes of the departments that have messages waiting, sorted: what `send` is to be called with.
    """
    district, may = district_of(house), permit(house, as_of)
    scope = Scope(district.code, may.mode, as_of, may.since)
    for attempt in range(1, _TRIES + 1):
        try:
            _commit(house, district, may, as_of, compose(house, as_of, district))
            break
        except ConcurrentPlanError:
            if attempt == _TRIES:
                raise
    with house.ledger.begin() as session:
        return outbox.departments(session, scope, ("planned", "sending"))


def _commit(house: House, district: District, may: Permit, as_of: date, planned: Planned) -> None:
    at = house.clock()
    with house.ledger.begin() as session:
        outbox.put(session, at, planned.drafts, expected=planned.mark)
        if may.sends and may.since is not None:
            outbox.supersede(session, at, Scope(district.code, may.mode, as_of), may.since)


def compose(house: House, as_of: date, district: District | None = None) -> Planned:
    """The messages of a day, finished, but not committed: what `plan` commits and a dry run writes as files."""
    district, may = district or district_of(house), permit(house, as_of)
    words, templates = load_words(house, district), Templates(house.include_dir / "mail")
    scope = Scope(district.code, may.mode, as_of, may.since)
    with house.ledger.begin() as session:
        mark = outbox.mark(session, district.code)
        told = outbox.told(session, scope)
        seq = int(session.scalar(select(func.max(Commit.seq)).where(Commit.closed_at.is_not(None))) or 0)
    day = _Day(house, district, may, as_of, words, templates, ground(house, district, as_of), seq, scope)
    planned = Planned(mark=mark)
    planned.drafts.extend(_annual_reports(day, planned.signals))
    planned.drafts.extend(_advice(day, told, planned.signals))
    return planned


def dry_run(house: House, as_of: date, folder: Path) -> list[Path]:
    """Writes the mails of a day as files, `<department>-<kind>-<role>.eml`, and commits nothing.

    Args:
        house: the house.
        as_of: the day.
        folder: where to; made if it does not exist.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for draft in compose(house, as_of).drafts:
        path = folder / f"{draft.department}-{draft.kind}-{draft.role}.eml"
        path.write_bytes(draft.content)
        written.append(path)
    return written


@dataclass(frozen=True)
class _Day:
    """Everything that the messages of one day are made from."""

    house: House
    district: District
    may: Permit
    as_of: date
    words: Words
    templates: Templates
    ground: Ground
    seq: int
    scope: Scope


def _annual_reports(day: _Day, signals: Signals) -> Iterator[Draft]:
    """The countdown of every desk, at the stage that is due and not said yet."""
    table = calendar.load_table(day.house.include_dir / "calendar.yml")
    stage = calendar.latest_due_stage(day.as_of, day.as_of.year, table)
    if stage is None:
        return
    report_year = calendar.reported_year(day.as_of)
    occasion = Occasion(day.as_of, stage, report_year, calendar.window(report_year, table).listing_by)
    matter = f"annual_report/{report_year}"
    with day.house.ledger.begin() as session:
        said = outbox.latest(session, day.scope, ("countdown", "stale"), matter)
    # What waits is planned anew: if it is of an earlier day, its numbers are brought up to date.
    done = {
        (each.department, each.role, each.kind) for each in said if each.stage == stage.name and not _renews(each, day)
    }
    told = [each for each in said if each.stage == stage.name and each.kind == "countdown"]
    if told and not any(_renews(each, day) for each in told):
        # Planned in one transaction for every desk: who comes to be due after it hears at the next stage.
        return
    if not day.ground.lists_may_go:
        signals.lists_withheld = True
        if stage.send_on == day.as_of:
            yield from _withheld(day, occasion, matter, done)
        return
    last = {
        each.department: each
        for each in said
        if each.role == "unit" and each.kind == "countdown" and each.as_of < day.as_of
    }
    since = {code: Since(each.as_of, int(each.detail["seq"])) for code, each in last.items()}
    connection = day.house.engine()
    try:
        desks = due(
            connection, day.house.lake, day.district, day.as_of, report_year,
            limit=day.district.mail.work_list_rows, since=since,
        )  # fmt: skip
    finally:
        connection.disconnect()
    signals.unrouted_subjects = desks.unrouted
    for code, desk in desks.desks.items():
        if desk.total == 0 and not _was_due(last.get(code)):
            continue
        wanted = [
            (role, box) for role, box in _recipients(day.district, stage, code) if (code, role, "countdown") not in done
        ]
        attached = countdown.attachment(day.words, day.district, occasion, desk) if wanted else None
        for role, box in wanted:
            yield _countdown_draft(day, occasion, matter, desk, role, box, attached)
    yield from _summaries(day, occasion, matter, desks.desks.get(day.district.regulator), done)


def _renews(said: Message, day: _Day) -> bool:
    return said.state == "planned" and said.as_of < day.as_of


def _was_due(last: Message | None) -> bool:
    return last is not None and int(last.detail["due"]) > 0


def _recipients(district: District, stage: calendar.Stage, code: str) -> list[tuple[str, str]]:
    """Who of a department gets its countdown at a stage: role and mailbox."""
    unit = district.departments[code]
    heads = any(step.copy_to == "head" and stage.offset >= step.offset for step in district.escalation)
    return [("unit", unit.mailbox), *([("head", unit.head)] if heads and unit.head else [])]


def _countdown_draft(
    day: _Day, occasion: Occasion, matter: str, desk: Desk, role: str, recipient: str, attached: Attachment | None
) -> Draft:
    text = countdown.text(day.templates, day.words, day.district, day.ground, occasion, desk, role)
    # Once per unit, year and stage, whatever the numbers become later that day: the stage is the fact.
    return _draft(
        day,
        code=desk.department,
        recipient=recipient,
        role=role,
        kind="countdown",
        matter=matter,
        stage=occasion.stage.name,
        fingerprint=_digest(["list"]),
        text=text,
        attached=attached,
        detail={"seq": day.seq, "due": desk.total},
    )


def _summaries(
    day: _Day, occasion: Occasion, matter: str, all_units: Desk | None, done: set[tuple[str, str, str]]
) -> Iterator[Draft]:
    """The numbers of all units, for the departments that the escalation names; the regulator has them already."""
    if all_units is None:
        return
    named = {step.copy_to for step in day.district.escalation if occasion.stage.offset >= step.offset}
    for code in sorted(named - {"head", day.district.regulator}):
        if (code, "summary", "countdown") in done:
            continue
        desk = replace(all_units, department=code, rows=all_units.rows.iloc[:0])
        unit = day.district.departments[code]
        yield _countdown_draft(day, occasion, matter, desk, "summary", unit.mailbox, None)


def _withheld(day: _Day, occasion: Occasion, matter: str, done: set[tuple[str, str, str]]) -> Iterator[Draft]:
    for code in addressable(day.district):
        if (code, "unit", "countdown") in done or (code, "unit", "stale") in done:
            continue
        text = countdown.stale_text(day.templates, day.words, day.district, day.ground, occasion, code)
        yield _draft(
            day,
            code=code,
            recipient=day.district.departments[code].mailbox,
            role="unit",
            kind="stale",
            matter=matter,
            stage=occasion.stage.name,
            fingerprint=_digest(["stale"]),
            text=text,
            attached=None,
            detail={"seq": day.seq, "due": 0},
        )


def _advice(day: _Day, told: Sequence[tuple[str, str, str, str, str]], signals: Signals) -> Iterator[Draft]:
    """One mail per department whose advice changed since it was last told."""
    connection = day.house.engine()
    try:
        result = changed(connection, day.house.lake, day.district, day.as_of, told)
    finally:
        connection.disconnect()
    signals.unrouted_advice = result.unrouted
    for code, news in result.news.items():
        rows = news.rows
        # What was told before is part of the key: a fact that goes there and back again is news both times.
        steps = rows[["advice_id", "fingerprint", "told_fingerprint", "told_key"]].sort_values("advice_id")
        items = [
            Item(item, fingerprint, outcome)
            for item, fingerprint, outcome in zip(rows["advice_id"], rows["fingerprint"], rows["decision"], strict=True)
        ]
        yield _draft(
            day,
            code=code,
            recipient=day.district.departments[code].mailbox,
            role="unit",
            kind="advice",
            matter="advice",
            stage="",
            fingerprint=_digest(steps.astype(object).where(steps.notna(), None).values.tolist()),
            text=advising.text(day.templates, day.words, day.district, day.ground, day.as_of, news),
            attached=advising.attachment(day.words, day.district, day.as_of, news),
            detail={"seq": day.seq, "changed": len(rows)},
            items=items,
        )


def _draft(
    day: _Day,
    *,
    code: str,
    recipient: str,
    role: str,
    kind: str,
    matter: str,
    stage: str,
    fingerprint: str,
    text: Text,
    attached: Attachment | None,
    detail: Mapping[str, Any],
    items: Sequence[Item] = (),
) -> Draft:
    district = day.district
    # A copy to a head or a summary is another message than the unit's own, even to the same box.
    key = outbox.key_of(
        recipient=recipient,
        kind=kind if role == "unit" else f"{kind}/{role}",
        matter=f"{district.code}/{matter}",
        stage=stage,
        fingerprint=fingerprint,
    )
    envelope = Envelope(
        sender=district.mail.sender,
        sender_name=district.mail.sender_name,
        recipient=recipient,
        recipient_name=district.departments[code].name,
        key=key,
        thread=f"{district.code}/{matter}",
    )
    return Draft(
        key=key,
        mode=day.may.mode,
        district=district.code,
        department=code,
        recipient=recipient,
        role=role,
        kind=kind,
        matter=matter,
        stage=stage,
        fingerprint=fingerprint,
        as_of=day.as_of,
        subject=text.subject,
        header_id=envelope.header_id,
        thread=envelope.thread_id,
        content=message(envelope, text, day.house.clock(), attached),
        items=items,
        detail=detail,
    )


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
