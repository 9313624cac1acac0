"""The task that keeps the archive of the log up to date while this process leads. It may fail alone: what it waits for
lies in Kafka, and it goes on from the archive's own index.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from m0archive.collect import Collector, Round
from m0archive.gate import Finals
from m0archive.store import Store
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import Fenced, M0Error, Unavailable
from m0common.leases.candidate import Tenure
from m0common.settings import Archive, Catalog
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker, TopicPartition
from m0common.telemetry.logs import logger
from m0index.tables.announced import announced

from m0_jobs import metrics

MARGIN_MS = 60_000
"""Of clocks and of indexing, behind the last deadline of an epoch."""
RETRY_MS = 5_000

_log = logger(__name__)


def late_ms(catalogs: Mapping[str, Catalog]) -> int:
    """How long behind its window's end an epoch can be a secret at most."""
    known = [*catalogs.values()] or [Catalog()]
    return max(each.lateness_ms + each.commit_ms + each.reveal_ms for each in known) + MARGIN_MS


@dataclass(slots=True)
class Archiver:
    """Fills `store`; `late_ms` as the function of that name says."""

    settings: Archive
    store: Store
    deployment: Deployment
    broker: Broker
    pool: Pool
    clock: Clock
    late_ms: int
    _collector: Collector | None = None
    _problem: str | None = None
    _lacks: int = 0
    _waits_ms: Mapping[str, int] = field(default_factory=dict)
    _silent_since_ms: int = 0

    def archived(self) -> Mapping[TopicPartition, int]:
        """Up to where each partition is archived; nothing of what is left out is known to be."""
        return {} if self._collector is None else self._collector.archived()

    def note(self) -> str | None:
        """Readiness: what is wrong with the archive, None when nothing is."""
        said = []
        if self._problem is not None:
            said.append(f"{self._problem}: nothing is archived, and the lanes' state is not trimmed meanwhile")
        waits_ms = self._waited_ms()
        late = {topic: ms for topic, ms in waits_ms.items() if ms > self.settings.behind_after_ms}
        if late:
            topic = max(late, key=lambda name: late[name])
            said.append(f"it lags by {late[topic] // 1000} s in {topic}: what Kafka forgets before is lost")
        if self._lacks:
            said.append(f"it lacks {self._lacks} offsets that Kafka had forgotten: 'm0 backup list' names them")
        return f"archive {self.store.address}: {'; '.join(said)}" if said else None

    async def run(self, tenure: Tenure) -> None:
        """Archive until cancelled. Raises Fenced when the lease is somebody else's."""
        self._silent_since_ms = self.clock.monotonic_ms()
        try:
            while True:
                wait_ms = await self._turn(tenure)
                await asyncio.sleep(wait_ms / 1000)
        finally:
            await self._close()

    async def _turn(self, tenure: Tenure) -> int:
        """One round; for how long to wait then."""
        try:
            done = await self._round(tenure)
        except Fenced as error:
            await self._failed(str(error))
            with contextlib.suppress(Unavailable):
                if not await tenure.confirmed():
                    raise
        except M0Error as error:
            await self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - a fault here is no other job's
            _log.exception("archive_crashed")
            await self._failed(f"{type(error).__name__}: {error}")
        else:
            self._measure(done)
            return 0 if done.more else self.settings.interval_ms
        return max(RETRY_MS, self.settings.interval_ms)

    async def _round(self, tenure: Tenure) -> Round:
        if self._collector is None:
            made = Collector(self.broker, self.store, tenure.lease, self.clock, self._finals, self.late_ms)
            try:
                await made.open(self.deployment)
            except BaseException:
                await made.close()
                raise
            self._collector = made
        return await self._collector.round()

    async def _finals(self) -> Finals:
        async with transaction(self.pool) as connection:
            return await announced(connection, self.clock.now_ms() - self.late_ms)

    async def _failed(self, why: str) -> None:
        _log.warning("archive_failed", reason=why)
        metrics.ARCHIVE_FAILURES.inc()
        self._problem = why
        await self._close()
        self._set_lag()

    async def _close(self) -> None:
        collector, self._collector = self._collector, None
        if collector is not None:
            await collector.close()

    def _measure(self, done: Round) -> None:
        self._problem, self._lacks, self._waits_ms = None, done.lacks, done.waits_ms
        self._silent_since_ms = self.clock.monotonic_ms()
        metrics.ARCHIVED_RECORDS.inc(done.records)
        metrics.ARCHIVED_BYTES.inc(done.bytes)
        metrics.ARCHIVE_LACKS.set(done.lacks)
        self._set_lag()

    def _set_lag(self) -> None:
        for topic, ms in self._waited_ms().items():
            metrics.ARCHIVE_LAG.labels(topic).set(ms / 1000)

    def _waited_ms(self) -> dict[str, int]:
        """As the newest round found it, and as much more as has gone by since."""
        since_ms = self.clock.monotonic_ms() - self._silent_since_ms if self._problem is not None else 0
        return {topic: ms + since_ms for topic, ms in self._waits_ms.items()}
