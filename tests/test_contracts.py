"""Contracts: what the loader accepts, and what it says about a file that is none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from chengxin import contracts
from chengxin.errors import ConfigError

GOOD = """
name: agencies
title: 备案机构
publisher: 示例
legal_basis: 征信业管理条例10
table: agency
mode: full
schedule: "0 2 * * *"
max_age: 36h
read: {connector: files, connection: drop, pattern: "a_{as_of}.csv", format: csv}
columns:
  代码: {to: uscc, required: true}
  名称: name
key: [uscc]
bounds: {rows: {min: 1}, shrink: {max: 0.2}, fields: {name: {filled: 0.9}}}
keep: 5y
owner: data-engineering
"""


def _write(folder: Path, text: str, name: str = "agencies") -> Path:
    path = folder / f"{name}.yml"
    path.write_text(text, "utf-8")
    return path


def test_a_good_contract(tmp_path: Path) -> None:
    contract = contracts.load(_write(tmp_path, GOOD))
    assert contract.max_age == timedelta(hours=36)
    assert contract.keep == timedelta(days=5 * 365)
    assert contract.columns["名称"].to == "name"
    assert contract.tables == ("agency",)
    assert len(contract.sha256) == 64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("0 2 * * *", "61 2 * * *"), "no cron expression"),
        (("mode: full", "mode: full\nmoed: full"), r"moed: unknown key\. did you mean 'mode'\?"),
        (("owner: data-engineering", "owner: a\nowner: b"), r"a key stands twice.*line 18"),
        (("名称: name", "名称: nmae"), r"agency has no field 'nmae'"),
        (("名称: name", "名称: uscc"), r"filled twice: uscc"),
        (("key: [uscc]", "key: [filing_no]"), r"key field 'filing_no' is filled by no column"),
        (("table: agency", "table: agencies"), r"no fact table 'agencies'; one of subject"),
        (("max_age: 36h", "max_age: soon"), r"a number and a unit"),
        (("key: [uscc]", "key: [uscc]\nignore: [名称]"), r"mapped and ignored at once: 名称"),
        (
            (", shrink: {max: 0.2}", ""),
            r"mode: full needs bounds\.shrink.*e\.g\. shrink: \{max: 0\.2\}.*chengxin bounds",
        ),
        (("bounds:", "bonds:"), r"bounds: Field required"),
        (("connector: files", "connector: ftp"), r"read"),
        (('"0 2 * * *"', '"0 2 * * * *"'), "no cron expression that ever comes"),
        (('"0 2 * * *"', '"0 0 30 2 *"'), "no cron expression that ever comes"),
        (("max_age: 36h", "max_age: 0d"), "no time at all"),
        (("rows: {min: 1}", "rows: {min: 5, max: 1}"), "min 5 is more than max 1"),
        (("fields: {name:", "fields: {filing_no:"), r"bounds\.fields: filing_no is filled by no column"),
        (
            ("key: [uscc]", "constants: {filing_no: a}\nkey: [filing_no]"),
            "the key is the same for every row: filing_no",
        ),
        (("key: [uscc]", "key: [uscc]\nconstants: {filed_on: soon}"), "constant filed_on: 'soon' is no date"),
        (("key: [uscc]", "key: [uscc]\nconstants: {filing_no: [1]}"), r"constant filing_no: \[1\] is no string"),
        (("key: [uscc]", "key: [uscc]\ncombine: {filing_no: '{年'}"), "filing_no: '{年': expected '}'"),
        (("key: [uscc]", "key: [uscc]\ncombine: {filing_no: '{年!r}'}"), "between braces stands a heading"),
        (("名称: name", "名称: {to: name, lookup_strict: true}"), "名称: lookup_strict without a lookup"),
        (("名称: name", "名称: {to: name, unit: 万元}"), "名称 has a unit, but name is no money"),
        (("名称: name", "名称: {to: filed_on, as: timestamp}"), "名称 as timestamp, but filed_on is read as date"),
        (("{to: uscc, required: true}", "{to: uscc, as: text}"), "代码 as text, but uscc is read as uscc"),
        (("名称: name", "名称: {to: name, lookup: {1: a}}"), "valid string"),
    ],
)
def test_faults_are_named(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = _write(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigError, match=r"(?s)" + said) as caught:
        contracts.load(path)
    assert str(path) in str(caught.value)


def test_words_are_words_whatever_yaml_used_to_make_of_them(tmp_path: Path) -> None:
    text = GOOD.replace(
        "名称: name", "名称: {to: name, lookup: {no: 'no', on: yes, y: n, off: 甲}}\nnulls: [no, 'null', N/A]"
    )
    contract = contracts.load(_write(tmp_path, text))
    assert contract.columns["名称"].lookup == {"no": "no", "on": "yes", "y": "n", "off": "甲"}
    assert contract.nulls == ("no", "null", "N/A")


def test_money_needs_a_unit(tmp_path: Path) -> None:
    text = GOOD.replace("table: agency", "table: subject").replace("名称: name", "注册资本: capital")
    with pytest.raises(ConfigError, match="say unit: 元 or unit: 万元"):
        contracts.load(_write(tmp_path, text))


def test_file_name_and_name_agree(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="calls itself 'agencies'"):
        contracts.load(_write(tmp_path, GOOD, "others"))


def test_a_file_of_brackets_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="inside one another"):
        contracts.load(_write(tmp_path, "name: " + "[" * 5000))


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    _write(tmp_path, GOOD)
    _write(tmp_path, "title: [", "broken")
    good, bad = contracts.load_all(tmp_path)
    assert list(good) == ["agencies"]
    assert list(bad) == ["broken"]


def test_combined_headings(tmp_path: Path) -> None:
    text = GOOD.replace("key: [uscc]", 'combine: {filing_no: "{年}-{号}"}\nkey: [uscc]')
    assert contracts.load(_write(tmp_path, text)).combined_headings == ("年", "号")


def test_other_headings_of_a_field(tmp_path: Path) -> None:
    text = GOOD.replace("名称: name", "名称: {to: name, also: [机构名称, 名称旧]}")
    contract = contracts.load(_write(tmp_path, text))
    assert contract.other_headings == ("机构名称", "名称旧")
    with pytest.raises(ConfigError, match="mapped twice: 代码"):
        contracts.load(_write(tmp_path, GOOD.replace("名称: name", "名称: {to: name, also: [代码]}")))
    with pytest.raises(ConfigError, match="mapped and ignored at once: 机构名称"):
        contracts.load(_write(tmp_path, text + "ignore: [机构名称]\n"))


def test_a_key_is_never_optional(tmp_path: Path) -> None:
    text = GOOD.replace("{to: uscc, required: true}", "{to: uscc, optional: true}")
    with pytest.raises(ConfigError, match="代码 is optional, but uscc must not be empty"):
        contracts.load(_write(tmp_path, text))
