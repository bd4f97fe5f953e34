"""`chengxin …`: what an auditor asks for: replay, verify, erase, export."""

from __future__ import annotations

import getpass
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from chengxin import terminal

Day = Annotated[datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="The past day")]
Why = Annotated[str, typer.Option(prompt="Why", help="Goes on record")]
From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day")]
To = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day")]


def actor() -> str:
    """Who acts at this terminal: CHENGXIN_ACTOR, else the account's name."""
    return os.environ.get("CHENGXIN_ACTOR") or f"cli:{getpass.getuser()}"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(replay)
    app.command()(verify)
    app.command()(erase)
    app.command()(export)


def replay(as_of: Day, reason: Why) -> None:
    """Judge a past day again from what was known then, by the rules of the day, and compare row by row."""
    from chengxin import replay as stage

    made = stage.on_record(terminal.house(), as_of.date(), actor(), reason)
    typer.echo(str(made))
    if not made.explained:
        raise typer.Exit(1)


def verify(
    head: Annotated[
        list[str] | None, typer.Option(metavar="NUMBER:HASH", help="A head of the ledger from an operators' mail")
    ] = None,
) -> None:
    """Look for any row of the ledger that was changed, removed or slipped in, and compare the harvests' sums."""
    from chengxin import maintain
    from chengxin.errors import ConfigError
    from chengxin.ledger import acts

    known = []
    for text in head or ():
        number, _, digest = text.partition(":")
        if not number.isdigit() or len(digest) != 64:
            raise ConfigError(
                f"{text!r} is no head", where="verify --head", remedy="write number and hash as in the mail: 1234:ab12…"
            )
        known.append(acts.Head(int(number), digest))
    house = terminal.house()
    faults = maintain.ledger_faults(house, known)
    sums = maintain.sum_faults(house)
    for fault in [*faults, *sums]:
        typer.echo(fault)
    with house.ledger.begin() as session:
        newest = acts.head(session)
    typer.echo(f"{newest.seq} acts, head {newest.hash}: {'NOT as written' if faults else 'as written'}")
    typer.echo(f"sums of harvests in the lake: {'NOT those of the ledger' if sums else 'those of the ledger'}")
    if faults or sums:
        raise typer.Exit(1)


def erase(
    subject: Annotated[str, typer.Option(metavar="CODE", help="统一社会信用代码")],
    reason: Annotated[str, typer.Option(prompt="On what ground", help="Goes on record; must not name the subject")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again")] = False,
) -> None:
    """Erase a subject from lake, raw archive, messages, documents and logs, for a lawful request. There is no undo."""
    from chengxin import erasure

    if not yes:
        typer.confirm("This cannot be undone. Erase", abort=True)
    done = erasure.subject(terminal.house(), subject.strip(), actor(), reason)
    for name, counts in sorted(done["tables"].items()):
        typer.echo(f"{name}: {counts['rows']} rows")
    for name in ("raw_files", "messages", "bodies", "files"):
        typer.echo(f"{name}: {done[name]}")
    typer.echo(f"on record as {done['subject']}")


def export(
    start: From,
    end: To,
    matter: Annotated[str | None, typer.Option(help="This matter only")] = None,
    subject: Annotated[str | None, typer.Option(metavar="CODE", help="This subject only")] = None,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="The ZIP; default: evidence-FROM-TO.zip")] = None,
    reason: Annotated[str, typer.Option(help="Goes on record")] = "",
) -> None:
    """Write an evidence bundle: advice, facts, messages, rules, ledger, and a verifier that needs only Python."""
    from chengxin import export as stage

    scope = stage.Scope(start.date(), end.date(), matter, subject)
    target = out or Path(f"evidence-{scope.start}-{scope.end}.zip")
    sha256 = stage.write(terminal.house(), scope, target, actor(), reason)
    typer.echo(f"{target}  sha256 {sha256}")
