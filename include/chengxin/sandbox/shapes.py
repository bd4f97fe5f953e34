"""Each source's own shape: its headings, codes and ways to write a date, from the facts of a day
(`state.MACROS` explains the words).

Written from what such sources look like, never from the contract files. Texts everywhere but in the columns that a
source would keep as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Transport = Literal["portal", "database", "files"]


@dataclass(frozen=True)
class Source:
    """One source: what it is made of, and which of its columns can go wrong in which way."""

    transport: Transport
    place: str
    """Path of the portal, table of the front database, file name with `{day}`, or pattern of one file a record."""
    facts: tuple[str, ...]
    sql: str
    code: str
    """Heading of the subject's code."""
    required: str
    """A heading that must not be empty."""
    date: str
    """A heading with a date that must be readable."""
    open_date: str = ""
    """A heading with a date that is often not there."""
    text: str = ""
    """A heading where a null word may stand."""
    count: str = ""
    """A heading with a head count."""
    sentinels: tuple[str, str] = ("9999-09-09", "1899-12-31")


SOURCES = {
    "subject_registry": Source(
        "portal",
        "/api/v1/sczt/jbxx",
        ("subjects",),
        """
        SELECT id AS _id, pripid(id) AS PRIPID, uscc AS UNISCID, name AS ENTNAME,
            CASE kind WHEN '企业' THEN '1' WHEN '个体工商户' THEN '2' WHEN '农民专业合作社' THEN '3' END AS ENTCAT,
            strftime(established, '%Y-%m-%d') AS ESTDATE,
            CASE state WHEN '存续' THEN '1' WHEN '吊销' THEN '2' WHEN '注销' THEN '3' WHEN '迁出' THEN '4'
                WHEN '歇业' THEN '9' END AS REGSTATE,
            strftime(revoked_on, '%Y-%m-%d') AS REVDATE, strftime(deregistered_on, '%Y-%m-%d') AS CANDATE,
            area_code AS DOMDISTRICT, industry AS INDUSTRYPHY, address AS DOM,
            capital AS REGCAP, '156' AS REGCAPCUR, capital AS REGCAPRMB,
            strftime($day, '%Y-%m-%d') || ' 01:00:00' AS S_EXT_TIMESTAMP
        FROM subjects
        """,
        code="UNISCID", required="ENTNAME", date="ESTDATE", open_date="REVDATE", text="INDUSTRYPHY",
    ),
    "annual_reports": Source(
        "database",
        "v_nb_jbxx",
        ("filings",),
        """
        SELECT id AS _id, 'NB' || report_year || lpad(CAST(id AS VARCHAR), 10, '0') AS ANCHEID, pripid(id) AS PRIPID,
            uscc AS UNISCID, CAST(report_year AS VARCHAR) AS ANCHEYEAR, name AS ENTNAME,
            CASE id % 50 WHEN 3 THEN strftime(submitted_at - INTERVAL 8 HOUR, '%Y-%m-%dT%H:%M:%SZ')
                WHEN 4 THEN strftime(submitted_at, '%Y-%m-%dT%H:%M:%S+08:00')
                ELSE strftime(submitted_at, '%Y-%m-%d %H:%M:%S') END AS ANCHEDATE,
            strftime(correction_at, '%Y-%m-%d %H:%M:%S') AS CORRDATE,
            CASE WHEN paper THEN '2' ELSE '1' END AS REPTYPE, CASE WHEN public THEN '1' ELSE '2' END AS PUBSTATE,
            '开业' AS BUSST, employees AS EMPNUM, insured AS ENDOWMENTNUM,
            assets AS ASSGRO, debts AS LIAGRO, equity AS TOTEQU, revenue AS VENDINC,
            strftime($day, '%Y%m%d') || '01' AS CD_BATCH, strftime($day, '%Y-%m-%d') || ' 01:30:00' AS CD_TIME
        FROM filings
        """,
        code="UNISCID", required="ANCHEYEAR", date="ANCHEDATE", open_date="CORRDATE", text="BUSST", count="EMPNUM",
        sentinels=("9999-09-09 00:00:00", "1899-12-31 00:00:00"),
    ),
    "abnormal_list": Source(
        "database",
        "dw_scjdgl_jyycml",
        ("abnormal",),
        """
        SELECT id AS _id, pripid(id % 1000000000) AS pripid, uscc AS uniscid,
            half_brackets(name, id) AS entname, strftime(listed_on, '%Y-%m-%d') || ' 00:00:00' AS abntime,
            reason AS specause_cn, '济南市历城区市场监督管理局' AS decorg_cn,
            strftime(removed_on, '%Y-%m-%d') || ' 00:00:00' AS remdate,
            CASE WHEN removed_on IS NOT NULL THEN '列入事由已消除' END AS remexcpres_cn,
            strftime($day, '%Y%m%d') || '02' AS batch_id
        FROM abnormal
        """,
        code="uniscid", required="entname", date="abntime", open_date="remdate", text="specause_cn",
        sentinels=("9999-09-09 00:00:00", "1899-12-31 00:00:00"),
    ),
    "credit_records": Source(
        "portal",
        "/api/v1/sgs/xzcf",
        ("records",),
        """
        SELECT id AS _id, half_brackets(name, id) AS CF_XDR_MC,
            CASE WHEN person THEN '自然人' WHEN uscc LIKE '92%' THEN '个体工商户'
                ELSE '法人及非法人组织' END AS CF_XDR_LB,
            uscc AS CF_XDR_SHXYM, NULL::VARCHAR AS CF_XDR_GSZC, NULL::VARCHAR AS CF_XDR_ZZJG, record_no AS CF_WSH,
            '示例违法行为' AS CF_WFXW, '示例违法事实' AS CF_SY, '示例处罚依据' AS CF_YJ, '罚款' AS CF_CFLB,
            '示例处罚内容' AS CF_NR, round(0.1 + id % 37 / 10, 2) AS CF_NR_FK, 0.0 AS CF_NR_WFFF,
            strftime(identified_on, '%Y/%m/%d') AS CF_JDRQ, NULL::VARCHAR AS CF_YXQ,
            strftime(expires_on, '%Y/%m/%d') AS CF_GSJZQ, authority AS CF_CFJG, '11370112XXXX000000' AS CF_CFJGDM,
            authority AS CF_SJLY, '11370112XXXX000000' AS CF_SJLYDM, severity AS SXCD,
            strftime(published_on, '%Y/%m/%d') AS GSRQ, strftime(rectified_on, '%Y/%m/%d') AS ZGQRRQ,
            CASE WHEN claims THEN '1' ELSE '0' END AS ZGZS, strftime(repaired_on, '%Y/%m/%d') AS XFRQ,
            strftime(withdrawn_on, '%Y/%m/%d') AS CXRQ, in_report AS SFZRBG, NULL::VARCHAR AS BGBH, NULL::VARCHAR AS BZ
        FROM records
        """,
        code="CF_XDR_SHXYM", required="CF_WSH", date="CF_JDRQ", open_date="XFRQ", text="CF_CFJG",
        sentinels=("9999/09/09", "1899/12/31"),
    ),
    "dishonest_debtors": Source(
        "files",
        "sxbzxr_{day}.zip",
        ("debtors",),
        """
        SELECT id AS _id, name AS bzxrmc, uscc AS tyshxydm, substr(uscc, 9, 8) || '-' || substr(uscc, 17, 1) AS zzjgdm,
            case_no AS ah,
            strftime(listed_on - 40, '%Y年%m月%d日') AS larq, strftime(listed_on, '%Y年%m月%d日') AS fbrq,
            strftime(expires_on, '%Y年%m月%d日') AS yxqz, strftime(removed_on, '%Y年%m月%d日') AS scrq,
            '济南市历城区人民法院' AS zxfy, case_no || '之一' AS zxyjwh, '全部未履行' AS bzxrlxqk,
            '有履行能力而拒不履行生效法律文书确定义务' AS sxbzxrxwqk,
            CASE WHEN person THEN '自然人' ELSE '法人或者其他组织' END AS bzxrxz
        FROM debtors
        """,
        code="tyshxydm", required="ah", date="fbrq", open_date="scrq", text="zxfy",
        sentinels=("9999年09月09日", "1899年12月31日"),
    ),
    "blacklists": Source(
        "portal",
        "/api/v1/sxmd/mx",
        ("listed",),
        """
        SELECT id AS _id, 'SXMD' || lpad(CAST(id AS VARCHAR), 9, '0') AS id, list AS mdlx,
            half_brackets(name, listed.id) AS ztmc, uscc AS xydm, NULL::VARCHAR AS zzjgdm,
            strftime(listed_on, '%Y%m%d') AS lrrq, strftime(removed_on, '%Y%m%d') AS ycrq,
            strftime(expires_on, '%Y%m%d') AS yxqz, reason AS lryy, authority AS rdbm, doc_no AS wsh,
            '省公共信用信息平台' AS sjly, strftime($day, '%Y%m%d') AS gxsj
        FROM listed
        """,
        code="xydm", required="ztmc", date="lrrq", open_date="ycrq", text="rdbm",
        sentinels=("99990909", "18991231"),
    ),
    "credit_agencies": Source(
        "files",
        "zxjgba_{day}.xlsx",
        ("agencies",),
        """
        SELECT id AS _id, row_number() OVER (ORDER BY id DESC) AS 序号, name AS 机构名称, uscc AS 统一社会信用代码,
            filing_no AS 备案号, strftime(filed_on, '%Y-%m-%d') AS 备案日期,
            strftime(cancelled_on, '%Y-%m-%d') AS 注销备案日期,
            '示例人民银行分支机构' AS 备案机关, NULL::VARCHAR AS 备注
        FROM agencies ORDER BY id DESC
        """,
        code="统一社会信用代码", required="机构名称", date="备案日期", open_date="注销备案日期",
    ),
    "credit_reports": Source(
        "files",
        "xybg_{day}.json",
        ("reports",),
        """
        SELECT id AS _id, report_no AS reportNo, '企业信用报告' AS reportType, uscc AS subjectCode, name AS subjectName,
            agency_uscc AS agencyCode, agency_name AS agencyName, strftime(issue_date, '%Y-%m-%d') AS issueDate,
            strftime(issue_date - 5, '%Y-%m-%d') AS dataCutoff, strftime(valid_to, '%Y-%m-%d') AS validTo,
            scale, grade, score, matter_no AS matterNo, handed_in_by AS handedInBy,
            upper(substr(md5(report_no), 1, 12)) AS checkCode, sha256(report_no) AS fileSha256,
            strftime(delivered_on, '%Y-%m-%d') || 'T09:00:00+08:00' AS deliveredAt
        FROM reports WHERE NOT on_paper(id, report_no)
        """,
        code="subjectCode", required="reportNo", date="issueDate", open_date="validTo", text="subjectName",
    ),
    "credit_report_pdfs": Source(
        "files",
        "xybg_pdf/*.pdf",
        ("reports", "records"),
        """
        SELECT reports.id AS _id, report_no AS 报告编号, reports.uscc AS 统一社会信用代码, reports.name AS 企业名称,
            agency_uscc AS 征信机构代码, agency_name AS 征信机构, strftime(issue_date, '%Y年%m月%d日') AS 报告日期,
            strftime(valid_to, '%Y-%m-%d') AS 有效期至, scale AS 评级标准, grade AS 信用等级,
            CAST(score AS VARCHAR) AS 信用评分, matter_no AS 项目编号, handed_in_by AS 提交人代码,
            coalesce(list({'文书号': record_no, '信息类型': '行政处罚', '失信程度': severity, '认定单位': authority,
                '认定日期': strftime(identified_on, '%Y-%m-%d'),
                '整改确认日期': strftime(rectified_on, '%Y-%m-%d')} ORDER BY record_no)
                FILTER (record_no IS NOT NULL), []) AS 失信信息记录
        FROM reports LEFT JOIN records ON records.uscc = reports.uscc AND published_on <= issue_date AND NOT person
        WHERE on_paper(reports.id, report_no) GROUP BY ALL ORDER BY report_no
        """,
        code="统一社会信用代码", required="报告编号", date="报告日期",
    ),
    "consents": Source(
        "files",
        "sqtys_{day}.csv",
        ("consents",),
        """
        SELECT id AS _id, consent_no AS 授权书编号, name AS 主体名称, uscc AS 统一社会信用代码, item AS 授权信息项,
            matter_no AS 事项编号, office(recipient) AS 接收单位,
            CASE WHEN id % 9 = 4 THEN strftime(given_on, '%Y/%-m/%-d')
                ELSE strftime(given_on, '%Y-%m-%d') END AS 授权日期,
            strftime(withdrawn_on, '%Y-%m-%d') AS 撤回日期, strftime(expires_on, '%Y-%m-%d') AS 有效期至,
            strftime(given_on, '%Y-%m-%d') || ' 16:00' AS 登记时间
        FROM consents
        """,
        code="统一社会信用代码", required="授权书编号", date="授权日期", open_date="撤回日期", text="主体名称",
    ),
    "applicants": Source(
        "portal",
        "",
        ("applicants",),
        """
        SELECT id AS _id, matter_no AS sxbh, CAST(number AS VARCHAR) AS xh, uscc AS tyshxydm, name AS mc, role AS js,
            '正常' AS zt
        FROM applicants
        """,
        code="tyshxydm", required="mc", date="",
    ),
    "matters": Source(
        "portal",
        "/api/v1/zwsx/dbsx",
        ("matters",),
        """
        SELECT id AS _id, matter_no AS sxbh, '37011200' || lpad(CAST(id % 997 AS VARCHAR), 4, '0') AS qlbm,
            CASE WHEN type = '招投标' AND is_construction AND synonym THEN '建设工程招投标'
                WHEN type = '国有资产产权交易' AND synonym THEN '国有产权转让' ELSE type END AS sxlx,
            title AS sxmc, office(department) AS cbdw,
            CASE procurement_form WHEN '政府集中采购' THEN '1' WHEN '分散采购' THEN '2' END AS cgxs,
            fund_kind AS zjlx, land_method AS crfs, CAST(CAST(is_construction AS INTEGER) AS VARCHAR) AS sfjsgc,
            field AS zdly, strftime(test_date, '%Y-%m-%d') AS scjzr, strftime(opened_on, '%Y-%m-%d') AS slrq,
            strftime(decided_on, '%Y-%m-%d') AS bjrq, CASE state WHEN '办结' THEN '20' ELSE '10' END AS blzt,
            strftime($day, '%Y-%m-%d') || ' 03:00:00' AS gxsj
        FROM matters
        """,
        code="", required="sxbh", date="slrq", open_date="scjzr", text="zdly",
    ),
}  # fmt: skip
"""Name of the source's contract → the source. `applicants` lie inside `matters`."""
