"""`chengxin desk …`: the pages' copy of the lake, by hand."""

from __future__ import annotations

from typing import Any

import typer

from chengxin import terminal

app = typer.Typer(no_args_is_help=True, help="The desk: what the pages show of the lake.")


@app.command()
def refresh() -> None:
    """Take in what the lake has got since the last refresh."""
    from chengxin.desk import refresh as stage

    _say(stage.refresh(terminal.house()))


@app.command()
def rebuild() -> None:
    """Make the desk anew from the lake. Pages go on showing what they showed until it is done."""
    from chengxin.desk import refresh as stage

    _say(stage.rebuild(terminal.house()))


def _say(done: dict[str, Any]) -> None:
    for table, rows in done["rows"].items():
        typer.echo(f"{table}: {rows} rows")
    typer.echo(f"up to commit {done['seq']}{', made anew' if done['anew'] else ''}")
