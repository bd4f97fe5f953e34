"""`chengxin sources|sweep|bounds|rejected|new-source`: the sources, seen by the people who look after them."""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from chengxin import terminal
from chengxin.clock import beijing_date
from chengxin.settings import House

AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="The Beijing date to speak for; default: today")
]
Named = Annotated[
    str | None, typer.Argument(metavar="[SOURCE]", help="A contract's name; default: all of the district")
]
COLOURS = {"fresh": "green", "recovered": "green", "late": "yellow", "stale": "red"}


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the command line."""
    app.command()(sources)
    app.command()(sweep)
    app.command()(bounds)
    app.command()(rejected)
    app.command("new-source")(new_source)


def sources(as_of: AsOf = None) -> None:
    """List the district's sources: what they feed, how old each is, and whether it is late."""
    from chengxin import contracts, districts
    from chengxin import sweep as stage

    house = terminal.house()
    district = districts.load(house.include_dir / "districts" / f"{house.district}.yml")
    good, bad = contracts.load_all(house.include_dir / "sources")
    standings = stage.standings(house, _day(house, as_of))
    table = Table("source", "title", "feeds", "schedule", "expected", "observed", "age", "state")
    for name in district.sources:
        if name not in good:
            table.add_row(name, *[""] * 6, "[red]broken[/]" if name in bad else "[red]no contract[/]")
            continue
        contract, one = good[name], standings[name]
        days = "" if one.age_days is None else f"{one.age_days} d"
        state = f"[{COLOURS[one.state]}]{one.state}[/]" + (f" ({one.cause})" if one.cause else "")
        table.add_row(
            name,
            contract.title,
            ", ".join(contract.tables),
            contract.schedule,
            str(one.expected_on or ""),
            str(one.observed_on or "never"),
            days,
            state,
        )
    console = _console()
    console.print(table)
    for error in bad.values():
        console.print(str(error), style="red", markup=False)
    if any(name not in good for name in district.sources):
        raise typer.Exit(2)


def sweep(as_of: AsOf = None) -> None:
    """Look at every source and record which became fresh, late, stale or recovered."""
    from chengxin import sweep as stage

    house = terminal.house()
    found = stage.run(house, _day(house, as_of))
    _console().print("  ".join(f"{state} {found[state]}" for state in stage.STATES))
    for source, change in found["changed"].items():
        typer.echo(f"{source}: {change}")


def bounds(
    source: Named = None,
    days: Annotated[int, typer.Option(min=1, help="How far back the ledger is read")] = 90,
) -> None:
    """Suggest bounds from the history of harvests. Nothing is changed: a person decides, and writes the contract."""
    from chengxin import history

    house = terminal.house()
    console = _console()
    for name in _named(house, source):
        console.print(str(history.suggest(house, name, days)), markup=False)


def rejected(
    source: Named = None,
    as_of: AsOf = None,
    rows: Annotated[int, typer.Option(min=0, help="How many rows of each cause are shown")] = 5,
    rule: Annotated[str | None, typer.Option(help="Only rows that break this rule first")] = None,
) -> None:
    """Browse rejected rows, masked: by cause with counts, then rows. Once mended at the source, they return."""
    from chengxin import rejects

    house = terminal.house()
    day, console = _day(house, as_of), _console()
    found = rejects.browse(house, day, source=source, rule=rule, rows=rows)
    console.print(f"{sum(cause.count for cause in found):,} rejected rows, as of {day}")
    for cause in found:
        console.print(f"\n[bold]{cause.count:,}[/] × {cause.source} → {cause.table}: {cause.rule}")
        console.print(f"  {cause.reason}  (heading {cause.column or '—'}, since {cause.since})", markup=False)
        for row in cause.rows:
            console.print(f"    {row.value or '(empty)'}   {row.file} row {row.row}, since {row.since}", markup=False)


def new_source(
    name: Annotated[str, typer.Argument(help="The contract's name: small letters, digits, underscores")],
    table: Annotated[str, typer.Option(help="The fact table it feeds")] = "list_entry",
    connector: Annotated[str, typer.Option(help="files, http_api or database")] = "files",
) -> None:
    """Write a contract, a fixture and a test for a new source, to be filled in."""
    from chengxin import scaffold

    root = Path(__file__).resolve().parents[2]
    for file in scaffold.write(root, name, table, connector):
        typer.echo(file.relative_to(root))
    typer.echo("Now fill in the contract: docs/adding-a-source.md")


def _named(house: House, source: str | None) -> tuple[str, ...]:
    from chengxin import districts

    return (source,) if source else districts.load(house.include_dir / "districts" / f"{house.district}.yml").sources


def _day(house: House, given: datetime | None) -> date:
    return given.date() if given else beijing_date(house.clock())


def _console() -> Console:
    # Where nobody looks at a screen (a log, a pipe) tables need not be squeezed into 80 columns.
    options: dict[str, Any] = {} if sys.stdout.isatty() else {"width": 140}
    return Console(highlight=False, **options)
