"""`chengxin policy …`: what a draft would change, and the generated page. Light to import."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from chengxin import terminal
from chengxin.clock import beijing_date


def diff(
    draft: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The draft's folder")],
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], help="The day whose facts are judged; default: today"),
    ] = None,
) -> None:
    """Judge a day's facts with a draft beside the adopted policy: findings gained, lost, changed, by rule."""
    from chengxin import shadow

    house = terminal.house()
    day = as_of.date() if as_of else beijing_date(house.clock())
    typer.echo(str(shadow.shadow(house, day, draft)))


def adopt(
    draft: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The folder of the version to adopt")],
    reason: Annotated[str, typer.Option(prompt="Why", help="Goes on record")],
    login: Annotated[str, typer.Option("--as", help="Login name of who adopts it; default: your account here")] = "",
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], help="The day whose facts show the difference; default: today"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again")] = False,
) -> None:
    """Show what a draft changes, then put on record that it is adopted, by whom and why."""
    from chengxin import check
    from chengxin.auditor_cli import actor
    from chengxin.policy import adoption

    house = terminal.house()
    district = check.load_district(house)
    who = adoption.signature(district, login) if login else actor()
    difference = adoption.compare(house, draft, as_of.date() if as_of else beijing_date(house.clock()), reason)
    typer.echo(str(difference))
    if not yes:
        typer.confirm("Adopt it", abort=True)
    made = adoption.adopt(house, difference, draft, who, reason)
    typer.echo(f"adopted {made.version}, rulebook {made.said['rulebook']}, act {made.act}")
    if draft.resolve() != (house.include_dir / "policy" / district.policy).resolve():
        typer.echo(
            f"the district still follows {district.policy}: change `policy` in its file to {draft.resolve().name}"
        )


def docs(
    output: Annotated[Path | None, typer.Option(help="Where to write; default: the terminal")] = None,
) -> None:
    """The policy as a page: clauses, rules, lists, parameters, vocabulary."""
    from chengxin.policy import cases
    from chengxin.policy import docs as generator

    text = generator.page(cases.document(terminal.house()))
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, "utf-8")
