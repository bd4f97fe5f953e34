"""What a check reads: the facts of a day, linked to the applicants of pending matters.

Everything is read from the sources that the district has enabled, up to one point in the ledger's numbering, so that
the same facts can be read again. Linking is a handful of joins; each applicant gets

- reports of its own code, and those it handed in for the matter (which may be about somebody else);
- records of its own code, merged over sources;
- list entries of its own code, and entries without a code that bear exactly its name.

A matter is judged at its test date, or at the day of the check where it has none. A test date in the future is judged
with the facts known on the day: what is known of then (an end, an expiry) counts as of then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import ibis
import pyarrow as pa
from sqlalchemy import func, select

from chengxin import engine, identity
from chengxin.districts import District
from chengxin.engine import Connection
from chengxin.ledger.models import Commit
from chengxin.policy.facts import Facts
from chengxin.settings import House
from chengxin.tables import FACTS

SEPARATOR = "\x1f"
PENDING = "待办"
REPORT_ITEM = "信用报告"
"""The item that a consent must name so that a credit report may be read."""

ID_LENGTH = 20

SUBJECT = (
    "uscc", "name", "name_key", "kind", "state", "established", "deregistered_on", "revoked_on", "area_code",
    "industry",
)  # fmt: skip
"""The columns of a subject that are read."""

_PLACE = ("source", "natural_key", "observed_on", "seq", "raw_sha256", "raw_row")
CITED: Mapping[str, tuple[str, ...]] = {
    "credit_report": (
        "uscc", "subject_name", "agency_uscc", "issue_date", "valid_to", "scale", "grade", "matter_id", "handed_in_by",
        *_PLACE,
    ),
    "credit_record": (
        "uscc", "record_no", "identified_on", "rectified_confirmed_on", "repaired_on", "expires_on", "in_report",
        *_PLACE,
    ),
    "list_entry": ("uscc", "list", "name_key", "listed_on", "removed_on", "expires_on", *_PLACE),
}  # fmt: skip
"""The fact tables whose rows are evidence, and the columns that linking and findings read."""


@dataclass(frozen=True)
class ReadPoint:
    """How far a check reads."""

    seq: int
    """Commits up to this number…"""
    unclosed: tuple[int, ...]
    """… without these: they were not finished yet when the check began."""


@dataclass(frozen=True)
class Only:
    """What a check is about that does not judge all (`chengxin.carry`). Each is a table of one column."""

    codes: ibis.Table
    """`uscc`: applicants of these codes…"""
    names: ibis.Table
    """`name_key`: … or of exactly these names…"""
    matters: ibis.Table
    """`matter_id`: … or in these matters…"""
    advice: ibis.Table
    """`advice_id`: … or these."""
    subjects: ibis.Table
    """`uscc`: the subjects whose annual report is looked at."""

    def of(self, applicants: ibis.Table) -> ibis.Table:
        """Those of some applicants that it is about."""
        return applicants.filter(
            applicants.uscc.isin(self.codes.uscc)
            | applicants.name_key.isin(self.names.name_key)
            | applicants.matter_id.isin(self.matters.matter_id)
            | applicants.advice_id.isin(self.advice.advice_id)
        )


@dataclass(frozen=True)
class Linked:
    """The facts of a day."""

    applicants: ibis.Table
    """One row an applicant: `applicant_id`, a number to join by while a check runs, `advice_id`, what `advice` keeps of
    it, what the policy asks of the matter, and where the applicant's own row stands (`own_source`, `own_key`, …)."""
    facts: Facts
    evidence: ibis.Table
    """`table`, `evidence_id` (a number within the table) → `source`, `natural_key`, `seq`, `raw_sha256`, `raw_row` of
    each fact that can be linked."""
    filings: ibis.Table
    """One row a subject, with its annual report of the year that the day's work is about."""


def read_point(house: House) -> ReadPoint:
    """The ledger's newest closed commit, and the harvests below it that are still open."""
    with house.ledger.begin() as session:
        seq = session.scalar(select(func.max(Commit.seq)).where(Commit.closed_at.is_not(None))) or 0
        unclosed = session.scalars(
            select(Commit.seq).where(Commit.closed_at.is_(None), Commit.seq < seq, Commit.kind == "harvest")
        )
        return ReadPoint(seq, tuple(sorted(unclosed)))


def views(
    house: House, connection: Connection, sources: Sequence[str], as_of: date, point: ReadPoint
) -> dict[str, ibis.Table]:
    """The state of every fact table on a day, as the district's sources tell it."""
    return {
        table.name: engine.as_of(
            connection, house.lake, table.name, as_of, seq=point.seq, without=point.unclosed, sources=sources
        )
        for table in FACTS
    }


def link(
    house: House,
    connection: Connection,
    district: District,
    as_of: date,
    point: ReadPoint,
    only: Only | None = None,
) -> Linked:
    """Links the facts of a day to the applicants of the matters that are pending on it.

    The results are kept in the engine as temporary tables, since the policy reads them many times.

    Args:
        house: where the lake is.
        connection: the engine.
        district: which sources count.
        as_of: the day.
        point: how far is read.
        only: some applicants and subjects; None: all.
    """
    known = views(house, connection, district.sources, as_of, point)
    subjects = known["subject"].filter(ibis._.uscc.notnull()).select(*SUBJECT, *_PLACE)
    subjects = engine.keep(connection, "subjects", _one_each(subjects, ["uscc"]).select(*SUBJECT))
    names = _unique_names(subjects)
    applicants = _applicants(known, subjects, names, district, as_of)
    if only is not None:
        applicants = only.of(applicants)
    applicants = engine.numbered(connection, "applicants", applicants, "applicant_id")
    for name, columns in CITED.items():
        rows = known[name] if only is None else _of_some(known[name], applicants)
        known[name] = engine.numbered(connection, name, rows.select(*columns), "evidence_id")
    reports = _credit_reports(connection, known, names if "credit_report" in district.resolve_names else None)
    reports = engine.keep(connection, "credit_reports", _with_filing(reports, known["agency"], as_of))
    consents = engine.keep(connection, "consents", _live(known["consent"], as_of))
    linked_reports = engine.keep(connection, "reports", _reports(reports, consents, applicants))
    linked_records = engine.keep(
        connection, "records", _records(house, connection, known, applicants, district, as_of, point)
    )
    linked_entries = engine.keep(connection, "entries", _entries(known, applicants))
    facts = Facts(
        applicants=applicants.select(
            "applicant_id", "test_date", "type", "procurement_form", "fund_kind", "land_method", "is_construction",
            "field", "uscc", "subject_kind",
        ),
        reports=linked_reports,
        records=linked_records,
        entries=linked_entries,
    )  # fmt: skip
    evidence = _evidence({name: known[name] for name in CITED})
    if only is not None:
        subjects = subjects.filter(subjects.uscc.isin(only.subjects.uscc))
    return Linked(applicants, facts, evidence, _filings(known, subjects, as_of))


def _of_some(facts: ibis.Table, applicants: ibis.Table) -> ibis.Table:
    """The facts that can be linked to some applicants: of their codes, handed in by them, or without a code."""
    codes = applicants.filter(applicants.uscc.notnull()).select("uscc").distinct()
    theirs = facts.uscc.isnull() | facts.uscc.isin(codes.uscc)
    return facts.filter(theirs | facts.handed_in_by.isin(codes.uscc) if "handed_in_by" in facts.columns else theirs)


def short_id(rows: ibis.Table, columns: Sequence[str]) -> ibis.Value:
    """A stable id from some columns: the first hexadecimal digits of their hash."""
    return engine.row_hash(rows, columns).left(ID_LENGTH)


def _one_each(rows: ibis.Table, keys: Sequence[str]) -> ibis.Table:
    """One row a key where several sources tell of it: the newest, then the first source by name."""
    order = ibis.row_number().over(
        group_by=list(keys), order_by=[rows.observed_on.desc(), rows.source, rows.natural_key]
    )
    return rows.mutate(_order=order).filter(ibis._._order == 0).drop("_order")


def _unique_names(subjects: ibis.Table) -> ibis.Table:
    """Names that belong to a single subject: `name_key`, `found`."""
    named = subjects.filter(subjects.name_key.notnull())
    return named.group_by("name_key").having(named.uscc.nunique() == 1).agg(found=named.uscc.max())


def _applicants(
    known: Mapping[str, ibis.Table], subjects: ibis.Table, names: ibis.Table, district: District, as_of: date
) -> ibis.Table:
    day = ibis.literal(as_of)
    matters = known["matter"]
    matters = _one_each(matters, ["matter_id"]).filter(
        matters.state == PENDING,
        matters.opened_on.isnull() | (matters.opened_on <= day),
        matters.decided_on.isnull() | (matters.decided_on > day),
    )
    applicants = _one_each(known["applicant"], ["matter_id", "applicant_no"])
    if "applicant" in district.resolve_names:
        applicants = applicants.left_join(names, "name_key").drop("name_key_right")
        gave_none = applicants.uscc_problem.isnull() | (applicants.uscc_problem == "EMPTY")
        applicants = applicants.mutate(uscc=applicants.uscc.coalesce(gave_none.ifelse(applicants.found, ibis.null())))
    rows = applicants.select(
        "matter_id",
        "applicant_no",
        "uscc",
        "name",
        "name_key",
        own_source="source",
        own_key="natural_key",
        own_seq="seq",
        own_sha256="raw_sha256",
        own_row="raw_row",
    ).inner_join(
        matters.select(
            "matter_id",
            "type",
            "department",
            "procurement_form",
            "fund_kind",
            "land_method",
            "is_construction",
            "field",
            own_test_date="test_date",
        ),
        "matter_id",
    )
    rows = rows.left_join(subjects.select("uscc", registered_kind="kind"), "uscc").drop("uscc_right")
    prefix = rows.uscc.left(2)
    by_code = ibis.cases(
        *[(prefix == start, kind) for start, kind in identity.KINDS.items()], else_=ibis.null("string")
    )
    rows = rows.mutate(
        district=ibis.literal(district.code),
        test_date=rows.own_test_date.coalesce(day),
        subject_kind=rows.registered_kind.coalesce(by_code),
    )
    return rows.mutate(advice_id=short_id(rows, ["district", "matter_id", "applicant_no"])).drop(
        "district", "registered_kind"
    )


def _credit_reports(connection: Connection, known: Mapping[str, ibis.Table], names: ibis.Table | None) -> ibis.Table:
    """The reports; without a code, the one that its exact name has alone."""
    reports = known["credit_report"]
    if names is None:
        return reports
    nameless = reports.filter(reports.uscc.isnull(), reports.subject_name.notnull())
    found = connection.to_pyarrow(nameless.select("evidence_id", "subject_name"))
    keys = identity.name_key_arrow(found["subject_name"].combine_chunks().cast(pa.large_string()))
    by_name = ibis.memtable(pa.table({"evidence_id": found["evidence_id"], "name_key": keys.cast(pa.string())}))
    resolved = by_name.inner_join(names, "name_key").select("evidence_id", "found")
    reports = reports.left_join(resolved, "evidence_id").drop("evidence_id_right")
    return reports.mutate(uscc=reports.uscc.coalesce(reports.found)).drop("found")


def _live(consents: ibis.Table, as_of: date) -> ibis.Table:
    """The consents to read a credit report that are live on a day."""
    day = ibis.literal(as_of)
    live = consents.filter(
        consents.item == REPORT_ITEM,
        consents.given_on <= day,
        consents.withdrawn_on.isnull() | (consents.withdrawn_on > day),
        consents.expires_on.isnull() | (consents.expires_on >= day),
    )
    return live.select("uscc", "matter_id", "recipient")


def _reports(reports: ibis.Table, live: ibis.Table, applicants: ibis.Table) -> ibis.Table:
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
    # Their places matter among an applicant's reports alone: over all of them, one core would sort for all others.
    order = ibis.window(group_by="applicant_id", order_by=[rows.raw_row, rows.natural_key, rows.source])
    return rows.select(
        "applicant_id", "evidence_id", "source", "agency_filed", "issue_date", "valid_to", "scale", "grade",
        position=ibis.row_number().over(order).cast("int32"),
        uscc=rows.about,
        consent_active=ibis.coalesce(*[rows[name] for name in named], False),
    )  # fmt: skip


def _with_filing(reports: ibis.Table, agencies: ibis.Table, as_of: date) -> ibis.Table:
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
    return reports.select(
        "evidence_id", "source", "natural_key", "raw_row", "issue_date", "valid_to", "scale", "grade",
        about=reports.uscc,
        for_matter=reports.matter_id,
        handed_in_by=reports.handed_in_by.coalesce(reports.uscc),
        agency_filed=reports.filed.fill_null(False),
    )  # fmt: skip


def _records(
    house: House,
    connection: Connection,
    known: Mapping[str, ibis.Table],
    applicants: ibis.Table,
    district: District,
    as_of: date,
    point: ReadPoint,
) -> ibis.Table:
    """Applicants × their records, one row a document however many sources tell of it.

    Where they differ the latest identification counts, and any repair, rectification or presence in the report.
    A repair or withdrawal once seen, in whatever source, stays: an old copy of the list that comes back without it
    must not bring the record back. (What was seen is known here and not when a source is published, since it may have
    been another source that told of it.) Withdrawn records are left out, and those whose display has ended: neither may
    be used any more.
    """
    records = known["credit_record"].filter(ibis._.uscc.notnull())
    records = records.mutate(document=records.record_no.coalesce(records.natural_key))
    seen = engine.observations(connection, house.lake, "credit_record")
    seen = seen.filter(
        seen.observed_on <= ibis.literal(as_of),
        seen.seq <= point.seq,
        ~seen.seq.isin(point.unclosed) if point.unclosed else ibis.literal(True),
        seen.source.isin(district.sources),
        seen.repaired_on.notnull() | seen.withdrawn_on.notnull(),
        ~seen.removed,
    )
    seen = seen.mutate(document=seen.record_no.coalesce(seen.natural_key))
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


def _entries(known: Mapping[str, ibis.Table], applicants: ibis.Table) -> ibis.Table:
    """Applicants × list entries: by code, and by exact name where the entry has no code."""
    entries = known["list_entry"]
    entries = entries.select(
        "evidence_id", "source", "list", "uscc", "name_key", "listed_on", "removed_on", "expires_on"
    )
    who = applicants.select("applicant_id", "uscc", "name_key")
    columns = ["applicant_id", "evidence_id", "source", "list", "uscc", "listed_on", "removed_on", "expires_on"]
    by_code = who.drop("name_key").inner_join(entries, "uscc").select(columns)
    nameless = entries.filter(entries.uscc.isnull())
    by_name = who.drop("uscc").inner_join(nameless, "name_key").select(columns)
    return by_code.union(by_name)


def _evidence(known: Mapping[str, ibis.Table]) -> ibis.Table:
    return ibis.union(
        *[
            rows.select(
                "evidence_id", "source", "natural_key", "seq", "raw_sha256", "raw_row", table=ibis.literal(name)
            )
            for name, rows in known.items()
        ]
    )  # fmt: skip


def _filings(known: Mapping[str, ibis.Table], subjects: ibis.Table, as_of: date) -> ibis.Table:
    """Subjects with their report of the year before: first submission, last correction, over all sources."""
    year = as_of.year - 1
    reports = known["annual_report"]
    reports = reports.filter(reports.report_year == year)
    reports = reports.group_by("uscc").agg(
        submitted_at=reports.submitted_at.min(), correction_at=reports.correction_at.max()
    )
    rows = subjects.left_join(reports, "uscc").drop("uscc_right")
    return rows.select(
        "uscc", "name", "kind", "state", "established", "deregistered_on", "revoked_on", "area_code", "industry",
        "submitted_at", "correction_at",
        subject_id="uscc",
        report_year=ibis.literal(year, "int32"),
        as_of=ibis.literal(as_of),
    )  # fmt: skip
