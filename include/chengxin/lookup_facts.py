"""What a look-up reads of one subject: its public status, its consents, and that a report exists. Never more.

`Facts` is the question. `DeskFacts` answers it from the desk, by indexes; `LakeFacts` from the lake itself, in about a
second: where the desk has not been made, or does not know yet what a source of consents has told since. Either does the
same work for a code that nobody bears: an unknown subject is one with nothing in it, never a shorter way out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import ibis
from sqlalchemy import Connection, or_, select

from chengxin import engine, linking
from chengxin.calendar import anniversary, reported_year
from chengxin.clock import beijing_date
from chengxin.desk import Desk, read, tables
from chengxin.districts import District
from chengxin.ledger.models import Commit
from chengxin.settings import House

_NEEDED = ("subject", "annual_report", "credit_report", "list_entry", "consent")


@dataclass(frozen=True)
class Consent:
    """A consent to pass on that a credit report exists, live on the day."""

    matter_id: str | None
    """What it is given for; None: whatever the recipient's."""
    recipient: str | None


@dataclass(frozen=True)
class Entry:
    """A line of a list, in force on the day."""

    list: str
    listed_on: date | None
    authority: str | None


@dataclass(frozen=True)
class Known:
    """One subject on a day; of an unknown one nothing is set."""

    name: str | None
    kind: str | None
    state: str | None
    established: date | None
    entries: tuple[Entry, ...]
    """Of every list, by list and day."""
    submitted: bool
    """An annual report of the year before was handed in."""
    published: bool
    """… and the subject chose to publish it."""
    report: bool
    """A credit report is in its time, and of an agency that was filed when it issued it."""
    consents: tuple[Consent, ...]


class Facts(Protocol):
    """Who can tell of a subject."""

    def known(self, uscc: str, on: date) -> Known:
        """What is known of a code on a day.

        Args:
            uscc: 18 characters.
            on: the day.
        """
        ...


@dataclass(frozen=True)
class LakeFacts:
    """The lake's answer.

    Args:
        house: where the lake is.
        district: whose sources count.
        years: how long a report without a last day is valid (`report.validity`).
    """

    house: House
    district: District
    years: int

    def known(self, uscc: str, on: date) -> Known:
        """What is known of a code on a day."""
        connection = self.house.engine()
        try:
            seen = {name: self._rows(connection, name, uscc, on) for name in _NEEDED}
            agencies = self._rows(connection, "agency", None, on)
        finally:
            connection.disconnect()
        subject = max(seen["subject"], key=lambda row: row["observed_on"], default={})
        annual = [row for row in seen["annual_report"] if row["report_year"] == reported_year(on)]
        annual = [row for row in annual if _handed_in(row["submitted_at"], on)]
        return Known(
            name=subject.get("name"),
            kind=subject.get("kind"),
            state=subject.get("state"),
            established=subject.get("established"),
            entries=in_force(seen["list_entry"], on),
            submitted=bool(annual),
            published=any(row["is_public"] for row in annual),
            report=any(usable(row, agencies, on, self.years) for row in seen["credit_report"]),
            consents=live(seen["consent"], on),
        )

    def _rows(self, connection: engine.Connection, name: str, uscc: str | None, on: date) -> list[dict[str, Any]]:
        rows = engine.as_of(connection, self.house.lake, name, on, sources=self.district.sources)
        if uscc is not None:
            rows = rows.filter(rows.uscc == ibis.literal(uscc))
        found: list[dict[str, Any]] = connection.to_pyarrow(rows).to_pylist()
        return found


@dataclass(frozen=True)
class DeskFacts:
    """The desk's answer.

    Args:
        desk: the desk.
        years: how long a report without a last day is valid (`report.validity`).
    """

    desk: Desk
    years: int

    def known(self, uscc: str, on: date) -> Known:
        """What is known of a code on a day."""
        with self.desk.read() as connection:
            subject = connection.execute(select(tables.subject).where(tables.subject.c.uscc == uscc)).one_or_none()
            number = subject.subject_id if subject is not None else _NO_SUBJECT
            entries = self._newest(connection, number, "list_entry", on)
            annual = self._newest(connection, number, "annual_report", on)
            consents = read.consents(connection, number, linking.REPORT_ITEM, on)
            reports = read.reports(connection, number, on, self.years)
        # One that the registry does not have is known to the desk by other sources' words.
        listed = subject if subject is not None and subject.registered and not subject.gone else None
        year = [row for row in annual if row.get("report_year") == reported_year(on)]
        year = [row for row in year if _handed_in(_instant(row.get("submitted_at")), on)]
        return Known(
            name=listed.name if listed is not None else None,
            kind=listed.kind if listed is not None else None,
            state=listed.state if listed is not None else None,
            established=listed.established if listed is not None else None,
            entries=in_force(
                [
                    {name: row.get(name) for name in _TEXTS} | {name: _day(row.get(name)) for name in _DAYS}
                    for row in entries
                ],
                on,
            ),
            submitted=bool(year),
            published=any(row.get("is_public") for row in year),
            report=any(row.valid for row in reports),
            consents=_in_order(Consent(row.matter_id, row.recipient) for row in consents),
        )

    @staticmethod
    def _newest(connection: Connection, number: int, fact: str, on: date) -> list[dict[str, Any]]:
        """The newest word of every key that once was the subject's, where it is the subject's still."""
        event = tables.event
        keys = select(event.c.key_id).where(event.c.subject_id == number, event.c.fact == fact)
        rows = connection.execute(
            select(event.c.key_id, event.c.subject_id, event.c.removed, event.c.content)
            .where(event.c.key_id.in_(keys), event.c.fact == fact, event.c.observed_on <= on)
            .order_by(event.c.observed_on, event.c.seq)
        )
        newest = {row.key_id: row for row in rows}
        return [
            json.loads(row.content)
            for row in newest.values()
            if row.subject_id == number and not row.removed and row.content
        ]


_NO_SUBJECT = -1
"""A number that no subject has: numbers are hashes of 60 bits."""
_TEXTS, _DAYS = ("list", "authority"), ("listed_on", "removed_on", "expires_on")


def desk_knows(house: House, sources: Collection[str]) -> bool:
    """Whether the desk was made, and has every closed commit of some sources."""
    with house.desk.read() as connection:
        state = read.state(connection)
    with house.ledger.read() as session:
        missing = session.scalar(
            select(Commit.seq)
            .where(
                or_(Commit.seq > state.seq, Commit.seq.in_(state.waiting)),
                Commit.closed_at.is_not(None),
                Commit.name.in_(sources),
            )
            .limit(1)
        )
    return state.built_at is not None and missing is None


def live(consents: Iterable[Mapping[str, Any]], on: date) -> tuple[Consent, ...]:
    """The consents to pass on credit reports that are live on a day, as the check has it (`linking`)."""
    return _in_order(
        Consent(row["matter_id"], row["recipient"])
        for row in consents
        if row["item"] == linking.REPORT_ITEM
        and row["given_on"] is not None
        and row["given_on"] <= on
        and (row["withdrawn_on"] is None or row["withdrawn_on"] > on)
        and (row["expires_on"] is None or row["expires_on"] >= on)
    )


def _in_order(consents: Iterable[Consent]) -> tuple[Consent, ...]:
    return tuple(sorted(consents, key=lambda consent: (consent.recipient or "", consent.matter_id or "")))


def in_force(entries: Iterable[Mapping[str, Any]], on: date) -> tuple[Entry, ...]:
    """The lines of lists that count on a day, each once."""
    found = {
        Entry(row["list"], row["listed_on"], row["authority"])
        for row in entries
        if (row["listed_on"] is None or row["listed_on"] <= on)
        and (row["removed_on"] is None or row["removed_on"] > on)
        and (row["expires_on"] is None or row["expires_on"] >= on)
    }
    return tuple(sorted(found, key=lambda entry: (entry.list, entry.listed_on or date.min, entry.authority or "")))


def usable(report: Mapping[str, Any], agencies: Iterable[Mapping[str, Any]], on: date, years: int) -> bool:
    """Whether a credit report counts on a day, consent aside: in its time, by an agency filed when it was issued.

    Args:
        report: `issue_date, valid_to, agency_uscc`.
        agencies: `uscc, filed_on, cancelled_on`.
        on: the day.
        years: how long a report without a last day is valid.
    """
    issued, last = report["issue_date"], report["valid_to"]
    if issued is None or issued > on or (last or anniversary(issued, years)) < on:
        return False
    return any(
        agency["uscc"] == report["agency_uscc"]
        and (agency["filed_on"] is None or agency["filed_on"] <= issued)
        and (agency["cancelled_on"] is None or agency["cancelled_on"] >= issued)
        for agency in agencies
    )


def _handed_in(at: datetime | None, on: date) -> bool:
    return at is not None and beijing_date(at) <= on


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
