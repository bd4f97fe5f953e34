"""A small house in which two days were checked, for the pages to show. Its texts hold markup, to see it escaped.

| matter | department | applicant | story |
|---|---|---|---|
| M1 | zjj | FIRST | on a blacklist from Tuesday on, with its raw file |
| M1 | zjj | SECOND | an adverse record, repaired on Tuesday; a report by consent, out of its time |
| M2 | czj | THIRD | a report without consent |
| M3 | zjj | FIRST | closed on Tuesday: its advice was withdrawn |
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from chengxin import check
from chengxin.clock import BEIJING
from chengxin.desk import read, refresh
from chengxin.desk.read import AdviceRow, Scope
from chengxin.linking import REPORT_ITEM
from chengxin.settings import House
from chengxin.web import AUDITOR_PATH
from chengxin.web.auditor.office import Office
from tests.conftest import ROOT
from tests.factlake import FactLake, archived, codes, day
from tests.web.auditor.conftest import Site, site_of, with_keys

MONDAY, TUESDAY = day("2026-06-15"), day("2026-06-16")
NOW = datetime(2026, 6, 16, 10, 0, tzinfo=BEIJING)
FIRST, SECOND, THIRD, FOURTH, AGENCY = codes(1, 2, 3, 4, 5)
MARKUP = "<b>乙</b>&\"'有限公司"
NAMES = {FIRST: "示例甲有限公司", SECOND: f"示例{MARKUP}", THIRD: "示例丙有限公司", FOURTH: "别家丁有限公司"}
TITLE = "<script>alert(1)</script>小学改扩建"


@dataclass
class Played:
    """The house and its ids."""

    house: House
    matters: dict[str, str]
    """Matter → its ref."""
    subjects: dict[str, str]
    """Code → its ref."""
    advice: dict[str, AdviceRow]
    """`matter/applicant` → what was last said."""

    @property
    def site(self) -> Site:
        """Its pages."""
        site = _site(self.house.root)
        app: Any = site.client.app
        pages = next(route.app for route in app.routes if getattr(route, "path", "") == AUDITOR_PATH)
        office = pages.state.office
        # Building the app and reading the policy take a second, and are the same for every test.
        pages.state.office = Office(self.house, office.login_url, _kept=office._kept)
        return site

    def copy(self, place: Path) -> Played:
        """The same house with a ledger of its own; the lake is shared, and only read."""
        for name in ("ledger.db", "ledger.db-wal", "desk.db", "desk.db-wal"):
            if (self.house.var / name).exists():
                shutil.copy(self.house.var / name, place / name)
        house = replace(
            self.house,
            ledger_url=f"sqlite:///{place / 'ledger.db'}",
            desk_url=f"sqlite:///{place / 'desk.db'}",
        )
        return replace(self, house=house)


@cache
def _site(root: Path) -> Site:
    """The pages, to be given a house."""
    return site_of(House(root=root, var=root / "none", district="370112", connections=with_keys))


def play(var: Path) -> Played:
    """Plays the two days."""
    house = House(
        root=ROOT, var=var, district="370112", clock=lambda: NOW, connections=with_keys, mode="production",
    )  # fmt: skip
    lake = FactLake(house)
    lake.fresh(MONDAY)
    known = {"kind": "企业", "state": "存续", "established": day("2019-01-01"), "area_code": "370112001"}
    lake.put(
        "subject", MONDAY, [{"uscc": code, "name": name, "industry": "C", **known} for code, name in NAMES.items()]
    )
    bidding = {"type": "招投标", "department": "zjj", "state": "待办", "opened_on": day("2026-06-01")}
    bought = {"type": "政府采购", "procurement_form": "政府集中采购", "department": "czj"}
    closing = {"matter_id": "M3", **bidding, "title": "结掉的项目"}
    lake.put("matter", MONDAY, [
        {"matter_id": "M1", **bidding, "title": TITLE},
        {"matter_id": "M2", **bidding, **bought, "title": "桌椅采购"},
        closing,
    ])  # fmt: skip
    lake.put("applicant", MONDAY, [
        {"matter_id": name, "applicant_no": number, "uscc": code, "name": NAMES[code], "role": "投标人"}
        for name, number, code in (("M1", "1", FIRST), ("M1", "2", SECOND), ("M2", "1", THIRD), ("M3", "1", FIRST))
    ])  # fmt: skip
    record = {
        "record_no": "罚〔2026〕7号", "uscc": SECOND, "subject_name": NAMES[SECOND],
        "identified_on": day("2026-03-01"), "authority": "示例执法局",
    }  # fmt: skip
    lake.put("credit_record", MONDAY, [record])
    lake.put("consent", MONDAY, [
        {"consent_id": "C1", "uscc": FIRST, "item": REPORT_ITEM, "recipient": "nsyh", "given_on": MONDAY},
        {"consent_id": "C2", "uscc": SECOND, "item": REPORT_ITEM, "recipient": "zjj", "given_on": day("2025-01-01")},
    ])  # fmt: skip
    lake.put("agency", MONDAY, [{"uscc": AGENCY, "name": "样例征信", "filed_on": day("2021-01-01")}])
    report = {"agency_uscc": AGENCY, "agency_name": "样例征信", "scale": "GB/T 22116", "grade": "AAA"}
    lake.put("credit_report", MONDAY, [
        {"report_no": "R-SECOND", "uscc": SECOND, "issue_date": day("2024-01-01"), **report},
        {"report_no": "R-THIRD", "uscc": THIRD, "issue_date": day("2026-01-01"), **report},
    ])  # fmt: skip
    check.run(house, MONDAY)
    lake.fresh(TUESDAY)
    sha256 = _archived(house)
    listed = {
        "list": "黑名单", "doc_no": "列〔2026〕1号", "uscc": FIRST, "subject_name": NAMES[FIRST],
        "listed_on": day("2026-06-01"), "reason": "<i>虚假</i>材料", "authority": "示例局",
    }  # fmt: skip
    lake.put("list_entry", TUESDAY, [listed], raw=(sha256, 1))
    lake.put("credit_record", TUESDAY, [{**record, "repaired_on": TUESDAY}])
    lake.put("matter", TUESDAY, [{**closing, "state": "办结", "decided_on": TUESDAY}])
    check.run(house, TUESDAY)
    refresh.refresh(house)
    with house.desk.read() as connection:
        rows = read.matters(connection, Scope.everything()).page.rows
        said: dict[str, AdviceRow | None] = {}
        for row in rows:
            view = read.matter(connection, Scope.everything(), row.ref, TUESDAY)
            assert view is not None
            said |= {f"{row.matter_id}/{each.applicant_no}": each.advice for each in view.applicants.rows}
        subjects = {code: read.find_subject(connection, code)[0].ref for code in NAMES}
    return Played(
        house, {row.matter_id: row.ref for row in rows}, subjects, {key: row for key, row in said.items() if row}
    )


def _archived(house: House) -> str:
    """The page of the portal that the list entry was read from."""
    entry: dict[str, Any] = {
        "mdlx": "04", "xydm": FIRST, "ztmc": NAMES[FIRST], "lrrq": "2026-06-01", "wsh": "列〔2026〕1号",
        "lryy": "<i>虚假</i>材料",
    }  # fmt: skip
    data = json.dumps({"code": "200", "msg": "ok", "total": 2, "data": [{**entry, "wsh": "D0"}, entry]}).encode()
    return archived(house, "blacklists", data, TUESDAY, NOW - timedelta(hours=4))
