"""Signed raw logs for tests, built the way ingest and the commands write them, and ways to run them."""

import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec
from lanes_toy import Coins, OtherCoins
from m0common.canonical import PredictionLeaf, set_hash
from m0common.deployment import Deployment
from m0common.ids import market_key
from m0common.messages import encode_raw, raw_event
from m0common.messages.codec import encode_json
from m0common.stream.core import Load
from m0common.stream.records import Record
from m0common.stream.restored import Restored
from m0common.topics import RAW
from m0lanes.authority import signed
from m0lanes.control import (
    CatalogSetPayload,
    DomainRef,
    EpochEndPayload,
    MarketClosePayload,
    MarketOpenPayload,
    NextGeneration,
    RebasePayload,
    SourceRule,
)
from m0lanes.generations import lanes_of, partition_of
from m0lanes.keeper import Keeper
from m0lanes.pipeline import ClosedEpoch, Pipeline
from m0lanes.stages import Heart
from solders.keypair import Keypair

SOAK = os.environ.get("M0_SOAK") == "1"
"""Whether the property tests run for as long as their figures ask."""
EPOCH_MS = 20_000
FIRST = 85_000_000
BASE_MS = FIRST * EPOCH_MS
"""Where epoch FIRST begins."""
PARTITIONS = 4
GENESIS = bytes([7]) * 32
CONTROL, CLOCK, REGISTRY, STRANGER = (Keypair.from_seed(bytes([n]) * 32) for n in (1, 2, 3, 4))
DEPLOYMENT = Deployment(GENESIS, bytes(CONTROL.pubkey()), PARTITIONS)
COINS_RELEASE, OTHER_RELEASE = bytes([11]) * 32, bytes([12]) * 32
HEART = Heart(DEPLOYMENT, {COINS_RELEASE: Coins()}, bytes([1]) * 32)
BOTH = Heart(DEPLOYMENT, {COINS_RELEASE: Coins(), OTHER_RELEASE: OtherCoins()}, bytes([2]) * 32)
GROUPS = ("penny", "dime", "euro", "BTC/USD")
"""They live in more than one partition."""
DENSE = ("registry", "table")
"""The sources that number their events."""


def sources() -> dict[str, SourceRule]:
    return {
        "clock": SourceRule(("epoch_end",), bytes(CLOCK.pubkey()).hex()),
        "registry": SourceRule(("market_open", "market_close"), bytes(REGISTRY.pubkey()).hex(), dense=True),
        "table": SourceRule(("toss", "broken", "guess"), None, dense=True),
        "crowd": SourceRule(("toss",), None),
    }


class World:
    """Appends raw events; `records` is the log in the order written, which another catalog `beside` may share."""

    def __init__(
        self,
        catalog: str = "coins",
        release: bytes = COINS_RELEASE,
        groups: Iterable[str] = GROUPS,
        first: int = FIRST,
        beside: "World | None" = None,
    ) -> None:
        self.catalog = catalog
        self.records: list[Record] = [] if beside is None else beside.records
        self.first, self.base_ms = first, first * EPOCH_MS
        self.now_ms = self.base_ms
        self._next = [0] * PARTITIONS if beside is None else beside._next
        self._seq: dict[tuple[str, str], int] = {} if beside is None else beside._seq
        self._count = 0
        self.sets: dict[int, tuple[CatalogSetPayload, bytes]] = {}
        self.values: dict[int, bytes] = {}
        """The records of the sets."""
        self.in_force = 0
        self.groups = tuple(sorted(groups))
        self.release = release

    # --- what is written ---------------------------------------------------------------------------------------------

    def raw(self, partition: int, value: bytes, append_ms: int | None = None) -> Record:
        at = self.now_ms if append_ms is None else append_ms
        record = Record(RAW.name, partition, self._next[partition], None, value, (), at)
        self._next[partition] += 1
        self.records.append(record)
        return record

    def event(
        self,
        group,
        kind,
        payload,
        event_ms,
        market_id=None,
        source="table",
        key=None,
        seq=None,
        partition=None,
        identity=None,
    ) -> Record:
        self._count += 1
        if seq is None:
            seq = self.next_number(source, group) if source in DENSE else 0
        event = raw_event(
            source, identity or f"e{self._count}", group, market_id, kind, event_ms, event_ms + 5, payload, seq
        )
        if key is not None:
            event = signed(event, GENESIS, lambda message: bytes(key.sign_message(message)))
        where = partition_of(group, PARTITIONS) if partition is None else partition
        return self.raw(where, encode_raw(event))

    def next_number(self, source: str, group: str) -> int:
        """What a dense source gives its next event of a group."""
        number = self._seq[source, group] = self._seq.get((source, group), 0) + 1
        return number

    def toss(self, group: str, heads: bool, event_ms: int, market_id: str | None = None, **more):
        payload = {"heads": heads, **({"decides": True} if more.pop("decides", False) else {})}
        return self.event(group, "toss", payload, event_ms, market_id, **more)

    def open(
        self,
        group: str,
        market_id: str,
        event_ms: int,
        outcomes=("HEADS", "TAILS"),
        seq: int | None = None,
        **attributes: str,
    ) -> Record:
        payload = MarketOpenPayload(self.catalog, outcomes, 1, event_ms, "", attributes)
        return self.event(group, "market_open", payload, event_ms, market_id, "registry", REGISTRY, seq)

    def close(self, group: str, market_id: str, event_ms: int, seq: int | None = None) -> Record:
        payload = MarketClosePayload(self.catalog)
        return self.event(group, "market_close", payload, event_ms, market_id, "registry", REGISTRY, seq)

    def payload(self, generation: int, **changes) -> CatalogSetPayload:
        base = CatalogSetPayload(
            self.catalog,
            generation,
            PARTITIONS,
            EPOCH_MS,
            DomainRef("coins", "tests", 1),
            self.release.hex(),
            "frequency",
            {"signer_set_id": 1},
            600_000,
            self.groups,
            sources(),
        )
        return msgspec.structs.replace(base, **changes)

    def define(
        self,
        generation: int,
        key: Keypair = CONTROL,
        partitions: Iterable[int] | None = None,
        said: Mapping[str, object] = MappingProxyType({}),
        **changes,
    ):
        """Write a set into its lanes, or into `partitions`; `said` are fields whose names are arguments here."""
        payload = self.payload(generation, **changes, **said)
        raw = encode_json(payload)
        self.sets[generation] = (payload, set_hash(raw))
        before = self.sets.get(self.in_force)
        lanes = set(lanes_of(payload)) | set(lanes_of(before[0]) if before else ())
        event = raw_event(
            "control", f"{self.catalog}:{generation}", "", None, "catalog_set", self.now_ms, self.now_ms, payload
        )
        value = encode_raw(signed(event, GENESIS, lambda message: bytes(key.sign_message(message))))
        self.values[generation] = value
        return [self.raw(p, value) for p in sorted(lanes if partitions is None else partitions)]

    def marker(self, epoch_id: int, following: int | None = None, key: Keypair = CLOCK, **changes) -> bytes:
        lanes = lanes_of(self.sets[self.in_force][0]) if self.in_force else ()
        named = None if following is None else NextGeneration(following, self.sets[following][1].hex())
        payload = EpochEndPayload(
            self.catalog, epoch_id, epoch_id * EPOCH_MS, (epoch_id + 1) * EPOCH_MS, self.in_force, lanes, named
        )
        payload = msgspec.structs.replace(payload, **changes)
        end = payload.window_end_ms
        event = raw_event("clock", f"{self.catalog}:{epoch_id}", "", None, "epoch_end", end, end, payload)
        return encode_raw(signed(event, GENESIS, lambda message: bytes(key.sign_message(message))))

    def end(self, epoch_id: int, following: int | None = None, partitions: Iterable[int] | None = None) -> list[Record]:
        value = self.marker(epoch_id, following)
        lanes = set(lanes_of(self.sets[self.in_force][0]) if self.in_force else ())
        if following is not None:
            lanes |= set(lanes_of(self.sets[following][0]))
        self.now_ms = max(self.now_ms, (epoch_id + 1) * EPOCH_MS + 1_000)
        written = [self.raw(p, value) for p in sorted(lanes if partitions is None else partitions)]
        if following is not None:
            self.in_force = following
        return written

    def begin(self) -> None:
        """Generation 1 takes force at the end of the epoch before FIRST."""
        self.define(1)
        self.end(self.first - 1, following=1)

    def rebase(
        self,
        partition: int,
        epoch_id: int,
        roots: Sequence[bytes],
        offset: int,
        life: int = 1,
        key: Keypair = CONTROL,
        **changes,
    ) -> Record:
        """A new life of a lane from the states that stages 1 to 3 had at an epoch's marker, with the set in force."""
        first, second, third = (root.hex() for root in roots)
        release, now = self.release.hex(), self.in_force
        payload = RebasePayload(
            self.catalog,
            partition,
            life,
            epoch_id,
            release,
            (first, second, third),
            offset,
            in_force=NextGeneration(now, self.sets[now][1].hex()) if now else None,
            in_force_lanes=lanes_of(self.sets[now][0]) if now else (),
        )
        payload = msgspec.structs.replace(payload, **changes)
        name = f"{self.catalog}:{partition}:{life}"
        event = raw_event("control", name, "", None, "rebase", self.now_ms, self.now_ms, payload)
        return self.raw(partition, encode_raw(signed(event, GENESIS, lambda message: bytes(key.sign_message(message)))))


def play(records: Iterable[Record], pipeline: Pipeline | None = None) -> list[ClosedEpoch]:
    pipeline = pipeline or Pipeline(HEART)
    return [closed for record in records for closed in pipeline.feed(record)]


class Follower:
    """A pipeline that follows lives: its lanes get the states that it said itself, or others', and are read again.

    `waits` says before every record whether what is asked for has to wait for longer.
    """

    def __init__(
        self,
        heart: Heart = HEART,
        load: Callable[[Load], Restored | None] | None = None,
        waits: Callable[[], bool] = lambda: False,
    ) -> None:
        self.keeper = Keeper()
        self.pipeline = Pipeline(heart, observer=self.keeper)
        self._load = load or self.keeper.load
        self._waits = waits
        self._read: dict[int, list[Record]] = {}

    def play(self, records: Iterable[Record]) -> list[ClosedEpoch]:
        closed = []
        for record in records:
            self._read.setdefault(record.partition, []).append(record)
            closed += self.pipeline.feed(record)
            while (self.pipeline.loads or self.pipeline.rewinds) and not self._waits():
                closed += self._answer()
        while self.pipeline.loads or self.pipeline.rewinds:
            closed += self._answer()
        return closed

    def _answer(self) -> list[ClosedEpoch]:
        for load in self.pipeline.loads:
            return self.pipeline.answer(load, self._load(load))
        lane, rewind = next(iter(self.pipeline.rewinds.items()))
        closed = []
        for record in [record for record in self._read[lane.partition] if record.offset >= rewind.offset]:
            closed += self.pipeline.feed(record, lane)
        if self.pipeline.rewinds.get(lane) is rewind:
            self.pipeline.join(lane)
        return closed


def season(epochs: int = 4, seed: int = 1, first: int = FIRST) -> World:
    """Markets opening, tossed about and closing, some events late, some early, over a few epochs."""
    world = World(first=first)
    world.begin()
    go_on(world, range(epochs), seed)
    return world


def go_on(world: World, epochs: Iterable[int], seed: int = 1) -> None:
    """Let these epochs of a season happen, counted from its first."""
    rng = random.Random(seed)
    for index in epochs:
        start = world.base_ms + index * EPOCH_MS
        for number, group in enumerate(world.groups):
            world.now_ms = start + number
            world.open(group, f"COIN_{number}_{index}", start + number)
        for step in range(12):
            world.now_ms = start + 1_000 * step + 100
            group = rng.choice(world.groups)
            # up to two windows ahead of its place and one behind
            world.toss(group, rng.random() < 0.6, world.now_ms + rng.randrange(-15_000, 45_000))
            if step % 4 == 0:
                world.toss(group, rng.random() < 0.6, world.now_ms, source="crowd")
        if index:
            number = index % len(world.groups)
            world.close(world.groups[number], f"COIN_{number}_{index - 1}", start + 15_000)
        world.end(world.first + index)


def headers(closed: Iterable[ClosedEpoch]) -> dict[tuple[str, int], bytes]:
    found: dict[tuple[str, int], bytes] = {}
    for epoch in closed:
        place = (epoch.header.catalog, epoch.header.epoch_id)
        assert found.setdefault(place, epoch.header.header) == epoch.header.header, place
    return found


def leaves(closed):
    """By epoch and market: probabilities and features hash."""
    found = {}
    for epoch in closed:
        decoded = [PredictionLeaf.decode(leaf) for leaf in epoch.leaves]
        assert [leaf.market_key for leaf in decoded] == [market_key(m) for m in epoch.market_ids]
        found[epoch.header.epoch_id] = {
            market: (tuple(o.p for o in leaf.outcomes), leaf.features_hash)
            for market, leaf in zip(epoch.market_ids, decoded, strict=True)
        }
    return found
