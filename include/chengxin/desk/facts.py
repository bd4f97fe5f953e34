"""Which of the lake's tables make events of the desk, and how each is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chengxin.documents import alike_sql
from chengxin.tables import TABLES


@dataclass(frozen=True)
class Told:
    """How a table's observations stand on the desk. All SQL over the table's columns and `code`."""

    public: bool = True
    """A public fact (四（三）); else it is for the department of its matter, or the one named."""
    department: str = ""
    document: str = ""
    """What is one thing under every source; empty: each source speaks for itself."""
    ended_on: str = ""
    """The first day on which it is not to be shown any more, once any source has said so."""
    lapsed_on: str = ""
    """The first day on which it is not to be shown any more, by its newest word."""


EVENTS: Mapping[str, Told] = {
    "subject": Told(),
    "annual_report": Told(),
    "filing_status": Told(),
    "agency": Told(),
    "credit_record": Told(
        document=f"code || chr(31) || coalesce({alike_sql('record_no')}, natural_key)",
        ended_on="least(repaired_on, withdrawn_on)",
        lapsed_on="CAST(expires_on + INTERVAL 1 DAY AS DATE)",
    ),
    "list_entry": Told(lapsed_on="least(removed_on, CAST(expires_on + INTERVAL 1 DAY AS DATE))"),
    "credit_report": Told(public=False),
    "consent": Told(
        public=False,
        department="recipient",
        lapsed_on="least(withdrawn_on, CAST(expires_on + INTERVAL 1 DAY AS DATE))",
    ),
    "applicant": Told(public=False),
    "matter": Told(public=False),
}

_LEFT_OUT = {"": {"uscc", "name_key"}, "filing_status": {"name", "kind", "area_code", "industry"}}
"""What stands elsewhere on the desk, or is of no use to a reader: of every table, and of some."""


def fields(table: str) -> list[str]:
    """The columns that an event of a table holds: the public ones."""
    left_out = _LEFT_OUT[""] | _LEFT_OUT.get(table, set())
    return [column.name for column in TABLES[table].columns if not column.private and column.name not in left_out]


def content(table: str) -> str:
    """SQL of an event's content: a JSON object of the public columns that are not null."""
    struct = ", ".join(f"'{name}': \"{name}\"" for name in fields(table))
    # A merge patch (RFC 7396) drops what is null.
    return f"CAST(json_merge_patch('{{}}', to_json({{{struct}}})) AS VARCHAR)"
