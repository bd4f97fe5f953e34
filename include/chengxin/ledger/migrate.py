"""Brings a ledger's schema up to date, with Alembic."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine


def config() -> Config:
    """Alembic's configuration: the migrations lie beside this file."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return made


def upgrade(engine: Engine) -> None:
    """Runs what is missing; nothing on a ledger that is up to date."""
    settings = config()
    # At `info` it says in each task's log which database this is.
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
