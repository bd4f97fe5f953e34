"""`chengxin init|backup|restore`: what those do who run the house's machines. Explained in docs/operating.md."""

from __future__ import annotations

import typer

from chengxin.settings import House


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the command line."""
    app.command()(init)


def init() -> None:
    """Bring the ledger's schema up to date and make the lake's tables. Doing it again changes nothing."""
    from chengxin import lake

    house = House.from_environment()
    with house.ledger.begin():
        lake.ensure(house.lake)
    typer.echo("ledger and lake are ready")
