"""What the queries of the desk give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from chengxin.desk.scope import Page


@dataclass(frozen=True)
class State:
    """How far the desk is. Instants are ISO text; null: never."""

    seq: int
    waiting: tuple[int, ...]
    """Commits below `seq` that were not closed yet."""
    refreshed_at: str | None
    built_at: str | None


@dataclass(frozen=True)
class SubjectRow:
    """A market subject, by its public columns."""

    subject_id: int
    """Inside the desk only."""
    ref: str
    """For addresses."""
    uscc: str
    registered: bool
    name: str | None
    kind: str | None
    state: str | None
    established: date | None
    revoked_on: date | None
    deregistered_on: date | None
    area_code: str | None
    street: str | None
    """Department code of its street office; empty: no route fits the address."""
    industry: str | None
    capital: Decimal | None
    gone: bool
    observed_on: date | None
    seq: int | None


@dataclass(frozen=True)
class EventRow:
    """One observation of a fact."""

    fact: str
    source: str
    key_id: int
    observed_on: date
    seq: int
    removed: bool
    public: bool
    matter_id: str | None
    department: str | None
    raw_sha256: str | None
    raw_row: int | None
    ended: str | None
    """Why it is not shown any more: `repaired`, `lapsed`; null: it is shown."""
    content: Mapping[str, Any] | None
    """The fact's public columns, dates and instants as ISO text; null: a tombstone, or not shown any more."""

    @property
    def name(self) -> str:
        """For addresses."""
        return f"{self.key_id:x}-{self.seq}"


@dataclass(frozen=True)
class MatterRow:
    """A matter with the counts of its advice."""

    matter_id: str
    ref: str
    title: str | None
    type: str | None
    department: str | None
    field: str | None
    procurement_form: str | None
    fund_kind: str | None
    land_method: str | None
    is_construction: bool | None
    test_date: date | None
    opened_on: date | None
    decided_on: date | None
    state: str | None
    gone: bool
    observed_on: date | None
    seq: int | None
    source: str | None
    raw_sha256: str | None
    raw_row: int | None
    applicants: int
    decisions: Mapping[str, int]
    """Outcome → applicants; outcomes without any left out."""
    severest: str | None


@dataclass(frozen=True)
class MatterPage:
    """A page of matters, and what the whole filtered list holds."""

    page: Page[MatterRow]
    decisions: Mapping[str, int]
    """Outcome → applicants of all matters of the list."""


@dataclass(frozen=True)
class AdviceRow:
    """What was said of one applicant on one day, both readings."""

    advice_id: str
    matter_id: str | None
    matter_ref: str | None
    matter_title: str | None
    applicant_no: str | None
    ref: str | None
    """The subject's; null: its code is not known."""
    uscc: str | None
    name: str | None
    department: str | None
    matter_type: str | None
    test_date: date | None
    leading: str | None
    decision: str | None
    until: date | None
    reasons: Sequence[str]
    as_written: str | None
    as_written_until: date | None
    as_written_reasons: Sequence[str]
    guarded: str | None
    guarded_until: date | None
    guarded_reasons: Sequence[str]
    flags: Sequence[str]
    cites: Sequence[str]
    stale_sources: Sequence[str]
    policy: str | None
    policy_version: str | None
    observed_on: date
    seq: int
    removed: bool
    latest: bool
    stands: bool

    @property
    def differs(self) -> bool:
        """Whether the two readings come to different outcomes."""
        return self.as_written != self.guarded


@dataclass(frozen=True)
class ApplicantRow:
    """An applicant of a matter with what was last said of it; `advice` null: nothing yet, or not in scope."""

    applicant_no: str
    ref: str | None
    name: str | None
    role: str | None
    uscc_problem: str | None
    gone: bool
    advice: AdviceRow | None


@dataclass(frozen=True)
class MatterView:
    """A matter's page."""

    matter: MatterRow
    applicants: Page[ApplicantRow]
    history: Sequence[EventRow]
    """What its source said of the matter itself, the newest first."""


@dataclass(frozen=True)
class FindingRow:
    """One rule met, and where its evidence is."""

    finding_id: str
    reading: str | None
    rule: str | None
    clause: str | None
    effect: str | None
    reasons: Sequence[str]
    flags: Sequence[str]
    until: date | None
    parameters: Mapping[str, Any]
    evidence_fact: str | None
    evidence_source: str | None
    evidence_key_id: int | None
    evidence_seq: int | None
    evidence_sha256: str | None
    evidence_row: int | None
    evidence: EventRow | None
    """The fact; null: there is none, or the desk no longer has it."""
    observed_on: date
    seq: int


@dataclass(frozen=True)
class AdviceView:
    """An advice's page."""

    advice: AdviceRow
    matter: MatterRow | None
    findings: Sequence[FindingRow]
    """Those that stood when the advice was last said."""
    history: Sequence[AdviceRow]
    """Everything said of this applicant in this matter, the newest first; withdrawals have `removed`."""


@dataclass(frozen=True)
class FilingRow:
    """Where a subject stands with one annual report."""

    ref: str
    uscc: str
    name: str | None
    kind: str | None
    street: str
    industry: str | None
    report_year: int
    status: str
    warn: bool
    expected_listing_by: date | None
    observed_on: date
    seq: int


@dataclass(frozen=True)
class SubjectView:
    """A subject's page."""

    subject: SubjectRow
    events: Page[EventRow]
    """The timeline: what was known when, the newest first."""
    advice: Sequence[AdviceRow]
    """What was last said of it, in scope, the newest first."""
    filings: Sequence[FilingRow]
    """The newest year first."""


@dataclass(frozen=True)
class Street:
    """One street's annual reports: counts only."""

    street: str
    """Department code; empty: addresses that no route fits."""
    filed: int
    due: int
    """Not filed, in time or overdue."""
    kinds: Mapping[str, tuple[int, int]]
    """Kind → filed, due."""
    statuses: Mapping[str, int]


@dataclass(frozen=True)
class Today:
    """The countdown and the counts of a day."""

    as_of: date
    report_year: int
    closes: date
    days_left: int
    """To 30 June; negative after it."""
    counted_on: date | None
    """The day of the last change: the counts hold since then; null: nothing was ever counted."""
    statuses: Mapping[str, int]
    streets: Sequence[Street]
    """In the order of the district file's areas; the unrouted last. A list, not a ranking."""
    decisions: Mapping[str, int]
    """Outcome → applicants of pending matters, in scope."""


@dataclass(frozen=True)
class Cause:
    """Rejected rows of one cause."""

    source: str
    fact: str
    rule: str
    column: str | None
    reason: str | None
    rows: int
    since: date
    """The oldest of them."""


@dataclass(frozen=True)
class RejectedRow:
    """One rejected row, without its value."""

    id: int
    source: str
    fact: str
    rule: str
    rules: Sequence[str]
    column: str | None
    reason: str | None
    seq: int
    seen_on: date
    gone_on: date | None
    raw_sha256: str | None
    raw_row: int | None


@dataclass(frozen=True)
class ConsentRow:
    """A consent that is live on a day."""

    consent_id: str | None
    item: str | None
    matter_id: str | None
    recipient: str | None
    given_on: date | None
    expires_on: date | None


@dataclass(frozen=True)
class ReportRow:
    """That a credit report exists, and whether it can be used on a day. Never its grade."""

    issue_date: date | None
    valid_to: date | None
    matter_id: str | None
    agency_filed: bool
    """The agency was filed with the People's Bank on the day of issue."""
    valid: bool
    """In its time, and by an agency that was filed."""
