"""What ingest knows of the log: the control records of `m0.raw` and `m0.cursors`. No group, no state but the log's own.

Every process of ingest follows, whether it leads or not, so that a standby knows what its predecessor knew.
"""

import asyncio
from collections.abc import Mapping

from m0common.cursors import Cursors
from m0common.errors import OffsetsGone, Unavailable
from m0common.stream.broker import AT_BEGINNING, Broker, TopicPartition
from m0common.stream.follow import Follower
from m0common.telemetry.logs import logger
from m0common.topics import CURSORS, RAW
from m0replay.control_log import ControlLog

BATCH = 1_000
POLL_MS = 500
FIRST_POLL_MS = 20
TRIM_LOOK_S = 10.0

log = logger(__name__)


class LogFollower:
    """Keeps a ControlLog and the Cursors at the head of the log."""

    def __init__(self, broker: Broker, control: ControlLog, cursors: Cursors, partitions: int) -> None:
        self._broker = broker
        self._follower = Follower.waiting(broker, "ingest-log")
        self._control = control
        self._cursors = cursors
        self._raw = [TopicPartition(RAW.name, number) for number in range(partitions)]
        self._place = TopicPartition(CURSORS.name, 0)
        self._look_at_s = 0.0
        self._turned = asyncio.Event()
        self.caught_up = asyncio.Event()

    @property
    def problem(self) -> str | None:
        """Readiness: why what is known of the log may be old."""
        unread = None if self.caught_up.is_set() else "the log's control records have not been read yet"
        return self._follower.problem or unread

    async def reach_end(self) -> Mapping[TopicPartition, int]:
        """Wait until all has been read that was written at the call, and return where that ended. Raises Unavailable
        when that cannot be asked.

        Behind what another part of a dead process had begun there may be what this part's predecessor committed: it can
        be read when that transaction has ended.
        """
        ends = await self._broker.watermarks([*self._raw, self._place])
        while any(self._follower.next_offsets.get(place, -1) < end for place, end in ends.items()):
            self._turned.clear()
            await self._turned.wait()
        return ends

    async def run(self) -> None:
        """Follow until cancelled; a broker that goes away is waited for."""
        async with self._follower as follower:
            starts = dict.fromkeys([*self._raw, self._place], AT_BEGINNING)
            while True:
                try:
                    await follower.open(starts)
                    await follower.go(starts)
                    while True:
                        await self._follow(follower)
                        starts = dict(follower.next_offsets)
                except OffsetsGone as error:
                    # reading a partition again from its beginning changes nothing of what is known of control records
                    log.warning("log_read_again", reason=str(error))
                    gone = TopicPartition(error.topic, error.partition)
                    if gone == self._place:
                        self._cursors.clear()
                    starts = starts | {gone: AT_BEGINNING}

    async def _follow(self, follower: Follower) -> None:
        # an empty log is caught up with after one short look
        for record in await follower.next(BATCH, POLL_MS if self.caught_up.is_set() else FIRST_POLL_MS):
            self._control.take(record)
            if record.topic == CURSORS.name:
                self._cursors.take(record)
        if follower.caught_up:
            self.caught_up.set()
        self._turned.set()
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + TRIM_LOOK_S
            await self._look_at_beginnings(follower)

    async def _look_at_beginnings(self, follower: Follower) -> None:
        try:
            begins = await follower.begin_offsets(self._raw)
        except Unavailable as error:
            log.warning("beginnings_unknown", reason=str(error))
            return
        for place, offset in begins.items():
            self._control.trimmed(place.partition, offset)
