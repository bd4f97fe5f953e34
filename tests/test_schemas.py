"""The schemas for editors are those of the models, and the project's own files fit them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chengxin import schemas, yamlfile
from tests.conftest import ROOT

FOLDER = ROOT / "include" / schemas.FOLDER
POLICIES = sorted((ROOT / "include/policy").rglob("*.yml"))
FILES = sorted([*(ROOT / "include/sources").glob("*.yml"), *(ROOT / "include/trial/sources").glob("*.yml")])


def test_they_are_up_to_date() -> None:
    for name, text in schemas.all_schemas().items():
        assert (FOLDER / name).read_text("utf-8") == text, f"{name}: run `make docs`"


@pytest.mark.parametrize("file", [*FILES, ROOT / "include/districts/370112.yml"], ids=lambda file: file.stem)
def test_every_file_names_its_schema(file: Path) -> None:
    first = file.read_text("utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (file.parent / first.partition("=")[2]).resolve().parent == FOLDER


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: f"{file.parent.name}.{file.stem}")
def test_the_projects_policies_name_their_schemas_and_fit(file: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="comes with Airflow")
    document = next(folder for folder in file.parents if folder.parent.name == "policy")
    wanted = FOLDER / schemas.of_policy(file.relative_to(document).as_posix())
    first = file.read_text("utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (file.parent / first.partition("=")[2]).resolve() == wanted
    content = json.loads(json.dumps(yamlfile.read(file), default=str))
    schema = json.loads(wanted.read_text("utf-8"))
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "clouse": 1}, schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_projects_contracts_fit(file: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="comes with Airflow")
    schema = json.loads((FOLDER / "contract.schema.json").read_text("utf-8"))
    jsonschema.validate(json.loads(json.dumps(yamlfile.read(file))), schema)


def test_an_editor_sees_what_is_wrong() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="comes with Airflow")
    schema = json.loads((FOLDER / "contract.schema.json").read_text("utf-8"))
    good: dict[str, Any] = yamlfile.read(ROOT / "include/sources/abnormal_list.yml")
    for change in ({"moed": "full"}, {"max_age": "soon"}, {"table": "lists"}, {"columns": {"a": {"to": "nmae"}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, **change}, schema)


def test_keys_say_what_they_mean() -> None:
    schema = json.loads((FOLDER / "contract.schema.json").read_text("utf-8"))
    assert "CANNOT_TELL" in schema["properties"]["max_age"]["description"]
    assert "yuan" in schema["$defs"]["Column"]["properties"]["unit"]["description"]
    offered = {choice["const"] for choice in schema["$defs"]["Column"]["properties"]["to"]["anyOf"]}
    assert {"uscc", "listed_on", "submitted_at"} <= offered
