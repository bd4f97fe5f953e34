"""How a source is read: the part `read` of a contract (`contracts`), by kind of connector, and its cutting into parts.

As light as the contracts, which DAG files load while they are parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from string import Formatter
from typing import Annotated, Literal

from pydantic import Field, model_validator

from chengxin.yamlfile import Duration, Strict


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
    encoding: str | None = None
    """Of the answers, e.g. gb18030; None: UTF-8, or GB18030 (GBK, GB2312) where their Content-Type says so."""
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
    parts: int | None = Field(default=None, ge=1)
    """A day's list comes in so many files: as long as fewer are there, it waits. None: a whole list waits when there
    are fewer than last time."""
    manifest: str | None = None
    """The file that names a day's files, one a line (also as `sha256sum` and `md5sum` write it); `{as_of}` stands for
    the day. These files are read, and no others; as long as one is missing, the list waits."""
    members: str | None = None
    """The files are ZIP archives: the pattern of the members to read, in the order of their names."""
    marker: str | None = None
    """A file is whole once this one stands beside it: `"{name}.ok"`, or `"{stem}.ok"` without the file's ending. It
    must not be older than the file, or hold the file's checksum."""
    checksum: str | None = Field(default=None, pattern=r"\.(md5|sha256)$")
    """The file beside it that holds its checksum, e.g. `"{name}.sha256"`: a file that differs waits."""
    settle: float | None = Field(default=None, ge=0, le=600)
    """Seconds between two looks at a file, in which it must not change; None: 0.2. For senders who give neither marker
    nor checksum over a link that may stall."""
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
        if (self.parts or self.manifest) and (self.taken != "day" or (self.parts and self.manifest)):
            raise ValueError("parts, or manifest, say which files make a day's list: one of them, with take: day")
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


def part_of(read: HttpRead | DatabaseRead | FilesRead, part: str) -> HttpRead | DatabaseRead | FilesRead:
    """How one part of a source is read.

    Args:
        read: how all of them are.
        part: one of the values of `Partitions`; the empty text: the whole of an API, without the parameters that name
            a part.
    """
    match read:
        case HttpRead():
            params = {
                name: value.replace(PART, part) for name, value in read.params.items() if part or PART not in value
            }
            return read.model_copy(update={"params": params})
        case DatabaseRead():
            return read.model_copy(update={"where": (read.where or "").replace(PART, part)})
        case FilesRead():
            return read.model_copy(update={"pattern": read.pattern.replace(PART, part)})


def check_parts(read: HttpRead | DatabaseRead | FilesRead, parts: Partitions | None) -> None:
    """Holds a source's parts against how it is read.

    Raises:
        ValueError: they do not go together.
    """
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
