"""A lake and a ledger as a year leaves them, written set-based: for `pages.py`.

Every subject is in the registry; some change. The filing season of the year runs up to the day, most of the one before
lies behind it. Lists, records, reports, consents, matters with their applicants, findings and advice come and go by the
day. The lake is as weekly upkeep leaves it: one merged file a table, and the commits of the last days. Everything is
made up.
"""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from chengxin import conclusions, districts, engine, identity, policy
from chengxin.clock import BEIJING
from chengxin.connections import Connections
from chengxin.engine import DuckDB
from chengxin.sandbox import names
from chengxin.settings import House

ROOT = Path(__file__).resolve().parents[1]
DISTRICT = "370112"
SEPARATE = 3
"""Days at the end whose commits are still files of their own."""
MATTERS_A_DAY = 40
STEP = 16
"""Numbers of commits that a day takes."""
SOURCES = (
    "subject_registry", "annual_reports", "credit_reports", "credit_agencies", "credit_records", "abnormal_list",
    "dishonest_debtors", "blacklists", "matters", "consents",
)  # fmt: skip
CHECK = len(SOURCES) + 1
"""Place of a day's first check among its commits."""
TABLES = (
    "subject", "annual_report", "credit_report", "credit_record", "list_entry", "matter", "applicant", "consent",
    "agency", "rejected", "finding", "advice", "filing_status",
)  # fmt: skip


def house(var: Path, day: date, connections: Connections | None = None) -> House:
    """The house of the benchmark, at eight in the morning of a day."""
    return House(
        root=ROOT,
        var=var,
        district=DISTRICT,
        mode="sandbox",
        clock=lambda: datetime(day.year, day.month, day.day, 8, tzinfo=BEIJING),
        **({"connections": connections} if connections else {}),
    )


def seq(days: int, place: int) -> int:
    """The number of a commit: of the n-th day, and the place in it."""
    return days * STEP + place + 1


def write(place: House, subjects: int, days: int, last: date) -> dict[str, int]:
    """Writes the lake.

    Args:
        place: an empty house.
        subjects: market subjects.
        days: days that the lake has seen.
        last: the last of them.

    Returns:
        Table → rows.
    """
    connection = place.engine()
    first = last - timedelta(days=days - 1)
    _people(connection, subjects, days)
    _settings(connection, place, first, last, days)
    for statement in _SCRIPT.split(";\n"):
        if statement.strip():
            connection.raw_sql(statement)
    counts = {}
    separate = [seq(days - SEPARATE + n, 0) for n in range(SEPARATE)] if days > SEPARATE else []
    for name in TABLES:
        bounds = [0, *separate, seq(days, 0)]
        written = 0
        for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
            rows = connection.table(f"out_{name}")
            rows = rows.filter(rows.seq >= begin, rows.seq < end)
            file = place.lake.data_file(name, begin)
            if number == 0:
                file = file.with_name(f"merged-{name}.parquet")
            found = engine.copy_to(connection, rows, name, file, threads=1)
            if found:
                place.lake.commit(name, [file], end - 1)
                written += found
            else:
                file.unlink()
        counts[name] = written
    connection.disconnect()
    return counts


def _people(connection: DuckDB, subjects: int, days: int) -> None:
    """`people`: who there is, one row each; a few come into being on the way."""
    numbers = np.arange(subjects, dtype=np.int64)
    kind = np.select([numbers % 100 < 60, numbers % 100 < 97], [0, 1], 2)
    prefix = np.array(["91", "92", "93"])[kind]
    codes = identity.complete([f"{start}370112BX{n:07}" for start, n in zip(prefix, numbers, strict=True)])
    named = [maker(numbers) for maker in (names.enterprises, names.shops, names.cooperatives)]
    columns = [
        pa.concat_arrays([part[place].cast(pa.string()) for part in named]).take(pa.array(numbers + kind * subjects))
        for place in (0, 1)
    ]
    made = pa.table(
        {
            "n": numbers,
            "uscc": pa.array(codes, pa.string()),
            "name": columns[0],
            "name_key": identity.name_key_arrow(columns[0].cast(pa.large_string())).cast(pa.string()),
            "kind": pa.array(np.array(["企业", "个体工商户", "农民专业合作社"])[kind].tolist(), pa.string()),
            "industry": columns[1],
            # One in twenty came into being within the year.
            "born": np.where(numbers % 20 == 7, numbers % max(days, 1), 0),
        }
    )
    connection.con.register("people_in", made)
    connection.raw_sql("CREATE TABLE people AS SELECT * FROM people_in")


def _settings(connection: DuckDB, place: House, first: date, last: date, days: int) -> None:
    district = districts.load(place.include_dir / "districts" / f"{DISTRICT}.yml")
    rules = policy.load(place.include_dir / "policy" / district.policy, district)
    areas = [route.area for route in district.areas]
    listed = ", ".join(f"'{area}'" for area in areas)
    held = ", ".join(f"'{code}'" for code in district.departments)
    values = {
        "first": f"DATE '{first}'",
        "last": f"DATE '{last}'",
        "days": str(days),
        "season": f"DATE '{last.year}-01-01'",
        "deadline": f"DATE '{last.year - 1}-07-01'",
        "year": str(last.year - 1),
        "areas": f"[{listed}]",
        "departments": f"[{held}]",
        "matters_a_day": str(MATTERS_A_DAY),
        "policy": f"'{rules.id}'",
        "policy_version": f"'{rules.version}'",
        "separator": f"chr({ord(conclusions.SEPARATOR)})",
        "district": f"'{DISTRICT}'",
    }
    for name, value in values.items():
        connection.raw_sql(f"CREATE MACRO {name}_() AS ({value})")
    for number, source in enumerate(SOURCES):
        connection.raw_sql(f"CREATE MACRO seq_{source}(d) AS CAST(d AS BIGINT) * {STEP} + {number + 1}")
    connection.raw_sql(f"CREATE MACRO seq_check(d) AS CAST(d AS BIGINT) * {STEP} + {CHECK + 1}")


_SCRIPT = """
CREATE MACRO pick(n, salt, m) AS CAST(hash(n, salt) % m AS BIGINT);
CREATE MACRO on_day(d) AS CAST(first_() + CAST(d AS INTEGER) AS DATE);
CREATE MACRO day_of(x) AS CAST(x - first_() AS BIGINT);
CREATE MACRO raw_of(source, d, part) AS sha256(source || '/' || d || '/' || part);
CREATE MACRO short(text) AS left(sha256(text), 20);
CREATE VIEW out_subject AS
    WITH seen AS (
        SELECT *, born AS d, 0 AS turn FROM people
        UNION ALL
        SELECT *, born + 1 + pick(n, 'when', greatest(days_() - born - 1, 1)) AS d, 1 AS turn FROM people
        WHERE pick(n, 'changes', 100) < 7 AND born < days_() - 2
    )
    SELECT uscc, name, name_key, kind, CAST(on_day(born) - 30 - CAST(pick(n, 'age', 6000) AS INTEGER) AS DATE)
            AS established,
        CASE WHEN turn = 1 AND pick(n, 'ends', 4) = 0 THEN '注销' WHEN pick(n, 'revoked', 200) = 0 THEN '吊销'
            ELSE '存续' END AS state,
        CAST(NULL AS DATE) AS revoked_on,
        CASE WHEN turn = 1 AND pick(n, 'ends', 4) = 0 THEN on_day(d) END AS deregistered_on,
        CASE WHEN pick(n, 'lost', 500) = 0 THEN '370112' ELSE areas_()[1 + pick(n + turn, 'area', len(areas_()))] END
            AS area_code,
        industry, '示例路' || n || '号' AS address, CAST(10000 * (1 + pick(n, 'capital', 5000)) AS DECIMAL(20, 2))
            AS capital,
        uscc AS natural_key, on_day(d) AS observed_on, seq_subject_registry(d) AS seq, 'subject_registry' AS source,
        raw_of('subject_registry', d, n // 2000) AS raw_sha256, CAST(n % 2000 AS INTEGER) AS raw_row,
        sha256(uscc || turn) AS row_hash, false AS removed
    FROM seen;
CREATE TABLE filed AS
    SELECT *, CASE WHEN pick(n, 'files', 100) < 80 THEN CAST(season_() + CAST(
            floor((last_() - season_()) * sqrt(pick(n, 'moment', 100000) / 100000)) AS INTEGER) AS DATE) END
            AS this_year,
        CASE WHEN pick(n, 'filed', 100) < 88
            THEN CAST(season_() - 365 + CAST(pick(n, 'before', 175) AS INTEGER) AS DATE)
            WHEN pick(n, 'filed', 100) < 94 THEN CAST(deadline_() + CAST(pick(n, 'late', 150) AS INTEGER) AS DATE) END
            AS last_year
    FROM people;
CREATE VIEW out_annual_report AS
    WITH told AS (
        SELECT n, uscc, year_() AS report_year, this_year AS submitted_on FROM filed WHERE this_year IS NOT NULL
        UNION ALL SELECT n, uscc, year_() - 1, last_year FROM filed WHERE last_year IS NOT NULL
    ), dated AS (SELECT *, greatest(day_of(submitted_on) + 1, 0) AS d FROM told)
    SELECT uscc, report_year, CAST(submitted_on AS TIMESTAMPTZ) + INTERVAL 10 HOUR AS submitted_at,
        CAST(NULL AS TIMESTAMPTZ) AS correction_at, '网上' AS channel, n % 3 > 0 AS is_public,
        CAST(5 + n % 90 AS INTEGER) AS employees, CAST(3 + n % 50 AS INTEGER) AS insured,
        CAST(n AS DECIMAL(20, 2)) AS total_assets, CAST(n AS DECIMAL(20, 2)) AS total_liabilities,
        CAST(0 AS DECIMAL(20, 2)) AS equity, CAST(n AS DECIMAL(20, 2)) AS revenue,
        uscc || separator_() || report_year AS natural_key, on_day(d) AS observed_on, seq_annual_reports(d) AS seq,
        'annual_reports' AS source, raw_of('annual_reports', d, 0) AS raw_sha256, CAST(n % 5000 AS INTEGER) AS raw_row,
        sha256(uscc || report_year) AS row_hash, false AS removed
    FROM dated WHERE d < days_();
CREATE VIEW out_filing_status AS
    WITH told AS (
        SELECT *, year_() AS report_year, 'DUE' AS status, season_() AS day FROM filed
        UNION ALL SELECT *, year_(), 'ON_TIME', this_year + 1 FROM filed WHERE this_year IS NOT NULL
        UNION ALL SELECT *, year_() - 1, 'DUE', first_() FROM filed WHERE coalesce(last_year, last_()) > first_()
        UNION ALL SELECT *, year_() - 1, 'OVERDUE', deadline_() FROM filed
            WHERE coalesce(last_year, last_()) >= deadline_() AND first_() < deadline_()
        UNION ALL SELECT *, year_() - 1, CASE WHEN last_year < deadline_() THEN 'ON_TIME' ELSE 'LATE' END,
            greatest(last_year + 1, first_()) FROM filed WHERE last_year IS NOT NULL
    ), dated AS (
        SELECT *, greatest(CAST(day AS DATE), first_(), on_day(born)) AS observed_on FROM told
    )
    SELECT uscc, CAST(report_year AS INTEGER) AS report_year, status, status IN ('DUE', 'OVERDUE') AS warn,
        CASE WHEN status = 'OVERDUE' THEN CAST(deadline_() + 14 AS DATE) END AS expected_listing_by, kind, name,
        areas_()[1 + pick(n, 'area', len(areas_()))] AS area_code, industry, '二（一）3' AS clause,
        'annual.' || lower(status) AS rule, policy_version_() AS policy_version,
        district_() || separator_() || uscc || separator_() || report_year AS natural_key, observed_on,
        seq_check(day_of(observed_on)) AS seq, 'check' AS source, CAST(NULL AS VARCHAR) AS raw_sha256,
        CAST(NULL AS INTEGER) AS raw_row, sha256(uscc || status) AS row_hash, false AS removed
    FROM dated WHERE observed_on <= last_()
    QUALIFY row_number() OVER (PARTITION BY uscc, report_year, observed_on ORDER BY day DESC, status DESC) = 1;
CREATE TABLE entries AS
    SELECT *, CASE n % 25 WHEN 0 THEN 'abnormal_list' WHEN 1 THEN 'dishonest_debtors' ELSE 'blacklists' END AS source,
        CASE n % 25 WHEN 0 THEN '经营异常名录' WHEN 1 THEN '失信被执行人' ELSE '重大税收违法失信主体' END AS list,
        pick(n, 'listed', 2 * days_()) - days_() AS listed, n // 25 AS number
    FROM people WHERE n % 25 = 0 OR n % 250 IN (1, 2);
CREATE VIEW out_list_entry AS
    WITH dated AS (
        SELECT *, greatest(listed, 0) AS d, CAST(NULL AS BIGINT) AS left_on FROM entries
        UNION ALL
        SELECT *, greatest(listed, 0) + 20 + pick(n, 'leaves', 200) AS d,
            greatest(listed, 0) + 20 + pick(n, 'leaves', 200) FROM entries WHERE pick(n, 'leaves?', 3) = 0
    )
    SELECT list, uscc, name AS subject_name, name_key, on_day(listed) AS listed_on, on_day(left_on) AS removed_on,
        CAST(NULL AS DATE) AS expires_on, '未按规定公示年度报告' AS reason, '示例市场监管局' AS authority,
        '示列字' || number AS doc_no, list || separator_() || uscc || separator_() || on_day(listed) AS natural_key,
        on_day(d) AS observed_on,
        CASE source WHEN 'abnormal_list' THEN seq_abnormal_list(d) WHEN 'dishonest_debtors' THEN
            seq_dishonest_debtors(d) ELSE seq_blacklists(d) END AS seq,
        source, raw_of(source, d, 0) AS raw_sha256, CAST(number % 1000 AS INTEGER) AS raw_row,
        sha256(uscc || list || coalesce(left_on, 0)) AS row_hash, false AS removed
    FROM dated WHERE d < days_();
CREATE VIEW out_credit_record AS
    WITH dated AS (
        SELECT *, greatest(pick(n, 'identified', 3 * days_()) - 2 * days_(), 0) AS d, CAST(NULL AS BIGINT) AS mended
        FROM people WHERE n % 40 = 5
        UNION ALL
        SELECT *, greatest(pick(n, 'identified', 3 * days_()) - 2 * days_(), 0) + 30 + pick(n, 'mends', 100),
            greatest(pick(n, 'identified', 3 * days_()) - 2 * days_(), 0) + 30 + pick(n, 'mends', 100)
        FROM people WHERE n % 40 = 5 AND pick(n, 'mends?', 4) = 0
    )
    SELECT '示罚字' || n AS record_no, uscc, name AS subject_name, '行政处罚' AS kind, '一般' AS severity,
        '示例执法局' AS authority, CAST(on_day(d) - 10 AS DATE) AS identified_on, on_day(d) AS published_on,
        CAST(NULL AS DATE) AS rectified_confirmed_on, CAST(NULL AS BOOLEAN) AS rectified_self_claimed,
        on_day(mended) AS repaired_on, CAST(NULL AS DATE) AS withdrawn_on, CAST(on_day(d) + 1095 AS DATE) AS expires_on,
        n % 2 = 0 AS in_report, CAST(NULL AS VARCHAR) AS report_no,
        '示罚字' || n || separator_() || name AS natural_key, on_day(d) AS observed_on, seq_credit_records(d) AS seq,
        'credit_records' AS source, raw_of('credit_records', d, 0) AS raw_sha256, CAST(n % 1000 AS INTEGER) AS raw_row,
        sha256(uscc || coalesce(mended, 0)) AS row_hash, false AS removed
    FROM dated WHERE d < days_();
CREATE VIEW out_agency AS
    SELECT uscc, '示例征信服务' || n || '有限公司' AS name, '备' || n AS filing_no,
        CAST(first_() - 900 AS DATE) AS filed_on, CAST(NULL AS DATE) AS cancelled_on, uscc AS natural_key,
        first_() AS observed_on, seq_credit_agencies(0) AS seq, 'credit_agencies' AS source,
        raw_of('credit_agencies', 0, 0) AS raw_sha256, CAST(n AS INTEGER) AS raw_row, sha256(uscc) AS row_hash,
        false AS removed
    FROM people WHERE n < 40;
CREATE TABLE matters AS
    SELECT m, m // matters_a_day_() AS opened, m // matters_a_day_() + 8 + pick(m, 'takes', 25) AS decided,
        'SX' || lpad(CAST(m AS VARCHAR), 8, '0') AS matter_id,
        ['招投标', '政府采购', '资金申报', '市场准入', '资质审定'][1 + pick(m, 'type', 5)] AS type,
        departments_()[1 + pick(m, 'held', 12)] AS department,
        CASE WHEN m % 200 = 3 THEN 150 ELSE 1 + pick(m, 'many', 9) END AS many
    FROM range(matters_a_day_() * days_()) t(m);
CREATE VIEW out_matter AS
    WITH dated AS (
        SELECT *, opened AS d, '待办' AS state FROM matters
        UNION ALL SELECT *, decided, '办结' FROM matters
        UNION ALL SELECT *, decided + 60, NULL FROM matters
    )
    SELECT CASE WHEN state IS NOT NULL THEN matter_id END AS matter_id, type,
        CASE WHEN state IS NOT NULL THEN '示例项目第' || m || '号' || type END AS title, department,
        CAST(NULL AS VARCHAR) AS procurement_form, CAST(NULL AS VARCHAR) AS fund_kind,
        CAST(NULL AS VARCHAR) AS land_method, CAST(NULL AS BOOLEAN) AS is_construction, CAST(NULL AS VARCHAR) AS field,
        CAST(NULL AS DATE) AS test_date, on_day(opened) AS opened_on,
        CASE WHEN state = '办结' THEN on_day(d) END AS decided_on, state, matter_id AS natural_key,
        on_day(d) AS observed_on, seq_matters(d) AS seq, 'matters' AS source,
        CASE WHEN state IS NOT NULL THEN raw_of('matters', d, 0) END AS raw_sha256,
        CAST(m % matters_a_day_() AS INTEGER) AS raw_row, sha256(matter_id || coalesce(state, '')) AS row_hash,
        state IS NULL AS removed
    FROM dated WHERE d < days_();
CREATE TABLE applicants AS
    WITH drawn AS (
        SELECT m, opened, decided, matter_id, type, department, a,
            pick(m * 1000 + a, 'who', (SELECT count(*) FROM people)) AS drawn,
            pick(m * 1000 + a, 'outcome', 100) AS luck
        FROM matters, range(many) t(a)
    ), chosen AS (
        -- Who is restricted is on a list.
        SELECT *, CASE WHEN luck < 12 THEN drawn // 25 * 25 ELSE drawn END AS n FROM drawn
    )
    SELECT chosen.*, uscc, name, name_key, CAST(a + 1 AS VARCHAR) AS applicant_no,
        short(matter_id || separator_() || a) AS advice_id,
        CASE WHEN luck < 8 THEN 'RESTRICT' WHEN luck < 12 THEN 'EXCLUDE' WHEN luck < 35 THEN 'NEED_REPORT'
            WHEN luck < 40 THEN 'REVIEW' WHEN luck < 42 THEN 'CANNOT_TELL' WHEN luck < 50 THEN 'PRIORITY'
            ELSE 'PASS' END AS decision
    FROM chosen JOIN people USING (n);
CREATE VIEW out_applicant AS
    SELECT matter_id, applicant_no, uscc, CAST(NULL AS VARCHAR) AS uscc_problem, name, name_key, '申请人' AS role,
        matter_id || separator_() || applicant_no AS natural_key, on_day(opened) AS observed_on,
        seq_matters(opened) AS seq, 'matters' AS source, raw_of('matters', opened, 0) AS raw_sha256,
        CAST(m % matters_a_day_() AS INTEGER) AS raw_row, sha256(matter_id || applicant_no) AS row_hash,
        false AS removed
    FROM applicants;
CREATE VIEW out_credit_report AS
    SELECT 'BG' || m || '-' || a AS report_no, uscc, name AS subject_name,
        (SELECT max(uscc) FROM people WHERE n < 40) AS agency_uscc, '示例征信服务有限公司' AS agency_name,
        CAST(on_day(opened) - 20 AS DATE) AS issue_date, CAST(NULL AS DATE) AS valid_to, 'GB22116' AS scale,
        'AA' AS grade, CAST(80 AS DOUBLE) AS score, matter_id, CAST(NULL AS VARCHAR) AS handed_in_by,
        'BG' || m || '-' || a AS natural_key, on_day(opened) AS observed_on, seq_credit_reports(opened) AS seq,
        'credit_reports' AS source, raw_of('credit_reports', opened, 0) AS raw_sha256, CAST(a AS INTEGER) AS raw_row,
        sha256(matter_id || a) AS row_hash, false AS removed
    FROM applicants WHERE luck >= 35;
CREATE VIEW out_consent AS
    SELECT 'TY' || m || '-' || a AS consent_id, uscc, '信用报告' AS item, matter_id, department AS recipient,
        on_day(opened) AS given_on, CAST(NULL AS DATE) AS withdrawn_on,
        CAST(on_day(opened) + 365 AS DATE) AS expires_on,
        'TY' || m || '-' || a AS natural_key, on_day(opened) AS observed_on, seq_consents(opened) AS seq,
        'consents' AS source, raw_of('consents', opened, 0) AS raw_sha256, CAST(a AS INTEGER) AS raw_row,
        sha256('TY' || m || a) AS row_hash, false AS removed
    FROM applicants WHERE luck >= 35;
CREATE VIEW said AS
    SELECT *, opened AS d, CASE WHEN pick(m * 1000 + a, 'mind', 10) < 3 THEN 'NEED_REPORT' ELSE decision END AS saying,
        false AS over FROM applicants
    UNION ALL SELECT *, opened + 3, decision, false FROM applicants WHERE pick(m * 1000 + a, 'mind', 10) < 3
    UNION ALL SELECT *, decided, NULL, true FROM applicants;
CREATE VIEW reasoned AS
    SELECT *, CASE saying WHEN 'RESTRICT' THEN ['LIST_ABNORMAL'] WHEN 'EXCLUDE' THEN ['LIST_BLACK']
            WHEN 'NEED_REPORT' THEN ['REPORT_MISSING'] WHEN 'REVIEW' THEN ['NAME_ONLY_MATCH']
            WHEN 'PRIORITY' THEN ['HIGH_GRADE'] ELSE [] END AS reasons
    FROM said WHERE d < days_();
CREATE VIEW out_advice AS
    SELECT advice_id, CASE WHEN NOT over THEN matter_id END AS matter_id,
        CASE WHEN NOT over THEN applicant_no END AS applicant_no, CASE WHEN NOT over THEN uscc END AS uscc,
        CASE WHEN NOT over THEN name END AS name, CASE WHEN NOT over THEN department END AS department,
        type AS matter_type, CAST(NULL AS DATE) AS test_date, 'as_written' AS "leading", saying AS decision,
        CAST(NULL AS DATE) AS until, reasons, saying AS as_written, CAST(NULL AS DATE) AS as_written_until,
        reasons AS as_written_reasons, CASE saying WHEN 'EXCLUDE' THEN 'REVIEW' ELSE saying END AS guarded,
        CAST(NULL AS DATE) AS guarded_until, reasons AS guarded_reasons,
        CASE saying WHEN 'EXCLUDE' THEN ['LEGAL_REVIEW'] ELSE [] END AS flags, ['二（一）1', '三', '四（一）'] AS cites,
        CAST([] AS VARCHAR[]) AS stale_sources, policy_() AS policy, policy_version_() AS policy_version,
        district_() || separator_() || advice_id AS natural_key, on_day(d) AS observed_on, seq_check(d) AS seq,
        'check' AS source, CAST(NULL AS VARCHAR) AS raw_sha256, CAST(NULL AS INTEGER) AS raw_row,
        sha256(advice_id || coalesce(saying, '')) AS row_hash, over AS removed
    FROM reasoned;
CREATE VIEW out_finding AS
    WITH met AS (
        SELECT * EXCLUDE (saying, reasons), saying AS effect, reasons, short(advice_id || saying) AS finding_id
        FROM reasoned WHERE NOT over AND saying NOT IN ('PASS', 'CANNOT_TELL')
    ), dated AS (
        SELECT *, d AS on_d FROM met
        UNION ALL SELECT * REPLACE (true AS over), decided AS on_d FROM met
        QUALIFY row_number() OVER (PARTITION BY finding_id ORDER BY d) = 1
    )
    SELECT finding_id, CASE WHEN NOT over THEN advice_id END AS advice_id, matter_id, applicant_no, 'both' AS reading,
        CASE effect WHEN 'NEED_REPORT' THEN 'report.missing' WHEN 'REVIEW' THEN 'list.name_only'
            WHEN 'PRIORITY' THEN 'procurement.high_grade' ELSE 'list.black' END AS rule,
        CASE effect WHEN 'NEED_REPORT' THEN '二（一）1' ELSE '三' END AS clause, effect, reasons,
        CAST([] AS VARCHAR[]) AS flags, CAST(NULL AS DATE) AS until,
        CASE WHEN luck < 12 THEN 'list_entry' END AS evidence_table,
        CASE WHEN luck < 12 THEN entry.source END AS evidence_source,
        CASE WHEN luck < 12 THEN entry.natural_key END AS evidence_key,
        CASE WHEN luck < 12 THEN entry.seq END AS evidence_seq,
        CASE WHEN luck < 12 THEN entry.raw_sha256 END AS evidence_sha256,
        CASE WHEN luck < 12 THEN entry.raw_row END AS evidence_row, '{}' AS parameters,
        district_() || separator_() || finding_id AS natural_key, on_day(on_d) AS observed_on, seq_check(on_d) AS seq,
        'check' AS source, CAST(NULL AS VARCHAR) AS raw_sha256, CAST(NULL AS INTEGER) AS raw_row,
        sha256(finding_id) AS row_hash, over AS removed
    FROM dated LEFT JOIN (SELECT * FROM out_list_entry WHERE removed_on IS NULL) entry USING (uscc)
    WHERE on_d < days_();
CREATE VIEW out_rejected AS
    WITH broken AS (
        SELECT b, CASE WHEN b < 300 THEN 0 ELSE 1 + (b - 300) // 8 END AS d FROM range(300 + 8 * (days_() - 1)) t(b)
    ), dated AS (
        SELECT *, false AS gone FROM broken
        UNION ALL SELECT b, d + 5 + pick(b, 'mend', 60), true FROM broken WHERE pick(b, 'mend?', 3) > 0
    )
    SELECT 'subject' AS fact_table, ['code.valid', 'date.readable', 'field.required'][1 + b % 3] AS rule,
        [['code.valid', 'date.readable', 'field.required'][1 + b % 3]] AS rules,
        ['UNISCID', 'ESTDATE', 'ENTNAME'][1 + b % 3] AS "column", CAST(NULL AS VARCHAR) AS value,
        ['代码校验不符', '日期无法识别', '必填项为空'][1 + b % 3] AS reason,
        'subject' || separator_() || b AS natural_key, on_day(d) AS observed_on, seq_subject_registry(d) AS seq,
        'subject_registry' AS source, CASE WHEN NOT gone THEN raw_of('subject_registry', d, 0) END AS raw_sha256,
        CAST(b % 2000 AS INTEGER) AS raw_row, sha256('b' || b) AS row_hash, gone AS removed
    FROM dated WHERE d < days_();
"""
