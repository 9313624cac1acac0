"""Follows `m0.raw` in all its partitions for the control records in it; no group, no state but the log's own."""

import asyncio

from m0common.errors import OffsetsGone, Unavailable
from m0common.stream.broker import AT_BEGINNING, Broker, Consumer, TopicPartition
from m0common.telemetry.logs import logger
from m0common.topics import RAW
from m0replay.control_log import ControlLog

from m0_ingest import metrics

BATCH = 1_000
POLL_MS = 500
FIRST_POLL_MS = 20
RETRY_S = 1.0
TRIM_LOOK_S = 10.0

log = logger(__name__)


class ControlFollower:
    """Keeps a ControlLog at the head of the log."""

    def __init__(self, broker: Broker, control: ControlLog, partitions: int) -> None:
        self._broker = broker
        self._control = control
        self._next = {TopicPartition(RAW.name, number): AT_BEGINNING for number in range(partitions)}
        self.caught_up = asyncio.Event()
        self.problem: str | None = "the log's control records have not been read yet"

    async def run(self) -> None:
        """Follow until cancelled; a broker that goes away is waited for."""
        while True:
            try:
                await self._follow()
            except Unavailable as error:
                self.problem = f"the log cannot be followed: {error}"
                metrics.RETRIES.labels("control records").inc()
                log.warning("control records unavailable, trying again", reason=str(error))
                await asyncio.sleep(RETRY_S)
            except OffsetsGone as error:
                # reading a partition again from its beginning changes nothing of what is known
                log.warning("control records are read again", reason=str(error))
                self._next[TopicPartition(error.topic, error.partition)] = AT_BEGINNING

    async def _follow(self) -> None:
        consumer = self._broker.consumer()
        await consumer.start()
        try:
            ends = await consumer.end_offsets(list(self._next))
            await consumer.assign(self._next)
            look_at = 0.0
            while True:
                # an empty log is caught up with after one short look
                for record in await consumer.getmany(BATCH, POLL_MS if self.caught_up.is_set() else FIRST_POLL_MS):
                    self._control.take(record)
                self._next = {place: consumer.position(place) for place in self._next}
                if all(self._next[place] >= end for place, end in ends.items()):
                    self.caught_up.set()
                    self.problem = None
                now_s = asyncio.get_running_loop().time()
                if now_s >= look_at:
                    look_at = now_s + TRIM_LOOK_S
                    await self._look_at_beginnings(consumer)
        finally:
            await consumer.stop()

    async def _look_at_beginnings(self, consumer: Consumer) -> None:
        for place, offset in (await consumer.begin_offsets(list(self._next))).items():
            self._control.trimmed(place.partition, offset)
