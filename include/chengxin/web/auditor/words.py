"""Chinese and English words of the pages.

Templates are written in Chinese: `t("今日")` gives the words themselves, or their English from `words/*.yml`. What has
no words of its own, such as a state, is asked for by a key (`t("邮件状态 " ~ state)`); its Chinese and its English
stand in `words/codes.yml`. A test holds that every word of every template has its English.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from chengxin import yamlfile

FOLDER = Path(__file__).parent / "words"
CODES = "codes.yml"


@cache
def english() -> Mapping[str, str]:
    """Chinese or key → English, of all files."""
    found: dict[str, str] = {}
    for file in sorted(FOLDER.glob("*.yml")):
        if file.name != CODES:
            found |= yamlfile.read(file) or {}
    return found | {key: words["en"] for key, words in codes().items()}


@cache
def codes() -> Mapping[str, Mapping[str, str]]:
    """Key → its `zh` and `en`."""
    return {
        f"{group} {code}": words
        for group, members in yamlfile.read(FOLDER / CODES).items()
        for code, words in members.items()
    }


@cache
def _chinese() -> Mapping[str, str]:
    return {key: words["zh"] for key, words in codes().items()}


def translator(language: str) -> Callable[..., str]:
    """The function `t` of the templates: words, and `{name}` places in them to fill."""
    known = english() if language == "en" else _chinese()

    def t(words: str, /, **places: Any) -> str:
        said = known.get(words, words)
        return said.format(**places) if places else said

    return t
