"""Great Expectations' pages from templates that are compiled once on a machine, and not anew by every harvest.

Compiling its fifty templates took almost half of what a validation took. `great_expectations.yml` names these views.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from great_expectations.render.view.view import DefaultJinjaIndexPageView, DefaultJinjaPageView
from jinja2 import BytecodeCache, FileSystemBytecodeCache


def _compiled() -> BytecodeCache | None:
    # It refuses a folder that others could write to: then there is none.
    with suppress(RuntimeError, OSError):
        return FileSystemBytecodeCache()
    return None


class PageView(DefaultJinjaPageView):
    """A page of results or of a suite."""

    def __init__(self, **folders: Any) -> None:
        super().__init__(**folders)
        self.env.bytecode_cache = _compiled()


class IndexView(DefaultJinjaIndexPageView):
    """The start page."""

    def __init__(self, **folders: Any) -> None:
        super().__init__(**folders)
        self.env.bytecode_cache = _compiled()
