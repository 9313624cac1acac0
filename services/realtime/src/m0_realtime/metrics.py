"""What the realtime server counts and measures."""

from typing import Final

from m0common.telemetry.definition import BOOLEAN, Label
from m0common.telemetry.labels import TOPIC
from m0common.telemetry.metrics import counter, gauge

from m0_realtime.names import Kind

CONNECTIONS: Final = gauge("m0_realtime_connections", "connections", "Open WebSocket connections.")
SUBSCRIPTIONS: Final = gauge(
    "m0_realtime_subscriptions", "subscriptions", "Channels and wildcards held by all connections."
)
UPDATES: Final = counter(
    "m0_realtime_updates_total", "updates", "Updates published, by kind of channel.", Label("kind", among=tuple(Kind))
)
FRAMES: Final = counter("m0_realtime_frames_total", "frames", "Update frames handed to clients.")
REFUSED: Final = counter(
    "m0_realtime_refusals_total", "refusals", "Connections and requests refused, by the code that the client is told.",
    Label("code", at_most=32), failures=True,
)  # fmt: skip
SLOW: Final = counter(
    "m0_realtime_slow_consumers_total", "consumers", "Clients cut because they did not read fast enough.",
    failures=True,
)  # fmt: skip
REPEATED: Final = counter(
    "m0_realtime_repeated_records_total", "records", "Records seen before and left out.", TOPIC
)  # fmt: skip
DROPPED: Final = counter(
    "m0_realtime_dropped_records_total", "records", "Records left out because a limit was reached.", TOPIC,
    failures=True,
)  # fmt: skip
BEHIND: Final = gauge(
    "m0_realtime_catching_up", BOOLEAN, "1 while rings and snapshots are rebuilt from the log."
)  # fmt: skip
