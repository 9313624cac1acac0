"""What ingest counts and measures."""

from prometheus_client import Counter, Gauge

WRITTEN = Counter("m0_ingest_written_total", "Raw events acknowledged by the broker.", ["source", "kind"])
DEAD_LETTERS = Counter("m0_ingest_dead_letters_total", "Messages written to the dead letters by ingest.", ["error"])
RETRIES = Counter("m0_ingest_retries_total", "Attempts repeated because a dependency was unavailable.", ["dependency"])
LAG_MS = Gauge("m0_ingest_replay_lag_ms", "How far the replay is behind its own clock.", ["catalog"])
CURSOR = Gauge("m0_ingest_replay_cursor", "Index of the last replayed event that was acknowledged.", ["catalog"])
SEASON = Gauge("m0_ingest_replay_season", "Which season of the data is being played.", ["catalog"])
REFUSED = Counter(
    "m0_ingest_refused_total", "Values not sent because a domain or the door would refuse them.", ["catalog", "kind"]
)
MISSED = Counter("m0_ingest_missed_epochs_total", "Epochs that have no marker because nothing ran.", ["catalog"])
CLOCK_AHEAD_MS = Gauge("m0_ingest_clock_ahead_ms", "How far the epoch clock is ahead of the wall clock.")
SKIPPED = Counter(
    "m0_ingest_skipped_total",
    "Replayed events left out: their market never opened, or nobody names their group.",
    ["catalog", "kind"],
)
LISTED = Counter("m0_ingest_markets_listed_total", "Markets found or created on chain.", ["catalog", "how"])
OPEN_MARKETS = Gauge("m0_ingest_open_markets", "Markets announced as open and not closed since.", ["catalog"])
MARKERS = Counter("m0_ingest_epoch_markers_total", "Epochs whose end was written to every lane.", ["catalog"])
MARKER_LATE_MS = Gauge("m0_ingest_marker_late_ms", "How late the newest epoch marker was.", ["catalog"])
REGISTRAR_LAMPORTS = Gauge("m0_ingest_registrar_lamports", "What the registrar has left to pay rent of markets with.")
