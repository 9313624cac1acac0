"""Names and states of markets, from the registry topic."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from m0common.errors import DeadLetterError, Unavailable
from m0common.messages import RegistryMarket
from m0common.stream.broker import AT_BEGINNING, Broker
from m0common.stream.door import decoded
from m0common.stream.follow import Follower
from m0common.stream.records import Record
from m0common.topics import REGISTRY

from m0_realtime import limits

CLOSED = ("DEPRECATED", "ARCHIVED")
_decoder = msgspec.msgpack.Decoder(RegistryMarket)
OnClosed = Callable[[str, str], None]
"""Called with catalog and market id when a market takes no more predictions."""


class Markets:
    """What the registry says. `run` keeps it current; `names` waits a little for a market that is just being listed."""

    def __init__(self, broker: Broker, on_closed: OnClosed) -> None:
        self._on_closed = on_closed
        self.follower = Follower.waiting(broker, "realtime-markets")
        self._markets: dict[str, RegistryMarket] = {}
        self._read = asyncio.Condition()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Read for ever; sets `ready` once the log's end has been reached."""
        places = await self.follower.places(REGISTRY.name)
        await self.follower.open(places)
        await self.follower.go(dict.fromkeys(places, AT_BEGINNING))
        while True:
            if self.follower.caught_up:
                self.ready.set()
            for record in await self.follower.next(limits.BATCH_RECORDS, limits.POLL_MS):
                self.apply(record)
            async with self._read:
                self._read.notify_all()

    def apply(self, record: Record) -> None:
        """Take one registry message; others on the topic are not ours."""
        if not record.value:
            return
        try:
            market = decoded(_decoder, record.value, "not_a_market")
        except DeadLetterError as error:
            self.follower.unreadable(record, error)
            return
        self._markets[market.market_id] = market
        if market.state.upper() in CLOSED:
            self._on_closed(market.catalog, market.market_id)

    def is_open(self, market_id: str) -> bool:
        """Whether the market may still be predicted; one that is not known yet may."""
        market = self._markets.get(market_id)
        return market is None or market.state.upper() not in CLOSED

    async def names(self, market_id: str) -> Sequence[str]:
        """Outcome names in registry order; none when the registry does not know the market even after a moment."""
        market = self._markets.get(market_id)
        if market is None and self.ready.is_set():
            try:
                ends = await self.follower.end_offsets(list(self.follower.next_offsets))
                async with asyncio.timeout(limits.MARKET_WAIT_S), self._read:
                    await self._read.wait_for(lambda: all(self.follower.next_offsets[w] >= e for w, e in ends.items()))
            except (Unavailable, TimeoutError):
                pass
            market = self._markets.get(market_id)
        return () if market is None else market.outcomes

    def known(self, market_id: str) -> Sequence[str]:
        """Outcome names as far as they are known now."""
        market = self._markets.get(market_id)
        return () if market is None else market.outcomes

    async def close(self) -> None:
        """Disconnect."""
        await self.follower.close()
