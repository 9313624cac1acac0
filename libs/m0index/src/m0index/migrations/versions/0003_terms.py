"""Terms: the schema says for which versions it is."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE schema_terms (
        is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        oldest   text NOT NULL
    )
    """,
    "COMMENT ON COLUMN schema_terms.oldest IS 'the step that a version must know to use this schema'",
    "INSERT INTO schema_terms (oldest) VALUES ('0003')",
)


def upgrade() -> None:
    """Versions before this one do not look; those that do know this step."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the table."""
    op.execute("DROP TABLE schema_terms")
