"""`chengxin outbox|answers|supervise|watch-morning`: the mails, seen by the people who look after them."""

from __future__ import annotations

import getpass
from datetime import date, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from chengxin import terminal
from chengxin.clock import beijing_date
from chengxin.settings import House

AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="The Beijing date to speak for; default: today")
]

outbox = typer.Typer(help="Messages whose end a person has to decide: unknown and refused ones.")


def register(app: typer.Typer) -> None:
    """Adds the commands of this module to the command line."""
    app.add_typer(outbox, name="outbox")
    app.command()(answers)
    app.command()(supervise)
    app.command("watch-morning")(watch_morning)


@outbox.callback(invoke_without_command=True)
def undecided(context: typer.Context) -> None:
    """List the messages that are unknown or refused."""
    if context.invoked_subcommand:
        return
    from chengxin.ledger import settling

    house = terminal.house()
    table = Table("id", "mode", "state", "day", "department", "kind", "recipient", "Message-ID", "since", "why")
    with house.ledger.begin() as session:
        for each in settling.undecided(session, house.district):
            table.add_row(
                str(each.id),
                each.mode,
                each.state,
                each.as_of.isoformat(),
                each.department or "operators",
                each.kind,
                each.recipient,
                each.header_id,
                f"{each.settled_at:%Y-%m-%d %H:%M}" if each.settled_at else "",
                each.last_error or "",
            )
    # Wide enough that ids can be copied.
    Console(highlight=False, width=200).print(table if table.row_count else "nothing to decide")


@outbox.command()
def settle(
    message: Annotated[int, typer.Argument(help="Id of the message: see `chengxin outbox`")],
    decided: Annotated[str, typer.Option("--as", help="sent: it arrived. not-sent: it did not, and may go out again")],
    reason: Annotated[str, typer.Option(help="How you know: kept in the ledger")],
    actor: Annotated[str, typer.Option(help="Who says so; default: your account on this machine")] = "",
) -> None:
    """Say what became of a message. Look first: into the other's mailbox, or the mail server's log."""
    from chengxin.ledger import settling

    decision = next((name for name in settling.DECISIONS if name == decided), None)
    if decision is None:
        raise typer.BadParameter(f"one of {', '.join(settling.DECISIONS)}", param_hint="--as")
    house = terminal.house()
    with house.ledger.begin() as session:
        settled = settling.decide(
            session, house.clock(), message, decision, f"operator/{actor or getpass.getuser()}"[:64], reason
        )
    typer.echo(f"message {message}: {settled.state}")


@outbox.command()
def bounces() -> None:
    """Read the bounce box (connection chengxin_bounces): settles messages by the delivery reports in it."""
    from chengxin.warn import bounces as box

    _print(box.read(terminal.house()))


def answers(
    port: Annotated[int, typer.Option(help="Port on this machine; put a TLS proxy in front of it")] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
) -> None:
    """Serve the page on which desks answer their mails (what `mail.answers_url` points to), until Ctrl-C."""
    import uvicorn

    from chengxin.web import answers as pages

    # Requests carry tokens in their path: they are not logged.
    served = pages.standalone(*terminal.houses())
    uvicorn.run(served, host=host, port=port, access_log=False, log_level="warning")


def supervise(as_of: AsOf = None) -> None:
    """Send the supervising bodies the use of credit records in the month before the day."""
    from chengxin import warn

    house = terminal.house()
    _print(warn.supervise(house, _day(house, as_of)))


def watch_morning(as_of: AsOf = None) -> None:
    """Tell the operators if the day was not checked or not reported."""
    from chengxin import warn

    house = terminal.house()
    _print(warn.watch(house, _day(house, as_of)))


def _day(house: House, given: datetime | None) -> date:
    return given.date() if given else beijing_date(house.clock())


def _print(counts: dict[str, int]) -> None:
    typer.echo("  ".join(f"{name} {count}" for name, count in counts.items()))
