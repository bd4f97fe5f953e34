"""What is held against some of the made-up subjects: records, and entries on the lists of section three.

Courses again: a record is identified, published, rectified, repaired or withdrawn, each on its day.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chengxin.sandbox.population import Days, Population, choose, days, stream

_NEVER = np.datetime64("NaT", "D")
_AUTHORITIES = ("区市场监管局", "区住建局", "区应急局", "区城管局", "区税务局", "市生态环境局历城分局", "区人社局")
# Code of the list at its source, share, years that an entry lasts, what is said, who decides.
LISTS = (
    ("01", 0.2, 3, "示例：提供虚假材料取得登记", "区市场监管局"),
    ("02", 0.2, 2, "示例：提供虚假材料谋取中标", "区财政局"),
    ("03", 0.15, 3, "示例：虚开发票", "区税务局"),
    ("04", 0.2, 1, "示例：拖欠农民工工资", "区人社局"),
    ("05", 0.15, 1, "示例：未履行合同约定", "区发改局"),
    ("严重违法企业名单", 0.05, 3, "示例：列入经营异常名录届满三年（旧）", "区市场监管局"),
    ("严重违法失信企业名单", 0.05, 3, "示例：组织虚假宣传", "区市场监管局"),
)  # fmt: skip


def victims(seed: int, people: Population, what: str, n: int) -> npt.NDArray[np.int64]:
    """Numbers of `n` subjects, enterprises mostly, some of them twice."""
    random = stream(seed, "victims", what)
    enterprise = np.flatnonzero(people.subjects["kind"].to_numpy(zero_copy_only=False) == "企业")
    anyone = random.integers(0, people.size, n)
    return np.where(random.random(n) < 0.75, enterprise[random.integers(0, len(enterprise), n)], anyone)


def records(seed: int, people: Population, n: int, season: int) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """`n` penalties of the last four years and of this season, and whom they hit."""
    random = stream(seed, "records")
    whom = victims(seed, people, "records", n)
    recent = random.random(n) < 0.5
    identified = np.where(recent, _spread(random, n, season, years=1), _spread(random, n, season, years=4))
    severity = choose(random, n, (("轻微", 0.3), ("一般", 0.5), ("严重", 0.2)))
    rectified = _later(random, identified, 0.4, 20, 300)
    # Repair needs rectification; every twelfth is sure to be repaired, so that a small world has some.
    repaired = np.where(
        random.random(n) < 0.35, rectified + random.integers(30, 120, n).astype("timedelta64[D]"), _NEVER
    )
    sure = np.arange(n) % 12 == 5
    rectified = np.where(sure, identified + np.timedelta64(30, "D"), rectified)
    repaired = np.where(sure, identified + np.timedelta64(95, "D"), repaired)
    shown = np.where(severity == "严重", 3 * 365, np.where(severity == "一般", 365, 90))
    in_report = choose(random, n, (("1", 0.7), ("0", 0.2)))
    table = _about(people, whom) | {
        "id": np.arange(n),
        "record_no": [f"示例罚字〔{day.year}〕第{i + 1:05d}号" for i, day in enumerate(identified.tolist())],
        "severity": pa.array(severity),
        "authority": pa.array(np.array(_AUTHORITIES)[random.integers(0, len(_AUTHORITIES), n)]),
        # One in a hundred and fifty carries no date of decision.
        "identified_on": np.where(np.arange(n) % 150 == 3, _NEVER, identified),
        "published_on": identified + np.timedelta64(7, "D"),
        "expires_on": identified + shown.astype("timedelta64[D]"),
        "rectified_on": rectified,
        "claims": random.random(n) < 0.3,
        "repaired_on": repaired,
        "withdrawn_on": _later(random, identified, 0.01, 10, 90),
        "in_report": pa.array(in_report, pa.string(), mask=in_report == ""),
        "person": np.zeros(n, dtype=bool),
        # What is repaired stays in the interface for some months, with its mark; what has expired goes later.
        "kept_until": np.fmin(
            identified + (shown + 1000).astype("timedelta64[D]"), repaired + np.timedelta64(180, "D")
        ),
    }
    return pa.table(table), whom


def debtors(seed: int, people: Population, n: int, season: int) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """`n` lines of the courts' list: two thirds subjects, of which a quarter by name only, and natural persons."""
    random = stream(seed, "debtors")
    whom = victims(seed, people, "debtors", n)
    listed = _spread(random, n, season, years=2)
    # Every ninth is there by its name alone, so that a small world has one too.
    by_name = np.arange(n) % 9 == 5
    person = (random.random(n) < 0.33) & ~by_name
    columns = _about(people, whom)
    bare = person | by_name | (random.random(n) < 0.1)
    removed = _later(random, listed, 0.15, 60, 500)
    return pa.table(
        columns
        | {
            "id": np.arange(n),
            "uscc": pc.if_else(bare, None, columns["uscc"]),
            "name": pc.if_else(person, pa.array(_persons(n)), columns["name"]),
            "case_no": [f"（{day.year}）鲁0112执示例{i + 1}号" for i, day in enumerate(listed.tolist())],
            "listed_on": listed,
            "expires_on": np.where(random.random(n) < 0.9, listed + np.timedelta64(730, "D"), _NEVER),
            "removed_on": removed,
            "person": person,
        }
    ), whom[~person]


def listed(seed: int, people: Population, n: int, season: int) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """`n` lines of the other lists, some by name only."""
    random = stream(seed, "listed")
    whom = victims(seed, people, "listed", n)
    kind = random.choice(len(LISTS), n, p=[share for _, share, *_ in LISTS])
    kind[: len(LISTS)] = np.arange(len(LISTS))[:n]
    since = _spread(random, n, season, years=3)
    # The first lines are fresh, so that even a small world has each list in force.
    since[: len(LISTS)] = days(date(season - 1, 9, 1), np.arange(len(LISTS)) * 11)[:n]
    years = np.array([years for _, _, years, *_ in LISTS])[kind]
    columns = _about(people, whom)
    bare = random.random(n) < 0.08
    removed = _later(random, since, 0.15, 90, 400)
    removed[: len(LISTS)] = _NEVER
    return pa.table(
        columns
        | {
            "id": np.arange(n),
            "uscc": pc.if_else(bare, None, columns["uscc"]),
            "list": [LISTS[k][0] for k in kind],
            "doc_no": [f"示例列〔{day.year}〕{i + 1:05d}号" for i, day in enumerate(since.tolist())],
            "listed_on": since,
            "expires_on": np.where(random.random(n) < 0.9, since + (years * 365).astype("timedelta64[D]"), _NEVER),
            "removed_on": removed,
            "reason": [LISTS[k][3] for k in kind],
            "authority": [LISTS[k][4] for k in kind],
        }
    ), whom


def unreachable(seed: int, people: Population, n: int, season: int) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """`n` lines of the abnormal list for another reason than a missing annual report."""
    random = stream(seed, "unreachable")
    whom = np.unique(victims(seed, people, "unreachable", n))
    whom = whom[whom < people.local]
    since = _spread(random, len(whom), season, years=3)
    return pa.table(
        _about(people, whom)
        | {
            "id": whom,
            "listed_on": since,
            "removed_on": _later(random, since, 0.35, 30, 400),
            "reason": np.full(len(whom), "通过登记的住所或者经营场所无法联系"),
        }
    ), whom


def _about(people: Population, whom: npt.NDArray[np.int64]) -> dict[str, Any]:
    rows = pa.array(whom)
    return {column: people.subjects[column].take(rows) for column in ("uscc", "name")}


def _spread(random: np.random.Generator, n: int, season: int, years: int) -> Days:
    start = date(season - years, 1, 1)
    return days(start, random.integers(0, (date(season, 12, 31) - start).days, n))


def _later(random: np.random.Generator, since: Days, share: float, low: int, high: int) -> Days:
    n = len(since)
    after = since + random.integers(low, high, n).astype("timedelta64[D]")
    return np.where(random.random(n) < share, after, _NEVER)


def _persons(n: int) -> npt.NDArray[Any]:
    return np.array(["王", "李", "张", "刘", "陈"], dtype=object)[np.arange(n) % 5] + "某某"
