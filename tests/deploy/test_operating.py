"""docs/operating.md keeps up with the code: every cause has its row, every command and gauge is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from chengxin.cli import app

from .composefile import ROOT

PAGE = (ROOT / "docs/operating.md").read_text("utf-8")
LIBRARY = ROOT / "include/chengxin"


def causes() -> set[str]:
    """Every cause that an error or a harvest may carry."""
    text = "\n".join(path.read_text("utf-8") for path in LIBRARY.rglob("*.py"))
    named = set(re.findall(r"^    cause(?:: str)? = [\"']([^\"']+)[\"']$", text, re.MULTILINE))
    ended = set(re.findall(r"_end\(session, house, harvest, \"\w+\", \"([\w ]+)\"", text))
    assert len(named) > 20
    assert ended
    return named | ended


def rows() -> dict[str, list[str]]:
    """Cause → the cells of its row."""
    table = PAGE.split("| cause | means | do |")[1].split("\n\n")[0]
    found: dict[str, list[str]] = {}
    for line in table.splitlines()[2:]:
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for cause in re.findall(r"`([^`]+)`", first):
            assert cause not in found, f"{cause} stands twice"
            found[cause] = cells
    return found


def test_every_cause_has_its_row_and_no_row_is_without_a_cause() -> None:
    assert set(rows()) == causes()


def test_every_row_says_what_it_means_and_what_to_do() -> None:
    for cause, cells in rows().items():
        assert len(cells) == 2, cause
        assert all(len(cell) > 10 for cell in cells), cause


ALARMS = {
    "warn/reporting.py": {
        "_faults",
        "_of_sources",
        "_of_mails",
        "_returned",
        "_unrouted",
        "_alarms",
        "_asked_later",
        "_untold",
    },
    "warn/morning.py": {"_faults"},
    "warn/answered.py": {"signals"},
    "policy/adoption.py": {"missing"},
}
"""Where the lines of the operators' mails are made: module → functions of it."""
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def lines() -> Iterator[str]:
    """Every line that the operators' mails may hold, as it stands in the code: what is filled in is left out."""
    for module, names in ALARMS.items():
        tree = ast.parse((LIBRARY / module).read_text("utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in names]
        assert {function.name for function in functions} == names, module
        # In `_drafts` only the list itself: the rest of it is the mail around it.
        parts: list[ast.AST] = [*functions]
        parts += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("faults", "later")
        ]
        for part in parts:
            whole = [node for node in ast.walk(part) if isinstance(node, ast.JoinedStr)]
            inner = {id(piece) for node in whole for piece in ast.walk(node) if piece is not node}
            for node in ast.walk(part):
                if isinstance(node, ast.JoinedStr):
                    pieces = [piece.value for piece in node.values if isinstance(piece, ast.Constant)]
                    yield "".join(map(str, pieces))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                    yield node.value


def test_every_line_of_the_operators_mails_is_explained() -> None:
    table = PAGE.split("| line | means | do |")[1].split("\n\n")[0]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    said = [line for line in lines() if len(CHINESE.findall(line)) >= 8]
    assert len(said) > 15
    known = [part.strip() for first, *_ in found for part in first.split(" / ")]
    assert [line for line in said if not any(part in line for part in known)] == []
    assert [part for part in known if not any(part in line for line in lines())] == []
    assert all(len(row) == 3 and all(len(cell) > 3 for cell in row) for row in found)


def test_every_command_on_the_page_exists() -> None:
    known = {
        command.name or str(getattr(command.callback, "__name__", "")).replace("_", "-")
        for command in app.registered_commands
    }
    known |= {str(group.name) for group in app.registered_groups}
    asked = set(re.findall(r"`?chengxin ([a-z][a-z-]+)", PAGE))
    assert len(asked) > 8
    assert asked <= known


def test_every_gauge_is_on_the_page() -> None:
    from chengxin.dagtools import metrics

    text = re.sub(r"\{([\w,]+)\}", r"\1", PAGE)
    for part in metrics.PARTS:
        assert part in text
    for kind in ("harvest.<source>", "source.<source>.age_days", "check.seconds", "check.advice.<decision>"):
        assert f"chengxin.<district>.{kind}" in text


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_every_variable_of_the_environment_is_known() -> None:
    known = (ROOT / ".env.example").read_text("utf-8") + (ROOT / "docker-compose.yaml").read_text("utf-8")
    for name in re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", PAGE):
        assert name.removesuffix("_CMD") in known, name
