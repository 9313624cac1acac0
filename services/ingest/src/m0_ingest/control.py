"""Follows `m0.raw` in all its partitions for the control records in it; no group, no state but the log's own."""

import asyncio

from m0common.errors import OffsetsGone, Unavailable
from m0common.stream.broker import AT_BEGINNING, Broker, TopicPartition
from m0common.stream.follow import Follower
from m0common.telemetry.logs import logger
from m0common.topics import RAW
from m0replay.control_log import ControlLog

BATCH = 1_000
POLL_MS = 500
FIRST_POLL_MS = 20
TRIM_LOOK_S = 10.0

log = logger(__name__)


class ControlFollower:
    """Keeps a ControlLog at the head of the log."""

    def __init__(self, broker: Broker, control: ControlLog, partitions: int) -> None:
        self._follower = Follower.waiting(broker, "ingest-control")
        self._control = control
        self._places = [TopicPartition(RAW.name, number) for number in range(partitions)]
        self._look_at_s = 0.0
        self.caught_up = asyncio.Event()

    @property
    def problem(self) -> str | None:
        """Readiness: why what is known of the catalogs may be old."""
        unread = None if self.caught_up.is_set() else "the log's control records have not been read yet"
        return self._follower.problem or unread

    async def run(self) -> None:
        """Follow until cancelled; a broker that goes away is waited for."""
        async with self._follower as follower:
            starts = dict.fromkeys(self._places, AT_BEGINNING)
            while True:
                try:
                    await follower.open(self._places)
                    await follower.go(starts)
                    while True:
                        await self._follow(follower)
                        starts = dict(follower.positions)
                except OffsetsGone as error:
                    # reading a partition again from its beginning changes nothing of what is known
                    log.warning("control_records_read_again", reason=str(error))
                    starts = starts | {TopicPartition(error.topic, error.partition): AT_BEGINNING}

    async def _follow(self, follower: Follower) -> None:
        # an empty log is caught up with after one short look
        for record in await follower.next(BATCH, POLL_MS if self.caught_up.is_set() else FIRST_POLL_MS):
            self._control.take(record)
        if follower.caught_up:
            self.caught_up.set()
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + TRIM_LOOK_S
            await self._look_at_beginnings(follower)

    async def _look_at_beginnings(self, follower: Follower) -> None:
        try:
            begins = await follower.begin_offsets(self._places)
        except Unavailable as error:
            log.warning("beginnings_unknown", reason=str(error))
            return
        for place, offset in begins.items():
            self._control.trimmed(place.partition, offset)
