"""What the indexer measures."""

from prometheus_client import Counter, Gauge

EVENTS = Counter("m0_indexer_events_total", "Chain events stored", ["program", "name"])
UNREADABLE = Counter("m0_indexer_unreadable_events_total", "Events of ours that cannot be decoded", ["program"])
ROLLED_BACK = Counter("m0_indexer_rolled_back_transactions_total", "Transactions that vanished from the chain")
PASSES = Counter("m0_indexer_passes_total", "Completed passes over a program's history", ["program"])
CURSOR_SLOT = Gauge("m0_indexer_cursor_slot", "Slot of the newest final transaction that is stored", ["program"])
BUNDLES = Counter("m0_indexer_bundles_total", "Bundles stored", ["catalog"])
EMPTY = Counter("m0_indexer_empty_epochs_total", "Headers of epochs without leaves, which have no bundle", ["catalog"])
PIECES = Counter("m0_indexer_pieces_total", "Pieces of bundles taken in: kept, repeated", ["kind"])
PIECES_REMOVED = Counter("m0_indexer_pieces_removed_total", "Pieces that were kept long enough")
REFUSED = Counter("m0_indexer_headers_refused_total", "Headers whose pieces do not hold what they say", ["catalog"])
HEADERS_WAITING = Gauge("m0_indexer_headers_waiting", "Headers whose pieces are not all here")
HEADERS_GIVEN_UP = Counter("m0_indexer_headers_given_up_total", "Headers whose pieces never came", ["catalog"])
PROVISIONAL = Counter("m0_indexer_provisional_total", "Provisional predictions: stored, dropped", ["kind"])
PUBLISHED = Counter("m0_indexer_published_total", "Messages the broker acknowledged", ["topic"])
OUTBOX = Gauge("m0_indexer_outbox_messages", "Messages waiting for the broker")
WAITING = Gauge("m0_indexer_epochs_waiting_for_bundle", "Final epochs not announced because a bundle is missing")
CORRECTIONS = Counter(
    "m0_indexer_corrections_total", "Rows that differed from their account and were corrected", ["kind"]
)
