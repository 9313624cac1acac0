"""The four stages chained in one process: raw records in, closed epochs out.

Replay, the re-executing signer and the backtest run this; the live services run the very same cores, one each.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
from m0common.ids import Lane
from m0common.messages import BundlePiece, HeaderMessage, Manifest, StateBatch
from m0common.stream.core import Cut, Letter, Output, StageCore
from m0common.stream.records import Produce, Record
from m0common.stream.states import Restored
from m0common.topics import BUNDLES, HEADERS, RAW

from m0lanes.bundle import BundleCore
from m0lanes.checkpoints import gathered
from m0lanes.stages import Heart

Observer = Callable[[str, Output], None]
"""Called with a stage's name and each thing it says."""

_decode_header = msgspec.msgpack.Decoder(HeaderMessage).decode
_decode_piece = msgspec.msgpack.Decoder(BundlePiece).decode
_decode_batch = msgspec.msgpack.Decoder(StateBatch).decode


@dataclass(frozen=True, slots=True)
class ClosedEpoch:
    """A closed epoch with its body."""

    header: HeaderMessage
    leaves: tuple[bytes, ...]
    market_ids: tuple[str, ...]
    models: tuple[str, ...]


@dataclass(slots=True)
class _Kept:
    """The checkpoints of one lane in one stage: its batches so far and the newest manifest over them."""

    batches: list[StateBatch] = field(default_factory=list)
    newest: Manifest | None = None


class Chain:
    """Feed it raw records in the order of each partition; partitions may be interleaved in any way.

    It keeps no record and cannot rewind: what its lanes hold back for later windows is all in memory.
    """

    def __init__(self, heart: Heart, only: frozenset[str] | None = None, observer: Observer | None = None) -> None:
        self.cores: list[StageCore] = heart.chain(only)
        self._by_topic = {core.input_topic: core for core in self.cores}
        self._offsets: dict[tuple[str, int], int] = {}
        self._observer = observer
        self._pieces: dict[str, list[BundlePiece]] = {}
        self.letters: list[tuple[str, Letter]] = []

    def feed(self, record: Record) -> list[ClosedEpoch]:
        """Run one raw record through all stages; returns the epochs it closed."""
        if record.topic != RAW.name:
            raise ValueError(f"record of {record.topic}: a chain reads {RAW.name}")
        closed: list[ClosedEpoch] = []
        queue: list[Record] = [record]
        while queue:
            at = queue.pop(0)
            core = self._by_topic[at.topic]
            for output in core.feed(at):
                if self._observer is not None:
                    self._observer(core.name, output)
                if isinstance(output, Letter):
                    self.letters.append((core.name, output))
                elif isinstance(output, Produce):
                    done = self._said(output, queue)
                    if done is not None:
                        closed.append(done)
        return closed

    def _said(self, output: Produce, queue: list[Record]) -> ClosedEpoch | None:
        if output.topic == BUNDLES.name:
            piece = _decode_piece(output.value)
            self._pieces.setdefault(piece.catalog, []).append(piece)
        elif output.topic == HEADERS.name:
            header = _decode_header(output.value)
            pieces = self._pieces.pop(header.catalog, [])
            return ClosedEpoch(
                header,
                tuple(leaf for piece in pieces for leaf in piece.leaves),
                tuple(market for piece in pieces for market in piece.market_ids),
                tuple(model for piece in pieces for model in piece.models),
            )
        else:
            place = (output.topic, output.partition)
            offset = self._offsets[place] = self._offsets.get(place, -1) + 1
            queue.append(Record(output.topic, output.partition, offset, output.key, output.value, output.headers))
        return None

    def restore(self, states: Iterable[Restored]) -> dict[int, int]:
        """Go on from states of stages 1 to 3 at one epoch's markers; returns the raw offset to read each lane from.

        What its lanes say next goes on in the numbering of the states, on offsets of its own.
        """
        starts: dict[int, int] = {}
        by_core: dict[int, list[Restored]] = {}
        for found in states:
            by_core.setdefault(found.manifest.stage, []).append(found)
        for stage, known in sorted(by_core.items()):
            core = self.cores[stage - 1]
            for partition in sorted({found.manifest.partition for found in known}):
                moved = [found if stage == 1 else _on_own_offsets(found) for found in known]
                start = core.resume(partition, moved, 0, 1 << 62)
                if stage == 1 and start is not None:
                    starts[partition] = start
        return starts

    @property
    def bundles(self) -> BundleCore:
        """The last stage."""
        core = self.cores[-1]
        assert isinstance(core, BundleCore)
        return core


def _on_own_offsets(found: Restored) -> Restored:
    return Restored(msgspec.structs.replace(found.manifest, input_offset=-1), found.entities)


class Keeper:
    """An observer that keeps checkpoints in memory, as the state topics do in the log."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, Lane], _Kept] = {}
        self.manifests: list[Manifest] = []

    def __call__(self, _stage: str, output: Output) -> None:
        """See Observer."""
        if not isinstance(output, Cut):
            return
        kept = self._kept.setdefault((output.stage, output.lane), _Kept())
        first = len(kept.batches)
        kept.batches += [_decode_batch(value) for value in output.values]
        kept.newest = output.complete(first, len(kept.batches))
        self.manifests.append(kept.newest)

    def restored(self, manifest: Manifest) -> Restored:
        """The state a kept manifest is over."""
        kept = self._kept[manifest.stage, Lane(manifest.catalog, manifest.partition)]
        within = kept.batches[manifest.from_offset : manifest.to_offset]
        return Restored(manifest, gathered(manifest, within))

    def newest(self) -> list[Restored]:
        """The newest state of every lane in every stage."""
        return [self.restored(kept.newest) for _, kept in sorted(self._kept.items()) if kept.newest is not None]

    def at(self, catalog: str, epoch_id: int) -> list[Restored]:
        """The states of a catalog at an epoch's markers."""
        found = [m for m in self.manifests if (m.catalog, m.epoch_id) == (catalog, epoch_id)]
        return [self.restored(manifest) for manifest in found]
