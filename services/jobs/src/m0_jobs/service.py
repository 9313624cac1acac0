"""The jobs put together: whoever has their lease takes outcomes in and runs every job on its schedule."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]
from m0archive.store import Store
from m0chain import Oracle, Registry
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import Fenced, M0Error
from m0common.http import Status
from m0common.leases.candidate import Candidate, Tenure, holder_name
from m0common.leases.port import Lease, Leases
from m0common.leases.rows import fenced
from m0common.settings import Settings
from m0common.store.postgres import Pool
from m0common.stream.broker import Broker
from m0common.tasks import end_tasks
from m0common.telemetry.logs import logger
from m0index.positions import Positions
from m0lanes.births import no_life
from solders.pubkey import Pubkey

from m0_jobs import metrics
from m0_jobs.archiver import Archiver, late_ms
from m0_jobs.chain import ChainPort
from m0_jobs.cranks import Cranks
from m0_jobs.outcomes import GROUP, OutcomeStore, outcome_loop
from m0_jobs.resolve import Resolver
from m0_jobs.scores import Scorer
from m0_jobs.trimmer import Trimmer

NAME = "jobs"

_log = logger(__name__)


@dataclass(slots=True)
class Jobs:
    """Everything that runs."""

    config: Settings
    deployment: Deployment
    oracle: Pubkey
    registry: Pubkey
    pool: Pool
    leases: Leases
    broker: Broker
    chain: ChainPort
    clock: Clock
    status: Status
    archive: Store | None = None
    """where the log is archived, None: nowhere"""
    failed: dict[str, str] = field(default_factory=dict)
    """why the newest run of a job failed; each may fail alone"""

    async def run(self) -> None:
        """Lead, or wait to lead, until cancelled."""
        candidate = Candidate(self.leases, NAME, holder_name(), self.config.postgres.lease_ms, self.clock)
        self.status.ready["database"] = candidate.problem
        self.status.facts["leader"] = candidate.says
        self.status.notes["jobs"] = lambda: "; ".join(f"{job}: {why}" for job, why in self.failed.items()) or None
        await candidate.lead(self._lead)

    async def _lead(self, tenure: Tenure) -> None:
        metrics.LEADER.set(1)
        unborn = partial(no_life, deployment=self.deployment)
        archiver = self._archiver()
        archived = None if archiver is None else archiver.archived
        trimmer = Trimmer(self.broker, self.config.jobs.replay_horizon_ms, unborn, archived)
        scheduler = self._scheduler(tenure.lease, trimmer)
        scheduler.start()
        positions = Positions(GROUP, self.broker, partial(fenced, self.pool, tenure.lease))
        loop = outcome_loop(OutcomeStore(positions, self.clock), self.broker, self.config.stage)
        self.status.ready["outcomes"] = loop.ready
        self.status.notes["state"] = trimmer.notes
        working = [asyncio.ensure_future(loop.run())]
        if archiver is not None:
            self.status.notes["archive"] = archiver.note
            working.append(asyncio.ensure_future(archiver.run(tenure)))
        try:
            ended, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        except Fenced as error:
            _log.warning("fenced", reason=str(error))
        finally:
            # before anything is waited for: whoever ends this loses patience when that takes long
            scheduler.shutdown(wait=False)
            metrics.LEADER.set(0)
            self.failed.clear()
            self.status.notes.pop("archive", None)
            del self.status.ready["outcomes"], self.status.notes["state"]
            await end_tasks(working, lambda error: _log.warning("ended_with", reason=str(error)))

    def _archiver(self) -> Archiver | None:
        if self.archive is None:
            return None
        return Archiver(
            self.config.archive, self.archive, self.deployment, self.broker, self.pool, self.clock,
            late_ms(self.config.catalogs),
        )  # fmt: skip

    def _scheduler(self, lease: Lease, trimmer: Trimmer) -> AsyncIOScheduler:
        scheduler = AsyncIOScheduler(timezone="UTC")
        resolver = Resolver(
            self.pool, self.chain, Registry(self.registry), self.clock, self.config.jobs.resolve_wait_ms
        )
        cranks = Cranks(self.pool, self.chain, Oracle(self.oracle), self.config.jobs.close_epochs_after_ms)
        scorer = Scorer(self.pool, lease, self.clock)
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
        except asyncio.CancelledError:  # this process leads no more; the scheduler would log it as a fault
            metrics.RUNS.labels(name, "cut_off").inc()
            _log.info("job_cut_off", job=name)
            return
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
