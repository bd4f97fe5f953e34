"""`chengxin policy …`: what a draft would change, and the generated page. Light to import."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from chengxin.clock import beijing_date
from chengxin.settings import House


def diff(
    draft: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The draft's folder")],
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], help="The day whose facts are judged; default: today"),
    ] = None,
) -> None:
    """Judge a day's facts with a draft beside the adopted policy: findings gained, lost, changed, by rule."""
    from chengxin import check

    house = House.from_environment()
    day = as_of.date() if as_of else beijing_date(house.clock())
    typer.echo(str(check.shadow(house, day, draft)))


def docs(
    output: Annotated[Path | None, typer.Option(help="Where to write; default: the terminal")] = None,
) -> None:
    """The policy as a page: clauses, rules, lists, parameters, vocabulary."""
    from chengxin.policy import cases
    from chengxin.policy import docs as generator

    text = generator.page(cases.document())
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
