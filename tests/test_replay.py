"""A past day judged again: identical to the row, whatever has come since, and with a reason for every difference."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
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
from tests.conftest import NOW, ROOT
from tests.factlake import FactLake, codes, day

MONDAY = day("2026-06-15")
TUESDAY = MONDAY + timedelta(days=1)
LATE, LATER = MONDAY + timedelta(days=10), MONDAY + timedelta(days=11)
FIRST, SECOND = codes(1, 2)


def entry(code: str, **fields: Any) -> dict[str, Any]:
    return {"uscc": code, "list": "黑名单", "doc_no": f"D{code[-4:]}", "listed_on": day("2026-01-01"), **fields}


def facts(house: House) -> FactLake:
    """Two applicants, one of them listed, everything fresh on Monday."""
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
    return lake


def own_include(house: House, tmp_path: Path) -> House:
    """The same house with files of its own."""
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin*", "trial"))
    return replace(house, include=include)


@dataclass
class Story:
    """Some days of one house, each checked; and the numbers of the checks."""

    house: House
    other: House
    """The same house under other files: another leading reading, and a policy of another version."""
    first: int
    second: int


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("replay")
    house = House(root=ROOT, var=folder / "var", district="370112", clock=lambda: NOW)
    lake = facts(house)
    first = check.run(house, MONDAY)["check_id"]
    lake.put("list_entry", MONDAY, [entry(SECOND)])
    second = check.run(house, MONDAY)["check_id"]

    # A harvest that is under way while Tuesday is checked, and ends afterwards; and one that comes late for Monday.
    lake.fresh(TUESDAY)
    seq = lake.put("list_entry", TUESDAY, [entry(SECOND, reason="改正")])
    lake.put("list_entry", TUESDAY, [entry(FIRST, reason="改正")], "dishonest_debtors")
    with house.ledger.begin() as session:
        session.get_one(Commit, seq).closed_at = None
    check.run(house, TUESDAY)
    with house.ledger.begin() as session:
        session.get_one(Commit, seq).closed_at = house.clock()
    lake.put("list_entry", MONDAY, [entry(FIRST, list="信用不良记录")])

    # A source that is silent, and is harvested for that day after its check.
    lake.fresh(LATE, *[name for name in check.load_district(house).sources if name != "blacklists"])
    assert check.run(house, LATE)["stale"] == ["blacklists"]
    lake.harvested("blacklists", LATE)

    other = changed(house, folder)
    lake.fresh(LATER)
    assert check.run(other, LATER)["changed"]["advice"]["changed"] == 2
    return Story(house, other, first, second)


def changed(house: House, tmp_path: Path) -> House:
    """The house under other files."""
    own = own_include(house, tmp_path)
    for name, old, new in (
        ("districts/370112.yml", "leading: as_written", "leading: guarded"),
        ("policy/licheng-2020-2/rules/records.yml", "title: 已完成信用修复", "title: 已修复"),
    ):
        file = own.include_dir / name
        assert old in file.read_text("utf-8")
        file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    return own


@pytest.mark.services
class TestStory:
    """Each day again: identical, whatever came since and by whatever rules the house judges today."""

    def test_the_last_check_of_a_day(self, story: Story) -> None:
        made = replay.run(story.other, MONDAY)
        assert made.check_id == story.second
        assert made.identical
        assert made.explained
        assert made.rows["advice"] == {"recorded": 2, "recomputed": 2, "equal": 2}
        assert made.rows["finding"]["equal"] == 4
        assert made.rows["filing_status"]["equal"] == 2
        assert str(made).endswith("identical")

    def test_an_earlier_check_of_the_day(self, story: Story) -> None:
        made = replay.run(story.house, MONDAY, story.first)
        assert made.identical
        assert made.rows["finding"]["recorded"] == 3

    def test_commits_that_were_open_then_do_not_count(self, story: Story) -> None:
        assert replay.run(story.house, TUESDAY).identical

    def test_the_age_of_a_source_is_that_of_the_day(self, story: Story) -> None:
        assert replay.run(story.house, LATE).identical

    def test_a_day_without_a_check_names_the_nearest(self, story: Story) -> None:
        with pytest.raises(replay.NoCheckError, match="2026-06-16"):
            replay.run(story.house, MONDAY + timedelta(days=2))

    def test_without_a_rulebook_the_rules_explain_it(self, story: Story) -> None:
        with story.house.ledger.begin() as session:
            kept = session.get_one(CheckRun, story.second).rulebook
            session.execute(update(CheckRun).where(CheckRun.id == story.second).values(rulebook=None))
        made = replay.run(story.other, MONDAY)
        with story.house.ledger.begin() as session:
            session.execute(update(CheckRun).where(CheckRun.id == story.second).values(rulebook=kept))
        assert made.explained
        assert not made.identical
        assert made.counts["advice"]["rules"] == 2
        assert made.used_version != made.policy_version

    def test_a_replay_is_an_act_with_a_reason(self, story: Story) -> None:
        house = story.house
        with pytest.raises(ConfigError, match="reason"):
            replay.on_record(house, LATER, "auditor", " ")
        made = replay.on_record(house, LATER, "auditor", "抽查")
        assert made.identical
        with house.ledger.begin() as session:
            act = session.scalar(select(Act).where(Act.kind == "replay"))
            assert act is not None
            assert (act.actor, act.subject) == ("auditor", LATER.isoformat())
            body = session.get_one(ActBody, act.seq).content
            assert acts.canonical({**made.to_dict(), "reason": "抽查"}) == body
            assert acts.verify(session).broken_at is None

    def test_a_rulebook_is_kept_once_and_is_checked(self, story: Story) -> None:
        house = story.house
        files = sorted((house.var / "rulebooks").iterdir())
        assert len(files) == 2  # five checks, two sets of rules
        for file in files:
            assert rulebook.digest(rulebook.load(house, file.stem)) == file.stem
            whole = file.read_bytes()
            file.write_bytes(whole.replace(b"RESTRICT", b"restrict"))
            with pytest.raises(RulebookError, match="damaged"):
                rulebook.load(house, file.stem)
            file.write_bytes(whole)
        with pytest.raises(RulebookError, match="not there"):
            rulebook.load(house, "0" * 64)


def test_a_changed_record_is_not_explained(house: House) -> None:
    facts(house)
    check.run(house, MONDAY)
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


def test_a_policy_that_extends_another_outside_of_its_folder(house: House) -> None:
    other = replace(house, district="990101", include=ROOT / "tests" / "districts" / "include")
    district = check.load_district(other)
    sha256 = rulebook.keep(other, district)
    from chengxin import policy

    with rulebook.opened(other, sha256) as then:
        assert then.include_dir != other.include_dir
        kept = policy.load(then.include_dir / "policy" / district.policy, district)
    assert kept.version == policy.load(other.include_dir / "policy" / district.policy, district).version
