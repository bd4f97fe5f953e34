"""A province's lake for `province.py`, made by DuckDB alone: fifteen million subjects take minutes, not hours.

Nothing is drawn twice alike, and nothing by chance: every choice is a hash of the row's number and a word. The shares
are those of `check_facts.py`: days lie close to what they are compared with, attributes are missing now and then, a
twentieth of the rows had been seen before.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import ibis

from chengxin import engine
from chengxin.clock import BEIJING
from chengxin.identity import ALPHABET
from chengxin.lake import arrow_schema
from chengxin.ledger.models import Commit, Harvest
from chengxin.settings import House
from chengxin.tables import TABLES

DAY = date(2026, 6, 15)
EARLIER = DAY - timedelta(days=3)
LONG_AGO = DAY - timedelta(days=40)
ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "subject_registry", "annual_reports", "credit_reports", "credit_agencies", "credit_records", "abnormal_list",
    "dishonest_debtors", "blacklists", "matters", "consents", "credit_report_pdfs",
)  # fmt: skip
WEIGHTS = [pow(3, place, 31) for place in range(17)]
_HEAD = "370112XXXX"

MACROS = f"""
CREATE MACRO roll(i, word, n) AS (hash(i, word) % n)::BIGINT;
CREATE MACRO sometimes(i, word, share, value) AS CASE WHEN roll(i, word, 1000) < share * 1000 THEN value END;
CREATE MACRO pick(i, word, words) AS words[1 + roll(i, word, len(words))];
CREATE MACRO near(i, word, first, last) AS (DATE '{DAY}' + CASE WHEN roll(i, word || 'edge', 10) = 0
    THEN [-366, -365, -364, -1, 0, 1][1 + roll(i, word || 'which', 6)]
    ELSE first + roll(i, word, last - first + 1) END::INTEGER);
CREATE MACRO digit(n, place) AS (n // 31 ** place)::BIGINT % 31;
CREATE MACRO letter(n) AS substr('{ALPHABET}', n::INTEGER + 1, 1);
CREATE MACRO body(i) AS (i * 17395127 + 4099813) % 28629151;
CREATE MACRO head(i) AS CASE WHEN roll(i, 'kind', 1000) < 360 THEN '91' WHEN roll(i, 'kind', 1000) < 375 THEN '93'
    ELSE '92' END;
CREATE MACRO seventeen(start, n) AS start || '{_HEAD}' || letter(digit(n, 4)) || letter(digit(n, 3))
    || letter(digit(n, 2)) || letter(digit(n, 1)) || letter(digit(n, 0));
CREATE MACRO weighed(start, n) AS ({
    "+".join(
        [f"{WEIGHTS[0]} * substr(start, 1, 1)::BIGINT", f"{WEIGHTS[1]} * substr(start, 2, 1)::BIGINT"]
        + [str(WEIGHTS[2 + place] * ALPHABET.index(letter)) for place, letter in enumerate(_HEAD)]
        + [f"{WEIGHTS[12 + place]} * digit(n, {4 - place})" for place in range(5)]
    )
});
CREATE MACRO coded(start, n) AS seventeen(start, n) || letter((31 - weighed(start, n) % 31) % 31);
CREATE MACRO code(i) AS coded(head(i), body(i));
CREATE MACRO bearer(i) AS CASE WHEN roll(i, 'bearer', 100) = 0 THEN i + 1 ELSE i END;
CREATE MACRO called(i) AS '样例' || bearer(i) || CASE WHEN bearer(i) % 3 > 0 THEN '有限公司' ELSE '经营部' END;
CREATE MACRO matter(i) AS 'LC-2026-' || lpad(i::VARCHAR, 8, '0');
CREATE MACRO desk(i) AS 'desk' || roll(i, 'desk', 20);
"""
"""Codes have valid check characters (GB 32100-2015). A name in a hundred is borne by two."""


def house(folder: Path) -> House:
    """The house of a folder."""
    return House(
        root=ROOT, var=folder, district="370112", clock=lambda: datetime(2026, 6, 15, 2, tzinfo=BEIJING),
        mode="rehearsal",
    )  # fmt: skip


def tables(subjects: int, applicants: int) -> list[tuple[str, str, int, str]]:
    """`table, source, rows, SELECT list over the row's number i` of every fact table."""
    matters, reports, consents = max(1, applicants // 4), max(40, applicants // 3), max(1, applicants * 4 // 5)
    records, entries = max(40, subjects // 3), max(10, subjects // 20)
    who = f"roll(i, 'who', {subjects})"
    asked = f"roll(i * 5 // 4, 'applicant', {subjects})"
    listed = {
        "abnormal_list": "['经营异常名录']",
        "dishonest_debtors": "['失信被执行人']",
        "blacklists": "['黑名单', '信用不良记录', '严重违法企业名单', '重点关注名单']",
    }
    made = [
        ("subject", "subject_registry", subjects, """
            code(i) AS uscc, uscc AS natural_key, called(i) AS name, name AS name_key,
            sometimes(i, 'k', 0.97,
                CASE head(i) WHEN '91' THEN '企业' WHEN '93' THEN '农民专业合作社' ELSE '个体工商户' END) AS kind,
            near(i, 'established', -3000, -100) AS established,
            pick(i, 'state', ['存续', '存续', '存续', '存续', '存续', '存续', '存续', '歇业', '吊销', '注销']) AS state,
            CASE WHEN state = '注销' THEN near(i, 'gone', -900, 5) END AS deregistered_on,
            CASE WHEN state = '吊销' THEN near(i, 'revoked', -900, 5) END AS revoked_on,
            '37011200' || roll(i, 'area', 9) AS area_code, letter(10 + roll(i, 'industry', 10)) AS industry"""),
        ("annual_report", "annual_reports", subjects * 4 // 5, """
            code(i * 5 // 4) AS uscc, uscc || chr(31) || '2025' AS natural_key, 2025 AS report_year,
            (near(i, 'submitted', -165, 3)::TIMESTAMP + INTERVAL (roll(i, 'minute', 1440)) MINUTE)::TIMESTAMPTZ
                AS submitted_at,
            sometimes(i, 'corrected', 0.1, submitted_at + INTERVAL 9 DAY) AS correction_at, '网上' AS channel"""),
        ("matter", "matters", matters, """
            matter(i) AS matter_id, matter_id AS natural_key,
            pick(i, 'type', ['日常监管', '政府采购', '招投标', '行政审批', '国有资产产权交易', '土地出让', '市场准入',
                '资质审核', '评先评优', '资金扶持', '信贷安排', '税收优惠', '食品药品安全监管', '建设工程招投标'])
                AS type,
            desk(i) AS department,
            pick(i, 'form', ['政府集中采购', '政府集中采购', '分散采购', NULL]) AS procurement_form,
            pick(i, 'fund', ['产业扶持资金', '产业扶持资金', '社会福利扶贫资金', NULL]) AS fund_kind,
            pick(i, 'land', ['招标', '拍卖', '挂牌', NULL]) AS land_method,
            sometimes(i, 'built', 0.9, roll(i, 'construction', 2) = 0) AS is_construction,
            sometimes(i, 'test', 0.5, near(i, 'tested', -30, 30)) AS test_date,
            near(i, 'opened', -300, -40) AS opened_on, '待办' AS state"""),
        ("applicant", "matters", applicants, f"""
            matter(i % {matters}) AS matter_id, (i // {matters} + 1)::VARCHAR AS applicant_no,
            matter_id || chr(31) || applicant_no AS natural_key,
            sometimes(i, 'coded', 0.99, code(roll(i, 'applicant', {subjects}))) AS uscc,
            called(roll(i, 'applicant', {subjects})) AS name, name AS name_key"""),
        ("consent", "consents", consents, f"""
            'C' || i AS consent_id, consent_id AS natural_key, code({asked}) AS uscc,
            CASE WHEN roll(i, 'item', 10) = 0 THEN '联系电话' ELSE '信用报告' END AS item,
            sometimes(i, 'm', 0.6, matter((i * 5 // 4) % {matters})) AS matter_id,
            sometimes(i, 'r', 0.6, desk((i * 5 // 4) % {matters})) AS recipient,
            near(i, 'given', -300, -2) AS given_on,
            sometimes(i, 'w', 0.05, near(i, 'withdrawn', -5, 5)) AS withdrawn_on,
            sometimes(i, 'e', 0.3, near(i, 'expires', -30, 300)) AS expires_on"""),
        ("agency", "credit_agencies", 60, """
            coded('91', 28000000 + i) AS uscc, uscc AS natural_key, '样例征信' || i AS name,
            sometimes(i, 'f', 0.9, near(i, 'filed', -3000, -500)) AS filed_on,
            sometimes(i, 'c', 0.15, near(i, 'cancelled', -300, 300)) AS cancelled_on"""),
        ("credit_report", "credit_reports", reports, f"""
            'R' || lpad(i::VARCHAR, 9, '0') AS report_no, report_no AS natural_key,
            sometimes(i, 'u', 0.99, code({who})) AS uscc, called({who}) AS subject_name,
            coded('91', 28000000 + roll(i, 'agency', 65)) AS agency_uscc,
            sometimes(i, 'd', 0.98, near(i, 'issued', -420, 10)) AS issue_date,
            sometimes(i, 'v', 0.5, near(i, 'valid', -40, 300)) AS valid_to,
            pick(i, 'scale', [NULL, NULL, '公共信用综合评价', '纳税信用']) AS scale,
            pick(i, 'grade', ['AAA', 'AA', 'A', 'BBB', '优', NULL]) AS grade,
            sometimes(i, 'h', 0.1, matter(roll(i, 'for', {matters}))) AS matter_id,
            sometimes(i, 'b', 0.05, code(roll(i, 'by', {subjects}))) AS handed_in_by"""),
        ("credit_record", "credit_records", records, f"""
            sometimes(i, 'n', 0.97, '样例处罚〔2026〕' || i || '号') AS record_no, 'D' || i AS natural_key,
            sometimes(i, 'u', 0.99, code({who})) AS uscc,
            sometimes(i, 'i', 0.95, near(i, 'identified', -900, 5)) AS identified_on,
            sometimes(i, 'c', 0.3, identified_on + roll(i, 'after', 300)::INTEGER) AS rectified_confirmed_on,
            sometimes(i, 'r', 0.1, near(i, 'repaired', -100, 20)) AS repaired_on,
            sometimes(i, 'w', 0.03, near(i, 'withdrawn', -100, 20)) AS withdrawn_on,
            sometimes(i, 'e', 0.4, near(i, 'expires', -20, 900)) AS expires_on,
            sometimes(i, 'p', 0.9, roll(i, 'in', 10) < 7) AS in_report"""),
    ]  # fmt: skip
    for source, lists in listed.items():
        made.append(
            ("list_entry", source, entries, f"""
            pick(i, 'list', {lists}) AS list, '{source}-' || i AS natural_key,
            sometimes(i, 'u', 0.95, code({who})) AS uscc, called({who}) AS subject_name, subject_name AS name_key,
            sometimes(i, 'l', 0.97, near(i, 'listed', -900, 5)) AS listed_on,
            sometimes(i, 'r', 0.2, near(i, 'left', -100, 20)) AS removed_on,
            sometimes(i, 'e', 0.3, near(i, 'expires', -30, 500)) AS expires_on""")
        )  # fmt: skip
    return made


def make(folder: Path, subjects: int, applicants: int, *, threads: int | None, memory_limit: str) -> House:
    """Fills the lake of a folder: the state of the day, and a twentieth of it as seen before."""
    there = house(folder)
    spill = folder / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    connection = engine.connect(threads=threads, memory_limit=memory_limit, spill=spill)
    for statement in MACROS.split(";\n"):
        if statement.strip():
            connection.raw_sql(statement)
    for table, source, rows, columns in tables(subjects, applicants):
        started = time.perf_counter()
        _write(there, connection, table, source, LONG_AGO, f"{columns} FROM range(0, {rows}, 20) AS t(i)")
        _write(there, connection, table, source, EARLIER, f"{columns} FROM range({rows}) AS t(i)")
        print(f"{table:<14} {rows:>11,} rows {time.perf_counter() - started:6.1f} s", file=sys.stderr)
    connection.disconnect()
    moment = there.clock()
    with there.ledger.begin() as session:
        session.add_all(
            Harvest(source=source, as_of=DAY, state="published", contract_sha256="0" * 64, started_at=moment,
                    finished_at=moment)
            for source in SOURCES
        )  # fmt: skip
    return there


def _write(there: House, connection: engine.DuckDB, table: str, source: str, day: date, columns: str) -> None:
    moment = there.clock()
    with there.ledger.begin() as session:
        commit = Commit(kind="harvest", name=source, as_of=day, opened_at=moment, closed_at=moment)
        session.add(commit)
        session.flush()
        seq = commit.seq
    connection.raw_sql(
        f"CREATE OR REPLACE TEMP VIEW made AS SELECT '{source}' AS source, DATE '{day}' AS observed_on, "
        f"{seq}::BIGINT AS seq, repeat('{seq % 10}', 64) AS raw_sha256, i::INTEGER AS raw_row, '' AS row_hash, "
        f"false AS removed, {columns}"
    )
    rows = connection.table("made")
    lacking = [field for field in arrow_schema(TABLES[table]) if field.name not in rows.columns]
    rows = rows.mutate(**{field.name: ibis.null(str(ibis.dtype(field.type))) for field in lacking})
    file = there.lake.data_file(table, seq)
    engine.copy_to(connection, rows, table, file)
    there.lake.commit(table, [file], seq)


def share(there: House, folder: Path) -> House:
    """Another house on the same fact files: its own catalogue and ledger, and so its own conclusions."""
    folder.mkdir(parents=True)
    # A copy of the file would lack what SQLite has only in its log yet.
    ledgers = (sqlite3.connect(place / "ledger.db") for place in (there.var, folder))
    with closing(next(ledgers)) as old, closing(next(ledgers)) as new:
        old.backup(new)
    here = house(folder)
    for table in TABLES:
        if files := there.lake.files(table):
            here.lake.commit(table, [Path(file) for file in files], 1)
    return here
