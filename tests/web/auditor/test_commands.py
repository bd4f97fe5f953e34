"""Command lines that pages and mails show are those of the district whose page or mail it is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import typer

from chengxin.cli import app
from tests.conftest import ROOT
from tests.web.auditor.conftest import site_of, with_keys
from tests.web.auditor.played import Played

TEMPLATES = sorted([*(ROOT / "include").rglob("*.j2"), *(ROOT / "include/chengxin/web").rglob("*.yml")])


@pytest.mark.parametrize(("others", "command"), [(False, "chengxin"), (True, "chengxin --district 370112")])
def test_pages_show_the_command_of_their_district(played: Played, others: bool, command: str) -> None:
    auditor = site_of(replace(played.house, among_others=others, connections=with_keys)).as_("auditor")
    advice = played.advice["M1/1"]
    page = auditor.get(f"/advice/{advice.advice_id}").text
    assert f"<pre>{command} explain {advice.advice_id}\n{command} replay --as-of" in page
    day = re.findall(r"replay --as-of ([0-9-]+)", page)[0]
    assert f"<code>{command} replay --as-of {day}" in auditor.get(f"/runs/{day}").text
    assert f"；{command} verify " in auditor.get("/acts").text


def test_no_template_names_a_command_without_asking_whose() -> None:
    names = "|".join(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert "explain" in names
    named = re.compile(rf"chengxin (?:{names})\b")
    assert len(TEMPLATES) > 40
    assert [path.name for path in TEMPLATES if named.search(path.read_text("utf-8"))] == []
