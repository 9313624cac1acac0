"""Hard limits, each with its reason; docs/api.md tells them to clients. How many may connect is a setting."""

MAX_CHANNELS_PER_CLIENT = 256
"""Channels and wildcards that one connection may hold."""
MAX_MESSAGE_BYTES = 64 * 1024
"""A longer client message closes the connection with 1009."""
MAX_BUFFERED_BYTES = 1 << 20
"""Unread bytes, beside snapshots asked for, after which a client is cut as too slow."""
SLOW_CONSUMER_CODE = 4008
"""Close code of a client that was cut; it may come back and resume."""
ABORT_AFTER_S = 5.0
"""A client that does not read its close frame in this time loses the connection."""
REQUESTS_PER_S = 20.0
REQUEST_BURST = 100
"""Client messages beyond this rate wait; nobody is disconnected for talking."""

TICK_S = 0.005
"""Frames of one tick leave in one write per client: several times the messages per CPU second."""
CONFLATE_S = 0.25
"""A provisional channel sends at most one update per market in this time."""

RING_PREDICTIONS = 2048
RING_EPOCHS = 512
RING_ALERTS = 512
RING_MARKET = 8
"""Updates kept per channel for those who resume; older ones are a gap and a snapshot."""
SNAPSHOT_EPOCHS = 64
SNAPSHOT_ALERTS = 256
"""The newest that a snapshot of an event channel holds."""

BACKLOG_RECORDS = 250_000
"""Records per partition read at start to rebuild rings and snapshots, where anchors allow less than all."""
BACKLOG_PROVISIONAL = 50_000
MAX_PROVISIONAL_MARKETS = 100_000
"""Markets of open epochs with a provisional prediction; more are dropped and counted."""
BATCH_RECORDS = 1000
POLL_MS = 1000
ANCHOR_EVERY_S = 600.0
"""How often the numbering is written down: far below the log's retention, so that an anchor always lies inside it."""
MARKET_WAIT_S = 2.0
"""How long a prediction of an unknown market waits for the registry topic."""
