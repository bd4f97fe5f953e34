"""Plans a day's messages: renders each exactly as it would go out, and commits it with its key.

Planning again finds every key in place and adds nothing; a fact that changed makes a new key. Two mails per
department: its annual-report countdown at the stages of the calendar, and the advice that changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import func, select

from chengxin import calendar
from chengxin.clock import BEIJING
from chengxin.districts import District
from chengxin.ledger import answers, objections, outbox
from chengxin.ledger.messages import Message
from chengxin.ledger.models import Commit
from chengxin.ledger.outbox import ConcurrentPlanError, Draft, Item, Scope
from chengxin.settings import House
from chengxin.warn import advising, countdown
from chengxin.warn.answered import Answers
from chengxin.warn.countdown import Occasion
from chengxin.warn.drafting import Day, digest, draft
from chengxin.warn.due import Desk, Since, addressable, due
from chengxin.warn.guard import ground
from chengxin.warn.links import links
from chengxin.warn.modes import Permit, permit
from chengxin.warn.news import AGAIN, changed
from chengxin.warn.render import Attachment, Templates
from chengxin.warn.words import district_of
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
    with house.ledger.read() as session:
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
    with house.ledger.read() as session:
        mark = outbox.mark(session, district.code)
        told = outbox.told(session, scope)
        given = Answers(answers.counting(session, district.code, may.mode), as_of)
        disputed = objections.disputed_in(session, district.code)
        seq = int(session.scalar(select(func.max(Commit.seq)).where(Commit.closed_at.is_not(None))) or 0)
    day = Day(
        house, district, may, as_of, words, templates, ground(house, district, as_of), seq, scope, given,
        links(house, district), disputed,
    )  # fmt: skip
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
    for made in compose(house, as_of).drafts:
        path = folder / f"{made.department}-{made.kind}-{made.role}.eml"
        path.write_bytes(made.content)
        written.append(path)
    return written


def _annual_reports(day: Day, signals: Signals) -> Iterator[Draft]:
    """The countdown of every desk, at the stage that is due and not said yet."""
    table = calendar.load_table(day.house.include_dir / "calendar.yml")
    stage = calendar.latest_due_stage(day.as_of, day.as_of.year, table)
    if stage is None:
        return
    report_year = calendar.reported_year(day.as_of)
    occasion = Occasion(day.as_of, stage, report_year, calendar.window(report_year, table).listing_by)
    matter = f"annual_report/{report_year}"
    with day.house.ledger.read() as session:
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
    before = {
        (each.department, each.role): each for each in said if each.kind == "countdown" and each.as_of < day.as_of
    }
    last = {code: each for (code, role), each in before.items() if role == "unit"}
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
            (role, box)
            for role, box in _recipients(day.district, stage, code)
            if (code, role, "countdown") not in done and not _answered(day, stage, desk, before.get((code, role)))
        ]
        attached = countdown.attachment(day.words, day.district, occasion, desk) if wanted else None
        for role, box in wanted:
            signal = desks.unrouted if code == day.district.default_desk else 0
            yield _countdown_draft(
                day, occasion, matter, desk, role, box, attached, before.get((code, role)), unrouted=signal
            )
    yield from _summaries(day, occasion, matter, desks.desks.get(day.district.regulator), done)


def _answered(day: Day, stage: calendar.Stage, desk: Desk, last: Message | None) -> bool:
    """Whether a desk has answered its last mail, and its list is still the same.

    The deadline is a change by itself: no answer from before it holds after it.
    """
    if last is None or day.answers.holding(last.id) is None or desk.change is None:
        return False
    crossed = _offset(last) <= 0 < stage.offset
    return desk.change.nothing and desk.change.since == last.as_of and not crossed


def _offset(said: Message) -> int:
    """The stage of a countdown in days from 30 June."""
    return int(said.stage.removeprefix("T"))


def _renews(said: Message, day: Day) -> bool:
    return said.state == "planned" and said.as_of < day.as_of


def _was_due(last: Message | None) -> bool:
    return last is not None and int(last.detail["due"]) > 0


def _recipients(district: District, stage: calendar.Stage, code: str) -> list[tuple[str, str]]:
    """Who of a department gets its countdown at a stage: role and mailbox."""
    unit = district.departments[code]
    heads = any(step.copy_to == "head" and stage.offset >= step.offset for step in district.escalation)
    return [("unit", unit.mailbox), *([("head", unit.head)] if heads and unit.head else [])]


def _countdown_draft(
    day: Day,
    occasion: Occasion,
    matter: str,
    desk: Desk,
    role: str,
    recipient: str,
    attached: Attachment | None,
    last: Message | None = None,
    *,
    unrouted: int = 0,
) -> Draft:
    # Once per unit, year and stage, whatever the numbers become later that day: the stage is the fact.
    return draft(
        day,
        code=desk.department,
        recipient=recipient,
        role=role,
        kind="countdown",
        matter=matter,
        stage=occasion.stage.name,
        fingerprint=digest(["list"]),
        write=partial(countdown.text, day.templates, day.words, day.district, day.ground, occasion, desk, role),
        attached=attached,
        detail={"seq": day.seq, "due": desk.total, "unrouted": unrouted, **_until(occasion)},
        last=last.id if last else None,
    )


def _until(occasion: Occasion) -> dict[str, str]:
    """How long a countdown can be put off: its deadline, which after it is none any more."""
    return {} if occasion.overdue else {"deadline": date(occasion.stage.year, 6, 30).isoformat()}


def _summaries(
    day: Day, occasion: Occasion, matter: str, all_units: Desk | None, done: set[tuple[str, str, str]]
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


def _withheld(day: Day, occasion: Occasion, matter: str, done: set[tuple[str, str, str]]) -> Iterator[Draft]:
    for code in addressable(day.district):
        if (code, "unit", "countdown") in done or (code, "unit", "stale") in done:
            continue
        yield draft(
            day,
            code=code,
            recipient=day.district.departments[code].mailbox,
            role="unit",
            kind="stale",
            matter=matter,
            stage=occasion.stage.name,
            fingerprint=digest(["stale"]),
            write=partial(countdown.stale_text, day.templates, day.words, day.district, day.ground, occasion, code),
            attached=None,
            detail={"seq": day.seq, "due": 0, **_until(occasion)},
        )


def _advice(day: Day, told: Sequence[tuple[str, str, str, str, str]], signals: Signals) -> Iterator[Draft]:
    """One mail per department whose advice changed since it was last told."""
    with day.house.ledger.read() as session:
        last = outbox.newest(session, day.scope, "advice")
    if _too_early(day) or not (told or day.house.lake.files("advice")):
        return
    ended = day.answers.ended
    told = [
        (code, item, f"{AGAIN}{ended[key].isoformat()}", outcome, key)
        if key in ended
        else (code, item, was, outcome, key)
        for code, item, was, outcome, key in told
    ]
    connection = day.house.engine()
    try:
        result = changed(connection, day.house.lake, day.district, day.as_of, told, day.answers.misrouted, day.disputed)
    finally:
        connection.disconnect()
    signals.unrouted_advice = result.unrouted
    for code, news in result.news.items():
        said = last.get(code)
        if _digested(day, said):
            continue
        rows = news.rows
        # What was told before is part of the key: a fact that goes there and back again is news both times. An
        # objection is not: made or settled, it changes no advice.
        steps = rows[["advice_id", "fingerprint", "told_fingerprint", "told_key"]].sort_values("advice_id")
        items = [
            Item(item, fingerprint, outcome)
            for item, fingerprint, outcome in zip(rows["advice_id"], rows["fingerprint"], rows["decision"], strict=True)
        ]
        yield draft(
            day,
            code=code,
            recipient=day.district.departments[code].mailbox,
            role="unit",
            kind="advice",
            matter="advice",
            stage="",
            fingerprint=digest(steps.astype(object).where(steps.notna(), None).values.tolist()),
            write=partial(advising.text, day.templates, day.words, day.district, day.ground, day.as_of, news),
            attached=advising.attachment(day.words, day.district, day.as_of, news),
            detail={
                "seq": day.seq,
                "changed": len(rows),
                "unrouted": result.unrouted if code == day.district.default_desk else 0,
                **_matters_end(rows["test_date"], day.as_of),
            },
            items=items,
            last=said.id if said else None,
        )


def _too_early(day: Day) -> bool:
    """Whether the day's one mail on advice waits for the digest hour, while it may go out at all."""
    hour = day.district.mail.digest_hour
    return hour is not None and day.may.mode == "production" and day.house.clock().astimezone(BEIJING).hour < hour


def _digested(day: Day, said: Message | None) -> bool:
    """Whether a department has had its one mail on advice of the day; what changed since waits for tomorrow's."""
    if day.district.mail.digest_hour is None or day.may.mode != "production" or said is None:
        return False
    return said.as_of == day.as_of


def _matters_end(days: pd.Series[Any], as_of: date) -> dict[str, str]:
    """How long advice can be put off: until the first of its matters closes."""
    stamps = pd.to_datetime(days).dropna()
    ahead = stamps[stamps >= pd.Timestamp(as_of)]
    return {"deadline": ahead.min().date().isoformat()} if len(ahead) else {}
