"""Hostile and broken files through a whole harvest: each row in exactly one count, or the file in a named error."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from chengxin import archive, engine, harvest, identity
from chengxin.connections import Connection
from chengxin.connectors.files import FEEDBACK
from chengxin.errors import BoundError, ChengxinError, DriftError, SourceContentError
from chengxin.ledger.models import Harvest, RawObject
from chengxin.sandbox import print_reports
from chengxin.settings import House
from tests.conftest import ROOT

DAY = date(2026, 6, 15)
CONTRACT = """
name: entries
title: 名单
publisher: 测试
legal_basis: 测试
table: list_entry
mode: full
schedule: "0 2 * * *"
max_age: 2d
read: {connector: files, connection: drop, pattern: "entries_{as_of}.FORMAT", format: FORMAT, feedback: true}
columns:
  code: uscc
  who: {to: subject_name, required: true}
  since: {to: listed_on, as: date}
  no: {to: doc_no, required: true}
constants: {list: 经营异常名录}
key: [list, doc_no]
bounds: {rows: {min: 1}, shrink: {max: 1}}
drift: {new: stop, missing: stop, retyped: stop}
keep: 1y
owner: data-engineering
"""
CHINESE = re.compile(r"[^A-Za-z]+")
CODES = identity.complete([f"91370112XXXX{n:05d}" for n in range(40)])
# Made up: no such area, but a valid check character.
PERSON = "370199199001011230"


class Drop:
    """A house whose one source is a folder."""

    def __init__(self, house: House, tmp: Path) -> None:
        self.folder = tmp / "drop"
        self.folder.mkdir()
        (tmp / "include" / "sources").mkdir(parents=True)
        connection = Connection("drop", "fs", extra={"path": str(self.folder)})
        self.house = replace(house, include=tmp / "include", connections=lambda _: connection)

    def contract(self, text: str, name: str = "entries") -> None:
        (self.house.include_dir / "sources" / f"{name}.yml").write_text(text, "utf-8")

    def run(self, data: bytes, kind: str = "csv", day: date = DAY) -> dict[str, Any]:
        self.contract(CONTRACT.replace("FORMAT", kind))
        (self.folder / f"entries_{day:%Y%m%d}.{kind}").write_bytes(data)
        return harvest.run(self.house, "entries", day)

    def rejected(self, day: date = DAY) -> list[dict[str, Any]]:
        rows = engine.as_of(self.house.engine(), self.house.lake, "rejected", day).to_pyarrow().to_pylist()
        return sorted(rows, key=lambda row: (row["raw_sha256"], row["raw_row"]))

    def detail(self, outcome: dict[str, Any]) -> dict[str, Any]:
        with self.house.ledger.begin() as session:
            return dict(session.get_one(Harvest, outcome["harvest_id"]).detail)

    def feedback(self, kind: str = "csv") -> list[list[str]]:
        text = (self.folder / f"entries_{DAY:%Y%m%d}.{kind}{FEEDBACK}").read_text("utf-8-sig")
        return list(csv.reader(io.StringIO(text)))


@pytest.fixture
def drop(house: House, tmp_path: Path) -> Drop:
    return Drop(house, tmp_path)


def adds_up(outcome: dict[str, Any]) -> None:
    parts = ("published", "unchanged", "rejected", "ignored")
    assert outcome["harvested"] == sum(outcome[name] for name in parts)


def line(n: int, **changes: str) -> str:
    row = {"code": CODES[n], "who": f"测试{n}公司", "since": "2026-01-05", "no": f"第{n}号", **changes}
    return ",".join(row.values())


def test_each_row_of_a_bad_file_ends_in_one_count_and_the_sender_hears_of_it(drop: Drop) -> None:
    rows = [
        "code,who,since,no",
        line(0),
        line(1, code=PERSON),  # a citizen's number in a code column
        line(2, who="测\0试"),  # a NUL
        "code,who,since,no",  # the headings once more
        line(3) + ",多出一列",  # a row that has slipped
        "测试公司," + CODES[4] + ",2026-01-05,第4号",  # columns shifted
        line(5, who="长" * 5000),  # an over-long cell
        line(6, who='=HYPERLINK("http://a.invalid")'.replace('"', "'")),  # a formula cell: text to us
        line(0),  # twice
        line(7, since="2026-13-45"),
    ]
    outcome = drop.run("\n".join(rows).encode())
    adds_up(outcome)
    assert outcome["harvested"] == 10
    assert (outcome["published"], outcome["ignored"], outcome["rejected"]) == (2, 1, 7)
    told = drop.feedback()
    assert told[0] == ["行号", "栏目", "原因", "处理办法", "规则编号"]
    assert [row[0] for row in told[1:]] == ["2", "3", "4", "5", "6", "7", "10"]
    assert [(row[2], row[4]) for row in told[1:] if row[4] != "text.clean"] == [
        ("统一社会信用代码不合法：是公民身份号码", "code.valid"),
        ("记录不完整，无法拆分为字段：“who”栏含空字符", "record.readable"),
        ("表头行混入数据", "record.heading"),
        ("记录不完整，无法拆分为字段：共5列，与表头的4列不符", "record.readable"),
        ("统一社会信用代码不合法：长度不是 18 位", "code.valid"),
        ("日期无法识别", "date.readable"),
    ]
    assert all(CHINESE.fullmatch(row[3]) for row in told[1:]), "and what to do about each"
    assert drop.detail(outcome)["personal_ids"] == 1
    assert drop.detail(outcome)["feedback"] == 1
    # The number is nowhere but in the raw archive: not in the lake, not in what went back, not in the ledger.
    written = [file for file in (*drop.house.var.rglob("*"), *drop.folder.glob(f"*{FEEDBACK}")) if file.is_file()]
    holding = [file for file in written if PERSON.encode() in file.read_bytes()]
    assert holding == []
    assert all(PERSON not in str(row) for row in drop.rejected())
    # What comes back is never taken for a source file.
    assert harvest.run(drop.house, "entries", DAY)["harvested"] == 10


def test_a_file_that_is_stopped_still_tells_its_sender_why(drop: Drop) -> None:
    with pytest.raises(BoundError):
        drop.run(f"code,who,since,no\n{line(1, since='昨天')}\n".encode())
    everything, row = drop.feedback()[1:]
    assert everything[:3] == ["", "", "整批未采用，沿用上一批：超出约定的范围：可用记录0条，少于约定的1条"]
    assert everything[3].startswith("请核对数据是否完整")
    assert (row[0], row[1], row[4]) == ("1", "since", "date.readable")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"who,since,no\n", "栏目与约定不符：缺少栏目code"),
        ("代码,名称\n".encode("gb18030") + b"\xff\xff\n", "文件或数据的格式与约定不符，未能读取"),
    ],
)
def test_a_file_that_cannot_be_read_tells_its_sender_so(drop: Drop, data: bytes, what: str) -> None:
    with pytest.raises(ChengxinError):
        drop.run(data)
    (told,) = drop.feedback()[1:]
    assert told[:3] == ["", "", f"整批未采用，沿用上一批：{what}"]
    assert CHINESE.fullmatch(told[3])


def test_a_drop_that_takes_no_feedback_fails_no_harvest(drop: Drop) -> None:
    (drop.folder / f"entries_{DAY:%Y%m%d}.csv{FEEDBACK}").mkdir()
    outcome = drop.run(f"code,who,since,no\n{line(1)}\n".encode())
    assert outcome["state"] == "published"
    assert drop.detail(outcome)["feedback"] == "unreachable"


def test_a_formula_cell_that_nobody_computed_is_rejected(drop: Drop) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["code", "who", "since", "no"], [CODES[0], "测试", "2026-01-05", "1"], [CODES[1], "=A2", None, "2"]):
        sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    outcome = drop.run(buffer.getvalue(), "xlsx")
    adds_up(outcome)
    assert (outcome["published"], outcome["rejected"]) == (1, 1)
    assert "a formula that was never computed" in drop.rejected()[0]["reason"]


WHOLE = {
    "captcha": (b"<html><title>\xe9\xaa\x8c\xe8\xaf\x81</title></html>", DriftError),
    "another encoding": ("code,who,since,no\n" + line(0)).encode("gb18030"),
    "UTF-16": ("code,who,since,no\n" + line(0)).encode("utf-16"),
    "a cell of 16 MiB": f"code,who,since,no\n{line(0)}{'x' * (16 << 20)}\n".encode(),
    "an open quote": f'code,who,since,no\n{line(0)}\n"{line(1)}\n{line(2)}\n'.encode(),
    "too many columns": b"code,who,since,no," + b",".join(b"c%d" % n for n in range(5000)),
    "NULs only": bytes(5000),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_none_is_a_named_error(drop: Drop, name: str) -> None:
    found = WHOLE[name]
    data, kind = found if isinstance(found, tuple) else (found, (SourceContentError, DriftError))
    with pytest.raises(kind):
        drop.run(data)
    with drop.house.ledger.begin() as session:
        last = session.query(Harvest).order_by(Harvest.id.desc()).first()
        assert last is not None
        assert last.state in ("failed", "stopped")
        assert last.cause in ("content", "drift")


# Credit reports that arrive one by one ------------------------------------------------------------------------------


def report(number: int, **changes: str) -> dict[str, str]:
    return {
        "报告编号": f"XBP20260600000{number}", "统一社会信用代码": CODES[number], "企业名称": f"测试{number}公司",
        "征信机构": "示例征信有限公司", "报告日期": "2026-06-01", "信用等级": "A", "信用评分": "80", **changes,
    }  # fmt: skip


def test_reports_that_stay_in_the_folder_are_read_once(drop: Drop) -> None:
    text = (ROOT / "include" / "sources" / "credit_report_pdfs.yml").read_text("utf-8")
    drop.contract(text.replace("connection: file_drop", "connection: drop"), "credit_report_pdfs")
    folder = drop.folder / "xybg_pdf"
    items = [["示例罚字〔2025〕第00001号", "行政处罚", "一般", "区住建局", "2025-09-01", ""]]
    first = print_reports.page(report(1), items)
    print_reports.write(folder, "一.pdf", first)
    print_reports.write(folder, "二.pdf", print_reports.page(report(2), [], password="geheim"))
    print_reports.write(folder, "三.pdf", print_reports.page(report(3, 统一社会信用代码=PERSON), []))
    outcome = harvest.run(drop.house, "credit_report_pdfs", DAY)
    adds_up(outcome)
    assert (outcome["harvested"], outcome["published"], outcome["rejected"]) == (3, 1, 2)
    assert drop.detail(outcome)["personal_ids"] == 1
    (unreadable,) = [row for row in drop.rejected() if row["rule"] == "record.readable"]
    assert "pdf.unreadable: it is locked with a password" in unreadable["reason"]
    assert archive.get(drop.house, "credit_report_pdfs", unreadable["raw_sha256"]).startswith(b"%PDF")
    told = (folder / f"二.pdf{FEEDBACK}").read_text("utf-8-sig")
    assert "1,,报告设有密码,请提供由系统导出、未加密、文字可复制的PDF报告,record.readable" in told

    facts = engine.as_of(drop.house.engine(), drop.house.lake, "credit_record", DAY).to_pyarrow().to_pylist()
    assert [(row["record_no"], row["in_report"], row["report_no"], row["uscc"]) for row in facts] == [
        ("示例罚字〔2025〕第00001号", True, "XBP202606000001", CODES[1])
    ]
    # The same day again: in full, and nothing changes.
    again = harvest.run(drop.house, "credit_report_pdfs", DAY)
    assert (again["harvested"], again["unchanged"], again["rejected"]) == (3, 1, 2)

    # The next day: only what is new, under whatever name the same bytes come again.
    print_reports.write(folder, "一（副本）.pdf", first)
    print_reports.write(folder, "四.pdf", print_reports.page(report(4), []))
    tuesday = harvest.run(drop.house, "credit_report_pdfs", DAY + timedelta(1))
    assert (tuesday["harvested"], tuesday["published"], tuesday["removed"]) == (1, 1, 0)
    with drop.house.ledger.begin() as session:
        read = session.query(RawObject.locator).filter(RawObject.harvest_id == tuesday["harvest_id"]).all()
    assert [one.locator for one in read] == ["xybg_pdf/四.pdf"]
    # And a day without any: an empty harvest is a harvest.
    wednesday = harvest.run(drop.house, "credit_report_pdfs", DAY + timedelta(2))
    assert (wednesday["state"], wednesday["harvested"]) == ("published", 0)


def test_a_spreadsheets_error_is_no_name_and_no_number(drop: Drop) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["code", "who", "since", "no"])
    for n in range(5):
        sheet.append([CODES[n], f"测试{n}公司", "2026-01-05", f"第{n}号"])
    for place, error in (("B2", "#N/A"), ("B3", "#REF!"), ("D4", "#NAME?")):
        sheet[place].value, sheet[place].data_type = error, "e"
    sink = io.BytesIO()
    book.save(sink)
    outcome = drop.run(sink.getvalue(), "xlsx")
    adds_up(outcome)
    assert (outcome["harvested"], outcome["published"], outcome["rejected"]) == (5, 2, 3)
    assert {row["value"] for row in drop.rejected()} == {"#N/A", "#REF!", "#NAME?"}
