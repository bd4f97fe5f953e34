"""parts of a harvest"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "harvest_part",
        sa.Column("harvest_id", SERIAL, nullable=False),
        sa.Column("part", sa.String(length=64), nullable=False),
        sa.Column("cursor", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["harvest_id"], ["harvest.id"]),
        sa.PrimaryKeyConstraint("harvest_id", "part"),
    )


def downgrade() -> None:
    op.drop_table("harvest_part")
