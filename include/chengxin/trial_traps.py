"""Part (c) of the trial: the traps that the data's own description states, each looked for and counted.

Every trap is a count over what a file's contract made of it: the raw rows as the readers gave them (`raw`), the facts
in the lake (`facts`), the rejected rows (`rejected`), and the records left out on purpose (`ignored`). Numbers only.
"""
# ruff: noqa: S608 - all SQL stands in this module

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from chengxin import engine, harvest, judging
from chengxin.clock import BEIJING
from chengxin.connections import Connection
from chengxin.ledger.models import Harvest, RawObject
from chengxin.settings import House

OWN = {
    "trial_district": "enterprise_licheng.csv",
    "trial_city": "enterprise_jinan.csv",
    "trial_dirty_codes": "uscc_dirty_national.csv",
    "trial_road_ratings": "credit_rating_highway_national.csv",
}
"""Contracts of this part alone, and their files."""


@dataclass(frozen=True)
class Trap:
    """One trap.

    Attributes:
        source: the contract whose harvest is looked at.
        what: the trap, in words.
        stated: the number that the data's description gives; None: it gives none.
        query: SQL of one number over `raw`, `facts`, `rejected`, `ignored`.
    """

    source: str
    what: str
    stated: int | None
    query: str


@dataclass(frozen=True)
class Found:
    """A trap, counted."""

    source: str
    what: str
    stated: int | None
    found: int


def _rejected(reason: str) -> str:
    return f"SELECT count(*) FROM rejected WHERE reason LIKE '%（{reason}）'"


_NOT_AS_GIVEN = "SELECT count(*) FROM raw WHERE uscc NOT IN (SELECT uscc FROM facts)"
_LOWER = "SELECT count(*) FROM raw WHERE uscc_raw <> upper(uscc_raw)"
_MEMBERS = "SELECT count(*) FROM raw WHERE bidder_kind = 'consortium'"
_BLOBS = "SELECT sum(n) FROM ignored WHERE reason LIKE 'exclude:bidder_kind=%'"
_CODED = "SELECT count(*) FROM raw WHERE coalesce(uscc_matched_by_name, '') <> ''"

TRAPS = (
    Trap(
        "trial_district",
        "code and address disagree on the district",
        393,
        "SELECT count(*) FROM facts WHERE (substr(uscc, 3, 6) = '370112') <> (coalesce(area_code, '') = '370112')",
    ),
    Trap("trial_district", "type N/A", None, "SELECT count(*) FROM raw WHERE type = 'N/A'"),
    Trap(
        "trial_district",
        "ways to write the capital",
        None,
        "SELECT count(DISTINCT regexp_replace(capital_raw, '[0-9]', '9', 'g')) FROM raw",
    ),
    Trap("trial_district", "capital read as yuan", None, "SELECT count(capital) FROM facts"),
    Trap(
        "trial_district",
        "capital given and not read (foreign currency, prose)",
        None,
        "SELECT (SELECT count(*) FROM raw WHERE capital_raw NOT IN ('', 'N/A', '-')) - count(capital) FROM facts",
    ),
    Trap("trial_city", "bad codes (rejected, or mended by normal form)", 2, _NOT_AS_GIVEN),
    Trap("trial_city", "capital read as yuan", None, "SELECT count(capital) FROM facts"),
    Trap("trial_registry", "bad codes (rejected, or mended by normal form)", 20, _NOT_AS_GIVEN),
    Trap(
        "trial_registry",
        "duplicates",
        1,
        "SELECT coalesce(sum(n), 0) FROM ignored WHERE reason IN ('duplicate', 'superseded')",
    ),
    Trap("trial_registry", "half-width brackets in names", None, "SELECT count(*) FROM raw WHERE name LIKE '%(%'"),
    Trap("trial_registry", "full-width brackets in names", None, "SELECT count(*) FROM raw WHERE name LIKE '%（%'"),
    Trap("trial_dirty_codes", "wrong check digit", 190, _rejected("BAD_CHECK")),
    Trap("trial_dirty_codes", "15-digit old numbers", 6748, _rejected("IS_REGNO_15")),
    Trap("trial_dirty_codes", "13-digit old numbers", 497, _rejected("IS_REGNO_13")),
    Trap("trial_dirty_codes", "lower case in the code", None, _LOWER),
    Trap("trial_dirty_codes", "“企合…字第” numbers", None, "SELECT count(*) FROM raw WHERE uscc_raw LIKE '企%字%第%'"),
    Trap("trial_dirty_codes", "mended by normal form alone", None, "SELECT count(*) FROM facts"),
    Trap("trial_road_ratings", "codes destroyed by a spreadsheet (29.4 %)", 4308, _rejected("EXCEL_MANGLED")),
    Trap("trial_road_ratings", "codes missing", 21, "SELECT count(*) FROM rejected WHERE rule = 'field.required'"),
    Trap(
        "trial_road_ratings",
        "other bad codes (rejected, or mended by normal form)",
        16,
        "SELECT count(*) FROM raw WHERE coalesce(uscc_raw, '') <> '' AND uscc_raw NOT LIKE '%E+%' "
        "AND uscc_raw NOT IN (SELECT uscc FROM facts)",
    ),
    Trap(
        "trial_road_ratings",
        "ratings repeated word for word",
        None,
        "SELECT sum(n) FROM ignored WHERE reason = 'duplicate'",
    ),
    Trap("trial_road_ratings", "ratings in the lake", None, "SELECT count(*) FROM facts"),
    Trap(
        "trial_grades",
        "rows beyond the first of an enterprise",
        None,
        "SELECT count(*) - count(DISTINCT name) FROM raw",
    ),
    Trap("trial_grades", "empty grades", None, "SELECT sum(n) FROM ignored WHERE reason = 'exclude:grade='"),
    Trap("trial_bad_behaviour", "rows with a code (by exact name)", 451, "SELECT count(uscc) FROM facts"),
    Trap(
        "trial_bad_behaviour",
        "entries gone before their end date",
        None,
        "SELECT count(*) FROM raw WHERE strptime(last_seen, '%Y%m%d') < CAST(end_date AS DATE) "
        "AND last_seen < (SELECT max(last_seen) FROM raw)",
    ),
    Trap("trial_tenders", "notices", 1966, "SELECT count(*) FROM facts"),
    Trap("trial_bidders", "consortium members on lines of their own", None, _MEMBERS),
    Trap("trial_bidders", "prose marked as parse failures", 52, _BLOBS),
    Trap("trial_bidders", "rows with a code", 2030, _CODED),
    Trap(
        "trial_bidders",
        "prices as prose",
        None,
        "SELECT count(*) FROM raw WHERE coalesce(price_raw, '') <> '' "
        "AND TRY_CAST(replace(price_raw, ',', '') AS DOUBLE) IS NULL",
    ),
)  # fmt: skip


def harvest_own(house: House, data: Path, day: date) -> tuple[House, dict[str, dict[str, Any]]]:
    """Harvests the files of `OWN` into a house of their own.

    Args:
        house: where to work; `var` is this part's.
        data: folder with the public files.
        day: the day to speak for.

    Returns:
        The house with their contracts and files, and source → what `harvest.run` returns.
    """
    drop, include = house.var / "drop", house.var / "include"
    drop.mkdir(parents=True, exist_ok=True)
    shutil.copytree(house.include_dir / "trial", include, dirs_exist_ok=True)
    for name in sorted(set(OWN.values())):
        with gzip.open(data / f"{name}.gz") as packed, (drop / name).open("wb") as file:
            shutil.copyfileobj(packed, file)
    place = Connection("trial_drop", "fs", extra={"path": str(drop)})
    house = replace(
        house,
        include=include,
        mode="rehearsal",
        clock=lambda: datetime.combine(day, time(8), BEIJING),
        connections=lambda _: place,
    )
    return house, {source: harvest.run(house, source, day) for source in OWN}


def count(houses: Mapping[str, tuple[House, date]]) -> list[Found]:
    """Counts every trap.

    Args:
        houses: source → the house it was harvested in, and the day. Traps of other sources are left out.
    """
    found = []
    for source in dict.fromkeys(trap.source for trap in TRAPS):
        if source in houses:
            house, day = houses[source]
            found += _count(house, day, source, [trap for trap in TRAPS if trap.source == source])
    return found


def _count(house: House, day: date, source: str, traps: Sequence[Trap]) -> list[Found]:
    import pyarrow as pa
    from sqlalchemy import select

    from chengxin import contracts
    from chengxin.staging import Tally

    contract = contracts.load(house.include_dir / f"sources/{source}.yml")
    with house.ledger.begin() as session:
        last = session.scalars(
            select(Harvest)
            .where(Harvest.source == source, Harvest.as_of == day, Harvest.state == "published")
            .order_by(Harvest.id.desc())
        ).first()
        assert last is not None
        objects = list(session.scalars(select(RawObject).where(RawObject.harvest_id == last.id).order_by("ordinal")))
        left_out = last.detail.get("ignored", {})
        ignored = pa.table({"reason": pa.array(left_out, pa.string()), "n": pa.array(left_out.values(), pa.int64())})
        session.expunge_all()
    connection = house.engine()
    try:
        raw = pa.concat_tables(judging.chunks(house, contract, objects, Tally()), promote_options="permissive")
        rows = {
            "raw": raw,
            "facts": engine.as_of(connection, house.lake, contract.table, day, source=source).to_pyarrow(),
            "rejected": engine.as_of(connection, house.lake, "rejected", day, source=source).to_pyarrow(),
            "ignored": ignored,
        }
        for name, table in rows.items():
            connection.con.register(name, table)
        return [
            Found(source, trap.what, trap.stated, int(connection.con.execute(trap.query).fetchall()[0][0] or 0))
            for trap in traps
        ]
    finally:
        connection.disconnect()
