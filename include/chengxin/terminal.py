"""Whose house a command speaks of: `chengxin --district CODE …`, where an installation carries several districts."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

import typer

from chengxin import settings
from chengxin.errors import ConfigError
from chengxin.settings import House

_asked: ContextVar[str] = ContextVar("district", default="")


def ask(district: str) -> None:
    """Sets the district that the command line named; empty: none."""
    _asked.set(district)


def house() -> House:
    """The house of the district that was named, else of the only one.

    Raises:
        ConfigError: several districts and none named, or one that is not here.
    """
    return House.from_environment(district=_asked.get())


def house_of(district: str) -> House:
    """The house that something of a district belongs to, among several; the only one takes what is given to it.

    Args:
        district: the code that it bears.

    Raises:
        ConfigError: another district was named, or there is no such one.
    """
    codes = settings.configured()
    named = _asked.get()
    if len(codes) > 1 and named not in ("", district):
        raise ConfigError(
            f"this is of district {district}", where=f"chengxin --district {named}", remedy=f"--district {district}"
        )
    return House.from_environment(district=district if len(codes) > 1 else named)


def houses() -> list[House]:
    """The house that was named, else all, for what is done to each of them in turn.

    Raises:
        ConfigError: the environment describes none.
    """
    return [house()] if _asked.get() else [House.from_environment(district=code) for code in settings.configured()]


def in_turn(work: Callable[[House], None]) -> None:
    """Does something to each of `houses`, under its name. What goes wrong in one keeps no other waiting.

    Args:
        work: what is done; it says itself what it did.

    Raises:
        Exception: what went wrong in the only house, or in the last one in which anything did; the others' is said.
    """
    places = houses()
    failed: Exception | None = None
    for place in places:
        if len(places) > 1:
            typer.echo(f"district {place.district}:")
        try:
            work(place)
        except Exception as error:  # noqa: BLE001  # a database's or a disk's, too
            if failed is not None:
                typer.echo(f"error: {failed}", err=True)
            failed = error
    if failed is not None:
        raise failed
