"""Publishes provisional predictions, conflated: at most one update per market and interval, always the newest.

Shown are those of open epochs alone: once an epoch is final, or its window has been over for a while, they leave the
snapshots.
"""

import asyncio
from collections.abc import Callable

from m0common.clock import Clock
from m0common.errors import DeadLetterError
from m0common.messages import ProvisionalPrediction
from m0common.stream.broker import AT_BEGINNING, Broker
from m0common.stream.door import PROVISIONAL_GRACE_MS, read_provisional
from m0common.stream.follow import Follower
from m0common.stream.records import Record
from m0common.topics import PROVISIONAL
from m0index import shapes

from m0_realtime import limits, metrics
from m0_realtime.hub import Hub
from m0_realtime.markets import Markets
from m0_realtime.names import Kind, Name


class Provisional:
    """The channels `provisional.<catalog>`."""

    def __init__(self, broker: Broker, hub: Hub, markets: Markets, clock: Clock) -> None:
        self._hub = hub
        self._markets = markets
        self._clock = clock
        self.follower = Follower.waiting(broker, "realtime-provisional")
        self._newest: dict[str, ProvisionalPrediction] = {}
        self._changed: dict[str, None] = {}
        self._final: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Read the newest part of the log, then follow it for ever."""
        await self.follower.open(await self.follower.places(PROVISIONAL.name))
        newest = {where: end - limits.BACKLOG_PROVISIONAL for where, end in self.follower.ends.items()}
        begins = self.follower.begins
        await self.follower.go({where: at if at > begins[where] else AT_BEGINNING for where, at in newest.items()})
        await self._markets.ready.wait()
        while True:
            records = await self.follower.next(limits.BATCH_RECORDS, limits.POLL_MS)
            self._drop(lambda prediction: not self._is_open(prediction))
            for record in records:
                self.apply(record)

    def apply(self, record: Record) -> None:
        """Note what one record says, unless a higher `(life, cause)` of its market is known."""
        try:
            prediction = read_provisional(record.value)
        except DeadLetterError as error:
            self.follower.unreadable(record, error)
            return
        if not self._is_open(prediction):
            return
        known = self._newest.get(prediction.market_id)
        if known is not None and (prediction.life, prediction.cause) <= (known.life, known.cause):
            metrics.REPEATED.labels(record.topic).inc()
            return
        if known is None and len(self._newest) >= limits.MAX_PROVISIONAL_MARKETS:
            metrics.DROPPED.labels(record.topic).inc()
            return
        self._newest[prediction.market_id] = prediction
        self._changed[prediction.market_id] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(limits.CONFLATE_S, self.publish)

    def publish(self) -> None:
        """Publish the newest prediction of every market that changed."""
        self._timer = None
        changed, self._changed = self._changed, {}
        now_ms = self._clock.now_ms()
        for market_id in changed:
            prediction = self._newest.get(market_id)
            if prediction is not None and self._is_open(prediction):
                data = shapes.encoded(shapes.provisional(prediction, self._markets.known(market_id)))
                self._hub.publish(Name(Kind.PROVISIONAL, prediction.catalog), market_id, data, now_ms)

    def final(self, catalog: str, epoch_id: int) -> None:
        """An epoch became final: what was provisional up to it is over."""
        self._final[catalog] = epoch_id
        self._drop(lambda prediction: prediction.catalog == catalog and prediction.epoch_id <= epoch_id)

    def _is_open(self, prediction: ProvisionalPrediction) -> bool:
        return (
            prediction.epoch_id > self._final.get(prediction.catalog, -1)
            and prediction.window_end_ms + PROVISIONAL_GRACE_MS > self._clock.now_ms()
            and self._markets.is_open(prediction.market_id)
        )

    def _drop(self, over: Callable[[ProvisionalPrediction], bool]) -> None:
        for market_id, prediction in [item for item in self._newest.items() if over(item[1])]:
            del self._newest[market_id]
            self._hub.retire(Name(Kind.PROVISIONAL, prediction.catalog), market_id)

    async def close(self) -> None:
        """Disconnect."""
        if self._timer is not None:
            self._timer.cancel()
        await self.follower.close()
