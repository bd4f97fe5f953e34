"""The lake's tables: names, columns, types, and what each column means.

Light on purpose (no Arrow, no Iceberg), so that contracts can be checked while a DAG file is parsed. `docs/DATA.md`
is generated from here.

Facts are observations: what a source said about a natural key, on the day it was observed. They are appended, never
updated; the state of a day is the newest observation per source and key (`engine.as_of`). Conclusions
(`finding`, `advice`, `filing_status`) are kept the same way, so an unchanged day writes no row of either. Each
published harvest leaves one row of its own, its sum (`harvest_sum`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["string", "date", "timestamp", "int", "long", "double", "money", "boolean", "strings"]
"""`timestamp` is an instant (UTC), `money` is yuan as decimal(20, 2), `strings` a sorted list of strings."""


@dataclass(frozen=True)
class Column:
    """One column. `private` marks what 四（三） keeps from logs, XCom, mails and the pages of other departments."""

    name: str
    type: Type
    doc: str
    private: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the lake: `columns` are its content, `OBSERVATION` is added to each."""

    name: str
    doc: str
    columns: tuple[Column, ...]

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Content columns, then the columns of the observation."""
        return (*self.columns, *OBSERVATION)

    def column(self, name: str) -> Column:
        """The content column of that name.

        Raises:
            KeyError: no such column.
        """
        return {column.name: column for column in self.columns}[name]


OBSERVATION = (
    Column("natural_key", "string", "the contract's key columns, joined by U+001F"),
    Column("observed_on", "date", "the day the harvest spoke for (Asia/Shanghai)"),
    Column("seq", "long", "number that the ledger gave the commit that wrote this row"),
    Column("source", "string", "the contract that brought the row (`check` for conclusions)"),
    Column("raw_sha256", "string", "the raw file that holds the source record"),
    Column("raw_row", "int", "the record's place in that file, from 0"),
    Column("row_hash", "string", "hash of the content columns: equal content, equal hash"),
    Column("removed", "boolean", "a tombstone: the key was gone on this day"),
)


def _table(name: str, doc: str, *columns: Column) -> Table:
    return Table(name, doc, columns)


SUBJECT = _table(
    "subject",
    "A market subject (市场主体) as the registry knows it.",
    Column("uscc", "string", "统一社会信用代码, 18 characters (GB 32100-2015)"),
    Column("name", "string", "registered name"),
    Column("name_key", "string", "the name normalised for exact comparison (`identity.name_key`)"),
    Column("kind", "string", "企业, 农民专业合作社, 个体工商户"),
    Column("established", "date", "date of establishment"),
    Column("state", "string", "存续, 歇业, 迁出, 吊销, 注销"),
    Column("revoked_on", "date", "吊销日期"),
    Column("deregistered_on", "date", "注销日期"),
    Column("area_code", "string", "12-, 9- or 6-digit area code of the address (GB/T 2260 and its extensions)"),
    Column("industry", "string", "GB/T 4754-2017 letter"),
    Column("address", "string", "registered address", private=True),
    Column("capital", "money", "registered capital, yuan"),
)
ANNUAL_REPORT = _table(
    "annual_report",
    "One subject's annual report for one year, from the registry's own flag (not from the public site).",
    Column("uscc", "string", "the subject's code"),
    Column("report_year", "int", "the year reported on"),
    Column("submitted_at", "timestamp", "first submission"),
    Column("correction_at", "timestamp", "last correction"),
    Column("channel", "string", "网上 or 纸质"),
    Column("is_public", "boolean", "the subject chose to publish (individual businesses may not)"),
    Column("employees", "int", "从业人数", private=True),
    Column("insured", "int", "养老保险参保人数", private=True),
    Column("total_assets", "money", "资产总额, yuan", private=True),
    Column("total_liabilities", "money", "负债总额, yuan", private=True),
    Column("equity", "money", "所有者权益合计, yuan", private=True),
    Column("revenue", "money", "营业总收入, yuan", private=True),
)
CREDIT_REPORT = _table(
    "credit_report",
    "A third-party credit report, as handed in or delivered by the agency.",
    Column("report_no", "string", "报告编号"),
    Column("uscc", "string", "the subject the report is about"),
    Column("subject_name", "string", "the subject's name on the report"),
    Column("agency_uscc", "string", "the issuing agency's code"),
    Column("agency_name", "string", "the issuing agency's name"),
    Column("issue_date", "date", "报告日期"),
    Column("valid_to", "date", "last day of validity; null: the anniversary of the issue date"),
    Column("scale", "string", "the agency's grading scale"),
    Column("grade", "string", "信用等级 on that scale", private=True),
    Column("score", "double", "信用分值", private=True),
    Column("matter_id", "string", "the matter it was handed in for; null: for any"),
    Column("handed_in_by", "string", "code of the applicant who handed it in; null: the subject itself"),
)
CREDIT_RECORD = _table(
    "credit_record",
    "An item of adverse credit information (失信信息记录).",
    Column("record_no", "string", "number of the identifying document (文书号)"),
    Column("uscc", "string", "the subject's code"),
    Column("subject_name", "string", "the subject's name on the record"),
    Column("kind", "string", "行政处罚, 合同违约, …"),
    Column("severity", "string", "轻微, 一般, 严重"),
    Column("authority", "string", "认定单位"),
    Column("identified_on", "date", "失信行为认定之日: date of the identifying document"),
    Column("published_on", "date", "date of publication"),
    Column("rectified_confirmed_on", "date", "整改合格, confirmed by the identifying body"),
    Column("rectified_self_claimed", "boolean", "the subject says it has rectified (never counts alone)"),
    Column("repaired_on", "date", "信用修复 completed: no display, sharing or use from this day"),
    Column("withdrawn_on", "date", "the identifying document was withdrawn"),
    Column("expires_on", "date", "last day of display"),
    Column(
        "in_report",
        "boolean",
        "the credit report contains it (二（二）2 and 6 speak of what the report contains)",
    ),
    Column("report_no", "string", "that report's number"),
)
LIST_ENTRY = _table(
    "list_entry",
    "One line of a section-three list.",
    Column("list", "string", "the list's name"),
    Column("uscc", "string", "the subject's code; null: the list gives a name only"),
    Column("subject_name", "string", "the name on the list"),
    Column("name_key", "string", "that name normalised for exact comparison"),
    Column("listed_on", "date", "列入日期"),
    Column("removed_on", "date", "移出日期"),
    Column("expires_on", "date", "last day the entry counts"),
    Column("reason", "string", "列入原因"),
    Column("authority", "string", "决定机关"),
    Column("doc_no", "string", "文书号 or 案号"),
)
MATTER = _table(
    "matter",
    "A pending administrative matter (行政管理事项).",
    Column("matter_id", "string", "事项编号"),
    Column("type", "string", "one of the policy's matter kinds"),
    Column("title", "string", "事项名称"),
    Column("department", "string", "code of the department that holds it"),
    Column("procurement_form", "string", "政府集中采购 or 分散采购"),
    Column("fund_kind", "string", "社会福利扶贫资金 or another"),
    Column("land_method", "string", "招标, 拍卖, 挂牌"),
    Column("is_construction", "boolean", "建设工程"),
    Column("field", "string", "one of the nine key fields of section three, if any"),
    Column("test_date", "date", "the day its facts are judged at; null: the day of the check"),
    Column("opened_on", "date", "受理日期"),
    Column("decided_on", "date", "办结日期"),
    Column("state", "string", "待办 or 办结"),
)
APPLICANT = _table(
    "applicant",
    "A subject in a matter.",
    Column("matter_id", "string", "the matter"),
    Column("applicant_no", "string", "the applicant's place in the matter, as its source numbers it"),
    Column("uscc", "string", "the applicant's code; null where the source gave none or an invalid one"),
    Column("uscc_problem", "string", "why the code is null (a reason of `identity`)"),
    Column("name", "string", "the applicant's name"),
    Column("name_key", "string", "that name normalised for exact comparison"),
    Column("role", "string", "投标人, 供应商, 申报人, 受让人, …"),
)
CONSENT = _table(
    "consent",
    "A subject's consent to pass on and use what is not public (四（三）).",
    Column("consent_id", "string", "同意书编号"),
    Column("uscc", "string", "who consents"),
    Column("item", "string", "信用报告, or the field concerned"),
    Column("matter_id", "string", "for which matter; null: for any matter of the recipient"),
    Column("recipient", "string", "code of the receiving department"),
    Column("given_on", "date", "date of consent"),
    Column("withdrawn_on", "date", "date of withdrawal: consent ends that day"),
    Column("expires_on", "date", "last day of validity"),
)
AGENCY = _table(
    "agency",
    "An enterprise credit agency filed with the branch of the People's Bank.",
    Column("uscc", "string", "the agency's code"),
    Column("name", "string", "the agency's name"),
    Column("filing_no", "string", "备案号"),
    Column("filed_on", "date", "备案日期"),
    Column("cancelled_on", "date", "备案注销日期"),
)
REJECTED = _table(
    "rejected",
    "A source record that broke an error rule, with the rule and the value. It returns by itself once it is mended "
    "at the source.",
    Column("fact_table", "string", "the fact table it was meant for"),
    Column("rule", "string", "the first rule it broke"),
    Column("rules", "strings", "every rule it broke"),
    Column("column", "string", "the source heading concerned"),
    Column(
        "value",
        "string",
        "the offending value, cut to 80 characters; personal numbers are masked",
        private=True,
    ),
    Column("reason", "string", "what is wrong with it, in words"),
)
HARVEST_SUM = _table(
    "harvest_sum",
    "The sum of one published harvest, in source records: harvested = published + unchanged + rejected + ignored. "
    "Every harvest has its row, also one that found nothing new. The natural key is the day: a day's state is its last "
    "run.",
    Column("harvest_id", "long", "the harvest's number in the ledger"),
    Column("contract_sha256", "string", "hash of the contract that it was judged by"),
    Column("harvested", "long", "records that the source handed over"),
    Column("published", "long", "records of which any fact was new or changed"),
    Column("unchanged", "long", "records of which the lake knew every fact"),
    Column("rejected", "long", "records that broke an error rule"),
    Column("ignored", "long", "records left aside: doubles, and what the contract excludes"),
    Column("tombstones", "long", "keys that were gone from the source: counted apart, being no records of it"),
    Column("new_rows", "long", "fact rows written for keys that were not known"),
    Column("changed_rows", "long", "fact rows written for known keys"),
    Column("restored_rows", "long", "fact rows written for later days, which a late harvest must not change"),
    Column("rejected_by", "string", "JSON: cause → records, adding up to `rejected`"),
    Column("ignored_by", "string", "JSON: reason → records, adding up to `ignored`"),
    Column("raw_files", "long", "raw files that it was read from"),
    Column("raw_bytes", "long", "their size"),
    Column("raw_digest", "string", "SHA-256 over the sorted SHA-256 of the raw files, each ending in a line feed"),
)
FINDING = _table(
    "finding",
    "One rule met by one applicant, with its evidence.",
    Column("finding_id", "string", "stable id: advice, rule, reading and evidence"),
    Column("advice_id", "string", "the advice it belongs to"),
    Column("matter_id", "string", "the matter"),
    Column("applicant_no", "string", "the applicant's place in the matter"),
    Column("reading", "string", "as_written, guarded, or both where the two agree"),
    Column("rule", "string", "stable rule id"),
    Column("clause", "string", "the clause of the notice, e.g. 二（二）2"),
    Column("effect", "string", "EXCLUDE … PASS; null: a reason without effect"),
    Column("reasons", "strings", "reason codes"),
    Column("flags", "strings", "CONSIDER, LEGAL_REVIEW, CURABLE, HUMAN_DECISION"),
    Column("until", "date", "last day of the effect; null: no end"),
    Column("evidence_table", "string", "the fact table of the evidence; null: the absence of any"),
    Column("evidence_source", "string", "the source of the evidence"),
    Column("evidence_key", "string", "natural key of the evidence"),
    Column("evidence_seq", "long", "seq of the evidence row"),
    Column("evidence_sha256", "string", "raw file of the evidence"),
    Column("evidence_row", "int", "place in that raw file"),
    Column("parameters", "string", "JSON: parameter id → {value, from} used by the rule"),
)
ADVICE = _table(
    "advice",
    "The combined outcome for one applicant of one matter (核查意见). It advises; a named officer decides.",
    Column("advice_id", "string", "stable id of matter and applicant"),
    Column("matter_id", "string", "the matter"),
    Column("applicant_no", "string", "the applicant's place in the matter"),
    Column("uscc", "string", "the applicant's code"),
    Column("name", "string", "the applicant's name"),
    Column("department", "string", "the department that holds the matter"),
    Column("matter_type", "string", "the matter's kind"),
    Column("test_date", "date", "the day the facts were judged at; null: the day of the check"),
    Column("leading", "string", "the reading that leads in this district"),
    Column("decision", "string", "the leading reading's outcome"),
    Column("until", "date", "the leading reading's end"),
    Column("reasons", "strings", "the leading reading's reasons"),
    Column("as_written", "string", "outcome as written"),
    Column("as_written_until", "date", "end as written"),
    Column("as_written_reasons", "strings", "reasons as written"),
    Column("guarded", "string", "outcome under current law"),
    Column("guarded_until", "date", "end under current law"),
    Column("guarded_reasons", "strings", "reasons under current law"),
    Column("flags", "strings", "all flags of its findings"),
    Column("cites", "strings", "clauses cited"),
    Column("stale_sources", "strings", "sources too old for an answer, as `source:age in days`"),
    Column("policy", "string", "policy document id"),
    Column("policy_version", "string", "hash of the policy files"),
)
FILING_STATUS = _table(
    "filing_status",
    "Where one subject stands with its annual report for one year.",
    Column("uscc", "string", "the subject's code"),
    Column("report_year", "int", "the year reported on"),
    Column(
        "status",
        "string",
        "DUE, OVERDUE, ON_TIME, LATE, NOT_DUE, EXEMPT_FIRST_YEAR, CORRECTION_TOO_LATE, REVIEW",
    ),
    Column("warn", "boolean", "DUE and OVERDUE only"),
    Column("expected_listing_by", "date", "with OVERDUE: the tenth working day after the window"),
    Column("kind", "string", "the subject's kind"),
    Column("name", "string", "the subject's name"),
    Column("area_code", "string", "area code of the address"),
    Column("industry", "string", "GB/T 4754-2017 letter"),
    Column("clause", "string", "二（一）3"),
    Column("rule", "string", "stable rule id"),
    Column("policy_version", "string", "hash of the policy files"),
)

FACTS = (
    SUBJECT, ANNUAL_REPORT, CREDIT_REPORT, CREDIT_RECORD, LIST_ENTRY, MATTER, APPLICANT, CONSENT, AGENCY,
)  # fmt: skip
CONCLUSIONS = (FINDING, ADVICE, FILING_STATUS)
TABLES = {table.name: table for table in (*FACTS, *CONCLUSIONS, REJECTED, HARVEST_SUM)}
