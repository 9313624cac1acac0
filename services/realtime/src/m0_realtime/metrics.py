"""What the realtime server measures."""

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("m0_realtime_connections", "Open WebSocket connections")
SUBSCRIPTIONS = Gauge("m0_realtime_subscriptions", "Channels and wildcards held by all connections")
UPDATES = Counter("m0_realtime_updates_total", "Updates published", ["kind"])
FRAMES = Counter("m0_realtime_frames_total", "Update frames handed to clients")
REFUSED = Counter("m0_realtime_refused_total", "Connections and requests refused", ["reason"])
SLOW = Counter("m0_realtime_slow_consumers_total", "Clients cut because they did not read fast enough")
REPEATED = Counter("m0_realtime_repeated_total", "Records seen before and left out", ["topic"])
DROPPED = Counter("m0_realtime_dropped_total", "Records left out because a limit was reached", ["topic"])
BEHIND = Gauge("m0_realtime_catching_up", "1 while rings and snapshots are rebuilt from the log")
