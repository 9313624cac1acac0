"""Lanes that write checkpoints into a log in memory, and a reader that restores them by a manifest's rule alone."""

import copy
import hashlib
import random
from dataclasses import dataclass, field

import msgspec
from m0common.canonical.trie import state_digest
from m0common.messages import Manifest, StateBatch, encode
from m0common.stream.broker import TopicPartition
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import MANIFESTS, STATE

K = 3
KEYS = [bytes([65 + i]) for i in range(9)]
HORIZON_MS = 1000
PARTITIONS = 2
UNBORN = 1 << 30
"""The first life that nobody began."""


def digest(*parts):
    return hashlib.sha256(repr(parts).encode()).digest()


@dataclass
class Lane:
    """A lane of one stage. What happens at a position follows from lane, life and position, so a copy is its twin."""

    stage: int
    catalog: str
    partition: int
    life: int = 0
    position: int = 0
    window_end_ms: int = 0
    state: dict = field(default_factory=dict)
    touched: dict = field(default_factory=dict)
    begun: list = field(default_factory=list)
    """Position and first offset of the last K + 1 checkpoints of this life."""
    count: int = 0

    @property
    def state_place(self):
        return TopicPartition(STATE[self.stage].name, self.partition)

    @property
    def manifest_place(self):
        return TopicPartition(MANIFESTS.name, self.partition)

    def work(self, steps):
        for _ in range(steps):
            self.position += 1
            rng = random.Random(repr((self.stage, self.catalog, self.partition, self.life, self.position)))
            for key in rng.sample(KEYS, rng.randint(0, 2)):
                if rng.random() < 0.3:
                    self.state.pop(key, None)
                else:
                    self.state[key] = bytes(rng.randrange(256) for _ in range(rng.randint(0, 40)))
                self.touched[key] = None

    def entries(self, *, everything):
        turn = {key for key in self.state if KEYS.index(key) % K == self.count % K}
        keys = sorted(set(self.state) if everything else set(self.touched) | turn)
        return tuple((key, self.state.get(key)) for key in keys)


class World:
    """Some lanes on a memory broker; `now_ms` is the window end of the newest marker."""

    def __init__(self, lanes):
        self.broker = MemoryBroker()
        self.producer = self.broker.producer()
        self.lanes = lanes
        self.pending = {}
        self.now_ms = 10 * HORIZON_MS

    async def start(self):
        await self.broker.create_topics([MANIFESTS, *STATE.values()], PARTITIONS)

    async def begin(self, place):
        return (await self.broker.consumer().begin_offsets([place]))[place]

    async def checkpoint(self, lane, *, marker=True):
        """State, then its manifest."""
        manifest = await self.save_state(lane, marker=marker)
        await self.save_manifest(lane, manifest)

    async def save_state(self, lane, *, marker=True, whole=False):
        """Write the batches; returns the manifest that makes them a checkpoint.

        A life's first is a whole copy.
        """
        whole = whole or not lane.begun
        if whole:
            lane.begun = []
        entries = lane.entries(everything=whole)
        halves = (entries[: len(entries) // 2], entries[len(entries) // 2 :])
        batches = [StateBatch(lane.catalog, lane.partition, lane.life, lane.position, half) for half in halves]
        written = await self.producer.send([Produce(*lane.state_place, b"lane", encode(batch)) for batch in batches])
        there = written[lane.state_place]
        lane.begun = [*lane.begun, (lane.position, there.first)][-K - 1 :]
        lane.touched, lane.count = {}, lane.count + 1
        from_position, from_offset = lane.begun[0]
        return Manifest(
            lane.stage, lane.catalog, lane.partition, lane.life, 1, lane.position, 1 if marker else None,
            state_digest(lane.state.items()), lane.position, 0, (), None, 0, from_position, from_offset, there.end,
            bytes(32), bytes(32), len(lane.state), 0, window_end_ms=lane.window_end_ms if marker else 0,
        )  # fmt: skip

    async def save_manifest(self, lane, manifest):
        """A range that is not in the log any more makes no checkpoint: then it is made again, whole."""
        if manifest.from_offset < await self.begin(lane.state_place):
            manifest = await self.save_state(lane, marker=manifest.epoch_id is not None, whole=True)
        await self.producer.send([Produce(*lane.manifest_place, b"lane", encode(manifest))])

    def twin(self, lane):
        return copy.deepcopy(lane)

    @staticmethod
    def no_life(manifest):
        return "nobody began it" if manifest.life >= UNBORN else None

    def manifests(self):
        return [
            (record.offset, msgspec.msgpack.decode(record.value, type=Manifest))
            for partition in range(PARTITIONS)
            for record in self.broker.log(MANIFESTS.name, partition)
        ]

    def restore(self, manifest):
        """The state of a manifest, None when it does not restore; written from the docstring of Manifest alone."""
        log = self.broker.log(STATE[manifest.stage].name, manifest.partition)
        best = {}
        for record in log:
            if not manifest.from_offset <= record.offset < manifest.to_offset:
                continue
            batch = msgspec.msgpack.decode(record.value, type=StateBatch)
            if (batch.catalog, batch.partition, batch.life) != (manifest.catalog, manifest.partition, manifest.life):
                continue
            if batch.position < manifest.from_position or batch.position > manifest.position:
                continue
            for key, value in batch.entries:
                best[key] = max(best.get(key, (-1, None)), (batch.position, value), key=lambda entry: entry[0])
        state = {key: value for key, (_, value) in best.items() if value is not None}
        return state if state_digest(state.items()) == manifest.digest else None

    def promised(self):
        """Manifests that must restore: the young ones, and each lane's newest."""
        found = [(offset, m) for offset, m in self.manifests() if self.no_life(m) is None]
        now = {p: max((m.window_end_ms for _, m in found if m.partition == p), default=0) for p in range(PARTITIONS)}
        newest = {}
        for _, m in found:
            lane = (m.stage, m.catalog, m.partition)
            if lane not in newest or (m.life, m.position) >= (newest[lane].life, newest[lane].position):
                newest[lane] = m
        young = [m for _, m in found if m.window_end_ms > now[m.partition] - HORIZON_MS]
        return young + list(newest.values())

    def check(self):
        for manifest in self.promised():
            assert self.restore(manifest) is not None, manifest
