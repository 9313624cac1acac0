"""The service on a database and a broker of memory, and what is waited for."""

import asyncio
import contextlib

from m0_jobs.service import Jobs
from m0common import settings
from m0common.clock import SystemClock
from m0common.deployment import Deployment
from m0common.leases import rows

HOUR_MS = 3_600_000


async def until(condition, timeout_s=60.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what jobs do is watched
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(dsn, house, broker, status, archive=None):
    """A process of jobs."""
    config = settings.Settings(
        postgres=settings.Postgres(dsn=dsn),
        archive=settings.Archive(interval_ms=100),
        jobs=settings.Jobs(crank_interval_ms=100, resolve_wait_ms=0, trim_interval_ms=100, replay_horizon_ms=HOUR_MS),
    )
    async with rows.opened(config.postgres, "jobs") as leases:
        jobs = Jobs(
            config, Deployment(bytes(32), bytes(32), 1), house.oracle.program, house.registry.program, house.pool,
            leases, broker, house.chain, SystemClock(), status, archive,
        )  # fmt: skip
        task = asyncio.create_task(jobs.run())
        try:
            await until(lambda: "leader" in status.facts)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
