"""Leases: which process does what only one may do."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A fencing number never falls, so a row is never deleted."""
    op.execute(
        """
        CREATE TABLE leases (
            name    text PRIMARY KEY,
            holder  text NOT NULL,
            fence   bigint NOT NULL,
            until   timestamptz NOT NULL
        )
        """
    )


def downgrade() -> None:
    """Drop the table."""
    op.execute("DROP TABLE leases")
