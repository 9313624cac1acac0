"""Scoring: a resolved market says whether it was scored, so that those that were are not read again."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

RESOLVED = "markets (resolved_ms, market_id) WHERE resolution IS NOT NULL AND resolution <> 255"


def upgrade() -> None:
    """Every market begins unscored; the scorer notes those that have a score already as it comes by them."""
    op.execute("ALTER TABLE markets ADD COLUMN scored boolean NOT NULL DEFAULT false")
    op.execute(f"CREATE INDEX markets_unscored ON {RESOLVED} AND NOT scored")
    op.execute("DROP INDEX markets_resolved")


def downgrade() -> None:
    """Scores stay; which markets have none is found by looking."""
    op.execute(f"CREATE INDEX markets_resolved ON {RESOLVED}")
    op.execute("DROP INDEX markets_unscored")
    op.execute("ALTER TABLE markets DROP COLUMN scored")
