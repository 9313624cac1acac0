"""A cursor of one lane's own, up to the partition's common cursor: for a lane that must be read again."""

from collections.abc import Collection

from m0common.ids import Lane
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import Follower
from m0common.stream.records import Record

POLL_MS = 20


class LaneReader:
    """Reads one partition from an offset, outside any group. `next` is the offset it has come to."""

    def __init__(self, broker: Broker, where: TopicPartition, offset: int, batch_records: int) -> None:
        self.where = where
        self.next = offset
        self._batch_records = batch_records
        self._follower = Follower(broker)

    async def read(self, upto: int) -> list[Record]:
        """The next records before offset `upto`.

        Raises Unavailable; OffsetsGone when the log does not hold what is next.
        """
        if self.next >= upto:
            return []
        if not self._follower.next_offsets:
            await self._follower.open([self.where])
            await self._follower.go({self.where: self.next})
        self._follower.until = {self.where: upto}
        records = await self._follower.next(self._batch_records, POLL_MS)
        self.next = self._follower.next_offsets[self.where]
        return records

    async def stop(self) -> None:
        """Read no more."""
        await self._follower.close()


class LaneReaders:
    """The lanes that are read apart, each by a reader of its own."""

    def __init__(self, broker: Broker, batch_records: int) -> None:
        self._broker = broker
        self._batch_records = batch_records
        self._readers: dict[Lane, LaneReader] = {}

    def __len__(self) -> int:
        return len(self._readers)

    def all(self) -> list[tuple[Lane, LaneReader]]:
        """Every lane and its reader now."""
        return list(self._readers.items())

    async def begin(self, lane: Lane, where: TopicPartition, offset: int) -> None:
        """Read a lane from an offset, whatever it was read from before."""
        await self.end([lane])
        self._readers[lane] = LaneReader(self._broker, where, offset, self._batch_records)

    async def end(self, lanes: Collection[Lane]) -> None:
        """Read these lanes apart no more."""
        for lane in lanes:
            reader = self._readers.pop(lane, None)
            if reader is not None:
                await reader.stop()

    async def end_in(self, partitions: Collection[TopicPartition]) -> None:
        """Read no lane of these partitions any more."""
        await self.end([lane for lane, reader in self._readers.items() if reader.where in partitions])
