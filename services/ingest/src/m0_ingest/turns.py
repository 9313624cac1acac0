"""The loop that every task of ingest runs in: turn after turn, patient with what does not answer."""

import asyncio
from collections.abc import Awaitable, Callable

from m0common.errors import Unavailable
from m0common.telemetry.logs import logger

from m0_ingest import metrics

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0

Turn = Callable[[], Awaitable[int]]
"""Does what is due; returns milliseconds until there may be more. What it could not finish it does again."""

log = logger(__name__)


class Turns:
    """Takes turns until cancelled. `problem` says what did not answer at the last one."""

    def __init__(self, name: str, turn: Turn, first_wait_s: float = FIRST_WAIT_S) -> None:
        self.name = name
        self.problem: str | None = None
        self._turn = turn
        self._first_wait_s = first_wait_s

    async def run(self) -> None:
        """Until cancelled, or a turn raises what waiting does not mend."""
        while True:
            wait_ms = await self.once()
            await asyncio.sleep(wait_ms / 1000)

    async def once(self) -> int:
        """One whole turn, however often it has to be begun again; returns what it returns."""
        wait_s = self._first_wait_s
        while True:
            try:
                wait_ms = await self._turn()
            except Unavailable as error:
                if self.problem is None:
                    log.warning("unavailable, trying again", task=self.name, reason=str(error))
                self.problem = str(error)
                metrics.RETRIES.labels(self.name).inc()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            else:
                self.problem = None
                return wait_ms
