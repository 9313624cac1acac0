"""Tells `m0.submissions` what this signer did; the chain never waits for it."""

import asyncio

from m0common.errors import Unavailable
from m0common.messages import Submission, encode
from m0common.stream.broker import Broker
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import epoch_trace
from m0common.topics import SUBMISSIONS

QUEUE_LIMIT = 1000
_RETRY_S = 1.0

_log = logger(__name__)


class Reporter:
    """A bounded queue in front of the broker; when the broker is away for long, the oldest reports are lost."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._queue: asyncio.Queue[Submission] = asyncio.Queue(QUEUE_LIMIT)

    def put(self, submission: Submission) -> None:
        """Report; never blocks."""
        if self._queue.full():
            lost = self._queue.get_nowait()
            _log.warning("report_lost", catalog=lost.catalog, epoch_id=lost.epoch_id, action=lost.action)
        self._queue.put_nowait(submission)

    async def run(self) -> None:
        """Send for ever, in order."""
        waiting: Submission | None = None
        while True:
            producer = self._broker.producer()
            try:
                await producer.start()
                partitions = await self._broker.partitions(SUBMISSIONS.name)
                while True:
                    waiting = waiting or await self._queue.get()
                    partition = partition_for(waiting.catalog.encode(), partitions)
                    key = f"{waiting.catalog}:{waiting.epoch_id}".encode()
                    trace = epoch_trace(waiting.catalog, waiting.epoch_id)
                    await producer.send([Produce(SUBMISSIONS.name, partition, key, encode(waiting), trace)])
                    waiting = None
            except Unavailable as error:
                _log.warning("broker_away", topic=SUBMISSIONS.name, error=str(error))
                await asyncio.sleep(_RETRY_S)
            finally:
                await producer.stop()
