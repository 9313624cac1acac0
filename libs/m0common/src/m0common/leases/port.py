"""What a store of leases does."""

from typing import NamedTuple, Protocol


class Lease(NamedTuple):
    """Who has a lease. `fence` grows by one with every new holder, and never falls."""

    name: str
    holder: str
    fence: int


class Leases(Protocol):
    """Every method raises Unavailable when the store does not answer in time."""

    async def take(self, name: str, holder: str, ttl_ms: int) -> Lease:
        """The lease, as it is now: of `holder` for `ttl_ms` if it was free, else of somebody else."""
        ...

    async def renew(self, lease: Lease, ttl_ms: int) -> bool:
        """Keep it for `ttl_ms` from now; False when somebody else has it."""
        ...

    async def release(self, lease: Lease) -> None:
        """Let somebody else have it at once, if it is still this holder's."""
        ...
