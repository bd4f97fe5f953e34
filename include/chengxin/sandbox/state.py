"""A day's state of the made-up world, cut out of the courses: what has happened by then, and nothing else.

Dates count from their own day on. Moments (filings) count up to 06:00 of the day, since sources are harvested at night.
"""

from __future__ import annotations

MACROS = """
    CREATE MACRO so_far(moment, day) AS CASE WHEN moment <= day THEN moment END;
    CREATE MACRO dawn(day) AS CAST(day AS TIMESTAMP) + INTERVAL 6 HOUR;
    CREATE MACRO pripid(id) AS '3701120000' || lpad(CAST(id AS VARCHAR), 12, '0');
    CREATE MACRO on_paper(id, report_no) AS id >= 0 AND CAST(right(report_no, 6) AS INTEGER) <= 2;
    CREATE MACRO half_brackets(name, id) AS
        CASE WHEN id % 2 = 0 THEN replace(replace(name, '（', '('), '）', ')') ELSE name END;
    CREATE MACRO office(code) AS CASE code
        WHEN 'zjj' THEN '区住建局' WHEN 'czj' THEN '区财政局' WHEN 'gzw' THEN '区国资运营中心'
        WHEN 'fgj' THEN '区发改局' WHEN 'kjj' THEN '区科技局' WHEN 'nyj' THEN '区农业农村局'
        WHEN 'scjg' THEN '区市场监管局' WHEN 'spj' THEN '区行政审批局' WHEN 'zrzy' THEN '区自然资源局'
        WHEN 'jrj' THEN '区金融事业发展中心'
        WHEN 'sw' THEN '区税务局' WHEN 'mzj' THEN '区民政局'
        WHEN 'nsyh' THEN '济南样例农村商业银行' WHEN 'partner' THEN '济南样例合作商贸有限公司' END;
"""
"""Words of the queries here and in `shapes`; `so_far` hides what has not happened yet, `office` names a department or
partner, `on_paper` picks the two reports a month that applicants hand in as PDF."""

QUERIES = {
    "subjects": """
        SELECT id, uscc, name, kind, established, area_code, industry, address, capital,
            CASE WHEN exit_on <= $day THEN exit_kind ELSE '存续' END AS state,
            CASE WHEN exit_kind = '吊销' AND exit_on <= $day THEN exit_on END AS revoked_on,
            CASE WHEN exit_kind = '注销' AND exit_on <= $day THEN exit_on END AS deregistered_on
        FROM register WHERE established IS NULL OR established <= $day
    """,
    "filings": """
        SELECT * EXCLUDE (correction_at), so_far(correction_at, dawn($day)) AS correction_at
        FROM register_filings WHERE submitted_at < dawn($day)
    """,
    # Who missed the window is entered by the tenth working day after it, and taken off five days after filing late.
    "abnormal": """
        WITH missed AS (
            SELECT p.id + 1000000000 * CAST(y.year AS BIGINT) AS id, p.uscc, p.name,
                make_date(y.year + 1, 7, 8) + CAST(p.id % 7 AS INTEGER) AS listed_on,
                CAST(f.submitted_at AS DATE) + 5 AS filed_on,
                '未依照规定的期限公示' || y.year || '年度报告' AS reason
            FROM people p CROSS JOIN years y LEFT JOIN people_filings f ON f.id = p.id AND f.report_year = y.year
            WHERE p.id < $local AND p.established < make_date(y.year + 1, 1, 1)
                AND NOT (p.exit_on IS NOT NULL AND p.exit_on < make_date(y.year + 1, 7, 1))
                AND (f.submitted_at IS NULL OR f.submitted_at >= CAST(make_date(y.year + 1, 7, 1) AS TIMESTAMP))
        ), every AS (
            SELECT id, uscc, name, listed_on, greatest(filed_on, listed_on + 1) AS removed_on, reason FROM missed
            WHERE filed_on IS NOT NULL
            UNION ALL SELECT id, uscc, name, listed_on, NULL, reason FROM missed WHERE filed_on IS NULL
            UNION ALL SELECT id, uscc, name, listed_on, removed_on, reason FROM unreachable
        )
        SELECT * EXCLUDE (removed_on), so_far(removed_on, $day) AS removed_on
        FROM every WHERE listed_on <= $day ORDER BY id
    """,
    "records": """
        SELECT * EXCLUDE (rectified_on, repaired_on, withdrawn_on, kept_until, claims),
            claims AND published_on + 30 <= $day AS claims,
            so_far(rectified_on, $day) AS rectified_on, so_far(repaired_on, $day) AS repaired_on,
            so_far(withdrawn_on, $day) AS withdrawn_on
        FROM records WHERE published_on <= $day AND kept_until >= $day
    """,
    "debtors": """
        SELECT * EXCLUDE (removed_on), so_far(removed_on, $day) AS removed_on FROM debtors
        WHERE listed_on <= $day AND (removed_on IS NULL OR removed_on + 365 >= $day)
    """,
    "listed": """
        SELECT * EXCLUDE (removed_on), so_far(removed_on, $day) AS removed_on FROM listed
        WHERE listed_on <= $day AND (removed_on IS NULL OR removed_on + 365 >= $day)
    """,
    "agencies": """
        SELECT * EXCLUDE (cancelled_on), so_far(cancelled_on, $day) AS cancelled_on
        FROM agencies WHERE filed AND filed_on <= $day
    """,
    "matters": """
        SELECT * EXCLUDE (decided_on), so_far(decided_on, $day) AS decided_on,
            CASE WHEN decided_on <= $day THEN '办结' ELSE '待办' END AS state
        FROM matters WHERE opened_on <= $day AND decided_on + 60 >= $day
    """,
    "applicants": """
        SELECT a.* FROM applicants a SEMI JOIN (
            SELECT matter_no FROM matters WHERE opened_on <= $day AND decided_on + 60 >= $day
        ) m ON a.matter_no = m.matter_no ORDER BY a.id
    """,
    "reports": "SELECT * EXCLUDE (kept_until) FROM reports WHERE delivered_on <= $day AND kept_until >= $day",
    "consents": """
        SELECT * EXCLUDE (withdrawn_on, kept_until), so_far(withdrawn_on, $day) AS withdrawn_on
        FROM consents WHERE given_on <= $day AND kept_until >= $day
    """,
}
"""Fact → its state on `$day`, as SQL over the tables of the courses."""
