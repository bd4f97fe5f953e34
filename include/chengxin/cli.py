"""`chengxin …`: the stages of a day by hand, and the verbs around them.

Everything heavy is imported inside the command that needs it, so that `chengxin --help` is quick. Errors that people
can act on are printed without a traceback.
"""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from chengxin import terminal
from chengxin.auditor_cli import register as register_auditor_commands
from chengxin.clock import beijing_date
from chengxin.desk_cli import app as desk_commands
from chengxin.errors import ChengxinError, ConfigError, ConnectionNotFoundError
from chengxin.mail_cli import register as register_mail_commands
from chengxin.operations_cli import register as register_operations_commands
from chengxin.policy import cli as policy_commands
from chengxin.settings import House
from chengxin.source_cli import register as register_source_commands

DEMO_DAY = "2026-06-15"
"""A Monday, 15 days before the annual reports fall due: a stage of the countdown."""

OPERATOR = "operator"
"""Who asks by default: sees what no single department may see, masked."""


class App(typer.Typer):
    """A typer app that prints our own errors as they are: exit status 2 for configuration, 1 for the rest."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Runs the command line."""
        try:
            return super().__call__(*arguments, **options)
        except ChengxinError as error:
            Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False)
            sys.exit(2 if isinstance(error, ConfigError | ConnectionNotFoundError) else 1)


app = App(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__.splitlines()[0])
policy = typer.Typer(no_args_is_help=True, help="The policy files.")
policy.command()(policy_commands.diff)
policy.command()(policy_commands.adopt)
policy.command()(policy_commands.docs)
app.add_typer(policy, name="policy")
app.add_typer(desk_commands, name="desk")
register_source_commands(app)
register_auditor_commands(app)
register_mail_commands(app)
register_operations_commands(app)

AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="The Beijing date to speak for; default: today")
]
DemoDay = Annotated[datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="The day to play")]
Subjects = Annotated[int, typer.Option(min=50, help="How many market subjects the sandbox makes")]
Seed = Annotated[int, typer.Option(help="Seed of the sandbox's generator")]
Registry = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="A registry file to build the sandbox on")
]


@app.callback()
def main(
    district: Annotated[
        str, typer.Option("--district", metavar="CODE", help="Whose house, where this installation carries several")
    ] = "",
) -> None:
    """The stages of a day by hand, and the verbs around them."""
    terminal.ask(district)


def _console() -> Console:
    # Where nobody looks at a screen (a log, a pipe) tables need not be squeezed into 80 columns.
    wide = None if sys.stdout.isatty() else 120
    return Console(highlight=False, width=wide)


def _day(house: House, given: datetime | None) -> date:
    return given.date() if given else beijing_date(house.clock())


@app.command()
def harvest(
    sources: Annotated[list[str] | None, typer.Argument(help="Contracts by name; default: all of the district")] = None,
    as_of: AsOf = None,
) -> None:
    """Fetch, validate and publish sources. One that fails does not keep the others from going on."""
    from chengxin import districts
    from chengxin import harvest as stage

    house = terminal.house()
    day = _day(house, as_of)
    named = sources or districts.load(house.include_dir / "districts" / f"{house.district}.yml").sources
    console, failed = _console(), []
    for source in named:
        try:
            counts = stage.run(house, source, day)
        except ChengxinError as error:
            failed.append(error)
            console.print(f"{source}: {error}", style="red", markup=False)
        else:
            console.print(f"{source}: {_counts(counts)}")
    if failed:
        raise typer.Exit(1)


@app.command()
def check(
    as_of: AsOf = None,
    full: Annotated[
        bool, typer.Option("--full", help="Judge all, even those whose conclusions could be carried over")
    ] = False,
) -> None:
    """Check pending matters and annual reports against the policy."""
    from chengxin import check as stage

    house = terminal.house()
    _console().print(_counts(stage.run(house, _day(house, as_of), full=full)))


@app.command()
def warn(
    as_of: AsOf = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the mails as files, commit and send nothing")
    ] = False,
) -> None:
    """Plan the departments' mails and send them. What may be sent is the mode's affair (CHENGXIN_MODE)."""
    from chengxin import warn as stage

    house = terminal.house()
    day, console = _day(house, as_of), _console()
    if dry_run:
        folder = house.var / "dry-run" / day.isoformat()
        console.print(f"{len(stage.dry_run(house, day, folder))} mails written to {folder}")
        return
    departments = stage.plan(house, day)
    console.print(f"mode {house.mode}: messages for {len(departments)} departments")
    for department in departments:
        console.print(f"{department}: {_counts(stage.send(house, day, department))}")
    stage.report(house, day)


@app.command()
def explain(
    id_prefix: Annotated[str, typer.Argument(metavar="ID", help="An advice or finding id, or its first characters")],
    viewer: Annotated[str, typer.Option(help="Code of the department that asks; it decides what is masked")] = OPERATOR,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON")] = False,
    pdf: Annotated[Path | None, typer.Option(dir_okay=False, help="Write one page for the file, in Chinese")] = None,
) -> None:
    """Say why: facts, rule, clause, parameters, the other reading, raw file and row."""
    from chengxin import evidence

    house = terminal.house()
    explanation = evidence.explain(house, id_prefix, viewer)
    if pdf is not None:
        from chengxin import evidence_pdf
        from chengxin.warn import words

        pdf.write_bytes(evidence_pdf.render(explanation, words.load(house, words.district_of(house)), house.command))
        typer.echo(pdf)
        return
    typer.echo(explanation.to_json() if as_json else str(explanation))


@app.command()
def cases(files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Run policy cases through the compiled policy."""
    from chengxin.policy import cases as runner

    raise typer.Exit(runner.run(files, runner.document(terminal.house())))


@app.command()
def demo(
    as_of: DemoDay = datetime.fromisoformat(DEMO_DAY),  # noqa: B008  # a date; typer's way of a default
    subjects: Subjects = 2000,
    seed: Seed = 1,
    registry: Registry = None,
    folder: Annotated[Path | None, typer.Option(help="Where to write; emptied first; default: var/demo")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the day, until Ctrl-C")] = False,
) -> None:
    """Play one whole day in a real Airflow against a sandbox, and sum it up."""
    from chengxin import demo as story

    root = _root()
    options = story.Options(
        as_of=as_of.date(),
        subjects=subjects,
        seed=seed,
        district=_district(),
        folder=folder or root / "var" / "demo",
        registry=registry,
    )
    raise typer.Exit(story.run(options, root, _console(), stay=keep))


@app.command()
def up(
    as_of: DemoDay = datetime.fromisoformat(DEMO_DAY),  # noqa: B008
    subjects: Subjects = 2000,
    seed: Seed = 1,
    registry: Registry = None,
    port: Annotated[int | None, typer.Option(help="Airflow's port; default: 8080 if it is free, else any")] = None,
) -> None:
    """Play the day, then keep Airflow, the sandbox and the mail catcher up until Ctrl-C."""
    from chengxin import demo as story
    from chengxin.sandbox.local_airflow import is_free

    root = _root()
    options = story.Options(
        as_of=as_of.date(),
        subjects=subjects,
        seed=seed,
        district=_district(),
        folder=root / "var" / "up",
        registry=registry,
        port=port or (8080 if is_free(8080) else None),
        scheduled=True,
    )
    # Faults of the day are on the screen; ending by Ctrl-C is not one.
    story.run(options, root, _console(), stay=True)


@app.command()
def sandbox(
    as_of: DemoDay = datetime.fromisoformat(DEMO_DAY),  # noqa: B008
    subjects: Subjects = 2000,
    seed: Seed = 1,
    registry: Registry = None,
    folder: Annotated[Path | None, typer.Option(help="Where it writes; default: var/sandbox")] = None,
) -> None:
    """Serve the stand-in outside world until Ctrl-C, and print the connections to it."""
    import shlex
    import time

    from chengxin.sandbox.services import Sandbox

    with Sandbox(
        folder or _root() / "var" / "sandbox", seed=seed, subjects=subjects, day=as_of.date(), registry=registry
    ) as world:
        for name, value in world.environment().items():
            typer.echo(f"export {name}={shlex.quote(value)}")
        typer.echo(f"# mail catcher: {world.mail_url}", err=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            typer.echo("", err=True)


@app.command()
def trial(data: Annotated[Path, typer.Argument(exists=True, file_okay=False)]) -> None:
    """Run the same code on real public data, and reconcile every row of every file."""
    from chengxin import trial as story

    story.run(terminal.house(), data, _console())


@app.command()
def docs() -> None:
    """Write the generated pages (docs/DAGS.md, docs/DATA.md, docs/POLICY.md) and the schemas for editors."""
    import os
    import tempfile

    from chengxin import contracts, schemas
    from chengxin import docs as data
    from chengxin.policy import cases as policy_cases
    from chengxin.policy import docs as policy_page

    with tempfile.TemporaryDirectory() as home:
        # Airflow makes its folders where it is told to, on import.
        os.environ["AIRFLOW_HOME"] = home
        from chengxin.dagtools import catalogue

        house = terminal.house()
        os.environ["CHENGXIN_DISTRICT"] = house.district
        good, bad = contracts.load_all(house.include_dir / "sources")
        for error in bad.values():
            raise error
        pages = {
            "DAGS.md": catalogue.text(catalogue.load(house.root / "dags")),
            "DATA.md": data.data(good),
            "POLICY.md": policy_page.page(policy_cases.document(house)),
        }
    for name, text in pages.items():
        (house.root / "docs" / name).write_text(text, "utf-8")
        typer.echo(house.root / "docs" / name)
    for file in schemas.write(house.include_dir):
        typer.echo(file)


@app.command()
def maintain(as_of: AsOf = None) -> None:
    """Verify the ledger, clear what has had its time, merge and sweep the lake's files."""
    from chengxin import maintain as stage
    from chengxin import retention, upkeep

    console = _console()

    def put_in_order(house: House) -> None:
        console.print(_counts(stage.verify_chain(house)))
        console.print("cleared:", _counts(retention.run(house, _day(house, as_of))))
        console.print("lake:", _counts(upkeep.tidy(house)) or "in order")

    terminal.in_turn(put_in_order)


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def _district() -> str:
    return terminal.house().district


def _counts(counts: dict[str, Any]) -> str:
    return "  ".join(
        f"{name} {', '.join(f'{key} {number}' for key, number in value.items()) if isinstance(value, dict) else value}"
        for name, value in counts.items()
    )


if __name__ == "__main__":
    app()
