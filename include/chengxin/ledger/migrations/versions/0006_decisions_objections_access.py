"""decisions of officers, objections of subjects, looks"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "decision",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("act", SERIAL, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("district", sa.String(length=12), nullable=False),
        sa.Column("advice_id", sa.String(length=64), nullable=False),
        sa.Column("matter_id", sa.String(length=128), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("weighed", sa.String(length=16), nullable=False),
        sa.Column("advised", sa.String(length=16), nullable=False),
        sa.Column("against", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("act"),
    )
    op.create_index("ix_decision_month", "decision", ["district", "at"])
    op.create_index("ix_decision_advice_id", "decision", ["advice_id"])
    op.create_table(
        "objection",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("act", SERIAL, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("district", sa.String(length=12), nullable=False),
        sa.Column("advice_id", sa.String(length=64), nullable=False),
        sa.Column("matter_id", sa.String(length=128), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("received_by", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(length=64), nullable=True),
        sa.Column("settled_act", SERIAL, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("act"),
        sa.UniqueConstraint("settled_act"),
    )
    op.create_index("ix_objection_advice_id", "objection", ["advice_id"])
    op.create_index("ix_objection_department", "objection", ["department"])
    op.create_table(
        "access",
        sa.Column("act", SERIAL, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("what", sa.String(length=25), nullable=False),
        sa.Column("subject_sha256", sa.String(length=64), nullable=False),
        sa.Column("route", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("act"),
    )
    op.create_index("ix_access_account", "access", ["account", "what", "at"])
    op.create_index("ix_access_at", "access", ["at"])
    op.create_index("ix_access_subject_sha256", "access", ["subject_sha256"])


def downgrade() -> None:
    op.drop_table("access")
    op.drop_table("objection")
    op.drop_table("decision")
