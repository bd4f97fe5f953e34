"""YAML 1.2 read by libyaml: the same values as the reader in pure Python gives, in a twelfth of the time.

Airflow parses every contract again and again: 200 of them took 1.5 s. What is not plain (a tag, an instant, a key that
stands twice, a fault) is refused here with a `YAMLError`, and left to that reader and its messages.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

YAMLError = yaml.YAMLError

_TAG = "tag:yaml.org,2002:"
_BASES = {"0b": 2, "0o": 8, "0x": 16}
_WORDS = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "float": (
        r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "int": (r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+", "-+0123456789"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "timestamp": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[Tt \t].*", "0123456789"),
    "merge": (r"<<", "<"),
    "value": (r"=", "="),
}
"""Tag → the plain words that mean it (YAML 1.2), and what they begin with."""


class _Loader(yaml.CSafeLoader):
    """PyYAML reads YAML 1.1, where `no` is false and `010` is eight: what a plain word means is decided here."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute
    yaml_constructors = dict(yaml.CSafeLoader.yaml_constructors)  # noqa: RUF012


def load(text: str) -> Any:
    """The document's values.

    Raises:
        YAMLError: it is not plain, or not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - made from the safe loader
    except (ValueError, RecursionError) as error:
        raise YAMLError(f"a word that is no value ({type(error).__name__})") from None


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    found: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | None) or key in found:
            raise yaml.constructor.ConstructorError(None, None, "a key that is not plain", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    digits = str(node.value).replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    return sign * int(digits[2:] if digits[:2] in _BASES else digits, _BASES.get(digits[:2], 10))


def _day(loader: _Loader, node: yaml.ScalarNode) -> Any:
    if len(node.value) > len("2026-01-01"):
        raise yaml.constructor.ConstructorError(None, None, "an instant", node.start_mark)
    return loader.construct_yaml_timestamp(node)


def _other(loader: _Loader, node: yaml.Node) -> Any:
    raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag}", node.start_mark)


for name, (pattern, first) in _WORDS.items():
    _Loader.add_implicit_resolver(_TAG + name, re.compile(rf"^(?:{pattern})$"), list(first))
for name in ("set", "omap", "pairs", "binary", "value", "merge"):
    _Loader.add_constructor(_TAG + name, _other)
for name, constructor in {"map": _mapping, "seq": _sequence, "int": _integer, "timestamp": _day}.items():
    _Loader.add_constructor(_TAG + name, constructor)
