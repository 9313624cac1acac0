"""The bundle stage beside the desk: what the lanes of all workers say, to headers."""

from collections.abc import Iterable

import msgspec
from m0common.stream.core import Cut, LaneReport, Output
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0lanes.bundle import STAGE
from m0lanes.stages import Heart


class Closing:
    """Goes on from states of the bundle stage, on offsets of its own: it counts what it is given."""

    def __init__(self, heart: Heart, states: Iterable[Restored] = ()) -> None:
        self._core = heart.bundle()
        self._offsets: dict[int, int] = {}
        known = [
            Restored(msgspec.structs.replace(found.manifest, input_offset=-1), found.entities)
            for found in states
            if found.manifest.stage == STAGE
        ]
        for partition in sorted({found.manifest.partition for found in known}):
            self._core.resume(partition, known, 0, 1 << 62)

    def feed(self, said: Produce) -> Iterable[Output]:
        """Everything that one message of a lane brings."""
        offset = self._offsets[said.partition] = self._offsets.get(said.partition, -1) + 1
        record = Record(said.topic, said.partition, offset, said.key, said.value, said.headers)
        return self._core.feed(record)

    def cuts(self) -> list[Cut]:
        """A checkpoint of every catalog that has gone on since its last one."""
        partitions = sorted({report.lane.partition for report in self._core.reports()})
        return [cut for partition in partitions for cut in self._core.cuts(partition, 0)]

    def reports(self) -> list[LaneReport]:
        """Every catalog."""
        return self._core.reports()
