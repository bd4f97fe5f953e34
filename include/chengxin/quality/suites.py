"""The committed context of Great Expectations, made from the rules: `python -m chengxin.quality.suites`.

One suite per fact table with one expectation per rule: the rule's status column holds nothing but 0. With each suite a
validation definition and a checkpoint that also updates the data docs. The files are written as Great Expectations
itself would, with ids derived from names, so that making them again gives the same bytes.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chengxin.contracts import FACT_TABLES
from chengxin.quality import rules as rules_of

DATA_SOURCE = "prepared"
BATCH = "window"
RUN_VARIABLE = "CHENGXIN_GX_RUN"
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}
"""BASIC with no sample: neither results nor data docs hold a value of any record."""

_NAMESPACE = uuid.UUID("3b6a2f8e-6f5c-5d0e-9d0e-370112000000")
_GX_SEVERITY = {"error": "critical", "warning": "warning"}


def files(root: Path) -> dict[str, str]:
    """Every generated file of the context, by path below `great_expectations/`."""
    from great_expectations import __version__ as version

    rules = rules_of.load(rules_of.path(root))
    made = {"great_expectations.yml": _context()}
    for name, table in FACT_TABLES.items():
        suite = {
            "expectations": [_expectation(rule) for rule in rules_of.of(rules, table)],
            "id": _id("suite", name),
            "meta": {"great_expectations_version": version},
            "name": name,
            "notes": table.doc,
        }
        data = {
            "datasource": {"id": _id("source"), "name": DATA_SOURCE},
            "asset": {"id": _id("asset", name), "name": name},
            "batch_definition": {"id": _id("batch", name), "name": BATCH},
        }
        definition = {"data": data, "id": _id("definition", name), "name": name}
        definition["suite"] = {"id": _id("suite", name), "name": name}
        checkpoint = {
            "actions": [{"name": "data_docs", "site_names": [], "type": "update_data_docs"}],
            "id": _id("checkpoint", name),
            "name": name,
            "result_format": RESULT_FORMAT,
            "validation_definitions": [{"id": _id("definition", name), "name": name}],
        }
        made[f"expectations/{name}.json"] = _json(suite)
        made[f"validation_definitions/{name}.json"] = _json(definition)
        made[f"checkpoints/{name}.json"] = _json(checkpoint)
    return made


def write(root: Path) -> None:
    """Writes the context of a project."""
    for name, text in files(root).items():
        path = root / "great_expectations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _expectation(rule: rules_of.AnyRule) -> dict[str, Any]:
    return {
        "description": rule.says,
        "id": _id("expectation", rule.id),
        "kwargs": {"column": rule.id, "value_set": [0]},
        "meta": {"fields": list(rule.fields), "rule": rule.id, "severity": rule.severity},
        "severity": _GX_SEVERITY[rule.severity],
        "type": "expect_column_values_to_be_in_set",
    }


def _context() -> str:
    assets = "\n".join(
        f"""      {name}:
        type: dataframe
        id: {_id("asset", name)}
        batch_metadata: {{}}
        batch_definitions:
          {BATCH}:
            id: {_id("batch", name)}
            partitioner:"""
        for name in FACT_TABLES
    )
    return f"""# Made by `python -m chengxin.quality.suites`. Read at run time and never written: results and data docs
# go to the run folder of each harvest, ${{{RUN_VARIABLE}}}.
config_version: 4.0
config_variables_file_path:
plugins_directory:
analytics_enabled: false
data_context_id: {_id("context")}
progress_bars:
  globally: false
stores:
{_store("expectations_store", "ExpectationsStore", "expectations/")}
{_store("validation_definition_store", "ValidationDefinitionStore", "validation_definitions/")}
{_store("checkpoint_store", "CheckpointStore", "checkpoints/")}
{_store("validation_results_store", "ValidationResultsStore", f"${{{RUN_VARIABLE}}}/results/")}
expectations_store_name: expectations_store
validation_results_store_name: validation_results_store
checkpoint_store_name: checkpoint_store
data_docs_sites:
  harvest:
    class_name: SiteBuilder
    show_how_to_buttons: false
    store_backend:
      class_name: TupleFilesystemStoreBackend
      suppress_store_backend_id: true
      base_directory: ${{{RUN_VARIABLE}}}/
    site_section_builders:
      expectations:
        view: {{module_name: chengxin.quality.views, class_name: PageView}}
      validations:
        view: {{module_name: chengxin.quality.views, class_name: PageView}}
      profiling: None
    site_index_builder:
      class_name: DefaultSiteIndexBuilder
      show_cta_footer: false
      view: {{module_name: chengxin.quality.views, class_name: IndexView}}
fluent_datasources:
  {DATA_SOURCE}:
    type: pandas
    id: {_id("source")}
    assets:
{assets}
"""


def _store(name: str, kind: str, folder: str) -> str:
    return f"""  {name}:
    class_name: {kind}
    store_backend:
      class_name: TupleFilesystemStoreBackend
      suppress_store_backend_id: true
      base_directory: {folder}"""


def _id(*names: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[3])
