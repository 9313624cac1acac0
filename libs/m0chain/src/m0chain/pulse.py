"""Whether the node that a process stands on is well, so that its readiness says so within seconds, whoever asks.

A node is well while it answers, its chain goes on and its clock is near ours: one that hangs, refuses, answers with
pages of HTML, stands still or lags is not, however its next request would end.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from m0common.secret import SecretUrl
from m0common.tasks import end_task

from m0chain.errors import ChainError
from m0chain.rpc import ChainClient, ChainTime, Timing

EVERY_S = 1.0
ANSWER_S = 2.0
"""A node that takes longer has not answered."""
PATIENCE_S = 3.5
"""For so long a node may be silent, or its chain stand still, before it is a problem: one lost answer is none."""
MAX_LAG_MS = 15_000

Ask = Callable[[], Awaitable[ChainTime]]


class Pulse:
    """Asks for the chain's clock every second. `now_ms` is our clock, `seconds` a monotonic one."""

    def __init__(self, ask: Ask, now_ms: Callable[[], int], seconds: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._now_ms, self._seconds = ask, now_ms, seconds
        self._answered_s = self._grown_s = self._beat_s = seconds()
        self._why: str | None = None
        self._slot = -1
        self._lag_ms = 0

    def problem(self) -> str | None:
        """One sentence, None while the node is well."""
        # a process that has not come to ask says nothing of the node
        now_s = min(self._seconds(), self._beat_s + EVERY_S + ANSWER_S)
        if self._slot < 0 and self._why is None:
            return "the chain's node has not answered yet"
        if now_s - self._answered_s > PATIENCE_S or self._slot < 0:
            why = self._why or f"nothing within {ANSWER_S:.0f} s"
            return f"the chain's node has not answered for {now_s - self._answered_s:.0f} s: {why}"
        if now_s - self._grown_s > PATIENCE_S:
            return f"the chain's node stands at slot {self._slot} for {now_s - self._grown_s:.0f} s"
        if self._lag_ms > MAX_LAG_MS:
            return f"the clock of the chain's node is {self._lag_ms // 1000} s behind: it lags, or ours is wrong"
        return None

    async def beat(self) -> None:
        """Ask once."""
        try:
            async with asyncio.timeout(ANSWER_S):
                seen = await self._ask()
        except (ChainError, TimeoutError) as error:
            self._why, self._beat_s = str(error) or None, self._seconds()
            return
        now_s = self._beat_s = self._seconds()
        self._why, self._answered_s, self._lag_ms = None, now_s, self._now_ms() - seen.unix_ms
        if seen.slot > self._slot:
            self._slot, self._grown_s = seen.slot, now_s

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(EVERY_S)


@contextlib.asynccontextmanager
async def beating(rpc_url: str | SecretUrl, now_ms: Callable[[], int]) -> AsyncIterator[Pulse]:
    """A pulse of the node at `rpc_url`, over a connection of its own, taken as long as the block lasts."""
    async with ChainClient(rpc_url, timing=Timing(request_s=ANSWER_S, attempts=1)) as client:
        pulse = Pulse(lambda: client.chain_time("confirmed"), now_ms)
        task = asyncio.create_task(pulse.run(), name="pulse of the chain's node")
        try:
            yield pulse
        finally:
            await end_task(task)
