"""A part of ingest that one process at a time runs: a connector, the epoch clock, the registry's events.

Whoever has its lease begins by shutting its predecessor out, reads the log to the end, and goes on from what is there.
A part that fails is begun again in the same way, so that it never has to know how far it was.
"""

import asyncio
from collections.abc import Awaitable, Callable

from m0common.errors import Fenced, InvalidValue, MessageTooLarge, Unavailable
from m0common.leases.candidate import Candidate, Tenure
from m0common.telemetry.logs import logger

from m0_ingest import metrics
from m0_ingest.log import LogFollower
from m0_ingest.writer import ConnectorWriter

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0

Run = Callable[[ConnectorWriter], Awaitable[None]]
"""Runs the part until cancelled, or what it needs fails. Everything it knows it takes from the log."""

log = logger(__name__)


class Part:
    """The part `name`."""

    def __init__(
        self, name: str, candidate: Candidate, follower: LogFollower, writer: ConnectorWriter, run: Run
    ) -> None:
        self.name = name
        self.candidate = candidate
        self._follower = follower
        self._writer = writer
        self._run = run
        self._failed: str | None = None

    def problem(self) -> str | None:
        """Readiness: why this process cannot do this part, or could not if it had to."""
        return self.candidate.problem() or self._failed

    async def run(self) -> None:
        """Run the part whenever it is this process's turn; until cancelled."""
        await self.candidate.lead(self._lead)

    async def _lead(self, tenure: Tenure) -> None:
        try:
            await self._again_and_again(tenure)
        finally:
            self._failed = None  # what fails from now on is another's

    async def _again_and_again(self, tenure: Tenure) -> None:
        loop, wait_s = asyncio.get_running_loop(), FIRST_WAIT_S
        mine = True
        while mine:
            began_s = loop.time()
            try:
                await self._begin_and_run()
            except (Unavailable, Fenced, InvalidValue, MessageTooLarge) as error:
                wait_s = FIRST_WAIT_S if loop.time() - began_s > LONGEST_WAIT_S else wait_s
                self._fail(str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                mine = await _is_mine(tenure, fenced=isinstance(error, Fenced))

    async def _begin_and_run(self) -> None:
        await self._writer.start()
        try:
            await self._follower.reach_end()
            self._failed = None
            await self._run(self._writer)
        finally:
            await self._writer.stop()

    def _fail(self, reason: str) -> None:
        if self._failed is None:
            log.warning("part_failed", part=self.name, reason=reason)
        self._failed = reason
        metrics.RETRIES.labels(self.name).inc()


async def _is_mine(tenure: Tenure, *, fenced: bool) -> bool:
    """Whether to begin again. While the leases are silent nobody can have taken over, unless somebody has."""
    try:
        return await tenure.confirmed()
    except Unavailable:
        return not fenced
