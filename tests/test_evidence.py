"""From a conclusion back to the source's own record, through a real archive, and who sees what of it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from chengxin import archive, check, evidence
from chengxin.evidence import Explanation, UnknownIdError
from chengxin.settings import House
from tests.conftest import NOW, ROOT
from tests.factlake import FactLake, archived, codes, day

TODAY = day("2026-06-15")
LISTED, REPAIRED, AGENCY, NAMELESS = codes(1, 2, 3, 4)


class Told:
    """A checked house and its ids."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lake = FactLake(house)
        self.advice: dict[str, dict[str, Any]] = {}

    def explain(self, id_prefix: str, viewer: str = "operator") -> Explanation:
        return evidence.explain(self.house, id_prefix, viewer)

    def finding(self, matter: str, rule: str) -> str:
        rows = self.lake.rows("finding", TODAY)
        return next(row["finding_id"] for row in rows if row["matter_id"] == matter and row["rule"] == rule)


def page(house: House, source: str, records: list[dict[str, Any]]) -> str:
    """Puts a page of the portal into the archive and the ledger; returns its hash."""
    data = json.dumps({"code": "200", "msg": "ok", "total": len(records), "data": records}).encode()
    return archived(house, source, data, TODAY, NOW)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    house = House(root=ROOT, var=tmp_path_factory.mktemp("evidence") / "var", district="370112", clock=lambda: NOW)
    made = Told(house)
    lake = made.lake
    lake.fresh(TODAY)
    entry = {
        "mdlx": "04",
        "xydm": LISTED,
        "ztmc": "示例甲有限公司",
        "lrrq": "2026-01-01",
        "wsh": "D1",
        "lryy": "虚假材料",
    }
    sha256 = page(house, "blacklists", [{**entry, "wsh": "D0"}, entry])
    facts: dict[str, list[dict[str, Any]]] = {
        "subject": [
            {"uscc": LISTED, "name": "示例甲有限公司", "kind": "企业", "state": "存续", "address": "示例路1号"},
            {"uscc": REPAIRED, "name": "示例乙有限公司", "kind": "企业", "state": "存续"},
        ],
        "matter": [
            {"matter_id": name, "type": "政府采购", "procurement_form": "政府集中采购", "department": "czj",
             "state": "待办", "opened_on": TODAY}
            for name in ("M1", "M2")
        ],
        "applicant": [
            {"matter_id": "M1", "applicant_no": "1", "uscc": LISTED, "name": "示例甲有限公司"},
            {"matter_id": "M2", "applicant_no": "1", "uscc": REPAIRED, "name": "示例乙有限公司"},
        ],
        "credit_report": [
            {"report_no": "R1", "uscc": LISTED, "agency_uscc": AGENCY, "issue_date": day("2026-01-01"), "grade": "AAA",
             "scale": "GB/T 22116"}
        ],
        "credit_record": [
            {"record_no": "W1", "uscc": REPAIRED, "identified_on": day("2026-01-01"), "repaired_on": day("2026-05-01"),
             "authority": "示例局"}
        ],
    }  # fmt: skip
    for table, rows in facts.items():
        lake.put(table, TODAY, rows)
    lake.put(
        "list_entry",
        TODAY,
        [
            {
                "list": "黑名单",
                "doc_no": "D1",
                "uscc": LISTED,
                "subject_name": "示例甲有限公司",
                "listed_on": day("2026-01-01"),
            }
        ],
        raw=(sha256, 1),
    )
    check.run(house, TODAY)
    made.advice = {row["matter_id"]: row for row in lake.rows("advice", TODAY)}
    return made


def test_an_advice_is_explained_to_the_source_record(told: Told) -> None:
    explanation = told.explain(told.advice["M1"]["advice_id"])
    assert [reason.rule for reason in explanation.findings] == ["list.black", "report.agency_not_filed"]
    assert explanation.stands
    assert explanation.same_policy
    assert explanation.observed_on == TODAY
    listed = explanation.findings[0]
    assert (listed.clause, listed.effect, list(listed.reasons)) == ("三", "RESTRICT", ["LIST_BLACK"])
    assert listed.title
    assert listed.parameters["lists.severity"]["value"].startswith("黑名单 × 政府采购")
    found = listed.evidence
    assert found is not None
    assert (found.table, found.source, found.key, found.raw_row) == ("list_entry", "blacklists", "黑名单 / D1", 1)
    assert found.raw_missing is None
    assert found.raw["wsh"] == "D1"
    assert archive.get(told.house, "blacklists", found.raw_sha256 or "")


def test_it_says_how_to_compute_it_again(told: Told) -> None:
    told_check = told.explain(told.advice["M1"]["advice_id"]).check
    assert told_check["as_of"] == TODAY
    assert told_check["read_seq"] < told.advice["M1"]["seq"]
    assert told_check["snapshots"]["list_entry"] == str(told.house.lake.snapshot_id("list_entry"))
    assert told_check["policy_version"] == told.advice["M1"]["policy_version"]
    assert told_check["sources"]["blacklists"]["state"] == "fresh"


def test_operators_see_no_full_code_and_nothing_private(told: Told) -> None:
    text = told.explain(told.advice["M1"]["advice_id"]).to_json()
    assert LISTED not in text
    assert AGENCY not in text
    assert "AAA" not in text
    assert "示例路1号" not in text
    assert f"{LISTED[:4]}**********{LISTED[-4:]}" in text
    assert '"viewer": "operator"' in text


def test_the_department_that_holds_the_matter_sees_all_and_another_does_not(told: Told) -> None:
    advice_id = told.advice["M1"]["advice_id"]
    holder = told.explain(advice_id, "czj").to_json()
    assert all(value in holder for value in (LISTED, AGENCY, "AAA", "示例路1号"))
    other = told.explain(advice_id, "zjj").to_json()
    assert not any(value in other for value in (LISTED, AGENCY, "AAA", "示例路1号"))


def test_a_repaired_record_is_shown_to_nobody(told: Told) -> None:
    for viewer in ("operator", "czj"):
        explanation = told.explain(told.finding("M2", "record.repaired"), viewer)
        assert [reason.rule for reason in explanation.findings] == ["record.repaired"]
        found = explanation.findings[0].evidence
        assert found is not None
        assert found.fields == {}
        assert found.raw == {}
        assert "示例局" not in str(explanation)
        assert found.raw_sha256


def test_an_advice_does_not_speak_of_what_was_repaired(told: Told) -> None:
    assert told.advice["M2"]["reasons"] == ["RECORD_REPAIRED", "REPORT_MISSING"]
    for viewer in ("operator", "czj"):
        explanation = told.explain(told.advice["M2"]["advice_id"], viewer)
        assert [reason.rule for reason in explanation.findings] == ["report.missing"]
        assert "REPAIRED" not in explanation.to_json()


def test_a_code_in_a_natural_key_is_masked(told: Told) -> None:
    key = f"W1 / {REPAIRED}"
    finding = told.finding("M2", "record.repaired")
    own, other = (told.explain(finding, viewer).findings[0].evidence for viewer in ("czj", "operator"))
    assert own is not None
    assert own.key == key
    assert other is not None
    assert other.key == f"W1 / {REPAIRED[:4]}**********{REPAIRED[-4:]}"


def test_a_finding_is_explained_alone(told: Told) -> None:
    finding_id = told.finding("M1", "list.black")
    explanation = told.explain(finding_id[:12].upper())
    assert explanation.asked == finding_id
    assert [reason.finding_id for reason in explanation.findings] == [finding_id]
    assert explanation.advice["advice_id"] == told.advice["M1"]["advice_id"]


def test_a_raw_file_that_is_gone_is_named_not_hidden(told: Told) -> None:
    report = told.explain(told.finding("M1", "report.agency_not_filed")).findings[0]
    assert report.evidence is not None
    assert report.evidence.raw == {}
    assert report.evidence.raw_missing
    assert report.evidence.raw_missing in str(told.explain(told.finding("M1", "report.agency_not_filed")))


def test_the_text_names_what_an_auditor_asks_for(told: Told) -> None:
    text = str(told.explain(told.advice["M1"]["advice_id"]))
    for part in (
        "RESTRICT", "M1", "rule: list.black", "clause: 三", "raw file: sha256", "row 1", "policy:",
        "snapshot of list_entry", "the other reading (guarded)", "facts up to commit", "LIST_BLACK", "to do:",
    ):  # fmt: skip
        assert part in text, part


def test_the_dictionary_is_plain(told: Told) -> None:
    content = told.explain(told.advice["M1"]["advice_id"]).to_dict()
    assert content["observed_on"] == TODAY.isoformat()
    assert content["findings"][0]["evidence"]["raw"]["ztmc"] == "示例甲有限公司"


def test_an_unknown_id_is_answered_with_the_nearest(told: Told) -> None:
    advice_id = told.advice["M1"]["advice_id"]
    wrong = advice_id[:9] + ("0" if advice_id[9] != "0" else "1") + advice_id[10:]
    with pytest.raises(UnknownIdError, match=advice_id):
        told.explain(wrong)


@pytest.mark.parametrize("prefix", ["", "a", "abc"])
def test_too_short_an_id_is_refused(told: Told, prefix: str) -> None:
    with pytest.raises(UnknownIdError, match="4 characters"):
        told.explain(prefix)


def test_an_id_that_several_begin_with_is_refused(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "SHORTEST", 0)
    with pytest.raises(UnknownIdError, match="ids begin with"):
        told.explain("")


def test_an_empty_lake_says_so(house: House) -> None:
    with pytest.raises(UnknownIdError, match="none yet"):
        evidence.explain(house, "abcdef")


def test_a_withdrawn_advice_is_explained_as_it_last_stood(told: Told) -> None:
    # Runs last in this module: it moves the house on by a day.
    tomorrow: date = TODAY + timedelta(days=1)
    told.lake.fresh(tomorrow)
    told.lake.put("matter", tomorrow, [{"matter_id": "M1", "department": "czj", "state": "办结"}])
    check.run(told.house, tomorrow)
    explanation = told.explain(told.advice["M1"]["advice_id"])
    assert not explanation.stands
    assert [reason.rule for reason in explanation.findings] == ["list.black", "report.agency_not_filed"]
    assert "withdrawn" in str(explanation)
