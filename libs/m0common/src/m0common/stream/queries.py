"""Questions beside the lanes: read from the end of their topic, answered from the state at hand, never repeated."""

import asyncio

from m0common.errors import DeadLetterError, M0Error
from m0common.stream.broker import AT_END, Broker, Producer, TopicPartition
from m0common.stream.core import StageCore
from m0common.stream.follow import Follower
from m0common.stream.records import Produce, Record
from m0common.stream.turns import Turns
from m0common.telemetry.logs import logger

log = logger(__name__)

BATCH = 500
POLL_MS = 500
RETRY_S = 1.0


class Queries:
    """Answers a core's queries for the partitions whose lanes this process holds. Losing some is allowed."""

    def __init__(self, core: StageCore, broker: Broker) -> None:
        assert core.queries is not None
        self._core = core
        self._topic = core.queries
        self._broker = broker
        self._partitions: frozenset[int] = frozenset()
        self._changed = asyncio.Event()
        self._turns = Turns()

    def follow(self, partitions: set[int]) -> None:
        """Answer for these partitions from here on."""
        self._partitions = frozenset(partitions)
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled. What goes wrong is tried again a little later: nothing depends on an answer."""
        while True:
            await self._changed.wait()
            producer = self._broker.producer()
            try:
                await producer.start()
                async with Follower(self._broker) as follower:
                    while True:
                        await self._read(follower, producer)
            except M0Error as error:
                log.warning("queries_wait", stage=self._core.name, reason=str(error))
                await asyncio.sleep(RETRY_S)
                self._changed.set()
            finally:
                await producer.stop()

    async def _read(self, follower: Follower, producer: Producer) -> None:
        if self._changed.is_set():
            self._changed.clear()
            wanted = [TopicPartition(self._topic, partition) for partition in sorted(self._partitions)]
            await follower.open(wanted)
            await follower.go(dict.fromkeys(wanted, AT_END))
        if not self._partitions:
            await self._changed.wait()
            return
        # of questions about one thing only the newest is worth an answer
        newest = {(r.partition, r.key): r for r in await follower.next(BATCH, POLL_MS)}
        answers: list[Produce] = []
        self._turns.begin()
        for record in newest.values():
            answers += self._answer(record)
            if self._turns.due():
                await self._turns.give()
        if answers:
            await producer.send(answers)

    def _answer(self, record: Record) -> list[Produce]:
        try:
            return list(self._core.answer(record))
        except DeadLetterError as error:
            log.warning("not_a_query", topic=self._topic, offset=record.offset, reason=str(error))
        except Exception:  # whatever it is, no lane depends on it
            log.exception("query_failed", topic=self._topic, offset=record.offset)
        return []
