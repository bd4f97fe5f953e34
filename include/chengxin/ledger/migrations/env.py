"""Alembic's environment: migrations run on the connection that `chengxin.ledger.migrate` hands over."""

from typing import Any, Literal

from alembic import context

from chengxin.ledger import acts, answers, erased, messages, models, watch


def _render(kind: str, value: Any, _context: Any) -> str | Literal[False]:
    """Migrations name SQLAlchemy's own types, so that they outlive a move of ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(value, models.Instant) else False


# Importing the modules puts their tables into the metadata.
kept = (acts.Act, answers.Answer, erased.Erased, messages.Message, watch.SourceState)
assert {model.__tablename__ for model in kept} <= set(models.Base.metadata.tables)
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=models.Base.metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
