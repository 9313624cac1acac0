"""What every loop over topics is: a consumer and a producer that outlive outages, a drain, and a loud halt.

One task does everything, so that no lock is needed: callbacks of a rebalance run between two batches.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

from m0common.errors import OffsetsGone, Unavailable
from m0common.settings import Stage
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.deadletters import TooManyDeadLetters
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Record
from m0common.stream.retry import Retry
from m0common.stream.silence import Silence
from m0common.stream.stuck import Watchdog
from m0common.telemetry.logs import logger

log = logger(__name__)


class Worker(ABC):
    """Polls, lets `_process` work on what came, commits from time to time, until it is stopped or must stop.

    `ready` and `healthy` are checks for m0common.http.Status. A subclass says what to read (`_open`), what to do with
    it (`_process`), and may look after more (`_look_after`) and finish something before it leaves (`_drain`).
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        settings: Stage | None,
        metrics: StageMetrics | None,
        *,
        group: str,
        member: str | None,
    ) -> None:
        self._name = name
        self._broker = broker
        self._settings = settings or Stage()
        self._metrics = metrics or StageMetrics(name)
        self._consumer = broker.consumer(group=group, member=member)
        self._producer = broker.producer()
        self._watchdog = Watchdog(name, self._settings.stuck_after_ms, self._metrics.stuck.inc)
        self._silence = Silence()
        self._retry = Retry(name, self._on_unavailable, self._silence)
        self._stopping = asyncio.Event()
        self._next_offsets: dict[TopicPartition, int] = {}
        self._dirty = False
        self._next_commit_s = 0.0
        self._joined = False
        self._halted: str | None = None

    def ready(self) -> str | None:
        """Readiness check."""
        waits = None if self._joined else f"{self._name} has not joined its group yet"
        return self._halted or self._consumer.contested() or self._retry.problem or waits

    def notes(self) -> str | None:
        """What is not well although the work goes on."""
        return None

    def healthy(self) -> str | None:
        """Health check."""
        return self._watchdog.problem()

    def stop(self) -> None:
        """Drain and leave: `run` returns as soon as what is in hand is done. While the broker is away it is not, and
        whoever has no more patience cancels `run`: what was not acknowledged is repeated after the restart.
        """
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`. Raises what `_process` raises, other than Unavailable.

        Above the dead letter limit, or when the log does not hold what comes next, it leaves the group, is not ready
        any more and waits for `stop`.
        """
        self._watchdog.start()
        try:
            await self._retry.run(self._producer.start)
            await self._retry.run(self._consumer.start)
            await self._open()
            while not self._stopping.is_set():
                await self._turn(self._settings.poll_timeout_ms)
            await self._drain()
        except (TooManyDeadLetters, OffsetsGone) as error:
            await self._halt(str(error))
        finally:
            self._watchdog.stop()
            await self._consumer.stop()
            await self._producer.stop()

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    async def _process(self, records: Sequence[Record]) -> None: ...

    async def _drain(self) -> None:
        await self._commit()

    async def _turn(self, poll_ms: int) -> None:
        """One poll and what follows from it."""
        try:
            with self._silence.poll(self._consumer):
                records = await self._consumer.getmany(self._settings.batch_records, poll_ms)
        except Unavailable as error:
            self._retry.failed(error)
            await asyncio.sleep(0.5)
            return
        finally:
            self._watchdog.beat()
        if records:
            with self._metrics.batch_seconds.time():
                await self._process(records)
        await self._look_after()

    async def _look_after(self) -> None:
        """Commit from time to time."""
        now_s = asyncio.get_running_loop().time()
        if self._dirty and now_s >= self._next_commit_s:
            self._next_commit_s = now_s + self._settings.commit_interval_ms / 1000
            await self._commit()

    async def _commit(self) -> None:
        """Commit how far the loop has come; when that fails it is tried again later."""
        if not self._dirty or not self._next_offsets:
            return
        try:
            with self._metrics.commit_seconds.time(), self._silence.asking("a commit is not acknowledged"):
                await self._consumer.commit(dict(self._next_offsets))
        except Unavailable as error:
            self._retry.failed(error)
        else:
            self._dirty = False
            self._retry.succeeded()

    async def _halt(self, reason: str) -> None:
        """Leave the group and wait to be stopped, loudly."""
        self._halted = f"{self._name} has stopped: {reason}"
        log.error("halted", stage=self._name, reason=reason, remedy="repair the cause, then restart the stage")
        await self._consumer.stop()
        while not self._stopping.is_set():
            self._watchdog.beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    def _has_joined(self) -> None:
        """It was given its partitions and knows where to begin."""
        self._joined = True
        self._metrics.rebalances.inc()

    def _on_unavailable(self) -> None:
        self._metrics.unavailable.inc()
        self._watchdog.beat()
