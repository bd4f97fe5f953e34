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
from sqlalchemy import func, select

from chengxin import engine, identity, linked_facts
from chengxin.collector import keeping_all
from chengxin.districts import District
from chengxin.engine import Connection, Told
from chengxin.ledger.models import Commit
from chengxin.linked_facts import REPORT_ITEM as REPORT_ITEM
from chengxin.policy.facts import Facts
from chengxin.settings import House
from chengxin.tables import FACTS

SEPARATOR = "\x1f"
PENDING = "待办"
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
    """`evidence_id` (a number) → `source`, `natural_key`, `seq`, `raw_sha256`, `raw_row` of each fact that can be
    linked."""
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
) -> dict[str, Told]:
    """What is known of every fact table on a day, as the district's sources tell it."""
    return {
        table.name: engine.told(
            connection, house.lake, table.name, as_of, seq=point.seq, without=point.unclosed, sources=sources
        )
        for table in FACTS
    }


@keeping_all()
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
    with engine.joins_as_written(connection):
        return _link(house, connection, district, as_of, point, only)


def _link(
    house: House, connection: Connection, district: District, as_of: date, point: ReadPoint, only: Only | None
) -> Linked:
    told = views(house, connection, district.sources, as_of, point)
    known = {name: about.state for name, about in told.items()}
    subjects = known["subject"].filter(ibis._.uscc.notnull()).select(*SUBJECT, *_PLACE)
    subjects = engine.keep(
        connection, "subjects", _one_each(connection, subjects, told["subject"].seen, ["uscc"]).select(*SUBJECT)
    )
    names = _unique_names(subjects)
    applicants = _applicants(connection, told, subjects, names, district, as_of)
    if only is not None:
        applicants = only.of(applicants)
    applicants = engine.numbered(connection, "applicants", applicants, "applicant_id")
    for name, columns in CITED.items():
        rows = known[name] if only is None else _of_some(known[name], applicants)
        rows = engine.numbered(connection, name, rows.select(*columns), "evidence_id")
        # One numbering for all of them.
        known[name] = rows.mutate(evidence_id=rows.evidence_id * len(CITED) + list(CITED).index(name))
    resolving = names if "credit_report" in district.resolve_names else None
    reports = linked_facts.with_codes(connection, known["credit_report"], resolving)
    reports = engine.keep(connection, "credit_reports", linked_facts.with_filing(reports, known["agency"], as_of))
    consents = engine.keep(connection, "consents", linked_facts.live(known["consent"], as_of))
    records = linked_facts.records(known["credit_record"], told["credit_record"].seen, applicants, as_of)
    facts = Facts(
        applicants=applicants.select(
            "applicant_id", "test_date", "type", "procurement_form", "fund_kind", "land_method", "is_construction",
            "field", "uscc", "subject_kind",
        ),
        reports=linked_facts.reports(reports, consents, applicants),
        records=engine.keep(connection, "records", records),
        entries=engine.keep(connection, "entries", linked_facts.entries(known["list_entry"], applicants)),
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


def _one_each(connection: Connection, rows: ibis.Table, seen: ibis.Table, keys: Sequence[str]) -> ibis.Table:
    """One row a key where several sources tell of it: the newest, then the first source by name.

    Most keys have one row. The others are sought first and by few columns, so that wide rows need no sorting; their
    keys are counted among all that was seen, so that what is newest is sought for them alone.
    """
    told = engine.repeated(rows.select(*keys, "observed_on", "source", "natural_key"), seen, keys)
    order = ibis.row_number().over(
        group_by=list(keys), order_by=[told.observed_on.desc(), told.source, told.natural_key]
    )
    others = told.mutate(_order=order).filter(ibis._._order > 0).select("source", "natural_key")
    others = engine.keep(connection, "others", others)
    return rows.anti_join(others, ["source", "natural_key"])


def _unique_names(subjects: ibis.Table) -> ibis.Table:
    """Names that belong to a single subject: `name_key`, `found`."""
    named = subjects.filter(subjects.name_key.notnull())
    return named.group_by("name_key").having(named.uscc.nunique() == 1).agg(found=named.uscc.max())


def _applicants(
    connection: Connection,
    told: Mapping[str, Told],
    subjects: ibis.Table,
    names: ibis.Table,
    district: District,
    as_of: date,
) -> ibis.Table:
    day = ibis.literal(as_of)
    matters = _one_each(connection, told["matter"].state, told["matter"].seen, ["matter_id"])
    matters = matters.filter(
        matters.state == PENDING,
        matters.opened_on.isnull() | (matters.opened_on <= day),
        matters.decided_on.isnull() | (matters.decided_on > day),
    )
    applicants = _one_each(connection, told["applicant"].state, told["applicant"].seen, ["matter_id", "applicant_no"])
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


def _evidence(known: Mapping[str, ibis.Table]) -> ibis.Table:
    return ibis.union(
        *[
            rows.select("evidence_id", "source", "natural_key", "seq", "raw_sha256", "raw_row")
            for rows in known.values()
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
