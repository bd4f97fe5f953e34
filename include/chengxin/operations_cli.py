"""`chengxin init|backup|restore`: what those do who run the house's machines. Explained in docs/operating.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chengxin import terminal
from chengxin.settings import House


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the command line."""
    app.command()(init)
    app.command()(backup)
    app.command()(restore)


AirflowUrl = Annotated[
    str,
    typer.Option(
        envvar="AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", help="SQLAlchemy URL of Airflow's database; empty: without it"
    ),
]


def init() -> None:
    """Bring the ledger's schema up to date and make the lake's tables. Doing it again changes nothing."""
    from chengxin import lake

    def prepare(house: House) -> None:
        with house.ledger.begin():
            lake.ensure(house.lake)
        typer.echo("ledger and lake are ready")

    terminal.in_turn(prepare)


def backup(
    folder: Annotated[
        Path, typer.Argument(file_okay=False, help="Where the backups are; each gets a folder of its own")
    ],
    keep: Annotated[int | None, typer.Option(min=1, help="How many stay, this one among them; default: all")] = None,
    airflow_url: AirflowUrl = "",
) -> None:
    """Put Airflow's database, ledger, lake and archive away, as of one instant. The house may be at work."""
    from chengxin import backup as stage

    places = terminal.houses()
    # It serves all districts and goes before every ledger: it is put away with the first.
    with_airflow = {places[0].district: airflow_url}

    def put_away(house: House) -> None:
        mine = folder / house.district if house.among_others else folder
        typer.echo(stage.take(house, mine, airflow_url=with_airflow.get(house.district, ""), keep=keep))

    terminal.in_turn(put_away)


def restore(
    backups: Annotated[
        list[Path], typer.Argument(exists=True, file_okay=False, help="A backup's folder; of several districts, each's")
    ],
    airflow_url: AirflowUrl = "",
) -> None:
    """Bring a backup back, into an empty folder and empty databases."""
    from chengxin import backup as stage

    commands = []
    for folder in backups:
        house = terminal.house_of(stage.Manifest.read(folder).district)
        made = stage.restore(house, folder, airflow_url=airflow_url)
        whose = f" (district {house.district})" if house.among_others else ""
        typer.echo(f"restored as of {made.taken_at}{whose}: act {made.acts}, head {made.head}")
        commands.append(f"{house.command} verify")
    typer.echo(f"compare each head with the one in the last operators' mail, then: {'; '.join(commands)}")
