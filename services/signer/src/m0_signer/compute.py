"""Computing bundles ourselves: from final predictions (depth `bundle`) or from raw events (depth `raw`).

Both run the lanes' own cores on a consumer of their own. Their state is kept beside the guard when an epoch is
decided, in the same transaction, so a restart goes on behind the last decision and computes the undecided again.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import msgspec
from m0common.errors import DeadLetterError
from m0common.messages import BundleMessage, Checkpoint
from m0common.stream.broker import TopicPartition
from m0common.stream.lanes import BEFORE_FIRST_EPOCH
from m0common.stream.records import Record, Save
from m0common.topics import BUNDLES, PREDICTIONS, RAW
from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.chain import Chain, Cut
from m0lanes.stages import bundle_core

from m0_signer import metrics
from m0_signer.guard import Guard

Published = Callable[[str], Awaitable[Cut | None]]
"""Finds a state that a finalized header commits to, by catalog."""

FROM_BEGINNING = -2
_KEPT = 64
_CUT = "cut"
_encode = msgspec.msgpack.Encoder().encode
_decode_bundle = msgspec.msgpack.Decoder(BundleMessage).decode
_decode_checkpoints = msgspec.msgpack.Decoder(list[Checkpoint]).decode


class Depth(Protocol):
    """A way to compute bundles."""

    @property
    def topic(self) -> str:
        """What it reads."""
        ...

    async def start(self, begins: Mapping[TopicPartition, int], published: Published) -> dict[TopicPartition, int]:
        """Take up the state kept, or a published one where the log no longer reaches back to it.

        `begins` are the offsets the topic begins at; returns where to start reading.
        """
        ...

    def feed(self, record: Record) -> list[BundleMessage]:
        """Bundles that this record closes. Raises LaneHole when messages are missing."""
        ...

    def decided(self, catalog: str, epoch_id: int) -> None:
        """Keep the state behind an epoch."""
        ...


class BundleDepth:
    """Rebuilds header and tree from the final predictions of all lanes."""

    topic = PREDICTIONS.name

    def __init__(self, guard: Guard, catalogs: Iterable[str]) -> None:
        self._guard = guard
        self._catalogs = sorted(catalogs)
        self._core = bundle_core()
        self._saves: OrderedDict[tuple[str, int], Checkpoint] = OrderedDict()

    async def start(self, begins: Mapping[TopicPartition, int], published: Published) -> dict[TopicPartition, int]:
        ready: list[Checkpoint] = []
        for name in self._catalogs:
            kept = _kept(self._guard, name)
            first = [begins.get(TopicPartition(self.topic, c.partition), 0) for c in kept] or list(begins.values())
            reached = [c.input_offset + 1 for c in kept] or [0] * len(first)
            if any(at < begin for at, begin in zip(reached, first, strict=True)):
                cut = await published(name)
                kept = [] if cut is None else [c for c in cut.resumable().checkpoints if c.stage == BUNDLE_STAGE]
            ready += kept
        starts = {}
        for where in begins:
            at = self._core.resume(where.partition, ready)
            starts[where] = FROM_BEGINNING if at is None else at
        return starts

    def feed(self, record: Record) -> list[BundleMessage]:
        bundles = []
        try:
            outputs = self._core.feed(record)
        except DeadLetterError:
            metrics.DEAD_LETTERS.labels(self.topic).inc()
            return []
        for output in outputs:
            if isinstance(output, Save):
                self._saves[output.checkpoint.catalog, output.checkpoint.epoch_id] = output.checkpoint
                if output.checkpoint.epoch_id == BEFORE_FIRST_EPOCH:
                    self.decided(output.checkpoint.catalog, BEFORE_FIRST_EPOCH)
                if len(self._saves) > _KEPT:
                    self._saves.popitem(last=False)
            elif output.topic == BUNDLES.name:
                bundles.append(_decode_bundle(output.value))
        return bundles

    def decided(self, catalog: str, epoch_id: int) -> None:
        checkpoint = self._saves.pop((catalog, epoch_id), None)
        if checkpoint is not None:
            self._guard.keep(catalog, _CUT, _encode([_planned(checkpoint)]))


class RawDepth:
    """Re-runs normalize, feature, model and bundle from raw events, one chain per catalog."""

    topic = RAW.name

    def __init__(self, guard: Guard, catalogs: Iterable[str]) -> None:
        self._guard = guard
        self._chains = {name: Chain(only=frozenset([name])) for name in sorted(catalogs)}

    async def start(self, begins: Mapping[TopicPartition, int], published: Published) -> dict[TopicPartition, int]:
        starts: dict[TopicPartition, list[int]] = {where: [] for where in begins}
        for name, chain in self._chains.items():
            kept = _kept(self._guard, name)
            cut = Cut(name, kept[0].epoch_id, kept) if kept else None
            reached = {} if cut is None else cut.start()
            if any(reached.get(where.partition, 0) < begin for where, begin in begins.items()):
                cut = await published(name)
                reached = {} if cut is None else cut.start()
            if cut is not None:
                chain.restore(cut)
            for where, at in starts.items():
                at.append(reached.get(where.partition, FROM_BEGINNING))
        # A chain passes over what it has read; whoever needs the beginning decides.
        return {where: min(at, default=FROM_BEGINNING) for where, at in starts.items()}

    def feed(self, record: Record) -> list[BundleMessage]:
        bundles = []
        for chain in self._chains.values():
            bundles += chain.feed(record)
            if chain.dead_letters:
                metrics.DEAD_LETTERS.labels(self.topic).inc(len(chain.dead_letters))
                chain.dead_letters.clear()
        return bundles

    def decided(self, catalog: str, epoch_id: int) -> None:
        chain = self._chains.get(catalog)
        cut = None if chain is None else chain.cut(catalog, epoch_id)
        if cut is not None:
            self._guard.keep(catalog, _CUT, _encode(cut.checkpoints))


def _planned(checkpoint: Checkpoint) -> Checkpoint:
    """Whoever goes on from here says everything after it again, so another release starts the next epoch cleanly."""
    return msgspec.structs.replace(checkpoint, planned=True)


def _kept(guard: Guard, catalog: str) -> list[Checkpoint]:
    value = guard.snapshot(catalog, _CUT)
    return [] if value is None else _decode_checkpoints(value)
