"""Positions: where readers of the log stand, beside what they made of it."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE positions (
        reader       text NOT NULL,
        topic        text NOT NULL,
        partition    integer NOT NULL,
        cluster      text NOT NULL,
        next_offset  bigint NOT NULL,
        PRIMARY KEY (reader, topic, partition)
    )
    """,
    "COMMENT ON COLUMN positions.cluster IS 'the id of the Kafka cluster that the offset is one of'",
)


def upgrade() -> None:
    """Readers begin at the log's beginning: what they make of it they make once."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the table."""
    op.execute("DROP TABLE positions")
