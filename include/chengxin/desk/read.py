"""What the pages ask of the desk. Every query is indexed, keeps to a scope, and gives a bounded number of rows.

A page opens one connection (`Desk.read`), so that all it shows is of one state. Ids of addresses: a subject's and a
matter's `ref`, an advice's `advice_id`, an event's `id` or its four parts. None of them is a code or a name.

`as_of` is the day the page speaks for (today, but in tests): a record whose repair, withdrawal or end has come by then
is still named as an observation, without its content.
"""

from __future__ import annotations

from chengxin.desk.filings import filing_days, filings, today
from chengxin.desk.matters import Filter, advice, advice_said, matter, matters
from chengxin.desk.rejections import rejected, rejected_rows
from chengxin.desk.rows import (
    AdviceRow,
    AdviceView,
    ApplicantRow,
    Cause,
    ConsentRow,
    EventRow,
    FilingRow,
    FindingRow,
    MatterPage,
    MatterRow,
    MatterView,
    RejectedRow,
    ReportRow,
    State,
    Street,
    SubjectRow,
    SubjectView,
    Today,
)
from chengxin.desk.scope import Page, Paging, Scope
from chengxin.desk.store import state
from chengxin.desk.subjects import consents, event, evidence, find_subject, reports, subject, subject_of

__all__ = [
    "AdviceRow", "AdviceView", "ApplicantRow", "Cause", "ConsentRow", "EventRow", "FilingRow", "Filter", "FindingRow",
    "MatterPage", "MatterRow", "MatterView", "Page", "Paging", "RejectedRow", "ReportRow", "Scope", "State", "Street",
    "SubjectRow", "SubjectView", "Today", "advice", "advice_said", "consents", "event", "evidence", "filing_days",
    "filings", "find_subject", "matter", "matters", "rejected", "rejected_rows", "reports", "state", "subject",
    "subject_of", "today",
]  # fmt: skip
