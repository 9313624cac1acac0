"""The four stages chained in one process: raw records in, bundles out.

Replay, the raw-depth signer and the backtest run this; the live services run the very same cores, one each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from m0common.errors import DeadLetterError
from m0common.messages import BundleMessage, Checkpoint, DeadLetter
from m0common.stream.records import Output, Produce, Record, Save
from m0common.topics import BUNDLES, RAW

from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.bundle import BundleState
from m0lanes.model import STAGE as MODEL_STAGE
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

    def put(self, checkpoint: Checkpoint) -> None:
        """Add a checkpoint; a newer one of the same stage and partition takes the place of the older."""
        place = (checkpoint.stage, checkpoint.partition)
        self.checkpoints = [c for c in self.checkpoints if (c.stage, c.partition) != place] + [checkpoint]

    def resumable(self) -> "Cut":
        """The cut as a process of its own goes on from it, numbering what it reads itself.

        Everything after the cut is said again, so that whoever goes on does so cleanly, whatever release it is. The
        live bundle stage may have read ahead in some lanes: it starts where the model stage stands.
        """
        said = {c.partition: c.out_seq for c in self.checkpoints if c.stage == MODEL_STAGE}
        moved = []
        for checkpoint in self.checkpoints:
            if checkpoint.stage == NORMALIZE_STAGE:
                moved.append(msgspec.structs.replace(checkpoint, planned=True))
            elif checkpoint.stage == BUNDLE_STAGE:
                entities = without_later_epochs(checkpoint)
                moved.append(
                    msgspec.structs.replace(
                        checkpoint, input_offset=-1, input_seqs=said, entities=entities, planned=True
                    )
                )
            else:
                moved.append(msgspec.structs.replace(checkpoint, input_offset=-1, planned=True))
        return Cut(self.catalog, self.epoch_id, moved)


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
        for checkpoint in cut.resumable().checkpoints:
            core = self._cores[checkpoint.stage - 1]
            if core.stage == BUNDLE_STAGE:
                core.resume(0, [msgspec.structs.replace(checkpoint, partition=0)])
            else:
                core.resume(checkpoint.partition, [checkpoint])

    def _record(self, output: Produce) -> Record:
        place = (output.topic, output.partition)
        offset = self._offsets[place] = self._offsets.get(place, -1) + 1
        return Record(output.topic, output.partition, offset, output.key, output.value, output.headers)

    def _keep(self, checkpoint: Checkpoint) -> None:
        place = (checkpoint.catalog, checkpoint.epoch_id)
        cut = self._cuts.setdefault(place, Cut(*place))
        cut.put(checkpoint)
        mine = sorted(epoch for catalog, epoch in self._cuts if catalog == checkpoint.catalog)
        for epoch in mine[:-KEPT_CUTS]:
            del self._cuts[checkpoint.catalog, epoch]


def without_later_epochs(checkpoint: Checkpoint) -> tuple[tuple[bytes, bytes], ...]:
    """The bundle stage's entities without what lanes had said since the last epoch that closed."""
    state = BundleState(checkpoint.catalog)
    state.entities.load(checkpoint.entities)
    state.resume()
    state.forget_later_epochs()
    state.settle()
    return state.entities.snapshot()
