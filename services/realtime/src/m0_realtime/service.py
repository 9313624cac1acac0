"""All of the service behind ports: a broker, a clock and an address."""

import asyncio

from m0common.clock import Clock
from m0common.http import Status
from m0common.process import Process
from m0common.settings import Realtime as Settings
from m0common.stream.broker import Broker

from m0_realtime import limits, metrics
from m0_realtime.finalized import Finalized
from m0_realtime.hub import Hub
from m0_realtime.markets import Markets
from m0_realtime.provisional import Provisional
from m0_realtime.server import Server

DEFAULTS = Settings()

PROVISIONAL_STEP = 1000
"""Provisional numbers begin at this many per millisecond since 1970, so a restart never uses one again."""


class Realtime:
    """Reads the log, serves clients, and says in `status` whether it can."""

    def __init__(self, broker: Broker, bind: str, clock: Clock, status: Status, settings: Settings = DEFAULTS) -> None:
        self.hub = Hub(self._schedule, provisional_base=clock.now_ms() * PROVISIONAL_STEP)
        self.markets = Markets(broker, self.hub.retire_market)
        self.provisional = Provisional(broker, self.hub, self.markets, clock)
        self.finalized = Finalized(broker, self.hub, self.markets, clock, self.provisional.final)
        self.server = Server(bind, self.hub, status, settings)
        status.ready["channels"] = self._rebuilding
        status.ready["log"] = self._deaf

    def _schedule(self) -> None:
        asyncio.get_running_loop().call_later(limits.TICK_S, self.hub.flush)

    def _rebuilding(self) -> str | None:
        ready = self.finalized.ready.is_set()
        metrics.BEHIND.set(0 if ready else 1)
        return None if ready else "channels are being rebuilt from the log"

    def _deaf(self) -> str | None:
        followers = (part.follower for part in (self.markets, self.provisional, self.finalized))
        return next((follower.problem for follower in followers if follower.problem is not None), None)

    async def begin(self, process: Process) -> None:
        """Listen and read the log. At the end clients are told to come back, and the numbering is written down."""
        process.closes("the readers of markets", self.markets.close)
        process.closes("the readers of provisional predictions", self.provisional.close)
        process.closes("the readers of epochs", self.finalized.close)
        process.closes("the clients", self.server.stop)
        await self.server.start()
        process.task("markets", self.markets.run)
        process.task("finalized", self.finalized.run)
        process.task("provisional", self.provisional.run)
