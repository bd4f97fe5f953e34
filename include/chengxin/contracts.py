"""Source contracts: the model of `include/sources/<source>.yml`, and its loader.

A contract says where a source is, how it is read, what each of its headings means, and what is normal for it. Every
heading is mapped under `columns` or written under `ignore`; anything else is drift. Light on purpose: DAG files load
contracts while they are parsed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from chengxin import yamlfile
from chengxin.errors import ChengxinError, ConfigError
from chengxin.tables import FACTS, Table
from chengxin.yamlfile import Strict

FACT_TABLES = {table.name: table for table in FACTS}


def _duration(value: Any) -> Any:
    if isinstance(value, str) and value[:-1].isdigit() and value[-1] in "hdy":
        return timedelta(**{"h": {"hours": 1}, "d": {"days": 1}, "y": {"days": 365}}[value[-1]]) * int(value[:-1])
    if isinstance(value, timedelta):
        return value
    raise ValueError("a number and a unit, e.g. 36h, 2d or 5y")


_Written = Annotated[str, Field(pattern=r"^\d+[hdy]$")]
Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=_Written), PlainSerializer(str)]


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
    """Source word → value of ours; a word that is not here passes unchanged (`lookup_strict` refuses it)."""
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


class Envelope(Strict):
    """Where an HTTP answer keeps its parts, as dotted paths."""

    code: str = "code"
    ok: tuple[str, ...] = ("200", "0")
    """Codes that mean success, as text."""
    message: str = "msg"
    total: str | None = "data.total"
    records: str = "data.records"


class Paging(Strict):
    """How an API hands out its pages."""

    style: Literal["page", "cursor", "link"] = "page"
    """`page`: number and size; `cursor`: each answer holds a word to ask on with; `link`: each holds the next URL."""
    page: str = "page"
    """Query parameter of the page's number (style `page`)."""
    first: int = Field(default=1, ge=0, le=1)
    """Number of the first page (style `page`)."""
    size: str | None = "size"
    """Query parameter of the page's size; None: the source decides alone (not in style `page`)."""
    page_size: int = Field(default=1000, ge=1, le=100_000)
    cursor: str = "cursor"
    """Query parameter that takes the word (style `cursor`)."""
    next: str | None = None
    """Dotted path of the word or URL in the answer; None, in style `link`: the header `Link` with `rel="next"`."""

    @model_validator(mode="after")
    def _fits_its_style(self) -> Paging:
        if self.style == "page" and self.size is None:
            raise ValueError("style page needs the name of the size parameter")
        if self.style == "page" and self.next is not None:
            raise ValueError("next says where the next word or URL stands: style cursor or link")
        if self.style == "cursor" and self.next is None:
            raise ValueError("style cursor needs next: where the answer holds the word to ask on with")
        return self


class Watermark(Strict):
    """How far an incremental source was read: the greatest value of one heading, and how it is asked for."""

    heading: str
    """Heading (or column) that grows: a time of change, or a number that only goes up."""
    overlap: Duration = timedelta(0)
    """Read again so much of what was read: for rows that came in late under an earlier time."""
    initial: str | int | None = None
    """Where the first harvest begins; None: at the beginning."""


class HttpWatermark(Watermark):
    """… of an HTTP API."""

    param: str
    """Query parameter that asks for what changed since (at or after) a value."""


class HttpRead(Strict):
    """A paged HTTP API."""

    connector: Literal["http_api"]
    connection: str
    path: str
    auth: Literal["none", "hmac_sha256", "bearer", "basic"] = "none"
    paging: Paging = Paging()
    envelope: Envelope = Envelope()
    params: Mapping[str, str] = {}
    """More query parameters; `{as_of}` stands for the day."""
    watermark: HttpWatermark | None = None
    """Of an incremental source: ask only for what changed since the last published harvest of an earlier day."""
    timeout: float = 30.0
    """Seconds to connect, and between bytes."""
    tries: int = Field(default=4, ge=1)
    rate: float | None = Field(default=None, gt=0)
    """Requests a second, at most; None: as fast as it answers."""


class Feedback(Strict):
    """A table of the front database into which each harvest writes one row: what became of the records."""

    table: str
    connection: str | None = None
    """A connection that may write; None: the one that reads."""
    columns: Mapping[
        Literal[
            "harvest_id", "received", "rejected", "reason", "source", "as_of", "state", "published", "unchanged",
            "ignored", "written_at",
        ],
        str,
    ] = {}  # fmt: skip
    """Our name → the table's, where they differ (`connectors.feedback` says what each holds)."""


class DatabaseRead(Strict):
    """A table or view of a front database (前置库)."""

    connector: Literal["database"]
    connection: str
    table: str
    order_by: tuple[str, ...] = ()
    """Columns that give the rows a stable order, so that a killed read can go on."""
    where: str | None = None
    """A fixed condition, in the database's own SQL."""
    watermark: Watermark | None = None
    """Of an incremental source: read only what changed since the last published harvest of an earlier day."""
    feedback: Feedback | None = None
    """Where the publisher wants to read what became of its rows."""
    batch: int = Field(default=50_000, ge=1)


class FilesRead(Strict):
    """Files that somebody drops into a folder, onto an SFTP server or into an object store."""

    connector: Literal["files"]
    connection: str
    """Its type says where the folder is (`fs`, `sftp`, `aws`), its `extra.path` which one."""
    pattern: str
    """File name pattern; `{as_of}` stands for the day as YYYYMMDD."""
    take: Literal["day", "newest", "new"] | None = None
    """`day`: every file of that day. `newest`: the newest alone. `new`: every file that no earlier day has read, for
    folders in which files stay. None: `day` where the pattern holds `{as_of}`, else `newest`."""
    members: str | None = None
    """The files are ZIP archives: the pattern of the members to read, in the order of their names."""
    marker: str | None = None
    """A file is whole once this one stands beside it: `"{name}.ok"`, or `"{stem}.ok"` without the file's ending."""
    checksum: str | None = Field(default=None, pattern=r"\.(md5|sha256)$")
    """The file beside it that holds its checksum, e.g. `"{name}.sha256"`: a file that differs waits."""
    feedback: bool = False
    """Write `<name>.feedback.csv` beside each file: which rows were rejected, and why."""
    format: Literal["csv", "xlsx", "xml", "json", "pdf"]
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    sheet: str | int = 0
    header_row: int = Field(default=1, ge=1)
    """Row of the headings in a sheet, from 1."""
    records: str = ""
    """Dotted path to the list of records in a JSON document (empty: the document is the list), or to the element of
    one record in an XML document, from the root on."""

    @model_validator(mode="after")
    def _goes_together(self) -> FilesRead:
        if self.taken == "day" and "{as_of}" not in self.pattern:
            raise ValueError("take: day needs {as_of} in the pattern")
        if self.format == "xml" and not self.records:
            raise ValueError("format: xml needs records: the path to the element of one record, e.g. data.row")
        for template in (self.marker, self.checksum):
            if template is not None and ("/" in template or not {"{name}", "{stem}"} & set(_braced(template))):
                raise ValueError(f"{template!r}: a name made of {{name}} or {{stem}}, without folders")
        return self

    @property
    def taken(self) -> Literal["day", "newest", "new"]:
        """Which of the matching files are read."""
        return self.take or ("day" if "{as_of}" in self.pattern else "newest")


def _braced(template: str) -> list[str]:
    return [f"{{{name}}}" for _, name, _, _ in Formatter().parse(template) if name]


PART = "{partition}"
"""Stands in a contract for the part that is being fetched."""


class Partitions(Strict):
    """A big source cut into parts, each fetched by itself and published together.

    `{partition}` stands for the part in the `params` of an API, in the `pattern` of files, and in the `where` of a
    front database. A record must be in exactly one part.
    """

    values: tuple[Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")], ...] = Field(min_length=2, max_length=1000)
    """The parts: areas, classes, remainders of a number, names of files."""
    at_once: int = Field(default=4, ge=1)
    """Parts fetched side by side at most."""
    pool: str = "default_pool"
    """Airflow's pool whose slots the parts take: what bounds the parts of several sources together."""
    whole: bool = True
    """Ask an API that names its total for the total of all, and hold the parts' against it: a record in no part would
    be missed by nobody else. False: it cannot be asked without a part."""


Read = Annotated[HttpRead | DatabaseRead | FilesRead, Field(discriminator="connector")]


class RowBounds(Strict):
    """How many source records are normal: fewer than `min` stops, more than `max` warns."""

    min: int = Field(ge=0)
    max: int | None = None


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

    @model_validator(mode="after")
    def _fits_its_tables(self) -> Contract:
        _check_fields(self.name, self.table, self.columns, {**self.constants, **self.combine}, self.key)
        for name, child in self.children.items():
            _check_fields(
                f"{self.name}.{name}",
                child.table,
                child.columns,
                {**child.constants, **child.inherit},
                child.key,
            )
        mark: Watermark | None = getattr(self.read, "watermark", None)
        if mark is not None and self.mode == "full":
            raise ValueError("read.watermark asks for changes only: mode must be incremental")
        if mark is not None and mark.heading not in (*self.columns, *self.ignore):
            raise ValueError(f"read.watermark.heading {mark.heading!r} is neither mapped nor ignored")
        _check_parts(self)
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
    def sha256(self) -> str:
        """Hash of the contract's content: what a harvest ran under."""
        # What is not cut into parts keeps the hash that it had before there were any.
        content = self.model_dump_json(exclude={"partitions"} if self.partitions is None else None)
        return hashlib.sha256(content.encode()).hexdigest()

    def read_of(self, part: str) -> HttpRead | DatabaseRead | FilesRead:
        """How one part is read; the empty text: the whole of an API, without the parameters that name a part."""
        match self.read:
            case HttpRead():
                params = {
                    name: value.replace(PART, part)
                    for name, value in self.read.params.items()
                    if part or PART not in value
                }
                return self.read.model_copy(update={"params": params})
            case DatabaseRead():
                return self.read.model_copy(update={"where": (self.read.where or "").replace(PART, part)})
            case FilesRead():
                return self.read.model_copy(update={"pattern": self.read.pattern.replace(PART, part)})


def _check_parts(contract: Contract) -> None:
    read, parts = contract.read, contract.partitions
    named = {
        HttpRead: lambda: " ".join(getattr(read, "params", {}).values()),
        DatabaseRead: lambda: getattr(read, "where", None) or "",
        FilesRead: lambda: getattr(read, "pattern", ""),
    }[type(read)]()
    if (PART in named) != (parts is not None):
        raise ValueError(f"partitions and {PART} in `read` go together: in params, pattern or where")
    if parts is None:
        return
    twice = {value for value in parts.values if parts.values.count(value) > 1}
    if twice:
        raise ValueError(f"partitions: twice: {', '.join(sorted(twice))}")
    # One watermark, one memory of files, one row of feedback a harvest: parts have no order in which to make them.
    if getattr(read, "watermark", None) or getattr(read, "feedback", None):
        raise ValueError("partitions: not with a watermark or feedback")
    if isinstance(read, FilesRead) and read.taken == "new":
        raise ValueError("partitions: not with take: new")


def _check_fields(
    where: str,
    table_name: str,
    columns: Mapping[str, Column],
    constants: Mapping[str, Any],
    key: tuple[str, ...],
) -> None:
    table: Table | None = FACT_TABLES.get(table_name)
    if table is None:
        raise ValueError(f"{where}: no fact table {table_name!r}; one of {', '.join(FACT_TABLES)}")
    fields = {column.name: column for column in table.columns}
    filled = [column.to for column in columns.values()] + list(constants)
    for name in (*filled, *key):
        if name not in fields:
            raise ValueError(f"{where}: {table_name} has no field {name!r}; it has {', '.join(fields)}")
    twice = {name for name in filled if filled.count(name) > 1}
    if twice:
        raise ValueError(f"{where}: filled twice: {', '.join(sorted(twice))}")
    for name in key:
        if name not in filled:
            raise ValueError(f"{where}: key field {name!r} is filled by no column")
    for heading, column in columns.items():
        if fields[column.to].type == "money" and column.unit is None:
            raise ValueError(f"{where}: {heading} is money: say unit: 元 or unit: 万元")


def load(path: Path) -> Contract:
    """The contract of one file.

    Raises:
        ConfigError: the file is no valid contract; the message names file, key and remedy.
    """
    contract = yamlfile.load(path, Contract)
    if contract.name != path.stem:
        raise ConfigError(
            f"the contract calls itself {contract.name!r}",
            where=str(path),
            remedy="file name and `name` must agree",
        )
    return contract


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
