"""docker-compose.yaml, read the way compose reads it: interpolated, merged, one service at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yaml"

# `$$`, `${NAME}`, `${NAME:-default}`, `${NAME:?message}`.
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")


class MissingVariableError(Exception):
    """The file insists on a variable that is not set."""


def load(file: Path = FILE) -> dict[str, Any]:
    """The file as it stands, anchors and merges resolved."""
    return dict(YAML(typ="safe", pure=True).load(file.read_text("utf-8")))


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Compose's interpolation, in every text of a value."""
    if isinstance(value, dict):
        return {key: interpolate(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolate(each, variables) for each in value]
    return VARIABLE.sub(lambda found: _value(found, variables), value) if isinstance(value, str) else value


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found["dollar"]:
        return "$"
    given = variables.get(found["name"], "")
    if given or found["kind"] is None:
        return given
    if found["kind"] == "?":
        raise MissingVariableError(f"{found['name']}: {found['rest'] or 'is required'}")
    return str(found["rest"])


@dataclass(frozen=True)
class Service:
    """What one service runs, with what."""

    name: str
    command: list[str]
    environment: dict[str, str | None]
    """None: handed on from outside where it is set there."""
    health: list[str]


def service(name: str, variables: Mapping[str, str]) -> Service:
    """A service of the file."""
    found = interpolate(load()["services"][name], variables)
    kind, *words = found.get("healthcheck", {}).get("test", ["NONE"])
    health = ["sh", "-c", words[0]] if kind == "CMD-SHELL" else words
    return Service(name, [str(word) for word in found["command"]], dict(found["environment"]), health)
