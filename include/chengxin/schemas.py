"""JSON schemas of the configuration files, for editors: `python -m chengxin.schemas` writes `include/schema/`.

A file names its schema in its first line (`# yaml-language-server: $schema=…`). An editor then completes keys, shows
what they mean and underlines faults. The loader stays the judge: it knows more than a schema can say.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from chengxin import contracts, districts, reads
from chengxin.policy import loader, model, rules
from chengxin.tables import FACTS

FOLDER = "schema"
_FIELDS = "A field of the fact table"


class _Parameters(RootModel[Mapping[str, model.Parameter]]):
    """Values by date: `parameters/<subject>.yml`."""


class _Policy(GenerateJsonSchema):
    """Conditions are read by the vocabulary, which says more than a schema can."""

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        """Any of the shapes in which a condition is written."""
        return {"type": ["string", "object", "array"], "description": "A condition: see vocabulary.yml and POLICY.md"}


_UNDER: dict[str, type[BaseModel]] = {"matters": model.Matter, "parameters": _Parameters, "cases": model.Cases}
"""Folder of a policy → what each file in it is."""

_ELSEWHERE = (("chengxin.policy", rules), ("chengxin.contracts", reads))
"""Models' module → another one that parts of them stand in."""


def all_schemas() -> dict[str, str]:
    """File name → text, for every kind of file that has a schema."""
    contract = _schema(contracts.Contract, "A source contract (include/sources/<source>.yml)")
    _name_the_tables(contract)
    found = {
        "contract.schema.json": contract,
        "district.schema.json": _schema(districts.District, "A district (include/districts/<code>.yml)"),
    }
    for path, kind in [*loader.SINGLE.values(), *((f"{folder}/<name>.yml", kind) for folder, kind in _UNDER.items())]:
        found[of_policy(path)] = _schema(kind, f"{path} of a policy (include/policy/<document>)")
    return {name: json.dumps(schema, ensure_ascii=False, indent=2) + "\n" for name, schema in found.items()}


def of_policy(path: str) -> str:
    """The schema of a policy's file, from its path within the policy.

    >>> of_policy("rules/gates.yml"), of_policy("matters/funding.yml")
    ('policy/rules.gates.schema.json', 'policy/matters.schema.json')
    """
    folder = path.rpartition("/")[0]
    kind = folder if folder in _UNDER else path.removesuffix(".yml").replace("/", ".")
    return f"policy/{kind}.schema.json"


def write(include: Path) -> list[Path]:
    """Writes the schemas below `include/`."""
    folder = include / FOLDER
    folder.mkdir(exist_ok=True)
    files = []
    for name, text in all_schemas().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
        files.append(folder / name)
    return files


def _schema(kind: type[BaseModel], title: str) -> dict[str, Any]:
    schema = kind.model_json_schema(by_alias=True, mode="validation", schema_generator=_Policy)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = title
    _describe(schema, kind)
    for name, part in schema.get("$defs", {}).items():
        found = _models(kind).get(name)
        if found is not None:
            _describe(part, found)
    return schema


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Adds what the source says below each field."""
    said: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel and not issubclass(base, RootModel):
            said |= _docstrings(base)
    for name, field in model.model_fields.items():
        part = schema.get("properties", {}).get(field.alias or name)
        if part is not None and name in said:
            part["description"] = said[name]


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(tree, ast.ClassDef)
    return {
        one.target.id: " ".join(inspect.cleandoc(after.value.value).split())
        for one, after in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
    }


def _models(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    elsewhere = (part for package, part in _ELSEWHERE if model.__module__.startswith(package))
    modules = [inspect.getmodule(model), *elsewhere]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, BaseModel)
    }


def _name_the_tables(schema: dict[str, Any]) -> None:
    """Editors offer the fact tables, and say for each field which tables have it."""
    names = [table.name for table in FACTS]
    schema["properties"]["table"]["enum"] = names
    schema["$defs"]["Child"]["properties"]["table"]["enum"] = names
    fields: dict[str, list[str]] = {}
    for table in FACTS:
        for column in table.columns:
            fields.setdefault(column.name, []).append(f"{table.name}: {column.doc}")
    schema["$defs"]["Column"]["properties"]["to"] |= {
        "anyOf": [{"const": name, "description": "; ".join(where)} for name, where in sorted(fields.items())],
        "description": _FIELDS,
    }
    schema["$defs"]["Column"]["properties"]["to"].pop("type", None)


if __name__ == "__main__":
    for file in write(Path(__file__).resolve().parents[1]):
        print(file)  # noqa: T201
