"""One channel: its sequence number, the ring of latest updates and the state that a snapshot shows. No I/O."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from m0_realtime import limits, protocol
from m0_realtime.names import Kind, Name

RINGS = {
    Kind.PREDICTIONS: limits.RING_PREDICTIONS,
    Kind.EPOCHS: limits.RING_EPOCHS,
    Kind.ALERTS: limits.RING_ALERTS,
    Kind.MARKET: limits.RING_MARKET,
    Kind.PROVISIONAL: 0,
}
SNAPSHOTS = {Kind.EPOCHS: limits.SNAPSHOT_EPOCHS, Kind.ALERTS: limits.SNAPSHOT_ALERTS}


class Entry(NamedTuple):
    """An update as it is kept: `data` is the encoded JSON object, `trace` the `traceparent` of what made it."""

    seq: int
    ts_ms: int
    data: bytes
    trace: str = ""


@dataclass(slots=True)
class Channel:
    """`state` holds the newest item by key; event channels (epochs, alerts) keep the newest few."""

    name: Name
    seq: int = 0
    ring: deque[Entry] = field(init=False)
    state: dict[str, bytes] = field(default_factory=dict)
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.ring = deque(maxlen=RINGS[self.name.kind])
        self.text = str(self.name)

    def append(self, key: str, data: bytes, ts_ms: int, *, in_state: bool = True, trace: str = "") -> Entry:
        """Number an update and remember it."""
        self.seq += 1
        entry = Entry(self.seq, ts_ms, data, trace)
        self.ring.append(entry)
        self.state.pop(key, None)
        if in_state:
            self.state[key] = data
            while len(self.state) > SNAPSHOTS.get(self.name.kind, len(self.state)):
                del self.state[next(iter(self.state))]
        return entry

    def retire(self, key: str) -> None:
        """Show `key` in snapshots no more."""
        self.state.pop(key, None)

    def trim(self) -> None:
        """Nothing more is expected: keep the newest update alone."""
        while len(self.ring) > 1:
            self.ring.popleft()

    def rebase(self, shift: int) -> None:
        """Move every number by `shift`: what was counted from the middle of the log gets its true place."""
        self.seq += shift
        moved = [entry._replace(seq=entry.seq + shift) for entry in self.ring]
        self.ring.clear()
        self.ring.extend(moved)

    def encode(self, entry: Entry) -> bytes:
        """The update frame of an entry."""
        return protocol.update(self.text, entry.seq, entry.ts_ms, entry.data, entry.trace)

    def snapshot(self) -> bytes:
        """The snapshot frame; event channels show the newest first, like REST."""
        items = self.state.values()
        ordered = reversed(items) if self.name.kind in SNAPSHOTS else iter(items)
        return protocol.snapshot(self.text, self.seq, ordered)

    def catch_up(self, last_seen: int | None) -> Iterator[bytes]:
        """The frames that bring a client that has seen `last_seen` (None: nothing) to now."""
        if last_seen is None:
            yield self.snapshot()
            return
        if last_seen == self.seq:
            return
        if last_seen > self.seq:
            yield protocol.gap(self.text, last_seen + 1, self.seq, "reset")
            yield self.snapshot()
            return
        missing = self.seq - last_seen
        if missing <= len(self.ring):
            for i in range(len(self.ring) - missing, len(self.ring)):
                yield self.encode(self.ring[i])
            return
        reason = "conflated" if self.name.kind is Kind.PROVISIONAL else "expired"
        yield protocol.gap(self.text, last_seen + 1, self.seq, reason)
        yield self.snapshot()
