"""What a policy is applied to, and what comes out: relations, never rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis


@dataclass(frozen=True)
class Facts:
    """The facts of a batch of applicants, as relations keyed by `applicant_id`.

    Codes are normalised and valid, or null: a null code equals nothing. Attributes that are missing are null.

    Attributes:
        applicants: `applicant_id, test_date, type, procurement_form, fund_kind, land_method, is_construction, field,
            uscc, subject_kind`; one row each.
        reports: `applicant_id, evidence_id, source, uscc, agency_filed, consent_active, issue_date, valid_to, scale,
            grade, position`; `position` is the report's place among those of its issue date, in the order of their
            files, `evidence_id` is never null.
        records: `applicant_id, evidence_id, source, uscc, identified_on, rectified_confirmed_on, repaired_on,
            in_report`.
        entries: `applicant_id, evidence_id, source, list, uscc, listed_on, removed_on, expires_on`; an entry without
            a code was matched by name.
    """

    applicants: ibis.Table
    reports: ibis.Table
    records: ibis.Table
    entries: ibis.Table


@dataclass(frozen=True)
class Stale:
    """A source that is too old for an answer.

    Attributes:
        tables: the fact tables that it feeds.
        age_days: days since its newest observation; None: it was never harvested.
        max_age_days: what its contract allows.
    """

    tables: tuple[str, ...]
    age_days: int | None
    max_age_days: int | None = None

    def label(self, source: str) -> str:
        """`source:age in days`, as advice and mails show it."""
        return f"{source}:{'never' if self.age_days is None else self.age_days}"


@dataclass(frozen=True)
class Advised:
    """What a policy says, as lazy relations.

    Attributes:
        findings: `applicant_id, reading, rule, clause, effect, reasons, flags, until, evidence_table, evidence_id,
            evidence_source, parameters, word`. `reading` is `both`, or one row for each of `as_written` and `guarded`
            where these differ. `effect` null: a reason without effect. `evidence_id` null: the absence of any; then
            `evidence_source` is the source that is too old, if that is what is said. A plain PASS has no finding.
        words: one row for each combination that occurs of what a finding says: `word` (its number), `reading, rule,
            clause, effect, evidence_table`. What rests on these alone need be made up once for each, and not for each
            finding.
        stopped: `applicant_id` of those whom a gate stopped: all findings about them are the gate's.
        advice: one row per applicant: `applicant_id, as_written, as_written_until, as_written_reasons, guarded,
            guarded_until, guarded_reasons, flags, cites, stale_sources`.
    """

    findings: ibis.Table
    words: ibis.Table
    stopped: ibis.Table
    advice: ibis.Table
