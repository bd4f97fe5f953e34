"""SQL that brings the lake's rows into the shape of the desk's tables.

`lake_…` is what counts of a table, `rows_…` its rows whose keys are made anew, `told_…` the same with `code` and
`of_matter` (see `chengxin.desk.fill`). The newest word of a key is decided as in `engine.newest`, and which source
speaks for a subject, a matter or an applicant as in `linking`: the newest, then the first by name.
"""

# ruff: noqa: S608 - put together from parts of this module

from __future__ import annotations

_NEWEST = "row_number() OVER (PARTITION BY source, natural_key ORDER BY observed_on DESC, seq DESC) = 1"
_GONE = "first_value(removed) OVER (PARTITION BY source, natural_key ORDER BY observed_on DESC, seq DESC) AS gone"
_SPEAKS = "ORDER BY gone, observed_on DESC, source, natural_key, seq DESC"

REGISTERED = f"""
    WITH seen AS (
        SELECT uscc, name, name_key, kind, state, established, revoked_on, deregistered_on, area_code, industry,
            capital, removed, {_GONE}, observed_on, seq, source, natural_key
        FROM lake_subject {{matching}}
    )
    SELECT * FROM seen WHERE NOT removed AND uscc IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY uscc {_SPEAKS}) = 1"""
"""`matching`: which keys; nothing for all."""

SUBJECT = """
    SELECT number_of(ref) AS subject_id, * FROM (
        SELECT ref_of('subject', uscc) AS ref, uscc, true AS registered, name, name_key, kind, state, established,
            revoked_on, deregistered_on, area_code, coalesce(street, '') AS street, industry, capital, gone,
            observed_on, seq
        FROM registered LEFT JOIN routes USING (area_code)
        UNION ALL BY NAME
        SELECT ref_of('subject', code) AS ref, code AS uscc, false AS registered, name, name_key, false AS gone
        FROM unregistered
    ) ORDER BY subject_id"""

DECISIONS = """
    WITH last AS (
        SELECT natural_key, matter_id, decision, observed_on, seq FROM lake_advice
        WHERE NOT removed AND matter_id IN (SELECT matter_id FROM matters_in)
        QUALIFY row_number() OVER (PARTITION BY natural_key ORDER BY observed_on DESC, seq DESC) = 1
    ), withdrawn AS (
        SELECT DISTINCT natural_key FROM lake_advice gone JOIN last USING (natural_key)
        WHERE gone.removed AND (gone.observed_on, gone.seq) > (last.observed_on, last.seq)
    ), said AS (
        SELECT last.*, withdrawn.natural_key IS NULL AS stands FROM last LEFT JOIN withdrawn USING (natural_key)
    ), counted AS (
        -- Who left a pending matter is not counted; of a closed one, all of whose advice is withdrawn, everybody is.
        SELECT *, stands OR NOT bool_or(stands) OVER (PARTITION BY matter_id) AS counts FROM said
    )
    SELECT matter_id, count(*) FILTER (counts) AS applicants,
        max(CASE decision {rank} END) FILTER (counts) AS severity, {counted}
    FROM counted GROUP BY matter_id"""
"""`rank`: WHEN … THEN of each outcome; `counted`: one column an outcome."""

MATTER = f"""
    WITH keys AS (
        SELECT DISTINCT source, natural_key FROM lake_matter WHERE matter_id IN (SELECT matter_id FROM matters_in)
    ), seen AS (
        SELECT *, {_GONE}, min(observed_on) OVER (PARTITION BY source, natural_key) AS first_on
        FROM lake_matter SEMI JOIN keys USING (source, natural_key)
    ), speaks AS (
        SELECT * FROM seen WHERE NOT removed AND matter_id IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY matter_id {_SPEAKS}) = 1
    )
    SELECT matter_id, ref_of('matter', matter_id) AS ref, title, type, department, procurement_form, fund_kind,
        land_method, is_construction, field, test_date, opened_on, decided_on, state, gone, observed_on, seq, source,
        raw_sha256, raw_row, coalesce(opened_on, first_on) AS sort_on, coalesce(applicants, 0) AS applicants,
        coalesce(severity, -1) AS severity, {{numbers}}
    FROM speaks LEFT JOIN counts USING (matter_id)"""
"""`numbers`: the columns of `counts`, null as 0."""

APPLICANT = f"""
    WITH keys AS (
        SELECT DISTINCT source, natural_key FROM lake_applicant WHERE matter_id IN (SELECT matter_id FROM applied_in)
    ), seen AS (
        SELECT *, {_GONE} FROM lake_applicant SEMI JOIN keys USING (source, natural_key)
    )
    SELECT matter_id, applicant_no, subject_of(uscc) AS subject_id, name, role, uscc_problem, gone, observed_on
    FROM seen WHERE NOT removed
    QUALIFY row_number() OVER (PARTITION BY matter_id, applicant_no {_SPEAKS}) = 1"""

ADVICE = """
    WITH placed AS (
        SELECT *,
            NOT removed AND row_number() OVER
                (PARTITION BY natural_key, removed ORDER BY observed_on DESC, seq DESC) = 1 AS latest,
            first_value(removed) OVER (PARTITION BY natural_key ORDER BY observed_on DESC, seq DESC) AS withdrawn
        FROM rows_advice
    )
    SELECT advice_id, matter_id, applicant_no, subject_of(uscc) AS subject_id, name, department, matter_type,
        test_date, "leading", decision, until, to_json(reasons)::VARCHAR AS reasons, as_written, as_written_until,
        to_json(as_written_reasons)::VARCHAR AS as_written_reasons, guarded, guarded_until,
        to_json(guarded_reasons)::VARCHAR AS guarded_reasons, to_json(flags)::VARCHAR AS flags,
        to_json(cites)::VARCHAR AS cites, to_json(stale_sources)::VARCHAR AS stale_sources, policy, policy_version,
        observed_on, seq, removed, latest, latest AND NOT withdrawn AS stands
    FROM placed"""

FINDING = """
    SELECT finding_id, max(advice_id) OVER (PARTITION BY natural_key) AS advice_id, reading, rule, clause, effect,
        to_json(reasons)::VARCHAR AS reasons, to_json(flags)::VARCHAR AS flags, until,
        evidence_table AS evidence_fact, evidence_source,
        key_of(evidence_table, evidence_source, evidence_key) AS evidence_key_id, evidence_seq, evidence_sha256,
        evidence_row, parameters, observed_on, seq, removed
    FROM rows_finding"""

FILING = f"""
    WITH newest AS (
        SELECT * FROM lake_filing_status WHERE uscc IN (SELECT code FROM filing_codes) QUALIFY {_NEWEST}
    )
    SELECT subject_id, report_year, status, coalesce(warn, false) AS warn, coalesce(routes.street, '') AS street,
        newest.kind, newest.industry, coalesce(subjects_out.name_key, newest.name, '') AS name_key,
        expected_listing_by, newest.observed_on, newest.seq
    FROM newest JOIN subjects_out USING (uscc) LEFT JOIN routes ON routes.area_code = newest.area_code
    WHERE NOT newest.removed
    ORDER BY subject_id"""

COUNTS = """
    WITH said AS (
        SELECT report_year, natural_key, observed_on, status, coalesce(kind, '') AS kind,
            coalesce(street, '') AS street, removed
        FROM lake_filing_status LEFT JOIN routes USING (area_code)
        WHERE report_year IN (SELECT report_year FROM years)
        QUALIFY row_number() OVER (PARTITION BY natural_key, observed_on ORDER BY seq DESC) = 1
    ), spans AS (
        SELECT *, lead(observed_on) OVER (PARTITION BY natural_key ORDER BY observed_on) AS ends_on FROM said
    ), flows AS (
        SELECT report_year, day, street, kind, status, sum(n) AS n FROM (
            SELECT report_year, observed_on AS day, street, kind, status, 1 AS n FROM spans WHERE NOT removed
            UNION ALL
            SELECT report_year, ends_on, street, kind, status, -1 FROM spans WHERE NOT removed AND ends_on IS NOT NULL
        ) GROUP BY ALL
    ), grid AS (
        SELECT * FROM (SELECT DISTINCT report_year, day FROM flows)
        JOIN (SELECT DISTINCT report_year, street, kind, status FROM flows) USING (report_year)
    ), totals AS (
        SELECT report_year, day, street, kind, status, CAST(sum(coalesce(n, 0)) OVER
            (PARTITION BY report_year, street, kind, status ORDER BY day) AS INTEGER) AS subjects
        FROM grid LEFT JOIN flows USING (report_year, day, street, kind, status)
    )
    SELECT report_year, day, street, kind, status, subjects FROM totals JOIN years USING (report_year)
    WHERE subjects > 0 AND day >= since
    UNION ALL
    SELECT report_year, day, NULL, NULL, status, CAST(sum(subjects) AS INTEGER) FROM totals
    JOIN years USING (report_year) WHERE day >= since GROUP BY ALL"""

CONSENT = f"""
    SELECT subject_of(uscc) AS subject_id, key_of('consent', source, natural_key) AS key_id, consent_id, item,
        matter_id, recipient, given_on, withdrawn_on, expires_on, source, seq
    FROM (SELECT * FROM rows_consent QUALIFY {_NEWEST}) WHERE NOT removed AND uscc IS NOT NULL"""

REPORT = f"""
    SELECT subject_of(uscc) AS subject_id, key_of('credit_report', source, natural_key) AS key_id, report_no,
        agency_uscc, issue_date, valid_to, matter_id, source, seq
    FROM (SELECT * FROM rows_credit_report QUALIFY {_NEWEST}) WHERE NOT removed AND uscc IS NOT NULL"""

AGENCY = f"""
    SELECT uscc, name, filing_no, filed_on, cancelled_on
    FROM (SELECT * FROM lake_agency QUALIFY {_NEWEST}) WHERE NOT removed AND uscc IS NOT NULL"""

REJECTED = """
    WITH spans AS (
        SELECT *, lead(observed_on) OVER (PARTITION BY source, natural_key ORDER BY observed_on, seq) AS gone_on
        FROM rows_rejected
    )
    SELECT source, fact_table AS fact, rule, to_json(rules)::VARCHAR AS rules, "column", reason,
        key_of('rejected', source, natural_key) AS key_id, seq, observed_on AS seen_on, gone_on, raw_sha256, raw_row
    FROM spans WHERE NOT removed AND (gone_on IS NULL OR gone_on > observed_on)"""
