"""A process's claim on a lease: it takes it when it can, renews it, and works only meanwhile."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable

from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.leases.port import Lease, Leases
from m0common.tasks import end_task
from m0common.telemetry.logs import logger

RENEWALS = 4
"""So often a lease is renewed before it would end."""
LAST_PART = 4
"""A holder that cannot renew stops when this part of the lease is left, 1 of LAST_PART: the work has so long to end."""

log = logger(__name__)


def holder_name() -> str:
    """How this process is called in leases: host, process id, and what tells it from the next one there."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Tenure:
    """What the work is told of the lease that it is done under."""

    def __init__(self, lease: Lease, renew: Callable[[], Awaitable[bool]]) -> None:
        self.lease = lease
        self._renew = renew

    async def confirmed(self) -> bool:
        """Whether the lease is this process's: asked now, and renewed. Raises Unavailable when nobody answers."""
        return await self._renew()


Work = Callable[[Tenure], Awaitable[None]]
"""Done while the lease is held, and cancelled when it is lost; returning gives the lease back, to be taken anew."""


class Candidate:
    """Wants the lease `name` as `holder`, for `ttl_ms` at a time.

    With `fenced_elsewhere` the work goes on while the store is silent: whatever it does is refused where it lands once
    another has begun, and another can begin only when the store speaks.
    """

    def __init__(
        self, leases: Leases, name: str, holder: str, ttl_ms: int, clock: Clock, *, fenced_elsewhere: bool = False
    ) -> None:
        self.name = name
        self.leads = False
        self._leases = leases
        self._holder = holder
        self._ttl_ms = ttl_ms
        self._clock = clock
        self._fenced_elsewhere = fenced_elsewhere
        self._known: Lease | None = None
        self._silent: str | None = "not asked for yet"

    def says(self) -> str:
        """Who leads, in a few words."""
        if self._known is None:
            return "nobody is known to lead"
        if self.leads:
            return f"leads, number {self._known.fence}"
        return f"standby of {self._known.holder}, number {self._known.fence}"

    def problem(self) -> str | None:
        """Readiness: why this process could not lead, or has to stop."""
        return None if self.leads and self._fenced_elsewhere else self._silent

    def note(self) -> str | None:
        """Why this process leads although its lease could not be renewed."""
        return self._silent if self.leads and self._fenced_elsewhere else None

    async def lead(self, work: Work) -> None:
        """Take the lease whenever it is free, and `work` while it is held; until cancelled, or the work raises."""
        while True:
            asked_ms = self._clock.monotonic_ms()
            try:
                lease = await self._leases.take(self.name, self._holder, self._ttl_ms)
            except Unavailable as error:
                self._hear(str(error))
            else:
                self._silent = None
                self._known = lease
                if lease.holder == self._holder:
                    await self._serve(lease, asked_ms, work)
            await asyncio.sleep(self._ttl_ms / RENEWALS / 1000)

    async def _serve(self, lease: Lease, asked_ms: int, work: Work) -> None:
        log.info("leads", lease=lease.name, fence=lease.fence)
        self.leads = True
        tenure = Tenure(lease, lambda: self._leases.renew(lease, self._ttl_ms))
        working = asyncio.ensure_future(work(tenure))
        keeping = asyncio.ensure_future(self._keep(lease, asked_ms))
        try:
            ended, _ = await asyncio.wait([working, keeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_task(working)
            await end_task(keeping)
            self.leads = False
            log.info("leads_no_more", lease=lease.name, fence=lease.fence)
            with contextlib.suppress(Unavailable):
                await self._leases.release(lease)
        for task in ended:
            task.result()

    async def _keep(self, lease: Lease, asked_ms: int) -> None:
        """Renew until that fails for good. `asked_ms`: when the lease was asked for, so it ends no earlier."""
        while True:
            await asyncio.sleep(self._ttl_ms / RENEWALS / 1000)
            now_ms = self._clock.monotonic_ms()
            left_ms = asked_ms + self._ttl_ms * (LAST_PART - 1) // LAST_PART - now_ms
            if left_ms <= 0 and not self._fenced_elsewhere:
                log.warning("lease_not_renewed", lease=lease.name, reason=self._silent)
                return
            try:
                async with asyncio.timeout(None if self._fenced_elsewhere else left_ms / 1000):
                    renewed = await self._leases.renew(lease, self._ttl_ms)
            except (Unavailable, TimeoutError) as error:
                self._hear(str(error) or "the leases do not answer in time")
                continue
            self._silent = None
            asked_ms = now_ms
            if not renewed:
                log.warning("lease_lost", lease=lease.name, fence=lease.fence)
                return

    def _hear(self, reason: str) -> None:
        if self._silent is None:
            log.warning("leases_silent", lease=self.name, reason=reason)
        self._silent = reason
