"""Raw logs made up for checks, the way ingest and the commands write them, signed with keys that everybody knows."""

from collections.abc import Iterable

import msgspec
from m0common.canonical import set_hash
from m0common.deployment import Deployment
from m0common.messages import RawEvent, encode_raw, raw_event
from m0common.messages.codec import encode_json
from m0common.stream.records import Record
from m0common.topics import RAW
from m0lanes.authority import signed
from m0lanes.control import (
    CatalogSetPayload,
    EpochEndPayload,
    MarketClosePayload,
    MarketOpenPayload,
    NextGeneration,
    SourceRule,
)
from m0lanes.generations import lanes_of, partition_of
from solders.keypair import Keypair

GENESIS = bytes([7]) * 32
CONTROL, CLOCK, REGISTRY, STRANGER = (Keypair.from_seed(bytes([number]) * 32) for number in (1, 2, 3, 4))
"""Nobody lists the last one's key."""


def public(key: Keypair) -> str:
    """A key as a `catalog_set` names it."""
    return bytes(key.pubkey()).hex()


def rules(**observing: SourceRule) -> dict[str, SourceRule]:
    """The sources of a catalog: those that observe, beside its clock and the registry."""
    return observing | {
        "clock": SourceRule(("epoch_end",), public(CLOCK)),
        "registry": SourceRule(("market_open", "market_close"), public(REGISTRY), dense=True),
    }


class MadeLog:
    """One log. `records` is what was written, in order; `now_ms` is the broker's time, to be moved on by who writes."""

    def __init__(self, partitions: int, now_ms: int) -> None:
        self.deployment = Deployment(GENESIS, bytes(CONTROL.pubkey()), partitions)
        self.records: list[Record] = []
        self.now_ms = now_ms
        self._next = [0] * partitions

    def write(self, partition: int, value: bytes) -> Record:
        """Any value, appended now."""
        record = Record(RAW.name, partition, self._next[partition], None, value, (), self.now_ms)
        self._next[partition] += 1
        self.records.append(record)
        return record

    def event(self, event: RawEvent, key: Keypair | None = None, partition: int | None = None) -> Record:
        """An event where its group lives, or in another partition; signed when a key is given."""
        if key is not None:
            event = signed(event, GENESIS, lambda message: bytes(key.sign_message(message)))
        where = partition_of(event.group, self.deployment.partitions) if partition is None else partition
        return self.write(where, encode_raw(event))


class MadeCatalog:
    """What is written about one catalog of a log: `base` is its first generation, to be defined before it begins."""

    def __init__(self, log: MadeLog, base: CatalogSetPayload) -> None:
        self.log, self.base = log, base
        self._sets: dict[int, CatalogSetPayload] = {}
        self._in_force = 0
        self._numbers: dict[str, int] = {}

    def define(self, generation: int, **changes: object) -> None:
        """Write a generation into its lanes and those in force; `changes` are fields that differ from `base`."""
        made = msgspec.structs.replace(self.base, generation=generation, **changes)
        self._sets[generation] = made
        name, now_ms = f"{made.catalog}:{generation}", self.log.now_ms
        event = raw_event("control", name, "", None, "catalog_set", now_ms, now_ms, made)
        for partition in sorted({*lanes_of(made), *self._lanes()}):
            self.log.event(event, CONTROL, partition)

    def end(self, epoch_id: int, following: int | None = None) -> None:
        """Write the marker of an epoch into the lanes, a second after its end; `following` takes force behind it."""
        start_ms = epoch_id * self.base.epoch_ms
        end_ms = start_ms + self.base.epoch_ms
        lanes, partitions, named = self._lanes(), {*self._lanes()}, None
        if following is not None:
            made = self._sets[following]
            named = NextGeneration(following, set_hash(encode_json(made)).hex())
            partitions |= {*lanes_of(made)}
        payload = EpochEndPayload(self.base.catalog, epoch_id, start_ms, end_ms, self._in_force, lanes, named)
        event = raw_event("clock", f"{self.base.catalog}:{epoch_id}", "", None, "epoch_end", end_ms, end_ms, payload)
        self.log.now_ms = max(self.log.now_ms, end_ms + 1_000)
        for partition in sorted(partitions):
            self.log.event(event, CLOCK, partition)
        if following is not None:
            self._in_force = following

    def _lanes(self) -> tuple[int, ...]:
        return lanes_of(self._sets[self._in_force]) if self._in_force else ()

    def open(self, group: str, market_id: str, outcomes: Iterable[str], attributes: dict[str, str]) -> Record:
        """Open a market now."""
        payload = MarketOpenPayload(self.base.catalog, tuple(outcomes), 1, self.log.now_ms, "", attributes)
        return self._registry("market_open", group, market_id, payload)

    def close(self, group: str, market_id: str) -> Record:
        """Close a market now."""
        return self._registry("market_close", group, market_id, MarketClosePayload(self.base.catalog))

    def _registry(self, kind: str, group: str, market_id: str, payload: msgspec.Struct) -> Record:
        number = self._numbers[group] = self._numbers.get(group, 0) + 1
        now_ms = self.log.now_ms
        name = f"{market_id}:{number}"
        event = raw_event("registry", name, group, market_id, kind, now_ms, now_ms, payload, number)
        return self.log.event(event, REGISTRY)
