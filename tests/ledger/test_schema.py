"""The migrations make exactly the tables that the models say, on both databases."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from chengxin.ledger import Ledger, access, acts, decisions, erased, messages, migrate, objections, watch
from chengxin.ledger.models import Base


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
