"""Plans: an index for each question that is asked often and of much."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = {
    "chain_transactions_slot": "chain_transactions (program, slot)",
    "epochs_catalog": "epochs (catalog, window_end_ms DESC, epoch_id DESC)",
    "epochs_catalog_status": "epochs (catalog, public_status, window_end_ms DESC, epoch_id DESC)",
    "epochs_unfinished": (
        "epochs (catalog, epoch_id) WHERE status IN ('open', 'committing', 'revealing') AND NOT closed"
    ),
    "epochs_closable": (
        "epochs (window_end_ms, catalog)"
        " WHERE status IN ('finalized', 'expired') AND NOT closed AND commitment = 'finalized'"
    ),
    "markets_state": "markets (state, market_id)",
    "markets_catalog_state": "markets (catalog, state, market_id)",
    "markets_unresolved": "markets (resolves_after_ms, market_id) WHERE resolution IS NULL",
    "markets_resolved": "markets (resolved_ms, market_id) WHERE resolution IS NOT NULL AND resolution <> 255",
}
UNUSED = (
    "CREATE INDEX chain_transactions_unsettled ON chain_transactions (program, slot) WHERE commitment <> 'finalized'"
)


def upgrade() -> None:
    """What was stored since a slot is asked for whatever its commitment: the partial index was never used."""
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {what}")
    op.execute("DROP INDEX chain_transactions_unsettled")


def downgrade() -> None:
    """The indexes of before."""
    op.execute(UNUSED)
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
