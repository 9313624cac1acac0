"""Whether the node that a process stands on is well; see m0common.pulse.

A node is well while it answers, its chain goes on and its clock is near ours: one that hangs, refuses, answers with
pages of HTML, stands still or lags is not, however its next request would end.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from m0common import pulse
from m0common.pulse import PATIENCE_S
from m0common.secret import SecretUrl

from m0chain.errors import ChainError
from m0chain.rpc import ChainClient, ChainTime, Timing

ANSWER_S = 2.0
"""A node that takes longer has not answered."""
MAX_LAG_MS = 15_000

Ask = Callable[[], Awaitable[ChainTime]]


class Pulse(pulse.Pulse):
    """Asks for the chain's clock. Its chain may stand still as long as it may be silent. `now_ms` is our clock."""

    def __init__(self, ask: Ask, now_ms: Callable[[], int], seconds: Callable[[], float] = time.monotonic) -> None:
        super().__init__(ANSWER_S, seconds)
        self._ask, self._now_ms = ask, now_ms
        self._grown_s = self._answered_s
        self._why: str | None = None
        self._slot = -1
        self._lag_ms = 0

    def problem(self) -> str | None:
        """See m0common.pulse.Pulse."""
        silent_s, stands_s = self.silent_s(), self.now_s() - self._grown_s
        if self._slot < 0 and self._why is None:
            return "the chain's node has not answered yet"
        if silent_s > PATIENCE_S or self._slot < 0:
            why = self._why or f"nothing within {ANSWER_S:.0f} s"
            return f"the chain's node has not answered for {silent_s:.0f} s: {why}"
        if stands_s > PATIENCE_S:
            return f"the chain's node stands at slot {self._slot} for {stands_s:.0f} s"
        if self._lag_ms > MAX_LAG_MS:
            return f"the clock of the chain's node is {self._lag_ms // 1000} s behind: it lags, or ours is wrong"
        return None

    async def beat(self) -> None:
        """See m0common.pulse.Pulse."""
        try:
            async with asyncio.timeout(ANSWER_S):
                seen = await self._ask()
        except (ChainError, TimeoutError) as error:
            self._why = str(error) or None
            self.unanswered()
            return
        now_s = self.answered()
        self._why, self._lag_ms = None, self._now_ms() - seen.unix_ms
        if seen.slot > self._slot:
            self._slot, self._grown_s = seen.slot, now_s


@contextlib.asynccontextmanager
async def node_pulse(rpc_url: str | SecretUrl, now_ms: Callable[[], int]) -> AsyncIterator[Pulse]:
    """A pulse of the node at `rpc_url`, over a connection of its own; whoever opens it runs it."""
    async with ChainClient(rpc_url, timing=Timing(request_s=ANSWER_S, attempts=1)) as client:
        yield Pulse(lambda: client.chain_time("confirmed"), now_ms)
