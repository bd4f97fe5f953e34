"""Reads a policy document's folder and refuses what does not hold together.

A fault names the file, the key and the remedy. Each file has its own shape (`model`, `rules`); what must hold across
files is checked by `coherence`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from chengxin import yamlfile
from chengxin.districts import District
from chengxin.errors import ConfigError
from chengxin.policy import coherence, model, rules
from chengxin.policy.coherence import rules_of
from chengxin.policy.model import Case, Matter, Parameter, Policy

SINGLE: dict[str, tuple[str, type[BaseModel]]] = {
    "document": ("policy.yml", model.Document),
    "words": ("vocabulary.yml", model.Words),
    "gates": ("rules/gates.yml", rules.GateRules),
    "reports": ("rules/reports.yml", rules.ReportRules),
    "records": ("rules/records.yml", rules.RecordRules),
    "stale": ("rules/staleness.yml", rules.StaleRules),
    "incentives": ("incentives.yml", rules.IncentiveRules),
    "lists": ("lists.yml", rules.Lists),
    "annual": ("annual_report.yml", rules.Annual),
    "sharing": ("sharing.yml", rules.Sharing),
    "access": ("access.yml", rules.Access),
    "duties": ("duties.yml", rules.Duties),
}
"""Part of the policy → its file and model."""

__all__ = ["load", "rules_of", "with_values"]

FOLDERS = ("matters", "parameters", "cases")


def load(folder: Path, district: District | None = None) -> Policy:
    """The policy of a folder, with a district's values in place.

    Args:
        folder: the document's folder.
        district: whose parameter values and leading reading to use; None: the document's own.

    Raises:
        ConfigError: a file that cannot be used, or files that do not fit together.
    """
    files = _files(folder, ())
    matters, parameters, cases = _matters(files), _parameters(files), _cases(files)
    parts: dict[str, Any] = {
        name: yamlfile.load(_file(files, path, folder), kind) for name, (path, kind) in SINGLE.items()
    }
    for matter in matters.values():
        cases = [*cases, *matter.cases]
    policy = Policy(
        folder=folder.name,
        parameters=parameters,
        matters=matters,
        cases=tuple(cases),
        version="",
        **parts,
    )
    if district is not None:
        policy = _adapt(policy, district)
    coherence.check(policy, folder)
    return replace(policy, version=_version(policy))


def with_values(policy: Policy, values: Mapping[str, object], where: str) -> Policy:
    """The policy with other values for some parameters.

    Args:
        policy: the policy.
        values: parameter id → `{values: [...]}`, or the list itself, each value with its `from` and `reference`.
        where: what to name in an error.

    Raises:
        ConfigError: an unknown parameter, or values of the wrong shape.
    """
    parameters = dict(policy.parameters)
    for name, raw in values.items():
        old = parameters.get(name)
        if old is None:
            raise ConfigError(
                f"no parameter {name!r}",
                where=where,
                why=f"the policy has: {', '.join(sorted(parameters))}",
                remedy="use one of these ids",
            )
        content = raw.get("values") if isinstance(raw, dict) else raw
        try:
            parameters[name] = Parameter.model_validate({"title": old.title, "unit": old.unit, "values": content})
        except ValidationError as error:
            why = "; ".join(f"{'.'.join(map(str, e['loc'])) or '(top)'}: {e['msg']}" for e in error.errors())
            raise ConfigError(
                f"unusable value for {name}",
                where=where,
                why=why,
                remedy="give `values`, each with `from`, `value` and `reference`",
            ) from None
    changed = tuple(sorted({*policy.changed, *values}))
    adapted = replace(policy, parameters=parameters, changed=changed)
    return replace(adapted, version=_version(adapted))


def _adapt(policy: Policy, district: District) -> Policy:
    policy = replace(policy, leading=district.leading)
    if not district.parameters:
        return policy
    return with_values(policy, district.parameters, where=f"district {district.code}, parameters")


def _files(folder: Path, seen: tuple[Path, ...]) -> dict[str, Path]:
    """Relative path → file; a document that extends another brings only what differs."""
    folder = folder.resolve()
    main = folder / "policy.yml"
    if not main.is_file():
        raise ConfigError(
            "no such policy",
            where=str(folder),
            why="it has no policy.yml",
            remedy=f"one of: {', '.join(_documents(folder.parent)) or 'none found beside it'}",
        )
    if folder in seen:
        raise ConfigError("policies extend each other in a circle", where=str(main), remedy="break the circle")
    content = yamlfile.read(main)
    base = content.get("extends") if isinstance(content, dict) else None
    files = _files(folder / base, (*seen, folder)) if base else {}
    own = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.yml"))}
    known = {path for path, _ in SINGLE.values()}
    for name, path in own.items():
        if name not in known and name.split("/")[0] not in FOLDERS:
            raise ConfigError(
                f"a file that no policy has: {name}",
                where=str(path),
                remedy=f"one of {', '.join(sorted(known))}, or a file under {', '.join(FOLDERS)}",
            )
    return {**files, **own}


def _documents(parent: Path) -> list[str]:
    return sorted(path.parent.name for path in parent.glob("*/policy.yml"))


def _file(files: Mapping[str, Path], name: str, folder: Path) -> Path:
    return files.get(name, folder / name)


def _under(files: Mapping[str, Path], top: str) -> Iterator[Path]:
    yield from (path for name, path in sorted(files.items()) if name.startswith(f"{top}/"))


def _matters(files: Mapping[str, Path]) -> dict[str, Matter]:
    matters: dict[str, Matter] = {}
    names: dict[str, str] = {}
    for path in _under(files, "matters"):
        matter = yamlfile.load(path, Matter)
        if matter.code != path.stem:
            raise ConfigError(
                f"the matter calls itself {matter.code!r}", where=str(path), remedy="file name and `code` must agree"
            )
        for name in (matter.kind, *matter.aliases):
            if name in names:
                raise ConfigError(
                    f"{name!r} is already a kind or alias of {names[name]}",
                    where=f"{path}, kind and aliases",
                    remedy="give it one file only",
                )
            names[name] = path.name
        matters[matter.kind] = matter
    return matters


def _parameters(files: Mapping[str, Path]) -> dict[str, Parameter]:
    parameters: dict[str, Parameter] = {}
    for path in _under(files, "parameters"):
        for name, parameter in yamlfile.load(
            path, _ParameterFile, {"parameters": yamlfile.read(path)}
        ).parameters.items():
            if name in parameters:
                raise ConfigError(
                    f"the parameter {name!r} stands in two files", where=str(path), remedy="keep one of the two"
                )
            parameters[name] = parameter
    return parameters


class _ParameterFile(yamlfile.Strict):
    parameters: Mapping[str, Parameter]


def _cases(files: Mapping[str, Path]) -> list[Case]:
    return [case for path in _under(files, "cases") for case in yamlfile.load(path, model.Cases).cases]


def _version(policy: Policy) -> str:
    """Hash of everything that can change an outcome or what is said about it."""
    content: dict[str, Any] = {name: _plain(getattr(policy, name)) for name in SINGLE}
    content["parameters"] = {name: _plain(parameter) for name, parameter in policy.parameters.items()}
    content["matters"] = {
        name: _plain(matter.model_copy(update={"cases": ()})) for name, matter in policy.matters.items()
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(part: BaseModel) -> Any:
    return part.model_dump(mode="json", by_alias=True)
