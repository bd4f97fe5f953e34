"""What README and docs name is there: commands and their options, links and headings, files, modules, verbs of make."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from chengxin.cli import app
from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("README*.md"), ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
COMMANDS: Any = typer.main.get_command(app)
LIBRARY = ROOT / "include/chengxin"


def by_name(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=page.name) for page in pages]


@pytest.mark.parametrize("page", by_name(PAGES))
def test_commands_and_options(page: Path) -> None:
    text = page.read_text("utf-8")
    faults = []
    for line in re.findall(r"(?<!from )\bchengxin ((?:--district \S+ )?[a-z][a-z-]+(?![\w./])[^`\n|）（；]*)", text):
        words = re.sub(r"^--district \S+ ", "", line.split("#")[0]).split()
        command, words = COMMANDS.commands.get(words[0]), words[1:]
        if hasattr(command, "commands") and words and re.fullmatch(r"[a-z-]+", words[0]):
            command, words = command.commands.get(words[0]), words[1:]
        if command is None:
            # Prose may begin so: "chengxin is …".
            faults += [line] if line[:6] != "import" else []
            continue
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        asked = {word.strip("[]().,;:").partition("=")[0] for word in words if word.startswith(("--", "[--"))}
        faults += [f"{line}: {option}" for option in asked - known - {"--help", "--"}]
    assert faults == []


@pytest.mark.parametrize("page", by_name(PAGES))
def test_links_and_headings(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text("utf-8")):
        if target.startswith("http"):
            continue
        found = page.parent / target if target else page
        assert found.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", by_name(PAGES))
def test_files_modules_and_verbs(page: Path) -> None:
    text = page.read_text("utf-8")
    tops = "include|dags|tests|deploy|benchmarks|docs|plugins|great_expectations"
    paths = set(re.findall(rf"`((?:{tops})/[\w./-]*)`", text))
    assert {path for path in paths if not (ROOT / path).exists()} == set()
    assert {name for name in re.findall(r"`(chengxin\.[\w.]+)`", text) if not is_there(name)} == set()
    verbs = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert (
        set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^\$ make ([a-z-]+)", text, re.MULTILINE)) <= verbs
    )


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or stands in one."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        place = LIBRARY.joinpath(*parts[:length])
        file = place.with_suffix(".py") if place.with_suffix(".py").exists() else place / "__init__.py"
        if file.exists():
            text = file.read_text("utf-8")
            return all(re.search(rf"\b{part}\b", text) for part in parts[length:])
    return False


def test_the_checks_find_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text, check in (
        ("Run `chengxin harvets matters`.", test_commands_and_options),
        ("Run `chengxin check --fulll`.", test_commands_and_options),
        ("Run `chengxin outbox setle 3`.", test_commands_and_options),
        ("See [there](nowhere.md).", test_links_and_headings),
        ("# One\n\nSee [two](#two).", test_links_and_headings),
        ("In `include/chengxin/nowhere.py`.", test_files_modules_and_verbs),
        ("In `chengxin.nowhere`.", test_files_modules_and_verbs),
        ("`make coffee`", test_files_modules_and_verbs),
    ):
        page.write_text(text, "utf-8")
        with pytest.raises(AssertionError):
            check(page)


def test_every_command_says_what_it_does() -> None:
    found = [(name, command) for name, command in COMMANDS.commands.items()]
    found += [
        (f"{name} {sub}", one)
        for name, group in found
        if hasattr(group, "commands")
        for sub, one in group.commands.items()
    ]
    assert len(found) > 30
    for name, command in found:
        assert command.help, name
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert parameter.help, f"{name} {parameter.opts}"
