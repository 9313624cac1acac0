"""The four stages chained in one process: raw records in, closed epochs out.

Replay, the re-executing signer and the backtest run this; the live services run the very same cores, one each.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
from m0common.ids import Lane
from m0common.messages import BundlePiece, HeaderMessage
from m0common.stream.core import Letter, Load, Output, Rewind, StageCore
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0common.topics import BUNDLES, HEADERS, PREDICTIONS, RAW

from m0lanes.bundle import BundleCore
from m0lanes.laned import decode_message
from m0lanes.stages import Heart

Observer = Callable[[str, Output], None]
"""Called with a stage's name and each thing it says."""

_decode_header = msgspec.msgpack.Decoder(HeaderMessage).decode
_decode_piece = msgspec.msgpack.Decoder(BundlePiece).decode
_Waiting = tuple[int, Lane]
"""A stage and a lane that waits there for the state that its new life begins with."""


@dataclass(frozen=True, slots=True)
class ClosedEpoch:
    """A closed epoch with its body."""

    header: HeaderMessage
    leaves: tuple[bytes, ...]
    market_ids: tuple[str, ...]
    models: tuple[str, ...]


class Pipeline:
    """Feed it raw records in the order of each partition; partitions may be interleaved in any way.

    It does no I/O: a lane that begins a new life asks for the state of each stage in `loads`, and in `rewinds` to be
    read again. Whoever drives it answers when it can; until then that lane waits and the others go on. It keeps no
    record: what its lanes hold back for later windows is all in memory.
    """

    def __init__(
        self,
        heart: Heart,
        only: frozenset[str] | None = None,
        observer: Observer | None = None,
        hears: Callable[[Produce], bool] | None = None,
    ) -> None:
        """`only`: see NormalizeCore. `hears` chooses what the bundle stage reads of the lanes, else it reads all."""
        self.cores: list[StageCore] = heart.pipeline(only)
        self._by_topic = {core.input_topic: core for core in self.cores}
        self._offsets: dict[tuple[str, int], int] = {}
        self._observer = observer
        self._hears = hears
        self._pieces: dict[str, list[BundlePiece]] = {}
        self._queue: deque[Record] = deque()
        """What the stages have said and the next ones have not read."""
        self._loads: dict[_Waiting, Load] = {}
        self._rewinds: dict[Lane, Rewind] = {}
        self._held: dict[_Waiting, deque[Record]] = {}
        """What a stage is to read of a lane once that has its state."""
        self.letters: list[tuple[str, Letter]] = []

    def feed(self, record: Record, only: Lane | None = None) -> list[ClosedEpoch]:
        """Run one raw record through all stages; returns the epochs it closed. `only`: see StageCore."""
        if record.topic != RAW.name:
            raise ValueError(f"record of {record.topic}: a pipeline reads {RAW.name}")
        if only is not None and only not in self._rewinds:
            return []
        closed = self._take(self.cores[0], self.cores[0].feed(record, only))
        return closed + self._run()

    @property
    def loads(self) -> list[Load]:
        """The states that lanes wait for; each is to be answered."""
        return list(self._loads.values())

    def answer(self, load: Load, found: Restored | None) -> list[ClosedEpoch]:
        """The state that was asked for, None when it is not to be had: that parks the lane. Returns the epochs closed.

        An answer that is no longer asked for, since a newer life of the lane has begun, is passed over.
        """
        place = (load.stage, load.lane)
        if self._loads.get(place) != load:
            return []
        del self._loads[place]
        core, held = self.cores[load.stage - 1], self._held.pop(place, deque())
        closed = self._take(core, core.loaded(load, found))
        while held and place not in self._loads:
            closed += self._take(core, core.feed(held.popleft()))
        if held:
            self._held[place] = held
        return closed + self._run()

    @property
    def rewinds(self) -> Mapping[Lane, Rewind]:
        """The lanes to be read again, each from an offset: `feed` its partition's records to it `only`, up to where
        the pipeline has read that partition, then `join` it. An entry that is replaced on the way begins anew.
        """
        return MappingProxyType(self._rewinds)

    def join(self, lane: Lane) -> None:
        """A lane was read again, up to where its partition is: it follows that from here on."""
        del self._rewinds[lane]
        self.cores[0].join(lane)

    def _run(self) -> list[ClosedEpoch]:
        closed: list[ClosedEpoch] = []
        while self._queue:
            record = self._queue.popleft()
            core = self._by_topic[record.topic]
            if not self._holds(core, record):
                closed += self._take(core, core.feed(record))
        return closed

    def _holds(self, core: StageCore, record: Record) -> bool:
        """Whether a record has to wait, which is kept then, with the lane that it is of."""
        if not self._loads:
            return False
        place = (core.stage, Lane(decode_message(record.value).catalog, record.partition))
        if place not in self._loads:
            return False
        self._held.setdefault(place, deque()).append(record)
        return True

    def _take(self, core: StageCore, outputs: Iterable[Output]) -> list[ClosedEpoch]:
        closed: list[ClosedEpoch] = []
        for output in outputs:
            if self._observer is not None:
                self._observer(core.name, output)
            if isinstance(output, Letter):
                self.letters.append((core.name, output))
            elif isinstance(output, Produce):
                done = self._said(output)
                if done is not None:
                    closed.append(done)
            elif isinstance(output, Load):
                self._loads[output.stage, output.lane] = output
                if core is self.cores[0]:
                    self._rewinds.pop(output.lane, None)
            elif isinstance(output, Rewind) and core is self.cores[0]:
                self._rewinds[output.lane] = output
        return closed

    def _said(self, output: Produce) -> ClosedEpoch | None:
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
        elif output.topic != PREDICTIONS.name or self._hears is None or self._hears(output):
            place = (output.topic, output.partition)
            offset = self._offsets[place] = self._offsets.get(place, -1) + 1
            self._queue.append(Record(output.topic, output.partition, offset, output.key, output.value, output.headers))
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
