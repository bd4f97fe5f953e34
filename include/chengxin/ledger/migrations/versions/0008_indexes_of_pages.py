"""indexes of what pages ask a year's ledger: the newest mails, the harvests of a day"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_message_newest", "message", ["district", "mode", "id"])
    op.drop_index("ix_message_day", "message")
    op.create_index("ix_message_day", "message", ["district", "as_of", "mode"])
    op.create_index("ix_harvest_as_of", "harvest", ["as_of"])


def downgrade() -> None:
    op.drop_index("ix_harvest_as_of", "harvest")
    op.drop_index("ix_message_day", "message")
    op.create_index("ix_message_day", "message", ["district", "as_of"])
    op.drop_index("ix_message_newest", "message")
