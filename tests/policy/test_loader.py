"""What the loader refuses, and that it says file, key and remedy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chengxin.errors import ConfigError
from chengxin.policy import load

from .conftest import FOLDER

Edit = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the policy that a test may spoil."""
    return shutil.copytree(FOLDER, tmp_path / "policy")


def _replace(file: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return edit


def _append(file: str, text: str) -> Edit:
    return lambda folder: (folder / file).open("a", encoding="utf-8").write(text)  # type: ignore[func-returns-value,return-value]


FAULTS = {
    "unknown key": (
        _replace("matters/award.yml", "lists:", "list:"),
        ["award.yml", "list: unknown key", "did you mean"],
    ),
    "duplicate key": (_append("matters/award.yml", "lists: 评先评优\n"), ["award.yml", "stands twice", "keep one"]),
    "rule without clause": (
        _replace("rules/records.yml", "    title: 已完成信用修复\n    clause: own\n", "    title: 已完成信用修复\n"),
        ["records.yml", "record.repaired.clause: Field required"],
    ),
    "clause that is none": (
        _replace("matters/award.yml", "二（一）1", "二（一）9"),
        ["matters/award.yml.clause", "二（一）9", "policy.yml"],
    ),
    "clause that nothing runs for": (
        _replace("policy.yml", "  三: 名单", "  二（二）9: 空的\n  三: 名单"),
        ["clauses.二（二）9", "give it a rule or a duty"],
    ),
    "value without a reference": (
        _replace("parameters/matters.yml", "value: 1, reference: 二（二）2；民法典201至203", "value: 1"),
        ["matters.yml", "procurement.window.values.0.reference"],
    ),
    "empty reference": (
        _replace("parameters/matters.yml", "reference: 二（二）2；民法典201至203", 'reference: " "'),
        ["procurement.window", "must not be empty"],
    ),
    "overlapping values": (
        _replace(
            "parameters/matters.yml",
            "    - {from: 2021-01-01, value: 1, reference: 二（二）2；民法典201至203}",
            "    - {from: 2021-01-01, to: 2025-06-30, value: 1, reference: a}\n"
            "    - {from: 2025-06-30, value: 2, reference: b}",
        ),
        ["procurement.window", "two values hold on 2025-06-30"],
    ),
    "value in another unit": (
        _replace("parameters/matters.yml", "value: 1, reference: 二（二）2", "value: 一年, reference: 二（二）2"),
        ["procurement.window", "not in years"],
    ),
    "unknown condition": (
        _replace("rules/records.yml", "when: [repaired]", "when: [mended]"),
        ["records.yml record.repaired.when", "'mended'", "one of repaired"],
    ),
    "condition without its parameter": (
        _replace("matters/procurement.yml", "{after: procurement.window}", "after"),
        ["procurement.central.after_window.when", "needs a parameter"],
    ),
    "unknown parameter": (
        _replace("matters/procurement.yml", "{after: procurement.window}", "{after: procurement.windows}"),
        ["no parameter 'procurement.windows'", "procurement.window"],
    ),
    "parameter of another unit": (
        _replace("matters/procurement.yml", "{after: procurement.window}", "{after: incentive.grades}"),
        ["after takes years", "incentive.grades is grades"],
    ),
    "undeclared reason": (
        _replace("rules/records.yml", "reasons: [RECORD_REPAIRED]", "reasons: [RECORD_MENDED]"),
        ["record.repaired.reasons", "RECORD_MENDED", "add it to vocabulary.yml"],
    ),
    "unknown effect": (_replace("rules/records.yml", "effect: REVIEW", "effect: REJECT"), ["records.yml", "effect"]),
    "rule without cases": (
        _replace("cases/funding.yml", "rules: {funding.welfare: true, ", "rules: {"),
        ["rule funding.welfare: no case meets it", "add one under cases/"],
    ),
    "rule that no case misses": (
        _replace("cases/funding.yml", "funding.unrectified: true, funding.welfare: false", "funding.unrectified: true"),
        ["rule funding.welfare: no case does not meet it"],
    ),
    "case of a rule that is none": (
        _replace("cases/funding.yml", "{funding.welfare: true", "{funding.wellfare: true"),
        ["no rule 'funding.wellfare'"],
    ),
    "rule that no matter uses": (
        _replace(
            "matters/funding.yml",
            "records: [record.repaired, record.rectified, funding.welfare]",
            "records: [record.repaired]",
        ),
        ["funding.welfare: no matter uses this rule"],
    ),
    "missing cell": (
        _replace("lists.yml", "        评先评优: 企业信息公示暂行条例18\n", ""),
        ["lists.yml 经营异常名录: no cell for 评先评优"],
    ),
    "two effects in one cell": (
        _replace(
            "lists.yml",
            "      REVIEW:\n        日常监管",
            "      EXCLUDE: {评先评优: null}\n      REVIEW:\n        日常监管",
        ),
        ["lists.yml", "two effects for 评先评优"],
    ),
    "unknown attribute": (
        _replace("matters/land.yml", "when: {land_method: 招标}", "when: {method: 招标}"),
        ["matters/land.yml variants.tender.when", "no attribute 'method'", "land_method"],
    ),
    "name taken": (
        _replace("matters/bidding.yml", "建设工程招投标: {", "政府采购: {"),
        ["already a kind or alias", "give it one file only"],
    ),
    "file name and code differ": (
        _replace("matters/land.yml", "code: land", "code: lands"),
        ["land.yml", "must agree"],
    ),
    "stray file": (_append("matter.yml", "kind: x\n"), ["matter.yml", "a file that no policy has"]),
    "missing file": (lambda folder: (folder / "lists.yml").unlink(), ["lists.yml", "no such file"]),
    "guarded without a basis": (
        _replace(
            "matters/state_property.yml",
            "{effect: REVIEW, basis: 山东省社会信用条例27；信用修复管理办法3}",
            "{effect: REVIEW}",
        ),
        ["state_property.rectified.guarded.basis"],
    ),
    "no YAML": (_append("matters/land.yml", "  - [\n"), ["land.yml, line", "not valid YAML"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refused(folder: Path, fault: str) -> None:
    edit, said = FAULTS[fault]
    edit(folder)
    with pytest.raises(ConfigError) as raised:
        load(folder)
    message = str(raised.value)
    for word in said:
        assert word in message
    assert "to do:" in message or "no such file" in message or "not valid YAML" in message


def test_no_policy_names_those_beside_it(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "licheng-2020-2")
    with pytest.raises(ConfigError, match="one of: licheng-2020-2"):
        load(tmp_path / "licheng-2021")


def test_version_is_that_of_the_content(folder: Path) -> None:
    version = load(folder).version
    assert load(FOLDER).version == version
    _append("matters/award.yml", "# a comment\n")(folder)
    _replace("cases/funding.yml", "三年前", "四年前")(folder)
    assert load(folder).version == version
    _replace("lists.yml", "评先评优: 企业信息公示暂行条例18", "评先评优: null")(folder)
    assert load(folder).version != version
