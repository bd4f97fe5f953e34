"""Credit codes and name keys: against a plain reading of the rules, and against real registers where at hand."""

from __future__ import annotations

import datetime as dt
import re
import time
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chengxin import identity

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the public data folder {DATA} is not at hand")

VALID = [
    "91350100M000100Y43",  # the standard's own example
    "91370112XXXX001150",  # remainder zero
    "91370112XXXX00019N",
    "92370112XXXX010112",
    "93370112XXXX02014F",
    "N2370112XXXX03017M",
]


def judge(*values: object) -> list[tuple[str | None, bool, str | None]]:
    frame = identity.check(pd.Series(list(values), dtype=object))
    return [
        (
            None if pd.isna(row.normalized) else row.normalized,
            bool(row.valid),
            None if pd.isna(row.reason) else row.reason,
        )
        for row in frame.itertuples()
    ]


def reason(value: object) -> str | None:
    normalized, valid, why = judge(value)[0]
    assert valid == (why is None) == (normalized is not None)
    return why


def plain(raw: str | None) -> tuple[str | None, bool, str | None]:
    """The rules, one value at a time, as they are written."""

    def no(why: str) -> tuple[None, bool, str]:
        return None, False, why

    text = "".join(c for c in unicodedata.normalize("NFKC", raw or "") if not c.isspace()).upper()
    text = re.sub("[\u200b-\u200f\u2060\ufeff]", "", text)
    if re.fullmatch(r"[0-9]+(\.[0-9]*(E[+\-\u2212]?[0-9]+)?|E[+\-\u2212][0-9]+)", text):
        return no("EXCEL_MANGLED")
    code = re.sub("[-\u2010-\u2015\u2212\u00ad]", "", text)
    if not code:
        return no("EMPTY")
    in_alphabet = all(c in identity.ALPHABET for c in code)
    check_fits = False
    if len(code) == 18 and in_alphabet:
        total = sum(identity.ALPHABET.index(c) * 3**i for i, c in enumerate(code[:17]))
        check_fits = identity.ALPHABET[(31 - total % 31) % 31] == code[17]
    if re.fullmatch("[0-9]{17}[0-9X]", code) and not check_fits:
        person = "10X98765432"[sum(int(c) * 2 ** (17 - i) for i, c in enumerate(code[:17])) % 11] == code[17]
        try:
            born = dt.date(int(code[6:10]), int(code[10:12]), int(code[12:14])).year
        except ValueError:
            born = 0
        if person and 1900 <= born <= 2099:
            return no("IS_PERSONAL_ID")
    if re.fullmatch("[0-9]{15}", code):
        return no("IS_REGNO_15")
    if re.fullmatch("[0-9]{13}", code):
        return no("IS_REGNO_13")
    if len(code) != 18:
        return no("BAD_LENGTH")
    if not in_alphabet:
        return no("BAD_ALPHABET")
    if code[1] not in identity.CLASSES.get(code[0], "") or not re.fullmatch("[0-9]{6}", code[2:8]):
        return no("BAD_CLASS")
    return (code, True, None) if check_fits else no("BAD_CHECK")


def person(area: str, born: str, order: str) -> str:
    """A made-up citizen's number with a check that fits."""
    body = area + born + order
    return body + "10X98765432"[sum(int(c) * 2 ** (17 - i) for i, c in enumerate(body)) % 11]


MASKED_ANY = st.text(alphabet="0123456789ABXYNEIOSVZabxy .-+\u3000\u200b\u2014９Ａｘ．无\u00ad", max_size=22)
NEAR = st.builds(
    lambda code, at, put: code[:at] + put + code[at + 1 :],
    st.sampled_from(VALID),
    st.integers(0, 18),
    st.sampled_from(["", "0", "X", "x", "Ｘ", " ", "-", "I", "无", "\u200b", "E+", "E-", "."]),
)
PEOPLE = st.builds(
    person,
    st.from_regex("[0-9]{6}", fullmatch=True),
    st.dates(dt.date(1880, 1, 1), dt.date(2120, 1, 1)).map(lambda day: f"{day:%Y%m%d}"),
    st.from_regex("[0-9]{3}", fullmatch=True),
)
DIGITS = st.from_regex("[0-9]{12,19}", fullmatch=True)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(MASKED_ANY, NEAR, PEOPLE, DIGITS, st.sampled_from(VALID), st.none()), max_size=40))
@example([None, "", *VALID])
def test_agrees_with_the_rules_read_one_value_at_a_time(values: list[str | None]) -> None:
    assert judge(*values) == [plain(value) for value in values]


@pytest.mark.parametrize("code", VALID)
def test_valid_codes(code: str) -> None:
    assert judge(code) == [(code, True, None)]


@pytest.mark.parametrize(
    "raw",
    [
        "９１３５０１００ｍ０００１００ｙ４３ ",
        "91350100-M000100Y4-3",
        "91350100\u2014M000\u2212100Y43",
        "\ufeff9135 0100 M000\u200b100Y43\t",
        "\u00a091350100m000100y43\u3000",
        "9135\u00ad0100M000100Y43",
    ],
)
def test_what_is_written_otherwise_is_the_same_code(raw: str) -> None:
    assert judge(raw) == [("91350100M000100Y43", True, None)]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("9.13E+17", "EXCEL_MANGLED"),
        ("9.1370112E17", "EXCEL_MANGLED"),
        ("9E+17", "EXCEL_MANGLED"),
        ("9e-17", "EXCEL_MANGLED"),
        ("913701120000000000.0", "EXCEL_MANGLED"),
        (" ９．１３Ｅ＋１７", "EXCEL_MANGLED"),
        ("9E17", "BAD_LENGTH"),
        (None, "EMPTY"),
        (float("nan"), "EMPTY"),
        ("", "EMPTY"),
        (" \u3000\u200b", "EMPTY"),
        ("——", "EMPTY"),
        ("370112000001234", "IS_REGNO_15"),
        ("3701120000012", "IS_REGNO_13"),
        ("37011200000123", "BAD_LENGTH"),
        ("37011200000123X", "BAD_LENGTH"),
        ("无", "BAD_LENGTH"),
        ("91350100M000100Y4", "BAD_LENGTH"),
        ("91350100M000100Y433", "BAD_LENGTH"),
        ("9135O100M000100Y43", "BAD_ALPHABET"),
        ("91350100M000100Y4无", "BAD_ALPHABET"),
        ("94350100M000100Y43", "BAD_CLASS"),
        ("Z1350100M000100Y43", "BAD_ALPHABET"),
        ("B1350100M000100Y43", "BAD_CLASS"),
        ("913501A0M000100Y43", "BAD_CLASS"),
        ("91350100M000100Y44", "BAD_CHECK"),
        ("91310115MA1H8R7C6D", "BAD_CHECK"),
        (9.137e17, "EXCEL_MANGLED"),
        (370112000001234, "IS_REGNO_15"),
    ],
)
def test_reasons(raw: object, why: str) -> None:
    assert reason(raw) == why


def test_every_pair_of_the_standard_and_no_other() -> None:
    first, second = zip(*[(a, b) for a in identity.ALPHABET for b in identity.ALPHABET], strict=True)
    codes = identity.complete([f"{a}{b}370112XXXX00001" for a, b in zip(first, second, strict=True)])
    valid = identity.check(pd.Series(codes)).valid
    assert {code[:2] for code, ok in zip(codes, valid, strict=True) if ok} == {
        a + b for a, classes in identity.CLASSES.items() for b in classes
    }


class TestPersonalNumbers:
    """They are found, and never come back out."""

    def test_a_citizens_number(self) -> None:
        number = person("370112", "19900307", "123")
        assert judge(number, f" {number[:6]}-{number[6:]} ") == [(None, False, "IS_PERSONAL_ID")] * 2

    def test_a_check_character_x(self) -> None:
        number = next(n for n in (person("370112", "19900307", f"{i:03}") for i in range(99)) if n.endswith("X"))
        assert reason(number) == reason(number.lower()) == "IS_PERSONAL_ID"

    @pytest.mark.parametrize(
        "born", ["19901301", "19900230", "19000229", "18991231", "21000101", "19900100", "19900011"]
    )
    def test_no_birth_date_no_person(self, born: str) -> None:
        assert reason(person("370112", born, "123")) != "IS_PERSONAL_ID"

    @pytest.mark.parametrize("born", ["20000229", "19000101", "20991231"])
    def test_birth_dates(self, born: str) -> None:
        assert reason(person("370112", born, "123")) == "IS_PERSONAL_ID"

    def test_a_number_that_is_a_credit_code_too_is_one(self) -> None:
        body = "91370119900307"
        both = [
            c
            for c in identity.complete([f"{body}{i:03}" for i in range(1000)])
            if c == person(c[:6], c[6:14], c[14:17])
        ]
        assert both
        assert all(reason(code) is None for code in both)

    def test_nothing_invalid_is_echoed(self) -> None:
        values = [person("370112", "19900307", "123"), "91350100M000100Y44", "370112000001234", "无"]
        assert identity.check(pd.Series(values)).normalized.isna().all()


def test_rows_keep_their_order_and_index() -> None:
    values = pd.Series(["bad", VALID[0], VALID[1].lower(), None, VALID[2]], index=[9, 7, 5, 3, 1])
    frame = identity.check(values)
    assert frame.index.tolist() == [9, 7, 5, 3, 1]
    assert frame.normalized.dropna().tolist() == [VALID[0], VALID[1], VALID[2]]
    assert frame.valid.tolist() == [False, True, True, False, True]


def test_no_rows() -> None:
    frame = identity.check(pd.Series([], dtype=str))
    assert frame.columns.tolist() == ["normalized", "valid", "reason"]
    assert len(frame) == 0


def test_a_filtered_series_is_read_from_its_own_rows() -> None:
    values = pd.Series([*VALID, "x"] * 3)[4:9]
    assert identity.check(values).normalized.dropna().tolist() == [VALID[4], VALID[5], VALID[0], VALID[1]]


def test_complete_appends_the_check_character() -> None:
    assert identity.complete([code[:17] for code in VALID]) == VALID
    assert identity.complete([]) == []


@pytest.mark.parametrize("body", ["9135", "91350100M000100I4", "91350100M000100Y4无"])
def test_complete_refuses_what_is_no_code(body: str) -> None:
    with pytest.raises(ValueError, match="code"):
        identity.complete([body])


def test_kind_from_the_first_two_characters() -> None:
    kinds = identity.kind(pd.Series([VALID[0], VALID[3], VALID[4], VALID[5], None]))
    assert [None if pd.isna(k) else k for k in kinds] == ["企业", "个体工商户", "农民专业合作社", None, None]


def test_organisation_codes() -> None:
    frame = identity.check_organisation(pd.Series(["D2143569-X", "d2143569x", "D2143569-1", "12", None, "D2143569-无"]))
    assert frame.normalized.dropna().tolist() == ["D2143569X"] * 2
    assert frame.reason.dropna().tolist() == ["BAD_CHECK", "BAD_LENGTH", "EMPTY", "BAD_ALPHABET"]
    codes = pd.Series(["91350100M000100Y43", *identity.complete(["91370112XXXX00001"]), None])
    assert identity.organisation_code_fits(codes).tolist() == [True, False, False]


def test_masks_show_both_ends_of_a_code_and_nothing_of_anything_else() -> None:
    assert identity.mask("91370112XXXX00019N") == "9137**********019N"
    assert identity.mask("370112000001234") == "*" * 15
    masked = identity.mask_all(pd.Series(["91370112XXXX00019N", "370112000001234", None]))
    assert masked[0] == "9137**********019N"
    assert masked[1] == "*" * 15
    assert pd.isna(masked[2])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("山东（历城）示例有限公司", "山东(历城)示例有限公司"),
        (" 山东(历城)示例有限公司\u3000", "山东(历城)示例有限公司"),
        ("山东【历城】示例 有限\u200b公司", "山东(历城)示例有限公司"),
        ("山东〔历城〕示例有限公司", "山东(历城)示例有限公司"),
        ("ａｂｃ示例厂", "ABC示例厂"),
        ("山东\u202e历城\u202c示例\u00ad有限公司", "山东历城示例有限公司"),
        ("㈱示例﹙历城﹚", "(株)示例(历城)"),
        ("  ", None),
        (None, None),
    ],
)
def test_name_keys(name: str | None, key: str | None) -> None:
    result = identity.name_key(pd.Series([name], dtype=object))[0]
    assert (None if pd.isna(result) else result) == key


def test_a_million_codes_in_two_seconds() -> None:
    random = np.random.default_rng(7)
    letters = np.array(list(identity.ALPHABET))[random.integers(0, 31, (10_000, 9))]
    codes = pd.Series(identity.complete(["91370112" + "".join(row) for row in letters]) * 100)
    codes[::50] = codes[::50].str.lower() + " "
    codes[::1000] = "370112000001234"
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        frame = identity.check(codes)
        seconds.append(time.perf_counter() - started)
        assert (~frame.valid).sum() == 1000
    # The best of three: other tests run beside this one.
    assert min(seconds) < 2, f"{min(seconds):.2f} s"


CLASS_REASONS = {
    "regno15": {"IS_REGNO_15"},
    "regno13": {"IS_REGNO_13"},
    "bad_check": {"BAD_CHECK", "BAD_CLASS"},
    # Lower-case letters, above all: once normalised these are codes. The rest keep their fault.
    "bad_chars18": {None, "BAD_CHECK", "BAD_LENGTH"},
    **{f"other_len{n}": {"BAD_LENGTH"} for n in (1, 10, 11, 12, 15, 16, 17)},
}


@real_data
def test_the_real_faulty_codes_are_each_found_again() -> None:
    frame = pd.read_csv(DATA / "uscc_dirty_national.csv.gz", dtype=str, keep_default_na=False)
    assert len(frame) == 8447
    checked = identity.check(frame.uscc_raw)
    why = checked.reason.astype(object).where(checked.reason.notna(), None)
    for name, reasons in CLASS_REASONS.items():
        assert set(why[frame.uscc_class == name]) == reasons, name
    assert set(frame.uscc_class) == set(CLASS_REASONS)
    counts = pd.crosstab(frame.uscc_class, why.fillna("valid"))
    assert counts.loc["regno15", "IS_REGNO_15"] + counts.loc["regno13", "IS_REGNO_13"] == 7245
    assert counts.loc["bad_check"].to_dict() | {"BAD_CHECK": 189, "BAD_CLASS": 1} == counts.loc["bad_check"].to_dict()
    # A faulty code of 18 characters is valid only where its characters were at fault, never its check character.
    assert (frame.uscc_class[checked.valid] == "bad_chars18").all()
    upper = frame.uscc_raw[checked.valid].str.upper().str.strip()
    assert (checked.normalized[checked.valid] == upper).all()


@real_data
def test_the_real_codes_of_a_province_are_valid() -> None:
    frame = pd.read_csv(DATA / "enterprise_shandong.csv.gz", dtype=str, keep_default_na=False)
    assert len(frame) == 114_603
    checked = identity.check(frame.uscc)
    assert checked.valid.all()
    as_they_stand = checked.normalized == frame.uscc
    assert (as_they_stand == (frame.uscc_class == "ok")).all()
