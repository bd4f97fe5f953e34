"""Chinese and English words of the pages.

Templates are written in Chinese: `t("今日")` gives the words themselves, or their English from `words/*.yml`. A test
holds that every word of every template has its English.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from chengxin import yamlfile

FOLDER = Path(__file__).parent / "words"


@cache
def english() -> Mapping[str, str]:
    """Chinese → English, of all files."""
    found: dict[str, str] = {}
    for file in sorted(FOLDER.glob("*.yml")):
        found |= yamlfile.read(file) or {}
    return found


def translator(language: str) -> Callable[..., str]:
    """The function `t` of the templates: words, and `{name}` places in them to fill."""
    known = english() if language == "en" else {}

    def t(words: str, /, **places: Any) -> str:
        said = known.get(words, words)
        return said.format(**places) if places else said

    return t
