"""An index of each source's days: how old a source is, is asked by every page that shows it."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_harvest_source_day", "harvest", ["source", "as_of"])


def downgrade() -> None:
    op.drop_index("ix_harvest_source_day", "harvest")
