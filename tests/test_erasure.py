"""What is erased is nowhere on disk any more, and does not come back; everything else stays as it was."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from chengxin import archive, check, engine, erasure, evidence, harvest, parts, replay, retention, suppression, upkeep
from chengxin.desk import read, refresh
from chengxin.errors import ConfigError
from chengxin.ledger import acts
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.erased import Erased
from chengxin.ledger.messages import Message, MessageBody
from chengxin.publish import Publication
from chengxin.settings import House
from chengxin.suppression import condition
from tests.conftest import NOW
from tests.dropped import CODES, Source, entry, matter, who
from tests.factlake import FactLake, archived, codes, day

MONDAY = day("2026-06-15")
TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
GONE, STAYS, OTHER = codes(1, 2, 3)
NAME, LONGER = "示例消失有限公司", "济南示例消失有限公司"


def disk(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file's bytes, and what they hold once unpacked: raw files, Parquet columns, sheets and mails."""
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        content = path.read_bytes()
        yield path, content
        if path.suffix == ".zst":
            with pa.input_stream(str(path), compression="zstd") as stream:
                content = stream.read()
            yield path, content
            yield path, content.decode("unicode-escape", "ignore").encode("utf-8", "ignore")
        if path.suffix == ".parquet":
            yield path, json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=str).encode()
        if content[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                for name in packed.namelist():
                    yield path, packed.read(name)


def holding(folder: Path, *needles: str) -> list[str]:
    """The files that hold any of the texts."""
    forms = [needle.encode(encoding) for needle in needles for encoding in ("utf-8", "gb18030", "utf-16-le")]
    found = {path.relative_to(folder).as_posix() for path, content in disk(folder) if any(f in content for f in forms)}
    return sorted(found)


def raw(house: House, source: str, data: bytes, at: Any = NOW) -> str:
    return archived(house, source, data, MONDAY, at)


def page(*records: dict[str, Any]) -> bytes:
    return json.dumps({"code": "200", "msg": "ok", "total": len(records), "data": list(records)}).encode()


def mail(house: House, key: str, content: bytes, at: Any = NOW, state: str = "sent") -> None:
    with house.ledger.begin() as session:
        message = Message(
            key=key, mode="sandbox", district="370112", department="zjj", recipient="zjj@example", role="unit",
            kind="advice", matter="advice", stage="", fingerprint="0" * 64, as_of=MONDAY, subject="核查意见",
            header_id=key, thread=key, body_sha256=hashlib.sha256(content).hexdigest(), size=len(content), state=state,
            planned_at=at,
        )  # fmt: skip
        session.add(message)
        session.flush()
        session.add(MessageBody(message_id=message.id, content=content))


def letter(text: str, *cells: str) -> bytes:
    made = EmailMessage()
    made["Subject"] = "核查意见"
    made.set_content(text)
    if cells:
        book, buffer = openpyxl.Workbook(), io.BytesIO()
        book.worksheets[0].append(list(cells))
        book.save(buffer)
        made.add_attachment(buffer.getvalue(), maintype="application", subtype="xlsx", filename="清单.xlsx")
    return made.as_bytes()


@pytest.fixture
def lake(house: House) -> FactLake:
    """Two subjects in two matters, one of them in every corner of the house; checked on Monday and Tuesday."""
    lake = FactLake(house)
    lake.fresh(MONDAY)
    subject = {"kind": "企业", "state": "存续", "established": day("2019-01-01")}
    people = {GONE: NAME, STAYS: LONGER}
    lake.put("subject", MONDAY, [{"uscc": code, "name": name, **subject} for code, name in people.items()])
    about = {"type": "招投标", "department": "zjj", "state": "待办", "opened_on": day("2026-06-01")}
    lake.put("matter", MONDAY, [
        {"matter_id": "M1", "title": f"{NAME}投标", **about}, {"matter_id": "M2", "title": "工程", **about},
    ])  # fmt: skip
    lake.put("applicant", MONDAY, [
        {"matter_id": "M1", "applicant_no": "1", "uscc": GONE, "name": NAME},
        {"matter_id": "M2", "applicant_no": "1", "uscc": STAYS, "name": LONGER},
        {"matter_id": "M2", "applicant_no": "2", "uscc": None, "name": NAME},
    ])  # fmt: skip
    lake.put("list_entry", MONDAY, [
        {"list": "黑名单", "doc_no": "D1", "uscc": GONE, "subject_name": NAME, "listed_on": day("2026-01-01")},
        {"list": "黑名单", "doc_no": "D2", "uscc": None, "subject_name": NAME, "listed_on": day("2026-01-01")},
        {"list": "黑名单", "doc_no": "D3", "uscc": STAYS, "subject_name": LONGER, "listed_on": day("2026-01-01")},
    ])  # fmt: skip
    lake.put("credit_report", MONDAY, [{"report_no": "R1", "uscc": STAYS, "agency_uscc": GONE, "grade": "AAA"}])
    check.run(house, MONDAY)
    lake.fresh(TUESDAY)
    lake.put("subject", TUESDAY, [{"uscc": GONE, "name": NAME, **subject, "area_code": "370112010"}])
    lake.put("list_entry", TUESDAY, [{"list": "黑名单", "doc_no": "D1", "uscc": GONE}], gone=True)
    check.run(house, TUESDAY)
    return lake


class TestARequest:
    """One subject leaves every place; what is said of the others stays."""

    def test_nothing_is_left_on_disk(self, house: House, lake: FactLake) -> None:
        own = raw(house, "blacklists", page({"xydm": GONE, "ztmc": NAME}))
        others = raw(house, "blacklists", page({"xydm": STAYS, "ztmc": LONGER[2:4]}))
        by_name = raw(house, "dishonest_debtors", f"名称\n{NAME}\n".encode("gb18030"))
        mail(house, "1" * 64, letter(f"{NAME}（{GONE}）"))
        mail(house, "2" * 64, letter("见附件", GONE, NAME), state="planned")
        mail(house, "3" * 64, letter("其他", STAYS))
        docs, log = house.var / "data_docs" / "index.html", house.var / "logs" / "task.log"
        for file, text in ((docs, f"<p>{GONE}</p>"), (log, f"read {GONE}\nread the rest\n")):
            file.parent.mkdir(parents=True)
            file.write_text(text, "utf-8")
        with house.ledger.begin() as session:
            acts.record(session, NOW, "officer", "matter.decided", "M1", {"weighed": f"{NAME}已整改"})
        before = {row["matter_id"]: row["decision"] for row in lake.rows("advice", TUESDAY) if row["uscc"] == STAYS}
        refresh.refresh(house)
        with house.desk.read() as connection:
            assert read.find_subject(connection, GONE)
        assert {"desk.db", "desk.db-wal"} & set(holding(house.var, GONE))

        done = erasure.subject(house, GONE, "officer", "申请第1号")
        with house.desk.read() as connection:
            assert not read.find_subject(connection, GONE)
            assert [one.uscc for one in read.find_subject(connection, LONGER)] == [STAYS]
        # The longer name holds the shorter one: it is another subject's, and stays.
        for path, content in disk(house.var):
            assert GONE.encode() not in content, path
            for encoding in ("utf-8", "gb18030"):
                assert NAME.encode(encoding) not in content.replace(LONGER.encode(encoding), b""), path
        assert not archive.path(house, "blacklists", own).exists()
        assert not archive.path(house, "dishonest_debtors", by_name).exists()
        assert archive.is_whole(house, "blacklists", others)
        assert (done["raw_files"], done["messages"], done["bodies"], done["files"]) == (2, 2, 1, 2)
        assert log.read_text("utf-8") == "read ***\nread the rest\n"
        assert lake.rows("matter", TUESDAY)[0]["title"] == "***投标"
        assert lake.rows("credit_report", TUESDAY)[0]["agency_uscc"] == "***"
        with house.ledger.begin() as session:
            assert acts.verify(session).broken_at is None
            assert dict(session.execute(select(Message.key, Message.state)).tuples().all()) == {
                "1" * 64: "sent", "2" * 64: "superseded", "3" * 64: "sent",
            }  # fmt: skip
            kinds = list(session.scalars(select(Act.kind).order_by(Act.seq)))
            assert kinds[1:] == ["erasure", "message.superseded", "erasure.done"]
        after = {row["matter_id"]: row["decision"] for row in lake.rows("advice", TUESDAY)}
        assert after == before == {"M2": "RESTRICT"}
        self.the_past_names_what_is_gone(house, lake)

    def the_past_names_what_is_gone(self, house: House, lake: FactLake) -> None:
        """And a new check changes nothing."""
        made = replay.run(house, MONDAY)
        assert made.explained
        assert {(row.table, row.reason) for row in made.erased} >= {("subject", "request"), ("advice", "request")}
        assert NAME not in str(made)
        again = erasure.subject(house, GONE, "officer", "申请第1号")
        assert again["tables"] == {}
        # The others' advice stands; the erased applicant has none any more.
        counts = check.run(house, TUESDAY)
        assert counts["changed"]["advice"] == {"new": 0, "changed": 0, "gone": 0, "restored": 0}
        (row,) = lake.rows("advice", TUESDAY)
        assert evidence.explain(house, row["advice_id"]).findings

    def test_a_request_needs_a_code_and_a_reason_that_does_not_name_it(self, house: House) -> None:
        FactLake(house).put("subject", MONDAY, [{"uscc": GONE, "name": NAME}])
        for code, reason in (("91370112XXXX000010", "x"), (GONE, f"{NAME}申请"), (GONE, " ")):
            with pytest.raises(ConfigError):
                erasure.subject(house, code, "officer", reason)
        with house.ledger.begin() as session:
            assert not session.scalars(select(Erased)).all()
        assert holding(house.var, GONE)


class TestKilled:
    """A killed erasure is ended by its rerun, though the lake has forgotten what the subject was called."""

    @pytest.mark.long
    @pytest.mark.parametrize("instant", ["_raw_erased", "_messages", "_files"])
    def test_what_bears_the_name_alone_goes_too(
        self, house: House, lake: FactLake, monkeypatch: pytest.MonkeyPatch, instant: str
    ) -> None:
        raw(house, "dishonest_debtors", f"名称\n{NAME}\n".encode("gb18030"))
        mail(house, "1" * 64, letter("见附件", NAME))
        log = house.var / "logs" / "task.log"
        log.parent.mkdir(parents=True)
        log.write_text(f"{NAME}\n", "utf-8")

        def die(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(erasure, instant, die)
            with pytest.raises(KeyboardInterrupt):
                erasure.subject(house, GONE, "officer", "申请第1号")
        assert not any(row["uscc"] == GONE for row in house.lake.rows("subject"))
        erasure.subject(house, GONE, "officer", "申请第1号")
        for path, content in disk(house.var):
            for encoding in ("utf-8", "gb18030"):
                assert NAME.encode(encoding) not in content.replace(LONGER.encode(encoding), b""), path
        assert list((house.var / erasure.NOTES).iterdir()) == []


class TestBesideAHarvest:
    """What a killed harvest left does not stop an erasure, and one under way does not undo it."""

    @pytest.fixture
    def source(self, house: House, tmp_path: Path) -> Source:
        source = Source(house, tmp_path / "source")
        shutil.copy(house.include_dir / "retention.yml", source.include)
        source.run(MONDAY, [entry(number, until="2020-01-01" if number < 3 else "") for number in range(8)])
        source.deliver(
            TUESDAY, [entry(number, until="2020-01-01" if number < 3 else "", why="改") for number in range(8)]
        )
        return source

    def test_a_file_without_an_end(self, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        def half(*arguments: Any) -> None:
            arguments[-1].write_bytes(b"PAR1" + b"\0" * 1000)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Publication, "write", half)
            with pytest.raises(KeyboardInterrupt):
                harvest.run(source.house, "entries", TUESDAY)
        assert len(source.house.lake.orphans("list_entry")) == 1
        done = erasure.subject(source.house, CODES[5], "officer", "申请第3号")
        assert done["tables"]["list_entry"] == {"keys": 1, "rows": 1}
        assert source.house.lake.orphans("list_entry") == []
        again = harvest.run(source.house, "entries", TUESDAY)
        assert (again["published"], again["ignored"]) == (7, 1)

    def test_what_expires_waits_for_the_harvest(self, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
        write, ended = Publication.write, threading.Event()
        threads = []

        def meanwhile(*arguments: Any) -> int:
            def clear() -> None:
                retention.run(source.house, MONDAY)
                ended.set()

            threads.append(threading.Thread(target=clear))
            threads[-1].start()
            # The harvest has asked what was erased: before its rows are in the lake, nothing may be.
            assert not ended.wait(1)
            return write(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Publication, "write", meanwhile)
            assert harvest.run(source.house, "entries", TUESDAY)["published"] == 8
        threads[0].join(60)
        assert ended.is_set()
        upkeep.sweep(source.house, "list_entry", grace=timedelta(0))
        gone = {f"第{number}号" for number in range(3)}
        assert not gone & {row["doc_no"] for row in source.house.lake.rows("list_entry")}
        assert source.run(WEDNESDAY, [entry(number) for number in range(8)])["ignored"] == 3

    def test_and_for_the_fetch_of_a_part(self, source: Source) -> None:
        held = threading.Event()

        def erase() -> None:
            with erasure.alone(source.house):
                held.set()

        with (
            harvest.alone(source.house, f"entries{parts.SHARED}", shared=True),
            harvest.alone(source.house, f"entries{parts.SHARED}", shared=True),
        ):
            waiting = threading.Thread(target=erase)
            waiting.start()
            assert not held.wait(0.3)
        waiting.join(20)
        assert held.is_set()


class TestTime:
    """Repaired, withdrawn and expired facts leave by themselves."""

    def test_a_repaired_record_leaves_the_lake_under_every_source(self, house: House, lake: FactLake) -> None:
        record = {"record_no": "罚字90001", "uscc": STAYS, "identified_on": day("2026-05-01"), "authority": "示例旧局"}
        lake.put("credit_record", MONDAY, [record])
        lake.put("credit_record", MONDAY, [record], "blacklists")
        check.run(house, MONDAY)
        assert holding(house.var, "罚字90001")
        lake.put("credit_record", TUESDAY, [{**record, "repaired_on": TUESDAY}])
        check.run(house, TUESDAY)
        refresh.refresh(house)
        assert retention.run(house, TUESDAY)["facts"] == {}
        done = retention.run(house, TUESDAY + timedelta(days=1))
        assert done["facts"]["repaired"] > 3
        for name in ("credit_record", "finding"):
            upkeep.expire(house, name)
            upkeep.sweep(house, name, grace=timedelta(0))
        assert holding(house.var, "罚字90001", "示例旧局") == []
        made = replay.run(house, MONDAY)
        assert made.explained
        assert ("credit_record", "repaired") in {(row.table, row.reason) for row in made.erased}

    def test_raw_files_messages_and_logs_go_in_their_time(self, house: House) -> None:
        old = NOW - timedelta(days=365 * 3 + 1)
        sha256 = raw(house, "blacklists", b"old", old)
        again = raw(house, "blacklists", b"old, and sent again", old)
        raw(house, "blacklists", b"old, and sent again")
        kept = raw(house, "matters", b"kept five years", old)
        mail(house, "1" * 64, b"old", old)
        mail(house, "2" * 64, b"new")
        log = house.var / "logs" / "task.log"
        log.parent.mkdir(parents=True)
        log.write_text("old")
        os.utime(log, (0, 0))
        done = retention.run(house, MONDAY)
        assert {name: count for name, count in done.items() if count} == {
            "raw_files": 1, "message_bodies": 1, "logs": 1,
        }  # fmt: skip
        assert not archive.path(house, "blacklists", sha256).exists()
        assert archive.is_whole(house, "blacklists", again)
        assert archive.is_whole(house, "matters", kept)
        with house.ledger.begin() as session:
            assert [json.loads(body)["raw_files"] for body in session.scalars(select(ActBody.content))] == [1]


class TestComingAgain:
    """What was erased is left aside by the next harvest, and the sum of records still holds."""

    def test_a_subject_that_is_still_at_its_sources(self, house: House, tmp_path: Path) -> None:
        source = Source(house, tmp_path / "source")
        rows = [entry(number) for number in range(6)]
        matters = [matter(1, who(1), who(2)), matter(2, who(3))]
        source.run(MONDAY, rows)
        source.run(MONDAY, matters, "matters_in")
        # Its page of each source is a raw file, and goes as a whole.
        done = erasure.subject(source.house, CODES[1], "officer", "申请第2号")
        assert done["raw_files"] == 2
        assert holding(house.var, CODES[1], "测试1公司") == []
        again = source.run(TUESDAY, [*rows, entry(1, no="第99号")])
        assert (again["harvested"], again["published"], again["unchanged"], again["ignored"]) == (7, 0, 5, 2)
        assert source.detail(again)["ignored"] == {"erased": 2}
        assert CODES[1] not in {row["uscc"] for row in source.state(TUESDAY).values()}
        source.run(TUESDAY, matters, "matters_in")
        assert {row["uscc"] for row in source.state(TUESDAY, "applicant").values()} == {CODES[2], CODES[3]}

    def test_a_repaired_record_however_its_number_is_written(self, house: House) -> None:
        told, again, third, other = "历罚字〔2025〕1号", "历罚字[2025] 1号", "历罚字（2025）1号", "历罚字〔2025〕11号"
        lake, record = FactLake(house), {"uscc": STAYS, "repaired_on": MONDAY}
        lake.put("credit_record", MONDAY, [{**record, "record_no": told}])
        lake.put("credit_record", MONDAY, [{"uscc": STAYS, "record_no": again}], "blacklists")
        lake.put("credit_record", MONDAY, [{"uscc": STAYS, "record_no": other}], "blacklists")
        retention.run(house, TUESDAY)
        assert [row["record_no"] for row in house.lake.rows("credit_record")] == [other]
        connection = engine.connect()
        connection.con.register("erased", suppression.erased(house, connection))
        incoming = {"natural_key": list("abcd"), "uscc": [STAYS, STAYS, STAYS, OTHER]}
        connection.con.register("incoming", pa.table({**incoming, "record_no": [third, again, other, told]}))
        test = condition("credit_record", ["uscc", "record_no"], "another_source")
        left = connection.con.execute(f"SELECT natural_key FROM incoming WHERE {test} ORDER BY ALL").fetchall()
        assert left == [("a",), ("b",)]

    def test_a_repaired_record_under_any_source(self, house: House) -> None:
        record = {"record_no": "W1", "uscc": STAYS, "repaired_on": MONDAY}
        FactLake(house).put("credit_record", MONDAY, [record])
        retention.run(house, TUESDAY)
        connection = engine.connect()
        connection.con.register("erased", suppression.erased(house, connection))
        incoming = {"natural_key": ["a", "b", "c"], "uscc": [STAYS, STAYS, OTHER], "record_no": ["W1", "W2", "W1"]}
        connection.con.register("incoming", pa.table(incoming))
        test = condition("credit_record", ["uscc", "record_no"], "another_source")
        assert connection.con.execute(f"SELECT natural_key FROM incoming WHERE {test}").fetchall() == [("a",)]
