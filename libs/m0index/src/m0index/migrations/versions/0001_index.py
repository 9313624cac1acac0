"""The index of the chain and of bundles, outcomes and scores, and the outbox."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE DOMAIN commitment AS text CHECK (VALUE IN ('processed', 'confirmed', 'finalized'))",
    "CREATE DOMAIN hash32 AS bytea CHECK (octet_length(VALUE) = 32)",
    # --- where readers stand -------------------------------------------------------------------------------------
    """
    CREATE TABLE cursors (
        name        text PRIMARY KEY,
        value       text NOT NULL,
        slot        bigint NOT NULL,
        updated_ms  bigint NOT NULL
    )
    """,
    # --- the chain, as read --------------------------------------------------------------------------------------
    """
    CREATE TABLE chain_transactions (
        program     text NOT NULL,
        signature   text NOT NULL,
        slot        bigint NOT NULL,
        position    bigint GENERATED ALWAYS AS IDENTITY,
        block_ms    bigint,
        commitment  commitment NOT NULL,
        PRIMARY KEY (program, signature)
    )
    """,
    "CREATE INDEX chain_transactions_unsettled ON chain_transactions (program, slot) WHERE commitment <> 'finalized'",
    """
    CREATE TABLE chain_events (
        signature   text NOT NULL,
        instruction integer NOT NULL,
        inner_index integer NOT NULL,
        program     text NOT NULL,
        name        text NOT NULL,
        entity      text NOT NULL,
        slot        bigint NOT NULL,
        position    bigint NOT NULL,
        block_ms    bigint,
        commitment  commitment NOT NULL,
        body        jsonb NOT NULL,
        PRIMARY KEY (signature, instruction, inner_index)
    )
    """,
    "CREATE INDEX chain_events_entity ON chain_events (entity, slot, position, instruction, inner_index)",
    # --- what the events add up to -------------------------------------------------------------------------------
    """
    CREATE TABLE signer_sets (
        id                bigint PRIMARY KEY,
        threshold         integer NOT NULL,
        activation_epoch  bigint NOT NULL,
        digest            hash32 NOT NULL,
        signers           text[] NOT NULL,
        retired           boolean NOT NULL,
        slot              bigint NOT NULL,
        commitment        commitment NOT NULL
    )
    """,
    """
    CREATE TABLE catalogs (
        catalog        text PRIMARY KEY,
        signer_set_id  bigint NOT NULL,
        epoch_ms       bigint NOT NULL,
        commit_ms      bigint NOT NULL,
        reveal_ms      bigint NOT NULL,
        slot           bigint NOT NULL,
        commitment     commitment NOT NULL
    )
    """,
    """
    CREATE TABLE markets (
        market_id          text PRIMARY KEY,
        market_key         hash32 NOT NULL UNIQUE,
        catalog            text NOT NULL,
        market_group       text NOT NULL,
        title              text NOT NULL,
        outcomes           text[] NOT NULL,
        state              text NOT NULL CHECK (state IN ('DRAFT', 'ACTIVE', 'PAUSED', 'DEPRECATED', 'ARCHIVED')),
        schema_version     integer NOT NULL,
        opens_ms           bigint NOT NULL,
        resolves_after_ms  bigint NOT NULL,
        resolution         integer,
        resolved_ms        bigint,
        evidence_hash      hash32,
        slot               bigint NOT NULL,
        commitment         commitment NOT NULL
    )
    """,
    "CREATE INDEX markets_catalog ON markets (catalog, market_id)",
    """
    CREATE TABLE epochs (
        catalog             text NOT NULL,
        epoch_id            bigint NOT NULL,
        status              text NOT NULL CHECK (status IN ('open', 'committing', 'revealing', 'finalized', 'expired')),
        signer_set_id       bigint NOT NULL,
        window_start_ms     bigint NOT NULL,
        window_end_ms       bigint NOT NULL,
        commit_deadline_ms  bigint NOT NULL,
        reveal_deadline_ms  bigint NOT NULL,
        leaf_count          bigint,
        merkle_root         hash32,
        bundle_hash         hash32,
        prev_bundle_hash    hash32,
        signers_mask        bigint,
        finalized_slot      bigint,
        finalized_ms        bigint,
        finalize_signature  text,
        closed              boolean NOT NULL DEFAULT false,
        published           boolean NOT NULL DEFAULT false,
        slot                bigint NOT NULL,
        commitment          commitment NOT NULL,
        settled             boolean GENERATED ALWAYS AS (status = 'finalized' AND commitment = 'finalized') STORED,
        public_status       text GENERATED ALWAYS AS (
            CASE WHEN status = 'finalized' AND commitment <> 'finalized' THEN 'revealing' ELSE status END
        ) STORED,
        PRIMARY KEY (catalog, epoch_id)
    )
    """,
    "CREATE INDEX epochs_newest ON epochs (window_end_ms DESC, catalog DESC, epoch_id DESC)",
    "CREATE INDEX epochs_status ON epochs (public_status, window_end_ms DESC, catalog DESC, epoch_id DESC)",
    "CREATE INDEX epochs_unpublished ON epochs (catalog, epoch_id) WHERE settled AND NOT published",
    "CREATE INDEX epochs_bundle ON epochs (bundle_hash)",
    """
    CREATE TABLE epoch_signers (
        catalog            text NOT NULL,
        epoch_id           bigint NOT NULL,
        signer             text NOT NULL,
        committed          boolean NOT NULL,
        revealed           boolean NOT NULL,
        commitment_hash    hash32,
        bundle_hash        hash32,
        attestation        bytea,
        attestation_valid  boolean,
        commit_signature   text,
        reveal_signature   text,
        commitment         commitment NOT NULL,
        PRIMARY KEY (catalog, epoch_id, signer)
    )
    """,
    # --- bundles, by content -------------------------------------------------------------------------------------
    """
    CREATE TABLE bundles (
        bundle_hash         hash32 PRIMARY KEY,
        catalog             text NOT NULL,
        epoch_id            bigint NOT NULL,
        header              bytea NOT NULL,
        merkle_root         hash32 NOT NULL,
        prev_bundle_hash    hash32 NOT NULL,
        leaf_count          bigint NOT NULL,
        window_start_ms     bigint NOT NULL,
        window_end_ms       bigint NOT NULL,
        input_digests       jsonb NOT NULL,
        state_digests       jsonb NOT NULL,
        stored_ms           bigint NOT NULL
    )
    """,
    "CREATE INDEX bundles_epoch ON bundles (catalog, epoch_id)",
    """
    CREATE TABLE leaves (
        bundle_hash  hash32 NOT NULL REFERENCES bundles ON DELETE CASCADE,
        leaf_index   integer NOT NULL,
        market_id    text NOT NULL,
        epoch_id     bigint NOT NULL,
        catalog      text NOT NULL,
        leaf         bytea NOT NULL,
        leaf_hash    hash32 NOT NULL,
        model        text NOT NULL,
        PRIMARY KEY (bundle_hash, leaf_index)
    )
    """,
    "CREATE INDEX leaves_market ON leaves (market_id, epoch_id DESC)",
    # --- bundles on their way ------------------------------------------------------------------------------------
    """
    CREATE TABLE pieces (
        name       hash32 PRIMARY KEY,
        catalog    text NOT NULL,
        value      bytea NOT NULL,
        stored_ms  bigint NOT NULL
    )
    """,
    "CREATE INDEX pieces_age ON pieces (stored_ms)",
    """
    CREATE TABLE waiting_headers (
        name         hash32 PRIMARY KEY,
        bundle_hash  hash32 NOT NULL,
        catalog      text NOT NULL,
        value        bytea NOT NULL,
        pieces       bytea[] NOT NULL,
        stored_ms    bigint NOT NULL
    )
    """,
    "CREATE INDEX waiting_headers_bundle ON waiting_headers (bundle_hash)",
    "CREATE INDEX waiting_headers_pieces ON waiting_headers USING gin (pieces)",
    # --- what the models say of markets now ----------------------------------------------------------------------
    """
    CREATE TABLE provisional (
        market_id      text PRIMARY KEY,
        catalog        text NOT NULL,
        epoch_id       bigint NOT NULL,
        life           bigint NOT NULL,
        cause          bigint NOT NULL,
        event_ms       bigint NOT NULL,
        window_end_ms  bigint NOT NULL,
        outcomes       jsonb NOT NULL,
        risk_bps       integer NOT NULL,
        quality_flags  bigint NOT NULL,
        model          text NOT NULL,
        model_key      hash32 NOT NULL
    )
    """,
    # --- what came true ------------------------------------------------------------------------------------------
    "CREATE SEQUENCE outcomes_position",
    """
    CREATE TABLE outcomes (
        market_id      text NOT NULL,
        outcome        integer NOT NULL,
        position       bigint NOT NULL DEFAULT nextval('outcomes_position'),
        catalog        text NOT NULL,
        evidence_hash  hash32 NOT NULL,
        event_ms       bigint NOT NULL,
        source         text NOT NULL,
        received_ms    bigint NOT NULL,
        PRIMARY KEY (market_id, outcome)
    )
    """,
    """
    CREATE TABLE scores (
        market_id  text NOT NULL,
        epoch_id   bigint NOT NULL,
        model      text NOT NULL,
        catalog    text NOT NULL,
        brier      double precision NOT NULL,
        log_loss   double precision NOT NULL,
        outcome    integer NOT NULL,
        scored_ms  bigint NOT NULL,
        PRIMARY KEY (market_id, epoch_id, model)
    )
    """,
    "CREATE INDEX scores_model ON scores (catalog, model, scored_ms)",
    # --- messages that wait for the broker -----------------------------------------------------------------------
    """
    CREATE TABLE outbox (
        id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        topic       text NOT NULL,
        routing     text NOT NULL,
        key         bytea NOT NULL,
        value       bytea NOT NULL,
        created_ms  bigint NOT NULL
    )
    """,
)

TABLES = (
    "outbox",
    "scores",
    "outcomes",
    "provisional",
    "waiting_headers",
    "pieces",
    "leaves",
    "bundles",
    "epoch_signers",
    "epochs",
    "markets",
    "catalogs",
    "signer_sets",
    "chain_events",
    "chain_transactions",
    "cursors",
)


def upgrade() -> None:
    """Create every table."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop every table."""
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE outcomes_position")
    op.execute("DROP DOMAIN hash32")
    op.execute("DROP DOMAIN commitment")
