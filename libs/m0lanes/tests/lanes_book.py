"""The heart told a second time, as a reader of the design would write it down: lists, and everything in order.

For one catalog of the toy domain: what each lane applies and in which window, its input digest, and the leaves.
"""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from m0common.messages import RawEvent
from m0common.stream.records import Record
from m0lanes.authority import identity

PPB = 1_000_000_000
_event = msgspec.json.Decoder(RawEvent).decode


@dataclass
class LaneBook:
    groups: set[str]
    epoch_ms: int
    horizon_ms: int
    last_end: int | None = None
    waiting: list[tuple[RawEvent, bytes]] = field(default_factory=list)
    seen: set[tuple] = field(default_factory=set)
    markets: dict[str, str] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    faces: dict[str, list[int]] = field(default_factory=dict)
    last: dict[str, tuple[int, int]] = field(default_factory=dict)
    digest: bytes = bytes(32)
    epochs: dict[int, tuple[bytes, dict[str, tuple]]] = field(default_factory=dict)

    @property
    def open_end(self) -> int:
        return self.last_end + self.epoch_ms

    def read(self, record: Record) -> None:
        event = _event(record.value)
        if event.kind == "epoch_end":
            self.marker(msgspec.json.decode(event.payload))
        elif event.kind != "catalog_set" and self.last_end is not None and event.group in self.groups:
            ahead = event.event_ms >= max(self.open_end + self.epoch_ms, record.append_ms + 60_000)
            old = event.kind == "toss" and event.event_ms < record.append_ms - self.horizon_ms
            if ahead and event.source == "registry":
                self.seen.add(self.mark(event, identity(event)))
            if not ahead and not old:
                self.waiting.append((event, identity(event)))
                self.release(self.open_end)

    def marker(self, said: dict) -> None:
        start, end = said["window_start_ms"], said["window_end_ms"]
        if self.last_end is None:
            self.last_end = end
            return
        if end <= self.last_end:
            return
        assert end - start == self.epoch_ms
        self.release(end)
        self.epochs[said["epoch_id"]] = (
            self.digest,
            {m: self.leaf(m, g, end) for m, g in self.markets.items() if m not in self.stopped},
        )
        self.digest, self.last_end = bytes(32), end
        self.release(self.open_end)

    def release(self, below: int) -> None:
        now, self.waiting = (
            [w for w in self.waiting if w[0].event_ms < below],
            [w for w in self.waiting if w[0].event_ms >= below],
        )
        for event, event_id in now:
            self.apply(event, event_id)

    def apply(self, event: RawEvent, event_id: bytes) -> None:
        mark = self.mark(event, event_id)
        if mark in self.seen:
            return
        if event.kind == "toss":
            if event.market_id is not None and event.market_id not in self.markets:
                return
            payload = msgspec.json.decode(event.payload)
            heads = int(payload["heads"])
            self.faces.setdefault(event.group, [0, 0])[1 - heads] += 1
            self.last[event.group] = (event.event_ms, heads)
            if payload.get("decides") and event.market_id:
                self.stopped.add(event.market_id)
        elif event.kind == "market_open":
            if event.market_id not in self.markets:
                self.markets[event.market_id] = event.group
                self.stopped.discard(event.market_id)
        else:
            self.markets.pop(event.market_id, None)
        self.seen.add(mark)
        self.digest = hashlib.sha256(self.digest + event_id).digest()

    @staticmethod
    def mark(event: RawEvent, event_id: bytes) -> tuple:
        return event.source, event.group, event.source_seq if event.source in {"registry", "table"} else event_id

    def leaf(self, market_id: str, group: str, at_ms: int) -> tuple:
        heads, tails = self.faces.get(group, (0, 0))
        p = (heads + 1) * PPB // (heads + tails + 2)
        last = self.last.get(group)
        row = {} if last is None else {"age_ms": at_ms - last[0], "last_heads": last[1]}
        parts = [b"M0FEATURE1", hashlib.sha256(market_id.encode()).digest(), struct.pack("<I", len(row))]
        for name, value in sorted(row.items()):
            parts.append(struct.pack("<I", len(name)) + name.encode() + struct.pack("<q", value))
        return (p, PPB - p), hashlib.sha256(b"".join(parts)).digest()


def told(records: Iterable[Record], lanes: dict[int, set[str]], epoch_ms: int, horizon_ms: int):
    """By epoch that every lane passed: the lanes' input digests, and the leaves by market."""
    books = {partition: LaneBook(groups, epoch_ms, horizon_ms) for partition, groups in lanes.items()}
    for record in records:
        if record.partition in books:
            books[record.partition].read(record)
    common = set.intersection(*(set(book.epochs) for book in books.values()))
    return {
        epoch: (
            {partition: book.epochs[epoch][0] for partition, book in books.items()},
            {market: leaf for book in books.values() for market, leaf in book.epochs[epoch][1].items()},
        )
        for epoch in common
    }
