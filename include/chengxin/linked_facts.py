"""What can be told for or against applicants: their reports, records and list entries, each joined to whom it is about.

`chengxin.linking` puts these together; nothing here decides anything.
"""

from __future__ import annotations

from datetime import date

import ibis
import pyarrow as pa

from chengxin import documents, identity
from chengxin.engine import Connection

REPORT_ITEM = "信用报告"
"""The item that a consent must name so that a credit report may be read."""


def with_codes(connection: Connection, reports: ibis.Table, names: ibis.Table | None) -> ibis.Table:
    """The reports; without a code, the one that its exact name has alone. Without names: as they are."""
    if names is None:
        return reports
    nameless = reports.filter(reports.uscc.isnull(), reports.subject_name.notnull())
    found = connection.to_pyarrow(nameless.select("evidence_id", "subject_name"))
    keys = identity.name_key_arrow(found["subject_name"].combine_chunks().cast(pa.large_string()))
    by_name = ibis.memtable(pa.table({"evidence_id": found["evidence_id"], "name_key": keys.cast(pa.string())}))
    resolved = by_name.inner_join(names, "name_key").select("evidence_id", "found")
    reports = reports.left_join(resolved, "evidence_id").drop("evidence_id_right")
    return reports.mutate(uscc=reports.uscc.coalesce(reports.found)).drop("found")


def with_filing(reports: ibis.Table, agencies: ibis.Table, as_of: date) -> ibis.Table:
    """What linking asks of a report, and whether its agency was filed when it was issued.

    A filing without a date counts as filed all along; a report without a date is judged on the day.
    """
    issued = reports.select("evidence_id", "agency_uscc", on=reports.issue_date.coalesce(ibis.literal(as_of)))
    both = issued.inner_join(agencies.select("filed_on", "cancelled_on", agency_uscc="uscc"), "agency_uscc")
    both = both.filter(
        both.filed_on.isnull() | (both.filed_on <= both.on),
        both.cancelled_on.isnull() | (both.cancelled_on >= both.on),
    )
    filed = both.select("evidence_id").distinct().mutate(filed=True)
    reports = reports.left_join(filed, "evidence_id").drop("evidence_id_right")
    # Places are compared where issue dates are equal: over all reports, one core would sort for all others.
    order = ibis.window(group_by="issue_date", order_by=[reports.raw_row, reports.natural_key, reports.source])
    return reports.select(
        "evidence_id", "source", "issue_date", "valid_to", "scale", "grade",
        position=ibis.row_number().over(order).cast("int32"),
        about=reports.uscc,
        for_matter=reports.matter_id,
        handed_in_by=reports.handed_in_by.coalesce(reports.uscc),
        agency_filed=reports.filed.fill_null(False),
    )  # fmt: skip


def live(consents: ibis.Table, as_of: date) -> ibis.Table:
    """The consents to read a credit report that are live on a day."""
    day = ibis.literal(as_of)
    live = consents.filter(
        consents.item == REPORT_ITEM,
        consents.given_on <= day,
        consents.withdrawn_on.isnull() | (consents.withdrawn_on > day),
        consents.expires_on.isnull() | (consents.expires_on >= day),
    )
    return live.select("uscc", "matter_id", "recipient")


def reports(reports: ibis.Table, live: ibis.Table, applicants: ibis.Table) -> ibis.Table:
    """Applicants × their reports, with what 四（二） and 四（三） ask of each."""
    who = applicants.select("applicant_id", "matter_id", "department", applicant="uscc")
    by_other = reports.filter(reports.about.isnull() | (reports.about != reports.handed_in_by))
    rows = ibis.union(
        who.inner_join(reports, who.applicant == reports.about),
        who.inner_join(by_other, who.applicant == by_other.handed_in_by),
    )
    rows = rows.filter(rows.for_matter.isnull() | (rows.for_matter == rows.matter_id))

    # A consent names the matter, the recipient, or both; what it names must fit.
    named = {
        "both": (live.matter_id.notnull() & live.recipient.notnull(), ["matter_id", "department"]),
        "matter": (live.matter_id.notnull() & live.recipient.isnull(), ["matter_id"]),
        "recipient": (live.matter_id.isnull() & live.recipient.notnull(), ["department"]),
    }
    for name, (which, keys) in named.items():
        given = live.filter(which).mutate(about=live.uscc, department=live.recipient).select("about", *keys).distinct()
        rows = rows.left_join(given.mutate(**{name: True}), ["about", *keys])
        rows = rows.drop(*[column for column in rows.columns if column.endswith("_right")])
    return rows.select(
        "applicant_id", "evidence_id", "source", "agency_filed", "issue_date", "valid_to", "scale", "grade", "position",
        uscc=rows.about,
        consent_active=ibis.coalesce(*[rows[name] for name in named], False),
    )  # fmt: skip


def records(found: ibis.Table, seen: ibis.Table, applicants: ibis.Table, as_of: date) -> ibis.Table:
    """Applicants × their records, one row a document however many sources tell of it, and however they write its number
    (`chengxin.documents`).

    Where they differ the latest identification counts, and any repair, rectification or presence in the report.
    A repair or withdrawal once seen, in whatever source, stays: an old copy of the list that comes back without it
    must not bring the record back. (What was seen is known here and not when a source is published, since it may have
    been another source that told of it.) Withdrawn records are left out, and those whose display has ended: neither may
    be used any more.

    Args:
        found: the records of the day.
        seen: everything that was ever said of records and is known on the day.
        applicants: whose they may be.
        as_of: the day.
    """
    records = found.filter(found.uscc.notnull())
    records = records.mutate(document=documents.alike(records.record_no).coalesce(records.natural_key))
    seen = seen.filter(seen.repaired_on.notnull() | seen.withdrawn_on.notnull(), ~seen.removed)
    seen = seen.mutate(document=documents.alike(seen.record_no).coalesce(seen.natural_key))
    ended = seen.group_by("uscc", "document").agg(repaired=seen.repaired_on.min(), withdrawn=seen.withdrawn_on.min())

    by_document = ibis.window(group_by=["uscc", "document"])
    best = ibis.window(
        group_by=["uscc", "document"],
        order_by=[
            records.repaired_on.isnull(), records.rectified_confirmed_on.isnull(), records.source, records.natural_key
        ],
    )  # fmt: skip
    records = records.mutate(
        identified_on=records.identified_on.max().over(by_document),
        in_report=records.in_report.fill_null(False).any().over(by_document),
        expires=records.expires_on.min().over(by_document),
        _order=ibis.row_number().over(best),
    )
    confirmed = records.identified_on.isnull() | (records.rectified_confirmed_on >= records.identified_on)
    records = records.mutate(
        rectified_confirmed_on=confirmed.ifelse(records.rectified_confirmed_on, ibis.null()).min().over(by_document)
    )
    records = records.filter(records._order == 0).left_join(ended, ["uscc", "document"])
    rows = applicants.select("applicant_id", "uscc", "test_date").inner_join(records, "uscc")
    day = ibis.literal(as_of)
    rows = rows.filter(
        rows.withdrawn.isnull() | (rows.withdrawn > day),
        rows.expires.isnull() | (rows.expires >= ibis.greatest(rows.test_date, day)),
    )
    return rows.select(
        "applicant_id", "evidence_id", "source", "uscc", "identified_on", "rectified_confirmed_on", "in_report",
        repaired_on=rows.repaired,
    )  # fmt: skip


def entries(found: ibis.Table, applicants: ibis.Table) -> ibis.Table:
    """Applicants × list entries: by code, and by exact name where the entry has no code."""
    entries = found.select("evidence_id", "source", "list", "uscc", "name_key", "listed_on", "removed_on", "expires_on")
    who = applicants.select("applicant_id", "uscc", "name_key")
    columns = ["applicant_id", "evidence_id", "source", "list", "uscc", "listed_on", "removed_on", "expires_on"]
    by_code = who.drop("name_key").inner_join(entries, "uscc").select(columns)
    nameless = entries.filter(entries.uscc.isnull())
    by_name = who.drop("uscc").inner_join(nameless, "name_key").select(columns)
    return by_code.union(by_name)
