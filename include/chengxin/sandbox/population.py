"""Who lives in the made-up district, and what they file: the whole course, from which a day's state is cut.

Tables of this module hold every date that will ever come (`established`, `exit_on`, `submitted_at`, …); `state.sql`
lets a day see only what has happened by then. Each column has its own stream of random numbers, so that the course
does not depend on the day asked for.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from chengxin.identity import KINDS
from chengxin.sandbox import codes, names

Ints = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]

# Street offices of 历城区 with the share of subjects; the last four lie under the area code of the high-tech zone.
STREETS = (
    ("370112001", "山大路街道", 7), ("370112002", "洪家楼街道", 9), ("370112003", "东风街道", 9),
    ("370112004", "全福街道", 9), ("370112007", "华山街道", 10), ("370112008", "荷花路街道", 6),
    ("370112009", "王舍人街道", 11), ("370112010", "鲍山街道", 7), ("370112011", "郭店街道", 5),
    ("370112012", "唐冶街道", 7), ("370112013", "港沟街道", 5), ("370112016", "董家街道", 4),
    ("370112017", "彩石街道", 3), ("370112018", "仲宫街道", 3), ("370112019", "柳埠街道", 1),
    ("370112020", "唐王街道", 2), ("370112021", "西营街道", 1),
    ("370171002", "孙村街道", 0.4), ("370171003", "巨野河街道", 0.3), ("370171004", "遥墙街道", 0.4),
    ("370171005", "临港街道", 0.3),
)  # fmt: skip
_KINDS = (("91", 0.36), ("92", 0.625), ("93", 0.015))
# How subjects end, and the share that has ended so; the rest carry on.
_EXITS = (("注销", 0.09), ("吊销", 0.045), ("迁出", 0.012), ("歇业", 0.006))
_YEARLY_GROWTH = 0.06
_NEVER = np.datetime64("NaT", "D")


def stream(seed: int, *names: object) -> np.random.Generator:
    """The random numbers of one column: fixed by the seed and the column's name, whatever else is drawn."""
    return np.random.default_rng([seed, zlib.crc32(":".join(map(str, names)).encode())])


def choose(random: np.random.Generator, n: int, shares: tuple[tuple[Any, float], ...]) -> npt.NDArray[Any]:
    """`n` draws of the first members, weighted by the second; weights that fall short of 1 leave empty texts."""
    weights = np.array([share for _, share in shares], dtype=float)
    total = max(1.0, weights.sum())
    places = np.searchsorted(np.cumsum(weights) / total, random.random(n), side="right")
    return np.array([*(value for value, _ in shares), ""])[places]


def days(start: date, offsets: npt.NDArray[Any]) -> Days:
    """Dates so many days after `start`."""
    return np.datetime64(start, "D") + offsets.astype("timedelta64[D]")


@dataclass(frozen=True)
class Population:
    """The subjects: those of the register first, in the order of their numbers, then outsiders of other districts."""

    subjects: pa.Table
    local: int
    """How many of them are in the district's register, now or later."""

    @property
    def size(self) -> int:
        """All of them."""
        return self.subjects.num_rows


def made_up(seed: int, count: int, season: int) -> Population:
    """`count` subjects on 1 January of the season's year, newcomers of two years, and some outsiders."""
    local = count + int(count * _YEARLY_GROWTH * 2) + 2
    outsiders = max(20, count // 500)
    n = local + outsiders
    kind = choose(stream(seed, "kind"), n, _KINDS)
    kind[local:] = "91"
    place = stream(seed, "street").choice(len(STREETS), n, p=_shares())
    prefix = np.char.add(kind, np.where(np.arange(n) < local, "370112", "370100")).astype("S8")
    established = _established(seed, slice(count, local), n, season)
    exit_kind, exit_on = _exits(seed, established, season)
    exit_kind[local:] = ""
    name, industry = _names(kind)
    area = np.array([code for code, _, _ in STREETS])[place]
    detail = stream(seed, "area").random(n)
    area = np.where(detail < 0.01, "370112", np.where(detail < 0.04, np.char.add(area, "001"), area))
    capital = np.round(np.exp(stream(seed, "capital").normal(4.2, 1.6, n)), 2)
    table = pa.table(
        {
            "id": np.arange(n),
            "uscc": codes.credit_codes(prefix, np.arange(n)),
            "name": name,
            "kind": pa.array([*KINDS.values()]).take(pa.array(np.searchsorted(list(KINDS), kind))),
            "established": established,
            "exit_kind": _text(exit_kind),
            "exit_on": exit_on,
            "area_code": pa.array(area),
            "industry": industry,
            "address": names.addresses(
                _street_names().take(pa.array(place)), stream(seed, "road").integers(0, 9999, n)
            ),
            "capital": np.where(kind == "92", np.round(capital / 20, 2), capital),
            "diligence": stream(seed, "diligence").random(n),
        }
    )
    return Population(table, local)


def registered(seed: int, path: Path) -> pa.Table:
    """The subjects of a registry file, as it gives them; all of them are taken to carry on.

    Args:
        seed: decides who files and when.
        path: CSV (`.gz` too) with the columns uscc, name, established, and, where known, capital_raw, address and
            reg_authority_code. Capital that is not in yuan is left out.
    """
    rows = pa_csv.read_csv(
        path,
        convert_options=pa_csv.ConvertOptions(
            column_types={"uscc": pa.string(), "reg_authority_code": pa.string(), "capital_raw": pa.string()},
            strings_can_be_null=True,
        ),
    )
    n = rows.num_rows
    nothing = pa.nulls(n, pa.string())

    def column(name: str) -> Any:
        return rows[name].cast(pa.string()) if name in rows.column_names else nothing

    capital = column("capital_raw").to_pandas().str.extract(r"^([\d.]+)\s*[（(]?万(?:元?人民币|元)?[）)]?$")[0]
    kinds = column("uscc").to_pandas().str[:2].map(KINDS)
    return pa.table(
        {
            "id": np.arange(n),
            "uscc": column("uscc"),
            "name": column("name"),
            "kind": pa.array(kinds, pa.string(), from_pandas=True),
            "established": pa.array(pd.to_datetime(column("established").to_pandas(), errors="coerce").dt.date),
            "exit_kind": nothing,
            "exit_on": pa.nulls(n, pa.date32()),
            "area_code": column("reg_authority_code"),
            "industry": nothing,
            "address": column("address"),
            "capital": pa.array(pd.to_numeric(capital, errors="coerce"), pa.float64(), from_pandas=True),
            "diligence": stream(seed, "registered").random(n),
        }
    )


def filings(seed: int, subjects: pa.Table, year: int) -> pa.Table:
    """Every subject's annual report for `year`: when it comes, by which way, what it says. No row: it never comes.

    The window is 1 January to 30 June of the next year, with a peak in its last weeks, some filings minutes before and
    after its end, and late ones until December.
    """
    established = subjects["established"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    exit_on = subjects["exit_on"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    gone = np.isin(subjects["exit_kind"].to_numpy(zero_copy_only=False), ("注销", "吊销", "迁出"))
    opening = np.datetime64(date(year + 1, 1, 1))
    owes = (established < opening) & ~(gone & (exit_on < opening))
    n = subjects.num_rows
    random = stream(seed, "filing", year)
    # Diligence stays with a subject, luck changes by the year.
    files = owes & (subjects["diligence"].to_numpy() + random.normal(0, 0.02, n) > 0.05)
    at = _moments(random, n, year)
    chosen = np.flatnonzero(files & ~(gone & (exit_on < at.astype("datetime64[D]"))))
    at, m = at[chosen], len(chosen)
    corrected = random.random(m) < 0.02
    later = at + random.integers(1, 60, m).astype("timedelta64[D]")
    individual = pc.equal(subjects["kind"], "个体工商户").to_numpy(zero_copy_only=False)[chosen]
    paper = individual & (random.random(m) < 0.06)
    people = np.maximum(1, np.round(np.exp(random.normal(np.where(individual, 0.7, 1.9), 0.8)))).astype(np.int64)
    assets = np.round(np.exp(random.normal(np.where(individual, 1.5, 4.5), 1.3)), 6)
    debts = np.round(assets * random.beta(2, 3, m), 6)
    return pa.table(
        {
            "id": subjects["id"].take(pa.array(chosen)),
            "uscc": subjects["uscc"].take(pa.array(chosen)),
            "name": subjects["name"].take(pa.array(chosen)),
            "report_year": np.full(m, year, dtype=np.int32),
            "submitted_at": at,
            "correction_at": np.where(corrected, later, np.datetime64("NaT", "s")),
            "paper": paper,
            "public": ~(individual & (random.random(m) < 0.3)),
            "employees": people,
            "insured": np.minimum(people, np.round(people * random.beta(4, 2, m))).astype(np.int64),
            "assets": assets,
            "debts": debts,
            # One in forty does not add up, as in the published data.
            "equity": np.round(assets - debts + (random.random(m) < 0.025) * assets * 0.2, 6),
            "revenue": np.round(assets * np.exp(random.normal(0, 0.7, m)), 6),
        }
    )


def _moments(random: np.random.Generator, n: int, year: int) -> Days:
    """Moments of filing (Beijing, to the second)."""
    part = random.random(n)
    share = random.random(n)
    window = (date(year + 1, 6, 30) - date(year + 1, 1, 1)).days
    day = np.where(part < 0.45, share * window, window - random.exponential(9, n))
    day = np.where(part > 0.975, window + 1 + share * 150, np.clip(day, 0, window))
    second = (8.5 + 10 * random.beta(2, 2, n)) * 3600
    # The last minutes of the window and the first after it, where a rule that rounds would go wrong.
    edge = random.random(n) < 0.001
    day = np.where(edge, window, np.floor(day))
    second = np.where(edge, 24 * 3600 - 900 + share * 1800, second)
    return np.datetime64(date(year + 1, 1, 1), "s") + (day * 86400 + second).astype("timedelta64[s]")


def _established(seed: int, newcomers: slice, n: int, season: int) -> Days:
    random = stream(seed, "established")
    # Numbers grow by about a tenth a year: half of all subjects are younger than six years.
    age = np.minimum(random.exponential(7.5 * 365, n), 26 * 365 + random.random(n) * 365)
    established = days(date(season, 1, 1), -1 - age.astype(np.int64))
    established[newcomers] = days(date(season, 1, 1), random.integers(0, 730, n))[newcomers]
    return established


def _exits(seed: int, established: Days, season: int) -> tuple[npt.NDArray[Any], Days]:
    n = len(established)
    random = stream(seed, "exit")
    kind = choose(random, n, _EXITS)
    span = (np.datetime64(date(season + 1, 12, 31)) - established).astype(np.int64)
    when = established + np.maximum(30, span * random.random(n)).astype("timedelta64[D]")
    return kind, np.where(kind == "", _NEVER, when)


def _names(kind: npt.NDArray[Any]) -> tuple[pa.Array, pa.Array]:
    makers = {"91": names.enterprises, "92": names.shops, "93": names.cooperatives}
    parts, letters, places = [], [], []
    for code, maker in makers.items():
        chosen = np.flatnonzero(kind == code)
        name, letter = maker(np.arange(len(chosen)))
        parts.append(name)
        letters.append(letter)
        places.append(chosen)
    order = pa.array(np.argsort(np.concatenate(places), kind="stable"))
    return pa.concat_arrays(parts).take(order), pa.concat_arrays(letters).take(order)


def _shares() -> npt.NDArray[np.float64]:
    weights = np.array([weight for _, _, weight in STREETS], dtype=float)
    return weights / weights.sum()


def _street_names() -> pa.Array:
    return pa.array([name for _, name, _ in STREETS])


def _text(values: npt.NDArray[Any]) -> pa.Array:
    return pa.array(values, pa.string(), mask=values == "")
