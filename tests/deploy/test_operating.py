"""docs/operating.md keeps up with the code: every cause has its row, every command and gauge is there."""

from __future__ import annotations

import re

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
