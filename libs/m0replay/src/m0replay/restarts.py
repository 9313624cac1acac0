"""A pipeline that is broken off and goes on from its checkpoints, and everything that is said by it, to be compared.

Whoever restarts may say again what was said before, in the same place and in the same bytes, and nothing else.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from m0common.messages import LaneMessage
from m0common.messages.codec import encode_json
from m0common.stream.core import Letter, Output
from m0common.stream.records import Produce, Record
from m0common.topics import BUNDLES, HEADERS
from m0lanes.keeper import Keeper
from m0lanes.normalize import NormalizeCore
from m0lanes.pipeline import ClosedEpoch, Observer, Pipeline
from m0lanes.stages import Heart

_message = msgspec.msgpack.Decoder(LaneMessage).decode
FIRST = NormalizeCore.name

Place = tuple[str, str, int, int, int]
"""Stage, catalog, partition, life and number of a message; of the last stage topic, partition, 0 and number."""


@dataclass
class Said:
    """An observer of pipelines that read one log: what each stage said, by place, and the letters it cost.

    `otherwise` are sentences about places in which something else was said the second time.
    """

    messages: dict[Place, bytes] = field(default_factory=dict)
    letters: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    """Of the door: code and reason by partition and offset of the raw record."""
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    """Stage, code and reason of letters behind the door, where the right number is none."""
    otherwise: list[str] = field(default_factory=list)
    _counts: dict[tuple[str, int], int] = field(default_factory=dict)

    def __call__(self, stage: str, output: Output) -> None:
        """See Observer."""
        if isinstance(output, Produce):
            place = self._place(stage, output)
            if self.messages.setdefault(place, output.value) != output.value:
                self.otherwise.append(f"stage {stage} says message {place[-1]} of {place[1]}/{place[2]} in two ways")
        elif isinstance(output, Letter) and stage == FIRST:
            where, letter = (output.record.partition, output.record.offset), (output.error.error, output.error.reason)
            if self.letters.setdefault(where, letter) != letter:
                self.otherwise.append(f"record {where[0]}@{where[1]} costs two letters, {letter[0]} the second time")
        elif isinstance(output, Letter):
            self.faults.append((stage, output.error.error, output.error.reason))

    def _place(self, stage: str, output: Produce) -> Place:
        if output.topic not in (BUNDLES.name, HEADERS.name):
            message = _message(output.value)
            return stage, message.catalog, message.partition, message.life, message.seq
        where = (output.topic, output.partition)
        self._counts[where] = self._counts.get(where, 0) + 1
        return stage, *where, 0, self._counts[where]

    def digest(self, stage: str) -> bytes:
        """A hash of all messages of a stage, by place."""
        hasher = hashlib.sha256()
        for place, value in sorted((p, v) for p, v in self.messages.items() if p[0] == stage):
            hasher.update(encode_json(place) + value)
        return hasher.digest()


class Restarting:
    """A pipeline over one log, fed with the records of each partition in order. `restart` leaves it the log and the
    checkpoints that it made and nothing else.
    """

    def __init__(self, heart: Heart, observers: Iterable[Observer] = ()) -> None:
        self._heart = heart
        self._observers = tuple(observers)
        self._log: dict[int, list[Record]] = {}
        self.keeper = Keeper()
        self._pipeline = self._made()

    def _made(self) -> Pipeline:
        return Pipeline(self._heart, observer=self._observe)

    def _observe(self, stage: str, output: Output) -> None:
        self.keeper(stage, output)
        for observer in self._observers:
            observer(stage, output)

    def feed(self, record: Record) -> list[ClosedEpoch]:
        """See Pipeline."""
        self._log.setdefault(record.partition, []).append(record)
        return self._pipeline.feed(record)

    def restart(self) -> None:
        """Write a checkpoint of every lane that has changed, forget the pipeline, and begin another one from them."""
        for core in self._pipeline.cores:
            for partition in sorted({report.lane.partition for report in core.reports()}):
                for cut in core.cuts(partition, 0):
                    self.keeper(core.name, cut)
        self._pipeline = self._made()
        for partition, start in sorted(self._pipeline.restore(self.keeper.newest()).items()):
            for record in self._log[partition]:
                if record.offset >= start:
                    self._pipeline.feed(record)

    @property
    def parked(self) -> list[str]:
        """Why lanes stand, if any do."""
        return [
            report.parked for core in self._pipeline.cores for report in core.reports() if report.parked is not None
        ]

    @property
    def drops(self) -> Counter[tuple[str, str]]:
        """Records that the door passed over since the last restart, by source and reason."""
        return self._pipeline.cores[0].drops
