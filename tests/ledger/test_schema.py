"""The migrations make exactly the tables that the models say, on both databases."""

from __future__ import annotations

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from chengxin.ledger import Ledger, access, acts, decisions, erased, messages, migrate, objections, watch
from chengxin.ledger.models import Base
from tests.conftest import NOW


def test_migrated_schema_is_the_metadata(ledger: Ledger) -> None:
    modules = (erased.Erased, messages.Message, watch.SourceState, decisions.Decision, objections.Objection)
    known = {kept.__tablename__ for kept in (*modules, access.Access)}
    assert known <= set(Base.metadata.tables)
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrading_twice_changes_nothing(ledger: Ledger) -> None:
    before = inspect(ledger.engine).get_table_names()
    migrate.upgrade(ledger.engine)
    assert inspect(ledger.engine).get_table_names() == before
    with ledger.begin() as session:
        assert acts.head(session).seq == 0


def test_each_step_can_be_taken_back_and_again_with_acts_in_the_ledger(ledger: Ledger) -> None:
    with ledger.begin() as session:
        acts.record(session, NOW, "operator/li", "replay", "2026-06-15", reason="抽查")
    before = inspect(ledger.engine).get_table_names()
    for step in ("0005", "head"):
        settings = migrate.config()
        with ledger.engine.begin() as connection:
            settings.attributes["connection"] = connection
            (command.upgrade if step == "head" else command.downgrade)(settings, step)
        left = set(inspect(ledger.engine).get_table_names())
        assert ({"decision", "objection", "access"} <= left) == (step == "head")
    assert inspect(ledger.engine).get_table_names() == before
    with ledger.begin() as session:
        assert acts.verify(session).broken_at is None
        assert acts.head(session).seq == 1
