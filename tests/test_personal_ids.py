"""Citizens' numbers in a delivery, in every spelling: alarmed, and nowhere but in the raw archive."""

from __future__ import annotations

import logging
import re
import unicodedata
from pathlib import Path

import pytest

from chengxin.settings import House
from tests.dropped import ENTRIES, MONDAY, Source, entry
from tests.test_persons import EITHER, OLD, PERSON, REGISTERED

SPELLINGS = {
    "spaced": {"why": f"法定代表人{PERSON[:6]} {PERSON[6:14]} {PERSON[14:]}"},
    "hyphens": {"who": f"张某（{PERSON[:6]}-{PERSON[6:14]}-{PERSON[14:]}）"},
    "full width": {"why": "证号：３７０１９９１９９００１０１１２３０"},
    "in the key": {"no": f"罚{PERSON}号"},
    "put together": {"part": PERSON},
    "as a code, among words": {"code": f"身份证 {PERSON}"},
    "as a code, full width": {"code": "３７０１９９１９９００１０１１２３０"},
    "as a code, of fifteen digits": {"code": OLD},
    "as a code, of fifteen digits in groups": {"code": f"{OLD[:6]} {OLD[6:12]} {OLD[12:]}"},
}
CONTRACT = ENTRIES.replace("ignore: [batch]", 'combine: {authority: "甲{part}"}\nignore: [batch, part]')


def test_no_spelling_gets_past_the_gate(house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = Source(house, tmp_path)
    source.contract("entries", CONTRACT)
    wrong = [*SPELLINGS.values(), {"code": REGISTERED}, {"code": EITHER}, {"since": f"昨天 {PERSON[:6]} {PERSON[6:]}"}]
    rows = [entry(n, part="1") for n in range(20)]
    outcome = source.run(MONDAY, [*rows, *(entry(20 + n, **{"part": "1", **row}) for n, row in enumerate(wrong))])
    detail = source.detail(outcome)
    assert (outcome["harvested"], outcome["published"], outcome["rejected"]) == (32, 20, 12)
    # A number of fifteen digits that may be a registration is no alarm; it is starred all the same.
    assert detail["personal_ids"] == detail["alarms"]["personal_ids"] == len(SPELLINGS)
    assert detail["rejected"] == {
        "code.valid:IS_PERSONAL_ID": 4, "code.valid:IS_REGNO_15": 2, "date.readable": 1, "text.personal_id": 5,
    }  # fmt: skip
    shown = {row["value"] for row in source.house.lake.rows("rejected")}
    assert REGISTERED in shown
    told = [
        caplog.text,
        repr(detail),
        *(repr(source.house.lake.rows(table)) for table in ("list_entry", "rejected")),
        *(file.read_bytes().decode("utf-8", "replace") for file in written(source)),
    ]
    for number in (PERSON, OLD, EITHER):
        assert not [text[:80] for text in told if number in digits(text)]


def written(source: Source) -> list[Path]:
    """Every file of the house but the raw archive and its folder of fonts."""
    files = [file for file in source.house.var.rglob("*") if file.is_file() and not file.is_symlink()]
    return [file for file in files if not {"raw", "static"} & set(file.relative_to(source.house.var).parts)]


def digits(text: str) -> str:
    """A text in which a number is found, however it is spelt."""
    return re.sub(r"[\s\-–]+", "", unicodedata.normalize("NFKC", text))


def test_the_search_of_this_test_finds_what_was_written(house: House, tmp_path: Path) -> None:
    source = Source(house, tmp_path)
    source.run(MONDAY, [entry(0)])
    raw = [file for file in source.house.var.rglob("*") if file.is_file() and "raw" in file.parts]
    assert raw
    assert written(source)
    for row in SPELLINGS.values():
        (text,) = row.values()
        assert PERSON in digits(text) or OLD in digits(text)
