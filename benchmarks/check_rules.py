"""A policy's rules as arrays by number, read from its own files: what the peers of `check.py` judge with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

OUTCOMES = (
    "PASS", "PRIORITY", "REVIEW", "CANNOT_TELL", "NEED_REPORT", "RESTRICT", "EXCLUDE", "NOT_APPLICABLE", "INPUT_ERROR",
)  # fmt: skip
FLAGS = ("CONSIDER", "LEGAL_REVIEW", "CURABLE", "HUMAN_DECISION")
ALIASES = {"建设工程招投标": "招投标", "国有产权转让": "国有资产产权交易", "国有资产产权转让": "国有资产产权交易"}
START = "四（一）"
NO_END = 99999999
QUIET = ("土地出让", "国有资产产权交易", "日常监管", "食品药品安全监管")


class Rules:
    """The policy's rules as arrays by number, and what each kind of matter cites."""

    def __init__(self, folder: Path) -> None:
        yaml = YAML(typ="safe")

        def read(name: str) -> Any:
            return yaml.load((folder / name).read_text("utf-8"))

        self.reasons = sorted(read("vocabulary.yml")["reasons"])
        self.clauses = sorted(read("policy.yml")["clauses"])
        self.parameters = {
            name: values["values"][-1]
            for file in sorted((folder / "parameters").glob("*.yml"))
            for name, values in yaml.load(file.read_text("utf-8")).items()
        }
        self.number: dict[str, int] = {}
        rows: list[dict[str, Any]] = [{"rule": None, "clause": "三"}]
        matters = {matter["kind"]: matter for matter in (read(f"matters/{p.name}") for p in
                                                         sorted((folder / "matters").glob("*.yml")))}  # fmt: skip
        groups = {
            "applicant": read("rules/gates.yml")["rules"],
            "credit_report": {**read("rules/reports.yml")["rules"], **read("incentives.yml")["rules"]},
            "credit_record": dict(read("rules/records.yml")["rules"]),
        }
        for matter in matters.values():
            groups["credit_report"] |= matter.get("report_rules", {})
            groups["credit_record"] |= matter.get("rules", {})
        for table, rules in groups.items():
            rows += [{"rule": name, "table": table, **rule} for name, rule in rules.items()]
        lists = read("lists.yml")
        rows += [{"rule": lists["ids"][name], "table": "list_entry", **rule} for name, rule in lists["rules"].items()]
        self.number = {row["rule"]: number for number, row in enumerate(rows) if row["rule"]}
        self.cells: dict[tuple[str, str], int] = {}
        for listed, about in lists["lists"].items():
            cells = {kind: (effect, basis) for effect, kinds in about["cells"].items() for kind, basis in kinds.items()}
            welfare = lists["easings"]["社会福利扶贫资金"]
            for column in [*cells, "社会福利扶贫资金"]:
                effect, basis = cells[welfare["of"] if column == "社会福利扶贫资金" else column]
                line = {"rule": about["rule"], "reasons": [about["reason"]], "ends": True}
                if column == "社会福利扶贫资金" and effect in welfare["effects"]:
                    effect, basis = welfare["to"], welfare["basis"]
                    line = {"rule": welfare["rule"], "reasons": [about["reason"], welfare["adds"]]}
                severity = {"value": f"{listed} × {column} = {effect}", "reference": basis}
                for name in (listed, *about.get("aliases", ())):
                    self.cells[name, column] = len(rows)
                rows.append(
                    {**line, "clause": "三", "effect": effect, "table": "list_entry", "severity": severity,
                     "flags": [] if basis else ["LEGAL_REVIEW"]}
                )  # fmt: skip
        self.rule = np.array([row["rule"] for row in rows], object)
        self.clause = np.array([None if row["clause"] == "own" else row["clause"] for row in rows], object)
        self.table = np.array([row.get("table") for row in rows], object)
        self.written = np.array([OUTCOMES.index(row.get("effect") or "PASS") for row in rows])
        self.guarded = np.array(
            [OUTCOMES.index((row.get("guarded") or row).get("effect") or "PASS") for row in rows]
        )  # fmt: skip
        self.ends = np.array(["until" in row or row.get("ends", False) for row in rows])
        self.reason_bits = np.array([self.bits(self.reasons, row.get("reasons", ())) for row in rows])
        self.flag_bits = np.array([self.bits(FLAGS, row.get("flags", ())) for row in rows])
        self.clause_bits = np.array([self.bits(self.clauses, [c] if c else []) for c in self.clause])
        self.used = np.array([self._used(row) for row in rows], object)
        # Forms: a kind of matter, or a special case of it; each with its own clause and column of the severity table.
        special = {
            "招投标": ["construction"], "土地出让": ["tender"], "政府采购": ["central"],
            "资金扶持": ["welfare", "unsaid"],
        }  # fmt: skip
        self.forms = [(None, None)]
        self.own, self.column = ["二（一）1"], [""]
        for kind, matter in matters.items():
            for name in [None, *special.get(kind, [])]:
                variant = matter["variants"][name] if name else {}
                self.forms.append((kind, name))
                self.own.append(variant.get("clause") or matter["clause"])
                self.column.append(variant.get("lists") or matter["lists"])

    @staticmethod
    def bits(names: Sequence[str], chosen: Sequence[str]) -> int:
        """Words as bits."""
        return sum(1 << names.index(name) for name in set(chosen))

    def _used(self, row: dict[str, Any]) -> str:
        used: dict[str, Any] = {}
        for term in row.get("when", ()):
            for inner in [term["not"] if isinstance(term, dict) and "not" in term else term]:
                if isinstance(inner, dict):
                    ((_, name),) = inner.items()
                    value = self.parameters[name]
                    used[name] = {"value": value["value"], "from": str(value["from"]), "reference": value["reference"]}
        if "severity" in row:
            used["lists.severity"] = row["severity"]
        return json.dumps(used, ensure_ascii=False, sort_keys=True)

    def form(self, kind: str, variant: str | None = None) -> int:
        """The number of a form."""
        return self.forms.index((kind, variant))
