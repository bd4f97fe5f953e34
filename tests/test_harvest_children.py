"""Records with a list inside, which feeds a table of its own: matters and their applicants."""

from __future__ import annotations

from pathlib import Path

import pytest

from chengxin.settings import House
from tests.dropped import MONDAY, TUESDAY, Source, matter, who


@pytest.fixture
def source(house: House, tmp_path: Path) -> Source:
    return Source(house, tmp_path)


def test_children_inherit_and_come_and_go_with_their_record(source: Source) -> None:
    first = source.run(
        MONDAY,
        [
            matter(1, who(1), who(2, code="9.1E+17"), who(3, code=None, name="  ")),
            matter(2, who(1)),
            matter(3),
            matter(4, who(1), dept=""),
            matter(5, who(1), who="不是列表"),
        ],
        "matters_in",
    )
    detail = source.detail(first)
    assert (first["harvested"], first["published"], first["rejected"]) == (5, 3, 2)
    assert detail["rejected_items"] == {"applicant applicant.subject_named": 1}
    assert detail["rejected"] == {"field.required": 1, "record.readable": 1}
    applicants = source.state(MONDAY, "applicant")
    assert set(applicants) == {"M1\x1f1", "M1\x1f2", "M2\x1f1"}
    mangled = applicants["M1\x1f2"]
    assert (mangled["uscc"], mangled["uscc_problem"], mangled["name"]) == (None, "EXCEL_MANGLED", "测试2公司")
    second = source.run(TUESDAY, [matter(1, who(1), who(4)), matter(2, who(1)), matter(3)], "matters_in")
    assert (second["published"], second["unchanged"], second["removed"]) == (1, 2, 1)
    assert set(source.state(TUESDAY, "applicant")) == {"M1\x1f1", "M1\x1f4", "M2\x1f1"}


def test_children_of_a_rejected_record_are_held(source: Source) -> None:
    source.run(MONDAY, [matter(1, who(1)), matter(2, who(2))], "matters_in")
    outcome = source.run(TUESDAY, [matter(1, who(1), state="9"), matter(2, who(2))], "matters_in")
    assert (outcome["rejected"], outcome["removed"]) == (1, 0)
    assert set(source.state(TUESDAY, "applicant")) == {"M1\x1f1", "M2\x1f2"}
