"""What the indexer counts and measures."""

from typing import Final

from m0common.telemetry.definition import NUMBER, Label
from m0common.telemetry.labels import CATALOG, TOPIC
from m0common.telemetry.metrics import counter, gauge

PROGRAM: Final = Label("program", at_most=16)

EVENTS: Final = counter(
    "m0_indexer_events_total", "events", "Chain events stored.", PROGRAM, Label("name", at_most=64)
)  # fmt: skip
UNREADABLE: Final = counter(
    "m0_indexer_unreadable_events_total", "events", "Events of our programs that cannot be decoded.", PROGRAM,
    failures=True,
)  # fmt: skip
ROLLED_BACK: Final = counter(
    "m0_indexer_rolled_back_transactions_total", "transactions", "Transactions that vanished from the chain.",
    failures=True,
)  # fmt: skip
PASSES: Final = counter(
    "m0_indexer_passes_total", "passes", "Completed passes over a program's history.", PROGRAM
)  # fmt: skip
CURSOR_SLOT: Final = gauge(
    "m0_indexer_cursor_slot", NUMBER, "Slot of the newest final transaction that is stored.", PROGRAM
)
BUNDLES: Final = counter("m0_indexer_bundles_total", "bundles", "Bundles stored.", CATALOG)
EMPTY: Final = counter(
    "m0_indexer_empty_epochs_total", "epochs", "Headers of epochs without leaves, which have no bundle.", CATALOG
)
PIECES: Final = counter(
    "m0_indexer_pieces_total", "pieces", "Pieces of bundles taken in.", Label("kind", among=("kept", "repeated"))
)
PIECES_REMOVED: Final = counter(
    "m0_indexer_removed_pieces_total", "pieces", "Pieces that were kept long enough."
)  # fmt: skip
REFUSED: Final = counter(
    "m0_indexer_refused_headers_total", "headers", "Headers whose pieces do not hold what they say.", CATALOG,
    failures=True,
)  # fmt: skip
HEADERS_WAITING: Final = gauge("m0_indexer_waiting_headers", "headers", "Headers whose pieces are not all here.")
HEADERS_GIVEN_UP: Final = counter(
    "m0_indexer_abandoned_headers_total", "headers", "Headers whose pieces never came.", CATALOG, failures=True
)
PROVISIONAL: Final = counter(
    "m0_indexer_provisional_predictions_total", "predictions", "Provisional predictions read.",
    Label("kind", among=("stored", "dropped")),
)  # fmt: skip
PUBLISHED: Final = counter(
    "m0_indexer_published_messages_total", "messages", "Messages the broker acknowledged.", TOPIC
)  # fmt: skip
OUTBOX: Final = gauge("m0_indexer_outbox_messages", "messages", "Messages waiting for the broker.")
WAITING: Final = gauge(
    "m0_indexer_waiting_epochs", "epochs", "Final epochs not published because a bundle is missing."
)  # fmt: skip
BODIES_MISSING: Final = counter(
    "m0_indexer_missing_bodies_total", "bodies", "Final epochs published without predictions: their body is gone.",
    CATALOG, failures=True,
)  # fmt: skip
CORRECTIONS: Final = counter(
    "m0_indexer_corrected_rows_total", "rows", "Rows that differed from their account and were corrected.",
    Label("kind", at_most=16), failures=True,
)  # fmt: skip
