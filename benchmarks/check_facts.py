"""A lake full of made-up facts for `check.py` and `growth.py`, written directly, as harvests would have left it.

Applicants draw from the subjects at random, four to a matter. Days lie close to what they are compared with, every
attribute is missing now and then, some rows were observed before and differ, some are gone, some documents are told of
twice: whatever a policy can ask has an answer somewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chengxin import identity
from chengxin.clock import BEIJING
from chengxin.lake import arrow_schema
from chengxin.ledger.models import Commit, Harvest
from chengxin.sandbox.codes import credit_codes
from chengxin.settings import House
from chengxin.tables import TABLES

DAY = date(2026, 6, 15)
ROOT = Path(__file__).resolve().parents[1]
KINDS = ("企业", "农民专业合作社", "个体工商户")
TYPES = (
    "日常监管", "政府采购", "招投标", "行政审批", "国有资产产权交易", "土地出让", "市场准入", "资质审核", "评先评优",
    "资金扶持", "信贷安排", "税收优惠", "食品药品安全监管", "建设工程招投标", "国有产权转让", "户外广告设置",
)  # fmt: skip
LISTS = {
    "abnormal_list": ("经营异常名录",),
    "dishonest_debtors": ("失信被执行人",),
    "blacklists": ("黑名单", "信用不良记录", "严重违法企业名单", "政府采购严重违法失信行为记录名单", "重点关注名单"),
}
DESKS = 20


def house(folder: str) -> House:
    """The house of a folder."""
    return House(
        root=ROOT, var=Path(folder) / "var", district="370112", clock=lambda: datetime(2026, 6, 15, 2, tzinfo=BEIJING)
    )


@dataclass
class _Lake:
    house: House
    random: np.random.Generator

    def write(
        self, table: str, source: str, day: date, keys: Sequence[Any] | pa.Array, columns: Mapping[str, Any],
        *, removed: bool = False,
    ) -> None:  # fmt: skip
        """One harvest's rows."""
        moment = self.house.clock()
        with self.house.ledger.begin() as session:
            commit = Commit(kind="harvest", name=source, as_of=day, opened_at=moment, closed_at=moment)
            session.add(commit)
            session.flush()
            seq = commit.seq
        n = len(keys)
        made = {
            "natural_key": keys, "observed_on": [day] * n, "seq": np.full(n, seq), "source": [source] * n,
            "raw_sha256": pa.repeat(f"{seq:064x}", n), "raw_row": np.arange(n), "row_hash": [""] * n,
            "removed": np.full(n, removed), **columns,
        }  # fmt: skip
        schema = arrow_schema(TABLES[table])
        arrays = [
            pa.array(made[each.name]).cast(each.type) if each.name in made else pa.nulls(n, each.type)
            for each in schema
        ]
        file = self.house.lake.data_file(table, seq)
        pq.write_table(pa.table(arrays, schema=schema), file, compression="zstd", row_group_size=122_880)
        self.house.lake.commit(table, [file], seq)

    def some(self, values: Any, present: float) -> pa.Array:
        """The values, a share of them null."""
        values = pa.array(values)
        return pc.if_else(pa.array(self.random.random(len(values)) < present), values, pa.scalar(None, values.type))

    def days(self, n: int, first: int, last: int) -> Any:
        """Days from so many before the day of the check to so many after; every tenth is that day or a year from it."""
        away = self.random.integers(first, last + 1, n)
        edge = self.random.random(n) < 0.1
        away[edge] = self.random.choice([-366, -365, -364, -1, 0, 1], edge.sum())
        return np.datetime64(DAY) + away.astype("timedelta64[D]")

    def choice(self, words: Sequence[str | None], n: int) -> pa.Array:
        """One of the words each."""
        return pa.array(words).take(pa.array(self.random.integers(0, len(words), n)))


def make(folder: str, applicants: int, subjects: int, seed: int = 7) -> House:
    """Fills the lake of a folder with that many applicants of pending matters and that many subjects."""
    there = house(folder)
    lake = _Lake(there, np.random.default_rng(seed))
    random = lake.random
    kinds = random.choice(3, subjects, p=[0.36, 0.015, 0.625])
    heads = np.array(["91", "93", "92"])[kinds]
    codes = credit_codes(np.char.add(heads, "370112").astype("S8"), np.arange(subjects))
    # A name in a hundred is borne by two.
    bearer = np.where(random.random(subjects) < 0.01, (np.arange(subjects) + 1) % subjects, np.arange(subjects))
    names = pa.array([f"历城样例{n}{'有限公司' if n % 3 else '经营部'}" for n in bearer.tolist()])
    name_keys = identity.name_key_arrow(names.cast(pa.large_string())).cast(pa.string())
    known = np.flatnonzero(random.random(subjects) < 0.98)
    about = {
        "uscc": codes, "name": names, "name_key": name_keys, "kind": lake.some(pa.array(KINDS).take(kinds), 0.97),
        "state": pa.repeat("存续", subjects), "established": lake.days(subjects, -3000, -400),
    }  # fmt: skip
    _observed(lake, "subject", "subject_registry", codes, about, known)
    _matters(lake, codes, names, name_keys, applicants)
    _reports(lake, codes, names, max(40, applicants // 3), max(10, applicants // 4))
    _records(lake, codes, max(40, subjects // 2))
    _entries(lake, codes, names, name_keys, max(40, subjects // 3))
    with there.ledger.begin() as session:
        for source in ("subject_registry", "annual_reports", "credit_reports", "credit_report_pdfs",
                       "credit_agencies", "credit_records", "abnormal_list", "dishonest_debtors", "blacklists",
                       "matters", "consents"):  # fmt: skip
            session.add(Harvest(source=source, as_of=DAY, state="published", contract_sha256="0" * 64,
                                started_at=there.clock(), finished_at=there.clock()))  # fmt: skip
    return there


def _observed(lake: _Lake, table: str, source: str, keys: pa.Array, columns: Mapping[str, Any], chosen: Any) -> None:
    """The chosen rows as of the day; a twentieth of them was seen otherwise before, another one has gone since."""
    keys = pa.array(keys)
    columns = {name: pa.array(values) for name, values in columns.items()}

    def part(rows: Any) -> tuple[pa.Array, dict[str, pa.Array]]:
        taken = pa.array(rows)
        return keys.take(taken), {name: values.take(taken) for name, values in columns.items()}

    roll = lake.random.random(len(chosen))
    before, gone = chosen[roll < 0.1], chosen[roll < 0.05]
    # What was seen before is its neighbour's content under its own key.
    old_keys, _ = part(before)
    _, old = part(np.roll(before, 1))
    unchanged = {name: part(before)[1][name] for name in ("uscc", "record_no", "matter_id", "report_no") if name in old}
    yesterday = DAY - timedelta(days=40)
    lake.write(table, source, yesterday, old_keys, {**old, **unchanged})
    lake.write(table, source, DAY - timedelta(days=3), *part(chosen[roll >= 0.05]))
    lake.write(table, source, DAY - timedelta(days=2), *part(gone), removed=True)


def _matters(lake: _Lake, codes: pa.Array, names: pa.Array, name_keys: pa.Array, applicants: int) -> None:
    random = lake.random
    matters = max(1, applicants // 4)
    ids = pa.array([f"LC-2026-{n:07d}" for n in range(matters)])
    desks = lake.choice([f"desk{n}" for n in range(DESKS)], matters)
    lake.write("matter", "matters", DAY, ids, {
        "matter_id": ids, "type": lake.some(lake.choice(TYPES, matters), 0.99),
        "department": desks,
        "procurement_form": lake.choice(["政府集中采购", "政府集中采购", "分散采购", None], matters),
        "fund_kind": lake.choice(["产业扶持资金", "产业扶持资金", "社会福利扶贫资金", None], matters),
        "land_method": lake.choice(["招标", "拍卖", "挂牌", None], matters),
        "is_construction": lake.some(random.random(matters) < 0.5, 0.9),
        "test_date": lake.some(
            np.where(random.random(matters) < 0.01, np.datetime64("2020-12-31"), lake.days(matters, -30, 30)), 0.5
        ),
        "opened_on": lake.days(matters, -300, -40), "state": pa.repeat("待办", matters),
    })  # fmt: skip
    who = random.integers(0, len(codes), applicants)
    which = np.arange(applicants) % matters
    number = pa.array((np.arange(applicants) // matters + 1).astype(str))
    matter_id = ids.take(pa.array(which))
    keys = pc.binary_join_element_wise(matter_id, number, "\x1f")
    lake.write("applicant", "matters", DAY, keys, {
        "matter_id": matter_id, "applicant_no": number, "uscc": lake.some(codes.take(pa.array(who)), 0.99),
        "name": names.take(pa.array(who)), "name_key": name_keys.take(pa.array(who)),
    })  # fmt: skip
    # Consent to a desk, for a matter, or both; some withdrawn, some run out, some for another item.
    asked = np.sort(random.choice(applicants, max(1, applicants * 4 // 5), replace=False))
    n = len(asked)
    lake.write("consent", "consents", DAY, pa.array([f"C{k}" for k in range(n)]), {
        "uscc": codes.take(pa.array(who[asked])),
        "item": lake.choice(["信用报告"] * 9 + ["联系电话"], n),
        "matter_id": lake.some(matter_id.take(pa.array(asked)), 0.6),
        "recipient": lake.some(desks.take(pa.array(which[asked])), 0.6),
        "given_on": lake.days(n, -300, -2), "withdrawn_on": lake.some(lake.days(n, -5, 5), 0.05),
        "expires_on": lake.some(lake.days(n, -30, 300), 0.3),
    })  # fmt: skip


def _reports(lake: _Lake, codes: pa.Array, names: pa.Array, reports: int, handed_in: int) -> None:
    random = lake.random
    agencies = credit_codes(np.full(60, "91370112", "S8"), np.arange(60) + 20_000_000)
    lake.write("agency", "credit_agencies", DAY, agencies, {
        "uscc": agencies, "name": pa.array([f"样例征信{n}" for n in range(60)]),
        "filed_on": lake.some(lake.days(60, -3000, -500), 0.9),
        "cancelled_on": lake.some(lake.days(60, -300, 300), 0.15),
    })  # fmt: skip
    who = random.integers(0, len(codes), reports)
    numbers = pa.array([f"R{n:09d}" for n in range(reports)])
    by = random.integers(0, len(codes), reports)
    unfiled = credit_codes(np.full(5, "91370112", "S8"), np.arange(5) + 21_000_000)
    issuers = pa.chunked_array([agencies, unfiled]).combine_chunks()
    # All but a few know no other bearer than their subject.
    _observed(lake, "credit_report", "credit_reports", numbers, {
        "report_no": numbers, "uscc": lake.some(codes.take(pa.array(who)), 0.98),
        "subject_name": names.take(pa.array(who)),
        "agency_uscc": issuers.take(pa.array(random.integers(0, 65, reports))),
        "issue_date": lake.some(lake.days(reports, -420, 10), 0.98),
        "valid_to": lake.some(lake.days(reports, -40, 300), 0.5),
        "scale": lake.choice([None, None, "公共信用综合评价", "纳税信用"], reports),
        "grade": lake.choice(["AAA", "AA", "A", "BBB", "优", None], reports),
        "matter_id": lake.some(pa.array([f"LC-2026-{n:07d}" for n in (by % handed_in).tolist()]), 0.1),
        "handed_in_by": lake.some(codes.take(pa.array(by)), 0.05),
    }, np.arange(reports))  # fmt: skip


def _records(lake: _Lake, codes: pa.Array, records: int) -> None:
    random = lake.random
    who = random.integers(0, len(codes), records)
    # A document in twenty was told of twice, under another key and not quite alike.
    document = np.where(random.random(records) < 0.05, np.maximum(np.arange(records) - 1, 0), np.arange(records))
    who = who[document]
    numbers = pa.array([f"历处罚〔2026〕{n}号" for n in document.tolist()])
    keys = pa.array([f"D{n}" for n in range(records)])
    identified = lake.days(records, -900, 5)
    _observed(lake, "credit_record", "credit_records", keys, {
        "record_no": lake.some(numbers, 0.97), "uscc": lake.some(codes.take(pa.array(who)), 0.99),
        "identified_on": lake.some(identified, 0.95),
        "rectified_confirmed_on": lake.some(identified + random.integers(-5, 300, records).astype("timedelta64[D]"),
                                            0.3),
        "repaired_on": lake.some(lake.days(records, -100, 20), 0.1),
        "withdrawn_on": lake.some(lake.days(records, -100, 20), 0.03),
        "expires_on": lake.some(lake.days(records, -20, 900), 0.4),
        "in_report": lake.some(random.random(records) < 0.7, 0.9),
    }, np.arange(records))  # fmt: skip


def _entries(lake: _Lake, codes: pa.Array, names: pa.Array, name_keys: pa.Array, entries: int) -> None:
    random = lake.random
    for source, lists in LISTS.items():
        n = max(10, entries // len(LISTS))
        who = pa.array(random.integers(0, len(codes), n))
        keys = pa.array([f"{source}-{k}" for k in range(n)])
        nameless = pa.array(random.random(n) < 0.05)
        code = codes.take(who)
        _observed(lake, "list_entry", source, keys, {
            "list": lake.choice(lists, n), "uscc": pc.if_else(nameless, pa.scalar(None, code.type), code),
            "subject_name": names.take(who), "name_key": name_keys.take(who),
            "listed_on": lake.some(lake.days(n, -900, 5), 0.97),
            "removed_on": lake.some(lake.days(n, -100, 20), 0.2),
            "expires_on": lake.some(lake.days(n, -30, 500), 0.3),
        }, np.arange(n))  # fmt: skip
