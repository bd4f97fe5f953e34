"""The desk's tables: what the pages show of the lake, indexed for being looked up.

Everything here is made from the lake and can be made again from it (`chengxin.desk.refresh`). No private column of
`chengxin.tables` stands here, in whatever form (四（三）): who may see those asks the lake, with a purpose.

A subject is known by `ref`, 24 hexadecimal digits of an HMAC of its code under the house's key, and within the desk
by `subject_id`, a number made of the same HMAC. Both stay the same when the desk is made again. Only a `ref` may stand
in an address; so it is with a matter's `ref`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    text,
)

from chengxin.policy.vocabulary import RANK

metadata = MetaData()

OUTCOMES = tuple(RANK)
"""The outcomes of an advice, the mildest first."""

_SERIAL = BigInteger().with_variant(Integer, "sqlite")
# A prefix is looked up as a range, which needs plain order on every database.
_PLAIN = String().with_variant(String(collation="C"), "postgresql")


def counter(outcome: str) -> str:
    """The column of `matter` that counts the applicants with an outcome: `n_pass`, `n_restrict`, …"""
    return f"n_{outcome.lower()}"


state = Table(
    "desk_state",
    metadata,
    Column("name", String(32), primary_key=True, doc="`cursor`, the only row"),
    Column("seq", BigInteger, nullable=False, doc="commits up to this number are in…"),
    Column("waiting", JSON, nullable=False, doc="… without these: they were not closed yet"),
    Column("tables", String(64), nullable=False, doc="hash of these definitions"),
    Column("basis", String(64), nullable=False, doc="hash of what the rows are made by: sources, routes, key"),
    Column("refreshed_at", String(32), doc="instant of the last refresh that changed something, ISO"),
    Column("built_at", String(32), doc="instant at which all was made anew, ISO"),
)

subject = Table(
    "desk_subject",
    metadata,
    Column("subject_id", BigInteger, primary_key=True, autoincrement=False),
    Column("ref", String(24), nullable=False, doc="for addresses"),
    Column("uscc", String(18), nullable=False),
    Column("registered", Boolean, nullable=False, doc="the registry knows it; else the other columns are empty"),
    Column("name", Text, doc="registered name; of an unregistered one, a name that a source gave with its code"),
    Column("name_key", _PLAIN, doc="the name for exact comparison (`identity.name_key`)"),
    Column("kind", String(32)),
    Column("state", String(16)),
    Column("established", Date),
    Column("revoked_on", Date),
    Column("deregistered_on", Date),
    Column("area_code", String(12)),
    Column("street", String(32), doc="department code of the street office; empty: no route fits the address"),
    Column("industry", String(1)),
    Column("capital", Numeric(20, 2)),
    Column("gone", Boolean, nullable=False, doc="its source no longer has it"),
    Column("observed_on", Date),
    Column("seq", BigInteger),
    Index("ix_desk_subject_ref", "ref", unique=True),
    Index("ix_desk_subject_uscc", "uscc", unique=True),
    Index("ix_desk_subject_name", "name_key", "subject_id"),
)

event = Table(
    "desk_event",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("subject_id", BigInteger, doc="null: of a matter, or of somebody whose code nobody gave"),
    Column("fact", String(32), nullable=False, doc="table of the lake"),
    Column("source", String(64), nullable=False),
    Column("key_id", BigInteger, nullable=False, doc="hash of table, source and natural key (`ids.key_id`)"),
    Column("observed_on", Date, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False, doc="gone at the source on this day"),
    Column("public", Boolean, nullable=False, doc="a public fact; else for the matter's or the named department only"),
    Column("matter_id", String(128)),
    Column("department", String(32), doc="whom a consent names as recipient"),
    Column("document", BigInteger, doc="hash of what is one thing under every source (a record's document)"),
    Column("ended_on", Date, doc="repaired or withdrawn: from this day no source's word of the document is shown"),
    Column("lapsed_on", Date, doc="first day after its time, where this is the newest word of the key"),
    Column("raw_sha256", String(64)),
    Column("raw_row", Integer),
    Column("content", Text, doc="JSON: the fact's public columns, empty ones left out"),
    Index("ix_desk_event_subject", "subject_id"),
    Index("ix_desk_event_key", "key_id"),
    Index(
        "ix_desk_event_matter",
        "matter_id",
        sqlite_where=text("matter_id IS NOT NULL"),
        postgresql_where=text("matter_id IS NOT NULL"),
    ),
    Index(
        "ix_desk_event_document",
        "document",
        sqlite_where=text("document IS NOT NULL"),
        postgresql_where=text("document IS NOT NULL"),
    ),
)

matter = Table(
    "desk_matter",
    metadata,
    Column("matter_id", String(128), primary_key=True),
    Column("ref", String(24), nullable=False, doc="for addresses"),
    Column("title", Text),
    Column("type", String(64)),
    Column("department", String(32)),
    Column("procurement_form", String(64)),
    Column("fund_kind", String(64)),
    Column("land_method", String(64)),
    Column("is_construction", Boolean),
    Column("field", String(64)),
    Column("test_date", Date),
    Column("opened_on", Date),
    Column("decided_on", Date),
    Column("state", String(16), doc="待办 or 办结"),
    Column("gone", Boolean, nullable=False, doc="its source no longer has it"),
    Column("observed_on", Date),
    Column("seq", BigInteger),
    Column("source", String(64)),
    Column("raw_sha256", String(64)),
    Column("raw_row", Integer),
    Column("sort_on", Date, nullable=False, doc="the day it is ordered by: opened, else first seen"),
    Column("applicants", Integer, nullable=False, doc="applicants with advice"),
    Column("severity", Integer, nullable=False, doc="rank of the severest advice; -1: none yet"),
    *[Column(counter(outcome), Integer, nullable=False) for outcome in OUTCOMES],
    Index("ix_desk_matter_ref", "ref", unique=True),
    Index("ix_desk_matter_sort", "sort_on", "matter_id"),
    Index("ix_desk_matter_department", "department", "sort_on", "matter_id"),
    # Holds all that the counts above a filtered list are made of: a fifth of the table's bytes.
    Index("ix_desk_matter_counts", "state", "department", "type", "sort_on", "gone", *map(counter, OUTCOMES)),
)

matter_count = Table(
    "desk_matter_count",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("department", String(32)),
    Column("type", String(64)),
    Column("state", String(16)),
    Column("matters", Integer, nullable=False),
    *[Column(counter(outcome), Integer, nullable=False, doc="applicants") for outcome in OUTCOMES],
)

applicant = Table(
    "desk_applicant",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("matter_id", String(128), nullable=False),
    Column("applicant_no", String(64), nullable=False),
    Column("subject_id", BigInteger),
    Column("name", Text),
    Column("role", String(64)),
    Column("uscc_problem", String(32)),
    Column("gone", Boolean, nullable=False),
    Column("observed_on", Date),
    Index("ix_desk_applicant_matter", "matter_id"),
    Index("ix_desk_applicant_subject", "subject_id"),
)

advice = Table(
    "desk_advice",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("advice_id", String(32), nullable=False),
    Column("matter_id", String(128), doc="null with a tombstone"),
    Column("applicant_no", String(64)),
    Column("subject_id", BigInteger, doc="null: the applicant's code is not known"),
    Column("name", Text, doc="the applicant's name"),
    Column("department", String(32)),
    Column("matter_type", String(64)),
    Column("test_date", Date),
    Column("leading", String(16)),
    Column("decision", String(16)),
    Column("until", Date),
    Column("reasons", JSON),
    Column("as_written", String(16)),
    Column("as_written_until", Date),
    Column("as_written_reasons", JSON),
    Column("guarded", String(16)),
    Column("guarded_until", Date),
    Column("guarded_reasons", JSON),
    Column("flags", JSON),
    Column("cites", JSON),
    Column("stale_sources", JSON),
    Column("policy", String(64)),
    Column("policy_version", String(64)),
    Column("observed_on", Date, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False, doc="withdrawn on this day: the matter was closed, or it left it"),
    Column("latest", Boolean, nullable=False, doc="what was last said; one row an advice"),
    Column("stands", Boolean, nullable=False, doc="last said, and not withdrawn since"),
    Index("ix_desk_advice_id", "advice_id"),
    Index("ix_desk_advice_matter", "matter_id", "latest"),
    Index("ix_desk_advice_subject", "subject_id", "latest"),
    Index("ix_desk_advice_day", "observed_on", "department"),
)

finding = Table(
    "desk_finding",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("finding_id", String(32), nullable=False),
    Column("advice_id", String(32)),
    Column("reading", String(16)),
    Column("rule", String(128)),
    Column("clause", String(64)),
    Column("effect", String(16)),
    Column("reasons", JSON),
    Column("flags", JSON),
    Column("until", Date),
    Column("evidence_fact", String(32), doc="table of the evidence; null: it rests on the absence of any"),
    Column("evidence_source", String(64)),
    Column("evidence_key_id", BigInteger, doc="`event.key_id` of the evidence"),
    Column("evidence_seq", BigInteger),
    Column("evidence_sha256", String(64)),
    Column("evidence_row", Integer),
    Column("parameters", JSON, doc="parameter id → {value, from}"),
    Column("observed_on", Date, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False),
    Index("ix_desk_finding_id", "finding_id"),
    Index("ix_desk_finding_advice", "advice_id"),
)

filing = Table(
    "desk_filing",
    metadata,
    Column("subject_id", BigInteger, primary_key=True, autoincrement=False),
    Column("report_year", Integer, primary_key=True),
    Column("status", String(24), nullable=False),
    Column("warn", Boolean, nullable=False),
    Column("street", String(32), nullable=False, doc="as in `subject`"),
    Column("kind", String(32)),
    Column("industry", String(1)),
    Column("name_key", _PLAIN, doc="the order of lists"),
    Column("expected_listing_by", Date),
    Column("observed_on", Date, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Index("ix_desk_filing_list", "report_year", "status", "street", "name_key", "subject_id"),
    Index("ix_desk_filing_names", "report_year", "status", "name_key", "subject_id"),
)

filing_count = Table(
    "desk_filing_count",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("report_year", Integer, nullable=False),
    Column("day", Date, nullable=False, doc="a day on which something changed; it holds until the next one"),
    Column("street", String(32), doc="null: all streets and kinds together"),
    Column("kind", String(32)),
    Column("status", String(24), nullable=False),
    Column("subjects", Integer, nullable=False),
    Index("ix_desk_filing_count", "report_year", "street", "day"),
)

consent = Table(
    "desk_consent",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("subject_id", BigInteger, nullable=False),
    Column("key_id", BigInteger, nullable=False),
    Column("consent_id", String(128)),
    Column("item", String(64)),
    Column("matter_id", String(128)),
    Column("recipient", String(64)),
    Column("given_on", Date),
    Column("withdrawn_on", Date),
    Column("expires_on", Date),
    Column("source", String(64)),
    Column("seq", BigInteger),
    Index("ix_desk_consent_subject", "subject_id"),
    Index("ix_desk_consent_key", "key_id"),
)

report = Table(
    "desk_report",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("subject_id", BigInteger, nullable=False, doc="whom the report is about"),
    Column("key_id", BigInteger, nullable=False),
    Column("report_no", String(128)),
    Column("agency_uscc", String(18)),
    Column("issue_date", Date),
    Column("valid_to", Date, doc="null: the anniversary of the issue date"),
    Column("matter_id", String(128), doc="handed in for this matter; null: for any"),
    Column("source", String(64)),
    Column("seq", BigInteger),
    Index("ix_desk_report_subject", "subject_id"),
    Index("ix_desk_report_key", "key_id"),
)

agency = Table(
    "desk_agency",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("uscc", String(18), nullable=False),
    Column("name", Text),
    Column("filing_no", String(64)),
    Column("filed_on", Date, doc="null: filed all along"),
    Column("cancelled_on", Date),
    Index("ix_desk_agency_uscc", "uscc"),
)

rejected = Table(
    "desk_rejected",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("source", String(64), nullable=False),
    Column("fact", String(32), nullable=False, doc="the fact table it was meant for"),
    Column("rule", String(64), nullable=False, doc="the first rule it broke"),
    Column("rules", JSON),
    Column("column", String(128), doc="the source heading concerned"),
    Column("reason", Text),
    Column("key_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False, doc="the harvest's commit"),
    Column("seen_on", Date, nullable=False, doc="rejected from this day"),
    Column("gone_on", Date, doc="mended, gone or told otherwise from this day"),
    Column("raw_sha256", String(64)),
    Column("raw_row", Integer),
    Index("ix_desk_rejected_cause", "source", "rule", "seen_on"),
    Index("ix_desk_rejected_key", "key_id"),
)
