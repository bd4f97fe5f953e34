"""Citizens' numbers: found however they are written, told apart from other numbers, hidden from people."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from chengxin import identity, persons, values
from chengxin.arrays import TEXT

# Made up: areas that do not exist, valid check characters.
PERSON = "370199199001011230"
WITH_X = "37019919850615104X"
OLD = "370199900101123"
"""The same in fifteen digits: no check digit of a registration number."""
REGISTERED = "370112200012345"
EITHER = "370199900101122"
"""A plausible day of birth, and the check digit of a registration number."""


def holding(*texts: str | None) -> list[bool]:
    return [bool(found) for found in persons.holding(pa.array(texts, TEXT))]


@pytest.mark.parametrize(
    "written",
    [
        PERSON, WITH_X, WITH_X.lower(), f"法定代表人{PERSON}。", f"{PERSON[:6]} {PERSON[6:14]} {PERSON[14:]}",
        f"{PERSON[:6]}-{PERSON[6:14]}-{PERSON[14:]}", f"{PERSON[:6]}–{PERSON[6:14]}－{PERSON[14:]}",
        "３７０１９９１９９００１０１１２３０", "３７０１９９１９８５０６１５１０４Ｘ", " ".join(PERSON),
        f"{PERSON[:4]}　{PERSON[4:]}",
        f"{PERSON[:9]}\u200b{PERSON[9:]}", f"{PERSON[:9]}\u00a0-\u00a0{PERSON[9:]}", f"370199１９９０{PERSON[10:]}",
        f"文号1234567890123456789，{PERSON}", f"2 {PERSON}", f"电话0531-88886666，证号{PERSON[:6]} {PERSON[6:]}",
    ],
)  # fmt: skip
def test_a_number_is_found_however_it_is_written(written: str) -> None:
    assert holding("甲公司", written, None, "", "乙（集团）公司") == [False, True, False, False, False]
    assert holding(written) == [True]
    typed, problems = values.texts(pa.array(["甲", written], TEXT))
    assert (typed.to_pylist(), problems.tolist()) == (["甲", None], [0, values.PERSONAL_ID])
    shown = persons.hide(pa.array([written], TEXT))[0].as_py()
    assert "199" not in shown.replace("1234567890123456789", "")
    assert "19850615" not in shown


@pytest.mark.parametrize(
    "other",
    [
        PERSON[:-1] + "1", "37019919901301123X", "1234567890123456789", f"1{PERSON}", OLD, REGISTERED, "X" * 40,
        "2026-06-15 2026-06-16 2026-06-17", "0531-88886666 13812345678 0531-88886667", "91370112MA3C000018",
        f"{PERSON[:9]}号{PERSON[9:]}", "济历城罚字〔2026〕第000000000000001号",
        "１２３４５６７８９０１２３４５６７８９", "9 " * 30,
    ],
)  # fmt: skip
def test_other_numbers_are_left_alone(other: str) -> None:
    assert holding("甲", other, "乙") == [False] * 3


def test_numbers_of_neighbouring_values_do_not_run_together() -> None:
    parts = [PERSON[:n] for n in range(1, 18)] + [PERSON[n:] for n in range(1, 18)]
    assert not any(holding(*parts))
    assert holding(*parts, PERSON, *parts).count(True) == 1
    sliced = pa.array([PERSON, "甲", PERSON, "乙"], TEXT).slice(1, 3)
    assert persons.holding(sliced).tolist() == [False, True, False]
    assert persons.holding(pa.array([], TEXT)).tolist() == []


def test_many_values_of_all_kinds_are_judged_one_by_one_as_together() -> None:
    chance = random.Random(4)
    signs = ["", " ", "-", "–", "甲", "７", "1", "X", "\u3000"]
    texts = []
    for _ in range(400):
        number = chance.choice([PERSON, WITH_X, OLD, "12345678901234567"])
        cut = chance.randrange(1, len(number))
        texts.append(chance.choice(signs) + number[:cut] + chance.choice(signs) + number[cut:] + chance.choice(signs))
    together = persons.holding(pa.array(texts, TEXT))
    assert together.tolist() == [bool(persons.holding(pa.array([text], TEXT))[0]) for text in texts]
    assert 30 < np.count_nonzero(together) < 370


def test_fifteen_digits_are_a_person_or_a_registration() -> None:
    given = [
        OLD,
        f"{OLD[:6]} {OLD[6:12]} {OLD[12:]}",
        "３７０１９９９００１０１１２３",
        REGISTERED,
        EITHER,
        "370199901301123",
        "12",
        None,
    ]
    assert persons.old_numbers(pa.array(given, TEXT)).tolist() == [True, True, True, False, False, False, False, False]
    # The case files want the reason of any fifteen digits to be one and the same.
    assert set(identity.check_arrow(pa.array([OLD, REGISTERED, EITHER], TEXT))["reason"].to_pylist()) == {"IS_REGNO_15"}
    regno = values.CODE + identity.REASONS.index("IS_REGNO_15")
    _, problems = values.codes(pa.array([OLD, REGISTERED, EITHER, f"身份证{PERSON}", PERSON], TEXT))
    assert problems.tolist() == [values.PERSON_AS_CODE, regno, regno, values.PERSON_AS_CODE, values.PERSON_AS_CODE]


def test_what_may_be_a_person_is_starred_for_people() -> None:
    shown = persons.hide(
        pa.array([OLD, EITHER, REGISTERED, f"{OLD},{OLD}", f"x{OLD[:6]} {OLD[6:]}", "13812345678"], TEXT)
    )
    stars = "*" * 15
    assert shown.to_pylist() == [stars, stars, REGISTERED, f"{stars},{stars}", f"x{stars}", "*" * 11]


def test_a_number_of_a_person_is_no_amount() -> None:
    for number in (PERSON, OLD, "-" + PERSON, "1000000000000000"):
        typed, problems = values.money(pa.array([number, "5"], TEXT), "元")
        assert typed[0].as_py() is None
        assert problems.tolist() == [values.UNREADABLE, values.OK]
    typed, problems = values.money(pa.array(["99999999999999.99", "99999999999999.98"], TEXT), "万元")
    assert problems.tolist() == [values.UNREADABLE, values.OK]
