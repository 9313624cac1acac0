"""The jobs put together: wait to lead, then take outcomes in and run every job on its schedule."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]
from m0chain import Oracle, Registry
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import M0Error, Unavailable
from m0common.http import Status
from m0common.settings import Settings
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker
from m0common.telemetry.logs import logger
from m0index.positions import Positions
from m0lanes.births import no_life
from solders.pubkey import Pubkey

from m0_jobs import metrics
from m0_jobs.chain import ChainPort
from m0_jobs.cranks import Cranks
from m0_jobs.leader import Leadership, leadership
from m0_jobs.outcomes import GROUP, OutcomeStore, outcome_loop
from m0_jobs.resolve import Resolver
from m0_jobs.scores import Scorer
from m0_jobs.trimmer import Trimmer

STANDBY_S = 2.0

_log = logger(__name__)


@dataclass(slots=True)
class Jobs:
    """Everything that runs."""

    config: Settings
    deployment: Deployment
    oracle: Pubkey
    registry: Pubkey
    pool: Pool
    broker: Broker
    chain: ChainPort
    clock: Clock
    status: Status
    problem: str | None = "not started"
    failed: dict[str, str] = field(default_factory=dict)
    """why the newest run of a job failed; each may fail alone"""

    async def run(self) -> None:
        """Lead, or wait to lead, until cancelled."""
        self.status.ready["database"] = lambda: self.problem
        self.status.notes["jobs"] = lambda: "; ".join(f"{job}: {why}" for job, why in self.failed.items()) or None
        while True:
            try:
                async with leadership(self.config.postgres.dsn) as held:
                    self.problem = None
                    if held is not None:
                        await self._lead(held)
            except Unavailable as error:
                self.problem = str(error)
                _log.warning("database_away", error=str(error))
            await asyncio.sleep(STANDBY_S)

    async def _lead(self, held: Leadership) -> None:
        _log.info("leading")
        metrics.LEADER.set(1)
        scheduler = self._scheduler()
        scheduler.start()
        positions = Positions(GROUP, self.broker, partial(transaction, self.pool))
        loop = outcome_loop(OutcomeStore(positions, self.clock), self.broker, self.config.stage)
        outcomes = asyncio.create_task(loop.run())
        lost = asyncio.create_task(held.lost.wait())
        try:
            await asyncio.wait({outcomes, lost}, return_when=asyncio.FIRST_COMPLETED)
            if outcomes.done():
                outcomes.result()
            _log.warning("leadership_lost")
        finally:
            metrics.LEADER.set(0)
            self.failed.clear()
            scheduler.shutdown(wait=False)
            for task in (outcomes, lost):
                task.cancel()
            await asyncio.gather(outcomes, lost, return_exceptions=True)

    def _scheduler(self) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(timezone="UTC")
        resolver = Resolver(self.pool, self.chain, Registry(self.registry))
        cranks = Cranks(self.pool, self.chain, Oracle(self.oracle), self.config.jobs.close_epochs_after_ms)
        scorer = Scorer(self.pool, self.clock)
        unborn = partial(no_life, deployment=self.deployment)
        trimmer = Trimmer(self.broker, self.config.jobs.replay_horizon_ms, unborn)
        often_s, rarely_s = self.config.jobs.crank_interval_ms / 1000, self.config.jobs.trim_interval_ms / 1000
        for name, job, every_s in (
            ("resolve", resolver.run, often_s),
            ("crank", cranks.run, often_s),
            ("score", scorer.run, often_s),
            ("trim", trimmer.run, rarely_s),
        ):
            scheduler.add_job(
                observed, "interval", (name, job, self.failed), seconds=every_s, id=name, max_instances=1,
                coalesce=True, misfire_grace_time=None, jitter=every_s / 5,
            )  # fmt: skip
        return scheduler


async def observed(name: str, job: Callable[[], Awaitable[int]], failed: dict[str, str]) -> None:
    """Run a job once, timed and counted. What it raises is logged and stands in `failed` until a run is done; the next
    run tries again, and no other job is held up.
    """
    with metrics.SECONDS.labels(name).time():
        try:
            count = await job()
        except M0Error as error:
            failed[name] = str(error)
            metrics.RUNS.labels(name, "failed").inc()
            _log.warning("job_failed", job=name, error=str(error))
            return
        except Exception as error:  # noqa: BLE001 - a fault in one job is no other's
            failed[name] = f"{type(error).__name__}: {error}"
            metrics.RUNS.labels(name, "crashed").inc()
            _log.exception("job_crashed", job=name)
            return
    failed.pop(name, None)
    metrics.RUNS.labels(name, "done").inc()
    if count:
        _log.info("job_done", job=name, count=count)
