"""Depth `bundle`: header and tree rebuilt from the final predictions of all lanes, as the bundle stage does it.

A lane that is far ahead of the others of its catalog is passed over and read again behind them, by a reader of its own.
"""

from collections.abc import Container, Iterable

import msgspec
from m0common.ids import Lane
from m0common.messages import HeaderMessage, LaneMessage
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.core import Cut, LaneReport, Letter, Output, Rewind
from m0common.stream.lane_reader import LaneReader
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0common.topics import HEADERS, PREDICTIONS
from m0lanes.bundle import AHEAD_MAX
from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.stages import Heart
from m0replay.seek import Reached, seek

from m0_signer import metrics
from m0_signer.database import Database
from m0_signer.depth import Depth, Offsets, Published

_BATCH = 500


class _EveryRelease(Container[bytes]):
    """What bundles are made of bears its release and needs none of its code to be followed."""

    def __contains__(self, _release: object) -> bool:
        return True


_decode_header = msgspec.msgpack.Decoder(HeaderMessage).decode
_decode_lane = msgspec.msgpack.Decoder(LaneMessage).decode


class BundleDepth(Depth):
    """See Depth."""

    topic = PREDICTIONS.name
    input_stage = BUNDLE_STAGE
    keeps_states = True

    def __init__(
        self, heart: Heart, broker: Broker, database: Database, catalogs: Iterable[str], published: Published
    ) -> None:
        super().__init__(database, catalogs, published)
        self._broker = broker
        self._partitions = heart.deployment.partitions
        self._installed = frozenset(heart.domains)
        self._missing: dict[str, frozenset[bytes]] = {}
        """By catalog: the releases of its newest epoch that are not installed."""
        self._core = heart.bundle(AHEAD_MAX, _EveryRelease())
        self._readers: dict[Lane, LaneReader] = {}

    def concerns(self, catalog: str, partition: int) -> bool:
        """See Depth: a catalog has one partition."""
        return partition == partition_for(catalog.encode(), self._partitions)

    async def _begin(self, states: list[Restored], begins: Offsets, ends: Offsets) -> None:
        for where in begins:
            self._core.resume(where.partition, states, begins[where], ends[where])

    async def _placed(self, states: list[Restored]) -> list[Restored]:
        """The bundle stage's state alone, and the first message in the log that it does not have yet."""
        placed = []
        for manifest, entities, _ in states:
            if manifest.stage == BUNDLE_STAGE:
                where = TopicPartition(self.topic, manifest.partition)
                taken = {source.partition: (source.life, source.seq) for source in manifest.input_seqs}
                offsets = [
                    (await seek(self._broker, where, _behind(manifest.catalog, partition, place))).offset
                    for partition, place in taken.items()
                ]
                begin = msgspec.structs.replace(manifest, input_offset=min(offsets, default=0) - 1)
                placed.append(Restored(begin, entities))
        return placed

    async def feed(self, record: Record) -> list[HeaderMessage]:
        """See Depth."""
        return self._take(self._core.feed(record))

    def _take(self, outputs: Iterable[Output]) -> list[HeaderMessage]:
        closed: list[HeaderMessage] = []
        for output in outputs:
            if isinstance(output, Produce):
                if output.topic == HEADERS.name:
                    closed += self._judged(_decode_header(output.value))
            elif isinstance(output, Cut):
                self.take_cut(output)
            elif isinstance(output, Letter):
                metrics.DEAD_LETTERS.labels(self.topic).inc()
            elif isinstance(output, Rewind):
                where = TopicPartition(self.topic, output.lane.partition)
                self._readers[output.lane] = LaneReader(self._broker, where, output.offset, _BATCH)
        return closed

    def _judged(self, header: HeaderMessage) -> list[HeaderMessage]:
        """An epoch to sign. One of a release that is not here is followed, and left to others."""
        missing = frozenset(lane.release for lane in header.lanes) - self._installed
        self._missing[header.catalog] = missing
        return [] if missing else self.take_header(header)

    def _lacks(self) -> set[tuple[str, bytes]]:
        spoken = {(report.lane.catalog, report.release) for report in self._reports()}
        missing = {(catalog, release) for catalog, releases in self._missing.items() for release in releases}
        return missing | {(catalog, release) for catalog, release in spoken if release not in self._installed}

    async def catch_up(self, next_offsets: Offsets) -> list[HeaderMessage]:
        """See Depth. Raises Unavailable, OffsetsGone."""
        closed: list[HeaderMessage] = []
        for lane, reader in list(self._readers.items()):
            upto = next_offsets[reader.where]
            for record in await reader.read(upto):
                closed += self._take(self._core.feed(record, lane))
                if self._readers[lane] is not reader:
                    break  # it goes back: what was read behind this is not for now
            if self._readers[lane] is not reader:
                await reader.stop()  # it was passed over again: the new reader goes on from there
            elif reader.next >= upto:
                await self._readers.pop(lane).stop()
                self._core.join(lane)
        return closed

    async def stop(self) -> None:
        """See Depth."""
        for reader in self._readers.values():
            await reader.stop()

    async def _cuts(self) -> list[Cut]:
        partitions = sorted({report.lane.partition for report in self._core.reports()})
        return [cut for partition in partitions for cut in self._core.cuts(partition, 0)]

    def _reports(self) -> list[LaneReport]:
        return self._core.reports()


def _behind(catalog: str, partition: int, place: tuple[int, int]) -> Reached:
    def reached(record: Record) -> bool | None:
        try:
            message = _decode_lane(record.value)
        except UNDECODABLE:
            return None
        mine = (message.catalog, message.partition) == (catalog, partition)
        return (message.life, message.seq) > place if mine else None

    return reached
