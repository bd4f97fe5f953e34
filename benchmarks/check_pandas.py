"""The same check by hand in pandas: from the lake's files to a file of findings and one of advice, equal to ours.

What pandas is good at is used: columns of Arrow text, integer positions instead of codes once rows are linked, one sort
and `reduceat` for what is combined per applicant, lists as a take from the few that occur. Clauses, effects, reasons
and the severity table are read from the policy's own files; what the conditions mean is written out below.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from check_rules import ALIASES, FLAGS, NO_END, OUTCOMES, QUIET, START, Rules

Frame = pd.DataFrame
Mask = Any

CLASSES = {"91": "企业", "92": "个体工商户", "93": "农民专业合作社"}
IN_FORCE = np.datetime64("2021-01-01")
OBSERVED = ("natural_key", "observed_on", "seq", "source", "raw_sha256", "raw_row", "removed")


class Facts:
    """The lake's fact tables on a day."""

    def __init__(self, lake: Path, day: np.datetime64) -> None:
        self.lake, self.day = lake, day

    def seen(self, table: str, *columns: str) -> Frame:
        """Everything observed up to the day."""
        files = sorted((self.lake / table / "data").glob("*.parquet"))
        parts = pa.concat_tables([pq.read_table(file, columns=[*columns, *OBSERVED]) for file in files])
        rows = parts.to_pandas(date_as_object=False)
        return rows[rows["observed_on"] <= self.day]

    def state(self, table: str, *columns: str) -> Frame:
        """The newest observation of each source's keys, without those that are gone."""
        return newest(self.seen(table, *columns))


def newest(seen: Frame) -> Frame:
    """The newest observation of each source's keys, without those that are gone."""
    rows = seen.sort_values(["observed_on", "seq"]).drop_duplicates(["source", "natural_key"], keep="last")
    return rows[~rows["removed"]]


def one_each(rows: Frame, keys: list[str]) -> Frame:
    """One row a key: the newest, then the first source by name."""
    order = rows.sort_values(["observed_on", "source", "natural_key"], ascending=[False, True, True])
    return order.drop_duplicates(keys)


def ids(*columns: Any) -> list[str]:
    """A short hash of some columns, null unlike empty."""
    return [_short(one) for one in _text(*columns).tolist()]


def parts(*columns: Any) -> pd.Series:
    """A shorter hash of some columns that repeat."""
    codes, found = pd.factorize(_text(*columns))
    return pd.Series(np.array([_short(one, 16) for one in found.tolist()], object)[codes])


def _short(text: str, digits: int = 20) -> str:
    return sha256(text.encode()).hexdigest()[:digits]


def _text(*columns: Any) -> pd.Series:
    text: Any = ""
    for column in columns:
        column = column if isinstance(column, pd.Series) else pd.Series(column)
        text = text + (column.str.len().astype("Int64").astype("string") + ":" + column).fillna("-")
    return text


def lists_of(bits: Any, names: Sequence[str]) -> pd.Series:
    """Bits as lists of words."""
    codes, found = pd.factorize(bits)
    words = [[name for place, name in enumerate(names) if one >> place & 1] for one in found.tolist()]
    taken = pa.array(words, pa.list_(pa.string())).take(pa.array(codes))
    return pd.Series(pd.arrays.ArrowExtensionArray(taken))


def run(lake: Path, policy: Path, version: str, district: str, day: date, out: Path) -> dict[str, int]:
    """From the lake's files to `finding.parquet` and `advice.parquet`. Returns the numbers of rows."""
    rules = Rules(policy)
    today = np.datetime64(day)

    facts = Facts(lake, today)
    who = _applicants(facts, rules, district, today)
    found = pd.concat(
        [_gates(who), *_reports(facts, rules, who, today), _records(facts, rules, who, today),
         _entries(facts, rules, who)],
        ignore_index=True,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    findings, advice = _findings(rules, who, found), _advice(rules, who, found, version)
    for name, rows in (("finding", findings), ("advice", advice)):
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), out / f"{name}.parquet", compression="zstd")
    return {"finding": len(findings), "advice": len(advice)}


def _applicants(facts: Facts, rules: Rules, district: str, today: np.datetime64) -> Frame:
    matters = one_each(
        facts.state("matter", "matter_id", "type", "department", "procurement_form", "fund_kind", "land_method",
              "is_construction", "test_date", "opened_on", "decided_on", "state"),
        ["matter_id"],
    )  # fmt: skip
    matters = matters[
        (matters["state"] == "待办")
        & ~(matters["opened_on"] > today)
        & (matters["decided_on"].isna() | (matters["decided_on"] > today))
    ]
    subjects = one_each(facts.state("subject", "uscc", "kind").dropna(subset=["uscc"]), ["uscc"])
    given = one_each(facts.state("applicant", "matter_id", "applicant_no", "uscc", "name", "name_key"),
                     ["matter_id", "applicant_no"])  # fmt: skip
    own = {"source": "own_source", "natural_key": "own_key", "seq": "own_seq", "raw_sha256": "own_sha256",
           "raw_row": "own_row"}  # fmt: skip
    given = given.rename(columns=own).drop(columns=["observed_on", "removed"])
    matters = matters.drop(columns=list(OBSERVED))
    rows = given.merge(matters, on="matter_id").merge(
        subjects[["uscc", "kind"]].rename(columns={"kind": "subject_kind"}), on="uscc", how="left"
    )
    rows["subject_kind"] = rows["subject_kind"].fillna(rows["uscc"].str[:2].map(CLASSES))
    rows["t"] = rows["test_date"].fillna(pd.Timestamp(today))
    kind = rows["type"].replace(ALIASES)
    construction = rows["is_construction"].eq(True) | (rows["type"] == "建设工程招投标")
    form = kind.map({kind: number for number, (kind, variant) in enumerate(rules.forms) if kind and not variant})
    form = form.fillna(0).to_numpy(int, copy=True)
    form[(kind == "招投标") & construction] = rules.form("招投标", "construction")
    form[(kind == "土地出让") & (rows["land_method"] == "招标")] = rules.form("土地出让", "tender")
    form[(kind == "政府采购") & (rows["procurement_form"] == "政府集中采购")] = rules.form("政府采购", "central")
    form[(kind == "资金扶持") & (rows["fund_kind"] == "社会福利扶贫资金")] = rules.form("资金扶持", "welfare")
    form[(kind == "资金扶持") & rows["fund_kind"].isna()] = rules.form("资金扶持", "unsaid")
    rows["form"] = form
    rows["attribute_missing"] = ((kind == "政府采购") & rows["procurement_form"].isna()) | (
        (kind == "资金扶持") & rows["fund_kind"].isna()
    )
    gates = [
        (form == 0, "gate.kind_unknown"),
        (rows["uscc"].isna(), "gate.code_invalid"),
        (rows["t"] < IN_FORCE, "gate.not_in_force"),
    ]
    rows["gate"] = np.select([fits for fits, _ in gates], [rules.number[name] for _, name in gates], 0)
    rows["advice_id"] = ids(pd.Series(district, index=rows.index, dtype="str"), rows["matter_id"], rows["applicant_no"])
    rows["a"] = np.arange(len(rows))
    return rows


def _finding(rows: Frame, line: Any, **more: Any) -> Frame:
    """Findings as numbers: applicant, line, further reasons, end; the row of evidence with its place."""
    evidence = ["source", "natural_key", "seq", "raw_sha256", "raw_row"]
    made = rows[["a", *(name for name in evidence if name in rows.columns)]].reset_index(drop=True)
    return made.assign(line=np.asarray(line), **{name: np.asarray(value) for name, value in more.items()})


def _gates(who: Frame) -> Frame:
    stopped = who.loc[who["gate"] > 0, ["a", "gate"]]
    return _finding(stopped[["a"]], stopped["gate"])


def _reports(facts: Facts, rules: Rules, who: Frame, today: np.datetime64) -> list[Frame]:
    reports = facts.state(
        "credit_report", "uscc", "agency_uscc", "issue_date", "valid_to", "scale", "grade", "matter_id", "handed_in_by"
    )  # fmt: skip
    reports = reports.sort_values(["raw_row", "natural_key", "source"])
    reports["position"] = reports["report"] = np.arange(len(reports))
    agencies = facts.state("agency", "uscc", "filed_on", "cancelled_on")
    issued = reports[["report", "agency_uscc", "issue_date"]].merge(
        agencies[["uscc", "filed_on", "cancelled_on"]], left_on="agency_uscc", right_on="uscc"
    )
    on = issued["issue_date"].fillna(pd.Timestamp(today))
    filed = issued.loc[~(issued["filed_on"] > on) & ~(issued["cancelled_on"] < on), "report"]
    reports["filed"] = reports["report"].isin(filed)
    reports["by"] = reports["handed_in_by"].fillna(reports["uscc"])
    reports = reports.rename(columns={"uscc": "about", "matter_id": "for_matter"})

    judged = who.loc[who["gate"] == 0, ["a", "uscc", "matter_id", "department", "t", "form"]]
    pairs = [
        judged.merge(reports, left_on="uscc", right_on="about"),
        judged.merge(reports[reports["by"] != reports["about"]], left_on="uscc", right_on="by"),
    ]
    rows = pd.concat(pairs, ignore_index=True)
    rows = rows[rows["for_matter"].isna() | (rows["for_matter"] == rows["matter_id"])].reset_index(drop=True)
    rows["own"] = (rows["about"] == rows["uscc"]).fillna(False).astype(bool)
    rows["consented"] = _consented(facts, rows, today)
    last = rows["valid_to"].fillna(rows["issue_date"] + pd.DateOffset(years=1))
    rows["current"] = (rows["issue_date"] <= rows["t"]) & (rows["t"] <= last)
    usable = rows["own"] & rows["filed"] & rows["consented"] & rows["current"]

    n, state_property = rules.number, rules.form("国有资产产权交易")
    good = rows[usable].sort_values(["issue_date", "position"]).drop_duplicates("a", keep="last")
    quiet = [number for number, (kind, _) in enumerate(rules.forms) if kind in QUIET]
    high = good["grade"].isin(["AAA", "AA"]).to_numpy(bool)
    high = np.where(good["scale"] == "公共信用综合评价", good["grade"] == "优", high)
    high = np.where(good["scale"] == "纳税信用", good["grade"] == "A", high)
    high = good[high.astype(bool) & ~good["form"].isin(quiet).to_numpy()]

    bad = rows[~rows["a"].isin(good["a"])]
    any_own = bad["a"].isin(bad.loc[bad["own"], "a"])
    special = bad["form"] == state_property
    problems = [
        (~bad["own"], "report.other_subject", np.where(any_own, n["state_property.other_subject"],
                                                       n["state_property.other_subject_only"])),
        (~bad["filed"], "report.agency_not_filed", n["state_property.agency_not_filed"]),
        (~bad["consented"], "report.no_consent", n["state_property.no_consent"]),
        (~bad["current"], "report.not_current", n["state_property.not_current"]),
    ]  # fmt: skip
    line = np.select([fits for fits, *_ in problems], [np.where(special, own, n[name]) for _, name, own in problems])
    none = judged[~judged["a"].isin(rows["a"])]
    missing = np.where(none["form"] == state_property, n["state_property.missing"], n["report.missing"])
    return [
        _finding(none[["a"]], missing),
        _finding(bad, line),
        _finding(high, np.full(len(high), n["incentive.high_grade"])),
    ]


def _consented(facts: Facts, rows: Frame, today: np.datetime64) -> Mask:
    """Whether the report's subject has agreed to this matter, this recipient, or both."""
    given = facts.state("consent", "uscc", "item", "matter_id", "recipient", "given_on", "withdrawn_on", "expires_on")
    given = given[
        given["uscc"].notna()
        & (given["item"] == "信用报告")
        & (given["given_on"] <= today)
        & ~(given["withdrawn_on"] <= today)
        & ~(given["expires_on"] < today)
    ]
    agreed = np.zeros(len(rows), bool)
    places = pd.DataFrame(
        {"uscc": rows["about"], "matter_id": rows["matter_id"], "recipient": rows["department"], "row": rows.index}
    )
    for names in (["matter_id", "recipient"], ["matter_id"], ["recipient"]):
        other = [name for name in ("matter_id", "recipient") if name not in names]
        fits = given[given[names].notna().all(axis=1) & given[other].isna().all(axis=1)]
        met = places.merge(fits[["uscc", *names]].drop_duplicates(), on=["uscc", *names])
        agreed[met["row"]] = True
    return agreed


def _records(facts: Facts, rules: Rules, who: Frame, today: np.datetime64) -> Frame:
    seen = facts.seen("credit_record", "record_no", "uscc", "identified_on", "rectified_confirmed_on", "repaired_on",
                      "withdrawn_on", "expires_on", "in_report")  # fmt: skip
    seen["document"] = seen["record_no"].fillna(seen["natural_key"])
    document = ["uscc", "document"]
    told = seen[(seen["repaired_on"].notna() | seen["withdrawn_on"].notna()) & ~seen["removed"]]
    ended = told.groupby(document, as_index=False).agg(
        repaired=("repaired_on", "min"), withdrawn=("withdrawn_on", "min")
    )

    records = newest(seen).dropna(subset=["uscc"])
    records["in_report"] = records["in_report"].eq(True)
    records["no_repair"] = records["repaired_on"].isna()
    records["no_confirmation"] = records["rectified_confirmed_on"].isna()
    records["evidence"] = records["source"] + "\x1f" + records["natural_key"]
    each = records.groupby(document, sort=False)
    records["identified_on"] = each["identified_on"].transform("max")
    records["in_report"] = each["in_report"].transform("any")
    records["expires_on"] = each["expires_on"].transform("min")
    confirmed = records["identified_on"].isna() | (records["rectified_confirmed_on"] >= records["identified_on"])
    records["rectified_confirmed_on"] = records["rectified_confirmed_on"].where(confirmed)
    records["rectified_confirmed_on"] = records.groupby(document)["rectified_confirmed_on"].transform("min")
    records = records.sort_values(["no_repair", "no_confirmation", "evidence"]).drop_duplicates(document)
    records = records.merge(ended, on=document, how="left")
    records = records[records["withdrawn"].isna() | (records["withdrawn"] > today)]

    judged = who.loc[who["gate"] == 0, ["a", "uscc", "t", "form", "subject_kind", "attribute_missing"]]
    rows = judged.merge(records, on="uscc")
    rows = rows[~(rows["expires_on"] < rows["t"].clip(lower=pd.Timestamp(today)))]
    rows = rows[~(rows["identified_on"] > rows["t"])]
    return _recorded(rules, rows)


def _recorded(rules: Rules, rows: Frame) -> Frame:
    """The rule that each record meets."""
    n, t = rules.number, rows["t"]
    identified, confirmed = rows["identified_on"], rows["rectified_confirmed_on"]
    repaired = rows["repaired"] <= t
    rectified = (confirmed <= t) & ~(confirmed < identified)
    end = identified + pd.DateOffset(years=1)
    form = rows["form"]
    central, welfare = rules.form("政府采购", "central"), rules.form("资金扶持", "welfare")
    funding, unsaid = rules.form("资金扶持"), rules.form("资金扶持", "unsaid")
    strict = form.isin([central, funding, unsaid])
    property_ = form == rules.form("国有资产产权交易")
    kind_known = rows["subject_kind"].isin(list(CLASSES.values()))
    branches = [
        (repaired, "record.repaired"),
        (rectified & property_, "state_property.rectified"),
        (property_, "state_property.in_file"),
        (rectified, "record.rectified"),
        ((form == central) & (t > end), "procurement.central.after_window"),
        (form == welfare, "funding.welfare"),
        (strict & ~rows["in_report"], "record.not_in_report"),
        (strict & ~kind_known, "record.kind_unknown"),
        (strict & (rows["subject_kind"] != "企业"), "record.not_enterprise"),
        ((form == central) & (t <= end), "procurement.central.in_window"),
        (form == funding, "funding.unrectified"),
    ]
    line = np.select([fits for fits, _ in branches], [n[name] for _, name in branches], n["record.unrectified"])
    remarks = np.where(identified.isna() & ~repaired, rules.bits(rules.reasons, ["IDENTIFIED_DATE_MISSING"]), 0)
    remarks |= np.where(rows["attribute_missing"] & ~rectified & ~repaired,
                        rules.bits(rules.reasons, ["MATTER_ATTRIBUTE_MISSING"]), 0)  # fmt: skip
    last_day = end.where(line == n["procurement.central.in_window"])
    return _finding(rows, line, remarks=remarks, last_day=last_day)


def _entries(facts: Facts, rules: Rules, who: Frame) -> Frame:
    entries = facts.state("list_entry", "list", "uscc", "name_key", "listed_on", "removed_on", "expires_on")
    entries = entries.rename(columns={"uscc": "entry_code"})
    who = who[["a", "uscc", "name_key", "t", "form", "gate"]]
    by_code = who.drop(columns="name_key").merge(
        entries.drop(columns="name_key").dropna(subset=["entry_code"]), left_on="uscc", right_on="entry_code"
    )
    nameless = entries[entries["entry_code"].isna()].dropna(subset=["name_key"])
    rows = pd.concat([by_code, who.merge(nameless, on="name_key").drop(columns="name_key")], ignore_index=True)
    counts = (
        (rows["gate"] == 0)
        & ~(rows["listed_on"] > rows["t"])
        & ~(rows["removed_on"] <= rows["t"])
        & ~(rows["expires_on"] < rows["t"])
    )
    column = pd.Series(rules.column).take(rows["form"]).reset_index(drop=True)
    cells = pd.DataFrame([(*key, line) for key, line in rules.cells.items()], columns=["list", "column", "cell"])
    cell = pd.DataFrame({"list": rows["list"], "column": column}).merge(cells, on=["list", "column"], how="left")[
        "cell"
    ]
    line = np.select(
        [~counts, rows["entry_code"].isna(), cell.isna()],
        [0, rules.number["list.name_only"], rules.number["list.unknown"]],
        cell.fillna(0),
    ).astype(int)
    return _finding(rows, line, last_day=rows["expires_on"])


def _numbers(rules: Rules, found: Frame) -> tuple[Any, Any, Any]:
    line = found["line"].to_numpy()
    return line, rules.written[line], rules.guarded[line]


def _findings(rules: Rules, who: Frame, found: Frame) -> Frame:
    """The findings in words: one row, or one for each reading."""
    found = found[found["line"] > 0].reset_index(drop=True)
    line, written, guarded = _numbers(rules, found)
    differs = written != guarded
    until = found["last_day"].where(pd.Series(rules.ends[line] & (written > 0), index=found.index))
    both = pd.concat([found.assign(line=line, rank=written, until=until,
                                   reading=np.where(differs, "as_written", "both")),
                      found.assign(line=line, rank=guarded, until=pd.NaT, reading="guarded")[differs]],
                     ignore_index=True)  # fmt: skip
    line = both["line"].to_numpy()
    about = who.take(both["a"]).reset_index(drop=True)
    own_clause = np.array(rules.own, object)[about["form"]]
    clause = pd.Series(np.where(pd.isna(rules.clause[line]), own_clause, rules.clause[line]), dtype="str")
    absent = both["source"].isna()
    table = pd.Series(rules.table[line], dtype="str").where(~absent)
    rule = pd.Series(rules.rule[line], dtype="str")
    gate = pd.Series(both["rank"] >= OUTCOMES.index("NOT_APPLICABLE"))
    said = parts(both["reading"], rule, clause, table)
    cites = parts(both["source"], both["natural_key"]).where(~absent, "")
    reasons = rules.reason_bits[line] | both["remarks"].fillna(0).astype(int)
    effects = np.array([None, *OUTCOMES[1:]], object)
    return pd.DataFrame(
        {
            "finding_id": [_short(one) for one in (about["advice_id"] + said + cites).tolist()],
            "advice_id": about["advice_id"],
            "matter_id": about["matter_id"],
            "applicant_no": about["applicant_no"],
            "reading": both["reading"],
            "rule": rule,
            "clause": clause,
            "effect": pd.Series(effects[both["rank"]], dtype="str"),
            "reasons": lists_of(reasons, rules.reasons),
            "flags": lists_of(rules.flag_bits[line], FLAGS),
            "until": both["until"],
            "evidence_table": table.mask(gate, "applicant"),
            "evidence_source": both["source"].mask(gate, about["own_source"]),
            "evidence_key": both["natural_key"].mask(gate, about["own_key"]),
            "evidence_seq": both["seq"].mask(gate, about["own_seq"]).astype("Int64"),
            "evidence_sha256": both["raw_sha256"].mask(gate, about["own_sha256"]),
            "evidence_row": both["raw_row"].mask(gate, about["own_row"]).astype("Int32"),
            "parameters": pd.Series(rules.used[line], dtype="str"),
        }
    ).assign(until=lambda rows: rows["until"].astype(pd.ArrowDtype(pa.date32())))


def _advice(rules: Rules, who: Frame, found: Frame, version: str) -> Frame:
    """The combined outcome of each applicant, from one sort of its findings."""
    found = found.sort_values("a", kind="stable")
    line, written, guarded = _numbers(rules, found)
    day = found["last_day"]
    number = (day.dt.year * 10000 + day.dt.month * 100 + day.dt.day).where(rules.ends[line], NO_END)
    end = number.fillna(NO_END).to_numpy(np.int64)
    where, starts = np.unique(found["a"].to_numpy(), return_index=True)

    def combined(values: Any, how: np.ufunc, nothing: int) -> Any:
        result = np.full(len(who), nothing, np.int64)
        result[where] = how.reduceat(np.asarray(values, np.int64), starts)
        return result

    step = NO_END + 1
    as_written = combined(written * step + end, np.maximum, NO_END)
    under_law = combined(guarded * step + np.where(written == guarded, end, NO_END), np.maximum, NO_END)
    reasons = combined(rules.reason_bits[line] | found["remarks"].fillna(0).astype(int), np.bitwise_or, 0)
    flags = combined(rules.flag_bits[line], np.bitwise_or, 0)
    clauses = combined(rules.clause_bits[line], np.bitwise_or, 0)
    severe = [OUTCOMES.index("EXCLUDE"), OUTCOMES.index("RESTRICT")]
    human = (who["subject_kind"] == "个体工商户").to_numpy(bool) & (
        np.isin(as_written // step, severe) | np.isin(under_law // step, severe)
    )
    flags |= np.where(human, 1 << FLAGS.index("HUMAN_DECISION"), 0)
    own = np.array([rules.bits(rules.clauses, [clause]) for clause in rules.own])[who["form"]]
    start = rules.bits(rules.clauses, [START])
    alone = who["gate"].to_numpy() == rules.number["gate.not_in_force"]
    cites = np.where(alone, start, clauses | own | start)

    def until(key: Any) -> Any:
        ends = pd.Series(key % step)
        days = pd.to_datetime(ends.where(ends != NO_END).astype("Int64").astype("string"), format="%Y%m%d")
        return days.astype(pd.ArrowDtype(pa.date32()))

    words = np.array(OUTCOMES, object)
    why = lists_of(reasons, rules.reasons)
    decided = pd.Series(words[as_written // step], dtype="str")
    return pd.DataFrame(
        {
            "advice_id": who["advice_id"], "matter_id": who["matter_id"], "applicant_no": who["applicant_no"],
            "uscc": who["uscc"], "name": who["name"], "department": who["department"], "matter_type": who["type"],
            "test_date": who["test_date"].astype(pd.ArrowDtype(pa.date32())), "leading": "as_written",
            "decision": decided, "until": until(as_written), "reasons": why,
            "as_written": decided, "as_written_until": until(as_written), "as_written_reasons": why,
            "guarded": pd.Series(words[under_law // step], dtype="str"), "guarded_until": until(under_law),
            "guarded_reasons": why, "flags": lists_of(flags, FLAGS), "cites": lists_of(cites, rules.clauses),
            "stale_sources": lists_of(np.zeros(len(who), int), ()),
            "policy": "济历城信用办〔2020〕2号", "policy_version": version,
        }
    )  # fmt: skip
