"""The chain's clock as a second opinion on ours: a machine whose clock is wrong must not begin to end epochs."""

from typing import Protocol

MAX_DIFFERENCE_MS = 60_000


class ChainTime(Protocol):
    """The clock of the chain."""

    async def chain_time(self) -> int | None:
        """UTC milliseconds as programs see them, None when the chain does not answer."""
        ...


class ChainWatch:
    """Compares with the chain. `problem` is what the last look found; a silent chain is none."""

    def __init__(self, chain: ChainTime | None) -> None:
        self._chain = chain
        self.problem: str | None = None

    async def agrees(self, now_ms: int) -> bool:
        """Whether a chain that answers is within MAX_DIFFERENCE_MS of `now_ms`."""
        chain_ms = None if self._chain is None else await self._chain.chain_time()
        self.problem = None
        if chain_ms is not None and abs(chain_ms - now_ms) > MAX_DIFFERENCE_MS:
            self.problem = (
                f"the epoch clock is at {now_ms} ms and the chain's at {chain_ms} ms, more than "
                f"{MAX_DIFFERENCE_MS // 1000} s apart: set this machine's clock"
            )
        return self.problem is None
