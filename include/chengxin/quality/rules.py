"""The rules: those of every table, and those of `great_expectations/rules.yml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from chengxin import tables, yamlfile
from chengxin.contracts import CODES, FACT_TABLES
from chengxin.errors import ConfigError
from chengxin.tables import Table
from chengxin.values import CODE, GARBLED, NESTED, NORMALISED, PERSONAL_ID, TOO_LONG, UNKNOWN_WORD, UNREADABLE
from chengxin.yamlfile import Strict

Severity = Literal["error", "warning"]


class Rule(Strict):
    """A rule of one fact table, as `rules.yml` writes it."""

    id: str = Field(pattern=r"^[a-z_]+\.[a-z_]+$")
    severity: Severity
    fields: Annotated[tuple[str, ...], Field(min_length=1)]
    """The fields it looks at; the first names the column of a rejected row."""
    bad: str
    """SQL over the typed columns and `as_of`; null is not bad."""
    says: str


class Rules(Strict):
    """`rules.yml`."""

    lenient: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, tuple[Rule, ...]]


@dataclass(frozen=True)
class Family:
    """A rule that holds for every table: its status is the number (from 1) of the first field that breaks it."""

    id: str
    severity: Severity
    says: str
    fields: tuple[str, ...] = ()
    problems: tuple[int, ...] = ()
    """Problem codes of `chengxin.values` that break it; `CODE` stands for every reason of `identity`."""


AnyRule = Rule | Family

READABLE, HEADING, REQUIRED = "record.readable", "record.heading", "field.required"
CODE_VALID = "code.valid"

_NUMBERS: tuple[tables.Type, ...] = ("int", "long", "double", "money")
_ANY_VALUE = (UNREADABLE, UNKNOWN_WORD, GARBLED, TOO_LONG, PERSONAL_ID, NESTED, CODE)


@lru_cache(maxsize=8)
def load(path: Path) -> Rules:
    """The rules file.

    Raises:
        ConfigError: not a valid rules file, or a rule that names an unknown table or field.
    """
    rules = yamlfile.load(path, Rules)
    for name, own in rules.tables.items():
        for rule in own:
            _hold_fields(path, name, rule.id, rule.fields)
            if not rule.id.startswith(f"{name}."):
                raise ConfigError(f"rule {rule.id} stands under {name}", where=str(path), remedy=f"call it {name}.…")
    for name, fields in rules.lenient.items():
        _hold_fields(path, name, "lenient", fields)
    missing = set(FACT_TABLES) - set(rules.tables)
    if missing:
        raise ConfigError(f"no rules for {', '.join(sorted(missing))}", where=str(path), remedy="write at least []")
    return rules


def path(root: Path) -> Path:
    """The rules file of a project."""
    return root / "great_expectations" / "rules.yml"


def of(rules: Rules, table: Table) -> tuple[AnyRule, ...]:
    """Every rule of a fact table, errors that make a record unusable first."""
    return (*families(table, rules.lenient.get(table.name, ())), *rules.tables[table.name])


def families(table: Table, lenient: tuple[str, ...]) -> tuple[Family, ...]:
    """The rules of every table, as far as this one has such fields."""
    names = tuple(column.name for column in table.columns)
    strict = tuple(name for name in names if name not in lenient)

    def of_type(*types: tables.Type) -> tuple[str, ...]:
        return tuple(name for name in strict if table.column(name).type in types and name not in CODES)

    code_fields = tuple(name for name in names if name in CODES)
    every = (
        Family(READABLE, "error", "记录不完整，无法拆分为字段"),
        Family(HEADING, "error", "表头行混入数据"),
        Family("text.personal_id", "error", "字段中含有公民身份号码，不予保存", strict, (PERSONAL_ID,)),
        Family(REQUIRED, "error", "必填字段为空", names),
        Family(CODE_VALID, "error", "统一社会信用代码不合法", tuple(n for n in code_fields if n in strict), (CODE,)),
        Family("date.readable", "error", "日期无法识别", of_type("date", "timestamp"), (UNREADABLE,)),
        Family("number.readable", "error", "数值无法识别", of_type(*_NUMBERS), (UNREADABLE,)),
        Family("word.known", "error", "代码值不在对照表中", strict, (UNKNOWN_WORD,)),
        Family("text.clean", "error", "文字有乱码、过长或是嵌套的对象", of_type("string"), (GARBLED, TOO_LONG, NESTED)),
        Family("code.normal_form", "warning", "代码的全角、小写或空格已整理", code_fields, (NORMALISED,)),
        Family("field.lenient", "warning", "值无法识别，已置空", lenient, _ANY_VALUE),
    )  # fmt: skip
    return tuple(family for family in every if family.fields or not family.problems)


def _hold_fields(path: Path, table: str, where: str, fields: tuple[str, ...]) -> None:
    known = {column.name for column in FACT_TABLES[table].columns} if table in FACT_TABLES else None
    if known is None:
        raise ConfigError(f"no fact table {table!r}", where=str(path), remedy=f"one of {', '.join(FACT_TABLES)}")
    unknown = set(fields) - known
    if unknown:
        raise ConfigError(f"{where}: {table} has no field {', '.join(sorted(unknown))}", where=str(path))
