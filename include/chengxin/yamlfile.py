"""YAML files as configuration: duplicate keys refused, models strict, messages that name file, key and remedy."""

from __future__ import annotations

import difflib
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from chengxin import yamlscan
from chengxin.errors import ConfigError


class Strict(BaseModel):
    """A part of a configuration file: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _duration(value: Any) -> Any:
    if isinstance(value, str) and value[:-1].isdigit() and value[-1] in "hdy":
        return timedelta(**{"h": {"hours": 1}, "d": {"days": 1}, "y": {"days": 365}}[value[-1]]) * int(value[:-1])
    if isinstance(value, timedelta):
        return value
    raise ValueError("a number and a unit, e.g. 36h, 2d or 5y")


_Written = Annotated[str, Field(pattern=r"^\d+[hdy]$")]
Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=_Written), PlainSerializer(str)]
"""A time as files write it: a number of hours, days or years of 365 days, `36h`, `2d`, `5y`."""

M = TypeVar("M", bound=BaseModel)


def read(path: Path) -> Any:
    """The file's content as plain Python values.

    Raises:
        ConfigError: unreadable, not YAML, or a key stands twice.
    """
    return _parse(path, _text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError("not UTF-8", where=str(path), why=str(error), remedy="save the file as UTF-8") from None


def _parse(path: Path, text: str) -> Any:
    with suppress(yamlscan.YAMLError):
        return yamlscan.load(text)
    # Its import takes longer than reading a hundred files.
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        raise ConfigError(
            "a key stands twice",
            where=_place(path, error),
            why=str(error.problem),
            remedy="keep one of the two",
        ) from None
    except RecursionError:
        raise ConfigError(
            "not valid YAML",
            where=str(path),
            why="brackets or blocks inside one another, hundreds deep",
            remedy="look for a bracket that is never closed",
        ) from None
    except YAMLError as error:
        raise ConfigError(
            "not valid YAML", where=_place(path, error), why=str(getattr(error, "problem", error))
        ) from None


def load(path: Path, model: type[M], content: Any = None) -> M:
    """The file as a model.

    Args:
        path: the file.
        model: what it must be.
        content: its content, if it was read (and completed) already.

    Raises:
        ConfigError: with every fault of the file, each with its key and what is allowed there.
    """
    if content is None:
        return cast(M, _loaded(path, _text(path), model))
    return _modelled(path, model, content)


def load_named(path: Path, model: type[M], what: str, key: str) -> M:
    """The file as a model that says in one of its keys what it is called, and must be called as its file is.

    Args:
        path: the file.
        model: what it must be.
        what: what to call it in an error.
        key: the key with its name.

    Raises:
        ConfigError: as `load`; or the two names differ.
    """
    found = load(path, model)
    named = getattr(found, key)
    if named != path.stem:
        raise ConfigError(
            f"the {what} calls itself {named!r}", where=str(path), remedy=f"file name and `{key}` must agree"
        )
    return found


@lru_cache(maxsize=1024)
def _loaded(path: Path, text: str, model: type[BaseModel]) -> BaseModel:
    # A stage reads the same few files for every department; parsing them takes far longer than reading. The models
    # are frozen, and a file that changed has another text.
    return _modelled(path, model, _parse(path, text))


def _modelled(path: Path, model: type[M], value: Any) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = [_fault(model, fault) for fault in error.errors()]
        raise ConfigError(
            f"{len(lines)} fault{'s' if len(lines) > 1 else ''} in {path.name}",
            where=str(path),
            why="; ".join(lines),
            remedy="mend the keys named above",
        ) from None


def _place(path: Path, error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"{path}, line {mark.line + 1}" if mark else str(path)


def _fault(model: type[BaseModel], fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "(top)"
    if fault["type"] != "extra_forbidden":
        return f"{key}: {fault['msg']}"
    allowed = _allowed(model, fault["loc"][:-1])
    near = difflib.get_close_matches(str(fault["loc"][-1]), allowed, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{key}: unknown key. {hint}allowed here: {', '.join(allowed)}" if allowed else f"{key}: unknown key"


def _allowed(model: Any, loc: tuple[Any, ...]) -> list[str]:
    """The keys a model allows at a place, where the place can be followed through plain fields."""
    for part in loc:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            # A list index or mapping key: stay with the same model.
            continue
        candidates = [
            a for a in (field.annotation, *getattr(field.annotation, "__args__", ())) if hasattr(a, "model_fields")
        ]
        if not candidates:
            return []
        model = candidates[0]
    return [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]
