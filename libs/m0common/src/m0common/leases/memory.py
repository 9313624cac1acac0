"""Leases in memory, for tests: rows that live as long as this object, and its clock."""

from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.leases.port import Lease


class MemoryLeases:
    """See Leases. `away` makes the store silent."""

    def __init__(self, clock: Clock) -> None:
        self.away = False
        self._clock = clock
        self._rows: dict[str, tuple[Lease, int]] = {}

    async def take(self, name: str, holder: str, ttl_ms: int) -> Lease:
        """See Leases."""
        self._answer()
        known, until_ms = self._rows.get(name, (Lease(name, "", 0), 0))
        if self._clock.monotonic_ms() < until_ms:
            return known
        lease = Lease(name, holder, known.fence + 1)
        self._rows[name] = (lease, self._clock.monotonic_ms() + ttl_ms)
        return lease

    async def renew(self, lease: Lease, ttl_ms: int) -> bool:
        """See Leases."""
        self._answer()
        if self._rows[lease.name][0] != lease:
            return False
        self._rows[lease.name] = (lease, self._clock.monotonic_ms() + ttl_ms)
        return True

    async def release(self, lease: Lease) -> None:
        """See Leases."""
        await self.renew(lease, 0)

    def ends_ms(self, name: str) -> int:
        """When a lease ends, by the clock's steady time."""
        return self._rows[name][1]

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("the leases do not answer")
