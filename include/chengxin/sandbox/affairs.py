"""Pending matters with their applicants, the reports handed in for them and the consents, month by month.

A month's matters depend on the seed and the month alone, so a day needs only the last few months, whatever their
number. Like `population`, it gives whole courses; `state.sql` cuts out a day.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from chengxin.sandbox import codes
from chengxin.sandbox.population import Population, choose, days, stream

MONTHS_SEEN = 6
"""Matters of how many months a day looks at: none stays longer, its last 60 days as 办结 included."""
_ROWS_A_MONTH = 10_000_000

DEPARTMENTS = {
    "zjj": "区住建局", "czj": "区财政局", "gzw": "区国资运营中心", "fgj": "区发改局", "kjj": "区科技局",
    "nyj": "区农业农村局", "scjg": "区市场监管局", "spj": "区行政审批局", "zrzy": "区自然资源局",
    "jrj": "区金融事业发展中心", "sw": "区税务局", "mzj": "区民政局",
}  # fmt: skip

PARTNERS = {"nsyh": "济南样例农村商业银行", "partner": "济南样例合作商贸有限公司"}
"""A bank and a party to contracts: who looks up with a consent, and holds no matter."""


@dataclass(frozen=True)
class Kind:
    """A kind of matter as departments have it."""

    share: float
    type: str
    prefix: str
    departments: tuple[str, ...]
    title: str
    role: str
    things: tuple[str, ...]
    procurement_form: str = ""
    fund_kind: str = ""
    land_method: str = ""
    is_construction: bool | None = None
    field: str = ""
    most: int = 6
    """Most applicants in one matter."""


_WORKS = ("示例小学改扩建", "样板社区雨污分流", "演示公园绿化提升", "示例路道路大修", "样板河道治理", "演示安置房三期")
_GOODS = ("办公设备", "物业服务", "信息系统运维", "校园食堂食材", "环卫车辆", "档案数字化服务", "宣传印刷")
KINDS = (
    Kind(15, "政府采购", "CG", ("czj",), "{}政府采购项目", "供应商", _GOODS, procurement_form="政府集中采购"),
    Kind(9, "政府采购", "FC", ("kjj", "mzj", "nyj"), "{}分散采购项目", "供应商", _GOODS, procurement_form="分散采购"),
    Kind(2, "政府采购", "QC", ("czj",), "{}采购项目", "供应商", _GOODS),
    Kind(17, "招投标", "ZB", ("zjj",), "{}工程施工招标", "投标人", _WORKS,
         is_construction=True, field="工程建设", most=9),
    Kind(5, "招投标", "FW", ("fgj", "zrzy"), "{}服务招标", "投标人", _GOODS, is_construction=False),
    Kind(8, "国有资产产权交易", "CQ", ("gzw",), "{}转让", "受让人",
         ("示例厂房产权", "样板公司股权", "演示设备一批"), most=4),
    Kind(12, "资金扶持", "ZJ", ("kjj", "fgj", "nyj"), "{}申报", "申报人",
         ("科技创新券", "专精特新奖补", "农业产业化扶持资金", "技术改造补助"), fund_kind="产业扶持资金"),
    Kind(5, "资金扶持", "FL", ("mzj", "nyj"), "{}申报", "申报人", ("养老服务扶持资金", "乡村帮扶车间补助"),
         fund_kind="社会福利扶贫资金"),
    Kind(1, "资金扶持", "QT", ("fgj",), "{}申报", "申报人", ("一次性奖补资金",)),
    Kind(2, "土地出让", "TD", ("zrzy",), "{}国有建设用地使用权招标出让", "竞买人",
         ("示例地块", "样板地块"), land_method="招标"),
    Kind(3, "土地出让", "TP", ("zrzy",), "{}国有建设用地使用权挂牌出让", "竞买人",
         ("示例地块", "样板地块"), land_method="挂牌"),
    Kind(5, "行政审批", "SP", ("spj",), "{}许可", "申请人", ("人力资源服务", "城市排水", "道路占用"), most=1),
    Kind(3, "市场准入", "ZR", ("spj", "scjg"), "{}准入", "申请人", ("小作坊", "特种设备使用"), most=1),
    Kind(3, "资质审核", "ZZ", ("zjj",), "{}资质核查", "申请人", ("施工总承包", "工程监理"), most=2, field="工程建设"),
    Kind(2, "评先评优", "PX", ("fgj",), "{}评选", "参评单位", ("诚信示范企业", "优秀民营企业"), most=8),
    Kind(3, "信贷安排", "XD", ("jrj",), "{}推荐", "借款人",
         ("应急转贷", "小微企业信用贷款"), most=2, field="融资担保"),
    Kind(2, "税收优惠", "SY", ("sw",), "{}审查", "申请人", ("节能减排优惠", "科技创新优惠"), most=1),
    Kind(2, "日常监管", "JG", ("scjg",), "{}双随机检查", "检查对象", ("产品质量", "广告"), field="产品质量"),
    Kind(2, "食品药品安全监管", "SA", ("scjg",), "{}专项检查", "检查对象",
         ("校园周边食品", "药品零售"), field="食品药品安全"),
)  # fmt: skip

# Name of the agency, and the share of reports that it writes; the first eighteen are filed with the central bank.
AGENCIES = tuple(
    (f"{place}{word}示例征信有限公司", 5.0 if i < 6 else 1.0)
    for i, (place, word) in enumerate(
        [
            (place, word)
            for word in ("恒信", "明鉴", "汇诚")
            for place in ("济南", "山东", "青岛", "烟台", "潍坊", "临沂")
        ]
        + [("济南", "速评"), ("山东", "优评")]
    )
)
FILED_AGENCIES = 18
CANCELLED_AGENCY = 5
"""Its filing ends on 1 June of the season's year."""
_GRADES = (
    ("AAA", 0.06), ("AA", 0.14), ("A", 0.3), ("BBB", 0.22), ("BB", 0.12), ("B", 0.08), ("CCC", 0.04), ("CC", 0.02),
    ("C", 0.01),
)  # fmt: skip


@dataclass(frozen=True)
class Month:
    """What one month brings."""

    matters: pa.Table
    applicants: pa.Table
    reports: pa.Table
    consents: pa.Table


def month(
    seed: int, people: Population, troubled: npt.NDArray[np.int64], agencies: pa.Table, count: int, first: date
) -> Month:
    """The matters opened in one month.

    Args:
        seed: of the world.
        people: applicants come from here.
        troubled: subjects with adverse facts; every fifth applicant is one of them, or departments had nothing to read.
        agencies: who writes reports.
        count: number of matters.
        first: the month's first day.
    """
    random = stream(seed, "month", first)
    matters = _matters(random, count, first)
    applicants = _applicants(random, people, troubled, matters, first)
    rows = applicants.merge(matters[["matter", "opened_on", "department"]], on="matter")
    return Month(
        matters=_table(matters),
        applicants=_table(applicants),
        reports=_table(_reports(random, people, agencies, rows, first)),
        consents=_table(pd.concat([_consents(random, rows, first), _to_partners(seed, rows, first)])),
    )


def agencies(seed: int, season: int) -> pa.Table:
    """The credit agencies: filed ones, one whose filing ends in the season, and two that never filed."""
    n = len(AGENCIES)
    filed = np.arange(n) < FILED_AGENCIES
    since = days(date(season - 6, 1, 1), stream(seed, "agency").integers(0, 365 * 5, n))
    ends = np.where(np.arange(n) == CANCELLED_AGENCY, np.datetime64(date(season, 6, 1)), np.datetime64("NaT", "D"))
    return pa.table(
        {
            "id": -1 - np.arange(n),
            # An area of its own keeps their codes apart from those of subjects.
            "uscc": codes.credit_codes(np.full(n, b"91370199"), np.arange(n)),
            "name": [name for name, _ in AGENCIES],
            "filing_no": [f"示例备〔{season - 6 + i % 5}〕{i + 1:02d}号" for i in range(n)],
            "filed": filed,
            "filed_on": since,
            "cancelled_on": ends,
        }
    )


def _matters(random: np.random.Generator, count: int, first: date) -> pd.DataFrame:
    share = np.array([kind.share for kind in KINDS])
    kind = random.choice(len(KINDS), count, p=share / share.sum())
    # The first of a small month are one of each kind, so that none is missing.
    kind[: min(count, len(KINDS))] = np.arange(min(count, len(KINDS)))
    opened = days(first, random.integers(0, monthrange(first.year, first.month)[1], count))
    decided = opened + np.clip(np.exp(random.normal(3.6, 0.35, count)), 15, 75).astype("timedelta64[D]")
    pick = random.random(count)
    bids = np.isin(kind, [i for i, k in enumerate(KINDS) if k.type in ("政府采购", "招投标", "土地出让")])
    number = np.arange(count)
    frame = pd.DataFrame({"matter": number, "id": _ids(first, count), "kind": kind})
    frame["matter_no"] = [f"LC-{KINDS[k].prefix}-{first:%Y%m}-{i + 1:04d}" for k, i in zip(kind, number, strict=True)]
    frame["title"] = [KINDS[k].title.format(_member(KINDS[k].things, p)) for k, p in zip(kind, pick, strict=True)]
    frame["department"] = [_member(KINDS[k].departments, p * 7 % 1) for k, p in zip(kind, pick, strict=True)]
    for column in ("type", "procurement_form", "fund_kind", "land_method", "field"):
        frame[column] = np.array([getattr(k, column) or None for k in KINDS], dtype=object)[kind]
    frame["is_construction"] = np.array([k.is_construction for k in KINDS], dtype=object)[kind]
    frame["opened_on"] = opened
    frame["decided_on"] = decided
    frame["test_date"] = np.where(
        bids, opened + random.integers(10, 25, count).astype("timedelta64[D]"), np.datetime64("NaT")
    )
    frame["synonym"] = random.random(count) < 0.5
    return frame


def _applicants(
    random: np.random.Generator,
    people: Population,
    troubled: npt.NDArray[np.int64],
    matters: pd.DataFrame,
    first: date,
) -> pd.DataFrame:
    most = np.array([kind.most for kind in KINDS])[matters["kind"]]
    counts = 1 + np.floor(random.random(len(matters)) * most).astype(np.int64)
    matter = np.repeat(matters["matter"].to_numpy(), counts)
    n = len(matter)
    kinds = people.subjects["kind"].to_numpy(zero_copy_only=False)
    likely = np.flatnonzero(kinds == "企业")
    anyone = random.integers(0, people.size, n)
    subject = np.where(random.random(n) < 0.9, likely[random.integers(0, len(likely), n)], anyone)
    if len(troubled):
        subject = np.where(random.random(n) < 0.2, troubled[random.integers(0, len(troubled), n)], subject)
    frame = pd.DataFrame({"matter": matter, "subject": subject}).drop_duplicates(ignore_index=True)
    frame["number"] = frame.groupby("matter").cumcount() + 1
    frame["id"] = _ids(first, len(frame))
    frame["matter_no"] = matters["matter_no"].to_numpy()[frame["matter"]]
    frame["uscc"] = people.subjects["uscc"].take(pa.array(frame["subject"])).to_pandas()
    frame["name"] = people.subjects["name"].take(pa.array(frame["subject"])).to_pandas()
    frame["role"] = np.array([kind.role for kind in KINDS], dtype=object)[matters["kind"].to_numpy()[frame["matter"]]]
    # Two in a hundred come without a code.
    frame.loc[random.random(len(frame)) < 0.02, "uscc"] = None
    return frame


def _reports(
    random: np.random.Generator, people: Population, agencies: pa.Table, rows: pd.DataFrame, first: date
) -> pd.DataFrame:
    chosen = rows[random.random(len(rows)) < 0.8].reset_index(drop=True)
    n = len(chosen)
    weights = np.array([share for _, share in AGENCIES])
    agency = random.choice(len(AGENCIES), n, p=weights / weights.sum())
    opened = chosen["opened_on"].to_numpy().astype("datetime64[D]")
    # Most reports are some months old; some have run out, some come after the matter was opened.
    part = random.random(n)
    age = np.where(
        part < 0.08,
        random.integers(370, 600, n),
        np.where(part > 0.9, -random.integers(1, 15, n), random.integers(1, 200, n)),
    )
    issued = opened - age.astype("timedelta64[D]")
    other = random.random(n) < 0.02
    parent = random.integers(0, people.size, n)
    subjects = np.where(other, parent, chosen["subject"])
    grade = choose(random, n, _GRADES)
    lettered = agency != 3
    return pd.DataFrame(
        {
            "id": _ids(first, n),
            "report_no": [f"XB{first:%Y%m}{i + 1:06d}" for i in range(n)],
            "uscc": people.subjects["uscc"].take(pa.array(subjects)).to_pandas(),
            "name": people.subjects["name"].take(pa.array(subjects)).to_pandas(),
            "agency_uscc": agencies["uscc"].take(pa.array(agency)).to_pandas(),
            "agency_name": agencies["name"].take(pa.array(agency)).to_pandas(),
            "issue_date": issued,
            "valid_to": np.where(random.random(n) < 0.7, issued + np.timedelta64(364, "D"), np.datetime64("NaT")),
            # One agency grades by its own words; nobody may compare the two scales.
            "scale": np.where(lettered, "GB/T 22116", "优良中差"),
            "grade": _unless(grade == "", np.where(lettered, grade, _words(grade))),
            "score": np.where(random.random(n) < 0.6, np.round(random.normal(78, 9, n), 1), np.nan),
            "matter_no": _unless(~other & (random.random(n) > 0.4), chosen["matter_no"]),
            "handed_in_by": _unless(~other, chosen["uscc"]),
            "delivered_on": np.maximum(issued, opened - np.timedelta64(10, "D")),
            "kept_until": opened + np.timedelta64(150, "D"),
        }
    )


def _consents(random: np.random.Generator, rows: pd.DataFrame, first: date) -> pd.DataFrame:
    chosen = rows[(random.random(len(rows)) < 0.94) & rows["uscc"].notna()].reset_index(drop=True)
    n = len(chosen)
    opened = chosen["opened_on"].to_numpy().astype("datetime64[D]")
    given = opened - random.integers(0, 10, n).astype("timedelta64[D]")
    elsewhere = random.random(n) < 0.03
    withdrawn = random.random(n) < 0.06
    others = np.array(list(DEPARTMENTS))[random.integers(0, len(DEPARTMENTS), n)]
    return pd.DataFrame(
        {
            "id": _ids(first, n),
            "consent_no": [f"SQ{first:%Y%m}{i + 1:06d}" for i in range(n)],
            "uscc": chosen["uscc"],
            "name": chosen["name"],
            "item": np.where(random.random(n) < 0.98, "信用报告", "财务信息"),
            "matter_no": _unless(random.random(n) < 0.5, chosen["matter_no"]),
            "recipient": np.where(elsewhere, others, chosen["department"]),
            "given_on": given,
            "withdrawn_on": np.where(
                withdrawn, given + random.integers(5, 40, n).astype("timedelta64[D]"), np.datetime64("NaT")
            ),
            "expires_on": np.where(random.random(n) < 0.8, given + np.timedelta64(365, "D"), np.datetime64("NaT")),
            "kept_until": opened + np.timedelta64(150, "D"),
        }
    )


def _to_partners(seed: int, rows: pd.DataFrame, first: date) -> pd.DataFrame:
    """Every tenth applicant also lets the bank look it up, for whatever it asks; fewer a partner, for one contract."""
    random = stream(seed, "partners", first)
    bank = random.random(len(rows)) < 0.1
    chosen = rows[(bank | (random.random(len(rows)) < 0.02)) & rows["uscc"].notna()]
    n = len(chosen)
    to_bank = bank[chosen.index.to_numpy()]
    given = chosen["opened_on"].to_numpy().astype("datetime64[D]") - random.integers(0, 5, n).astype("timedelta64[D]")
    withdrawn = random.random(n) < 0.1
    numbers = [f"{first:%Y%m}{i + 1:06d}" for i in range(n)]
    return pd.DataFrame(
        {
            # Behind every id of the consents to departments.
            "id": _ids(first, n) + _ROWS_A_MONTH // 2,
            "consent_no": [f"SQC{number}" for number in numbers],
            "uscc": chosen["uscc"].to_numpy(),
            "name": chosen["name"].to_numpy(),
            "item": "信用报告",
            "matter_no": _unless(to_bank, [f"HT{number}" for number in numbers]),
            "recipient": np.where(to_bank, "nsyh", "partner"),
            "given_on": given,
            "withdrawn_on": np.where(
                withdrawn, given + random.integers(5, 40, n).astype("timedelta64[D]"), np.datetime64("NaT")
            ),
            "expires_on": given + np.timedelta64(365, "D"),
            "kept_until": given + np.timedelta64(155, "D"),
        }
    )


def _ids(first: date, n: int) -> npt.NDArray[np.int64]:
    return (first.year * 12 + first.month) * _ROWS_A_MONTH + np.arange(n)


def _member(words: tuple[str, ...], place: float) -> str:
    return words[int(place * len(words))]


def _words(grade: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(
        np.isin(grade, ("AAA", "AA")), "优", np.where(grade == "A", "良", np.where(grade == "BBB", "中", "差"))
    )


def _unless(missing: npt.NDArray[np.bool_], values: Any) -> pd.Series[Any]:
    return pd.Series(values, dtype="str").mask(missing)


def _table(frame: pd.DataFrame) -> pa.Table:
    """The frame with days as dates and texts as texts, even where a column happens to hold nothing."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = []
    for column in table.schema:
        if pa.types.is_timestamp(column.type):
            fields.append(pa.field(column.name, pa.date32()))
        elif pa.types.is_null(column.type) or pa.types.is_large_string(column.type):
            fields.append(pa.field(column.name, pa.bool_() if column.name == "is_construction" else pa.string()))
        else:
            fields.append(pa.field(column.name, column.type))
    return table.cast(pa.schema(fields))
