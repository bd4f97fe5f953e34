"""The same policy as a decision graph (JDM) for zen-engine, one applicant at a time.

What fits honestly: the form of the matter, the gates, the rule that each report, record and list entry meets, the grade
of the report that is read, and the outcome of both readings with its end and reasons. Findings in words, clauses and
the places of evidence stay out. Linking is done beforehand: an applicant arrives with its reports, records and entries
as nested lists, days as numbers (20260615), on which an anniversary is an addition of 10000, whatever the calendar.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from check_rules import ALIASES, NO_END, OUTCOMES, QUIET, Rules

T, FORM = "$nodes.Forms.t", "$nodes.Forms.form"


def graph(rules: Rules) -> str:
    """The decision graph as JSON."""
    nodes = [
        {"id": "request", "name": "request", "type": "inputNode", "content": {}},
        _table("Forms", _forms(rules), ["type", "procurement_form", "fund_kind", "land_method", "is_construction"]),
        _table("Gates", _gates(rules), [""]),
        {"id": "Stop", "name": "Stop", "type": "switchNode",
         "content": {"hitPolicy": "first", "statements": [{"id": "stopped", "condition": "gate > 0"},
                                                          {"id": "judged", "condition": ""}]}},
        _expressions("Stopped", written=f"gate * {NO_END + 1} + {NO_END}", guarded=f"gate * {NO_END + 1} + {NO_END}",
                     reasons="gate_reasons"),
        _expressions("Own", keep=True, any_own="some(reports, #.own)"),
        _table("Reports", _reports(rules), [FORM, ""], loop="reports"),
        _expressions("Usable", keep=True, usable="filter(reports, #.usable)"),
        _expressions("Place", keep=True, place="len(usable) > 0 ? max(map(usable, #.place)) : null"),
        _expressions("Read", keep=True, read="len(usable) > 0 ? filter(usable, #.place == place)[0] : {scale: null}"),
        _table("Incentive", _incentive(rules), ["form", "read.scale", "read.grade"]),
        _table("Records", _records(rules), [FORM, ""], loop="records"),
        _table("Entries", _entries(rules), ["$nodes.Forms.column", "list", ""], loop="lists"),
        _expressions(
            "Found", keep=True,
            found="flatMap([len(usable) > 0 ? [] : reports, records, lists, ["
            + _row(rules, "0") + ", incentive, "
            + f"len(reports) > 0 ? {_row(rules, '0')} : "
            + f"(form == {rules.form('国有资产产权交易')} ? {_row(rules, 'state_property.missing')}"
            + f" : {_row(rules, 'report.missing')})]], #)",
        ),
        _expressions(
            "Outcome",
            written=f"max(map(found, #.written * {NO_END + 1} + #.end))",
            guarded=f"max(map(found, #.guarded * {NO_END + 1} + (#.written == #.guarded ? #.end : {NO_END})))",
            reasons="flatMap(found, #.reasons)",
        ),
        {"id": "response", "name": "response", "type": "outputNode", "content": {}},
    ]  # fmt: skip
    way = ["request", "Forms", "Gates", "Stop"]
    judged = [
        "Own",
        "Reports",
        "Usable",
        "Place",
        "Read",
        "Incentive",
        "Records",
        "Entries",
        "Found",
        "Outcome",
        "response",
    ]
    steps: list[tuple[str, str, str | None]] = [(a, b, None) for a, b in pairwise(way)]
    steps += [("Stop", "Stopped", "stopped"), ("Stopped", "response", None), ("Stop", "Own", "judged")]
    steps += [(a, b, None) for a, b in pairwise(judged)]
    edges = [
        {"id": f"e{number}", "sourceId": a, "targetId": b, "type": "edge", **({"sourceHandle": by} if by else {})}
        for number, (a, b, by) in enumerate(steps)
    ]
    return json.dumps({"nodes": nodes, "edges": edges}, ensure_ascii=False)


def answer(result: dict[str, Any]) -> tuple[str, int, str, int, tuple[str, ...]]:
    """What the graph says, as it can be compared: outcome and end of each reading, and the reasons."""
    written, guarded = int(result["written"]), int(result["guarded"])
    step = NO_END + 1
    reasons = tuple(sorted(set(result["reasons"])))
    return OUTCOMES[written // step], written % step, OUTCOMES[guarded // step], guarded % step, reasons


Row = tuple[list[str], dict[str, str]]


def _table(name: str, rows: list[Row], fields: list[str], loop: str | None = None) -> dict[str, Any]:
    """A decision table: the first row counts whose conditions fit; an empty one always does."""
    outputs = list(dict.fromkeys(key for _, made in rows for key in made))
    content = {
        "hitPolicy": "first",
        "passThrough": True,
        "inputs": [{"id": f"i{n}", "name": field or "condition", "field": field} for n, field in enumerate(fields)],
        "outputs": [{"id": f"o{n}", "name": key, "field": key} for n, key in enumerate(outputs)],
        "rules": [
            {"_id": f"r{number}", **{f"i{n}": text for n, text in enumerate(conditions)},
             **{f"o{n}": made.get(key, "") for n, key in enumerate(outputs)}}
            for number, (conditions, made) in enumerate(rows)
        ],
        **({"inputField": loop, "outputPath": loop, "executionMode": "loop"} if loop else {}),
    }  # fmt: skip
    return {"id": name, "name": name, "type": "decisionTableNode", "content": content}


def _expressions(name: str, *, keep: bool = False, **made: str) -> dict[str, Any]:
    expressions = [{"id": key, "key": key, "value": value} for key, value in made.items()]
    return {"id": name, "name": name, "type": "expressionNode",
            "content": {"passThrough": keep, "expressions": expressions}}  # fmt: skip


def _text(value: str | None) -> str:
    return "null" if value is None else json.dumps(value, ensure_ascii=False)


def _line(rules: Rules, line: int, end: str | None = None) -> dict[str, str]:
    """What a rule gives, as cells."""
    reasons = [name for place, name in enumerate(rules.reasons) if int(rules.reason_bits[line]) >> place & 1]
    return {
        "written": str(rules.written[line]),
        "guarded": str(rules.guarded[line]),
        "end": end if end and rules.ends[line] else str(NO_END),
        "reasons": json.dumps(reasons),
    }


def _row(rules: Rules, rule: str) -> str:
    """The same as one object; `0`: nothing."""
    made = _line(rules, rules.number.get(rule, 0))
    return "{" + ", ".join(f"{key}: {value}" for key, value in made.items()) + "}"


def _forms(rules: Rules) -> list[Row]:
    special = {
        ("招投标", "construction"): ["", "", "", "true"],
        ("土地出让", "tender"): ["", "", _text("招标"), ""],
        ("政府采购", "central"): [_text("政府集中采购"), "", "", ""],
        ("资金扶持", "welfare"): ["", _text("社会福利扶贫资金"), "", ""],
        ("资金扶持", "unsaid"): ["", "null", "", ""],
    }

    def made(number: int, missing: str = "false") -> dict[str, str]:
        return {"form": str(number), "column": _text(rules.column[number]), "missing": missing}

    rows: list[Row] = [([_text("建设工程招投标"), "", "", "", ""], made(rules.form("招投标", "construction")))]
    for (kind, variant), conditions in special.items():
        missing = "true" if variant == "unsaid" else "false"
        rows.append(([_text(kind), *conditions], made(rules.form(kind, variant), missing)))
    rows.append(([_text("政府采购"), "null", "", "", ""], made(rules.form("政府采购"), "true")))
    names = {kind: kind for kind, variant in rules.forms if kind and not variant} | ALIASES
    rows += [([_text(name), "", "", "", ""], made(rules.form(kind))) for name, kind in names.items()]
    return [*rows, (["", "", "", "", ""], made(0))]


def _gates(rules: Rules) -> list[Row]:
    names = {
        "gate.kind_unknown": "form == 0",
        "gate.code_invalid": "code == null",
        "gate.not_in_force": "t < 20210101",
    }
    rows: list[Row] = []
    for name, condition in names.items():
        line = _line(rules, rules.number[name])
        rows.append(([condition], {"gate": line["written"], "gate_reasons": line["reasons"]}))
    return [*rows, ([""], {"gate": "0", "gate_reasons": "[]"})]


def _reports(rules: Rules) -> list[Row]:
    special = rules.form("国有资产产权交易")
    last = "(valid_to != null ? valid_to : issued + 10000)"
    problems = [
        ("not own and not $nodes.Own.any_own", "state_property.other_subject_only", "report.other_subject"),
        ("not own", "state_property.other_subject", "report.other_subject"),
        ("not filed", "state_property.agency_not_filed", "report.agency_not_filed"),
        ("not consented", "state_property.no_consent", "report.no_consent"),
        (f"issued == null or issued > {T} or {T} > {last}", "state_property.not_current", "report.not_current"),
    ]
    rows: list[Row] = []
    for condition, own, common in problems:
        rows.append(([str(special), condition], {**_line(rules, rules.number[own]), "usable": "false"}))
        rows.append((["", condition], {**_line(rules, rules.number[common]), "usable": "false"}))
    return [*rows, (["", ""], {**_line(rules, 0), "usable": "true"})]


def _incentive(rules: Rules) -> list[Row]:
    quiet = [number for number, (kind, _) in enumerate(rules.forms) if kind in QUIET]
    high, none = {"incentive": _row(rules, "incentive.high_grade")}, {"incentive": _row(rules, "0")}
    return [
        ([", ".join(map(str, quiet)), "", ""], none),
        (["", _text("公共信用综合评价"), _text("优")], high),
        (["", _text("公共信用综合评价"), ""], none),
        (["", _text("纳税信用"), _text("A")], high),
        (["", _text("纳税信用"), ""], none),
        (["", "", '"AAA", "AA"'], high),
        (["", "", ""], none),
    ]


def _records(rules: Rules) -> list[Row]:
    central, welfare = rules.form("政府采购", "central"), rules.form("资金扶持", "welfare")
    funding, unsaid = rules.form("资金扶持"), rules.form("资金扶持", "unsaid")
    special, strict = rules.form("国有资产产权交易"), f"{central}, {funding}, {unsaid}"
    kind = "$nodes.Forms.subject_kind"
    repaired = f"repaired != null and repaired <= {T}"
    rectified = f"confirmed != null and confirmed <= {T} and (identified == null or confirmed >= identified)"
    known = f'{kind} == "企业" or {kind} == "农民专业合作社" or {kind} == "个体工商户"'
    branches = [
        ("", repaired, "record.repaired"),
        (str(special), rectified, "state_property.rectified"),
        (str(special), "", "state_property.in_file"),
        ("", rectified, "record.rectified"),
        (str(central), f"identified != null and {T} > identified + 10000", "procurement.central.after_window"),
        (str(welfare), "", "funding.welfare"),
        (strict, "not in_report", "record.not_in_report"),
        (strict, f"not ({known})", "record.kind_unknown"),
        (strict, f'{kind} != "企业"', "record.not_enterprise"),
        (str(central), "identified != null", "procurement.central.in_window"),
        (str(funding), "", "funding.unrectified"),
        ("", "", "record.unrectified"),
    ]
    rows: list[Row] = []
    for form, condition, rule in branches:
        line = _line(rules, rules.number[rule], "(identified + 10000)")
        undated = rule != "record.repaired"
        missing = undated and "rectified" not in rule.replace("unrectified", "")
        further = []
        if undated:
            further.append('identified == null ? ["IDENTIFIED_DATE_MISSING"] : []')
        if missing:
            further.append('$nodes.Forms.missing ? ["MATTER_ATTRIBUTE_MISSING"] : []')
        reasons = f"flatMap([{', '.join([line['reasons'], *further])}], #)" if further else line["reasons"]
        rows.append(([form, condition], {**line, "reasons": reasons}))
    return rows


def _entries(rules: Rules) -> list[Row]:
    ended = f"(removed != null and removed <= {T}) or (expires != null and expires < {T})"
    counts = f"(listed != null and listed > {T}) or {ended}"
    rows: list[Row] = [
        (["", "", counts], _line(rules, 0)),
        (["", "", "by_name"], _line(rules, rules.number["list.name_only"])),
    ]
    end = f"(expires != null ? expires : {NO_END})"
    for (name, column), line in rules.cells.items():
        rows.append(([_text(column), _text(name), ""], _line(rules, line, end)))
    return [*rows, (["", "", ""], _line(rules, rules.number["list.unknown"]))]
