"""The coverage-guided fuzzer over one kind of file: `python -m tests.fuzz KIND [folder of inputs] [-option=…]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["chengxin.readers", "openpyxl"]):
    import chengxin.readers.delimited
    import chengxin.readers.json_text
    import chengxin.readers.packed
    import chengxin.readers.printed
    import chengxin.readers.regular
    import chengxin.readers.sheet
    import chengxin.readers.xml_text  # noqa: F401 - readers are imported when needed, which is too late here

from tests.fuzz import harness

KIND = sys.argv.pop(1)
atheris.Setup(sys.argv, lambda data: harness.check(KIND, data))
atheris.Fuzz()
