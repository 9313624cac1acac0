"""The four stages chained in one process: raw records in, bundles out.

Replay, the raw-depth signer and the backtest run this; the live services run the very same cores, one each.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
from m0common.errors import DeadLetterError
from m0common.messages import BundleMessage, Checkpoint, DeadLetter
from m0common.stream.records import Output, Produce, Record, Save
from m0common.topics import BUNDLES, RAW

from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.bundle import BundleState
from m0lanes.normalize import STAGE as NORMALIZE_STAGE
from m0lanes.stages import all_cores

KEPT_CUTS = 8
Observer = Callable[[str, Output], None]
"""Called with a stage's name and each thing it emits."""


@dataclass(slots=True)
class Cut:
    """The checkpoints of every stage of one catalog at one epoch's markers: a consistent state to go on from."""

    catalog: str
    epoch_id: int
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def start(self) -> dict[int, int]:
        """The raw offset to read each partition from."""
        return {c.partition: c.input_offset + 1 for c in self.checkpoints if c.stage == NORMALIZE_STAGE}


class Chain:
    """Feed it raw records in the order of each partition; partitions may be interleaved in any way."""

    def __init__(self, only: frozenset[str] | None = None, observer: Observer | None = None) -> None:
        self._cores = all_cores(1, only)
        self._by_topic = {core.input_topic: core for core in self._cores}
        self._names = {core.input_topic: core.name for core in self._cores}
        self._offsets: dict[tuple[str, int], int] = {}
        self._observer = observer
        self._decode = msgspec.msgpack.Decoder(BundleMessage).decode
        self._cuts: dict[tuple[str, int], Cut] = {}
        self.dead_letters: list[DeadLetter] = []

    def feed(self, record: Record) -> list[BundleMessage]:
        """Run one raw record through all stages; returns the bundles it closed."""
        if record.topic != RAW.name:
            raise ValueError(f"record of {record.topic}: a chain reads {RAW.name}")
        bundles: list[BundleMessage] = []
        queue: list[Record] = [record]
        while queue:
            at = queue.pop(0)
            core = self._by_topic[at.topic]
            try:
                outputs = core.feed(at)
            except DeadLetterError as error:
                self.dead_letters.append(
                    DeadLetter(
                        at.topic, at.partition, at.offset, core.name, error.error, error.reason, at.key, at.value
                    )
                )
                continue
            for output in outputs:
                if self._observer is not None:
                    self._observer(core.name, output)
                if isinstance(output, Save):
                    self._keep(output.checkpoint)
                elif output.topic == BUNDLES.name:
                    bundles.append(self._decode(output.value))
                else:
                    queue.append(self._record(output))
        return bundles

    def cut(self, catalog: str, epoch_id: int) -> Cut | None:
        """The state at an epoch that has closed, of the last few."""
        return self._cuts.get((catalog, epoch_id))

    def restore(self, cut: Cut) -> None:
        """Go on from a cut: feed raw records from `cut.start()` on, and what lanes had said since is said again."""
        out_seqs = {c.partition: c.out_seq for c in cut.checkpoints if c.stage == BUNDLE_STAGE - 1}
        for core in self._cores:
            for checkpoint in cut.checkpoints:
                if checkpoint.stage != core.stage:
                    continue
                moved = checkpoint
                if core.stage == BUNDLE_STAGE:
                    # the live stage may have read ahead in some lanes: start it where the model stage stands
                    moved = msgspec.structs.replace(
                        checkpoint, partition=0, input_seqs=out_seqs, entities=_without_later_epochs(checkpoint)
                    )
                if core.stage != NORMALIZE_STAGE:
                    moved = msgspec.structs.replace(moved, input_offset=-1)
                core.resume(moved.partition, [moved])

    def _record(self, output: Produce) -> Record:
        place = (output.topic, output.partition)
        offset = self._offsets[place] = self._offsets.get(place, -1) + 1
        return Record(output.topic, output.partition, offset, output.key, output.value, output.headers)

    def _keep(self, checkpoint: Checkpoint) -> None:
        place = (checkpoint.catalog, checkpoint.epoch_id)
        cut = self._cuts.setdefault(place, Cut(*place))
        cut.checkpoints.append(checkpoint)
        mine = sorted(epoch for catalog, epoch in self._cuts if catalog == checkpoint.catalog)
        for epoch in mine[:-KEPT_CUTS]:
            del self._cuts[checkpoint.catalog, epoch]


def _without_later_epochs(checkpoint: Checkpoint) -> tuple[tuple[bytes, bytes], ...]:
    state = BundleState(checkpoint.catalog)
    state.entities.load(checkpoint.entities)
    state.resume()
    state.forget_later_epochs()
    state.settle()
    return state.entities.snapshot()


def cut_of(catalog: str, epoch_id: int, checkpoints: Iterable[Checkpoint]) -> Cut:
    """The cut made of those checkpoints that belong to this epoch of this catalog."""
    kept = [c for c in checkpoints if c.catalog == catalog and c.epoch_id == epoch_id]
    return Cut(catalog, epoch_id, kept)
