"""YAML by libyaml: the values of the reader in pure Python, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from chengxin import yamlscan

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "include").rglob("*.yml"), *(ROOT / "tests").rglob("*.yml")])
WORDS = st.text("0123456789-+._:eExXoOb aAfFnNyYTtruesl~<=", min_size=1, max_size=12) | st.sampled_from(
    [
        "no", "on", "Yes", "true", "False", "NULL", "~", "null", "010", "0o17", "0x1F", "0b11", "1_000", "-5", "+7",
        "1e3", "1.", ".5", ".inf", "-.INF", ".nan", "12:30", "190:20:30", "2026-01-01", "2026-1-1",
        "2026-01-01 10:00:00", "2026-01-01T10:00:00Z", "=", "<<", "!!str 5", "!!int 5", "&a 1", "*a", "| \n  a\n  b",
        "> \n  a\n  b", '"\\u4e2d"', "'it''s'", "[1, no, {a: b}]", "{a: 1, a: 2}", "9" * 30, "-0", "0.0", "1.10",
    ]
)  # fmt: skip


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def same(text: str) -> bool:
    """Whether it was read; if so, the values and their types are those of the reader in pure Python."""
    try:
        found = yamlscan.load(text)
    except yamlscan.YAMLError:
        return False
    assert repr(found) == repr(plain(text))
    return True


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_of_ours_is_read_alike(file: Path) -> None:
    assert same(file.read_text("utf-8"))


@settings(max_examples=400, deadline=None)
@given(WORDS, WORDS)
@example("a", "\n  b: 1\n  b: 2")
@example("a", ".")
def test_words_mean_the_same(key: str, word: str) -> None:
    for text in (word, f"a: {word}", f"- {word}\n- x", f"{key}: {word}\nlast: 1"):
        try:
            same(text)
        except YAMLError:
            # libyaml allows what the specification does not; nothing of ours may rest on that.
            pytest.fail(f"read here, refused there: {text!r}")


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: !!binary eA==", "a: 2026-01-01 10:00:00", "a: [", "? [a]\n: 1"])
def test_what_is_not_plain_is_left_to_the_other_reader(text: str) -> None:
    assert not same(text)
