"""A past day judged again: identical to the row, whatever has come since, and with a reason for every difference."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from chengxin import check, conclusions, replay, rulebook
from chengxin.errors import ConfigError
from chengxin.ledger import acts
from chengxin.ledger.acts import Act, ActBody
from chengxin.ledger.models import CheckRun, Commit
from chengxin.rulebook import RulebookError
from chengxin.settings import House
from tests.conftest import ROOT
from tests.factlake import FactLake, codes, day

MONDAY = day("2026-06-15")
TUESDAY, WEDNESDAY = MONDAY + timedelta(days=1), MONDAY + timedelta(days=2)
FIRST, SECOND = codes(1, 2)


def entry(code: str, **fields: Any) -> dict[str, Any]:
    return {"uscc": code, "list": "黑名单", "doc_no": f"D{code[-4:]}", "listed_on": day("2026-01-01"), **fields}


@pytest.fixture
def lake(house: House) -> FactLake:
    """Two applicants, one of them listed; checked on Monday."""
    lake = FactLake(house)
    lake.fresh(MONDAY)
    names = {FIRST: "示例甲有限公司", SECOND: "示例乙有限公司"}
    lake.put(
        "subject",
        MONDAY,
        [
            {"uscc": code, "name": name, "kind": "企业", "state": "存续", "established": day("2019-01-01")}
            for code, name in names.items()
        ],
    )
    about = {"type": "招投标", "department": "zjj", "state": "待办", "opened_on": day("2026-06-01")}
    lake.put("matter", MONDAY, [{"matter_id": "M1", **about}, {"matter_id": "M2", **about}])
    lake.put(
        "applicant",
        MONDAY,
        [
            {"matter_id": f"M{n}", "applicant_no": "1", "uscc": code, "name": names[code]}
            for n, code in enumerate(names, 1)
        ],
    )
    lake.put("list_entry", MONDAY, [entry(FIRST)])
    check.run(house, MONDAY)
    return lake


def own_include(house: House, tmp_path: Path) -> House:
    """The same house with files of its own."""
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin*", "trial"))
    return replace(house, include=include)


def test_the_day_again_is_identical_whatever_came_since(house: House, lake: FactLake) -> None:
    lake.fresh(TUESDAY)
    lake.put("list_entry", TUESDAY, [entry(SECOND), entry(FIRST, reason="改正")])
    lake.put("list_entry", MONDAY, [entry(SECOND, list="信用不良记录")])  # learned late, for Monday
    check.run(house, TUESDAY)
    made = replay.run(house, MONDAY)
    assert made.identical
    assert made.explained
    assert made.rows["advice"] == {"recorded": 2, "recomputed": 2, "equal": 2}
    assert made.rows["finding"]["equal"] == 3
    assert made.rows["filing_status"]["equal"] == 2
    assert str(made).endswith("identical")
    assert replay.run(house, TUESDAY).identical


def test_each_check_of_a_day_can_be_replayed(house: House, lake: FactLake) -> None:
    lake.put("list_entry", MONDAY, [entry(SECOND)])
    check.run(house, MONDAY)
    with house.ledger.begin() as session:
        first, second = session.scalars(select(CheckRun.id).order_by(CheckRun.id))
    assert replay.run(house, MONDAY).check_id == second
    for number, findings in ((first, 3), (second, 4)):
        made = replay.run(house, MONDAY, number)
        assert made.identical
        assert made.rows["finding"]["recorded"] == findings


def test_commits_that_were_open_then_do_not_count(house: House, lake: FactLake) -> None:
    seq = lake.put("list_entry", TUESDAY, [entry(SECOND)])
    lake.put("list_entry", TUESDAY, [entry(FIRST, reason="改正")], "dishonest_debtors")
    with house.ledger.begin() as session:
        session.get_one(Commit, seq).closed_at = None
    lake.fresh(TUESDAY)
    check.run(house, TUESDAY)
    with house.ledger.begin() as session:
        session.get_one(Commit, seq).closed_at = house.clock()
    assert replay.run(house, TUESDAY).identical


def test_the_age_of_a_source_is_that_of_the_day(house: House, lake: FactLake) -> None:
    late = MONDAY + timedelta(days=10)
    lake.fresh(late, *[name for name in check.load_district(house).sources if name != "blacklists"])
    assert check.run(house, late)["stale"] == ["blacklists"]
    assert check.run(house, late + timedelta(days=1))["seq"] is None
    lake.harvested("blacklists", late)  # for that day, but after its check
    assert replay.run(house, late).identical
    assert replay.run(house, late + timedelta(days=1)).identical


def test_a_changed_record_is_not_explained(house: House, lake: FactLake) -> None:
    connection = house.engine()
    rows = conclusions.current(house, connection, "advice", MONDAY)
    forged = connection.to_pyarrow(rows).to_pylist()
    listed = next(row for row in forged if row["uscc"] == FIRST)
    with house.ledger.begin() as session:
        seq = session.scalar(select(CheckRun.seq)) or 0
    # Written under the check's own number, as somebody with access to the files might.
    file = house.lake.data_file("advice", seq, part=9)
    import pyarrow as pa
    import pyarrow.parquet as pq

    from chengxin.lake import arrow_schema
    from chengxin.tables import TABLES

    listed |= {"decision": "PASS", "seq": seq, "observed_on": MONDAY}
    old = house.lake.files("advice")
    pq.write_table(
        pa.Table.from_pylist(
            [row for row in forged if row["uscc"] == SECOND] + [listed], arrow_schema(TABLES["advice"])
        ),
        file,
    )
    Path(old[0]).write_bytes(file.read_bytes())
    made = replay.run(house, MONDAY)
    assert not made.explained
    assert made.counts["advice"] == {"erased": 0, "rules": 0, "unexplained": 1}
    (shown,) = made.differences
    assert (shown.kind, shown.columns["decision"]) == ("changed", ("PASS", "RESTRICT"))
    assert FIRST not in str(made)
    assert str(made).endswith("NOT EXPLAINED")


class TestRules:
    """The day is judged by the rules of the day, from a copy of its own."""

    def changed(self, house: House, tmp_path: Path) -> House:
        """A house with another leading reading, and a policy of another version."""
        own = own_include(house, tmp_path)
        for name, old, new in (
            ("districts/370112.yml", "leading: as_written", "leading: guarded"),
            ("policy/licheng-2020-2/rules/records.yml", "title: 已完成信用修复", "title: 已修复"),
        ):
            file = own.include_dir / name
            assert old in file.read_text("utf-8")
            file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
        return own

    def test_later_rules_change_nothing(self, house: House, lake: FactLake, tmp_path: Path) -> None:
        own = self.changed(house, tmp_path)
        assert check.run(own, TUESDAY)["changed"]["advice"]["changed"] == 2
        assert replay.run(own, MONDAY).identical

    def test_without_a_rulebook_the_rules_explain_it(self, house: House, lake: FactLake, tmp_path: Path) -> None:
        with house.ledger.begin() as session:
            session.execute(update(CheckRun).values(rulebook=None))
        made = replay.run(self.changed(house, tmp_path), MONDAY)
        assert made.explained
        assert not made.identical
        assert made.counts["advice"]["rules"] == 2
        assert made.used_version != made.policy_version

    def test_a_rulebook_is_kept_once_and_is_checked(self, house: House, lake: FactLake) -> None:
        check.run(house, TUESDAY)
        (file,) = (house.var / "rulebooks").iterdir()
        assert rulebook.digest(rulebook.load(house, file.stem)) == file.stem
        file.write_bytes(file.read_bytes().replace(b"RESTRICT", b"restrict"))
        with pytest.raises(RulebookError, match="damaged"):
            replay.run(house, MONDAY)
        file.unlink()
        with pytest.raises(RulebookError, match="not there"):
            replay.run(house, MONDAY)

    def test_a_policy_that_extends_another_outside_of_its_folder(self, house: House) -> None:
        other = replace(house, district="990101", include=ROOT / "tests" / "districts" / "include")
        district = check.load_district(other)
        sha256 = rulebook.keep(other, district)
        from chengxin import policy

        with rulebook.opened(other, sha256) as then:
            assert then.include_dir != other.include_dir
            kept = policy.load(then.include_dir / "policy" / district.policy, district)
        assert kept.version == policy.load(other.include_dir / "policy" / district.policy, district).version


def test_a_day_without_a_check_names_the_nearest(house: House, lake: FactLake) -> None:
    with pytest.raises(replay.NoCheckError, match="2026-06-15"):
        replay.run(house, WEDNESDAY)


def test_a_replay_is_an_act_with_a_reason(house: House, lake: FactLake) -> None:
    with pytest.raises(ConfigError, match="reason"):
        replay.on_record(house, MONDAY, "auditor", " ")
    made = replay.on_record(house, MONDAY, "auditor", "抽查")
    with house.ledger.begin() as session:
        act = session.scalar(select(Act).where(Act.kind == "replay"))
        assert act is not None
        assert (act.actor, act.subject) == ("auditor", "2026-06-15")
        body = session.get_one(ActBody, act.seq).content
        assert acts.canonical({**made.to_dict(), "reason": "抽查"}) == body
        assert acts.verify(session).broken_at is None
