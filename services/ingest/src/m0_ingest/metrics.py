"""What ingest counts and measures."""

from typing import Final

from m0common.telemetry.definition import NUMBER, Label
from m0common.telemetry.labels import CATALOG, ERROR, KIND, SOURCE
from m0common.telemetry.metrics import counter, gauge

WRITTEN: Final = counter(
    "m0_ingest_written_events_total", "events", "Raw events acknowledged by the broker.", SOURCE, KIND
)
DEAD_LETTERS: Final = counter(
    "m0_ingest_dead_letters_total", "letters", "Messages written to the dead letters by ingest.", ERROR, failures=True
)
RETRIES: Final = counter(
    "m0_ingest_retries_total", "retries", "Attempts repeated because a dependency was unavailable.",
    Label("dependency", at_most=64), failures=True,
)  # fmt: skip
LAG_SECONDS: Final = gauge(
    "m0_ingest_history_lag_seconds", "seconds", "How far the history is behind its own clock.", CATALOG
)
CURSOR: Final = gauge(
    "m0_ingest_history_cursor", NUMBER, "Index of the last event of the history that was acknowledged.", CATALOG
)
SEASON: Final = gauge("m0_ingest_history_season", NUMBER, "Which season of the data is being played.", CATALOG)
REFUSED: Final = counter(
    "m0_ingest_refused_values_total", "values", "Values not sent because a domain or the door would refuse them.",
    CATALOG, KIND, failures=True,
)  # fmt: skip
MISSED: Final = counter(
    "m0_ingest_missed_epochs_total", "epochs", "Epochs that have no marker because nothing ran.", CATALOG,
    failures=True,
)  # fmt: skip
CLOCK_AHEAD_SECONDS: Final = gauge(
    "m0_ingest_clock_ahead_seconds", "seconds", "How far the epoch clock is ahead of the wall clock."
)
SKIPPED: Final = counter(
    "m0_ingest_skipped_events_total", "events",
    "Events of a history left out: their market never opened, or nobody names their group.", CATALOG, KIND,
)  # fmt: skip
LISTED: Final = counter(
    "m0_ingest_listed_markets_total", "markets", "Markets of the data, by whether and how they came on chain.", CATALOG,
    Label("how", among=("created", "found", "too_late", "not_named", "refused")), failures=("refused",),
)  # fmt: skip
OPEN_MARKETS: Final = gauge(
    "m0_ingest_open_markets", "markets", "Markets said to be open and not closed since.", CATALOG
)
MARKERS: Final = counter(
    "m0_ingest_epoch_markers_total", "markers", "Epochs whose end was written to every lane.", CATALOG
)
MARKER_DELAY_SECONDS: Final = gauge(
    "m0_ingest_marker_delay_seconds", "seconds", "How late the newest epoch marker was, beyond the lateness set.",
    CATALOG,
)  # fmt: skip
REGISTRAR_LAMPORTS: Final = gauge(
    "m0_ingest_registrar_lamports", "lamports", "What the registrar has left to pay rent of markets with."
)
