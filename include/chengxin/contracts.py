"""Source contracts: the model of `include/sources/<source>.yml`, and its loader.

A contract says where a source is and how it is read (`reads`), what each of its headings means, and what is normal for
it. Every heading is mapped under `columns` or written under `ignore`; anything else is drift. Light on purpose: DAG
files load contracts while they are parsed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from chengxin import yamlfile
from chengxin.errors import ChengxinError
from chengxin.reads import DatabaseRead, FilesRead, HttpRead, Partitions, Read, Watermark, check_parts, part_of
from chengxin.tables import FACTS, Table
from chengxin.yamlfile import Duration, Strict

FACT_TABLES = {table.name: table for table in FACTS}
CODES = ("uscc", "agency_uscc", "handed_in_by")
"""Fields that hold a credit code."""
_READ_AS: dict[str, tuple[str, ...]] = {
    "date": ("date",),
    "timestamp": ("timestamp",),
    "int": ("int",),
    "long": ("int",),
    "double": ("number", "int"),
    "money": ("money",),
    "boolean": ("boolean",),
}
"""Type of a field → how a column that fills it may be read; a text may be made of anything."""
_CONSTANTS: dict[str, Any] = {
    "string": str | int,
    "date": str | date,
    "timestamp": str | date,
    "int": int,
    "long": int,
    "double": int | float,
    "money": int | float,
    "boolean": bool,
}
QUIET = timedelta(days=10)
"""How long a source of changes may have none, where its contract does not say."""


class Column(Strict):
    """What one source heading means. In a file `heading: field` is short for `heading: {to: field}`."""

    to: str
    """Field of the fact table."""
    also: tuple[str, ...] = ()
    """Other headings of the same thing, for sources that show an older or newer set of names (both generations of
    双公示). The first that is not empty counts; one of them must be there."""
    optional: bool = False
    """The source may lack the heading: that is no drift, and the field stays empty."""
    as_: Literal["text", "date", "timestamp", "int", "number", "money", "boolean", "uscc", "name"] | None = Field(
        default=None, alias="as"
    )
    """How to read the value; None: as the field's type asks (`uscc` for the field `uscc`)."""
    unit: Literal["元", "万元"] | None = None
    """Unit of a money column at the source: must be given, the lake keeps yuan."""
    lookup: Mapping[str, str | bool | int | None] = {}
    """Source word → value of ours; a word that is neither here nor one of ours passes unchanged, and is told of
    (`lookup_strict` refuses it)."""
    lookup_strict: bool = False
    required: bool = False
    """An empty value is an error."""


def _short_columns(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {heading: {"to": column} if isinstance(column, str) else column for heading, column in value.items()}
    return value


Columns = Annotated[
    Mapping[str, Column], BeforeValidator(_short_columns, json_schema_input_type=Mapping[str, str | Column])
]


class RowBounds(Strict):
    """How many source records are normal: fewer than `min` stops, more than `max` warns."""

    min: int = Field(ge=0)
    max: int | None = None

    @model_validator(mode="after")
    def _in_order(self) -> RowBounds:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class Shrink(Strict):
    """The share of known keys that may vanish at once; more stops."""

    max: float = Field(ge=0, le=1)


class Filled(Strict):
    """The share of records in which the field must not be empty; less stops."""

    filled: float = Field(ge=0, le=1)


class Bounds(Strict):
    """What is normal for a batch. A violated bound is a signal to explain the run, not to widen the bound."""

    rows: RowBounds
    shrink: Shrink | None = None
    """A whole list (`mode: full`) must say it: without it, half a list would take the other half off."""
    fields: Mapping[str, Filled] = {}


class Drift(Strict):
    """What a change of the source's columns does."""

    new: Literal["stop", "warn"] = "warn"
    missing: Literal["stop", "warn"] = "stop"
    retyped: Literal["stop", "warn"] = "stop"


class Child(Strict):
    """A list inside each record that feeds a table of its own (the applicants of a matter)."""

    table: str
    columns: Columns
    inherit: Mapping[str, str] = {}
    """Field of the child ← field of its parent."""
    constants: Mapping[str, Any] = {}
    ignore: tuple[str, ...] = ()
    key: tuple[str, ...]


class Contract(Strict):
    """One source."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    publisher: str
    legal_basis: str
    table: str
    mode: Literal["full", "incremental"]
    """`full`: the whole list each time, what is gone was removed. `incremental`: what changed since the last time."""
    schedule: str
    """Cron, Asia/Shanghai."""
    max_age: Duration
    """Older than this, the source cannot answer any more: CANNOT_TELL."""
    quiet: Duration | None = None
    """How long the source may bring nothing new and still be taken for alive; None: see `silence`."""
    read: Read
    columns: Columns
    children: Mapping[str, Child] = {}
    constants: Mapping[str, Any] = {}
    combine: Mapping[str, str] = {}
    """Field ← text made of headings, e.g. `"{rank}-{member_seq}"`: for keys that no single column holds."""
    ignore: tuple[str, ...] = ()
    exclude: Mapping[str, tuple[str, ...]] = {}
    """Source heading → values whose records are left out on purpose, counted as ignored."""
    key: tuple[str, ...] = Field(min_length=1)
    nulls: tuple[str, ...] = ()
    """Words that mean nothing, besides the empty text."""
    bounds: Bounds
    drift: Drift = Drift()
    keep: Duration
    """How long raw files stay."""
    owner: str
    fixture: str | None = None
    """A sample of the source under `tests/fixtures`, for its contract test."""
    partitions: Partitions | None = None
    """How a big source is cut into parts that are fetched side by side; None: in one piece."""

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str) -> str:
        from croniter import CroniterError, croniter

        try:
            # A sixth field would be seconds; 30 February never comes, and freshness asks when it does.
            if len(schedule.split()) == 5 and croniter(schedule).get_next():
                return schedule
        except (CroniterError, ValueError):
            pass
        raise ValueError(f"{schedule!r} is no cron expression that ever comes: minute hour day month weekday")

    @field_validator("max_age")
    @classmethod
    def _is_some_time(cls, max_age: timedelta) -> timedelta:
        if max_age <= timedelta(0):
            raise ValueError("no time at all: the source could never answer")
        return max_age

    @field_validator("combine")
    @classmethod
    def _is_made_of_headings(cls, combine: Mapping[str, str]) -> Mapping[str, str]:
        for name, text in combine.items():
            try:
                parts = [(heading, form, turn) for _, heading, form, turn in Formatter().parse(text)]
            except ValueError as error:
                raise ValueError(f"{name}: {text!r}: {error}") from None
            if any(heading == "" or form or turn for heading, form, turn in parts):
                raise ValueError(f"{name}: {text!r}: between braces stands a heading, and nothing else")
        return combine

    @model_validator(mode="after")
    def _fits_its_tables(self) -> Contract:
        _check_fields(self.name, self.table, self.columns, self.constants, self.combine, self.key)
        for name, child in self.children.items():
            _check_fields(
                f"{self.name}.{name}",
                child.table,
                child.columns,
                child.constants,
                child.inherit,
                child.key,
            )
        filled = {column.to for column in self.columns.values()} | {*self.constants, *self.combine}
        if unfilled := set(self.bounds.fields) - filled:
            raise ValueError(f"bounds.fields: {', '.join(sorted(unfilled))} is filled by no column")
        if self.mode == "full" and self.bounds.shrink is None:
            raise ValueError(
                "mode: full needs bounds.shrink, the share of known rows that may vanish at once, e.g. "
                "shrink: {max: 0.2}; `chengxin bounds` suggests one from the source's history"
            )
        mark: Watermark | None = getattr(self.read, "watermark", None)
        if mark is not None and self.mode == "full":
            raise ValueError("read.watermark asks for changes only: mode must be incremental")
        if mark is not None and mark.heading not in (*self.columns, *self.ignore):
            raise ValueError(f"read.watermark.heading {mark.heading!r} is neither mapped nor ignored")
        check_parts(self.read, self.partitions)
        if isinstance(self.read, FilesRead) and self.read.taken == "new" and self.mode == "full":
            raise ValueError("take: new reads only what is new, which is no whole list: mode: incremental")
        for heading, column in self.columns.items():
            if column.optional and (column.required or column.to in self.key):
                raise ValueError(f"{heading} is optional, but {column.to} must not be empty")
        known = [*self.columns, *self.other_headings]
        twice = {heading for heading in known if known.count(heading) > 1}
        if twice:
            raise ValueError(f"mapped twice: {', '.join(sorted(twice))}")
        both = set(known) & set(self.ignore)
        if both:
            raise ValueError(f"mapped and ignored at once: {', '.join(sorted(both))}")
        return self

    @property
    def other_headings(self) -> tuple[str, ...]:
        """The headings under `also`."""
        return tuple(heading for column in self.columns.values() for heading in column.also)

    @property
    def combined_headings(self) -> tuple[str, ...]:
        """The headings that `combine` reads."""
        names = (name for text in self.combine.values() for _, name, _, _ in Formatter().parse(text) if name)
        return tuple(dict.fromkeys(names))

    @property
    def tables(self) -> tuple[str, ...]:
        """The fact tables it feeds, its own first."""
        return tuple(dict.fromkeys([self.table, *(child.table for child in self.children.values())]))

    @property
    def dated(self) -> bool:
        """Whether the source is asked for a day; else it answers with what holds when it is asked, whatever the day."""
        match self.read:
            case FilesRead():
                return "{as_of}" in self.read.pattern
            case HttpRead():
                return any("{as_of}" in value for value in self.read.params.values())
        return False

    @property
    def silence(self) -> timedelta:
        """How long it may bring nothing new: `quiet`; without it none for a whole list, ten days for changes only.

        The longest public holidays (Spring Festival with its weekends) are nine days in a row.
        """
        if self.quiet is not None:
            return self.quiet
        return timedelta(0) if self.mode == "full" else QUIET

    @property
    def sha256(self) -> str:
        """Hash of the contract's content: what a harvest ran under."""
        # Who uses none of these keeps the hash from before there were any.
        unused = {name: True for name in ("partitions", "quiet") if getattr(self, name) is None}
        newer = ("parts", "manifest", "settle", "encoding")
        of_read = {name for name in newer if getattr(self.read, name, None) is None}
        content = self.model_dump_json(exclude={**unused, "read": of_read})
        return hashlib.sha256(content.encode()).hexdigest()

    def read_of(self, part: str) -> HttpRead | DatabaseRead | FilesRead:
        """How one part is read; the empty text: the whole of an API, without the parameters that name a part."""
        return part_of(self.read, part)


def _check_fields(
    where: str,
    table_name: str,
    columns: Mapping[str, Column],
    constants: Mapping[str, Any],
    made: Mapping[str, str],
    key: tuple[str, ...],
) -> None:
    table: Table | None = FACT_TABLES.get(table_name)
    if table is None:
        raise ValueError(f"{where}: no fact table {table_name!r}; one of {', '.join(FACT_TABLES)}")
    fields = {column.name: column for column in table.columns}
    filled = [*(column.to for column in columns.values()), *constants, *made]
    for name in (*filled, *key):
        if name not in fields:
            raise ValueError(f"{where}: {table_name} has no field {name!r}; it has {', '.join(fields)}")
    twice = {name for name in filled if filled.count(name) > 1}
    if twice:
        raise ValueError(f"{where}: filled twice: {', '.join(sorted(twice))}")
    for name in key:
        if name not in filled:
            raise ValueError(f"{where}: key field {name!r} is filled by no column")
    if not set(key) - set(constants):
        raise ValueError(f"{where}: the key is the same for every row: {', '.join(key)}")
    for heading, column in columns.items():
        kind = fields[column.to].type
        if kind == "money" and column.unit is None:
            raise ValueError(f"{where}: {heading} is money: say unit: 元 or unit: 万元")
        if kind != "money" and column.as_ != "money" and column.unit is not None:
            raise ValueError(f"{where}: {heading} has a unit, but {column.to} is no money")
        if column.lookup_strict and not column.lookup:
            raise ValueError(f"{where}: {heading}: lookup_strict without a lookup")
        # A date made of an instant would be a day of Greenwich, and a code read as text is not looked at.
        fitting = ("uscc",) if column.to in CODES else _READ_AS.get(kind)
        if column.as_ is not None and fitting is not None and column.as_ not in fitting:
            raise ValueError(f"{where}: {heading} as {column.as_}, but {column.to} is read as {' or '.join(fitting)}")
    for name, value in constants.items():
        if not isinstance(value, _CONSTANTS.get(fields[name].type, object)) or _is_no_day(fields[name].type, value):
            raise ValueError(f"{where}: constant {name}: {value!r} is no {fields[name].type}")


def _is_no_day(kind: str, value: Any) -> bool:
    if kind not in ("date", "timestamp") or not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return True
    return False


def load(path: Path) -> Contract:
    """The contract of one file.

    Raises:
        ConfigError: the file is no valid contract; the message names file, key and remedy.
    """
    return yamlfile.load_named(path, Contract, "contract", "name")


def load_all(folder: Path) -> tuple[dict[str, Contract], dict[str, ChengxinError]]:
    """Every contract of a folder, and the errors of the files that are none, both by file stem.

    One bad file never hides the others.
    """
    contracts: dict[str, Contract] = {}
    errors: dict[str, ChengxinError] = {}
    for path in sorted(folder.glob("*.yml")):
        try:
            contracts[path.stem] = load(path)
        except ChengxinError as error:
            errors[path.stem] = error
    return contracts, errors
