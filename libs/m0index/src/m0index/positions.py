"""Where a reader of the log stands: beside the effects of what it read, so that both are there or neither.

An empty database is simply an early one: the log is read from its beginning. So is another log, which its cluster's id
tells; an index that was filled from one takes the other in as well, and repeats do nothing.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from m0common.store.postgres import Connection
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.consumer_loop import Elsewhere
from m0common.stream.records import Record

from m0index.tables import positions

Begin = Callable[[], AbstractAsyncContextManager[Connection]]
"""Begins a transaction, which commits when its block ends and rolls back when that raises."""


class Positions:
    """The positions of one reader, as this process knows them. Every method raises Unavailable."""

    def __init__(self, reader: str, broker: Broker, begin: Begin) -> None:
        self._reader, self._broker, self._begin = reader, broker, begin
        self._cluster = ""
        self._known: dict[TopicPartition, int | None] = {}

    async def starts(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where to read on in these partitions, and in no others; one of which nothing is known is left out."""
        self._cluster = await self._broker.cluster()
        found = await self._stored(places)
        self._known = {where: found.get(where) for where in places}
        return found

    async def look(self) -> None:
        """Raises Elsewhere when the database says other positions than this process wrote: it is another database."""
        found = await self._stored(self._known)
        for where, known in self._known.items():
            if found.get(where) != known:
                raise Elsewhere(self._reader, where, known)

    def passed(self, record: Record) -> bool:
        """Whether the effects of a record are stored."""
        known = self._known.get(TopicPartition(record.topic, record.partition))
        return known is not None and record.offset < known

    @asynccontextmanager
    async def taking(self, record: Record) -> AsyncIterator[Connection]:
        """A transaction for the effects of a record; with its end the reader stands behind the record.

        Raises Elsewhere, and nothing is stored, when the reader does not stand where this process knows it.
        """
        where = TopicPartition(record.topic, record.partition)
        known, behind = self._known.get(where), record.offset + 1
        async with self._begin() as connection:
            yield connection
            if not await positions.move(connection, self._reader, self._cluster, where, known, behind):
                raise Elsewhere(self._reader, where, known)
        self._known[where] = behind

    async def _stored(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        async with self._begin() as connection:
            return await positions.of(connection, self._reader, self._cluster, places)
